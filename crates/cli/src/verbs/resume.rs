use platform_app::{App, carry, runs};

use super::{
    carry::{Carried, carried},
    confirm,
};
use crate::{args::Common, exit::Exit, printer::Printer};

/// Continue an interrupted or held run
///
/// Every step that was cut off is looked up first, then adopted, waited for, or done again: nothing is made twice.
/// Without RUN, continues the only run that can be continued. A run that removes things asks again, as `platform down` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform resume\n  platform resume 01JD")]
pub struct Args {
    /// The run, or the beginning of its id [default: the only one that can be continued]
    run: Option<String>,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Exit {
    carried("resume", printer, async |carried: &Carried| {
        let app = App::open(common.state_dir().as_deref()).await?;
        let run = match &args.run {
            Some(run) => runs::find(&app, run).await?,
            None => runs::only_resumable(&app).await?,
        };
        // Agreed to once is not agreed to for ever: what exists may have changed since.
        let line = runs::line(&app, &run).await?;
        let removes = line.flow == carry::Flow::Down.as_str();
        if removes && !common.yes && line.status.is_resumable() {
            confirm::removal(&app, &line.platform, printer).await?;
        }
        carry::resume(&app, &run, carried.how(common, removes)).await
    })
    .await
}
