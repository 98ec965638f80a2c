//! What a night has shown, as JSON and as JUnit.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use platform_spec::Failure;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestRerun, TestSuite};
use serde::{Deserialize, Serialize};

use super::history::Earlier;
use crate::sweep;

/// How something has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should.
    Passed,
    /// As it should, but not at the first try.
    Flaky,
    /// Otherwise.
    Failed,
    /// It was told to stop.
    Stopped,
    /// It stood behind a failure.
    Skipped,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky => "flaky",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Skipped => "skipped",
        }
    }
}

/// One step of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `up`, `verify`, `second_up`, `kill_resume`, `drill 1`, `down`, `inventory`.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub elapsed_ms: u64,
    /// What was found, or why it failed.
    pub note: String,
    /// The code of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// One try of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The platform that was made for it.
    pub platform: String,
    /// How it ended.
    pub status: Status,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What it has left behind, each as `kind name`.
    pub left: Vec<String>,
}

impl Attempt {
    /// An attempt as its steps say.
    pub(super) fn of(platform: &str, steps: Vec<Step>, left: Vec<String>) -> Self {
        let worst = steps.iter().map(|step| step.status).filter(|status| *status != Status::Skipped).max();
        Self { platform: platform.to_owned(), status: worst.unwrap_or(Status::Stopped), steps, left }
    }
}

/// One spec with one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `demo@1.36`.
    pub name: String,
    /// The spec file.
    pub spec: String,
    /// The Kubernetes version, when one was asked for.
    pub kubernetes_version: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Each try, in order.
    pub attempts: Vec<Attempt>,
}

impl Entry {
    pub(super) fn of(entry: &super::matrix::Entry, attempts: Vec<Attempt>) -> Self {
        let last = attempts.last().map_or(Status::Stopped, |attempt| attempt.status);
        let status = if last == Status::Passed && attempts.len() > 1 { Status::Flaky } else { last };
        Self {
            name: entry.name.clone(),
            spec: entry.spec.clone(),
            kubernetes_version: entry.version.clone(),
            status,
            attempts,
        }
    }
}

/// An entry that does not always end the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flake {
    /// Its name.
    pub entry: String,
    /// Whether it passed only on a repeat tonight.
    pub tonight: bool,
    /// Of how many earlier nights there are reports.
    pub earlier_nights: u32,
    /// In how many of them it passed only on a repeat.
    pub earlier_flaky: u32,
    /// In how many of them it failed.
    pub earlier_failed: u32,
}

/// What was removed before the night began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reaped {
    /// The provider's kind.
    pub provider: String,
    /// Clusters that were removed, as `platform/cluster`.
    pub removed: Vec<String>,
    /// What of them could not be removed, as `kind name: why`.
    pub left: Vec<String>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Why nothing was swept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Reaped {
    pub(super) fn of(kind: &str, report: sweep::Report) -> Self {
        let gone = report.claims.iter().filter(|claim| claim.outcome == sweep::Outcome::Removed);
        Self {
            provider: kind.to_owned(),
            removed: gone
                .map(|claim| format!("{}/{}", claim.platform, claim.cluster.as_deref().unwrap_or("-")))
                .collect(),
            left: report.left.iter().map(|it| format!("{} {}: {}", it.kind, it.name, it.why)).collect(),
            elapsed_ms: report.elapsed_ms,
            skipped: None,
        }
    }

    pub(super) fn not(kind: &str, why: Failure) -> Self {
        Self {
            provider: kind.to_owned(),
            removed: Vec::new(),
            left: Vec::new(),
            elapsed_ms: 0,
            skipped: Some(why.message),
        }
    }
}

/// A night. Field names are a contract with scripts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Always `platform.ci/v1`.
    pub schema: String,
    /// Which night.
    pub run: String,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took.
    pub elapsed_ms: u64,
    /// What chance went by.
    pub seed: u64,
    /// How many specs were worked on at once.
    pub parallel: usize,
    /// How long one entry could take.
    pub ttl_ms: u64,
    /// Whether every entry passed and nothing is left.
    pub passed: bool,
    /// How many entries ended how.
    pub counts: BTreeMap<Status, u32>,
    /// What was removed before.
    pub reaped: Vec<Reaped>,
    /// Each entry.
    pub entries: Vec<Entry>,
    /// Entries that do not always end the same.
    pub flakes: Vec<Flake>,
}

