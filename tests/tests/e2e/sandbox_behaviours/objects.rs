//! Objects: made, read, replaced, and refused.

use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret, Service},
    networking::v1::NetworkPolicy,
};
use kube::{ResourceExt, api::PostParams};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{map, post, said, typed},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const MAPS: &str = "/api/v1/namespaces/@NS/configmaps?fieldManager=suite";

pub(super) const CASES: &[Row] = rows![
    what_is_made_has_what_the_server_gives shows "\"manager\": \"suite\"", "\"uid\": \"UID\"";
    what_is_there_cannot_be_made_again shows "configmaps \\\"one\\\" already exists";
    a_name_must_be_a_name shows "Invalid value: \\\"No_Name\\\"", "\"code\": 422";
    a_name_must_be_given shows "name or generateName is required";
    a_name_can_be_generated shows "\"begins\": true", "\"long\": 10";
    a_generated_name_must_be_a_name_too shows "\"code\": 422";
    a_namespace_must_be_there shows "namespaces \\\"nowhere\\\" not found";
    an_object_belongs_where_it_is_sent shows "does not match the namespace";
    an_object_is_of_the_kind_it_is_sent_to shows "\"code\": 400";
    a_new_object_has_no_version shows "resourceVersion should not be set";
    a_writer_that_is_late_is_told shows "the object has been modified";
    a_writer_that_names_no_version_wins shows "\"k\": \"3\"";
    what_is_not_there_cannot_be_replaced shows "\"code\": 404";
    an_object_cannot_be_renamed shows "does not match the name on the URL";
    another_object_of_the_name_is_not_replaced shows "Precondition failed", "\"code\": 409";
    the_same_again_has_no_new_version shows "\"same\": true";
    the_generation_counts_what_is_wanted shows "\"after a label\": 1", "\"after the spec\": 2";
    a_dry_run_makes_nothing shows "\"made\": 201", "\"there\": 404";
    a_dry_run_judges shows "already exists";
    a_dry_run_is_for_all shows "Unsupported value";
    an_unknown_field_is_refused_when_asked shows "unknown field \\\"dada\\\"", "\"code\": 400";
    an_unknown_field_is_warned_of shows "299 - \\\"unknown field";
    an_unknown_field_can_be_ignored shows "\"warnings\": []", "\"code\": 201";
    a_field_given_twice_is_warned_of shows "duplicate field";
    a_field_has_its_type shows "cannot unmarshal";
    a_label_has_a_form shows "metadata.labels";
    an_annotation_has_a_form shows "metadata.annotations";
    a_finalizer_has_a_form shows "metadata.finalizers";
    an_owner_is_named_in_full shows "metadata.ownerReferences", "\"code\": 422";
    a_key_of_a_map_has_a_form shows "data[not a key]";
    a_map_has_a_size shows "Too long";
    what_is_immutable_stays shows "field is immutable when `immutable` is set";
    text_of_a_secret_is_encoded shows "\"k\": \"dg==\"";
    a_secret_keeps_its_type shows "field is immutable";
    a_secret_of_a_type_has_its_keys shows "Required value";
    a_service_gets_an_address shows "\"clusterIP\": \"ADDRESS\"", "\"sessionAffinity\": \"None\"";
    a_service_without_ports_is_refused shows "spec.ports: Required value";
    a_service_of_no_address_has_none shows "\"clusterIP\": \"None\"";
    a_service_by_another_name_has_no_address shows "\"externalName\": \"example.com\"";
    a_service_keeps_its_address shows "spec.clusterIPs";
    ports_of_a_service_have_names shows "spec.ports[0].name";
    a_node_port_is_chosen shows "\"nodePort\": PORT";
    the_time_of_deletion_cannot_be_given shows "\"deletionTimestamp\": null";
    a_word_is_no_body shows "\"code\": 400";
    a_body_of_another_type_is_refused shows "\"code\": 415";
];

async fn what_is_made_has_what_the_server_gives(place: Place) -> Outcome {
    Ok(said(place.maps().create(&post(), &map("one", "1")).await))
}

async fn what_is_there_cannot_be_made_again(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    Ok(said(place.maps().create(&post(), &map("one", "2")).await))
}

async fn a_name_must_be_a_name(place: Place) -> Outcome {
    Ok(said(place.maps().create(&post(), &map("No_Name", "1")).await))
}

async fn a_name_must_be_given(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {}})).await
}

async fn a_name_can_be_generated(place: Place) -> Outcome {
    let wanted: ConfigMap = typed(json!({"metadata": {"generateName": "some-"}}));
    let made = place.maps().create(&post(), &wanted).await?;
    let name = made.name_any();
    Ok(json!({"begins": name.starts_with("some-"), "long": name.len(), "from": made.metadata.generate_name}))
}

