//! One file per verb: its arguments, whose doc comments are its help, and a `run` that resolves them, asks the app,
//! and reports.

mod carry;
mod ci;
mod completions;
mod confirm;
mod conformance;
mod doctor;
mod down;
mod explain;
mod init;
mod kubeconfig;
mod lock;
mod man;
mod plan;
mod providers;
mod render;
mod resume;
mod run;
mod runs;
mod sandbox;
mod schema;
mod simulate;
mod status;
mod sweep;
mod up;
mod validate;
mod verify;

use std::{io, path::Path};

use clap::Subcommand;
use platform_app::{App, Refusal};
use platform_spec::{Class, Code, Failure};

use crate::{args::Common, exit::Exit, printer::Printer};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Init(init::Args),
    Validate(validate::Args),
    Schema(schema::Args),
    Render(render::Args),
    Plan(plan::Args),
    Up(up::Args),
    Resume(resume::Args),
    Down(down::Args),
    Status(status::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    Sweep(sweep::Args),
    Ci(ci::Args),
    Runs(runs::Args),
    Run(run::Args),
    Lock(lock::Args),
    Kubeconfig(kubeconfig::Args),
    Sandbox(sandbox::Args),
    Simulate(simulate::Args),
    Conformance(conformance::Args),
    Providers(providers::Args),
    Explain(explain::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Does it.
///
/// # Errors
/// A refusal that ended the command and that nobody has printed yet.
pub async fn run(verb: Verb, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let app = async || App::open(common.state_dir().as_deref()).await;
    let look = async || App::look(common.state_dir().as_deref()).await;
    match verb {
        Verb::Init(args) => init::run(&args, common, printer),
        Verb::Validate(args) => validate::run(&args, common, printer).await,
        Verb::Schema(args) => schema::run(&args, printer),
        Verb::Render(args) => render::run(&args, common, printer).await,
        Verb::Plan(args) => plan::run(&args, common, printer).await,
        Verb::Up(args) => Ok(up::run(&args, common, printer).await),
        Verb::Resume(args) => Ok(resume::run(&args, common, printer).await),
        Verb::Down(args) => Ok(down::run(&args, common, printer).await),
        Verb::Status(args) => status::run(&args, &look().await?, printer).await,
        Verb::Doctor(args) => doctor::run(&args, common, printer).await,
        Verb::Verify(args) => verify::run(&args, common, printer).await,
        Verb::Sweep(args) => sweep::run(&args, common, printer).await,
        Verb::Ci(args) => ci::run(&args, common, printer).await,
        Verb::Runs(args) => runs::run(&args, &look().await?, printer).await,
        Verb::Run(args) if args.only_looks() => run::run(&args, &look().await?, printer).await,
        Verb::Run(args) => run::run(&args, &app().await?, printer).await,
        Verb::Lock(args) => lock::run(&args, &look().await?, printer).await,
        Verb::Kubeconfig(args) => kubeconfig::run(&args, common, printer).await,
        Verb::Simulate(args) => simulate::run(&args, common, printer).await,
        Verb::Conformance(args) => conformance::run(&args, common, printer).await,
        Verb::Sandbox(args) => sandbox::run(&args, common, printer).await,
        Verb::Providers(args) => providers::run(&args, printer).await,
        Verb::Explain(args) => explain::run(&args, printer),
        Verb::Completions(args) => completions::run(&args, printer),
        Verb::Man(args) => man::run(&args, printer),
    }
}

/// The failure to write something a person asked for.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::new("P0906"), Class::Config, format!("could not write `{}`", path.display()))
        .caused_by(error)
}
