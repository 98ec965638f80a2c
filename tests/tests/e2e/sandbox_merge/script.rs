//! The writes that are compared, in their order.

use serde_json::{Value, json};

use super::model::{CONFIG_MAP, DEPLOYMENT, Kind, POD_TEMPLATE, SERVICE, SERVICE_ACCOUNT, Step, Verb};

fn step(what: &'static str, kind: Kind, manager: &str, verb: Verb) -> Step {
    Step { what, kind, name: "subject", manager: manager.to_owned(), subresource: "", verb }
}

fn apply(body: Value) -> Verb {
    Verb::Apply(body, false)
}

fn force(body: Value) -> Verb {
    Verb::Apply(body, true)
}

/// All writes; every kind's object is created by its first step.
pub(super) fn steps() -> Vec<Step> {
    [config_maps(), deployments(), services(), service_accounts(), pod_templates(), many_updaters()].concat()
}

fn config_maps() -> Vec<Step> {
    let step = |what, manager: &str, verb| step(what, CONFIG_MAP, manager, verb);
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    vec![
        step(
            "apply creates",
            "a",
            apply(json!({"data": {"x": "1", "y": "1"}, "metadata": {"labels": {"l": "1"}}})),
        ),
        step(
            "the same once more changes nothing",
            "a",
            apply(json!({"data": {"x": "1", "y": "1"}, "metadata": {"labels": {"l": "1"}}})),
        ),
        step("equal values are shared", "b", apply(json!({"data": {"x": "1"}}))),
        step("and again", "b", apply(json!({"data": {"x": "1"}}))),
        step("shared fields conflict with both", "c", apply(json!({"data": {"x": "2"}}))),
        step("a conflict of two fields", "c", apply(json!({"data": {"x": "2", "y": "3"}}))),
        step("force takes over", "c", force(json!({"data": {"x": "2"}}))),
        step("what is no longer applied goes", "a", apply(json!({"data": {"y": "1"}}))),
        step(
            "an empty map is applied",
            "d",
            apply(json!({"metadata": {"annotations": {}}, "binaryData": {}})),
        ),
        step("a null is applied", "d", apply(json!({"data": {"n": null}}))),
        step("nothing is applied any more", "d", apply(json!({}))),
        step("a merge patch", "p", Verb::Merge(json!({"data": {"m": "1", "y": "2"}}))),
        step("a merge patch that changes nothing", "p", Verb::Merge(json!({"data": {"m": "1"}}))),
        step("conflict with an updater", "a", apply(json!({"data": {"y": "1"}}))),
        step("a merge patch removes", "p", Verb::Merge(json!({"data": {"m": null}}))),
        step(
            "a JSON patch",
            "j",
            Verb::Json(
                json!([{"op": "add", "path": "/data/j", "value": "1"}, {"op": "remove", "path": "/data/x"}]),
            ),
        ),
        step(
            "a JSON patch replaces what is not there",
            "j",
            Verb::Json(json!([{"op": "replace", "path": "/data/k", "value": "1"}])),
        ),
        step("a JSON patch that fits not", "j", Verb::Json(json!([{"op": "remove", "path": "/data/none"}]))),
        step(
            "a JSON patch whose test fails",
            "j",
            Verb::Json(json!([{"op": "test", "path": "/data/j", "value": "2"}])),
        ),
        step("a JSON patch that is none", "j", Verb::Json(json!({"op": "test"}))),
        step("a PUT", "u", Verb::Update(|it| it["data"] = json!({"u": "1"}))),
        step("a PUT that changes nothing", "v", Verb::Update(|_| ())),
        step("labels by two", "a", apply(labels(json!({"a": "1"})))),
        step("labels by two, the second", "b", apply(labels(json!({"b": "1"})))),
        step("the first gives up its own", "a", apply(labels(json!({"c": "1"})))),
        step("a finalizer", "a", apply(json!({"metadata": {"finalizers": ["x.io/a", "x.io/b"]}}))),
        step("another", "b", apply(json!({"metadata": {"finalizers": ["x.io/c", "x.io/b"]}}))),
        step("the first drops its finalizers", "a", apply(json!({"metadata": {"finalizers": []}}))),
        step("finalizers are patched away", "p", Verb::Merge(json!({"metadata": {"finalizers": null}}))),
        step(
            "an applied config with owners is refused",
            "a",
            apply(json!({"metadata": {"managedFields": [{}]}})),
        ),
        step("a field that is unknown", "a", apply(json!({"spec": {"x": 1}}))),
        step("a field of another type", "a", apply(json!({"immutable": "no"}))),
        step("a value of another type", "a", apply(json!({"data": {"x": 1}}))),
        step("a second owner", "v", Verb::Merge(json!({"data": {"v": "1"}}))),
        step(
            "owners are edited",
            "u",
            Verb::Update(|it| drop(it["metadata"]["managedFields"].as_array_mut().map(Vec::pop))),
        ),
        step("owners are forgotten", "u", Verb::Update(|it| it["metadata"]["managedFields"] = json!([{}]))),
        step("and not remembered by an update", "u", Verb::Merge(json!({"data": {"z": "9"}}))),
        step("but by an apply", "a", apply(json!({"data": {"w": "1"}}))),
        step("and those before are known as such", "a", apply(json!({"data": {"z": "1"}}))),
    ]
}

