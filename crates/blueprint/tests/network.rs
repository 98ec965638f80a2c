//! G-22: what pods may reach when everything that the spec can allow is allowed, as the starter renders it.

use std::collections::{BTreeMap, BTreeSet};

use platform_blueprint::Blueprint;
use serde::Deserialize;
use serde_json::{Value, json};

fn policies() -> Vec<Value> {
    let text = platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is a starter for `existing`");
    let parsed = platform_spec::parse("platform.yaml", &text).expect("it has no errors");
    let mut model =
        serde_json::to_value(platform_spec::derive(&parsed.platform)).expect("a model becomes JSON");
    for namespace in model["namespaces"].as_array_mut().expect("namespaces") {
        namespace["network_policy"] = json!({
            "default": "deny",
            "allow": [
                "dns", "same-tenant", "same-namespace", "ingress-controller", "egress-https-public", "prometheus-scrape",
            ],
            "flows": [],
        });
    }
    let blueprint = Blueprint::embedded("starter").expect("it is part of the program");
    let definition =
        b"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n";
    let needs = blueprint.needed_artifacts(&model).into_iter();
    let artifacts: BTreeMap<_, _> = needs.map(|need| (need.name.clone(), definition.to_vec())).collect();
    let trees = blueprint.render(&model, &Value::Null, &artifacts).expect("it renders");
    let files = trees
        .get("platform")
        .expect("the one repository")
        .files
        .iter()
        .filter(|(path, _)| path.ends_with("namespaces.yaml"));
    files
        .flat_map(|(_, file)| yaml_serde::Deserializer::from_str(file.text().expect("text")))
        .map(|document| Value::deserialize(document).expect("valid YAML"))
        .filter(|object| object["kind"] == "NetworkPolicy")
        .collect()
}

#[test]
fn g22_nothing_goes_out_to_every_namespace_and_names_are_asked_both_ways() {
    let policies = policies();
    let mut asked = 0;
    let rules = policies.iter().flat_map(|policy| policy["spec"]["egress"].as_array().into_iter().flatten());
    for rule in rules {
        let peers =
            rule["to"].as_array().unwrap_or_else(|| panic!("a rule without peers allows all: {rule}"));
        for peer in peers {
            assert_ne!(peer["namespaceSelector"], json!({}), "{rule}");
        }
        let ports = rule["ports"].as_array().into_iter().flatten().filter(|port| port["port"] == 53);
        let ways: BTreeSet<_> = ports.filter_map(|port| port["protocol"].as_str()).collect();
        if !ways.is_empty() {
            assert_eq!(ways, BTreeSet::from(["TCP", "UDP"]), "{rule}");
            asked += 1;
        }
    }
    let closed = policies.iter().filter(|policy| policy["metadata"]["name"] == "default-deny").count();
    assert!(closed > 0, "the starter has namespaces");
    assert_eq!(asked, closed, "names can be asked from every namespace");
}
