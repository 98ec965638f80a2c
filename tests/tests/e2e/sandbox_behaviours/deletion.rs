//! Deleting, and what follows: preconditions, finalizers, owners, namespaces.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, Preconditions},
    runtime::{
        conditions::is_deleted,
        wait::{Condition, await_condition},
    },
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{map, names, patch, post, said, typed},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

/// Controllers get this long.
const PATIENCE: Duration = Duration::from_secs(60);
const ONE: &str = "/api/v1/namespaces/@NS/configmaps/one";

pub(super) const CASES: &[Row] = rows![
    what_is_deleted_is_named shows "\"status\": \"Success\"", "\"uid\": \"UID\"";
    what_is_gone_cannot_be_deleted shows "\"code\": 404";
    another_object_of_the_name_is_not_deleted shows "the UID in the precondition";
    a_changed_object_is_not_deleted_when_asked shows "the ResourceVersion in the precondition";
    the_very_object_is_deleted shows "\"Success\"";
    a_deletion_can_be_tried shows "\"there\": 200";
    a_policy_is_a_word shows "propagationPolicy";
    a_policy_and_orphans_are_too_much shows "\"code\": 422";
    a_finalizer_holds_an_object shows "\"held\": 200", "\"gone\": 404";
    what_is_held_is_shown_with_its_time shows "\"deletionGracePeriodSeconds\": 0", "\"deletionTimestamp\": \"TIME\"";
    what_is_going_takes_no_new_finalizers shows "no new finalizers can be added";
    what_is_going_can_be_changed shows "\"k\": \"2\"";
    what_is_going_can_be_deleted_again shows "\"deletionTimestamp\": \"TIME\"";
    what_is_owned_goes_with_its_owner shows "\"gone\": true";
    what_is_owned_goes_first_in_the_foreground shows "foregroundDeletion", "\"gone\": true";
    what_is_owned_can_be_orphaned shows "\"ownerReferences\": null";
    what_has_two_owners_stays_with_the_second shows "\"second\"";
    what_nobody_owns_is_collected shows "\"gone\": true";
    two_controllers_are_too_many shows "Only one reference can have Controller set to true";
    a_selection_goes_and_the_rest_stays shows "\"two\"";
    a_namespace_takes_its_content_along shows "\"map\": 404", "\"namespace\": 404";
    a_namespace_that_is_going_takes_nothing_new shows "because it is being terminated", "NamespaceTerminating";
    a_namespace_waits_for_what_is_held shows "\"phase\": \"Terminating\"", "SomeFinalizersRemain";
    a_namespace_has_a_label_of_its_name shows "kubernetes.io/metadata.name";
    a_namespace_is_finalized_by_its_own_address shows "\"gone\": true";
    a_pod_that_nobody_runs_goes_at_once shows "\"gone\": 404";
];

async fn held(place: &Place) -> Result<ConfigMap, BoxError> {
    let mut held = map("one", "1");
    held.metadata.finalizers = Some(vec!["example.com/held".into()]);
    Ok(place.maps().create(&post(), &held).await?)
}

async fn free(place: &Place) -> Value {
    let change = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    said(place.maps().patch("one", &patch(), &change).await)
}

async fn deleted(place: &Place, params: DeleteParams) -> Value {
    match place.maps().delete("one", &params).await {
        Ok(answer) => answer.either(|object| said(Ok(object)), |status| said(Ok(status))),
        Err(error) => said::<Value>(Err(error)),
    }
}

/// Waits until a map is as a condition wants it.
async fn until(place: &Place, name: &str, condition: impl Condition<ConfigMap>) -> Result<(), BoxError> {
    let awaited = await_condition(place.maps(), name, condition);
    tokio::time::timeout(PATIENCE, awaited).await??;
    Ok(())
}

async fn what_is_deleted_is_named(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    Ok(deleted(&place, DeleteParams::default()).await)
}

async fn what_is_gone_cannot_be_deleted(place: Place) -> Outcome {
    Ok(deleted(&place, DeleteParams::default()).await)
}

