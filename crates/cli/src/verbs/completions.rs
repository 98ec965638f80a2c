use clap_complete::Shell;
use platform_app::Refusal;

use crate::{args, exit::Exit, printer::Printer};

/// Print the completion script of a shell
///
/// The script goes to stdout; put it where your shell looks for completions.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform completions bash > ~/.local/share/bash-completion/completions/platform\n  \
                  platform completions zsh > ~/.zfunc/_platform\n  \
                  platform completions fish > ~/.config/fish/completions/platform.fish"
)]
pub struct Args {
    /// Which shell
    shell: Shell,
}

pub fn run(args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "platform", &mut script);
    printer.text(String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
