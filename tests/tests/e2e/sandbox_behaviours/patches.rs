//! Patches of every kind, and who owns which field.

use k8s_openapi::api::core::v1::PodTemplate;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{map, patch, post, said, typed},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const ONE: &str = "/api/v1/namespaces/@NS/configmaps/one?fieldManager=suite";

pub(super) const CASES: &[Row] = rows![
    a_json_patch_adds_moves_and_removes shows "\"m\": \"1\"";
    a_json_patch_tests shows "\"code\": 422";
    a_json_patch_goes_to_places_that_are shows "\"code\": 422";
    a_json_patch_is_a_list shows "\"code\": 400";
    a_merge_patch_removes_by_null shows "\"new\": \"1\"";
    a_merge_patch_replaces_lists shows "\"example.com/b\"";
    a_strategic_patch_merges_containers_by_name shows "example.com/side:1", "example.com/web:2";
    a_strategic_patch_deletes_by_directive shows "\"containers\"";
    a_strategic_patch_replaces_by_directive shows "\"only\"";
    a_strategic_patch_orders shows "\"order\": [\n    \"two\",\n    \"one\"\n  ]";
    a_strategic_patch_merges_ports_by_number shows "\"containerPort\": 81";
    a_patch_of_another_type_is_refused shows "\"code\": 415";
    a_patch_of_what_is_not_there_is_refused shows "\"code\": 404";
    a_patch_cannot_rename shows "\"code\": 400";
    a_patch_with_an_old_version_is_a_conflict shows "\"code\": 409";
    a_patch_that_changes_nothing_has_no_new_version shows "\"same\": true";
    a_patch_can_be_tried shows "\"tried\": \"2\"", "\"there\": \"1\"";
    a_patch_is_judged_strictly_when_asked shows "unknown field";
    a_patch_gives_a_field_its_type shows "cannot unmarshal number", "\"code\": 422";
    a_strategic_patch_is_judged_strictly_too shows "unknown field", "\"code\": 422";
    apply_makes_what_is_not_there shows "\"operation\": \"Apply\"";
    apply_needs_a_manager shows "fieldManager: Required value";
    apply_takes_no_managed_fields shows "metadata.managedFields must be nil";
    apply_of_another_manager_is_a_conflict shows "conflict with \\\"suite\\\"", ".data.k";
    apply_by_force_takes_over shows "\"manager\": \"other\"";
    apply_of_the_same_value_is_shared shows "\"manager\": \"other\"", "\"manager\": \"suite\"";
    apply_removes_what_is_left_out shows "\"data\": null";
    apply_leaves_what_others_own shows "\"theirs\": \"1\"";
    apply_the_same_again_has_no_new_version shows "\"same\": true";
    apply_merges_containers_by_name shows "example.com/side:1";
    apply_can_be_tried shows "\"there\": 404";
    force_is_for_apply_alone shows "\"code\": 422";
    owners_can_be_forgotten shows "\"managedFields\": null";
    updates_take_over_fields_of_apply shows "\"operation\": \"Update\"";
    a_manager_has_a_form shows "fieldManager";
];

/// `one` with some data.
async fn one(place: &Place) -> Result<(), BoxError> {
    place.maps().create(&post(), &map("one", "1")).await?;
    Ok(())
}

async fn patched(place: &Place, kind: &str, body: Value) -> Outcome {
    let kind = format!("application/{kind}");
    let answer = place.send("PATCH", ONE, &[("content-type", &kind)], body.to_string().into_bytes()).await?;
    Ok(answer.value())
}

async fn a_json_patch_adds_moves_and_removes(place: Place) -> Outcome {
    one(&place).await?;
    let operations = json!([
        {"op": "test", "path": "/data/k", "value": "1"},
        {"op": "move", "from": "/data/k", "path": "/data/m"},
        {"op": "add", "path": "/data/a~1b", "value": "2"},
        {"op": "copy", "from": "/data/m", "path": "/data/n"},
        {"op": "replace", "path": "/metadata/labels/v", "value": "2"},
        {"op": "add", "path": "/metadata/annotations", "value": {"example.com/x": "y"}},
        {"op": "remove", "path": "/data/n"},
        {"op": "remove", "path": "/data/a~1b"},
    ]);
    patched(&place, "json-patch+json", operations).await
}

async fn a_json_patch_tests(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "json-patch+json", json!([{"op": "test", "path": "/data/k", "value": "2"}])).await
}

async fn a_json_patch_goes_to_places_that_are(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "json-patch+json", json!([{"op": "remove", "path": "/data/nowhere"}])).await
}

