//! The search that `down` ends with, in the words of its report.

use platform_flows::{Doors, inventory};
use platform_spec::{
    Class, Code, Failure,
    model::Model,
    report::{RunReport, RunStatus},
};

use crate::App;

/// Searches every place the model names and adds what is left behind to the report of a `down` that has ended.
///
/// A run that rests is given back as it is: what it has not removed yet is no orphan. When some place could not be looked
/// at, the report says so as its error: nobody knows that nothing is left.
pub(crate) async fn complete(app: &App, doors: &Doors, model: &Model, report: RunReport) -> RunReport {
    if !matches!(report.status, RunStatus::Succeeded | RunStatus::Failed) {
        return report;
    }
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
    RunReport { orphans: found.orphans, error: report.error.or(blind), ..report }
}
