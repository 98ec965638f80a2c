//! What never changes once it is there, and what may.

use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const PODS: &str = "/api/v1/namespaces/@NS/pods";
const CLAIMS: &str = "/api/v1/namespaces/@NS/persistentvolumeclaims";
const JOBS: &str = "/apis/batch/v1/namespaces/@NS/jobs";

pub(super) const CASES: &[Row] = rows![
    a_pod_takes_another_image shows "\"code\": 200";
    a_pod_takes_labels shows "\"code\": 200";
    a_pod_keeps_the_variables_of_a_container shows "pod updates may not change fields other than";
    a_pod_keeps_its_policy shows "pod updates may not change fields other than";
    a_pod_is_not_given_a_node_by_a_patch shows "pod updates may not change fields other than";
    a_pod_is_given_a_node_once shows "\"code\": 201", "is already assigned to node";
    a_binding_is_an_object_too shows "\"code\": 201", "is already assigned to node", "\"code\": 404";
    a_pod_keeps_its_number_of_containers shows "pod updates may not add or remove containers";
    a_pod_needs_an_image shows "spec.containers[0].image";
    a_pod_takes_more_tolerations shows "\"code\": 200";
    a_pod_keeps_the_tolerations_it_has shows "existing toleration can not be modified";
    a_pod_may_be_given_less_time shows "\"first\": 200", "\"less\": 200", "\"more\": 422", "\"none\": 422";
    a_pod_loses_gates_and_gains_none shows "only deletion is allowed", "\"lost\": 200";
    a_deployment_keeps_its_selector shows "field is immutable", "spec.selector";
    a_replica_set_keeps_its_selector shows "field is immutable";
    a_daemon_set_keeps_its_selector shows "field is immutable";
    a_stateful_set_keeps_its_service shows "updates to statefulset spec for fields other than";
    a_stateful_set_takes_another_template shows "\"code\": 200";
    a_job_keeps_its_template shows "spec.template", "field is immutable";
    a_job_keeps_its_completions shows "spec.completions", "field is immutable";
    a_job_takes_more_parallelism shows "\"code\": 200";
    a_claim_keeps_its_modes shows "spec is immutable after creation";
    a_claim_that_is_not_bound_keeps_its_size shows "spec is immutable after creation";
    a_storage_class_keeps_its_parameters shows "parameters", "field is immutable";
    a_priority_class_keeps_its_value shows "may not be changed in an update";
    an_ingress_class_keeps_its_controller shows "spec.controller", "field is immutable";
    a_slice_of_endpoints_keeps_its_type shows "addressType", "field is immutable";
    a_role_binding_keeps_its_role shows "cannot change roleRef";
];

/// Code and causes. What the server repeats of the object is left out: it writes it down as Go does.
fn essence(answer: &Value) -> Value {
    let short = |message: &Value| {
        let line = message.as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        match line.strip_prefix("Invalid value: ").and_then(|rest| rest.rsplit_once(": ")) {
            Some((_, why)) => format!("Invalid value: {why}"),
            None => line,
        }
    };
    let causes = answer["body"]["details"]["causes"].as_array().into_iter().flatten();
    let causes =
        causes.map(|it| json!({"field": it["field"], "reason": it["reason"], "why": short(&it["message"])}));
    json!({"code": answer["code"], "reason": answer["body"]["reason"], "causes": causes.collect::<Vec<_>>()})
}

/// Makes something, changes it, and says how that ended; what lies in no namespace is removed.
async fn changed(place: &Place, path: &str, object: Value, change: Value) -> Outcome {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let made = place.call("POST", path, object).await?;
    if made["code"] != 201 {
        return Ok(made);
    }
    let one = format!("{path}/{name}");
    let answer = place.call("PATCH", &one, change).await?;
    if !path.contains("@NS") {
        place.call("DELETE", &one, Value::Null).await?;
    }
    Ok(essence(&answer))
}

/// A pod that gets no node, so that nothing changes it meanwhile.
fn pod() -> Value {
    json!({
        "metadata": {"name": "one"},
        "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "example.com/a:1"}]},
    })
}

/// A strategic patch, which leaves alone what a pod was given when it was made.
async fn changed_pod(place: &Place, change: Value) -> Outcome {
    place.call("POST", PODS, pod()).await?;
    strategic(place, change).await
}

async fn strategic(place: &Place, change: Value) -> Outcome {
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let path = format!("{PODS}/one");
    Ok(essence(&place.send("PATCH", &path, &headers, change.to_string().into_bytes()).await?.value()))
}

