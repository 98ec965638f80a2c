//! What goes wrong at a call of a provider, and when; for subjects that can do that.

use platform_spec::Class;
use serde::{Deserialize, Serialize};

/// Something that goes wrong at a call of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// At which calls.
    pub at: At,
    /// What happens there.
    pub what: What,
    /// How often it still happens; `None` means always.
    pub times: Option<u32>,
}

/// At which calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// At the nth call of the cloud's life, from 1.
    Call(u64),
    /// At calls of a verb; only about one resource when it is named.
    Verb(Verb, Option<String>),
    /// At every call.
    Any,
}

/// The verbs that reach the outside. (`describe` and `resources` are pure.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `preflight`
    Preflight,
    /// `observe`
    Observe,
    /// `ensure`
    Ensure,
    /// `remove`
    Remove,
    /// `list_owned`
    ListOwned,
    /// `access`
    Access,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Refused with this class; nothing was done.
    Refuse(Class),
    /// Done, and the reply is lost: the caller sees a `retryable` failure.
    LoseReply,
    /// Never answered; nothing was done.
    Hang,
    /// Done, and never answered.
    HangAfter,
    /// A transition begun by this call takes this much longer, in milliseconds.
    Slow(u64),
    /// A transition begun by this call ends in a thing that is broken, for this reason.
    EndBroken(String),
    /// Looking by tag or name finds nothing yet (eventual consistency); the client token works all the same.
    Stale,
    /// No room, until the attempt has this number.
    NoCapacityUntil(u32),
    /// The process that called is gone; nothing was done.
    Crash,
    /// Done, and the process that called is gone.
    CrashAfter,
}

impl Fault {
    /// Once, at the next call of `verb` about `resource`.
    pub fn on(verb: Verb, resource: &str, what: What) -> Self {
        Self { at: At::Verb(verb, Some(resource.to_owned())), what, times: Some(1) }
    }

    /// Once, at the next call of `verb`, whatever it is about.
    pub fn at_verb(verb: Verb, what: What) -> Self {
        Self { at: At::Verb(verb, None), what, times: Some(1) }
    }

    /// Once, at the nth call of the cloud's life (from 1).
    pub fn at_call(n: u64, what: What) -> Self {
        Self { at: At::Call(n), what, times: Some(1) }
    }

    /// So often.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Every time.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Whether it strikes at a call: its number, its verb, what it is about, and its attempt.
    pub fn strikes(&self, call: u64, verb: Verb, resource: &str, attempt: u32) -> bool {
        let here = match &self.at {
            At::Call(n) => *n == call,
            At::Verb(at, about) => *at == verb && about.as_deref().is_none_or(|about| about == resource),
            At::Any => true,
        };
        let open = !matches!(self.what, What::NoCapacityUntil(from) if attempt >= from);
        here && open && self.times != Some(0)
    }
}
