//! Looking ahead: what would make a run fail later, asked of the providers and of the handles of secrets before anything
//! is changed.

use platform_flows::{Doors, handles, wish::reach};
use platform_spec::{
    Class, Failure,
    model::Model,
    report::{Finding, Severity},
};

use crate::Refusal;

/// What the providers find about every cluster of the model, in the spec's order, and secrets that cannot be read.
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
    for unusable in handles::unusable(model).await.into_iter().map(Finding::from) {
        // The provider may have tried the same handle.
        if !findings.contains(&unusable) {
            findings.push(unusable);
        }
    }
    Ok(findings)
}

fn blind(cluster: &str, failure: &Failure) -> Finding {
    let why = failure.causes.last().unwrap_or(&failure.message);
    Finding {
        code: failure.code.clone(),
        severity: Severity::Warning,
        class: Some(failure.class),
        message: format!("could not look ahead at cluster `{cluster}`: {why}"),
        hint: failure.hints.first().cloned(),
        file: None,
        line: None,
        column: None,
        path: None,
    }
}

/// Refuses to begin when a finding says that nothing may be made before it is mended; with the first one's code.
pub(crate) fn judge(findings: Vec<Finding>) -> Result<Vec<Finding>, Refusal> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let mut errors = errors.peekable();
    let Some(first) = errors.peek() else { return Ok(findings) };
    let class = first.class.unwrap_or(Class::Config);
    let failure = Failure::new(first.code.clone(), class, "looking ahead found what would make the run fail");
    let failure = errors.fold(failure, |failure, error| match &error.hint {
        Some(hint) => failure.because(&error.message).hint(hint),
        None => failure.because(&error.message),
    });
    let failure = failure.hint("nothing was changed; `platform plan` looks ahead again");
    Err(Refusal { failure: Box::new(failure), findings })
}

#[cfg(test)]
mod tests {
    use platform_spec::Code;

    use super::*;

    fn finding(severity: Severity, code: &'static str) -> Finding {
        let mut finding = blind("demo", &Failure::new(Code::new(code), Class::Quota, "too few cores"));
        finding.severity = severity;
        finding
    }

    #[test]
    fn warnings_do_not_stop_a_run_and_errors_do_with_the_first_ones_code() {
        let warning = finding(Severity::Warning, "P0212");
        assert_eq!(judge(vec![warning.clone()]).expect("only a warning").len(), 1);
        let errors = vec![warning, finding(Severity::Error, "P0213"), finding(Severity::Error, "P0214")];
        let refusal = judge(errors).expect_err("there are errors");
        assert_eq!((refusal.failure.code.as_str(), refusal.failure.causes.len()), ("P0213", 2));
        assert_eq!(refusal.failure.class, Class::Quota, "that of the first finding");
        assert_eq!(refusal.findings.len(), 3);
    }
}