async fn a_generated_name_must_be_a_name_too(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"generateName": "No_"}})).await.map(|answer| {
        // the message repeats the name, which is random
        json!({"code": answer["code"], "reason": answer["body"]["reason"]})
    })
}

async fn a_namespace_must_be_there(place: Place) -> Outcome {
    place.call("POST", "/api/v1/namespaces/nowhere/configmaps", json!({"metadata": {"name": "one"}})).await
}

async fn an_object_belongs_where_it_is_sent(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "namespace": "default"}})).await
}

async fn an_object_is_of_the_kind_it_is_sent_to(place: Place) -> Outcome {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}});
    place.call("POST", MAPS, secret).await
}

async fn a_new_object_has_no_version(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "resourceVersion": "5"}})).await
}

async fn a_writer_that_is_late_is_told(place: Place) -> Outcome {
    let made = place.maps().create(&post(), &map("one", "1")).await?;
    let mut second = made.clone();
    second.data = map("one", "2").data;
    place.maps().replace("one", &post(), &second).await?;
    Ok(said(place.maps().replace("one", &post(), &second).await))
}

async fn a_writer_that_names_no_version_wins(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    place.maps().replace("one", &post(), &map("one", "2")).await?;
    Ok(said(place.maps().replace("one", &post(), &map("one", "3")).await))
}

async fn what_is_not_there_cannot_be_replaced(place: Place) -> Outcome {
    Ok(said(place.maps().replace("one", &post(), &map("one", "3")).await))
}

async fn an_object_cannot_be_renamed(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let path = "/api/v1/namespaces/@NS/configmaps/one";
    place.call("PUT", path, json!({"metadata": {"name": "two"}})).await
}

async fn another_object_of_the_name_is_not_replaced(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let mut other = map("one", "2");
    other.metadata.uid = Some("00000000-0000-4000-8000-000000000000".into());
    Ok(said(place.maps().replace("one", &post(), &other).await))
}

async fn the_same_again_has_no_new_version(place: Place) -> Outcome {
    let made = place.maps().create(&post(), &map("one", "1")).await?;
    let again = place.maps().replace("one", &post(), &made).await?;
    Ok(json!({"same": made.resource_version() == again.resource_version()}))
}

async fn the_generation_counts_what_is_wanted(place: Place) -> Outcome {
    let policies = place.of::<NetworkPolicy>();
    let mut policy: NetworkPolicy = typed(json!({"metadata": {"name": "one"}, "spec": {"podSelector": {}}}));
    let made = policies.create(&post(), &policy).await?;
    policy.labels_mut().insert("a".into(), "b".into());
    let labelled = policies.replace("one", &post(), &policy).await?;
    policy.spec = typed(json!({"podSelector": {"matchLabels": {"a": "b"}}}));
    let changed = policies.replace("one", &post(), &policy).await?;
    Ok(json!({
        "made": made,
        "after a label": labelled.metadata.generation,
        "after the spec": changed.metadata.generation,
    }))
}

async fn a_dry_run_makes_nothing(place: Place) -> Outcome {
    let body = json!({"metadata": {"name": "one"}});
    let made = place.call("POST", &format!("{MAPS}&dryRun=All"), body).await?;
    let there = place.get("/api/v1/namespaces/@NS/configmaps/one").await?;
    Ok(json!({"made": made["code"], "what": made["body"]["metadata"], "there": there["code"]}))
}

async fn a_dry_run_judges(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let params = PostParams { dry_run: true, ..post() };
    Ok(said(place.maps().create(&params, &map("one", "1")).await))
}

async fn a_dry_run_is_for_all(place: Place) -> Outcome {
    place.call("POST", &format!("{MAPS}&dryRun=Some"), json!({"metadata": {"name": "one"}})).await
}

async fn unknown(place: &Place, validation: &str) -> Outcome {
    let body = json!({"metadata": {"name": "one"}, "dada": {"k": "v"}});
    place.call("POST", &format!("{MAPS}&fieldValidation={validation}"), body).await
}

async fn an_unknown_field_is_refused_when_asked(place: Place) -> Outcome {
    unknown(&place, "Strict").await
}

async fn an_unknown_field_is_warned_of(place: Place) -> Outcome {
    unknown(&place, "Warn").await
}

async fn an_unknown_field_can_be_ignored(place: Place) -> Outcome {
    unknown(&place, "Ignore").await
}

async fn a_field_given_twice_is_warned_of(place: Place) -> Outcome {
    let body = br#"{"metadata": {"name": "one"}, "data": {"k": "1"}, "data": {"k": "2"}}"#;
    Ok(place.send("POST", MAPS, &[("content-type", "application/json")], body.to_vec()).await?.value())
}

async fn a_field_has_its_type(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one"}, "data": {"k": 5}})).await
}

