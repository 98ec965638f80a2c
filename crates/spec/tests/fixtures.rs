//! The five seed systems parse, validate, and mean what the requirements say they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use platform_spec::{Model, derive, parse};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/specs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn model(name: &str) -> Model {
    match parse(name, &read(name)) {
        Ok(parsed) => derive(&parsed.platform),
        Err(findings) => panic!("{name}: {findings:#?}"),
    }
}

const S0: &str = "s0-enterprise.yaml";
const S1: &str = "s1-multi-customer.yaml";
const S2: &str = "s2-agent-ready-k8s.yaml";
const S3: &str = "s3-saas-rollouts.yaml";
const S4: &str = "s4-opsera-mcp.yaml";

fn names(model: &Model) -> BTreeSet<&str> {
    model.applications.iter().map(|application| application.name.as_str()).collect()
}

/// every seed's spec validates.
#[test]
fn all_five_validate() {
    for name in [S0, S1, S2, S3, S4] {
        model(name);
    }
}

/// the same spec gives the same model, byte for byte, and a comment is no change.
#[test]
fn deriving_is_deterministic() {
    for name in [S0, S1, S2, S3, S4] {
        let again = format!("# a comment\n{}", read(name));
        let again = derive(&parse(name, &again).expect("valid").platform);
        assert_eq!(
            serde_json::to_string(&model(name)).expect("json"),
            serde_json::to_string(&again).expect("json")
        );
    }
}

/// The schema is a schema, and what the parser accepts satisfies it in the eyes of an independent validator.
#[test]
fn the_schema_is_valid_and_accepts_what_the_parser_accepts() {
    let schema = platform_spec::schema::schema();
    jsonschema::draft202012::meta::validate(schema).expect("a valid schema");
    let validator = jsonschema::validator_for(schema).expect("a usable schema");
    for name in [S0, S1, S2, S3, S4] {
        let platform =
            serde_json::to_value(&parse(name, &read(name)).expect("valid").platform).expect("json");
        let errors: Vec<String> = validator
            .iter_errors(&platform)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{name}");
    }
}

/// What is written out again (as JSON, which is YAML too) reads as the same spec.
#[test]
fn a_spec_survives_being_written_and_read() {
    for name in [S0, S1, S2, S3, S4] {
        let platform = parse(name, &read(name)).expect("valid").platform;
        let text = serde_json::to_string_pretty(&platform).expect("json");
        match parse("again.json", &text) {
            Ok(again) => assert_eq!(again.platform, platform, "{name}"),
            Err(findings) => panic!("{name}: {findings:#?}"),
        }
    }
}

/// A model survives JSON, since that is how it reaches blueprints.
#[test]
fn a_model_survives_json() {
    let model = model(S0);
    let text = serde_json::to_string(&model).expect("json");
    assert_eq!(serde_json::from_str::<Model>(&text).expect("json"), model);
}

/// G-03: 24 applications from explicit pairs, not from a product of sets.
#[test]
fn s4_has_24_applications() {
    let model = model(S4);
    let mut expected = BTreeSet::new();
    for (tenant, apps) in [("a", 3), ("b", 2), ("c", 1)] {
        for app in 1..=apps {
            for cell in ["dev", "stg", "prod-ue", "prod-eu"] {
                expected.insert(format!("tenant-{tenant}-app{app}-{cell}"));
            }
        }
    }
    assert_eq!(expected.len(), 24);
    assert_eq!(names(&model), expected.iter().map(String::as_str).collect());
}

/// G-04: 9 namespace names, 12 pairs of cluster and namespace.
#[test]
fn s4_has_9_namespaces_on_12_places() {
    let model = model(S4);
    let pairs: BTreeSet<_> = model.namespaces.iter().map(|ns| (&ns.cluster, &ns.name)).collect();
    let names: BTreeSet<_> = model.namespaces.iter().map(|ns| &ns.name).collect();
    assert_eq!((names.len(), pairs.len()), (9, 12));
    let dev = model.namespaces.iter().find(|ns| ns.name == "tenant-a-dev").expect("tenant-a-dev");
    assert_eq!(dev.quota["requests.cpu"], "4");
    assert_eq!(dev.labels["opsera.io/tenant"], "tenant-a");
}

/// G-07: 18 hosts; the 6 of production are served by two cells each.
#[test]
fn s4_has_18_hosts_of_which_6_are_shared() {
    let model = model(S4);
    assert_eq!(model.hosts.len(), 18);
    let shared: Vec<_> = model.hosts.iter().filter(|host| host.cells.len() == 2).collect();
    assert_eq!(shared.len(), 6);
    assert!(shared.iter().all(|host| host.cells == ["prod-ue", "prod-eu"] && host.policy.is_some()));
    assert!(model.hosts.iter().any(|host| host.name == "app-a1-dev.agent.opsera.io"));
    assert!(model.hosts.iter().any(|host| host.name == "app-a1.agent.opsera.io"));
}

/// G-06: pattern 12, customers × environments; the disabled product is absent.
#[test]
fn s1_has_15_applications() {
    let model = model(S1);
    let mut expected = BTreeSet::new();
    for pair in ["01-product-a", "01-product-b", "02-product-a", "03-product-a", "03-product-c"] {
        for env in ["dev", "staging", "prod"] {
            expected.insert(format!("customer-{pair}-{env}"));
        }
    }
    assert_eq!(names(&model), expected.iter().map(String::as_str).collect());
}

