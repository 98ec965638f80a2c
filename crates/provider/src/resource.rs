//! The graph of what a cluster is made of.

use std::collections::BTreeMap;

use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};

/// The resource that every cluster has: its Kubernetes API.
pub const CONTROL_PLANE: &str = "control-plane";

/// One part of a cluster, treated on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// `network`, `control-plane`, `pool/default`, `addon/ebs-csi`: lower-case labels with `/` between them, so that it
    /// can be part of a step's id.
    pub id: String,
    /// What a person reads: `EKS control plane 1.36`.
    pub title: String,
    /// Ids of resources that must be there before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How long it usually takes to make, in milliseconds; for estimates only.
    #[serde(default)]
    pub typical_ms: u64,
    /// How failures are met.
    pub retry: Retry,
    /// How long making it may take in all, waiting included, in milliseconds.
    pub deadline_ms: u64,
    /// How long one call may take, in milliseconds.
    #[serde(default = "default_call_ms")]
    pub call_timeout_ms: u64,
    /// What a call takes a share of, for limits: `account:1234`.
    #[serde(default)]
    pub shares: Vec<String>,
}

/// No call blocks on a long operation, so a minute is long already; it leaves room for a cloud's own retries.
fn default_call_ms() -> u64 {
    60_000
}

/// How failures of a resource are met; the engine's retry classes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// None: it is deterministic.
    R0,
    /// Transient trouble, a few attempts.
    R1,
    /// Converge: an operation once begun is polled until the deadline and never begun again.
    R2,
    /// Capacity: tried for hours, and the attempt number rotates the zone.
    R3,
    /// A person decides.
    R4,
    /// Destructive: each attempt looks anew and needs confirmation.
    R5,
}

impl Resource {
    /// A resource with a minute per call, an hour in all, and no needs.
    pub fn new(id: &str, title: &str, retry: Retry) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            needs: Vec::new(),
            typical_ms: 0,
            retry,
            deadline_ms: 3_600_000,
            call_timeout_ms: default_call_ms(),
            shares: Vec::new(),
        }
    }

    /// Names what must be there before.
    #[must_use]
    pub fn needs(mut self, ids: &[&str]) -> Self {
        self.needs.extend(ids.iter().map(|id| (*id).to_owned()));
        self
    }

    /// Says how long it usually takes and how long it may take, in milliseconds.
    #[must_use]
    pub fn takes(mut self, typical_ms: u64, deadline_ms: u64) -> Self {
        self.typical_ms = typical_ms;
        self.deadline_ms = deadline_ms;
        self
    }
}

/// The resources in an order in which each comes after what it needs; among equals the provider's own order is kept.
/// Backwards it is the order of removing.
///
/// # Errors
/// A `bug` of `provider` (P0209): a bad or repeated id, an unknown need, a cycle, no `control-plane`.
pub fn order<'a>(provider: &str, resources: &'a [Resource]) -> Result<Vec<&'a Resource>, Failure> {
    let bad = |why: String| {
        Failure::new(
            Code::new("P0209"),
            Class::Bug,
            format!("could not order the resources that provider `{provider}` declares"),
        )
        .because(why)
        .hint(format!("report this to the makers of the provider `{provider}`"))
    };
    let mut by_id = BTreeMap::new();
    for resource in resources {
        if !is_id(&resource.id) {
            return Err(bad(format!(
                "`{}` is no resource id: lower-case labels with `/` between them",
                resource.id
            )));
        }
        if by_id.insert(resource.id.as_str(), resource).is_some() {
            return Err(bad(format!("`{}` is declared twice", resource.id)));
        }
    }
    if !by_id.contains_key(CONTROL_PLANE) {
        return Err(bad(format!("there is no `{CONTROL_PLANE}`")));
    }
    for resource in resources {
        if let Some(need) = resource.needs.iter().find(|need| !by_id.contains_key(need.as_str())) {
            return Err(bad(format!("`{}` needs `{need}`, which is not declared", resource.id)));
        }
    }
    let mut waiting: Vec<&Resource> = resources.iter().collect();
    let mut ordered: Vec<&Resource> = Vec::with_capacity(resources.len());
    while !waiting.is_empty() {
        let free = waiting
            .iter()
            .position(|r| r.needs.iter().all(|need| ordered.iter().any(|done| done.id == *need)))
            .ok_or_else(|| {
                let ids: Vec<&str> = waiting.iter().map(|r| r.id.as_str()).collect();
                bad(format!("these need one another in a circle: {}", ids.join(", ")))
            })?;
        ordered.push(waiting.remove(free));
    }
    Ok(ordered)
}

fn is_id(text: &str) -> bool {
    text.split('/').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(ordered: &[&Resource]) -> Vec<String> {
        ordered.iter().map(|r| r.id.clone()).collect()
    }

    #[test]
    fn needs_come_first_and_the_own_order_is_kept() {
        let declared = [
            Resource::new("pool/default", "", Retry::R2).needs(&["control-plane"]),
            Resource::new("control-plane", "", Retry::R2).needs(&["network"]),
            Resource::new("network", "", Retry::R2),
            Resource::new("bucket", "", Retry::R1),
        ];
        let ordered = order("p", &declared).expect("a good graph");
        assert_eq!(ids(&ordered), ["network", "control-plane", "pool/default", "bucket"]);
    }

    #[test]
    fn bad_graphs_are_bugs_of_the_provider_and_say_why() {
        let cp = || Resource::new("control-plane", "", Retry::R2);
        let cases = [
            (vec![], "there is no `control-plane`"),
            (vec![cp(), cp()], "declared twice"),
            (vec![cp().needs(&["network"])], "needs `network`, which is not declared"),
            (vec![cp().needs(&["control-plane"])], "in a circle: control-plane"),
            (vec![cp(), Resource::new("Pool One", "", Retry::R2)], "is no resource id"),
        ];
        for (declared, want) in cases {
            let failure = order("acme", &declared).expect_err(want);
            assert_eq!(failure.class, Class::Bug);
            assert!(failure.message.contains("acme"), "{}", failure.message);
            assert!(failure.causes[0].contains(want), "{:?} should say {want}", failure.causes);
        }
    }

    proptest! {
        #[test]
        fn any_graph_without_a_cycle_is_ordered(edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40)) {
            let mut declared: Vec<Resource> =
                (0..12).map(|i| Resource::new(&format!("r{i}"), "", Retry::R1)).collect();
            for (a, b) in edges {
                // Edges point to smaller numbers only, so there is no cycle.
                if b < a {
                    declared[a].needs.push(format!("r{b}"));
                }
            }
            declared.reverse();
            declared.push(Resource::new(CONTROL_PLANE, "", Retry::R2));
            let ordered = ids(&order("p", &declared).expect("no cycle"));
            prop_assert_eq!(ordered.len(), declared.len());
            for resource in &declared {
                let place = |id: &String| ordered.iter().position(|o| o == id);
                for need in &resource.needs {
                    prop_assert!(place(need) < place(&resource.id));
                }
            }
        }
    }
}
