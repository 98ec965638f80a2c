use std::time::Duration;

use platform_app::{App, carry, specs};

use super::{
    carry::{Carried, carried},
    confirm,
};
use crate::{
    args::{Common, duration},
    exit::Exit,
    printer::Printer,
};

/// Remove the platform
///
/// Removes what the records or the ownership labels say is ours, Applications with their load balancers and volumes
/// first, and lets go of what was adopted. Ends with a search of its own for what is left: exits 0 only when nothing is,
/// and 6 with a list otherwise.
///
/// Shows what will be lost and asks you to type the platform's name; --yes does not ask.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform plan down\n  platform down\n  platform down --yes --output json"
)]
pub struct Args {
    /// How long to wait for what is being deleted before it is reported as left behind
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    wait: Duration,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Exit {
    carried("down", printer, async |carried: &Carried| {
        let wanted = specs::load_for_removal(&common.chosen_or_starter()).await?;
        let app = App::open(common.state_dir().as_deref()).await?;
        if !common.yes {
            confirm::removal(&app, &wanted.name(), printer).await?;
        }
        carry::down(&app, &wanted, args.wait, carried.how(common, true)).await
    })
    .await
}
