//! The search that `down` ends with, in the words of its report.

use platform_flows::{Doors, inventory};
use platform_spec::{
    Class, Code, Failure, RunId,
    model::Model,
    report::{Finding, Orphan, RunReport, RunStatus, Severity},
};
use serde::{Deserialize, Serialize};

use crate::{
    App,
    carry::Flow,
    kept::{self, Kept},
};

/// What a search has found; kept with its run, so that a later `run report` says the same.
#[derive(Serialize, Deserialize)]
struct Searched {
    orphans: Vec<Orphan>,
    /// Some place could not be looked at: nobody knows that nothing is left.
    blind: Option<Failure>,
}

/// Searches every place the model names and adds what is left behind to the report of a `down` that has ended.
///
/// A run that rests is given back as it is: what it has not removed yet is no orphan. When some place could not be looked
/// at, the report says so as its error.
pub(crate) async fn complete(app: &App, doors: &Doors, model: &Model, report: RunReport) -> RunReport {
    let Some(run) = ended(&report) else { return report };
    let mut report = report;
    // It is being searched now.
    report.findings.retain(|finding| *finding != not_searched());
    let found = inventory::search(doors, model, app.clock.now()).await;
    let blind = (!found.blind.is_empty()).then(|| {
        let failure = Failure::new(
            Code::new("P0709"),
            found.blind.first().map_or(Class::Retryable, |first| first.class),
            "could not make sure that nothing is left behind",
        );
        let failure = found.blind.iter().fold(failure, |failure, place| {
            place.causes.iter().fold(failure.because(&place.message), |failure, cause| failure.because(cause))
        });
        failure
            .hint("run `platform down` again once the place can be reached: it only looks for what is left")
    });
    let searched = Searched { orphans: found.orphans, blind };
    let kept = kept::keep(app, &run, Kept::Inventory, &searched);
    let report = searched.into_report(report);
    RunReport { error: report.error.or(kept.err()), ..report }
}

/// Adds what the search after this run has found, if there was one.
pub(crate) fn repeat(app: &App, report: RunReport) -> Result<RunReport, Failure> {
    let Some(run) = ended(&report) else { return Ok(report) };
    let searched: Option<Searched> = kept::recall(app, &run, Kept::Inventory)?;
    Ok(match searched {
        Some(searched) => searched.into_report(report),
        None if report.flow == Flow::Down.as_str() => {
            let mut report = report;
            report.findings.push(not_searched());
            report
        }
        None => report,
    })
}

/// The process died between the end of the run and the end of the search.
fn not_searched() -> Finding {
    Finding {
        code: Code::new("P0709"),
        severity: Severity::Warning,
        class: None,
        message: "nobody has searched for what this run left behind".into(),
        hint: Some("run `platform down` again: it only looks for what is left".into()),
        file: None,
        line: None,
        column: None,
        path: None,
    }
}

fn ended(report: &RunReport) -> Option<RunId> {
    let ended = matches!(report.status, RunStatus::Succeeded | RunStatus::Failed);
    report.run.clone().filter(|_| ended)
}

impl Searched {
    fn into_report(self, report: RunReport) -> RunReport {
        RunReport { orphans: self.orphans, error: report.error.or(self.blind), ..report }
    }
}
