//! What preflight looks at: region, zones, version, networks that overlap, quota, room.

use std::collections::BTreeMap;

use ipnet::IpNet;
use platform_spec::{Class, Code, Failure, report::Finding};
use serde::Deserialize;

use crate::{client::Seen, graph::Part, wish::Wish};

/// What the account has and may have.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    quotas: Vec<Quota>,
    regions: Vec<Region>,
    versions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Quota {
    what: String,
    limit: u64,
    used: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Region {
    name: String,
    zones: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
struct Zone {
    name: String,
    /// Room for so many; `null` is no limit.
    nodes: Option<u64>,
    used: u64,
}

impl Account {
    /// The zones in which node pools are tried, in order.
    ///
    /// # Errors
    /// When the region has none of them.
    pub fn zones(&self, wish: &Wish<'_>) -> Result<Vec<String>, Failure> {
        let region = self.region(wish).ok_or_else(|| self.no_region(wish))?;
        let all: Vec<String> = region.zones.iter().map(|zone| zone.name.clone()).collect();
        if wish.config.zones.is_empty() {
            return Ok(all);
        }
        match wish.config.zones.iter().find(|zone| !all.contains(zone)) {
            Some(zone) => Err(wish.config.wrong(&format!(
                "region `{}` has no zone `{zone}`; it has {}",
                region.name,
                all.join(", ")
            ))),
            None => Ok(wish.config.zones.clone()),
        }
    }

    fn region(&self, wish: &Wish<'_>) -> Option<&Region> {
        match &wish.request.region {
            Some(name) => self.regions.iter().find(|region| region.name == *name),
            None => self.regions.first(),
        }
    }

    fn no_region(&self, wish: &Wish<'_>) -> Failure {
        let names: Vec<&str> = self.regions.iter().map(|region| region.name.as_str()).collect();
        let wanted = wish.request.region.as_deref().unwrap_or_default();
        refused(
            wish,
            Class::Config,
            format!("the sandbox has no region `{wanted}`; it has {}", names.join(", ")),
        )
    }

    /// Everything that is wrong with a wish; `there` is what of it exists already.
    pub fn findings(&self, wish: &Wish<'_>, there: &[Seen]) -> Vec<Finding> {
        let mut found: Vec<Failure> = Vec::new();
        match self.zones(wish) {
            Ok(zones) => found.extend(self.no_room(wish, there, &zones)),
            Err(failure) => found.push(failure),
        }
        found.extend(self.no_version(wish));
        found.extend(overlaps(wish));
        found.extend(self.no_quota(wish, there));
        found.into_iter().map(Finding::from).collect()
    }

    fn no_version(&self, wish: &Wish<'_>) -> Option<Failure> {
        let wanted = wish.request.kubernetes_version.as_ref()?;
        let known = |known: &String| wanted == known || wanted.starts_with(&format!("{known}."));
        (!self.versions.iter().any(known)).then(|| {
            let why = format!("the sandbox has no Kubernetes {wanted}; it has {}", self.versions.join(", "));
            refused(wish, Class::Config, why)
        })
    }

    fn no_quota(&self, wish: &Wish<'_>, there: &[Seen]) -> Vec<Failure> {
        let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, part) in wish.parts() {
            let seen = there.iter().find(|seen| wish.is_ours(&seen.tags, &id));
            if seen.is_none() {
                *wanted.entry(part.word()).or_default() += 1;
            }
            if let Part::Pool(pool) = &part {
                let has = seen.and_then(|seen| seen.spec["size"].as_u64()).unwrap_or(0);
                *wanted.entry("node").or_default() += u64::from(pool.size).saturating_sub(has);
            }
        }
        self.quotas
            .iter()
            .filter_map(|quota| {
                let more = wanted.get(quota.what.as_str()).copied().filter(|more| *more > 0)?;
                let free = quota.limit.saturating_sub(quota.used);
                (more > free).then(|| {
                    let why =
                        format!("it needs {more} more of `{}`, and the quota leaves {free}", quota.what);
                    refused(wish, Class::Quota, why)
                        .hint("ask for a higher quota, or remove what is not needed")
                })
            })
            .collect()
    }

    fn no_room(&self, wish: &Wish<'_>, there: &[Seen], zones: &[String]) -> Vec<Failure> {
        let all = || self.regions.iter().flat_map(|region| &region.zones);
        let room = |name: &String| {
            let zone = all().find(|zone| zone.name == *name)?;
            Some(zone.nodes?.saturating_sub(zone.used))
        };
        wish.pools
            .iter()
            .filter(|pool| !there.iter().any(|seen| wish.is_ours(&seen.tags, &format!("pool/{}", pool.name))))
            .filter(|pool| {
                zones.iter().all(|zone| room(zone).is_some_and(|room| room < u64::from(pool.size)))
            })
            .map(|pool| {
                let why = format!("no zone of {} has room for {} nodes now", zones.join(", "), pool.size);
                refused(wish, Class::Capacity, why).hint("wait, or make the pool smaller")
            })
            .collect()
    }
}

/// Networks of one cluster that overlap.
fn overlaps(wish: &Wish<'_>) -> Vec<Failure> {
    let named = [
        ("network.vpcCidr", &wish.network_cidr),
        ("kubernetes.podCidr", &wish.pod_cidr),
        ("kubernetes.serviceCidr", &wish.service_cidr),
    ];
    let nets: Vec<(&str, IpNet)> =
        named.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?.parse().ok()?))).collect();
    let mut found = Vec::new();
    for (at, (key, net)) in nets.iter().enumerate() {
        for (other, another) in &nets[..at] {
            if net.contains(&another.network()) || another.contains(&net.network()) {
                let why = format!("`{key}` {net} overlaps `{other}` {another}");
                found.push(refused(wish, Class::Config, why));
            }
        }
    }
    found
}

