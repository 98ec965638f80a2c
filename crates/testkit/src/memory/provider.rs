//! The provider of the in-memory cloud.

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};
use platform_provider::{
    Access, Capabilities, Claim, ClusterRequest, Description, Ensured, InventoryRequest, Kubeconfig,
    Observation, Owned, Provider, ReapCall, Removed, Resource, ResourceCall, SearchRequest, SecretString,
    resource::CONTROL_PLANE,
};
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
};
use serde_json::Value;

use super::{
    Verb, What,
    acts::{CLUSTER_TAG, Struck, find, graph, inventory, look, make, refusal, take},
    cloud::{CallRecord, MemoryCloud, Phase, State},
    lives,
};

/// The provider of a [`MemoryCloud`]. Remembers nothing itself: a new one on the same cloud is a restarted process.
#[derive(Clone)]
pub struct MemoryProvider {
    cloud: MemoryCloud,
}

/// What a call is about, for the log and the faults.
struct About<'a> {
    verb: Verb,
    cluster: &'a str,
    resource: &'a str,
    token: &'a str,
    attempt: u32,
}

impl MemoryProvider {
    /// A provider on a cloud.
    pub fn new(cloud: &MemoryCloud) -> Self {
        Self { cloud: cloud.clone() }
    }

    /// One call: log, fault before, effect, fault after.
    async fn call<T>(
        &self,
        about: About<'_>,
        effect: impl FnOnce(&mut State, i64, &Struck) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let record = CallRecord {
            n: 0,
            verb: about.verb,
            cluster: about.cluster.to_owned(),
            resource: about.resource.to_owned(),
            token: about.token.to_owned(),
            attempt: about.attempt,
            changed: false,
        };
        let (n, what) = self.cloud.with(|state, _| state.enter(record));
        let what_it_did = format!("could not {} `{}`", word(about.verb), about.resource);
        let refuse = |class| Err(refusal(class, &what_it_did));
        let mut struck = Struck { n, stale: false, slower_ms: 0, breaks: None };
        match &what {
            Some(What::Refuse(class)) => return refuse(*class),
            Some(What::NoCapacityUntil(_)) => return refuse(Class::Capacity),
            Some(What::Hang) => std::future::pending::<()>().await,
            Some(What::Crash) => self.cloud.crash(),
            Some(What::Stale) => struck.stale = true,
            Some(What::Slow(ms)) => struck.slower_ms = *ms,
            Some(What::EndBroken(why)) => struck.breaks = Some(why.clone()),
            Some(What::LoseReply | What::HangAfter | What::CrashAfter) | None => {}
        }
        let result = self.cloud.with(|state, now| effect(state, now, &struck));
        match &what {
            Some(What::LoseReply) => refuse(Class::Retryable),
            Some(What::HangAfter) => std::future::pending().await,
            Some(What::CrashAfter) => {
                self.cloud.crash();
                result
            }
            _ => result,
        }
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Preflight => "look ahead for",
        Verb::Observe => "look at",
        Verb::Ensure => "make",
        Verb::Remove => "remove",
        Verb::ListOwned => "list what belongs to",
        Verb::Access => "reach",
    }
}

fn about<'a>(verb: Verb, call: &'a ResourceCall) -> About<'a> {
    let ResourceCall { cluster, resource, token, attempt, .. } = call;
    About { verb, cluster: &cluster.cluster, resource, token, attempt: *attempt }
}

fn about_cluster(verb: Verb, cluster: &str) -> About<'_> {
    About { verb, cluster, resource: "", token: "", attempt: 1 }
}

#[async_trait]
impl Provider for MemoryProvider {
    async fn describe(&self) -> Result<Description, Failure> {
        Ok(Description {
            kind: "memory".to_owned(),
            summary: "a cloud in memory, for tests".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Capabilities {
                makes_clusters: true,
                load_balancer: true,
                checks_epochs: true,
                sweeps: true,
                ..Capabilities::default()
            },
            tools: Vec::new(),
            credentials: Vec::new(),
            config_schema: Value::Null,
        })
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        self.call(about_cluster(Verb::Preflight, &cluster.cluster), |state, _, _| {
            let wanted = graph().len() as u64;
            let free = state.quota.map(|quota| quota.saturating_sub(state.objects.len() as u64));
            let exists = state.objects.values().any(|o| o.tags.get(CLUSTER_TAG) == Some(&cluster.cluster));
            Ok(free
                .filter(|free| *free < wanted && !exists)
                .map(|free| Finding {
                    code: Code::new("P0203"),
                    severity: Severity::Error,
                    class: Some(Class::Quota),
                    message: format!(
                        "cluster `{}` needs {wanted} objects, the quota leaves {free}",
                        cluster.cluster
                    ),
                    hint: Some("ask for a higher limit".to_owned()),
                    file: None,
                    line: None,
                    column: None,
                    path: None,
                })
                .into_iter()
                .collect())
        })
        .await
    }

    async fn resources(&self, _cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        Ok(graph())
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        self.call(about(Verb::Observe, call), |state, now, struck| Ok(look(state, now, call, struck))).await
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        platform_provider::progress::say(&format!("making `{}`", call.resource));
        self.call(about(Verb::Ensure, call), |state, now, struck| make(state, now, call, struck)).await
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        self.call(about(Verb::Remove, call), |state, now, struck| take(state, now, call, struck)).await
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        let cluster = owner.cluster.as_deref().unwrap_or_default();
        self.call(about_cluster(Verb::ListOwned, cluster), |state, now, _| Ok(inventory(state, now, owner)))
            .await
    }

    async fn list_claims(&self, search: &SearchRequest) -> Result<Vec<Claim>, Failure> {
        self.call(about_cluster(Verb::ListOwned, ""), |state, now, _| {
            Ok(lives::claims(state, now, &search.provider))
        })
        .await
    }

    async fn prolong(&self, cluster: &ClusterRequest, until: Timestamp) -> Result<bool, Failure> {
        Ok(self.cloud.with(|state, _| lives::prolong(state, cluster, until)))
    }

    async fn reap(&self, call: &ReapCall) -> Result<Removed, Failure> {
        Ok(self.cloud.with(|state, now| lives::reap(state, now, call)))
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        self.call(about_cluster(Verb::Access, &cluster.cluster), |state, now, _| {
            let platform = cluster.platform.as_str();
            if !find(state, platform, &cluster.cluster, CONTROL_PLANE).iter().any(|o| o.phase == Phase::Ready)
            {
                return Err(refusal(
                    Class::NotFound,
                    &format!("could not reach cluster `{}`", cluster.cluster),
                ));
            }
            let yaml = state
                .kubeconfigs
                .get(&cluster.cluster)
                .cloned()
                .unwrap_or_else(|| kubeconfig(&cluster.cluster));
            let now = Timestamp::from_millisecond(now).ok();
            Ok(Access {
                kubeconfig: Kubeconfig::Value(SecretString::from(yaml)),
                context: None,
                expires: now.and_then(|now| now.checked_add(1.hour()).ok()),
                inside: None,
            })
        })
        .await
    }
}

/// A kubeconfig that leads nowhere; its token is a bait for tests that look for leaks.
fn kubeconfig(cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n\
         clusters:\n- name: {cluster}\n  cluster: {{server: 'https://{cluster}.memory.invalid'}}\n\
         contexts:\n- name: {cluster}\n  context: {{cluster: {cluster}, user: {cluster}}}\n\
         users:\n- name: {cluster}\n  user: {{token: memory-token-of-{cluster}}}\n"
    )
}
