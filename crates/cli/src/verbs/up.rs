use std::time::Duration;

use platform_app::{
    App,
    carry::{self, How},
    life, specs,
};

use super::carry::{Carried, carried};
use crate::{
    args::{Common, duration},
    exit::Exit,
    printer::Printer,
};

/// Create or repair everything the spec asks for
///
/// Looks at what exists, makes what is missing and changes what differs; a healthy platform is left alone. Every step is
/// recorded before and after, so that a run that is interrupted, by whatever, is continued with `platform resume`.
///
/// The first Ctrl-C starts nothing new and lets running calls finish; the second stops at once. Both leave a run that
/// can be resumed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform up\n  platform up --file demo.yaml --output json\n  \
    platform up --provider kind --ttl 60m")]
pub struct Args {
    /// Let the clusters that are made end by themselves after this time: then `platform sweep` removes them [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ttl: Option<Duration>,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Exit {
    carried("up", printer, async |carried: &Carried| {
        let wanted = specs::load(&common.chosen_or_starter()).await?;
        if let Some(provider) = &wanted.starter {
            printer.say(format_args!(
                "there is no {} here: this is the built-in starter spec on `{provider}` (`platform init` writes it)",
                specs::DEFAULT_FILE
            ));
        }
        printer.findings(&wanted.findings);
        let app = App::open(common.state_dir().as_deref()).await?;
        let life = args.ttl.map(life::lasting);
        carry::up(&app, &wanted, How { life, ..carried.how(common, false) }).await
    })
    .await
}
