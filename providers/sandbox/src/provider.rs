//! The contract's verbs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use platform_provider::{
    Access, Capabilities, Claim, ClusterRequest, Description, Ensured, InventoryRequest, Kubeconfig,
    Observation, Owned, Ownership, Provider, ReapCall, Removed, Resource, ResourceCall, SearchRequest,
    SecretString, Thing, Wait, ZoneAccess, ZoneRequest, progress, resource::CONTROL_PLANE,
};
use platform_spec::{Class, Code, Failure, report::Finding};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    ahead::Account,
    client::{Client, Seen, Sessions},
    find::{self, Found, find},
    graph::{Part, in_words},
    life,
    line::Connect,
    refusal::Refusal,
    wish::{Config, Wish},
};

/// The provider `sandbox`. What it keeps in memory are open connections; a new one on the same cloud does the same.
pub struct Sandbox {
    source: Arc<dyn Connect>,
    sessions: Sessions,
    /// Kubeconfigs that are good for a while, by the cluster's id and address.
    given: Mutex<BTreeMap<(String, String), Given>>,
}

/// A kubeconfig, as the cloud gave it.
#[derive(Clone)]
struct Given {
    access: Access,
    /// Until when it is given out again: half of its life is left then.
    until: Instant,
}

/// A call about one resource, read once.
struct About<'a> {
    call: &'a ResourceCall,
    wish: Wish<'a>,
    part: Part,
    client: Client<'a>,
}

impl Sandbox {
    /// A provider for the sandbox that `source` leads to. Nothing is asked of it before the first call.
    pub fn new(source: Arc<dyn Connect>) -> Self {
        Self { source, sessions: Sessions::default(), given: Mutex::default() }
    }

    async fn client(
        &self,
        cluster: &ClusterRequest,
        config: &Config,
        epoch: Option<u64>,
    ) -> Result<Client<'_>, Failure> {
        let fence = epoch.map(|epoch| format!("{};{epoch}", cluster.platform.as_str()));
        self.sessions.client(&*self.source, config, cluster.credentials.as_ref(), fence).await
    }

    async fn searching(&self, search: &SearchRequest) -> Result<Client<'_>, Failure> {
        let config = Config::read(&search.config)?;
        self.sessions.client(&*self.source, &config, search.credentials.as_ref(), None).await
    }

    /// A call that changes something carries the lease's epoch; one that looks does not.
    async fn about<'a>(&'a self, call: &'a ResourceCall, epoch: Option<u64>) -> Result<About<'a>, Failure> {
        let wish = Wish::read(&call.cluster)?;
        let part = wish.part(&call.resource)?;
        let client = self.client(&call.cluster, &wish.config, epoch).await?;
        Ok(About { call, wish, part, client })
    }
}