async fn a_pod_takes_another_image(place: Place) -> Outcome {
    changed_pod(&place, json!({"spec": {"containers": [{"name": "a", "image": "example.com/a:2"}]}})).await
}

async fn a_pod_takes_labels(place: Place) -> Outcome {
    changed_pod(&place, json!({"metadata": {"labels": {"a": "b"}}})).await
}

async fn a_pod_keeps_the_variables_of_a_container(place: Place) -> Outcome {
    let container = json!({"name": "a", "image": "example.com/a:1", "env": [{"name": "A", "value": "b"}]});
    changed_pod(&place, json!({"spec": {"containers": [container]}})).await
}

async fn a_pod_keeps_its_policy(place: Place) -> Outcome {
    changed_pod(&place, json!({"spec": {"restartPolicy": "Never"}})).await
}

async fn a_pod_is_not_given_a_node_by_a_patch(place: Place) -> Outcome {
    changed_pod(&place, json!({"spec": {"nodeName": "node-0"}})).await
}

async fn a_pod_is_given_a_node_once(place: Place) -> Outcome {
    place.call("POST", PODS, pod()).await?;
    let bound = async |node: &str| {
        let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
        let binding = json!({"metadata": {"name": "one"}, "target": target});
        place.call("POST", &format!("{PODS}/one/binding"), binding).await
    };
    Ok(json!({"first": bound("nowhere").await?, "second": bound("elsewhere").await?}))
}

async fn a_binding_is_an_object_too(place: Place) -> Outcome {
    place.call("POST", PODS, pod()).await?;
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": "nowhere"});
    let binding = |name: &str| json!({"metadata": {"name": name}, "target": target});
    let path = "/api/v1/namespaces/@NS/bindings";
    Ok(json!({
        "one": place.call("POST", path, binding("one")).await?,
        "again": place.call("POST", path, binding("one")).await?,
        "two": place.call("POST", path, binding("two")).await?,
    }))
}

async fn a_pod_keeps_its_number_of_containers(place: Place) -> Outcome {
    changed_pod(&place, json!({"spec": {"containers": [{"name": "b", "image": "example.com/b:1"}]}})).await
}

async fn a_pod_needs_an_image(place: Place) -> Outcome {
    changed_pod(&place, json!({"spec": {"containers": [{"name": "a", "image": null}]}})).await
}

/// The tolerations that every pod is given, and one more.
async fn a_pod_takes_more_tolerations(place: Place) -> Outcome {
    place.call("POST", PODS, pod()).await?;
    let made = place.get(&format!("{PODS}/one")).await?;
    let mut tolerations = made["body"]["spec"]["tolerations"].clone();
    let more = json!({"key": "mine", "operator": "Exists", "effect": "NoSchedule"});
    tolerations.as_array_mut().ok_or("a pod is given tolerations")?.push(more);
    let change = json!({"spec": {"tolerations": tolerations}});
    Ok(essence(&place.call("PATCH", &format!("{PODS}/one"), change).await?))
}

async fn a_pod_keeps_the_tolerations_it_has(place: Place) -> Outcome {
    let mut tolerant = pod();
    tolerant["spec"]["tolerations"] = json!([{"key": "mine", "operator": "Exists"}]);
    changed(
        &place,
        PODS,
        tolerant,
        json!({"spec": {"tolerations": [{"key": "other", "operator": "Exists"}]}}),
    )
    .await
}

async fn a_pod_may_be_given_less_time(place: Place) -> Outcome {
    place.call("POST", PODS, pod()).await?;
    let mut codes = json!({});
    for (word, seconds) in
        [("first", json!(60)), ("less", json!(30)), ("more", json!(90)), ("none", json!(null))]
    {
        let change = json!({"spec": {"activeDeadlineSeconds": seconds}});
        let answer = essence(&place.call("PATCH", &format!("{PODS}/one"), change).await?);
        codes[word] = answer["code"].clone();
        codes[format!("{word} because")] = answer["causes"].clone();
    }
    Ok(codes)
}

async fn a_pod_loses_gates_and_gains_none(place: Place) -> Outcome {
    let mut gated = pod();
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/one"}]);
    place.call("POST", PODS, gated).await?;
    let gate = async |gates: Value| {
        let change = json!({"spec": {"schedulingGates": gates}});
        Ok::<_, BoxError>(essence(&place.call("PATCH", &format!("{PODS}/one"), change).await?))
    };
    let gained = gate(json!([{"name": "example.com/one"}, {"name": "example.com/two"}])).await?;
    let lost = gate(json!([])).await?;
    Ok(json!({"gained": gained, "lost": lost["code"]}))
}