/// What a report is made of.
pub(super) struct Night {
    pub run: String,
    pub began_at: Timestamp,
    pub seed: u64,
    pub parallel: usize,
    pub ttl: Duration,
    pub reaped: Vec<Reaped>,
    pub entries: Vec<Entry>,
    pub earlier: Vec<Earlier>,
}

impl Report {
    pub(super) fn of(night: Night) -> Self {
        let Night { run, began_at, seed, parallel, ttl, reaped, entries, earlier } = night;
        let mut counts = BTreeMap::new();
        for entry in &entries {
            *counts.entry(entry.status).or_default() += 1;
        }
        let good = |entry: &Entry| matches!(entry.status, Status::Passed | Status::Flaky);
        let left = entries.iter().flat_map(|entry| &entry.attempts).any(|it| !it.left.is_empty());
        let elapsed = Timestamp::now().duration_since(began_at).as_millis();
        Self {
            schema: "platform.ci/v1".to_owned(),
            run,
            began_at,
            elapsed_ms: u64::try_from(elapsed).unwrap_or_default(),
            seed,
            parallel,
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            passed: entries.iter().all(good) && !left,
            counts,
            flakes: entries.iter().filter_map(|entry| flake(entry, &earlier)).collect(),
            reaped,
            entries,
        }
    }

    /// Whether something was left behind.
    pub fn left_behind(&self) -> bool {
        let reaped = self.reaped.iter().any(|it| !it.left.is_empty());
        reaped || self.entries.iter().flat_map(|it| &it.attempts).any(|it| !it.left.is_empty())
    }

    /// Whether it was told to stop.
    pub fn was_stopped(&self) -> bool {
        self.counts.contains_key(&Status::Stopped)
    }

    /// As JUnit XML: a suite for each entry, a case for each step, earlier attempts as reruns.
    pub fn junit(&self) -> String {
        let mut junit = quick_junit::Report::new("platform ci nightly");
        junit.set_time(Duration::from_millis(self.elapsed_ms));
        for entry in &self.entries {
            let mut suite = TestSuite::new(entry.name.as_str());
            suite.add_property(("spec", entry.spec.as_str()));
            suite.add_property(("seed", self.seed.to_string().as_str()));
            if let Some(version) = &entry.kubernetes_version {
                suite.add_property(("kubernetes", version.as_str()));
            }
            let Some((last, before)) = entry.attempts.split_last() else { continue };
            let steps = last.steps.iter().map(|step| {
                let earlier = before.iter().flat_map(|attempt| &attempt.steps);
                let reruns = earlier.filter(|it| it.name == step.name && it.status == Status::Failed);
                case(&entry.name, step, reruns)
            });
            suite.add_test_cases(steps.collect::<Vec<_>>());
            let took = last.steps.iter().map(|step| step.elapsed_ms).sum();
            suite.set_time(Duration::from_millis(took));
            junit.add_test_suite(suite);
        }
        // What XML cannot hold is left out by the library; writing into memory does not fail.
        junit.to_string().unwrap_or_default()
    }
}

fn case<'a>(entry: &str, step: &Step, reruns: impl Iterator<Item = &'a Step>) -> TestCase {
    let mut status = match step.status {
        Status::Passed | Status::Flaky => TestCaseStatus::success(),
        Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Stopped => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Skipped => TestCaseStatus::skipped(),
    };
    status.set_message(step.note.as_str());
    if let Some(code) = &step.code {
        status.set_type(code.as_str());
    }
    for rerun in reruns {
        let mut it = TestRerun::new(NonSuccessKind::Failure);
        it.set_message(rerun.note.as_str()).set_time(Duration::from_millis(rerun.elapsed_ms));
        status.add_rerun(it);
    }
    let mut case = TestCase::new(step.name.as_str(), status);
    case.set_classname(entry).set_time(Duration::from_millis(step.elapsed_ms));
    case
}