fn refused(wish: &Wish<'_>, class: Class, why: String) -> Failure {
    let deed = format!("cluster `{}` cannot be made in the sandbox", wish.request.cluster);
    Failure::new(Code::new("P0203"), class, deed).because(why)
}

#[cfg(test)]
mod tests {
    use platform_provider::ClusterRequest;
    use serde_json::json;

    use super::*;

    fn account() -> Account {
        let zone = |name: &str, room: u64| json!({ "name": name, "nodes": room, "used": 1 });
        Account::deserialize(json!({
            "quotas": [{ "what": "cluster", "limit": 3, "used": 3 }, { "what": "node", "limit": 9, "used": 5 }],
            "regions": [{ "name": "eu-1", "zones": [zone("eu-1-a", 2), zone("eu-1-b", 4)] }],
            "versions": ["1.35", "1.36"],
        }))
        .expect("an account")
    }

    fn findings(change: impl FnOnce(&mut ClusterRequest)) -> Vec<String> {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        change(&mut request);
        let wish = Wish::read(&request).expect("a good request");
        account().findings(&wish, &[]).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn everything_is_found_in_one_go() {
        let found = findings(|request| {
            request.kubernetes_version = Some("1.12".into());
            request.spec = json!({
                "nodes": { "workers": 5 },
                "network": { "vpcCidr": "10.0.0.0/8" }, "kubernetes": { "podCidr": "10.2.0.0/16" },
            });
        });
        let words = ["no zone of", "no Kubernetes 1.12", "overlaps", "more of `cluster`", "more of `node`"];
        assert_eq!(found.len(), words.len(), "{found:?}");
        for word in words {
            assert!(found.iter().any(|it| it.contains(word)), "`{word}` in {found:?}");
        }
    }

    #[test]
    fn places_that_are_not_there_are_named() {
        let region = findings(|request| request.region = Some("mars-1".into()));
        assert!(region[0].contains("has no region `mars-1`; it has eu-1"), "{region:?}");
        let zone = findings(|request| request.config = json!({ "zones": ["eu-1-z"] }));
        assert!(zone[0].contains("has no zone `eu-1-z`"), "{zone:?}");
    }
}
