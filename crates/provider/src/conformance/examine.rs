//! The behaviours by levels, and a report about them.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    ALL, Broken, Need, Verdict, ensure_that,
    subject::{Subject, look_until_settled, ordered, token},
};
use crate::{CONTRACT_VERSION, Removed};

/// What a behaviour is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Lifecycle.
    L1,
    /// Kill and resume.
    L2,
    /// Nothing left.
    L3,
    /// Refusals.
    L4,
    /// Adopt.
    L5,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::L1, Self::L2, Self::L3, Self::L4, Self::L5];

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::L1 => "lifecycle",
            Self::L2 => "kill and resume",
            Self::L3 => "nothing left",
            Self::L4 => "refusals",
            Self::L5 => "adopt",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("`{text}` is no level: there are L1 to L5"))
    }
}

/// The level of a behaviour, and what it needs of a subject.
fn place(name: &str) -> (Level, &'static [Need]) {
    match name {
        "absent_before_it_is_made" | "in_progress_is_polled" | "list_owned_sees_everything" => {
            (Level::L1, &[Need::Makes])
        }
        "killed_before_it_was_recorded" => (Level::L2, &[Need::Makes]),
        "lost_reply_makes_no_second_object" | "stale_look_makes_no_second_object" => {
            (Level::L2, &[Need::Faults, Need::Count])
        }
        "older_epoch_is_refused" => (Level::L2, &[Need::Epochs]),
        "remove_of_absent_is_ok" | "down_leaves_nothing" | "blockers_are_named" => {
            (Level::L3, &[Need::Makes])
        }
        "refusals_are_classified" | "capacity_is_tried_elsewhere" => {
            (Level::L4, &[Need::Faults, Need::Count])
        }
        "quota_is_found_before_anything_is_made" => (Level::L4, &[Need::Quota, Need::Count]),
        "claims_live_as_long_as_told" | "permanent_stays_permanent" | "reaping_leaves_nothing" => {
            (Level::L3, &[Need::Makes, Need::Sweeps])
        }
        "adopted_is_never_deleted" => (Level::L5, &[Need::Foreign]),
        _ => (Level::L1, &[]),
    }
}

/// How a behaviour came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdicts {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// The subject could not be examined in it.
    Skipped,
}

/// One behaviour in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Its name: `ensure_twice_changes_once`.
    pub name: String,
    /// Its level.
    pub level: Level,
    /// How it came out.
    pub verdict: Verdicts,
    /// Why it does not hold, or could not be examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// How many behaviours of a level came out how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The level.
    pub level: Level,
    /// In words.
    pub title: String,
    /// So many hold.
    pub passed: u32,
    /// So many do not.
    pub failed: u32,
    /// In so many it could not be examined.
    pub skipped: u32,
}

/// What examining a provider has shown. Field names are a contract with scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// Always `platform.conformance/v1`.
    pub schema: String,
    /// The provider's kind.
    pub provider: String,
    /// The provider's version.
    pub version: String,
    /// The version of the contract.
    pub contract: u32,
    /// Whether nothing failed.
    pub passed: bool,
    /// Sums by level.
    pub levels: Vec<Sum>,
    /// Each behaviour.
    pub checks: Vec<Checked>,
}

/// Examines a provider in the behaviours of some levels (none: all), each on a subject of its own, which `make` makes by
/// the behaviour's name; its platform must never have been used before, for behaviours take leases of it. Behind each,
/// what is left is removed. `say` hears of each as it is over.
///
/// # Errors
/// When the provider cannot say what it is, or a subject cannot be made.
pub async fn examine<S: Subject>(
    make: impl AsyncFn(&str) -> Result<S, Broken>,
    levels: &[Level],
    mut say: impl FnMut(&Checked),
) -> Result<Examined, Broken> {
    let description = make("describes_itself").await?.provider().describe().await?;
    let mut checks = Vec::new();
    for (name, behaviour) in ALL {
        let (level, needs) = place(name);
        if !levels.is_empty() && !levels.contains(&level) {
            continue;
        }
        let subject = make(name).await?;
        let began = Instant::now();
        let (verdict, why) = match needs.iter().find(|need| subject.lacks(**need)) {
            Some(need) => (Verdicts::Skipped, Some(need.why().to_owned())),
            None => {
                let held = behaviour(&subject).await;
                let cleaned = clean_up(&subject).await.map_err(|Broken(why)| {
                    Broken(format!("what may be left behind it could not be removed: {why}"))
                });
                match held.and(cleaned) {
                    Ok(()) => (Verdicts::Passed, None),
                    Err(broken) => (Verdicts::Failed, Some(broken.0)),
                }
            }
        };
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let checked = Checked { name: (*name).to_owned(), level, verdict, why, elapsed_ms };
        say(&checked);
        checks.push(checked);
    }
    checks.sort_by_key(|check| check.level);
    Ok(Examined {
        schema: "platform.conformance/v1".to_owned(),
        provider: description.kind,
        version: description.version,
        contract: CONTRACT_VERSION,
        passed: checks.iter().all(|check| check.verdict != Verdicts::Failed),
        levels: Level::ALL.into_iter().filter_map(|level| sum(level, &checks)).collect(),
        checks,
    })
}

