//! A plan while it is being written.

use platform_engine::plan::{Plan, PlannedStep, Policy, Retry};
use platform_spec::{PlatformName, StepId};
use serde_json::{Value, json};

/// A plan while it is being written. Steps are added in the order a person would read them.
pub(crate) struct Draft {
    plan: Plan,
}

/// How long a step may take.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Usually, in milliseconds.
    pub typical_ms: u64,
    /// At most, waiting included, in milliseconds.
    pub deadline_ms: u64,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

impl Pace {
    /// A request or two.
    pub const QUICK: Self = Self { typical_ms: 2 * SECOND, deadline_ms: 5 * MINUTE };
    /// Controllers have to start or settle.
    pub const SETTLING: Self = Self { typical_ms: 60 * SECOND, deadline_ms: 15 * MINUTE };
    /// A whole platform has to be synced.
    pub const SYNC: Self = Self { typical_ms: 3 * MINUTE, deadline_ms: 30 * MINUTE };
}

/// How long one call into a step may take. A call makes a handful of requests, or one push of a repository.
const CALL_MS: u64 = 3 * MINUTE;

impl Draft {
    pub fn new(flow: &str, platform: &str, policy: Policy, spec_digest: &str, state_digest: &str) -> Self {
        Self {
            plan: Plan {
                flow: flow.to_owned(),
                platform: PlatformName::new(platform),
                policy,
                spec_digest: spec_digest.to_owned(),
                state_digest: state_digest.to_owned(),
                steps: Vec::new(),
            },
        }
    }

    /// Adds a step and gives its id, for those that need it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one line of a table of contents; a builder would hide what a step is"
    )]
    pub fn step(
        &mut self,
        id: String,
        title: impl Into<String>,
        uses: &str,
        needs: &[&StepId],
        pace: Pace,
        retry: Retry,
        input: Value,
    ) -> StepId {
        let id = StepId::new(id);
        self.plan.steps.push(PlannedStep {
            id: id.clone(),
            title: title.into(),
            uses: uses.to_owned(),
            version: 1,
            input,
            needs: needs.iter().map(|need| (*need).clone()).collect(),
            retry,
            deadline_ms: pace.deadline_ms,
            attempt_timeout_ms: CALL_MS,
            shares: Vec::new(),
            typical_ms: pace.typical_ms,
        });
        id
    }

    /// The last step takes a share of what has a limit.
    pub fn sharing(&mut self, shares: &[String]) {
        if let Some(step) = self.plan.steps.last_mut() {
            step.shares.extend_from_slice(shares);
        }
    }

    pub fn finish(self) -> Plan {
        self.plan
    }
}

/// A reference to a part of an earlier step's output.
pub(crate) fn from(step: &StepId, path: &str) -> Value {
    json!({ "$from": step, "path": path })
}
