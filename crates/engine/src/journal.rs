//! The history of a run: events in a chain of hashes.
//!
//! Each link covers the one before, so a history that was edited, cut in the middle or reordered no longer verifies.
//! That makes the journal evidence; it does not make it secret or signed.

use std::io::BufWriter;

use jiff::Timestamp;
use platform_spec::{Event, event::Recorded};
use sha2::{Digest, Sha256};

use crate::plan::Plan;

/// Where a run's history ends: what the next event is chained to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `seq` of the last event; 0 when there is none.
    pub seq: u64,
    /// Its hash; empty when there is none.
    pub hash: String,
    /// Its time; the next event is never earlier, whatever the wall clock says.
    pub at: Option<Timestamp>,
}

impl Head {
    /// Gives an event its place, time and hash, and moves on to it.
    pub fn seal(&mut self, now: Timestamp, event: Event) -> Recorded {
        let at = self.at.map_or(now, |last| last.max(now));
        let seq = self.seq + 1;
        let hash = String::from_utf8_lossy(&link(&mut Vec::new(), &self.hash, seq, at, &event)).into_owned();
        *self = Self { seq, hash: hash.clone(), at: Some(at) };
        Recorded { seq, at, event, hash }
    }

    /// The head after a list of events that is known to be whole.
    pub fn after(events: &[Recorded]) -> Self {
        events.last().map_or_else(Self::default, |last| Self {
            seq: last.seq,
            hash: last.hash.clone(),
            at: Some(last.at),
        })
    }
}

/// A history that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An event is missing or stands twice.
    #[error("event {found} stands where event {expected} belongs")]
    Gap {
        /// The `seq` that belongs here.
        expected: u64,
        /// The `seq` that is here.
        found: u64,
    },
    /// An event, or something before it, was changed after it was written.
    #[error("event {seq} was changed after it was written")]
    Changed {
        /// Which one.
        seq: u64,
    },
    /// The plan beside the journal is not the one the run was created with.
    #[error("the stored plan is not the one the run was created with")]
    OtherPlan,
}

/// Checks a whole history, and that the plan beside it is the one it began with.
///
/// # Errors
/// The first place where it is not as it was written.
pub fn verify(plan: &Plan, events: &[Recorded]) -> Result<(), Broken> {
    let mut prev = "";
    let mut text = Vec::new();
    for (expected, event) in (1..).zip(events) {
        if event.seq != expected {
            return Err(Broken::Gap { expected, found: event.seq });
        }
        let hash = link(&mut text, prev, event.seq, event.at, &event.event);
        if hash[..] != *event.hash.as_bytes() {
            return Err(Broken::Changed { seq: event.seq });
        }
        prev = &event.hash;
    }
    match events.first().map(|first| &first.event) {
        Some(Event::RunCreated { plan_digest, .. }) if *plan_digest != plan_digest_of(plan) => {
            Err(Broken::OtherPlan)
        }
        _ => Ok(()),
    }
}

/// Digest of a plan (hex SHA-256 of its JSON), as written into the first event.
pub fn plan_digest_of(plan: &Plan) -> String {
    let mut sink = BufWriter::with_capacity(PIECE, Hash(Sha256::new()));
    serde_json::to_writer(&mut sink, plan).expect("a plan is plain data");
    let Ok(Hash(hasher)) = sink.into_inner() else { unreachable!("a hash takes everything") };
    hex::encode(hasher.finalize())
}

/// How much of a plan is hashed at a time: many times a block of SHA-256, and small enough to stay in the cache.
const PIECE: usize = 16 * 1024;

/// The hash of an event in hex. `text` is room to write in, so that a whole history needs it only once.
fn link(text: &mut Vec<u8>, prev: &str, seq: u64, at: Timestamp, event: &Event) -> [u8; 64] {
    text.clear();
    text.extend_from_slice(prev.as_bytes());
    text.extend_from_slice(&seq.to_be_bytes());
    text.extend_from_slice(&at.as_nanosecond().to_be_bytes());
    serde_json::to_writer(&mut *text, event).expect("an event is plain data");
    let mut digits = [0; 64];
    hex::encode_to_slice(Sha256::digest(text), &mut digits).expect("32 bytes are 64 digits");
    digits
}

struct Hash(Sha256);

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
