//! ExternalDNS, once a Deployment of it is available: names of Services and Ingresses become records of the zones around
//! the cluster, each with a TXT record that says whose it is.
//!
//! It looks at once when something changes, and not only at its interval.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::SignedDuration;
use serde_json::Value;

use super::{Cluster, Controller, cron::go_duration};
use crate::{
    kube::{
        object::meta,
        store::{Change, Key},
    },
    zone::{RecordSet, Zones},
};

const DEPLOYMENTS: &str = "apps/deployments";
const SERVICES: &str = "/services";
const INGRESSES: &str = "networking.k8s.io/ingresses";

/// Seconds, for records that do not say.
const TTL: u32 = 300;

/// What annotations begin with.
const ANNOTATION: &str = "external-dns.alpha.kubernetes.io/";

/// ExternalDNS.
pub struct ExternalDns;

/// A name that is wanted, with its type.
type Wanted = BTreeMap<(String, String), Record>;

struct Record {
    ttl: u32,
    values: BTreeSet<String>,
    resource: String,
}

impl Controller for ExternalDns {
    fn watches(&self) -> &'static [&'static str] {
        &[DEPLOYMENTS, SERVICES, INGRESSES]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        if &*change.key.kind == DEPLOYMENTS {
            let is = change.after.as_deref().is_some_and(|it| container(it).is_some());
            return if is { vec![change.key.clone()] } else { Vec::new() };
        }
        let deployments = cluster.list(DEPLOYMENTS, None);
        let ours = deployments.iter().filter(|it| container(it).is_some());
        ours.map(|it| Cluster::key(DEPLOYMENTS, meta(it, "namespace"), meta(it, "name"))).collect()
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let deployment = cluster.get(key)?;
        let zones = cluster.around.zones.as_deref()?;
        if deployment["status"]["availableReplicas"].as_u64().unwrap_or(0) == 0 {
            return None;
        }
        let settings = Settings::of(container(&deployment)?);
        settings.synchronize(zones, settings.wanted(cluster));
        Some(settings.interval)
    }
}

/// The container that runs it.
fn container(deployment: &Value) -> Option<&Value> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    containers.iter().find(|it| {
        let image = it["image"].as_str().unwrap_or_default();
        image.split(['@', ':']).next().is_some_and(|image| image.ends_with("external-dns"))
    })
}

/// What its arguments say.
struct Settings {
    sources: Vec<String>,
    domains: Vec<String>,
    namespace: Option<String>,
    policy: String,
    registry: String,
    owner: String,
    prefix: String,
    suffix: String,
    interval: SignedDuration,
}

impl Settings {
    fn of(container: &Value) -> Self {
        let args = ["command", "args"].iter().flat_map(|it| container[*it].as_array().into_iter().flatten());
        let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for arg in args.filter_map(Value::as_str) {
            if let Some((name, value)) = arg.trim_start_matches('-').split_once('=') {
                given.entry(name).or_default().push(value);
            }
        }
        let all =
            |name: &str| given.get(name).into_iter().flatten().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let one = |name: &str, default: &str| all(name).pop().unwrap_or_else(|| default.to_owned());
        Self {
            sources: all("source"),
            domains: all("domain-filter").iter().flat_map(|it| it.split(',')).map(str::to_owned).collect(),
            namespace: all("namespace").pop().filter(|it| !it.is_empty()),
            policy: one("policy", "sync"),
            registry: one("registry", "txt"),
            owner: one("txt-owner-id", "default"),
            prefix: one("txt-prefix", ""),
            suffix: one("txt-suffix", ""),
            interval: go_duration(&one("interval", "1m")).unwrap_or(SignedDuration::from_mins(1)),
        }
    }

