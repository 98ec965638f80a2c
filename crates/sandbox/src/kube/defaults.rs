//! What built-in objects become when fields are left out. Source: the API reference ("Defaults to …") and the answers of a
//! real server.

use serde_json::{Value, json};

use super::catalog::Resource;

/// Fills in what is left out, and leaves out what is `null`, as typed objects do.
pub fn fill(resource: &Resource, object: &mut Value) {
    complete(resource, object);
    leave_out_nulls(object);
}

fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

fn complete(resource: &Resource, object: &mut Value) {
    match &*resource.stored_as {
        "/pods" => {
            pod(&mut object["spec"]);
            put(&mut object["spec"], "enableServiceLinks", json!(true));
            requests(&mut object["spec"]);
        }
        "/namespaces" => namespace(object),
        "/secrets" => put(object, "type", json!("Opaque")),
        "/services" => service(&mut object["spec"]),
        "/persistentvolumeclaims" => put(&mut object["spec"], "volumeMode", json!("Filesystem")),
        "/persistentvolumes" => {
            put(&mut object["spec"], "persistentVolumeReclaimPolicy", json!("Retain"));
            put(&mut object["spec"], "volumeMode", json!("Filesystem"));
        }
        "/replicationcontrollers" => put(&mut object["spec"], "replicas", json!(1)),
        "apps/deployments" => {
            let spec = &mut object["spec"];
            put(spec, "replicas", json!(1));
            put(spec, "revisionHistoryLimit", json!(10));
            put(spec, "progressDeadlineSeconds", json!(600));
            rolling(spec, "strategy", &json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
            template(spec);
        }
        "apps/replicasets" => {
            put(&mut object["spec"], "replicas", json!(1));
            template(&mut object["spec"]);
        }
        "apps/daemonsets" => {
            let spec = &mut object["spec"];
            put(spec, "revisionHistoryLimit", json!(10));
            rolling(spec, "updateStrategy", &json!({"maxUnavailable": 1, "maxSurge": 0}));
            template(spec);
        }
        "apps/statefulsets" => {
            let spec = &mut object["spec"];
            put(spec, "replicas", json!(1));
            put(spec, "revisionHistoryLimit", json!(10));
            put(spec, "podManagementPolicy", json!("OrderedReady"));
            put(
                spec,
                "persistentVolumeClaimRetentionPolicy",
                json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
            );
            rolling(spec, "updateStrategy", &json!({"partition": 0}));
            for claim in items(&mut spec["volumeClaimTemplates"]) {
                put(&mut claim["spec"], "volumeMode", json!("Filesystem"));
                put(claim, "apiVersion", json!("v1"));
                put(claim, "kind", json!("PersistentVolumeClaim"));
                put(claim, "status", json!({"phase": "Pending"}));
            }
            template(spec);
        }
        "/podtemplates" => template(object),
        "batch/jobs" => job(&mut object["spec"]),
        "batch/cronjobs" => {
            let spec = &mut object["spec"];
            put(spec, "concurrencyPolicy", json!("Allow"));
            put(spec, "suspend", json!(false));
            put(spec, "successfulJobsHistoryLimit", json!(3));
            put(spec, "failedJobsHistoryLimit", json!(1));
            // A job is completed when it is made of it; only its pods are completed here.
            template(&mut spec["jobTemplate"]["spec"]);
        }
        "networking.k8s.io/networkpolicies" => network_policy(&mut object["spec"]),
        "networking.k8s.io/ingressclasses" if object["spec"]["parameters"].is_object() => {
            put(&mut object["spec"]["parameters"], "scope", json!("Cluster"));
        }
        "rbac.authorization.k8s.io/rolebindings" | "rbac.authorization.k8s.io/clusterrolebindings" => {
            put(&mut object["roleRef"], "apiGroup", json!("rbac.authorization.k8s.io"));
            for subject in items(&mut object["subjects"]) {
                if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
                    put(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
                }
            }
        }
        "storage.k8s.io/storageclasses" => {
            put(object, "reclaimPolicy", json!("Delete"));
            put(object, "volumeBindingMode", json!("Immediate"));
        }
        "/limitranges" => items(&mut object["spec"]["limits"]).for_each(limit_range),
        "scheduling.k8s.io/priorityclasses" => put(object, "preemptionPolicy", json!("PreemptLowerPriority")),
        "apiextensions.k8s.io/customresourcedefinitions" => definition(&mut object["spec"]),
        _ => {}
    }
}

/// Sets a field that is not there; what is no object is left alone.
fn put(object: &mut Value, key: &str, value: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Value::Object(object) = object
        && object.get(key).is_none_or(Value::is_null)
    {
        object.insert(key.to_owned(), value);
    }
}

fn items(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

fn rolling(spec: &mut Value, key: &str, parameters: &Value) {
    put(spec, key, json!({}));
    put(&mut spec[key], "type", json!("RollingUpdate"));
    if spec[key]["type"] == "RollingUpdate" {
        put(&mut spec[key], "rollingUpdate", json!({}));
        for (name, value) in parameters.as_object().into_iter().flatten() {
            put(&mut spec[key]["rollingUpdate"], name, value.clone());
        }
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    put(&mut object["metadata"], "labels", json!({}));
    if let Value::Object(labels) = &mut object["metadata"]["labels"] {
        labels.insert("kubernetes.io/metadata.name".into(), name);
    }
}

/// The template of a workload. Only what is there is completed: a workload without a template is refused elsewhere.
fn template(spec: &mut Value) {
    if spec["template"].is_object() {
        put(&mut spec["template"], "metadata", json!({}));
        pod(&mut spec["template"]["spec"]);
    }
}

fn pod(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    put(spec, "restartPolicy", json!("Always"));
    put(spec, "terminationGracePeriodSeconds", json!(30));
    put(spec, "dnsPolicy", json!("ClusterFirst"));
    put(spec, "securityContext", json!({}));
    put(spec, "schedulerName", json!("default-scheduler"));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        put(spec, "serviceAccount", account);
    }
    let host_network = spec["hostNetwork"] == true;
    for key in ["initContainers", "containers", "ephemeralContainers"] {
        for it in items(&mut spec[key]) {
            container(it, host_network);
        }
    }
    for volume in items(&mut spec["volumes"]) {
        self::volume(volume);
    }
}

fn container(it: &mut Value, host_network: bool) {
    let image = it["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    put(it, "imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" }));
    put(it, "resources", json!({}));
    put(it, "terminationMessagePath", json!("/dev/termination-log"));
    put(it, "terminationMessagePolicy", json!("File"));
    for port in items(&mut it["ports"]) {
        put(port, "protocol", json!("TCP"));
        if host_network {
            let number = port["containerPort"].clone();
            put(port, "hostPort", number);
        }
    }
    for variable in items(&mut it["env"]) {
        if variable["valueFrom"]["fieldRef"].is_object() {
            put(&mut variable["valueFrom"]["fieldRef"], "apiVersion", json!("v1"));
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if it[key].is_object() {
            probe(&mut it[key]);
        }
    }
    for hook in ["postStart", "preStop"] {
        if it["lifecycle"][hook]["httpGet"].is_object() {
            http_get(&mut it["lifecycle"][hook]["httpGet"]);
        }
    }
}

/// A limit without a request asks for as much as it may use. Templates say it only when they become pods.
fn requests(spec: &mut Value) {
    for key in ["initContainers", "containers"] {
        for it in items(&mut spec[key]) {
            let limits = it["resources"]["limits"].as_object().cloned().unwrap_or_default();
            for (name, limit) in limits {
                put(&mut it["resources"], "requests", json!({}));
                put(&mut it["resources"]["requests"], &name, limit);
            }
        }
    }
}

/// What a container may use at most it gets, what it gets it asks for, and it asks for the least at least.
fn limit_range(limit: &mut Value) {
    if limit["type"] != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        for (name, value) in limit[from].as_object().cloned().unwrap_or_default() {
            put(limit, to, json!({}));
            put(&mut limit[to], &name, value);
        }
    }
}

fn probe(probe: &mut Value) {
    for (key, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        put(probe, key, json!(value));
    }
    if probe["httpGet"].is_object() {
        http_get(&mut probe["httpGet"]);
    }
    if probe["grpc"].is_object() {
        put(&mut probe["grpc"], "service", json!(""));
    }
}

fn http_get(get: &mut Value) {
    put(get, "path", json!("/"));
    put(get, "scheme", json!("HTTP"));
}

fn volume(volume: &mut Value) {
    const SOURCES: usize = 1;
    if volume.as_object().is_some_and(|it| it.len() <= SOURCES) {
        put(volume, "emptyDir", json!({}));
    }
    for key in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume[key].is_object() {
            put(&mut volume[key], "defaultMode", json!(420));
        }
    }
    if volume["hostPath"].is_object() {
        put(&mut volume["hostPath"], "type", json!(""));
    }
    let mut fields: Vec<&mut Value> = Vec::new();
    match volume {
        volume if volume["downwardAPI"].is_object() => {
            fields.extend(items(&mut volume["downwardAPI"]["items"]))
        }
        volume if volume["projected"].is_object() => {
            for source in items(&mut volume["projected"]["sources"]) {
                if source["serviceAccountToken"].is_object() {
                    put(&mut source["serviceAccountToken"], "expirationSeconds", json!(3600));
                }
                if source["downwardAPI"].is_object() {
                    fields.extend(items(&mut source["downwardAPI"]["items"]));
                }
            }
        }
        _ => {}
    }
    for field in fields {
        if field["fieldRef"].is_object() {
            put(&mut field["fieldRef"], "apiVersion", json!("v1"));
        }
    }
}

fn service(spec: &mut Value) {
    put(spec, "type", json!("ClusterIP"));
    put(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "ClientIP" {
        put(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        put(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        put(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    for port in items(&mut spec["ports"]) {
        put(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        put(port, "targetPort", number);
    }
}

fn job(spec: &mut Value) {
    // Who says only how many run at once leaves open how many are wanted.
    if spec["parallelism"].is_null() {
        put(spec, "completions", json!(1));
    }
    put(spec, "parallelism", json!(1));
    put(spec, "backoffLimit", json!(6));
    put(spec, "completionMode", json!("NonIndexed"));
    put(spec, "suspend", json!(false));
    put(spec, "manualSelector", json!(false));
    let replacement = if spec["podFailurePolicy"].is_object() { "Failed" } else { "TerminatingOrFailed" };
    put(spec, "podReplacementPolicy", json!(replacement));
    template(spec);
}

fn network_policy(spec: &mut Value) {
    let mut kinds = vec!["Ingress"];
    if spec["egress"].as_array().is_some_and(|rules| !rules.is_empty()) {
        kinds.push("Egress");
    }
    put(spec, "policyTypes", json!(kinds));
    for direction in ["ingress", "egress"] {
        for rule in items(&mut spec[direction]) {
            for port in items(&mut rule["ports"]) {
                put(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn definition(spec: &mut Value) {
    put(spec, "conversion", json!({"strategy": "None"}));
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    put(&mut spec["names"], "singular", json!(kind.to_lowercase()));
    put(&mut spec["names"], "listKind", json!(format!("{kind}List")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::catalog::Catalog;

    fn filled(group: &str, version: &str, plural: &str, mut object: Value) -> Value {
        let resource = Catalog::default().find(group, version, plural).expect("built in");
        fill(&resource, &mut object);
        let once = object.clone();
        fill(&resource, &mut object);
        assert_eq!(object, once, "filling twice is filling once");
        object
    }

    #[test]
    fn a_deployment() {
        let object = filled(
            "apps",
            "v1",
            "deployments",
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "a", "image": "x:1", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}}},
                {"name": "b", "image": "host:5000/y", "resources": {"limits": {"cpu": "1"}}},
            ], "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}]}}}}),
        );
        let spec = &object["spec"];
        assert_eq!(
            (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxSurge"]),
            (&json!(1), &json!("25%"))
        );
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["containers"][0]["ports"][0]["protocol"], "TCP");
        assert_eq!(pod["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(pod["containers"][0]["readinessProbe"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(pod["containers"][1]["imagePullPolicy"], "Always", "a port is no tag");
        assert_eq!(pod["containers"][1]["resources"], json!({"limits": {"cpu": "1"}}));
        assert_eq!(
            pod["volumes"],
            json!([{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}])
        );
    }

    #[test]
    fn what_is_given_stays() {
        let object = filled(
            "",
            "v1",
            "services",
            json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http"}]}}),
        );
        assert_eq!(object["spec"]["ports"], json!([{"port": 80, "targetPort": "http", "protocol": "TCP"}]));
        assert_eq!(object["spec"]["externalTrafficPolicy"], "Cluster");
        let object = filled(
            "apps",
            "v1",
            "deployments",
            json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}}),
        );
        assert_eq!(
            (&object["spec"]["replicas"], &object["spec"]["strategy"]),
            (&json!(0), &json!({"type": "Recreate"}))
        );
    }
}