fn only(uid: Option<String>, resource_version: Option<String>) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions { uid, resource_version })
}

async fn another_object_of_the_name_is_not_deleted(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    Ok(deleted(&place, only(Some("00000000-0000-4000-8000-000000000000".into()), None)).await)
}

async fn a_changed_object_is_not_deleted_when_asked(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let mut refused = deleted(&place, only(None, Some("1".into()))).await;
    // it names the version
    let message = refused["message"].as_str().unwrap_or_default();
    let words =
        message.split_whitespace().filter(|word| word.trim_matches(['(', ')', '.']).parse::<u64>().is_err());
    refused["message"] = json!(words.collect::<Vec<_>>().join(" "));
    Ok(refused)
}

async fn the_very_object_is_deleted(place: Place) -> Outcome {
    let made = place.maps().create(&post(), &map("one", "1")).await?;
    Ok(deleted(&place, only(made.uid(), made.resource_version())).await)
}

async fn a_deletion_can_be_tried(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let tried = deleted(&place, DeleteParams::default().dry_run()).await;
    Ok(json!({"tried": tried, "there": place.get(ONE).await?["code"]}))
}

async fn a_policy_is_a_word(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    place.call("DELETE", &format!("{ONE}?propagationPolicy=Some"), Value::Null).await
}

async fn a_policy_and_orphans_are_too_much(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    place.call("DELETE", ONE, json!({"propagationPolicy": "Orphan", "orphanDependents": true})).await
}

async fn a_finalizer_holds_an_object(place: Place) -> Outcome {
    held(&place).await?;
    deleted(&place, DeleteParams::default()).await;
    let while_held = place.get(ONE).await?;
    free(&place).await;
    Ok(json!({"held": while_held["code"], "gone": place.get(ONE).await?["code"]}))
}

async fn what_is_held_is_shown_with_its_time(place: Place) -> Outcome {
    held(&place).await?;
    let going = deleted(&place, DeleteParams::default()).await;
    let last = free(&place).await;
    Ok(json!({"going": going, "last": last}))
}

async fn what_is_going_takes_no_new_finalizers(place: Place) -> Outcome {
    held(&place).await?;
    deleted(&place, DeleteParams::default()).await;
    let more = json!({"metadata": {"finalizers": ["example.com/held", "example.com/more"]}});
    let refused = said(place.maps().patch("one", &patch(), &Patch::Merge(more)).await);
    free(&place).await;
    Ok(refused)
}

async fn what_is_going_can_be_changed(place: Place) -> Outcome {
    held(&place).await?;
    deleted(&place, DeleteParams::default()).await;
    let changed = said(place.maps().patch("one", &patch(), &Patch::Merge(json!({"data": {"k": "2"}}))).await);
    free(&place).await;
    Ok(changed)
}

async fn what_is_going_can_be_deleted_again(place: Place) -> Outcome {
    held(&place).await?;
    deleted(&place, DeleteParams::default()).await;
    let again = deleted(&place, DeleteParams::default()).await;
    free(&place).await;
    Ok(again)
}

fn reference(owner: &ConfigMap, blocks: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(),
        "blockOwnerDeletion": blocks,
    })
}

/// A map `one` that owns a map `owned`.
async fn family(place: &Place) -> Result<(), BoxError> {
    let owner = place.maps().create(&post(), &map("one", "1")).await?;
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [reference(&owner, true)]}});
    place.maps().create(&post(), &typed(owned)).await?;
    Ok(())
}

async fn what_is_owned_goes_with_its_owner(place: Place) -> Outcome {
    family(&place).await?;
    let answer = deleted(&place, DeleteParams::background()).await;
    until(&place, "owned", absent).await?;
    Ok(json!({"answer": answer["status"], "gone": true}))
}

fn absent(map: Option<&ConfigMap>) -> bool {
    map.is_none()
}