fn pod(containers: &Value) -> Value {
    json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}})
}

fn deployment(containers: &Value) -> Value {
    json!({"spec": {"paused": true, "replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": pod(containers)}})
}

fn deployments() -> Vec<Step> {
    let step = |what, manager: &str, verb| step(what, DEPLOYMENT, manager, verb);
    let status = |what, manager: &str, verb| Step { subresource: "status", ..step(what, manager, verb) };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "Is", "message": "x"});
    let one = json!([{"name": "one", "image": "one:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]);
    vec![
        step("create", "c", Verb::Create(deployment(&one))),
        step("an apply of equal values", "a", apply(deployment(&one))),
        step(
            "another container",
            "b",
            apply(
                json!({"spec": {"template": {"spec": {"containers": [{"name": "two", "image": "two:1"}]}}}}),
            ),
        ),
        step(
            "conflicts",
            "b",
            apply(
                json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "one", "image": "one:2"}]}}}}),
            ),
        ),
        step(
            "force",
            "b",
            force(
                json!({"spec": {"template": {"spec": {"containers": [{"name": "one", "image": "one:2"}]}}}}),
            ),
        ),
        step(
            "order of containers",
            "a",
            force(json!({"spec": {"template": {"spec": {"containers": [
            {"name": "four", "image": "x:1"}, {"name": "one", "image": "one:3"}, {"name": "three", "image": "x:1"}]}}}})),
        ),
        step(
            "strategic: a new container, one changed",
            "p",
            Verb::Strategic(json!({"spec": {"template": {"spec": {
            "$setElementOrder/containers": [{"name": "three"}, {"name": "five"}, {"name": "one"}],
            "containers": [{"name": "five", "image": "x:5"}, {"name": "one", "image": "one:9"}]}}}})),
        ),
        step(
            "strategic: a container deleted",
            "p",
            Verb::Strategic(
                json!({"spec": {"template": {"spec": {"containers": [{"name": "five", "$patch": "delete"}]}}}}),
            ),
        ),
        step(
            "strategic: another strategy",
            "p",
            Verb::Strategic(json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})),
        ),
        step(
            "strategic: retained keys that are not",
            "p",
            Verb::Strategic(json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}})),
        ),
        step(
            "strategic: a list in another order than said",
            "p",
            Verb::Strategic(json!({"spec": {"template": {"spec": {
            "$setElementOrder/containers": [{"name": "one"}], "containers": [{"name": "six", "image": "x:1"}]}}}})),
        ),
        step(
            "strategic: an item without its key",
            "p",
            Verb::Strategic(json!({"spec": {"template": {"spec": {"containers": [{"image": "x:1"}]}}}})),
        ),
        step("strategic: an unknown directive", "p", Verb::Strategic(json!({"spec": {"$patch": "turn"}}))),
        step(
            "duplicates are refused",
            "a",
            apply(
                json!({"spec": {"template": {"spec": {"containers": [{"name": "one"}, {"name": "one"}]}}}}),
            ),
        ),
        step(
            "an item without its key",
            "a",
            apply(json!({"spec": {"template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}, 1]}}}})),
        ),
        step(
            "unknown fields",
            "a",
            apply(json!({"spec": {"template": {"spec": {"containers": [{"name": "one", "imagee": "x"}]}}}})),
        ),
        step(
            "several wrong types",
            "a",
            apply(json!({"spec": {"replicas": "x", "paused": 1, "template": []}})),
        ),
        status(
            "status is applied",
            "s",
            apply(json!({"status": {"conditions": [condition("Fine")]}, "spec": {"replicas": 7}})),
        ),
        status(
            "status is patched",
            "t",
            Verb::Merge(
                json!({"status": {"conditions": [condition("Fine"), condition("Good")]}, "spec": {"replicas": 7}, "metadata": {"labels": {"l": "1"}, "annotations": {"n": "1"}}}),
            ),
        ),
        status(
            "status conflicts",
            "s",
            apply(json!({"status": {"conditions": [{"type": "Good", "status": "False"}]}})),
        ),
        step(
            "status by the object itself",
            "u",
            Verb::Update(|it| {
                it["status"]["replicas"] = json!(3);
                it["metadata"]["labels"] = json!({"by": "u"});
            }),
        ),
    ]
}

fn services() -> Vec<Step> {
    let step = |what, manager: &str, verb| step(what, SERVICE, manager, verb);
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    vec![
        step(
            "apply creates",
            "a",
            apply(
                json!({"spec": {"selector": {"app": "x"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}}),
            ),
        ),
        step(
            "a port of another protocol",
            "b",
            apply(ports(json!([{"name": "dns", "port": 80, "protocol": "UDP", "targetPort": 53}]))),
        ),
        step(
            "the protocol is TCP when it is left out",
            "b",
            apply(ports(json!([{"port": 80, "protocol": "TCP", "targetPort": 1}]))),
        ),
        step(
            "which is the same port",
            "b",
            force(ports(json!([{"name": "web", "port": 80, "protocol": "TCP", "targetPort": "http"}]))),
        ),
        step(
            "strategic: ports by number",
            "p",
            Verb::Strategic(ports(json!([{"name": "more", "port": 81, "targetPort": 81}]))),
        ),
        step("a selector is atomic", "b", apply(json!({"spec": {"selector": {"tier": "y"}}}))),
        step("and taken as a whole", "b", force(json!({"spec": {"selector": {"tier": "y"}}}))),
        step(
            "a list of scalars",
            "p",
            Verb::Merge(json!({"spec": {"externalIPs": ["192.0.2.1", "192.0.2.2"]}})),
        ),
        step(
            "duplicate ports are refused",
            "a",
            apply(ports(json!([{"name": "v", "port": 80}, {"name": "w", "port": 80, "protocol": "TCP"}]))),
        ),
        step("ports lose an owner", "a", apply(json!({"spec": {"ports": []}}))),
    ]
}

fn service_accounts() -> Vec<Step> {
    let step = |what, manager: &str, verb| step(what, SERVICE_ACCOUNT, manager, verb);
    let secrets = |names: &[&str]| json!({"imagePullSecrets": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
    let mut annotated = secrets(&["old"]);
    annotated["metadata"] = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration":
        r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"subject"},"automountServiceAccountToken":true}"#}});
    annotated["automountServiceAccountToken"] = json!(true);
    vec![
        step("create", "kubectl-client-side-apply", Verb::Create(annotated)),
        step("another may not", "a", apply(json!({"automountServiceAccountToken": false}))),
        step(
            "kubectl takes over from itself",
            "kubectl",
            apply(json!({"automountServiceAccountToken": false, "metadata": {"annotations": {"b": "<1>"}}})),
        ),
        step("secrets", "a", apply(secrets(&["one", "two"]))),
        step("others' secrets", "b", apply(secrets(&["three", "two"]))),
        step("fewer secrets", "a", apply(secrets(&["one"]))),
        step("nobody applies secrets", "b", apply(json!({}))),
    ]
}

fn pod_templates() -> Vec<Step> {
    let step = |what, manager: &str, verb| step(what, POD_TEMPLATE, manager, verb);
    let ports = json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}, {"containerPort": 443, "name": "tls"}]);
    let limits = |limits: Value| json!({"template": {"spec": {"containers": [{"name": "a", "resources": {"limits": limits}}]}}});
    vec![
        step(
            "create",
            "c",
            Verb::Create(json!({"template": pod(&json!([
            {"name": "a", "image": "a:1", "ports": ports, "resources": {"limits": {"cpu": "1"}}}, {"name": "b", "image": "b:1"}]))})),
        ),
        step("a quantity that is equal, but not the same", "q", apply(limits(json!({"cpu": "1000m"})))),
        step("the same quantity", "q", apply(limits(json!({"cpu": "1"})))),
        step("another quantity", "q", force(limits(json!({"cpu": "2", "memory": "1Gi"})))),
        step("fewer quantities", "q", apply(limits(json!({"memory": "1Gi"})))),
        step(
            "pod fields of all kinds",
            "a",
            apply(json!({"template": {"spec": {
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "k", "operator": "Exists"}],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "x", "defaultMode": 420}}],
            "securityContext": {"runAsUser": 5, "sysctls": []}, "imagePullSecrets": [{"name": "s"}],
            "affinity": {"nodeAffinity": {}}, "initContainers": [{"name": "i", "image": "i:1", "command": ["x"]}]}}})),
        ),
        step(
            "some of them go",
            "a",
            apply(json!({"template": {"spec": {
            "volumes": [{"name": "w", "configMap": {"name": "y", "defaultMode": 420}}], "nodeSelector": {"disk": "hdd"}}}})),
        ),
        step(
            "strategic: volumes",
            "p",
            Verb::Strategic(json!({"template": {"spec": {"volumes": [
            {"name": "w", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}, {"name": "z", "emptyDir": {}}]}}})),
        ),
        step(
            "strategic: a scalar in the place of an object",
            "p",
            Verb::Strategic(json!({"template": {"spec": {"nodeSelector": null}}})),
        ),
        step(
            "strategic: a set of scalars",
            "p",
            Verb::Strategic(json!({"metadata": {"finalizers": ["x.io/b", "x.io/a"]}})),
        ),
        step(
            "strategic: less of a set",
            "p",
            Verb::Strategic(
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/b"], "$setElementOrder/finalizers": ["x.io/c", "x.io/a"], "finalizers": ["x.io/c"]}}),
            ),
        ),
        step("finalizers go", "p", Verb::Merge(json!({"metadata": {"finalizers": null}}))),
    ]
}

/// More updaters than are remembered by name.
fn many_updaters() -> Vec<Step> {
    let subject =
        |what, manager: &str, verb| Step { name: "crowded", ..step(what, CONFIG_MAP, manager, verb) };
    let create = subject("create, and update by many", "m0", Verb::Create(json!({"data": {"m0": "x"}})));
    let update = |at: usize| {
        let name = format!("m{at}");
        subject("one updater more", &name, Verb::Merge(json!({"data": {name.clone(): "x"}})))
    };
    [create].into_iter().chain((1..13).map(update)).collect()
}