/// A workload of an API in `apps`.
fn workload() -> Value {
    json!({
        "metadata": {"name": "one"},
        "spec": {
            "selector": {"matchLabels": {"app": "one"}},
            "template": {
                "metadata": {"labels": {"app": "one"}},
                "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "example.com/a:1"}]},
            },
        },
    })
}

async fn selects_anew(place: &Place, plural: &str) -> Outcome {
    let labels = json!({"app": "two"});
    let template = json!({"metadata": {"labels": labels}});
    let change = json!({"spec": {"selector": {"matchLabels": labels}, "template": template}});
    changed(place, &format!("/apis/apps/v1/namespaces/@NS/{plural}"), workload(), change).await
}

async fn a_deployment_keeps_its_selector(place: Place) -> Outcome {
    selects_anew(&place, "deployments").await
}

async fn a_replica_set_keeps_its_selector(place: Place) -> Outcome {
    selects_anew(&place, "replicasets").await
}

async fn a_daemon_set_keeps_its_selector(place: Place) -> Outcome {
    selects_anew(&place, "daemonsets").await
}

const SETS: &str = "/apis/apps/v1/namespaces/@NS/statefulsets";

async fn a_stateful_set_keeps_its_service(place: Place) -> Outcome {
    changed(&place, SETS, workload(), json!({"spec": {"serviceName": "two"}})).await
}

async fn a_stateful_set_takes_another_template(place: Place) -> Outcome {
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    changed(&place, SETS, workload(), change).await
}

fn job() -> Value {
    let spec = json!({
        "restartPolicy": "Never", "nodeSelector": {"no": "node"},
        "containers": [{"name": "a", "image": "example.com/a:1"}],
    });
    json!({"metadata": {"name": "one"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}})
}

async fn a_job_keeps_its_template(place: Place) -> Outcome {
    let change = json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}});
    changed(&place, JOBS, job(), change).await
}

async fn a_job_keeps_its_completions(place: Place) -> Outcome {
    changed(&place, JOBS, job(), json!({"spec": {"completions": 3}})).await
}

async fn a_job_takes_more_parallelism(place: Place) -> Outcome {
    changed(&place, JOBS, job(), json!({"spec": {"parallelism": 2}})).await
}

fn claim(place: &Place) -> Value {
    json!({
        "metadata": {"name": "one"},
        "spec": {
            "storageClassName": place.namespace, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    })
}

async fn a_claim_keeps_its_modes(place: Place) -> Outcome {
    changed(&place, CLAIMS, claim(&place), json!({"spec": {"accessModes": ["ReadOnlyMany"]}})).await
}

async fn a_claim_that_is_not_bound_keeps_its_size(place: Place) -> Outcome {
    let change = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    changed(&place, CLAIMS, claim(&place), change).await
}

async fn a_storage_class_keeps_its_parameters(place: Place) -> Outcome {
    let class = json!({
        "metadata": {"name": place.namespace}, "provisioner": "example.com/disks", "parameters": {"kind": "fast"},
    });
    let change = json!({"parameters": {"kind": "slow"}});
    changed(&place, "/apis/storage.k8s.io/v1/storageclasses", class, change).await
}

async fn a_priority_class_keeps_its_value(place: Place) -> Outcome {
    let class = json!({"metadata": {"name": place.namespace}, "value": 10});
    changed(&place, "/apis/scheduling.k8s.io/v1/priorityclasses", class, json!({"value": 20})).await
}

async fn an_ingress_class_keeps_its_controller(place: Place) -> Outcome {
    let class = json!({"metadata": {"name": place.namespace}, "spec": {"controller": "example.com/one"}});
    let change = json!({"spec": {"controller": "example.com/two"}});
    changed(&place, "/apis/networking.k8s.io/v1/ingressclasses", class, change).await
}

async fn a_slice_of_endpoints_keeps_its_type(place: Place) -> Outcome {
    let slice = json!({"metadata": {"name": "one"}, "addressType": "IPv4", "endpoints": []});
    let path = "/apis/discovery.k8s.io/v1/namespaces/@NS/endpointslices";
    changed(&place, path, slice, json!({"addressType": "FQDN"})).await
}

async fn a_role_binding_keeps_its_role(place: Place) -> Outcome {
    let role = |name| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
    let binding = json!({"metadata": {"name": "one"}, "roleRef": role("view"), "subjects": []});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/@NS/rolebindings";
    changed(&place, path, binding, json!({"roleRef": role("edit")})).await
}