async fn a_json_patch_is_a_list(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "json-patch+json", json!({"op": "remove"})).await
}

async fn a_merge_patch_removes_by_null(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "merge-patch+json", json!({"data": {"k": null, "new": "1"}})).await
}

async fn a_merge_patch_replaces_lists(place: Place) -> Outcome {
    one(&place).await?;
    let held = |name: &str| json!({"metadata": {"finalizers": [format!("example.com/{name}")]}});
    patched(&place, "merge-patch+json", held("a")).await?;
    let changed = patched(&place, "merge-patch+json", held("b")).await?;
    patched(&place, "merge-patch+json", json!({"metadata": {"finalizers": null}})).await?;
    Ok(changed)
}

/// A pod template that nobody works on, with two containers.
async fn template(place: &Place) -> Result<Api<PodTemplate>, BoxError> {
    let templates = place.of::<PodTemplate>();
    let template = typed(json!({
        "metadata": {"name": "one"},
        "template": {"spec": {"containers": [
            {"name": "one", "image": "example.com/web:1", "ports": [{"containerPort": 80}], "args": ["a", "b"]},
            {"name": "two", "image": "example.com/two:1"},
        ]}},
    }));
    templates.create(&post(), &template).await?;
    Ok(templates)
}

async fn strategic(place: &Place, spec: Value) -> Outcome {
    let templates = template(place).await?;
    let change = Patch::Strategic(json!({"template": {"spec": spec}}));
    Ok(said(templates.patch("one", &patch(), &change).await))
}

async fn a_strategic_patch_merges_containers_by_name(place: Place) -> Outcome {
    strategic(
        &place,
        json!({"containers": [
            {"name": "one", "image": "example.com/web:2", "args": ["c"]},
            {"name": "side", "image": "example.com/side:1"},
        ]}),
    )
    .await
}

async fn a_strategic_patch_deletes_by_directive(place: Place) -> Outcome {
    strategic(&place, json!({"containers": [{"name": "two", "$patch": "delete"}]})).await
}

async fn a_strategic_patch_replaces_by_directive(place: Place) -> Outcome {
    strategic(
        &place,
        json!({"containers": [{"name": "only", "image": "example.com/only:1"}, {"$patch": "replace"}]}),
    )
    .await
}

async fn a_strategic_patch_orders(place: Place) -> Outcome {
    let changed =
        strategic(&place, json!({"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]})).await?;
    let containers = changed["template"]["spec"]["containers"].as_array().into_iter().flatten();
    Ok(json!({"order": containers.map(|it| it["name"].clone()).collect::<Vec<_>>()}))
}

async fn a_strategic_patch_merges_ports_by_number(place: Place) -> Outcome {
    strategic(&place, json!({"containers": [{"name": "one", "ports": [{"containerPort": 81}]}]})).await
}

async fn a_patch_of_another_type_is_refused(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "json", json!({"data": {"k": "2"}})).await
}

async fn a_patch_of_what_is_not_there_is_refused(place: Place) -> Outcome {
    patched(&place, "merge-patch+json", json!({"data": {"k": "2"}})).await
}

async fn a_patch_cannot_rename(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "merge-patch+json", json!({"metadata": {"name": "two"}})).await
}

async fn a_patch_with_an_old_version_is_a_conflict(place: Place) -> Outcome {
    one(&place).await?;
    patched(&place, "merge-patch+json", json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "2"}}))
        .await
}

async fn a_patch_that_changes_nothing_has_no_new_version(place: Place) -> Outcome {
    let before = place.maps().create(&post(), &map("one", "1")).await?;
    let after = place.maps().patch("one", &patch(), &Patch::Merge(json!({"data": {"k": "1"}}))).await?;
    Ok(json!({"same": before.resource_version() == after.resource_version()}))
}

async fn a_patch_can_be_tried(place: Place) -> Outcome {
    one(&place).await?;
    let change = Patch::Merge(json!({"data": {"k": "2"}}));
    let tried = said(place.maps().patch("one", &patch().dry_run(), &change).await);
    let there = said(place.maps().get("one").await);
    Ok(json!({"tried": tried["data"]["k"], "there": there["data"]["k"]}))
}

async fn a_patch_is_judged_strictly_when_asked(place: Place) -> Outcome {
    one(&place).await?;
    let change = Patch::Merge(json!({"dada": {"k": "2"}}));
    Ok(said(place.maps().patch("one", &patch().validation_strict(), &change).await))
}

async fn a_patch_gives_a_field_its_type(place: Place) -> Outcome {
    one(&place).await?;
    let change = Patch::Merge(json!({"data": {"k": 2}}));
    Ok(said(place.maps().patch("one", &patch(), &change).await))
}

