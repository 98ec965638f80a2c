//! What `up`, `down` and `resume` share: signals, the screen, and one report at the end whatever happens.

use platform_app::{Refusal, carry::How, stop};
use platform_spec::report::{Counts, Notice, RUN_SCHEMA, RunReport, RunStatus};
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::{
    args::Common,
    exit::{self, Exit},
    printer::Printer,
    report, screen,
};

/// The wires between a person and a running engine.
pub struct Carried {
    stop: stop::Stop,
    notices: UnboundedSender<Notice>,
}

impl Carried {
    /// How the app is to carry the run out; `confirmed` says that a person has agreed to what cannot be undone.
    pub fn how(&self, common: &Common, confirmed: bool) -> How {
        How {
            stop: self.stop.clone(),
            notices: Some(self.notices.clone()),
            max_parallel: common.max_parallel.map(usize::from),
            confirmed,
            life: None,
        }
    }
}

/// Carries a run out by `act`, tells it on the screen, and prints its report; a refusal before the run came to be is
/// the report of a run that never was.
pub async fn carried(
    flow: &str,
    printer: &Printer,
    act: impl AsyncFnOnce(&Carried) -> Result<RunReport, Refusal>,
) -> Exit {
    let (notices, hear) = mpsc::unbounded_channel();
    let told = tokio::spawn(screen::follow(printer.clone(), hear));
    let outcome = match stop::on_signals(tell_of_signals(printer.clone())) {
        Ok(stop) => act(&Carried { stop, notices }).await,
        Err(error) => {
            drop(notices);
            Err(exit::out_of_order("listen for Ctrl-C").caused_by(&error).into())
        }
    };
    // The screen ends when the last sender is gone; only then may the result be written beneath it.
    if told.await.is_err() {
        printer.warn("the progress display broke off; the run itself is not affected");
    }
    report::print(&outcome.unwrap_or_else(|refusal| never_was(flow, refusal)), printer)
}

fn tell_of_signals(printer: Printer) -> impl Fn(u32) + Send + 'static {
    move |count| match count {
        1 => {
            printer.say("stopping: nothing new is started, running calls may finish (again to stop at once)")
        }
        _ => printer.say("stopping at once; the run can be resumed"),
    }
}

fn never_was(flow: &str, refusal: Refusal) -> RunReport {
    RunReport {
        schema: RUN_SCHEMA.to_owned(),
        run: None,
        flow: flow.to_owned(),
        platform: None,
        status: RunStatus::Failed,
        began_at: None,
        actor: None,
        spec_digest: None,
        counts: Counts::default(),
        steps: Vec::new(),
        orphans: Vec::new(),
        findings: refusal.findings,
        elapsed_ms: 0,
        error: Some(*refusal.failure),
    }
}
