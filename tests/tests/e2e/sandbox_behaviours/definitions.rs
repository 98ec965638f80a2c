//! Definitions of custom kinds, and their objects: schemas, defaults, pruning, rules, versions, subresources.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::DeleteParams,
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{names, post, said, typed},
    case::{Row, rows},
    defined::{Defined, PATIENCE, definition},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldManager=suite";

pub(super) const CASES: &[Row] = rows![
    a_definition_is_established shows "\"Established\"", "\"NamesAccepted\"", "\"acceptedNames\"";
    a_definition_is_discovered shows "\"things\"", "\"shortNames\"", "\"things/status\"";
    a_definition_has_the_name_of_what_it_defines shows "metadata.name";
    a_definition_has_a_schema shows "\"code\": 422";
    a_definition_has_a_type_at_its_root shows "must be object";
    a_definition_stores_one_version shows "must have exactly one version marked as storage version";
    a_definition_takes_its_objects_along shows "\"path\": 404";
    a_custom_object_is_made shows "\"generation\": 1";
    defaults_are_filled_in shows "\"size\": 3", "\"mode\": \"fast\"";
    unknown_fields_are_pruned shows "\"odd\": null", "\"open\"";
    unknown_fields_are_refused_when_asked shows "unknown field \\\"spec.odd\\\"";
    required_fields_are_required shows "spec.color: Required value";
    words_are_of_a_list shows "Unsupported value: \\\"green\\\": supported values";
    numbers_have_limits shows "should be greater than or equal to 1";
    texts_have_patterns shows "should match";
    texts_have_lengths shows "may not be more than";
    lists_have_lengths shows "must have at most 2 items";
    types_are_checked shows "must be of type integer";
    null_is_a_value_where_it_may_be shows "\"none\": null";
    a_number_or_a_text_is_either shows "\"50%\"";
    maps_have_values_of_a_type shows "must be of type string";
    keys_of_lists_are_unique shows "Duplicate value";
    rules_hold shows "size must not shrink";
    rules_of_one_object_hold shows "min must not be above max";
    the_status_is_written_at_its_own_address shows "\"by object\": null", "\"by status\": true";
    the_generation_is_that_of_the_spec shows "\"after status\": 1", "\"after spec\": 2";
    a_custom_object_is_scaled shows "\"replicas\": 5", "autoscaling/v1";
    a_custom_object_has_no_strategic_patches shows "\"code\": 415";
    a_custom_object_is_applied shows "\"operation\": \"Apply\"";
    a_list_with_keys_is_merged_by_apply shows "\"first\"", "\"second\"";
    columns_of_a_definition_are_a_table shows "\"Color\"", "\"red\"";
    both_versions_are_served shows "/v1beta1", "\"spec\"";
    a_version_that_is_not_served_is_not_there shows "404";
    fields_that_a_definition_names_select shows "\"blue\"";
    other_fields_do_not_select shows "field label not supported";
    a_custom_object_lies_in_no_namespace shows "\"code\": 201";
    items_of_a_custom_list_name_their_kind shows "\"kind\": \"Thing\"";
    a_custom_object_has_a_name shows "Invalid value: \\\"No_Name\\\"";
    a_schema_that_changes_holds_from_then_on shows "\"before\": 201", "\"after\": 422";
];

/// Makes an object of the definition; what is answered.
async fn made(place: &Place, spec: Value) -> Outcome {
    let things = Defined::new(place, definition(place)).await?;
    let answer = things.make(spec).await?;
    things.gone().await?;
    Ok(answer)
}

async fn a_definition_is_established(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let mut definition = said(things.api.get(&things.name).await);
    // two controllers write it, in no order
    definition["metadata"]["managedFields"] = Value::Null;
    things.gone().await?;
    Ok(definition)
}