    fn has_domain(&self, name: &str) -> bool {
        let within = |domain: &String| {
            let domain = domain.trim_matches('.');
            name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        self.domains.is_empty() || self.domains.iter().any(within)
    }

    fn wanted(&self, cluster: &Cluster) -> Wanted {
        let mut wanted = Wanted::new();
        for (source, kind) in [("service", SERVICES), ("ingress", INGRESSES)] {
            if !self.sources.iter().any(|it| it == source) {
                continue;
            }
            for object in cluster.list(kind, self.namespace.as_deref()) {
                let annotation = |name: &str| {
                    object["metadata"]["annotations"][format!("{ANNOTATION}{name}")]
                        .as_str()
                        .unwrap_or_default()
                };
                let list = |text: &str| -> Vec<String> {
                    text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
                };
                let mut hosts = list(annotation("hostname"));
                if kind == INGRESSES {
                    let spec = &object["spec"];
                    let rules = spec["rules"].as_array().into_iter().flatten().map(|rule| &rule["host"]);
                    let tls = spec["tls"].as_array().into_iter().flatten();
                    let tls = tls.flat_map(|tls| tls["hosts"].as_array().into_iter().flatten());
                    hosts.extend(rules.chain(tls).filter_map(Value::as_str).map(str::to_owned));
                } else if object["spec"]["type"] != "LoadBalancer" {
                    continue;
                }
                let mut targets = list(annotation("target"));
                if targets.is_empty() {
                    let given = object["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
                    let given = given.filter_map(|it| it["ip"].as_str().or(it["hostname"].as_str()));
                    targets = given.map(str::to_owned).collect();
                }
                let ttl = annotation("ttl").parse().unwrap_or(TTL);
                let resource = format!("{source}/{}/{}", meta(&object, "namespace"), meta(&object, "name"));
                for host in hosts.iter().map(|host| host.trim_end_matches('.').to_lowercase()) {
                    for target in targets.iter().filter(|_| self.has_domain(&host)) {
                        let kind = match target.parse() {
                            Ok(IpAddr::V4(_)) => "A",
                            Ok(IpAddr::V6(_)) => "AAAA",
                            Err(_) => "CNAME",
                        };
                        let record = wanted.entry((host.clone(), kind.to_owned()));
                        let record = record.or_insert_with(|| Record {
                            ttl,
                            values: BTreeSet::new(),
                            resource: resource.clone(),
                        });
                        // Of two that want the same alias the first has it.
                        if kind != "CNAME" || record.values.is_empty() {
                            record.values.insert(target.clone());
                        }
                    }
                }
            }
        }
        wanted
    }

    /// The name of the TXT record that stands for another: its type comes first, then the name.
    fn label(&self, name: &str, kind: &str) -> String {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let kind = kind.to_lowercase();
        let (prefix, typed) = match self.prefix.contains("%{record_type}") {
            true => (self.prefix.replace("%{record_type}", &kind), String::new()),
            false => (self.prefix.clone(), format!("{kind}-")),
        };
        format!("{prefix}{typed}{first}{}.{rest}", self.suffix)
    }

    fn text(&self, resource: &str) -> String {
        format!("heritage=external-dns,external-dns/owner={},external-dns/resource={resource}", self.owner)
    }

    fn synchronize(&self, zones: &Zones, wanted: Wanted) {
        let zone_of = |name: &str| {
            let names = zones.list();
            let within = |zone: &&String| {
                name == zone.as_str()
                    || name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.'))
            };
            names.iter().filter(within).max_by_key(|zone| zone.len()).cloned()
        };
        let mut there: BTreeMap<(String, String), (String, RecordSet)> = BTreeMap::new();
        for zone in zones.list() {
            for set in zones.records(&zone).into_iter().flatten() {
                there.insert((set.name.clone(), set.kind.clone()), (zone.clone(), set));
            }
        }
        let noop = self.registry == "noop";
        let mark = format!("external-dns/owner={},", self.owner);
        let is_ours = |name: &str, kind: &str| {
            let text = there.get(&(self.label(name, kind), "TXT".to_owned()));
            text.is_some_and(|(_, set)| {
                set.values.iter().any(|it| it.contains("heritage=external-dns") && it.contains(&mark))
            })
        };
        let set = |zone: &str, name: &str, kind: &str, ttl: u32, values: Vec<String>| {
            let set = RecordSet { name: name.to_owned(), kind: kind.to_owned(), ttl, values };
            // What cannot stand there is tried again at the next interval, as it is there.
            zones.set(zone, &set).is_ok()
        };
        if self.policy == "sync" {
            for ((name, kind), (zone, old)) in &there {
                let managed = matches!(kind.as_str(), "A" | "AAAA" | "CNAME") && self.has_domain(name);
                if managed
                    && !wanted.contains_key(&(name.clone(), kind.clone()))
                    && (is_ours(name, kind) && !noop)
                {
                    set(zone, name, kind, old.ttl, Vec::new());
                    set(zone, &self.label(name, kind), "TXT", old.ttl, Vec::new());
                }
            }
        }
        for ((name, kind), record) in &wanted {
            let Some(zone) = zone_of(name) else { continue };
            let exists = there.contains_key(&(name.clone(), kind.clone()));
            if exists && (self.policy == "create-only" || !(noop || is_ours(name, kind))) {
                continue;
            }
            let values = record.values.iter().cloned().collect();
            if set(&zone, name, kind, record.ttl, values) && !noop {
                let text = self.text(&record.resource);
                set(&zone, &self.label(name, kind), "TXT", record.ttl, vec![text]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        kube::Api,
        play::{Players, around::Around},
        zone::{Settings as ZoneSettings, Zones},
    };

    fn site(args: &[&str]) -> (Players, Arc<Zones>) {
        let now: crate::kube::object::Now = Arc::new(|| Timestamp::UNIX_EPOCH);
        let zones = Arc::new(Zones::new(now.clone()));
        let foreign = RecordSet {
            name: "foreign.example.test".into(),
            kind: "A".into(),
            ttl: 60,
            values: vec!["198.51.100.1".into()],
        };
        zones.create("example.test", ZoneSettings::default(), &[foreign]).expect("made");
        let around = Around { zones: Some(zones.clone()), ..Around::default() };
        let cluster = Cluster { name: "one".into(), api: Api::new(now, 1), around };
        cluster.api.begin(6443);
        let container = json!({"name": "dns", "image": "registry.k8s.io/external-dns/external-dns:v0.20.0", "args": args});
        cluster
            .create(
                "test",
                DEPLOYMENTS,
                &json!({
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"namespace": "default", "name": "external-dns"},
                    "spec": {
                        "selector": {"matchLabels": {"a": "b"}},
                        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
                    },
                }),
            )
            .expect("made");
        let key = Cluster::key(DEPLOYMENTS, "default", "external-dns");
        cluster
            .change_status("test", &key, |it| it["status"]["availableReplicas"] = 1.into())
            .expect("changed");
        (Players::new(cluster, vec![Box::new(ExternalDns)]), zones)
    }

    fn service(players: &Players, name: &str, host: &str, address: &str) {
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "namespace": "default", "name": name,
                "annotations": {"external-dns.alpha.kubernetes.io/hostname": host},
            },
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        });
        players.cluster().create("test", SERVICES, &object).expect("made");
        let key = Cluster::key(SERVICES, "default", name);
        let status = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        players.cluster().change_status("test", &key, |it| it["status"] = status.clone()).expect("changed");
    }

    fn value(zones: &Zones, name: &str, kind: &str) -> Vec<String> {
        let all = zones.records("example.test").expect("there");
        all.into_iter().find(|it| it.name == name && it.kind == kind).map(|it| it.values).unwrap_or_default()
    }

    const ARGS: &[&str] =
        &["--source=service", "--source=ingress", "--txt-owner-id=one", "--domain-filter=example.test"];

    #[test]
    fn names_come_and_go_with_what_bears_them() {
        let (mut players, zones) = site(ARGS);
        service(&players, "web", "www.example.test,www.example.org", "192.0.2.1");
        service(&players, "thief", "foreign.example.test", "192.0.2.2");
        players.settle();
        assert_eq!(value(&zones, "www.example.test", "A"), ["192.0.2.1"]);
        assert_eq!(
            value(&zones, "a-www.example.test", "TXT"),
            ["\"heritage=external-dns,external-dns/owner=one,external-dns/resource=service/default/web\""]
        );
        assert_eq!(value(&zones, "foreign.example.test", "A"), ["198.51.100.1"], "it is somebody else's");
        players.cluster().delete("test", &Cluster::key(SERVICES, "default", "web")).expect("deleted");
        players.settle();
        assert!(value(&zones, "www.example.test", "A").is_empty());
        assert!(value(&zones, "a-www.example.test", "TXT").is_empty());
    }

    #[test]
    fn what_may_only_be_added_stays() {
        let (mut players, zones) = site(&[ARGS, &["--policy=upsert-only"]].concat());
        service(&players, "web", "www.example.test", "192.0.2.1");
        players.settle();
        players.cluster().delete("test", &Cluster::key(SERVICES, "default", "web")).expect("deleted");
        players.settle();
        assert_eq!(value(&zones, "www.example.test", "A"), ["192.0.2.1"]);
    }

    #[test]
    fn an_ingress_has_the_names_of_its_rules() {
        let (mut players, zones) = site(ARGS);
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"namespace": "default", "name": "web"},
            "spec": {"rules": [{"host": "app.example.test"}]},
        });
        players.cluster().create("test", INGRESSES, &object).expect("made");
        players.settle();
        assert!(value(&zones, "app.example.test", "CNAME").is_empty(), "it has no address yet");
        let key = Cluster::key(INGRESSES, "default", "web");
        let status = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}});
        players.cluster().change_status("test", &key, |it| it["status"] = status.clone()).expect("changed");
        players.settle();
        assert_eq!(value(&zones, "app.example.test", "CNAME"), ["lb.example.org."]);
        assert_eq!(value(&zones, "cname-app.example.test", "TXT").len(), 1);
    }
}
