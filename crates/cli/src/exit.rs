//! What a result means for the shell. Decided here and nowhere else.

use std::process::ExitCode;

use platform_spec::{
    Class, Code, Failure,
    report::{RunReport, RunStatus, StepState},
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
        }
    }

    /// What a failure means that ended a command.
    pub fn of_failure(failure: &Failure) -> Self {
        match failure.code.as_str() {
            // Somebody else holds the lock, or has taken it from us.
            "P0101" | "P0102" => Self::TryAgain,
            // A run that does not exist is a wrong argument.
            "P0104" => Self::Invalid,
            // Not the command line's fault: a file that cannot be written, and the program itself.
            "P0906" | "P0999" => Self::Failed,
            code if code.starts_with("P00") || code.starts_with("P09") => Self::Invalid,
            _ => Self::Failed,
        }
    }

    /// What the end of a run means.
    pub fn of_report(report: &RunReport) -> Self {
        match report.status {
            RunStatus::Interrupted => match &report.error {
                // A run that was interrupted because its lease went elsewhere: whoever has it now carries on.
                Some(failure) if Self::of_failure(failure) == Self::TryAgain => Self::TryAgain,
                _ => Self::Interrupted,
            },
            RunStatus::Held | RunStatus::Running if waits_for_a_person(report) => Self::TryAgain,
            _ if !report.orphans.is_empty() => Self::LeftBehind,
            RunStatus::Succeeded => Self::Ok,
            _ => report.error.as_ref().map_or(Self::Failed, Self::of_failure),
        }
    }
}

fn waits_for_a_person(report: &RunReport) -> bool {
    report.counts.failed == 0 && report.steps.iter().any(|step| step.status == StepState::Gated)
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
