//! What a result means for the shell. Decided here and nowhere else.

use std::process::ExitCode;

use platform_app::Refusal;
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, RunReport, RunStatus, Severity, StepState},
};

/// Why the program ended, as the shell sees it.
///
/// 4 (an objective was missed) has no variant yet: the commands that measure objectives are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Failed.
    Failed,
    /// The spec or the command line is wrong; nothing was done.
    Invalid,
    /// A person said no at a gate.
    Rejected,
    /// What is differs from what should be.
    Drift,
    /// Something is left that should be gone.
    LeftBehind,
    /// Locked, or waiting for a person: try again.
    TryAgain,
    /// Stopped by a signal; resumable.
    Interrupted,
    /// As a program ended that was played.
    Played(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Rejected => 3,
            Self::Drift => 5,
            Self::LeftBehind => 6,
            // EX_TEMPFAIL of sysexits.h, so that service managers know to try again.
            Self::TryAgain => 75,
            // As a shell reports a program that died of SIGINT.
            Self::Interrupted => 130,
            Self::Played(code) => code,
        }
    }

    /// What a failure means that ended a command.
    pub fn of_failure(failure: &Failure) -> Self {
        Self::of_code(failure.code.as_str())
    }

    /// What a refusal means: whatever its code, one that is about a place in the spec file is of an invalid spec.
    pub fn of_refusal(refusal: &Refusal) -> Self {
        let of_file = |it: &Finding| it.severity == Severity::Error && it.file.is_some();
        match refusal.findings.iter().any(of_file) {
            true => Self::Invalid,
            false => Self::of_failure(&refusal.failure),
        }
    }

    /// What findings mean for what was asked about: that of the first error among them.
    pub fn of_findings(findings: &[Finding]) -> Self {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        first.map_or(Self::Ok, |error| Self::of_code(error.code.as_str()))
    }

    fn of_code(code: &str) -> Self {
        match code {
            "P0708" => Self::Rejected,
            // Somebody else holds the lock, or has taken it from us, or will not have it taken away, or is writing.
            "P0101" | "P0102" | "P0110" | "P0910" | "P0921" => Self::TryAgain,
            // A run or provider that does not exist is a wrong argument.
            "P0104" | "P0710" => Self::Invalid,
            // A folder that cannot be read is one, too.
            "P0318" => Self::Invalid,
            "P0930" => Self::Interrupted,
            // The spec asks for a blueprint, parameters or add-ons that there are not; its provider cannot do what it says.
            "P0601" | "P0603" | "P0609" | "P0218" | "P1004" => Self::Invalid,
            // Not the command line's fault: files that cannot be written, and the program itself.
            "P0906" | "P0914" | "P0919" | "P0923" | "P0924" | "P0925" | "P0926" | "P0927" | "P0999" => {
                Self::Failed
            }
            code if code.starts_with("P00") || code.starts_with("P09") => Self::Invalid,
            _ => Self::Failed,
        }
    }

    /// What the end of a run means.
    pub fn of_report(report: &RunReport) -> Self {
        match (report.status, &report.error) {
            // Broken off by something else than a signal: the disk is full, the lease went elsewhere, …
            (RunStatus::Interrupted, Some(failure)) if failure.step.is_none() => Self::of_failure(failure),
            (RunStatus::Interrupted, _) => Self::Interrupted,
            (RunStatus::Held, None) if waits_for_a_person(report) => Self::TryAgain,
            _ if !report.orphans.is_empty() => Self::LeftBehind,
            (RunStatus::Succeeded, None) => Self::Ok,
            (_, error) => error.as_ref().map_or(Self::Failed, Self::of_failure),
        }
    }
}