/// G-05: pattern 11 names are the pairs alone.
#[test]
fn s1_has_5_pairs() {
    let model = model(S1);
    let pairs: BTreeSet<String> = model
        .applications
        .iter()
        .map(|application| {
            format!("{}-{}", application.tenant.as_deref().unwrap_or_default(), application.app)
        })
        .collect();
    let expected = ["01-product-a", "01-product-b", "02-product-a", "03-product-a", "03-product-c"];
    assert_eq!(pairs, expected.into_iter().map(|pair| format!("customer-{pair}")).collect());
}

/// G-01 on the fixture, and A-12: manifests get the URL that pods can reach.
#[test]
fn s1_values_are_merged_in_order_and_urls_are_reachable() {
    let model = model(S1);
    let prod = model.applications.iter().find(|app| app.name == "customer-01-product-a-prod").expect("app");
    assert_eq!(
        serde_json::Value::Object(prod.values.clone()),
        serde_json::json!({"replicaCount": 5, "cpu": "500m", "memory": "512Mi"})
    );
    assert_eq!(prod.source.repo_url, "http://192.168.1.100:7990/scm/test/platform-infrastructure.git");
    assert_eq!(prod.host.as_deref(), Some("acme.product-a.example.com"));
    assert!(!prod.auto_sync, "G-21: production is synced by a person");
    let dev = model.applications.iter().find(|app| app.name == "customer-01-product-a-dev").expect("app");
    assert_eq!(dev.host.as_deref(), Some("acme-dev.product-a.example.com"));
    assert_eq!(dev.source.revision, "develop");
}

/// G-08: 10 applications; tenant-c shares a namespace, the hospital is alone on its cluster.
#[test]
fn s0_has_10_applications_and_a_hospital_of_its_own() {
    let model = model(S0);
    assert_eq!(model.applications.len(), 10);
    let of = |tenant: &str| {
        model
            .applications
            .iter()
            .filter(|application| application.tenant.as_deref() == Some(tenant))
            .map(|application| (application.cluster.as_str(), application.namespace.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("tenant-c"), [("us-east", "shared-apps")]);
    assert_eq!(of("hospital-001"), [("hospital-001", "hospital-001")]);
    let project = model.projects.iter().find(|project| project.name == "hospital-001").expect("project");
    assert_eq!(project.destinations.len(), 1, "S0-02");
    assert_eq!(project.argocd, "mgmt");
}

/// G-24 and S0-25: schedules are what the seed says, on the clusters they are for.
#[test]
fn s0_schedules_reach_their_clusters() {
    let backup = model(S0).backup.expect("backup");
    let table: BTreeMap<_, _> = backup
        .schedules
        .iter()
        .map(|schedule| {
            (
                schedule.name.as_str(),
                (schedule.cron.as_str(), schedule.ttl.to_string(), schedule.clusters.len()),
            )
        })
        .collect();
    assert_eq!(table["production-daily"], ("0 2 * * *", "720h".to_owned(), 4));
    assert_eq!(table["gitops-hourly"], ("0 * * * *", "168h".to_owned(), 6));
    assert_eq!(table["dedicated-4h"], ("0 */4 * * *", "2160h".to_owned(), 1));
}

/// G-09.
#[test]
fn s2_has_8_applications_and_s3_has_2() {
    let s2 = model(S2);
    assert_eq!(s2.applications.len(), 8);
    let hosts: Vec<_> = s2.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(hosts, ["api.localhost", "api.yourdomain.com", "app.localhost", "app.yourdomain.com"]);
    let instances: Vec<_> = s2.argocd.instances.iter().map(|instance| instance.host.as_deref()).collect();
    assert_eq!(instances[..2], [Some("argocd.localhost"), Some("argocd.yourdomain.com")]);
    let s3 = model(S3);
    let found: Vec<_> = s3
        .applications
        .iter()
        .map(|app| (app.name.as_str(), app.namespace.as_str(), app.host.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        found,
        [
            ("tenant1-app", "tenant1", "tenant1.saas-platform.local"),
            ("tenant2-app", "tenant2", "tenant2.saas-platform.local"),
        ]
    );
}

/// S2-16 … S2-23: overlays follow providers; add-ons go where they belong.
#[test]
fn s2_addons_follow_overlays() {
    let model = model(S2);
    let on = |addon: &str| {
        let addon = model.addons.iter().find(|known| known.name == addon).expect("addon");
        addon.clusters.iter().map(|place| place.cluster.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(on("metallb"), ["oci-prod"]);
    assert_eq!(on("external-dns"), ["oci-prod", "aks-dr"]);
    assert!(model.addons.windows(2).all(|pair| pair[0].wave <= pair[1].wave));
}

/// S3-22: a wave of one tenant, then everybody else.
#[test]
fn s3_waves_are_about_tenants() {
    let waves = model(S3).waves;
    assert_eq!(waves[0].applications, ["tenant1-app"]);
    assert_eq!(waves[1].applications, ["tenant2-app"]);
}

/// The starter: one cluster, two cells, two apps, records for the cluster's static address.
#[test]
fn the_starter_means_two_cells_and_four_applications() {
    let text = platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is one");
    let model = derive(&parse("platform.yaml", &text).expect("valid").platform);
    assert_eq!(names(&model), BTreeSet::from(["hello-dev", "hello-prod", "web-dev", "web-prod"]));
    let records: Vec<_> =
        model.dns_records.iter().map(|record| (record.name.as_str(), record.addresses.len())).collect();
    assert_eq!(
        records,
        [
            ("hello-dev.example.com", 1),
            ("hello-prod.example.com", 1),
            ("web-dev.example.com", 1),
            ("web-prod.example.com", 1),
        ]
    );
    insta::assert_json_snapshot!("starter-model", model);
}