async fn a_definition_is_discovered(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let path = format!("/apis/{}", things.version());
    // discovery learns of it after its objects are served
    let asked = async {
        loop {
            let found = place.get(&path).await?;
            if found["body"]["resources"].as_array().is_some_and(|found| found.len() == 3) {
                return Ok::<_, BoxError>(found);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, asked).await??;
    things.gone().await?;
    let mut resources = found["body"]["resources"].clone();
    for resource in resources.as_array_mut().into_iter().flatten() {
        resource["storageVersionHash"] = Value::Null;
    }
    Ok(resources)
}

async fn refused(place: &Place, change: impl FnOnce(&mut Value)) -> Outcome {
    let mut definition = definition(place);
    change(&mut definition);
    place.call("POST", DEFINITIONS, definition).await
}

async fn a_definition_has_the_name_of_what_it_defines(place: Place) -> Outcome {
    refused(&place, |it| it["metadata"]["name"] = json!("others.example.com")).await
}

async fn a_definition_has_a_schema(place: Place) -> Outcome {
    refused(&place, |it| it["spec"]["versions"][0]["schema"] = Value::Null).await
}

async fn a_definition_has_a_type_at_its_root(place: Place) -> Outcome {
    refused(&place, |it| it["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["type"] = json!("array"))
        .await
}

async fn a_definition_stores_one_version(place: Place) -> Outcome {
    refused(&place, |it| it["spec"]["versions"][0]["storage"] = json!(false)).await
}

async fn a_definition_takes_its_objects_along(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    things.api.delete(&things.name, &DeleteParams::default()).await?;
    things.until_served(404).await?;
    let again = Defined::new(&place, definition(&place)).await?;
    let one = place.get(&again.one()).await?["code"].clone();
    again.gone().await?;
    Ok(json!({"path": 404, "one": one}))
}

async fn a_custom_object_is_made(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "size": 5})).await
}

async fn defaults_are_filled_in(place: Place) -> Outcome {
    made(&place, json!({"color": "red"})).await
}

async fn unknown_fields_are_pruned(place: Place) -> Outcome {
    let answer = made(&place, json!({"color": "red", "odd": 1, "open": {"anything": {"goes": 1}}})).await?;
    Ok(json!({
        "warnings": answer["warnings"],
        "spec": answer["body"]["spec"],
        "odd": answer["body"]["spec"]["odd"],
    }))
}

async fn unknown_fields_are_refused_when_asked(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let body = json!({
        "apiVersion": things.version(), "kind": "Thing", "metadata": {"name": "one"}, "spec": {"color": "red", "odd": 1},
    });
    let answer = place.call("POST", &format!("{}?fieldValidation=Strict", things.objects), body).await?;
    things.gone().await?;
    Ok(answer)
}

async fn required_fields_are_required(place: Place) -> Outcome {
    made(&place, json!({})).await
}

async fn words_are_of_a_list(place: Place) -> Outcome {
    made(&place, json!({"color": "green"})).await
}

async fn numbers_have_limits(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "size": 0})).await
}

async fn texts_have_patterns(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "code": "A1"})).await
}

async fn texts_have_lengths(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "code": "abcde"})).await
}

async fn lists_have_lengths(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "tags": ["a", "b", "c"]})).await
}

async fn types_are_checked(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "size": "large"})).await
}

async fn null_is_a_value_where_it_may_be(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "none": null, "code": null})).await
}

async fn a_number_or_a_text_is_either(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let first = things.make(json!({"color": "red", "either": "50%"})).await?;
    let change = json!({"spec": {"either": 7}});
    let second = place.call("PATCH", &things.one(), change).await?;
    let third = place.call("PATCH", &things.one(), json!({"spec": {"either": true}})).await?;
    things.gone().await?;
    Ok(json!([first["body"]["spec"]["either"], second["body"]["spec"]["either"], third]))
}

async fn maps_have_values_of_a_type(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "labels": {"a": 1}})).await
}

async fn keys_of_lists_are_unique(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "parts": [{"name": "a"}, {"name": "a"}]})).await
}

async fn changed(place: &Place, change: Value) -> Outcome {
    let things = Defined::new(place, definition(place)).await?;
    things.make(json!({"color": "red", "size": 5})).await?;
    let answer = place.call("PATCH", &format!("{}?fieldManager=suite", things.one()), change).await?;
    things.gone().await?;
    Ok(answer)
}

