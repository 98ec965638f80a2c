//! The requirements' worked examples about the derived model that `fixtures.rs` does not tell: storage, add-ons, objectives,
//! tenants, schedules, and the variants of a fixture.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use platform_spec::{
    Model, derive, parse,
    platform::{cluster::Overlay, tenancy::Pattern},
};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/specs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn meaning(name: &str, text: &str) -> Model {
    match parse(name, text) {
        Ok(parsed) => derive(&parsed.platform),
        Err(findings) => panic!("{name}: {findings:#?}"),
    }
}

fn model(name: &str) -> Model {
    meaning(name, &read(name))
}

/// The text with one thing changed, everywhere.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the fixture lost `{from}`");
    text.replace(from, to)
}

const S0: &str = "s0-enterprise.yaml";
const S1: &str = "s1-multi-customer.yaml";
const S2: &str = "s2-agent-ready-k8s.yaml";
const S3: &str = "s3-saas-rollouts.yaml";
const S4: &str = "s4-opsera-mcp.yaml";

/// G-02: the same class on every overlay, and who makes its volumes on each.
#[test]
fn g02_every_overlay_has_the_class_standard() {
    let s3 = read(S3);
    let rows = [
        ("kind", "rancher.io/local-path"),
        ("aks", "disk.csi.azure.com"),
        ("eks", "ebs.csi.aws.com"),
        ("gke", "pd.csi.storage.gke.io"),
        ("onprem", "driver.longhorn.io"),
    ];
    for (overlay, provisioner) in rows {
        let text =
            changed(&s3, "      cell: prod\n", &format!("      cell: prod\n      overlay: {overlay}\n"));
        let classes = meaning(overlay, &text).storage_classes;
        let found: Vec<_> = classes.iter().map(|class| (&*class.name, &*class.provisioner)).collect();
        assert_eq!(found, [("standard", provisioner)], "{overlay}");
        assert_eq!(classes[0].annotations["storageclass.kubernetes.io/is-default-class"], "true");
    }
}

/// S2-16, S2-18, S2-19, S2-23: parameters of Longhorn, volumes of kind that backups see, and no second default.
#[test]
fn storage_classes_carry_what_their_cluster_needs() {
    let classes = model(S2).storage_classes;
    let of = |cluster: &str| classes.iter().find(|class| class.cluster == cluster).expect("a class");
    let longhorn = of("oci-prod");
    assert_eq!(longhorn.parameters["numberOfReplicas"], "2");
    assert_eq!(longhorn.parameters["staleReplicaTimeout"], "30");
    assert_eq!(of("agent-k8s-local").annotations["defaultVolumeType"], "local");
    assert_eq!(of("agent-k8s-local").replaces, [""; 0], "kind's own class is called `standard` too");
    assert_eq!(of("aks-dr").replaces, ["default"]);
}

/// A cluster that exists keeps the storage that it has.
#[test]
fn nothing_is_made_of_storage_that_nobody_speaks_of() {
    let starter = |kind| platform_spec::starter::starter(kind, std::path::Path::new("/var/lib/platform"));
    let existing = meaning("existing", &starter("existing").expect("there is one"));
    assert_eq!(existing.storage_classes, []);
    let sandbox = meaning("sandbox", &starter("sandbox").expect("there is one"));
    assert_eq!(sandbox.storage_classes.len(), 1);
}

