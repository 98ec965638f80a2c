//! Looking ahead: what would make a run fail later, asked of the providers before anything is changed.

use platform_flows::{Doors, wish::reach};
use platform_spec::{
    Class, Code, Failure,
    model::Model,
    report::{Finding, Severity},
};

use crate::Refusal;

/// What the providers find about every cluster of the model, in the spec's order.
///
/// A provider that could not look is a warning: the steps themselves will say it better, and can be resumed.
pub(crate) async fn findings(doors: &Doors, model: &Model) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for cluster in &model.clusters {
        let reach = reach(model, cluster);
        match doors.provider(&reach.provider)?.preflight(&reach.request).await {
            Ok(found) => findings.extend(found),
            Err(failure) => findings.push(blind(&cluster.name, &failure)),
        }
    }
    Ok(findings)
}

fn blind(cluster: &str, failure: &Failure) -> Finding {
    let why = failure.causes.last().unwrap_or(&failure.message);
    Finding {
        code: failure.code.clone(),
        severity: Severity::Warning,
        message: format!("could not look ahead at cluster `{cluster}`: {why}"),
        hint: failure.hints.first().cloned(),
        file: None,
        line: None,
        column: None,
        path: None,
    }
}

/// Refuses to begin when a finding says that nothing may be made before it is mended.
pub(crate) fn judge(findings: Vec<Finding>) -> Result<Vec<Finding>, Refusal> {
    if findings.iter().all(|finding| finding.severity == Severity::Warning) {
        return Ok(findings);
    }
    let failure =
        Failure::new(Code::new("P0717"), Class::Config, "looking ahead found what would make the run fail")
            .hint("mend what is listed above and run the command again; nothing was changed");
    Err(Refusal { failure: Box::new(failure), findings })
}
