//! A child of this program that is killed in the middle of its work.

use std::{path::Path, process::Stdio, time::Duration};

use platform_provider::life::GRACE;
use platform_spec::{Class, Code, Failure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::place::SANDBOX_OF;

/// The variable that names the process with which a process ends.
const ENDS_WITH: &str = "PLATFORM_ENDS_WITH";

/// Which part of its time a child gets, in thousandths: neither none nor all.
const SHARE: std::ops::Range<u64> = 50..950;

/// Ends this process when the one that started it dies, if that was asked for: a child that is to be killed must not
/// outlive a runner that was killed first.
///
/// The variable is inherited by what a child starts, which is to live on: only who was started by the process that is
/// named takes it for itself.
pub fn end_with_parent() {
    let parent = std::env::var(ENDS_WITH).ok().and_then(|pid| pid.parse::<i32>().ok());
    let is_ours = || parent == Some(nix::unistd::getppid().as_raw());
    if !is_ours() {
        return;
    }
    #[cfg(target_os = "linux")]
    let armed = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_ok();
    #[cfg(not(target_os = "linux"))]
    let armed = false;
    // It may have died in between.
    if armed && !is_ours() {
        std::process::exit(137);
    }
}

/// A child that does `up`.
pub(super) struct Child<'a> {
    /// The spec.
    pub file: &'a Path,
    /// Its state directory.
    pub state: &'a Path,
    /// Whose sandbox.
    pub sandbox: &'a Path,
    /// Whether in the emulated clouds.
    pub emulated: bool,
    /// Where its words go.
    pub log: &'a Path,
}

impl Child<'_> {
    /// Starts it and kills it after a time; whether it was still at work.
    ///
    /// # Errors
    /// `P0923` when it cannot be started.
    pub async fn killed_after(&self, time: Duration) -> Result<bool, Failure> {
        let refused = |error: &std::io::Error| {
            Failure::new(Code::new("P0923"), Class::Config, "could not start a child to be killed")
                .caused_by(error)
        };
        let program = std::env::current_exe().map_err(|error| refused(&error))?;
        let log = std::fs::File::create(self.log).map_err(|error| refused(&error))?;
        let mut child = Command::new(program)
            .args(["up", "--output", "json", "--ttl"])
            .arg(format!("{}s", GRACE.as_secs()))
            .arg("--file")
            .arg(self.file)
            .arg("--state")
            .arg(self.state)
            .args(self.emulated.then_some("--sandbox"))
            .env(SANDBOX_OF, self.sandbox)
            .env(ENDS_WITH, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Out of reach of the terminal's signals: it is killed, not asked.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(&error))?;
        match tokio::time::timeout(time, child.wait()).await {
            Ok(ended) => {
                ended.map_err(|error| refused(&error))?;
                Ok(false)
            }
            Err(_) => {
                child.kill().await.map_err(|error| refused(&error))?;
                Ok(true)
            }
        }
    }
}

/// When a child is killed that would take `whole`: by chance, and the same for the same seed, entry and attempt.
pub(super) fn moment(seed: u64, entry: &str, attempt: usize, whole: Duration) -> Duration {
    let digest = Sha256::digest(format!("{seed} {entry} {attempt}"));
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let share = SHARE.start + number % (SHARE.end - SHARE.start);
    Duration::from_millis(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).saturating_mul(share) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_within_the_work_and_belongs_to_its_seed() {
        let whole = Duration::from_secs(100);
        let moments: Vec<Duration> = (0..50).map(|seed| moment(seed, "demo", 1, whole)).collect();
        assert!(moments.iter().all(|it| (5..95).contains(&it.as_secs())), "{moments:?}");
        assert_eq!(moments[7], moment(7, "demo", 1, whole));
        assert_ne!(moment(7, "demo", 1, whole), moment(7, "demo", 2, whole));
        let distinct: std::collections::BTreeSet<_> = moments.iter().collect();
        assert!(distinct.len() > 40, "{moments:?}");
    }
}
