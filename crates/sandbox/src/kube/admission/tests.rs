//! What clients are given and refused.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kube::{
    api::{Answer, Api, Ask},
    store::Key,
};

fn api() -> Api {
    let api = Api::new(Arc::new(|| Timestamp::from_second(1_800_000_000).expect("a time")), 1);
    api.begin(6443);
    make(&api, "/api/v1/namespaces", json!({"metadata": {"name": "shop"}}));
    api
}

fn ask(api: &Api, method: &str, path: &str, body: Value) -> (u16, Value, Vec<String>) {
    let ask = Ask {
        method: method.into(),
        path: path.into(),
        content_type: if method == "PATCH" { "application/merge-patch+json" } else { "application/json" }
            .into(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        ..Ask::default()
    };
    match api.answer(&ask) {
        Answer::List { .. } => unreachable!("made whole"),
        Answer::Json { code, body, warnings } => (code, std::sync::Arc::unwrap_or_clone(body), warnings),
        Answer::Text { code, body, .. } => (code, body.into(), Vec::new()),
        Answer::Watch(_) | Answer::Bytes { .. } => (200, Value::Null, Vec::new()),
    }
}

fn make(api: &Api, path: &str, body: Value) -> Value {
    let (code, body, _) = ask(api, "POST", path, body);
    assert_eq!(code, 201, "{body}");
    body
}

fn refused(api: &Api, path: &str, body: Value) -> String {
    let (code, body, _) = ask(api, "POST", path, body);
    assert_eq!(code, 403, "{body}");
    body["message"].as_str().unwrap_or_default().to_owned()
}

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn pod(name: &str, resources: Value) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "x:1", "resources": resources}]},
    })
}

#[test]
fn a_pod_gets_its_account_its_token_its_priority_and_patience() {
    let api = api();
    let made = make(&api, PODS, pod("a", json!({})));
    let spec = &made["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    let volume = spec["volumes"][0]["name"].as_str().expect("a volume");
    assert!(volume.starts_with("kube-api-access-"));
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([{"name": volume, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}])
    );
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
    let status = json!({"status": {"phase": "Running"}});
    let (_, later, _) = ask(&api, "PATCH", &format!("{PODS}/a/status"), status);
    assert_eq!((&later["spec"], &later["metadata"]["generation"]), (spec, &json!(1)), "it is complete");

    let mut quiet = pod("b", json!({}));
    quiet["spec"]["automountServiceAccountToken"] = json!(false);
    quiet["spec"]["priorityClassName"] = json!("system-node-critical");
    let made = make(&api, PODS, quiet);
    assert!(made["spec"]["volumes"].is_null());
    assert_eq!(made["spec"]["priority"], 2_000_001_000);

    let mut other = pod("c", json!({}));
    other["spec"]["serviceAccountName"] = json!("robot");
    assert_eq!(
        refused(&api, PODS, other),
        r#"pods "c" is forbidden: error looking up service account shop/robot: serviceaccount "robot" not found"#
    );
    let mut other = pod("c", json!({}));
    other["spec"]["priorityClassName"] = json!("high");
    assert_eq!(
        refused(&api, PODS, other),
        r#"pods "c" is forbidden: no PriorityClass with name high was found"#
    );
}

#[test]
fn quotas_count_what_is_there_and_refuse_more() {
    let api = api();
    let hard = json!({"pods": "2", "requests.cpu": "1", "count/configmaps": "2"});
    make(
        &api,
        "/api/v1/namespaces/shop/resourcequotas",
        json!({"metadata": {"name": "q"}, "spec": {"hard": hard}}),
    );
    let used = |api: &Api| {
        let key = Key { kind: "/resourcequotas".into(), namespace: "shop".into(), name: "q".into() };
        api.store.get(&key).expect("a quota")["status"]["used"].clone()
    };
    assert_eq!(used(&api), json!({"count/configmaps": "1", "pods": "0", "requests.cpu": "0"}));
    assert_eq!(
        refused(&api, PODS, pod("a", json!({}))),
        r#"pods "a" is forbidden: failed quota: q: must specify requests.cpu for: c"#
    );
    let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
    make(&api, PODS, pod("a", cpu("600m")));
    assert_eq!(used(&api), json!({"count/configmaps": "1", "pods": "1", "requests.cpu": "600m"}));
    assert_eq!(
        refused(&api, PODS, pod("b", cpu("0.5"))),
        r#"pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1"#
    );
    make(&api, "/api/v1/namespaces/shop/configmaps", json!({"metadata": {"name": "m"}}));
    assert_eq!(
        refused(&api, "/api/v1/namespaces/shop/configmaps", json!({"metadata": {"name": "n"}})),
        r#"configmaps "n" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2"#
    );
    assert_eq!(ask(&api, "DELETE", &format!("{PODS}/a"), Value::Null).0, 200);
    assert_eq!(used(&api)["pods"], "0");
    make(&api, PODS, pod("b", cpu("0.5")));
}

#[test]
fn scoped_quotas_count_only_what_is_in_scope() {
    let api = api();
    make(
        &api,
        "/api/v1/namespaces/shop/resourcequotas",
        json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}, "scopes": ["BestEffort"]}}),
    );
    make(&api, PODS, pod("a", json!({"requests": {"cpu": "1"}})));
    assert!(
        refused(&api, PODS, pod("b", json!({})))
            .contains("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")
    );
}