async fn what_is_owned_goes_first_in_the_foreground(place: Place) -> Outcome {
    let owner = held(&place).await?;
    let owned = json!({"metadata": {
        "name": "owned", "ownerReferences": [reference(&owner, true)], "finalizers": ["example.com/held"],
    }});
    place.maps().create(&post(), &typed(owned)).await?;
    let answer = deleted(&place, DeleteParams::foreground()).await;
    until(&place, "owned", |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
    })
    .await?;
    let meanwhile = place.maps().get("one").await?;
    let change = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    place.maps().patch("owned", &patch(), &change).await?;
    until(&place, "owned", absent).await?;
    let alone = |map: Option<&ConfigMap>| map.is_none_or(|map| map.finalizers() == ["example.com/held"]);
    until(&place, "one", alone).await?;
    free(&place).await;
    until(&place, "one", absent).await?;
    Ok(json!({"answer": answer["metadata"]["finalizers"], "meanwhile": meanwhile.finalizers(), "gone": true}))
}

async fn what_is_owned_can_be_orphaned(place: Place) -> Outcome {
    family(&place).await?;
    deleted(&place, DeleteParams::orphan()).await;
    until(&place, "one", absent).await?;
    let owned = said(place.maps().get("owned").await);
    Ok(json!({"ownerReferences": owned["metadata"]["ownerReferences"], "kind": owned["metadata"]["name"]}))
}

async fn what_has_two_owners_stays_with_the_second(place: Place) -> Outcome {
    let first = place.maps().create(&post(), &map("one", "1")).await?;
    let second = place.maps().create(&post(), &map("second", "1")).await?;
    let owners = [reference(&first, false), reference(&second, false)];
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": owners}});
    place.maps().create(&post(), &typed(owned)).await?;
    deleted(&place, DeleteParams::background()).await;
    until(&place, "owned", |map: Option<&ConfigMap>| map.is_none_or(|map| map.owner_references().len() == 1))
        .await?;
    let owned = said(place.maps().get("owned").await);
    Ok(owned["metadata"]["ownerReferences"].clone())
}

async fn what_nobody_owns_is_collected(place: Place) -> Outcome {
    let owner = place.maps().create(&post(), &map("one", "1")).await?;
    deleted(&place, DeleteParams::default()).await;
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [reference(&owner, false)]}});
    place.maps().create(&post(), &typed(owned)).await?;
    until(&place, "owned", absent).await?;
    Ok(json!({"gone": true}))
}

async fn two_controllers_are_too_many(place: Place) -> Outcome {
    let owner = |name: &str| {
        let uid = format!("00000000-0000-4000-8000-00000000000{}", name.len());
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "controller": true})
    };
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [owner("a"), owner("ab")]}});
    Ok(said(place.maps().create(&post(), &typed(owned)).await))
}

async fn a_selection_goes_and_the_rest_stays(place: Place) -> Outcome {
    for (name, value) in [("one", "1"), ("two", "2"), ("three", "1")] {
        place.maps().create(&post(), &map(name, value)).await?;
    }
    let some = ListParams::default().labels("v=1");
    place.maps().delete_collection(&DeleteParams::default(), &some).await?;
    let left = said(place.maps().list(&ListParams::default().labels("v")).await);
    Ok(names(&left).into())
}

/// Another namespace of the case, with a map in it.
async fn another(
    place: &Place,
    finalizer: bool,
) -> Result<(Api<Namespace>, String, Api<ConfigMap>), BoxError> {
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    let name = format!("{}-more", place.namespace);
    namespaces.create(&post(), &typed(json!({"metadata": {"name": name}}))).await?;
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &name);
    let mut one = map("one", "1");
    one.metadata.finalizers = finalizer.then(|| vec!["example.com/held".into()]);
    maps.create(&post(), &one).await?;
    Ok((namespaces, name, maps))
}

async fn gone(namespaces: &Api<Namespace>, name: &str, uid: &str) -> Result<(), BoxError> {
    let awaited = await_condition(namespaces.clone(), name, is_deleted(uid));
    tokio::time::timeout(PATIENCE, awaited).await??;
    Ok(())
}