async fn a_strategic_patch_is_judged_strictly_too(place: Place) -> Outcome {
    one(&place).await?;
    let change = Patch::Strategic(json!({"dada": {"k": "2"}, "data": {"k": "2"}}));
    Ok(said(place.maps().patch("one", &patch().validation_strict(), &change).await))
}

fn wanted(data: Value) -> Patch<Value> {
    Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": data}))
}

async fn applied(place: &Place, manager: &str, data: Value) -> Value {
    said(place.maps().patch("one", &PatchParams::apply(manager), &wanted(data)).await)
}

async fn apply_makes_what_is_not_there(place: Place) -> Outcome {
    Ok(applied(&place, "suite", json!({"k": "1"})).await)
}

async fn apply_needs_a_manager(place: Place) -> Outcome {
    let body = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}".to_vec();
    let path = "/api/v1/namespaces/@NS/configmaps/one";
    Ok(place.send("PATCH", path, &[("content-type", "application/apply-patch+yaml")], body).await?.value())
}

async fn apply_takes_no_managed_fields(place: Place) -> Outcome {
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "one", "managedFields": [{"manager": "x", "operation": "Apply", "apiVersion": "v1"}]},
    });
    patched(&place, "apply-patch+yaml", body).await
}

async fn apply_of_another_manager_is_a_conflict(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1", "l": "1"})).await;
    Ok(applied(&place, "other", json!({"k": "2", "l": "1"})).await)
}

async fn apply_by_force_takes_over(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1"})).await;
    let force = PatchParams::apply("other").force();
    Ok(said(place.maps().patch("one", &force, &wanted(json!({"k": "2"}))).await))
}

async fn apply_of_the_same_value_is_shared(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1"})).await;
    Ok(applied(&place, "other", json!({"k": "1"})).await)
}

async fn apply_removes_what_is_left_out(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1"})).await;
    let after = applied(&place, "suite", Value::Null).await;
    Ok(json!({"data": after["data"], "managed": after["metadata"]["managedFields"]}))
}

async fn apply_leaves_what_others_own(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1"})).await;
    place.maps().patch("one", &patch(), &Patch::Merge(json!({"data": {"theirs": "1"}}))).await?;
    Ok(applied(&place, "suite", json!({"l": "2"})).await)
}

async fn apply_the_same_again_has_no_new_version(place: Place) -> Outcome {
    let first = applied(&place, "suite", json!({"k": "1"})).await;
    let again = applied(&place, "suite", json!({"k": "1"})).await;
    let version = |it: &Value| it["metadata"]["resourceVersion"].clone();
    Ok(json!({"same": version(&first) == version(&again)}))
}

async fn apply_merges_containers_by_name(place: Place) -> Outcome {
    let templates = template(&place).await?;
    let side = Patch::Apply(json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "one"},
        "template": {"spec": {"containers": [{"name": "side", "image": "example.com/side:1"}]}},
    }));
    Ok(said(templates.patch("one", &PatchParams::apply("other"), &side).await))
}

async fn apply_can_be_tried(place: Place) -> Outcome {
    let params = PatchParams::apply("suite").dry_run();
    let tried = said(place.maps().patch("one", &params, &wanted(json!({"k": "1"}))).await);
    let there = said(place.maps().get("one").await);
    Ok(json!({"tried": tried["data"], "there": there["code"]}))
}

async fn force_is_for_apply_alone(place: Place) -> Outcome {
    one(&place).await?;
    let body = json!({"data": {"k": "2"}}).to_string().into_bytes();
    let path = format!("{ONE}&force=true");
    Ok(place.send("PATCH", &path, &[("content-type", "application/merge-patch+json")], body).await?.value())
}

async fn owners_can_be_forgotten(place: Place) -> Outcome {
    one(&place).await?;
    let change = Patch::Merge(json!({"metadata": {"managedFields": [{}]}}));
    let after = said(place.maps().patch("one", &patch(), &change).await);
    Ok(json!({"managedFields": after["metadata"]["managedFields"], "data": after["data"]}))
}

async fn updates_take_over_fields_of_apply(place: Place) -> Outcome {
    applied(&place, "suite", json!({"k": "1", "l": "1"})).await;
    Ok(said(place.maps().patch("one", &patch(), &Patch::Merge(json!({"data": {"k": "2"}}))).await))
}

async fn a_manager_has_a_form(place: Place) -> Outcome {
    let path = format!("/api/v1/namespaces/@NS/configmaps?fieldManager={}", "x".repeat(129));
    place.call("POST", &path, json!({"metadata": {"name": "one"}})).await
}