#[async_trait]
impl Provider for Sandbox {
    async fn describe(&self) -> Result<Description, Failure> {
        Ok(Description {
            kind: "sandbox".to_owned(),
            summary: "an emulated cloud on this machine, without account or network".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Capabilities {
                makes_clusters: true,
                load_balancer: true,
                dns_zones: vec!["sandbox".to_owned()],
                object_store: true,
                identity: Some("sandbox".to_owned()),
                checks_epochs: true,
                emulated: true,
                sweeps: true,
                self_contained: false,
                local_node_mib: NODE_MIB,
            },
            tools: Vec::new(),
            credentials: Vec::new(),
            config_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "url": { "type": "string", "description": "A sandbox elsewhere; with `caRef` and `credentialsRef`." },
                    "caRef": { "type": "string", "format": "secret-ref", "description": "Where the certificate of its authority is." },
                    "zones": { "type": "array", "items": { "type": "string" }, "description": "Zones for node pools, in the order in which they are tried." },
                    "ingressIp": { "type": "boolean", "description": "Reserve an address." },
                    "bucket": { "anyOf": [{ "type": "boolean" }, { "type": "string" }], "description": "Make a bucket; its name." },
                    "dnsZone": { "type": "string", "description": "Make a DNS zone." },
                },
            }),
        })
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        let wish = Wish::read(cluster)?;
        let client = self.client(cluster, &wish.config, None).await?;
        let deed = format!("could not look ahead for cluster `{}`", cluster.cluster);
        let looked = async {
            let account = account(&client).await?;
            let there = client.list("things", &wish.tag_search()).await?;
            Ok((account, there))
        };
        match looked.await {
            Ok((account, there)) => Ok(account.findings(&wish, &there)),
            // What logging in again would mend is found wrong; what could not be looked at is a failure.
            Err(refusal) => match Refusal::failed(refusal, &deed) {
                failure if failure.class == Class::AuthExpired => Ok(vec![failure.into()]),
                failure => Err(failure),
            },
        }
    }

    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        Ok(Wish::read(cluster)?.resources())
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        let about = self.about(call, None).await?;
        about.look().await.map_err(|refusal| refusal.failed(&about.deed("look at")))
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        let about = self.about(call, Some(call.epoch)).await?;
        about.make().await
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        let about = self.about(call, Some(call.epoch)).await?;
        about.take().await.map_err(|refusal| refusal.failed(&about.deed("remove")))
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        // Regions are no limits: what was made in a region that the spec has no more is found too.
        let config = Config::read(&owner.config)?;
        let client = self.sessions.client(&*self.source, &config, owner.credentials.as_ref(), None).await?;
        let deed = format!("could not list what belongs to platform `{}`", owner.platform.as_str());
        find::inventory(&client, owner).await.map_err(|refusal| refusal.failed(&deed))
    }

    async fn list_claims(&self, search: &SearchRequest) -> Result<Vec<Claim>, Failure> {
        let client = self.searching(search).await?;
        let deed = "could not list what belongs to any platform";
        find::claims(&client).await.map_err(|refusal| refusal.failed(deed))
    }

    async fn prolong(&self, cluster: &ClusterRequest, until: Timestamp) -> Result<bool, Failure> {
        let wish = Wish::read(cluster)?;
        let client = self.client(cluster, &wish.config, None).await?;
        let deed = format!("could not say that cluster `{}` is in use", cluster.cluster);
        life::prolong(&client, &wish, until).await.map_err(|refusal| refusal.failed(&deed))
    }

    async fn reap(&self, call: &ReapCall) -> Result<Removed, Failure> {
        let client = self.searching(&call.search).await?;
        let deed = format!("could not remove {} `{}` in the sandbox", call.thing.kind, call.thing.name);
        life::reap(&client, call).await.map_err(|refusal| refusal.failed(&deed))
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            kubeconfig: SecretString,
            expires_at: Timestamp,
        }
        let wish = Wish::read(cluster)?;
        let client = self.client(cluster, &wish.config, None).await?;
        let deed = format!("could not reach cluster `{}`", cluster.cluster);
        let found = find(&client, &wish, CONTROL_PLANE, &Part::ControlPlane).await;
        let found = found.map_err(|refusal| refusal.failed(&deed))?;
        let Some(Found { seen, .. }) = found.first() else {
            return Err(Failure::new(Code::new("P0203"), Class::NotFound, deed)
                .because(format!("the sandbox has no cluster `{}`", wish.stem()))
                .hint("make it: `platform up`"));
        };
        let now = Instant::now();
        let cluster = (seen.id.clone(), seen.outputs["endpoint"].to_string());
        if let Some(given) = self.given.lock().await.get(&cluster)
            && now < given.until
        {
            return Ok(given.access.clone());
        }
        let path = format!("/v1/clusters/{}/kubeconfig", seen.id);
        let given = client.ask(Method::POST, &path, &json!({ "ttl_s": KUBECONFIG_LASTS_S })).await;
        let given = given.map_err(|refusal| refusal.failed(&deed))?;
        // Without the error's own words: they may quote what they could not read.
        let given = Answer::deserialize(given).map_err(|_| {
            Failure::new(Code::new("P0203"), Class::Bug, deed).because("the answer has no kubeconfig")
        })?;
        let access = Access {
            kubeconfig: Kubeconfig::Value(given.kubeconfig),
            context: None,
            expires: Some(given.expires_at),
            inside: None,
        };
        let until = now + Duration::from_secs(KUBECONFIG_LASTS_S / 2);
        self.given.lock().await.insert(cluster, Given { access: access.clone(), until });
        Ok(access)
    }

    async fn zone(&self, request: &ZoneRequest) -> Result<ZoneAccess, Failure> {
        #[derive(Deserialize)]
        struct Given {
            server: String,
            key: String,
            algorithm: String,
            secret: SecretString,
        }
        let config = Config::read(&request.config)?;
        let client = self.sessions.client(&*self.source, &config, request.credentials.as_ref(), None).await?;
        let deed = format!("could not reach zone `{}`", request.zone);
        let zones = client.list("dns-zones", &[("name", &request.zone)]).await;
        let zones = zones.map_err(|refusal| refusal.failed(&deed))?;
        let Some(zone) = zones.first() else {
            return Err(Failure::new(Code::new("P0203"), Class::NotFound, deed)
                .because("the sandbox has no such zone")
                .hint(format!(
                    "have it made: `config: {{dnsZone: {}}}` at provider `{}`",
                    request.zone, request.provider
                )));
        };
        let given = client.ask(Method::GET, &format!("/v1/dns-zones/{}/key", zone.id), &Value::Null).await;
        let given = given.map_err(|refusal| refusal.failed(&deed))?;
        let given = Given::deserialize(given).map_err(|_| {
            Failure::new(Code::new("P0203"), Class::Bug, deed).because("the answer has no key")
        })?;
        Ok(ZoneAccess {
            server: given.server,
            key: given.key,
            algorithm: given.algorithm,
            secret: given.secret,
        })
    }
}