async fn a_label_has_a_form(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "labels": {"a": "not a value"}}})).await
}

async fn an_annotation_has_a_form(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "annotations": {"not a key": "b"}}})).await
}

async fn a_finalizer_has_a_form(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "finalizers": ["mine"]}})).await
}

async fn an_owner_is_named_in_full(place: Place) -> Outcome {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "two", "uid": ""});
    place.call("POST", MAPS, json!({"metadata": {"name": "one", "ownerReferences": [owner]}})).await
}

async fn a_key_of_a_map_has_a_form(place: Place) -> Outcome {
    place.call("POST", MAPS, json!({"metadata": {"name": "one"}, "data": {"not a key": "v"}})).await
}

async fn a_map_has_a_size(place: Place) -> Outcome {
    let long = "x".repeat(1024 * 1024 + 1);
    place.call("POST", MAPS, json!({"metadata": {"name": "one"}, "data": {"k": long}})).await
}

async fn what_is_immutable_stays(place: Place) -> Outcome {
    let sealed: ConfigMap =
        typed(json!({"metadata": {"name": "one"}, "immutable": true, "data": {"k": "1"}}));
    place.maps().create(&post(), &sealed).await?;
    Ok(said(place.maps().replace("one", &post(), &map("one", "2")).await))
}

async fn text_of_a_secret_is_encoded(place: Place) -> Outcome {
    let body = json!({"metadata": {"name": "one"}, "stringData": {"k": "v"}, "data": {"l": "dg=="}});
    place.call("POST", "/api/v1/namespaces/@NS/secrets?fieldManager=suite", body).await
}

async fn a_secret_keeps_its_type(place: Place) -> Outcome {
    let secrets = place.of::<Secret>();
    secrets.create(&post(), &typed(json!({"metadata": {"name": "one"}}))).await?;
    let other: Secret = typed(json!({"metadata": {"name": "one"}, "type": "example.com/other"}));
    Ok(said(secrets.replace("one", &post(), &other).await))
}

async fn a_secret_of_a_type_has_its_keys(place: Place) -> Outcome {
    let body = json!({"metadata": {"name": "one"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "dg=="}});
    place.call("POST", "/api/v1/namespaces/@NS/secrets?fieldManager=suite", body).await
}

async fn service(place: &Place, spec: Value) -> Value {
    let service = typed(json!({"metadata": {"name": "one"}, "spec": spec}));
    said(place.of::<Service>().create(&post(), &service).await)
}

async fn a_service_gets_an_address(place: Place) -> Outcome {
    Ok(service(&place, json!({"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}]})).await)
}

async fn a_service_without_ports_is_refused(place: Place) -> Outcome {
    Ok(service(&place, json!({"selector": {"a": "b"}})).await)
}

async fn a_service_of_no_address_has_none(place: Place) -> Outcome {
    Ok(service(&place, json!({"clusterIP": "None", "selector": {"a": "b"}})).await)
}

async fn a_service_by_another_name_has_no_address(place: Place) -> Outcome {
    Ok(service(&place, json!({"type": "ExternalName", "externalName": "example.com"})).await)
}

async fn a_service_keeps_its_address(place: Place) -> Outcome {
    let made = service(&place, json!({"ports": [{"port": 80}]})).await;
    let mut other = made.clone();
    other["spec"]["clusterIP"] = json!("10.96.255.250");
    other["spec"]["clusterIPs"] = json!(["10.96.255.250"]);
    Ok(said(place.of::<Service>().replace("one", &post(), &typed(other)).await))
}

async fn ports_of_a_service_have_names(place: Place) -> Outcome {
    Ok(service(&place, json!({"ports": [{"port": 80}, {"port": 81}]})).await)
}

async fn a_node_port_is_chosen(place: Place) -> Outcome {
    Ok(service(&place, json!({"type": "NodePort", "ports": [{"port": 80}]})).await)
}

async fn the_time_of_deletion_cannot_be_given(place: Place) -> Outcome {
    let body = json!({"metadata": {"name": "one", "deletionTimestamp": "2030-01-01T00:00:00Z"}});
    let made = place.call("POST", MAPS, body).await?;
    let metadata = &made["body"]["metadata"];
    Ok(json!({"code": made["code"], "deletionTimestamp": metadata["deletionTimestamp"]}))
}

async fn a_word_is_no_body(place: Place) -> Outcome {
    let answer = place.send("POST", MAPS, &[("content-type", "application/json")], b"word".to_vec()).await?;
    Ok(answer.value())
}

async fn a_body_of_another_type_is_refused(place: Place) -> Outcome {
    let answer = place.send("POST", MAPS, &[("content-type", "text/plain")], b"word".to_vec()).await?;
    Ok(answer.value())
}