#[test]
fn ranges_give_defaults_and_bounds() {
    let api = api();
    let limits = json!([{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}, "defaultRequest": {"cpu": "200m"}, "maxLimitRequestRatio": {"cpu": "4"}}]);
    make(
        &api,
        "/api/v1/namespaces/shop/limitranges",
        json!({"metadata": {"name": "r"}, "spec": {"limits": limits}}),
    );
    let limits = json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}});
    assert_eq!(
        refused(&api, PODS, pod("a", limits)),
        r#"pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2"#
    );
    assert_eq!(
        refused(&api, PODS, pod("a", json!({}))),
        r#"pods "a" is forbidden: cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000"#
    );
    let made = make(&api, PODS, pod("a", json!({"requests": {"cpu": "500m"}})));
    assert_eq!(made["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "1"}));
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu limit for container c"
    );
}

#[test]
fn a_namespace_says_which_pods_it_allows() {
    let api = api();
    make(&api, PODS, pod("before", json!({})));
    let labels = |labels: Value| {
        ask(&api, "PATCH", "/api/v1/namespaces/shop", json!({"metadata": {"labels": labels}}))
    };
    let (code, body, _) = labels(json!({"pod-security.kubernetes.io/enforce": "strict"}));
    assert_eq!(
        (code, &body["message"]),
        (
            422,
            &json!(
                r#"Namespace "shop" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted"#
            )
        )
    );
    let (code, _, warnings) = labels(json!({"pod-security.kubernetes.io/enforce": "restricted"}));
    assert_eq!(code, 200);
    assert_eq!(
        warnings,
        [
            r#"existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:latest""#,
            "before: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ]
    );
    let words = refused(&api, PODS, pod("a", json!({})));
    assert!(words.starts_with(r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must"#), "{words}");
    let workload = json!({
        "metadata": {"name": "w"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod("", json!({}))},
    });
    let (code, body, warnings) = ask(&api, "POST", "/apis/apps/v1/namespaces/shop/deployments", workload);
    assert_eq!(code, 201, "{body}");
    assert!(warnings[0].starts_with(r#"would violate PodSecurity "restricted:latest": "#), "{warnings:?}");
}

#[test]
fn claims_get_a_class_grow_if_they_can_and_stay_while_in_use() {
    let api = api();
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let class = |name: &str, default: &str| json!({"metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}}, "provisioner": "x"});
    make(&api, classes, class("slow", "false"));
    make(&api, classes, class("fast", "true"));
    let claims = "/api/v1/namespaces/shop/persistentvolumeclaims";
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let made = make(&api, claims, claim);
    assert_eq!(made["spec"]["storageClassName"], "fast");
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let grow = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    let grown = || ask(&api, "PATCH", &format!("{claims}/c"), grow.clone()).0;
    assert_eq!(grown(), 422, "it is not bound");
    let bound = json!({"status": {"phase": "Bound"}});
    assert_eq!(ask(&api, "PATCH", &format!("{claims}/c/status"), bound).0, 200);
    assert_eq!(grown(), 403, "its class does not let it grow");

    let mut user = pod("user", json!({}));
    user["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
    make(&api, PODS, user);
    assert_eq!(ask(&api, "DELETE", &format!("{claims}/c"), Value::Null).0, 200);
    assert_eq!(ask(&api, "GET", &format!("{claims}/c"), Value::Null).0, 200, "a pod uses it");
    assert_eq!(ask(&api, "DELETE", &format!("{PODS}/user"), Value::Null).0, 200);
    assert_eq!(ask(&api, "GET", &format!("{claims}/c"), Value::Null).0, 404);
}

#[test]
fn an_eviction_asks_the_budget() {
    let api = api();
    make(
        &api,
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    for name in ["a", "b"] {
        make(&api, PODS, pod(name, json!({})));
        let status =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(ask(&api, "PATCH", &format!("{PODS}/{name}/status"), status).0, 200);
    }
    let evict = |name: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let (code, body, _) = ask(&api, "POST", &format!("{PODS}/{name}/eviction"), eviction);
        (code, body)
    };
    assert_eq!(evict("a").0, 201);
    let (code, body) = evict("b");
    assert_eq!(
        (code, &body["message"]),
        (429, &json!("Cannot evict pod as it would violate the pod's disruption budget."))
    );
    assert_eq!(
        body["details"]["causes"][0]["message"],
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
}

#[test]
fn what_belongs_to_the_cluster_stays() {
    let api = api();
    let (code, body, _) = ask(&api, "DELETE", "/api/v1/namespaces/default", Value::Null);
    assert_eq!(
        (code, &body["message"]),
        (403, &json!(r#"namespaces "default" is forbidden: this namespace may not be deleted"#))
    );
    assert_eq!(
        ask(&api, "DELETE", "/api/v1/namespaces/shop/configmaps/kube-root-ca.crt", Value::Null).0,
        200
    );
    assert_eq!(ask(&api, "GET", "/api/v1/namespaces/shop/configmaps/kube-root-ca.crt", Value::Null).0, 200);
    assert_eq!(ask(&api, "DELETE", "/api/v1/namespaces/shop", Value::Null).0, 200);
    assert_eq!(
        ask(&api, "GET", "/api/v1/namespaces/shop", Value::Null).0,
        404,
        "and takes all that was in it"
    );
}
