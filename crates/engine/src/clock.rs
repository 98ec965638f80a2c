//! Time, as something that can be given. A soak of seven days is tested in milliseconds.

use std::{sync::Arc, time::Duration};

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
        Self::starting(Timestamp::now())
    }

    /// Takes it to be this time now. A simulation that began at another time would be another simulation.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn starting(wall: Timestamp) -> Self {
        Self { wall, started: tokio::time::Instant::now() }
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

/// A clock that is ahead of another by always the same, or behind it.
#[derive(Clone, Debug)]
pub struct Shifted<C> {
    clock: C,
    ahead: SignedDuration,
}

impl<C: Clock> Shifted<C> {
    /// A clock that is ahead of this one by so much; behind it when that is negative.
    pub fn by(ahead: SignedDuration, clock: C) -> Self {
        Self { clock, ahead }
    }

    /// A clock that goes on where a journal ends, when its own time lies before that.
    ///
    /// The wall clock may have been set back between two lives of a run. Its journal does not go back, so neither may the
    /// time that deadlines and retries are reckoned in: a retry that was seconds away would become one in an hour.
    pub(crate) fn after(last: Option<Timestamp>, clock: C) -> Self {
        let behind = last.map_or(SignedDuration::ZERO, |last| last.duration_since(clock.now()));
        Self::by(behind.max(SignedDuration::ZERO), clock)
    }
}

#[async_trait]
impl Clock for Arc<dyn Clock> {
    fn now(&self) -> Timestamp {
        self.as_ref().now()
    }

    async fn sleep_until(&self, when: Timestamp) {
        self.as_ref().sleep_until(when).await;
    }
}

#[async_trait]
impl<C: Clock> Clock for Shifted<C> {
    fn now(&self) -> Timestamp {
        self.clock.now().checked_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    async fn sleep_until(&self, when: Timestamp) {
        self.clock.sleep_until(when.checked_sub(self.ahead).unwrap_or(Timestamp::MIN)).await;
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
