//! What a provider answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What looking found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Observation {
    /// Not there.
    Absent,
    /// There and usable.
    Present {
        /// What it is.
        thing: Thing,
        /// `None` when it is as asked; else what differs, in words, and `ensure` would change it.
        #[serde(default)]
        differs: Option<String>,
    },
    /// Being made, changed or removed; look again later.
    InProgress(Wait),
    /// There, and it will not mend by waiting. `ensure` mends or replaces it, or refuses and says what a person must do.
    Broken {
        /// In the outside's own words.
        why: String,
    },
}

/// A thing outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    /// The outside's own name for it (an ARN, a UID).
    pub external_id: String,
    /// Whether we made it.
    pub ownership: Ownership,
    /// What others may use: ids, endpoints, versions. Stored, so no secrets.
    #[serde(default)]
    pub outputs: Value,
}

/// Whether a thing is ours to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// We made it; `down` removes it.
    Owned,
    /// It was there before us; it is used, released and never deleted.
    Adopted,
}

/// Something the outside works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// What is needed to ask again, also after a restart: an operation id, a URL. No secrets.
    #[serde(default)]
    pub operation: Value,
    /// What for, in words that fit behind "waiting for".
    pub waiting_for: String,
    /// When to look again, in milliseconds from now.
    pub poll_after_ms: u64,
}

/// What ensuring achieved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Ensured {
    /// It is as asked.
    Done {
        /// What it is.
        thing: Thing,
        /// Whether this call changed the world for it.
        changed: bool,
    },
    /// Begun; look again by `observe`.
    InProgress(Wait),
}

/// What removing achieved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Removed {
    /// It is gone, or never was.
    Done,
    /// Begun; look again by `observe` until it says `Absent`.
    InProgress(Wait),
    /// Something else still uses it; nothing was changed.
    Blocked {
        /// What stands in the way, each as `kind name`.
        by: Vec<String>,
    },
    /// Not ours: it stays as it is.
    Kept {
        /// Why, in words.
        why: String,
    },
}

/// Something that keeps a cluster from being used as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ailment {
    /// What is wrong, in words: ``container `demo-eu-worker` stands still``.
    pub what: String,
    /// What would help, in words that fit behind "to"; `None` when nothing would that loses nothing.
    #[serde(default)]
    pub cure: Option<String>,
    /// Nothing in the cluster can be relied on as long as it is so.
    #[serde(default)]
    pub lames: bool,
}

/// One thing found by the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// What it is, in the outside's own word: `vpc`, `load-balancer`.
    pub kind: String,
    /// The outside's own id.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// The cluster it was made for, when it says so.
    #[serde(default)]
    pub cluster: Option<String>,
    /// How long it has been going (or, when not going, existing), in milliseconds.
    #[serde(default)]
    pub age_ms: Option<u64>,
    /// What keeps it, each as `kind name`.
    #[serde(default)]
    pub blocked_by: Vec<String>,
}