fn sum(level: Level, checks: &[Checked]) -> Option<Sum> {
    let count = |verdict| {
        let those = checks.iter().filter(|check| check.level == level && check.verdict == verdict);
        u32::try_from(those.count()).unwrap_or(u32::MAX)
    };
    let sum = Sum {
        level,
        title: level.title().to_owned(),
        passed: count(Verdicts::Passed),
        failed: count(Verdicts::Failed),
        skipped: count(Verdicts::Skipped),
    };
    (sum.passed + sum.failed + sum.skipped > 0).then_some(sum)
}

/// The newest epoch that a behaviour uses: what it has fenced off can still be removed.
const NEWEST_EPOCH: u64 = 7;

/// Removes what a behaviour has left, so that the next one finds an empty place and nobody pays for it.
async fn clean_up(subject: &dyn Subject) -> Verdict {
    for resource in ordered(subject).await?.iter().rev() {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), NEWEST_EPOCH);
        match subject.provider().remove(&call).await? {
            Removed::Done | Removed::Kept { .. } => {}
            Removed::InProgress(wait) => drop(look_until_settled(subject, &call, wait).await?),
            // A subject may have put something there itself, and takes it away itself.
            Removed::Blocked { by } => ensure_that!(
                by.iter().all(|by| by.starts_with("load-balancer")),
                "`{}` could not be removed again: it is used by {}",
                resource.id,
                by.join(", ")
            ),
        }
    }
    Ok(())
}

impl Examined {
    /// As a page for people.
    pub fn markdown(&self) -> String {
        use fmt::Write;
        let mut page = format!(
            "# Conformance of provider `{}` {}\n\nContract version {}: {}.\n\n",
            self.provider,
            self.version,
            self.contract,
            if self.passed { "nothing failed" } else { "**something failed**" }
        );
        page.push_str("| level | about | passed | failed | skipped |\n|---|---|---|---|---|\n");
        for sum in &self.levels {
            // Writing into a text cannot fail.
            let _written = writeln!(
                page,
                "| {} | {} | {} | {} | {} |",
                sum.level, sum.title, sum.passed, sum.failed, sum.skipped
            );
        }
        page.push_str("\n| level | behaviour | verdict | ms | why |\n|---|---|---|---|---|\n");
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdicts::Passed => "passed",
                Verdicts::Failed => "**failed**",
                Verdicts::Skipped => "skipped",
            };
            let why = check.why.as_deref().unwrap_or_default().replace('|', "\\|").replace('\n', " ");
            let name = check.name.replace('_', " ");
            let _written =
                writeln!(page, "| {} | {name} | {verdict} | {} | {why} |", check.level, check.elapsed_ms);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_behaviours() {
        for level in Level::ALL {
            assert!(ALL.iter().any(|(name, _)| place(name).0 == level), "{level}");
            assert_eq!(level.to_string().to_lowercase().parse(), Ok(level));
        }
        assert!("L6".parse::<Level>().is_err());
    }

    #[test]
    fn the_page_shows_what_failed_and_why() {
        let check = |name: &str, verdict, why: Option<&str>| Checked {
            name: name.to_owned(),
            level: place(name).0,
            verdict,
            why: why.map(str::to_owned),
            elapsed_ms: 3,
        };
        let checks = vec![
            check("access_works", Verdicts::Passed, None),
            check("down_leaves_nothing", Verdicts::Failed, Some("a | b")),
        ];
        let examined = Examined {
            schema: "platform.conformance/v1".to_owned(),
            provider: "acme".to_owned(),
            version: "1.0.0".to_owned(),
            contract: CONTRACT_VERSION,
            passed: false,
            levels: Level::ALL.into_iter().filter_map(|level| sum(level, &checks)).collect(),
            checks,
        };
        let page = examined.markdown();
        assert!(page.contains("| L3 | nothing left | 0 | 1 | 0 |"), "{page}");
        assert!(page.contains("| L3 | down leaves nothing | **failed** | 3 | a \\| b |"), "{page}");
        assert!(!page.contains("| L2 |"), "{page}");
    }
}