async fn a_namespace_takes_its_content_along(place: Place) -> Outcome {
    let (namespaces, name, maps) = another(&place, false).await?;
    let uid = namespaces.get(&name).await?.uid().unwrap_or_default();
    let answer = namespaces.delete(&name, &DeleteParams::default()).await?;
    gone(&namespaces, &name, &uid).await?;
    let map = said(maps.get("one").await);
    let namespace = said(namespaces.get(&name).await);
    Ok(json!({"going": answer.is_left(), "map": map["code"], "namespace": namespace["code"]}))
}

/// A namespace that cannot go while something in it is held.
async fn stuck(place: &Place) -> Result<(Api<Namespace>, String, Api<ConfigMap>), BoxError> {
    let (namespaces, name, maps) = another(place, true).await?;
    namespaces.delete(&name, &DeleteParams::default()).await?;
    Ok((namespaces, name, maps))
}

async fn release(namespaces: &Api<Namespace>, name: &str, maps: &Api<ConfigMap>) -> Result<(), BoxError> {
    let uid = namespaces.get(name).await?.uid().unwrap_or_default();
    let change = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("one", &patch(), &change).await?;
    gone(namespaces, name, &uid).await
}

async fn a_namespace_that_is_going_takes_nothing_new(place: Place) -> Outcome {
    let (namespaces, name, maps) = stuck(&place).await?;
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &name);
    let refused = said(secrets.create(&post(), &typed(json!({"metadata": {"name": "late"}}))).await);
    release(&namespaces, &name, &maps).await?;
    Ok(refused)
}

async fn a_namespace_waits_for_what_is_held(place: Place) -> Outcome {
    let (namespaces, name, maps) = stuck(&place).await?;
    let told = |namespace: Option<&Namespace>| {
        let status = namespace.and_then(|it| it.status.as_ref());
        status.is_some_and(|status| status.conditions.iter().flatten().count() >= 5)
    };
    let status = tokio::time::timeout(PATIENCE, await_condition(namespaces.clone(), &name, told)).await??;
    let mut status = said(Ok(status.and_then(|it| it.status)));
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.sort_by_key(|condition| condition["type"].to_string());
    }
    release(&namespaces, &name, &maps).await?;
    Ok(status)
}

async fn a_namespace_has_a_label_of_its_name(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS").await
}

async fn a_namespace_is_finalized_by_its_own_address(place: Place) -> Outcome {
    let name = format!("{}-more", place.namespace);
    let body = json!({"metadata": {"name": name}, "spec": {"finalizers": ["example.com/mine"]}});
    let made = place.call("POST", "/api/v1/namespaces?fieldManager=suite", body).await?;
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    namespaces.delete(&name, &DeleteParams::default()).await?;
    let only_ours = |namespace: Option<&Namespace>| {
        let spec = namespace.and_then(|it| it.spec.as_ref());
        spec.is_some_and(|spec| spec.finalizers.as_deref() == Some(&["example.com/mine".to_owned()]))
    };
    let waiting = await_condition(namespaces.clone(), &name, only_ours);
    let waiting = tokio::time::timeout(PATIENCE, waiting).await??;
    let mut last = said(Ok(waiting));
    let uid = made["body"]["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    last["spec"]["finalizers"] = json!([]);
    let answer = place.call("PUT", &format!("/api/v1/namespaces/{name}/finalize"), last).await?;
    gone(&namespaces, &name, &uid).await?;
    Ok(json!({"code": answer["code"], "made with": made["body"]["spec"], "gone": true}))
}

async fn a_pod_that_nobody_runs_goes_at_once(place: Place) -> Outcome {
    let pod = json!({
        "metadata": {"name": "one"},
        "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "example.com/a:1"}]},
    });
    let made = place.call("POST", "/api/v1/namespaces/@NS/pods?fieldManager=suite", pod).await?;
    let path = "/api/v1/namespaces/@NS/pods/one";
    let going = place.call("DELETE", path, Value::Null).await?;
    Ok(json!({
        "made": made["code"],
        "grace": going["body"]["metadata"]["deletionGracePeriodSeconds"],
        "gone": place.get(path).await?["code"],
    }))
}