async fn rules_hold(place: Place) -> Outcome {
    changed(&place, json!({"spec": {"size": 4}})).await
}

async fn rules_of_one_object_hold(place: Place) -> Outcome {
    made(&place, json!({"color": "red", "min": 5, "max": 4})).await
}

async fn the_status_is_written_at_its_own_address(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    let body = json!({"status": {"seen": true}, "spec": {"color": "blue"}});
    let by_object = place.call("PATCH", &things.one(), body.clone()).await?["body"].clone();
    let by_status = place.call("PATCH", &format!("{}/status", things.one()), body).await?["body"].clone();
    things.gone().await?;
    Ok(json!({
        "by object": by_object["status"], "its color": by_object["spec"]["color"],
        "by status": by_status["status"]["seen"],
    }))
}

async fn the_generation_is_that_of_the_spec(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    let status = format!("{}/status", things.one());
    let after_status = place.call("PATCH", &status, json!({"status": {"seen": true}})).await?;
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    let after_label = place.call("PATCH", &things.one(), labelled).await?;
    let after_spec = place.call("PATCH", &things.one(), json!({"spec": {"color": "blue"}})).await?;
    things.gone().await?;
    let generation = |answer: &Value| answer["body"]["metadata"]["generation"].clone();
    Ok(json!({
        "after status": generation(&after_status), "after a label": generation(&after_label),
        "after spec": generation(&after_spec),
    }))
}

async fn a_custom_object_is_scaled(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red", "replicas": 2})).await?;
    let path = format!("{}/scale", things.one());
    let before = place.get(&path).await?;
    let after = place.call("PATCH", &path, json!({"spec": {"replicas": 5}})).await?;
    let spec = place.get(&things.one()).await?["body"]["spec"].clone();
    things.gone().await?;
    Ok(json!({"before": before, "after": after, "spec": spec}))
}

async fn a_custom_object_has_no_strategic_patches(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    let kind = [("content-type", "application/strategic-merge-patch+json")];
    let answer = place.send("PATCH", &things.one(), &kind, b"{}".to_vec()).await?.value();
    things.gone().await?;
    Ok(answer)
}

async fn applied(place: &Place, things: &Defined, manager: &str, spec: Value) -> Outcome {
    let body =
        json!({"apiVersion": things.version(), "kind": "Thing", "metadata": {"name": "one"}, "spec": spec});
    let kind = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{}?fieldManager={manager}", things.one());
    Ok(place.send("PATCH", &path, &kind, body.to_string().into_bytes()).await?.value())
}

async fn a_custom_object_is_applied(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let answer = applied(&place, &things, "suite", json!({"color": "red", "tags": ["a"]})).await?;
    things.gone().await?;
    Ok(answer)
}

async fn a_list_with_keys_is_merged_by_apply(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let part = |name: &str| json!({"color": "red", "parts": [{"name": name, "value": name}]});
    applied(&place, &things, "suite", part("first")).await?;
    let answer = applied(&place, &things, "other", part("second")).await?;
    things.gone().await?;
    Ok(answer)
}

async fn columns_of_a_definition_are_a_table(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = place.send("GET", &things.objects, &accept, Vec::new()).await?.value();
    things.gone().await?;
    Ok(json!({"columns": table["body"]["columnDefinitions"], "cells": table["body"]["rows"][0]["cells"]}))
}

async fn both_versions_are_served(place: Place) -> Outcome {
    let mut two = definition(&place);
    let mut beta = two["spec"]["versions"][0].clone();
    (beta["name"], beta["storage"]) = (json!("v1beta1"), json!(false));
    two["spec"]["versions"].as_array_mut().expect("a list").push(beta);
    let things = Defined::new(&place, two).await?;
    things.make(json!({"color": "red"})).await?;
    let one = place.get(&things.one().replace("/v1/", "/v1beta1/")).await?;
    things.gone().await?;
    Ok(one)
}