/// What an emulated node with its pods takes of the background process.
const NODE_MIB: u64 = 16;

/// How long a kubeconfig works: longer than a step, shorter than a working day.
const KUBECONFIG_LASTS_S: u64 = 3600;

async fn account(client: &Client<'_>) -> Result<Account, Refusal> {
    let answer = client.ask(Method::GET, "/v1/account", &Value::Null).await?;
    Account::deserialize(answer)
        .map_err(|error| Refusal::unexpected(format!("the account has another shape: {error}")))
}

impl About<'_> {
    fn deed(&self, verb: &str) -> String {
        format!(
            "could not {verb} `{}` of cluster `{}` in the sandbox",
            self.call.resource, self.call.cluster.cluster
        )
    }

    /// What stands for the resource. An operation that was recorded names the thing; without it, or when the thing is
    /// gone, it is searched for.
    async fn found(&self) -> Result<Vec<Found>, Refusal> {
        if let Some(id) = self.call.operation["id"].as_str() {
            match self.client.get(self.part.plural(), id).await {
                Ok(seen) => {
                    let ours = self.wish.is_ours(&seen.tags, &self.call.resource);
                    let ownership = if ours { Ownership::Owned } else { Ownership::Adopted };
                    return Ok(vec![Found { seen, ownership }]);
                }
                Err(refusal) if refusal.class == Class::NotFound => {}
                Err(refusal) => return Err(refusal),
            }
        }
        find(&self.client, &self.wish, &self.call.resource, &self.part).await
    }

    async fn look(&self) -> Result<Observation, Refusal> {
        let found = self.found().await?;
        let [Found { seen, ownership }] = found.as_slice() else {
            let ids: Vec<&str> = found.iter().map(|found| found.seen.id.as_str()).collect();
            return Ok(match ids.len() {
                0 => Observation::Absent,
                n => Observation::Broken { why: format!("there are {n} of it: {}", ids.join(", ")) },
            });
        };
        Ok(match seen.status.as_str() {
            "active" => Observation::Present {
                thing: thing(seen, *ownership),
                differs: self.differs(seen, *ownership),
            },
            "failed" => Observation::Broken { why: why(seen) },
            _ => Observation::InProgress(wait(seen)),
        })
    }

    /// What differs, of what is ours; what was there before us is taken as it is.
    fn differs(&self, seen: &Seen, ownership: Ownership) -> Option<String> {
        if ownership == Ownership::Adopted {
            return None;
        }
        let differences = self.wish.differences(&self.part, seen);
        (!differences.is_empty()).then(|| in_words(&differences, seen))
    }

    async fn make(&self) -> Result<Ensured, Failure> {
        let refused = |refusal: Refusal| refusal.failed(&self.deed("make"));
        let found = self.found().await.map_err(refused)?;
        let Found { seen, ownership } = match <[Found; 1]>::try_from(found) {
            Ok([found]) => found,
            Err(none) if none.is_empty() => {
                progress::say(&format!(
                    "making {} `{}`",
                    self.part.word(),
                    self.wish.name(&self.call.resource)
                ));
                let made = self.create().await?;
                return self.begun(made).map_err(refused);
            }
            Err(several) => {
                let ids: Vec<&str> = several.iter().map(|found| found.seen.id.as_str()).collect();
                return Err(Failure::new(Code::new("P0203"), Class::Config, self.deed("make"))
                    .because(format!("there are {} of it: {}", ids.len(), ids.join(", ")))
                    .hint("`platform down` removes all of them"));
            }
        };
        match seen.status.as_str() {
            "active" | "failed" => {}
            "deleting" => {
                return Err(Failure::new(Code::new("P0203"), Class::ConflictInProgress, self.deed("make"))
                    .because(format!("{} `{}` is being removed", seen.kind, seen.name)));
            }
            _ => return Ok(Ensured::InProgress(wait(&seen))),
        }
        let differences = match ownership {
            Ownership::Owned => self.wish.differences(&self.part, &seen),
            Ownership::Adopted => serde_json::Map::new(),
        };
        if seen.status == "active" && differences.is_empty() {
            return Ok(Ensured::Done { thing: thing(&seen, ownership), changed: false });
        }
        let changed = self.client.update(self.part.plural(), &seen.id, &differences.into()).await;
        self.begun(changed.map_err(refused)?).map_err(refused)
    }

    /// What a call that makes or changes has begun.
    fn begun(&self, seen: Seen) -> Result<Ensured, Refusal> {
        match seen.status.as_str() {
            "active" => Ok(Ensured::Done { thing: thing(&seen, Ownership::Owned), changed: true }),
            "failed" => Err(Refusal::of_operation(why(&seen))),
            _ => Ok(Ensured::InProgress(wait(&seen))),
        }
    }

    async fn create(&self) -> Result<Seen, Failure> {
        let refused = |refusal: Refusal| refusal.failed(&self.deed("make"));
        let ground = match self.part.ground() {
            Some((resource, _)) => Some(self.ground(resource).await?),
            None => None,
        };
        let zone = match self.part {
            Part::Pool(_) => Some(self.zone().await?),
            _ => None,
        };
        let body = json!({
            "name": self.wish.name(&self.call.resource),
            "region": self.call.cluster.region,
            "tags": self.wish.tags(&self.call.resource),
            "spec": self.wish.spec(&self.part, ground.as_deref(), zone.as_deref()),
            "client_token": self.call.token,
        });
        match self.client.create(self.part.plural(), &body).await {
            Ok(seen) => Ok(seen),
            // It is there, and the search did not see it yet: made by an earlier attempt, perhaps in another zone.
            Err(Refusal { existing: Some(id), .. }) => {
                let seen = self.client.get(self.part.plural(), &id).await.map_err(refused)?;
                if self.wish.is_ours(&seen.tags, &self.call.resource) {
                    return Ok(seen);
                }
                Err(Failure::new(Code::new("P0203"), Class::Config, self.deed("make"))
                    .because(format!(
                        "{} `{}` exists already and belongs to somebody else",
                        seen.kind, seen.name
                    ))
                    .hint("give the platform or the cluster another name, or remove what is in the way"))
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// The id of what the resource is made on: as the run knows it, or else as it is found.
    async fn ground(&self, resource: &str) -> Result<String, Failure> {
        if let Some(id) = self.call.outputs.get(resource).and_then(|output| output["id"].as_str()) {
            return Ok(id.to_owned());
        }
        let part = self.wish.part(resource)?;
        let found = find(&self.client, &self.wish, resource, &part).await;
        let found = found.map_err(|refusal| refusal.failed(&self.deed("make")))?;
        found.first().map(|found| found.seen.id.clone()).ok_or_else(|| {
            Failure::new(Code::new("P0203"), Class::Config, self.deed("make"))
                .because(format!("it needs `{resource}`, which is not there"))
        })
    }

    /// The zone of this attempt: each next one tries the next.
    async fn zone(&self) -> Result<String, Failure> {
        let account = account(&self.client).await.map_err(|refusal| refusal.failed(&self.deed("make")))?;
        let zones = account.zones(&self.wish)?;
        let at = usize::try_from(self.call.attempt.max(1) - 1).unwrap_or(0) % zones.len().max(1);
        zones.get(at).cloned().ok_or_else(|| self.wish.config.wrong("the region has no zones"))
    }

    async fn take(&self) -> Result<Removed, Refusal> {
        let mut removed = Removed::Done;
        for Found { seen, ownership } in self.found().await? {
            if ownership == Ownership::Adopted {
                return Ok(Removed::Kept {
                    why: format!("{} `{}` was there before us", seen.kind, seen.name),
                });
            }
            if seen.status == "deleting" {
                removed = Removed::InProgress(wait(&seen));
                continue;
            }
            match self.client.delete(self.part.plural(), &seen.id).await {
                Ok(None) => {}
                Ok(Some(going)) => removed = Removed::InProgress(wait(&going)),
                Err(refusal) if refusal.class == Class::NotFound => {}
                // Said by the thing's own users; a dependency that a fault made up comes as the failure it is.
                Err(refusal) if refusal.class == Class::DependencyViolation => {
                    return Ok(Removed::Blocked { by: refusal.blockers });
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(removed)
    }
}

fn thing(seen: &Seen, ownership: Ownership) -> Thing {
    let mut outputs = json!({ "id": seen.id, "name": seen.name, "region": seen.region });
    for key in ["zone", "size"] {
        if let Some(value) = seen.spec.get(key) {
            outputs[key] = value.clone();
        }
    }
    for (key, value) in seen.outputs.as_object().into_iter().flatten() {
        outputs[key] = value.clone();
    }
    Thing { external_id: seen.id.clone(), ownership, outputs }
}

fn why(seen: &Seen) -> String {
    let words = seen.status_message.as_deref().unwrap_or("the sandbox does not say why");
    format!("{} `{}` has failed: {words}", seen.kind, seen.name)
}

pub(crate) fn wait(seen: &Seen) -> Wait {
    let doing = match seen.status.as_str() {
        "creating" => "to be made",
        "deleting" => "to be gone",
        _ => "to be changed",
    };
    let (operation, percent, poll_after_ms) = match &seen.operation {
        Some(operation) => (operation.id.as_str(), operation.percent, operation.poll_after_ms),
        None => ("", 0, 1),
    };
    progress::say(&format!("{} `{}` is {}: {percent} %", seen.kind, seen.name, seen.status));
    Wait {
        operation: json!({ "id": seen.id, "operation": operation }),
        waiting_for: format!("{} `{}` {doing}", seen.kind, seen.name),
        poll_after_ms: poll_after_ms.max(1),
    }
}
