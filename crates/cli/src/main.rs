//! The binary `platform`.
//!
//! One file per verb in [`verbs`]; each says what it wants of the app, and hands the answer to the [`printer`].
//! What a result means for the shell is decided in [`exit`] and nowhere else.
//!
//! | room | what it holds |
//! |---|---|
//! | [`args`] | the words a person may type, and the flags common to all verbs |
//! | [`verbs`] | one file per verb |
//! | [`printer`] | who may write to which channel |
//! | [`screen`] | a running engine, told as lines or as progress bars |
//! | [`report`] | a finished run, told in words |
//! | [`exit`] | exit codes |
//! | [`pages`] | the page of every error code |

mod args;
mod exit;
mod logging;
mod pages;
mod printer;
mod report;
mod screen;
mod table;
mod verbs;
mod words;

use std::process::ExitCode;

/// Trees of JSON are made and thrown away all day long: a third of the time with the system's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    platform_app::ci::end_with_parent();
    let cli = match args::read() {
        Ok(cli) => cli,
        Err(refusal) => return args::refuse(&refusal).into(),
    };
    let printer = printer::Printer::new(&cli.common);
    logging::start(&cli.common, &printer);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = exit::out_of_order("start the threads of this program").caused_by(&error);
            return printer.refusal(&failure.into()).into();
        }
    };
    let exit = match runtime.block_on(verbs::run(cli.verb, &cli.common, &printer)) {
        Ok(exit) => exit,
        Err(refusal) => printer.refusal(&refusal),
    };
    // A step that was told to stop at once may still sit in a blocking call; the run is resumable, so nobody waits.
    runtime.shutdown_background();
    printer.ended(exit).into()
}