async fn a_version_that_is_not_served_is_not_there(place: Place) -> Outcome {
    let mut two = definition(&place);
    let mut beta = two["spec"]["versions"][0].clone();
    (beta["name"], beta["storage"], beta["served"]) = (json!("v1beta1"), json!(false), json!(false));
    two["spec"]["versions"].as_array_mut().expect("a list").push(beta);
    let things = Defined::new(&place, two).await?;
    let list = place.get(&things.objects.replace("/v1/", "/v1beta1/")).await?;
    things.gone().await?;
    Ok(list)
}

async fn selected(place: &Place, field: &str) -> Outcome {
    let things = Defined::new(place, definition(place)).await?;
    for color in ["red", "blue"] {
        let body = json!({"apiVersion": things.version(), "kind": "Thing", "metadata": {"name": color}, "spec": {"color": color}});
        place.call("POST", &things.objects, body).await?;
    }
    let list = place.get(&format!("{}?fieldSelector={field}", things.objects)).await?;
    things.gone().await?;
    let body = &list["body"];
    Ok(if body["items"].is_array() { names(body).into() } else { list })
}

async fn fields_that_a_definition_names_select(place: Place) -> Outcome {
    selected(&place, "spec.color%3Dblue").await
}

async fn other_fields_do_not_select(place: Place) -> Outcome {
    selected(&place, "spec.size%3D3").await
}

async fn a_custom_object_lies_in_no_namespace(place: Place) -> Outcome {
    let mut wide = definition(&place);
    wide["spec"]["scope"] = json!("Cluster");
    let api: Api<CustomResourceDefinition> = Api::all(place.client.clone());
    let name = wide["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let version = format!("{}/v1", wide["spec"]["group"].as_str().unwrap_or_default());
    api.create(&post(), &typed(wide)).await?;
    tokio::time::timeout(PATIENCE, await_condition(api.clone(), &name, is_crd_established())).await??;
    let body = json!({"apiVersion": version, "kind": "Thing", "metadata": {"name": "one"}, "spec": {"color": "red"}});
    let path = format!("/apis/{version}/things?fieldManager=suite");
    let asked = async {
        loop {
            let answer = place.call("POST", &path, body.clone()).await?;
            if answer["code"] != 404 {
                return Ok::<_, BoxError>(answer);
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await??;
    api.delete(&name, &DeleteParams::default()).await?;
    Ok(answer)
}

async fn items_of_a_custom_list_name_their_kind(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    things.make(json!({"color": "red"})).await?;
    let list = place.get(&things.objects).await?;
    things.gone().await?;
    Ok(list)
}

async fn a_custom_object_has_a_name(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let body = json!({"apiVersion": things.version(), "kind": "Thing", "metadata": {"name": "No_Name"}, "spec": {"color": "red"}});
    let answer = place.call("POST", &things.objects, body).await?;
    things.gone().await?;
    Ok(answer)
}

async fn a_schema_that_changes_holds_from_then_on(place: Place) -> Outcome {
    let things = Defined::new(&place, definition(&place)).await?;
    let before = things.make(json!({"color": "red"})).await?;
    let change = json!([{
        "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color/enum",
        "value": ["blue"],
    }]);
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", things.name);
    let kind = [("content-type", "application/json-patch+json")];
    place.send("PATCH", &path, &kind, change.to_string().into_bytes()).await?;
    let trial = json!({"apiVersion": things.version(), "kind": "Thing", "metadata": {"name": "two"}, "spec": {"color": "red"}});
    let trials = format!("{}?dryRun=All", things.objects);
    let asked = async {
        while place.call("POST", &trials, trial.clone()).await?["code"] != 422 {}
        Ok::<_, BoxError>(())
    };
    tokio::time::timeout(PATIENCE, asked).await??;
    let after = place.call("POST", &things.objects, trial).await?;
    things.gone().await?;
    Ok(json!({"before": before["code"], "after": after["code"], "message": after["body"]["message"]}))
}
