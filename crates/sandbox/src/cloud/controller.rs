//! What the controllers of a cluster ask for: load balancers of Services, volumes of claims.
//!
//! They are in no resource graph: nobody but the cloud's own lists knows of them once their cluster is gone.

use serde_json::json;

use super::{
    Cloud,
    acts::Create,
    refusal::Refusal,
    thing::{Kind, Phase, Thing},
};
use crate::{
    kube::store::Key,
    parts::{
        calls::Call,
        faults::{Point, Struck},
        tags::Tags,
    },
    play::around::CloudController,
};

/// The tags by which the controllers find what they made.
const CLUSTER: &str = "kubernetes.io/cluster-name";
const SERVICE: &str = "kubernetes.io/service-name";
const SERVICE_UID: &str = "kubernetes.io/service-uid";
const CLAIM: &str = "kubernetes.io/claim-name";
const CLAIM_UID: &str = "kubernetes.io/claim-uid";

impl CloudController for Cloud {
    fn ensure_load_balancer(&self, cluster: &str, service: &Key, uid: &str) -> Result<Vec<String>, String> {
        let there = match self.by_tag(SERVICE_UID, uid) {
            Some(thing) => thing,
            None => {
                let owner = self.cluster(cluster)?;
                let tags = tags_of(&owner, (SERVICE, service), (SERVICE_UID, uid));
                self.make(
                    Kind::LoadBalancer,
                    service,
                    uid,
                    &owner,
                    tags,
                    json!({ "network": owner.spec["network"] }),
                )?
            }
        };
        match &there.phase {
            Phase::Active => {
                let addresses = there.outputs["addresses"].as_array().into_iter().flatten();
                Ok(addresses.filter_map(|it| it.as_str().map(str::to_owned)).collect())
            }
            Phase::Failed(why) => Err(why.clone()),
            _ => Ok(Vec::new()),
        }
    }

    fn remove_load_balancer(&self, _cluster: &str, uid: &str) -> Result<bool, String> {
        match self.by_tag(SERVICE_UID, uid) {
            Some(thing) => self.unmake(&thing),
            None => Ok(true),
        }
    }

    fn ensure_volume(
        &self,
        cluster: &str,
        claim: &Key,
        uid: &str,
        bytes: u64,
    ) -> Result<Option<String>, String> {
        let there = match self.by_tag(CLAIM_UID, uid) {
            Some(thing) => thing,
            None => {
                let owner = self.cluster(cluster)?;
                let tags = tags_of(&owner, (CLAIM, claim), (CLAIM_UID, uid));
                self.make(Kind::Volume, claim, uid, &owner, tags, json!({ "bytes": bytes }))?
            }
        };
        match &there.phase {
            Phase::Active => Ok(Some(there.id)),
            Phase::Failed(why) => Err(why.clone()),
            _ => Ok(None),
        }
    }

    fn remove_volume(&self, _cluster: &str, handle: &str) -> Result<bool, String> {
        match self.at_now(|state, _| state.get(handle).cloned()) {
            Some(thing) if thing.kind == Kind::Volume => self.unmake(&thing),
            _ => Ok(true),
        }
    }
}

fn tags_of(cluster: &Thing, (key, about): (&str, &Key), (uid_key, uid): (&str, &str)) -> Tags {
    let mut tags: Tags = cluster.spec["controller_tags"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    tags.insert(CLUSTER.to_owned(), cluster.name.clone());
    tags.insert(key.to_owned(), format!("{}/{}", about.namespace, about.name));
    tags.insert(uid_key.to_owned(), uid.to_owned());
    tags
}

impl Cloud {
    /// A cluster by its id or its name.
    fn cluster(&self, cluster: &str) -> Result<Thing, String> {
        let found = self.at_now(|state, _| {
            let by_id = state.get(cluster).filter(|thing| thing.kind == Kind::Cluster);
            by_id.or_else(|| state.named(Kind::Cluster, cluster).next()).cloned()
        });
        found.ok_or_else(|| format!("this cloud has no cluster {cluster}"))
    }

    fn by_tag(&self, key: &str, value: &str) -> Option<Thing> {
        self.at_now(|state, _| state.tagged(key, value).cloned())
    }

    fn make(
        &self,
        kind: Kind,
        about: &Key,
        uid: &str,
        owner: &Thing,
        tags: Tags,
        spec: serde_json::Value,
    ) -> Result<Thing, String> {
        let stem: String = format!("k8s-{}-{}", about.namespace, about.name).chars().take(50).collect();
        let short: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let name = format!("{}-{short}", stem.replace('.', "-")).to_lowercase();
        let wanted = Create {
            name: name.clone(),
            region: Some(owner.region.clone()),
            tags,
            spec,
            client_token: Some(uid.to_owned()),
        };
        let id = self.asked("create", kind, &name, |struck| {
            self.at_now(|state, now| self.create(state, now, kind, wanted, struck))
                .map(|reply| reply.body["id"].as_str().unwrap_or_default().to_owned())
        })?;
        self.at_now(|state, _| state.get(&id).cloned())
            .ok_or_else(|| format!("{} {name} is gone again", kind.word()))
    }

    /// Removes it; whether it is gone.
    fn unmake(&self, thing: &Thing) -> Result<bool, String> {
        match &thing.phase {
            Phase::Deleting(_) | Phase::Creating(_) | Phase::Updating(_) => return Ok(false),
            Phase::Active | Phase::Failed(_) => {}
        }
        self.asked("delete", thing.kind, &thing.id, |struck| {
            self.at_now(|state, now| self.delete(state, now, thing.kind, &thing.id, struck)).map(drop)
        })?;
        Ok(self.at_now(|state, _| state.get(&thing.id).is_none()))
    }

    /// A call from within: written down, and struck by faults, as one from outside. There is no waiting in it: latency
    /// is left out.
    fn asked<T>(
        &self,
        verb: &str,
        kind: Kind,
        target: &str,
        act: impl FnOnce(&Struck) -> Result<T, Refusal>,
    ) -> Result<T, String> {
        let operation = format!("{verb}_{}", kind.word().replace('-', "_"));
        let struck = self.inner.faults.next(&Point { service: "cloud", operation: &operation, target });
        let reset = || "connection reset by peer".to_owned();
        let result = if struck.resets_before() {
            Err(reset())
        } else if let Some(refuses) = struck.refusal() {
            Err(Refusal::of_fault(&refuses).to_string())
        } else {
            act(&struck).map_err(|refusal| refusal.to_string())
        };
        self.inner.calls.record(Call {
            seq: 0,
            at: self.now(),
            service: "cloud".to_owned(),
            operation,
            target: target.to_owned(),
            outcome: if result.is_ok() { "done".to_owned() } else { "refused".to_owned() },
            changed: result.is_ok(),
            fault: struck.words(),
        });
        match result {
            Ok(_) if struck.resets_after() || struck.loses_reply() => Err(reset()),
            result => result,
        }
    }
}
