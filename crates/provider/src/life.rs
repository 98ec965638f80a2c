//! How long a cluster is to live, and what is found of clusters whose time is over.
//!
//! There is one number: **alive until**. Whatever is made for a cluster that is to end by itself bears it from its making
//! on, in a tag or label, next to who asked for it. Whoever still works with the cluster says so by moving the time
//! forward ([`Provider::prolong`](crate::Provider::prolong)): a heartbeat. What bears no such time is permanent, and no
//! sweep takes it unless a person names it.
//!
//! | what is asked for | what the things bear | who prolongs |
//! |---|---|---|
//! | `up` | nothing; on a cluster that has an end, that end | nobody; there, `up` while it runs past it |
//! | `up --ttl 60m` | now and 60 minutes | `up`, `down` and `resume`, while they run past that time |
//! | `ci nightly --ttl 60m` | now and [`GRACE`] | the runner, every [`BEAT`], until 60 minutes are over |
//!
//! Where a heartbeat lives is the provider's matter: a tag that is changed, an object that bears it in its name, a file on
//! the cluster's node. Changing it must never make a resource differ from what was asked.

use std::time::Duration;

use jiff::Timestamp;
pub use platform_spec::Life;
use platform_spec::{PlatformName, secret::SecretRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Owned;

/// The tag that says until when a thing is alive: RFC 3339, UTC, whole seconds (`2026-11-21T22:30:00Z`). An outside whose
/// tags cannot hold that uses what they can.
pub const ALIVE_UNTIL_TAG: &str = "platform.dev/alive-until";

/// The tag that says who asked for a thing that is to end by itself: `ci@runner-7`.
pub const MADE_FOR_TAG: &str = "platform.dev/made-for";

/// How often somebody who works with a cluster says so.
pub const BEAT: Duration = Duration::from_secs(5);

/// For how long a heartbeat holds: several may be lost to a busy machine, and who was killed is known to be gone within
/// a minute.
pub const GRACE: Duration = Duration::from_secs(30);

/// Where to look for what any platform has left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// The provider's name in the spec; its kind where there is no spec.
    pub provider: String,
    /// The provider's `config` section of the spec; `null` when there is none.
    #[serde(default)]
    pub config: Value,
    /// Where the provider's credentials can be read.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
}

/// What is out there of one cluster, or of a platform outside of its clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose it is.
    pub platform: PlatformName,
    /// Which cluster's; `None` for what belongs to the platform as a whole.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Who asked for it, when it says so.
    #[serde(default)]
    pub owner: Option<String>,
    /// Until when it is alive, the last heartbeat included: the latest time that any of it says. `None` when one of the
    /// resources that we made of it says none: a permanent cluster does not end because somebody added to it for an hour.
    #[serde(default)]
    pub alive_until: Option<Timestamp>,
    /// What there is, as [`Provider::list_owned`](crate::Provider::list_owned) lists it.
    pub things: Vec<Owned>,
}

/// One thing of a claim that is to be removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReapCall {
    /// Where it was found.
    pub search: SearchRequest,
    /// Whose it is.
    pub platform: PlatformName,
    /// Which cluster's.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The thing, as it was listed.
    pub thing: Owned,
}

impl Claim {
    /// A call to remove one of its things.
    pub fn reap(&self, search: &SearchRequest, thing: &Owned) -> ReapCall {
        ReapCall {
            search: search.clone(),
            platform: self.platform.clone(),
            cluster: self.cluster.clone(),
            thing: thing.clone(),
        }
    }
}
