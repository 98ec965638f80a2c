//! Rules as a file says them: YAML or JSON.
//!
//! ```yaml
//! faults:
//!   - service: cloud            # `*` stands for anything, also within a word; left out, it is `*`
//!     operation: create_cluster
//!     target: demo-*
//!     when: {nth: 2}            # nth, every, chance, after, until, times; left out: at every call
//!     do: {reset: after}        # latency, throttle, error (code, message), reset, lose_reply, slow, stuck, fail,
//!                               # capacity, quota, expired, skew, stale, machine
//! ```

use jiff::SignedDuration;
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};

use super::{Fault, Machine, Pattern, Rule, SERVICES, When};

/// A script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its rules.
    pub faults: Vec<Rule>,
}

/// Reads a script; `file` is its name for the messages.
///
/// # Errors
/// P0917, `config`, with the place as `FILE:LINE:COLUMN`, when it is no YAML or JSON, a word in it is unknown or a value
/// makes no sense.
pub fn read(file: &str, text: &str) -> Result<Script, Failure> {
    yaml_serde::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map_or_else(|| file.to_owned(), |place| format!("{file}:{}:{}", place.line(), place.column()));
        Failure::new(Code::new("P0917"), Class::Config, format!("could not read the fault script `{file}`"))
            .because(format!("{place}: {error}"))
            .hint("what may stand there: `platform explain P0917`")
    })
}

/// A rule as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    #[serde(default, skip_serializing_if = "Pattern::is_any")]
    service: Pattern,
    #[serde(default, skip_serializing_if = "Pattern::is_any")]
    operation: Pattern,
    #[serde(default, skip_serializing_if = "Pattern::is_any")]
    target: Pattern,
    #[serde(default, skip_serializing_if = "RawWhen::is_always")]
    when: RawWhen,
    r#do: Deeds,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWhen {
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

impl RawWhen {
    fn is_always(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deeds {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
    #[serde(skip_serializing_if = "is_false")]
    lose_reply: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Span>,
    #[serde(skip_serializing_if = "is_false")]
    stuck: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    capacity: bool,
    #[serde(skip_serializing_if = "is_false")]
    quota: bool,
    #[serde(skip_serializing_if = "is_false")]
    expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skew: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reset {
    Before,
    After,
}

/// A time as people write it: `250ms`, `2s`, `1h30m`; behind a `-` only where before and after make sense.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Span(
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")] SignedDuration,
);

impl Span {
    fn forward(self, key: &str) -> Result<SignedDuration, String> {
        if self.0.is_negative() { Err(format!("`{key}` cannot be negative")) } else { Ok(self.0) }
    }
}

impl TryFrom<RawRule> for Rule {
    type Error = String;

    fn try_from(raw: RawRule) -> Result<Self, String> {
        let service = raw.service.as_str();
        if !SERVICES.iter().any(|known| raw.service.fits(known)) {
            return Err(format!("`{service}` is no service: there are {}", SERVICES.join(", ")));
        }
        let faults = raw.r#do.faults()?;
        if faults.is_empty() {
            return Err("`do` says nothing that happens".to_owned());
        }
        let RawWhen { nth, every, chance, after, until, times } = raw.when;
        for (key, value) in [("nth", nth), ("every", every), ("times", times)] {
            if value == Some(0) {
                return Err(format!("`{key}` counts from 1"));
            }
        }
        if chance.is_some_and(|chance| !(chance > 0.0 && chance <= 1.0)) {
            return Err("`chance` is over 0 and at most 1".to_owned());
        }
        let after = after.map(|span| span.forward("after")).transpose()?;
        let until = until.map(|span| span.forward("until")).transpose()?;
        if until.is_some_and(|until| until <= after.unwrap_or_default()) {
            return Err("`until` is not later than `after`".to_owned());
        }
        Ok(Self {
            service: raw.service,
            operation: raw.operation,
            target: raw.target,
            when: When { nth, every, chance, after, until, times },
            faults,
        })
    }
}

impl Deeds {
    fn faults(self) -> Result<Vec<Fault>, String> {
        if self.error.is_none() && (self.code.is_some() || self.message.is_some()) {
            return Err("`code` and `message` are those of an `error`, which is missing".to_owned());
        }
        if self.error.is_some_and(|status| !(400..600).contains(&status)) {
            return Err("`error` is an HTTP status from 400 to 599".to_owned());
        }
        let forward = |key: &str, span: Option<Span>| span.map(|span| span.forward(key)).transpose();
        let reset = self.reset.map(|reset| match reset {
            Reset::Before => Fault::ResetBefore,
            Reset::After => Fault::ResetAfter,
        });
        let (code, message) = (self.code, self.message);
        let faults = [
            forward("latency", self.latency)?.map(Fault::Latency),
            forward("throttle", self.throttle)?.map(|retry_after| Fault::Throttle { retry_after }),
            self.error.map(|status| Fault::Error { status, code, message }),
            reset,
            self.lose_reply.then_some(Fault::LoseReply),
            forward("slow", self.slow)?.map(Fault::Slow),
            self.stuck.then_some(Fault::Stuck),
            self.fail.map(Fault::Fail),
            self.capacity.then_some(Fault::Capacity),
            self.quota.then_some(Fault::Quota),
            self.expired.then_some(Fault::Expired),
            self.skew.map(|span| Fault::Skew(span.0)),
            forward("stale", self.stale)?.map(Fault::Stale),
            self.machine.map(Fault::Machine),
        ];
        Ok(faults.into_iter().flatten().collect())
    }
}

impl From<Rule> for RawRule {
    fn from(rule: Rule) -> Self {
        let When { nth, every, chance, after, until, times } = rule.when;
        let mut deeds = Deeds::default();
        for fault in rule.faults {
            match fault {
                Fault::Latency(by) => deeds.latency = Some(Span(by)),
                Fault::Throttle { retry_after } => deeds.throttle = Some(Span(retry_after)),
                Fault::Error { status, code, message } => {
                    (deeds.error, deeds.code, deeds.message) = (Some(status), code, message);
                }
                Fault::ResetBefore => deeds.reset = Some(Reset::Before),
                Fault::ResetAfter => deeds.reset = Some(Reset::After),
                Fault::LoseReply => deeds.lose_reply = true,
                Fault::Slow(by) => deeds.slow = Some(Span(by)),
                Fault::Stuck => deeds.stuck = true,
                Fault::Fail(why) => deeds.fail = Some(why),
                Fault::Capacity => deeds.capacity = true,
                Fault::Quota => deeds.quota = true,
                Fault::Expired => deeds.expired = true,
                Fault::Skew(by) => deeds.skew = Some(Span(by)),
                Fault::Stale(by) => deeds.stale = Some(Span(by)),
                Fault::Machine(machine) => deeds.machine = Some(machine),
            }
        }
        Self {
            service: rule.service,
            operation: rule.operation,
            target: rule.target,
            when: RawWhen { nth, every, chance, after: after.map(Span), until: until.map(Span), times },
            r#do: deeds,
        }
    }
}