/// G-05: pattern 11 gives each pair one name, with no environment in it.
#[test]
fn g05_pairs_alone_have_five_names() {
    let s1 = read(S1);
    let s1 = changed(&s1, "\"{tenant}-{app}-{env}\"", "\"{tenant}-{app}\"");
    let s1 = changed(&s1, "cells: [dev, staging, prod]", "cells: [prod]");
    let found = meaning(S1, &s1);
    let names: BTreeSet<_> = found.applications.iter().map(|application| &*application.name).collect();
    let expected = [
        "customer-01-product-a",
        "customer-01-product-b",
        "customer-02-product-a",
        "customer-03-product-a",
        "customer-03-product-c",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(found.applications.len(), 5);
    let namespaces: BTreeSet<_> = found.namespaces.iter().map(|namespace| &*namespace.name).collect();
    assert_eq!(namespaces, names);
}

/// G-04, S4-13: a quota in every namespace of every environment.
#[test]
fn g04_every_namespace_has_its_quota() {
    let namespaces = model(S4).namespaces;
    let quotas = namespaces.iter().filter(|namespace| namespace.quota["limits.memory"] == "16Gi");
    assert_eq!(quotas.count(), 12);
}

/// G-07, S4-10: the two regions of a shared host are recorded apart, and soon asked again.
#[test]
fn g07_shared_hosts_have_a_policy_and_a_short_memory() {
    let model = model(S4);
    assert!(model.dns_zones.iter().all(|zone| zone.ttl <= 60));
    assert_eq!(model.hosts.iter().filter(|host| host.policy.is_some()).count(), 6);
}

/// G-21: production waits for a person, the others do not.
#[test]
fn g21_only_production_is_synced_by_hand() {
    let found = model(S1).applications;
    let of = |auto: bool| {
        let own = found.iter().filter(|application| application.auto_sync == auto);
        own.map(|application| &*application.environment).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(true), BTreeSet::from(["dev", "staging"]));
    assert_eq!(of(false), BTreeSet::from(["prod"]));
}

/// G-24: S0-25 and S2-29.
#[test]
fn g24_schedules_are_as_the_systems_have_them() {
    let table = |name: &str| {
        let backup = model(name).backup.expect("backups");
        let rows = backup.schedules.into_iter().map(|said| (said.name, (said.cron, said.ttl.to_string())));
        rows.collect::<BTreeMap<_, _>>()
    };
    let row = |cron: &str, ttl: &str| (cron.to_owned(), ttl.to_owned());
    let s0 = table(S0);
    assert_eq!(s0["production-daily"], row("0 2 * * *", "720h"));
    assert_eq!(s0["gitops-hourly"], row("0 * * * *", "168h"));
    assert_eq!(s0["dedicated-4h"], row("0 */4 * * *", "2160h"));
    let s2 = table(S2);
    assert_eq!(s2["daily-full"], row("0 2 * * *", "168h"));
    assert_eq!((s0.len(), s2.len()), (3, 1));
    assert_eq!(model(S2).backup.expect("backups").schedules[0].include_cluster_resources, Some(true));
}

/// what is lost at worst, and by what it is saved.
#[test]
fn objectives_say_whether_they_can_be_met() {
    let rows = |name: &str| {
        let objectives = model(name).backup.expect("backups").objectives;
        let row = |said: platform_spec::model::Objective| {
            let loss = said.loss.map(|loss| loss.as_secs() / 60);
            (said.class, loss, said.saved_by.unwrap_or_default(), said.feasible)
        };
        objectives.into_iter().map(row).collect::<Vec<_>>()
    };
    let row = |class: &str, loss, by: &str, feasible| (class.to_owned(), Some(loss), by.to_owned(), feasible);
    assert_eq!(
        rows(S0),
        [
            row("database", 5, "`database.walArchiveMax`", true),
            row("stateless", 0, "Git", true),
            row("config", 0, "Git", true),
            row("tenant/hospital-001", 240, "the schedule `dedicated-4h`", true),
        ]
    );
    assert_eq!(rows(S3), [row("database", 1440, "the schedule `daily`", true)]);
}

/// S0-01: three ways of keeping tenants apart on one platform.
#[test]
fn tenants_are_kept_apart_each_in_its_way() {
    let found: Vec<_> = model(S0).tenants.into_iter().map(|it| (it.name, it.isolation)).collect();
    let expected = [
        ("tenant-a", Pattern::NamespacePerTenant),
        ("tenant-b", Pattern::NamespacePerTenant),
        ("tenant-c", Pattern::Shared),
        ("hospital-001", Pattern::ClusterPerTenant),
    ];
    assert_eq!(found, expected.map(|(name, pattern)| (name.to_owned(), pattern)));
}

/// S4-26: clusters for every tenant, and still one Argo CD.
#[test]
fn s4_alone_has_12_clusters_and_24_applications() {
    let model = model("s4-cluster-per-tenant.yaml");
    assert_eq!((model.clusters.len(), model.applications.len()), (12, 24));
    assert_eq!(model.argocd.instances.len(), 1);
    assert_eq!(model.argocd.instances[0].clusters.len(), 12);
    assert!(model.tenants.iter().all(|tenant| tenant.clusters.len() == 4));
    assert_eq!(model.hosts.len(), 18, "the same as on shared clusters");
}

/// S2-19 … S2-23, S4-20: what the catalogue knows of an overlay reaches clusters, under what the spec says.
#[test]
fn add_ons_follow_the_overlay_of_each_cluster() {
    let s0 = model(S0);
    let of = |model: &Model, name: &str| {
        let addon = model.addons.iter().find(|addon| addon.name == name).expect("the add-on");
        let row = |place: &platform_spec::model::AddonOnCluster| {
            (place.overlay, serde_json::Value::Object(place.values.clone()))
        };
        addon.clusters.iter().map(row).collect::<Vec<_>>()
    };
    let dns = of(&s0, "external-dns");
    assert_eq!(dns.len(), 5, "all but the one of kind");
    assert!(dns.contains(&(Overlay::Gke, serde_json::json!({"provider": "google"}))));
    assert!(dns.contains(&(Overlay::Eks, serde_json::json!({"provider": "aws"}))));
    let velero = s0.addons.iter().find(|addon| addon.name == "velero").expect("Velero");
    assert_eq!(velero.version.as_deref(), Some("1.18.3"));
    assert!(velero.crds && velero.source.is_some());
    let s4 = model(S4);
    let infra: usize =
        ["ingress", "cert-manager", "external-dns"].iter().map(|name| of(&s4, name).len()).sum();
    assert_eq!(infra, 12);
    let waves: BTreeMap<_, _> = s4.addons.iter().map(|addon| (&*addon.name, addon.wave)).collect();
    assert!(waves["cert-manager"] < waves["ingress"] && waves["external-secrets"] < waves["external-dns"]);
}

/// S4-23: America before Europe.
#[test]
fn s4_waves_go_region_by_region() {
    let waves: Vec<_> = model(S4).waves.into_iter().map(|it| (it.name, it.applications.len())).collect();
    let expected = [("dev", 6), ("stg", 6), ("prod-us", 6), ("prod-eu", 6)];
    assert_eq!(waves, expected.map(|(name, count)| (name.to_owned(), count)));
}
