//! Time, as something that can be given. A soak of seven days is tested in milliseconds.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// Where the engine takes its time from.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now. Never goes back while the process lives.
    fn now(&self) -> Timestamp;

    /// Returns at `when`, or at once when that has passed.
    async fn sleep_until(&self, when: Timestamp);
}

/// The wall clock at the start of the process, carried on by tokio's monotonic one.
///
/// A wall clock that is set back (or forward) while a run goes on changes neither deadlines nor the order of events.
/// Under a paused tokio runtime (`start_paused`) this is virtual time.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    wall: Timestamp,
    started: tokio::time::Instant,
}

impl SystemClock {
    /// Reads the wall clock once.
    ///
    /// # Panics
    /// Outside a tokio runtime whose time is enabled.
    pub fn start() -> Self {
        Self { wall: Timestamp::now(), started: tokio::time::Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        add(self.wall, self.started.elapsed())
    }

    async fn sleep_until(&self, when: Timestamp) {
        let left = when.duration_since(self.now());
        if let Ok(left) = Duration::try_from(left) {
            tokio::time::sleep(left).await;
        }
    }
}

/// A time later by `by`, or the end of time.
pub fn add(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// Milliseconds from `from` to `to`; 0 when `to` is earlier.
pub fn elapsed_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