fn waits_for_a_person(report: &RunReport) -> bool {
    report.steps.iter().any(|step| step.status == StepState::Gated)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The failure of the program itself, or of the machine it runs on.
pub fn out_of_order(deed: &str) -> Failure {
    Failure::new(Code::new("P0999"), Class::Bug, format!("could not {deed}"))
}

#[cfg(test)]
mod tests {
    use platform_spec::{
        RunId, StepId,
        report::{Counts, Orphan, RUN_SCHEMA, StepReport},
    };

    use super::*;

    fn failure(code: &'static str) -> Failure {
        Failure::new(Code::new(code), Class::Config, "it failed")
    }

    fn ended(status: RunStatus) -> RunReport {
        RunReport {
            schema: RUN_SCHEMA.into(),
            run: Some(RunId::new("R")),
            flow: "up".into(),
            platform: None,
            status,
            began_at: None,
            actor: None,
            spec_digest: None,
            counts: Counts::default(),
            steps: Vec::new(),
            orphans: Vec::new(),
            findings: Vec::new(),
            elapsed_ms: 0,
            error: None,
        }
    }

    fn gated() -> StepReport {
        let id = StepId::new("a");
        StepReport { id, status: StepState::Gated, outcome: None, attempts: 1, elapsed_ms: 0, note: None }
    }

    fn orphan() -> Orphan {
        let word = || "it".to_owned();
        Orphan { place: word(), kind: word(), name: word(), why: word(), age_ms: None }
    }

    /// The rows that a whole command can show are shown by one in `tests/cli/exit_codes.rs`.
    #[test]
    fn every_end_of_a_run_has_its_code() {
        let of_step = |code| Failure { step: Some(StepId::new("a")), ..failure(code) };
        let held = || ended(RunStatus::Held);
        let interrupted = || ended(RunStatus::Interrupted);
        let table = [
            (0, ended(RunStatus::Succeeded)),
            (1, RunReport { error: Some(of_step("P0401")), ..held() }),
            (1, RunReport { error: Some(of_step("P0401")), ..ended(RunStatus::Failed) }),
            (1, RunReport { error: Some(failure("P0709")), ..ended(RunStatus::Succeeded) }),
            (1, RunReport { error: Some(failure("P0108")), ..interrupted() }),
            (2, RunReport { error: Some(failure("P0003")), ..ended(RunStatus::Failed) }),
            (3, RunReport { error: Some(of_step("P0708")), ..held() }),
            (6, RunReport { orphans: vec![orphan()], ..ended(RunStatus::Succeeded) }),
            (
                6,
                RunReport {
                    orphans: vec![orphan()],
                    error: Some(of_step("P0401")),
                    ..ended(RunStatus::Failed)
                },
            ),
            (75, RunReport { steps: vec![gated()], ..held() }),
            (75, RunReport { error: Some(failure("P0101")), ..ended(RunStatus::Failed) }),
            (75, RunReport { error: Some(failure("P0102")), ..interrupted() }),
            (130, interrupted()),
            (130, RunReport { error: Some(of_step("P0401")), ..interrupted() }),
        ];
        for (code, report) in table {
            assert_eq!(Exit::of_report(&report).code(), code, "{report:?}");
        }
    }

    #[test]
    fn findings_mean_what_their_first_error_means() {
        let finding = |code, severity| Finding {
            class: None,
            code: Code::new(code),
            severity,
            message: String::new(),
            hint: None,
            file: None,
            line: None,
            column: None,
            path: None,
        };
        let warning = finding("P0211", Severity::Warning);
        assert_eq!(Exit::of_findings(&[]), Exit::Ok);
        assert_eq!(Exit::of_findings(std::slice::from_ref(&warning)), Exit::Ok);
        assert_eq!(Exit::of_findings(&[warning.clone(), finding("P0201", Severity::Error)]), Exit::Failed);
        assert_eq!(Exit::of_findings(&[warning, finding("P0003", Severity::Error)]), Exit::Invalid);
    }

    #[test]
    fn what_stops_a_command_before_a_run_has_its_code() {
        let table = [
            ("P0003", 2),
            ("P0104", 2),
            ("P0710", 2),
            ("P0930", 130),
            ("P0901", 2),
            ("P0609", 2),
            ("P0906", 1),
            ("P0914", 1),
            ("P0999", 1),
            ("P0101", 75),
            ("P0110", 75),
            ("P0921", 75),
            ("P0922", 2),
            ("P0218", 2),
            ("P1004", 2),
            ("P0940", 2),
        ];
        for (code, exit) in table {
            assert_eq!(Exit::of_failure(&failure(code)).code(), exit, "{code}");
        }
    }
}