fn flake(entry: &Entry, earlier: &[Earlier]) -> Option<Flake> {
    let ended = earlier.iter().filter_map(|night| night.entries.get(&entry.name));
    let count = |status| u32::try_from(ended.clone().filter(|it| **it == status).count()).unwrap_or(u32::MAX);
    let flake = Flake {
        entry: entry.name.clone(),
        tonight: entry.status == Status::Flaky,
        earlier_nights: u32::try_from(ended.clone().count()).unwrap_or(u32::MAX),
        earlier_flaky: count(Status::Flaky),
        earlier_failed: count(Status::Failed),
    };
    (flake.tonight || flake.earlier_flaky > 0).then_some(flake)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, status: Status) -> Step {
        let code = (status == Status::Failed).then(|| "P0923".to_owned());
        Step { name: name.to_owned(), status, elapsed_ms: 1500, note: format!("{name} <&> said so"), code }
    }

    fn entry(name: &str, attempts: Vec<Attempt>) -> Entry {
        let of = super::super::matrix::Entry {
            name: name.to_owned(),
            spec: "platform.yaml".to_owned(),
            version: Some("1.36".to_owned()),
            platform: "demo-0a1b2c".to_owned(),
        };
        Entry::of(&of, attempts)
    }

    fn attempt(steps: &[(&str, Status)]) -> Attempt {
        let steps = steps.iter().map(|(name, status)| step(name, *status)).collect();
        Attempt::of("demo-0a1b2c", steps, Vec::new())
    }

    fn report(entries: Vec<Entry>, earlier: Vec<Earlier>) -> Report {
        Report::of(Night {
            run: "01J".to_owned(),
            began_at: Timestamp::now(),
            seed: 7,
            parallel: 1,
            ttl: Duration::from_secs(3600),
            reaped: Vec::new(),
            entries,
            earlier,
        })
    }

    const GOOD: &[(&str, Status)] = &[("up", Status::Passed), ("down", Status::Passed)];
    const BAD: &[(&str, Status)] =
        &[("up", Status::Failed), ("verify", Status::Skipped), ("down", Status::Passed)];

    #[test]
    fn an_attempt_is_as_bad_as_its_worst_step() {
        assert_eq!(attempt(GOOD).status, Status::Passed);
        assert_eq!(attempt(BAD).status, Status::Failed);
        assert_eq!(attempt(&[("up", Status::Stopped), ("down", Status::Failed)]).status, Status::Stopped);
        assert_eq!(attempt(&[]).status, Status::Stopped);
    }

    #[test]
    fn what_passes_on_a_repeat_is_flaky_and_what_was_is_remembered() {
        let before = |status| Earlier { entries: [("b".to_owned(), status)].into() };
        let entries = vec![entry("a", vec![attempt(BAD), attempt(GOOD)]), entry("b", vec![attempt(GOOD)])];
        let report =
            report(entries, vec![before(Status::Flaky), before(Status::Failed), before(Status::Passed)]);
        assert!(report.passed);
        assert_eq!(report.counts, [(Status::Passed, 1), (Status::Flaky, 1)].into());
        let flakes: Vec<_> = report
            .flakes
            .iter()
            .map(|it| (it.entry.as_str(), it.tonight, it.earlier_nights, it.earlier_flaky, it.earlier_failed))
            .collect();
        assert_eq!(flakes, [("a", true, 0, 0, 0), ("b", false, 3, 1, 1)]);
    }

    #[test]
    fn what_is_left_fails_the_night() {
        let left = Attempt { left: vec!["network demo".to_owned()], ..attempt(GOOD) };
        let report = report(vec![entry("a", vec![left])], Vec::new());
        assert!(!report.passed && report.left_behind());
    }

    #[test]
    fn junit_has_a_case_for_each_step_and_tells_flaky_from_failed() {
        let entries =
            vec![entry("a", vec![attempt(BAD), attempt(GOOD)]), entry("b", vec![attempt(BAD), attempt(BAD)])];
        let xml = report(entries, Vec::new()).junit();
        let again = quick_junit::Report::deserialize_from_str(&xml).expect("JUnit");
        assert_eq!((again.tests, again.failures), (5, 1), "{xml}");
        assert_eq!(again.test_suites[0].test_cases[0].name.as_str(), "up");
        assert!(xml.contains("<flakyFailure time=\"1.500\" message=\"up &lt;&amp;&gt; said so\""), "{xml}");
        assert!(xml.contains("type=\"P0923\"") && xml.contains("<skipped"), "{xml}");
        assert!(xml.contains("time=\"1.500\""), "{xml}");
    }
}
