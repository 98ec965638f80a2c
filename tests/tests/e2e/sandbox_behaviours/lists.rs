//! Lists: selected, in pages, in other forms.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams},
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{map, names, post, said, typed},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const MAPS: &str = "/api/v1/namespaces/@NS/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

pub(super) const CASES: &[Row] = rows![
    labels_select shows "\"n in (one,two)\": [\n    \"one\",\n    \"two\"\n  ]";
    a_selector_has_a_form shows "unable to parse requirement";
    names_are_fields shows "\"two\"";
    few_fields_select shows "is not a known field selector";
    types_of_secrets_are_fields shows "\"mine\"";
    lists_come_in_pages shows "\"remaining\": 3", "\"pages\": 3";
    pages_of_a_selection_do_not_say_how_many_remain shows "\"remaining\": null";
    a_page_goes_on_from_somewhere shows "continue key is not";
    items_of_a_list_do_not_repeat_their_kind shows "\"ConfigMapList\"", "\"item\": []";
    a_dynamic_list_knows_its_kind shows "\"ConfigMapList\"";
    a_list_of_all_namespaces_is_selected shows "\"one\"";
    a_match_needs_a_version shows "resourceVersionMatch is forbidden unless resourceVersion is provided";
    a_match_is_a_word shows "resourceVersionMatch: Unsupported value";
    a_list_of_an_exact_version_is_old shows "\"one\"", "\"then\"";
    a_list_not_older_than_a_version shows "\"one\"";
    a_list_is_a_table shows "\"columnDefinitions\"", "\"Data\"";
    an_object_is_a_table shows "\"PartialObjectMetadata\"";
    rows_can_hold_whole_objects shows "\"k\": \"1\"";
    rows_can_hold_nothing shows "\"object\": null";
    metadata_of_an_object_alone shows "\"PartialObjectMetadata\"";
    metadata_of_a_list_alone shows "\"PartialObjectMetadataList\"";
    a_form_that_nobody_writes_is_refused shows "\"code\": 406";
    an_answer_can_be_yaml shows "application/yaml", "kind: ConfigMap";
    a_selection_is_deleted_at_once shows "\"two\"";
    an_object_at_any_version_is_there shows "\"k\": \"1\"";
    what_is_not_there_is_not_found shows "configmaps \\\"one\\\" not found";
    a_kind_that_is_not_there_is_not_found shows "the server could not find the requested resource";
    what_lies_in_no_namespace_is_not_in_one shows "404";
];

/// Some maps with labels.
async fn some(place: &Place) -> Result<(), BoxError> {
    for (name, n, odd) in [("one", "1", true), ("two", "2", false), ("three", "3", true)] {
        let mut labels = json!({"n": n, "suite": place.namespace, "name": name});
        if odd {
            labels["odd"] = json!("yes");
        }
        let map: ConfigMap = typed(json!({"metadata": {"name": name, "labels": labels}, "data": {"k": n}}));
        place.maps().create(&post(), &map).await?;
    }
    Ok(())
}

async fn selected(place: &Place, params: ListParams) -> Value {
    let list = said(place.maps().list(&params).await);
    if list["items"].is_array() { names(&list).into() } else { list }
}

async fn labels_select(place: Place) -> Outcome {
    some(&place).await?;
    let mut found = json!({});
    for selector in [
        "n",
        "n=2",
        "n==2",
        "n!=2,suite",
        "name in (one, two)",
        "name notin (one),suite",
        "odd",
        "!odd,n",
        "n>1",
        "n<2,suite",
        "n=2,odd",
    ] {
        let written = if selector.starts_with("name in") { "n in (one,two)" } else { selector };
        found[written] = selected(&place, ListParams::default().labels(selector)).await;
    }
    Ok(found)
}

async fn a_selector_has_a_form(place: Place) -> Outcome {
    let mut found = json!({});
    for selector in ["a b", "a in b", "=a", "a=b=c", "a=not%20a%20value", "n>x"] {
        found[selector] = selected(&place, ListParams::default().labels(selector)).await;
    }
    Ok(found)
}

async fn names_are_fields(place: Place) -> Outcome {
    some(&place).await?;
    let fields = ListParams::default().labels("n").fields("metadata.name!=one,metadata.name!=three");
    let namespace = format!("metadata.namespace={}", place.namespace);
    Ok(json!({
        "name": selected(&place, ListParams::default().fields("metadata.name=two")).await,
        "not": selected(&place, fields).await,
        "namespace": selected(&place, ListParams::default().labels("n").fields(&namespace)).await,
        "elsewhere": selected(&place, ListParams::default().fields("metadata.namespace=default")).await,
    }))
}

async fn few_fields_select(place: Place) -> Outcome {
    Ok(json!({
        "no field": selected(&place, ListParams::default().fields("data.k=1")).await,
        "no operator": selected(&place, ListParams::default().fields("metadata.name")).await,
    }))
}

async fn types_of_secrets_are_fields(place: Place) -> Outcome {
    let secrets = place.of::<Secret>();
    for (name, kind) in [("mine", "example.com/mine"), ("plain", "Opaque")] {
        secrets.create(&post(), &typed(json!({"metadata": {"name": name}, "type": kind}))).await?;
    }
    let list = said(secrets.list(&ListParams::default().fields("type=example.com/mine")).await);
    Ok(names(&list).into())
}

async fn lists_come_in_pages(place: Place) -> Outcome {
    for name in ["a", "b", "c", "d", "e"] {
        place.of::<Secret>().create(&post(), &typed(json!({"metadata": {"name": name}}))).await?;
    }
    let secrets = place.of::<Secret>();
    let mut params = ListParams::default().limit(2);
    let first = secrets.list(&params).await?;
    let remaining = first.metadata.remaining_item_count;
    let (mut pages, mut found, mut same) = (1, names(&said(Ok(&first))), true);
    let mut more = first.metadata.continue_.clone();
    while let Some(token) = more.take().filter(|token| !token.is_empty()) {
        params = ListParams::default().limit(2).continue_token(&token);
        let page = secrets.list(&params).await?;
        pages += 1;
        same &= page.metadata.resource_version == first.metadata.resource_version;
        found.extend(names(&said(Ok(&page))));
        more = page.metadata.continue_.clone();
    }
    Ok(json!({"remaining": remaining, "pages": pages, "found": found, "one version": same}))
}

async fn pages_of_a_selection_do_not_say_how_many_remain(place: Place) -> Outcome {
    some(&place).await?;
    let page = place.maps().list(&ListParams::default().limit(1).labels("odd")).await?;
    let more = page.metadata.continue_.clone().unwrap_or_default();
    let next = ListParams::default().limit(1).labels("odd").continue_token(&more);
    let last = place.maps().list(&next).await?;
    Ok(json!({
    "remaining": page.metadata.remaining_item_count,
    "first": names(&said(Ok(&page))),
    "last": names(&said(Ok(&last))),
        }))
}

async fn a_page_goes_on_from_somewhere(place: Place) -> Outcome {
    let mut refused = place.get(&format!("{MAPS}?limit=1&continue=nonsense")).await?;
    // what a token looks like inside is nobody's business
    let message = refused["body"]["message"].as_str().unwrap_or_default();
    refused["body"]["message"] = message.split(" valid: ").next().into();
    Ok(refused)
}

async fn items_of_a_list_do_not_repeat_their_kind(place: Place) -> Outcome {
    some(&place).await?;
    let list = place.get(&format!("{MAPS}?labelSelector=odd")).await?;
    let item = list["body"]["items"][0].as_object().into_iter().flatten().map(|(key, _)| key.clone());
    let item: Vec<String> = item.filter(|key| key == "kind" || key == "apiVersion").collect();
    Ok(json!({"kind": list["body"]["kind"], "version": list["body"]["apiVersion"], "item": item}))
}

async fn a_dynamic_list_knows_its_kind(place: Place) -> Outcome {
    some(&place).await?;
    let kind = ApiResource::erase::<ConfigMap>(&());
    let maps: Api<DynamicObject> = Api::namespaced_with(place.client.clone(), &place.namespace, &kind);
    let list = maps.list(&ListParams::default().labels("n=2")).await?;
    Ok(json!({"types": said(Ok(&list.types)), "items": said(Ok(&list.items))}))
}

async fn a_list_of_all_namespaces_is_selected(place: Place) -> Outcome {
    some(&place).await?;
    let all: Api<ConfigMap> = Api::all(place.client.clone());
    let selector = format!("suite={}", place.namespace);
    Ok(names(&said(all.list(&ListParams::default().labels(&selector)).await)).into())
}

async fn a_match_needs_a_version(place: Place) -> Outcome {
    place.get(&format!("{MAPS}?resourceVersionMatch=Exact")).await
}

async fn a_match_is_a_word(place: Place) -> Outcome {
    place.get(&format!("{MAPS}?resourceVersion=1&resourceVersionMatch=Some")).await
}

async fn versions(place: &Place, word: &str) -> Result<(Value, Value), BoxError> {
    let made = place.maps().create(&post(), &map("one", "1")).await?;
    let version = made.metadata.resource_version.unwrap_or_default();
    place.maps().create(&post(), &map("two", "2")).await?;
    let path = format!("{MAPS}?labelSelector=v&resourceVersion={version}&resourceVersionMatch={word}");
    let then = place.get(&path).await?["body"].clone();
    let same = then["metadata"]["resourceVersion"] == version.as_str();
    Ok((names(&then).into(), same.into()))
}

async fn a_list_of_an_exact_version_is_old(place: Place) -> Outcome {
    let (names, same) = versions(&place, "Exact").await?;
    Ok(json!({"then": names, "of that version": same}))
}

async fn a_list_not_older_than_a_version(place: Place) -> Outcome {
    let (names, _) = versions(&place, "NotOlderThan").await?;
    Ok(names)
}

async fn in_form(place: &Place, path: &str, accept: &str) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    Ok(place.send("GET", path, &[("accept", accept)], Vec::new()).await?.value())
}

async fn a_list_is_a_table(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}?labelSelector=v"), TABLE).await
}

async fn an_object_is_a_table(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}/one"), TABLE).await
}

async fn rows_can_hold_whole_objects(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}?labelSelector=v&includeObject=Object"), TABLE).await
}

async fn rows_can_hold_nothing(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}?labelSelector=v&includeObject=None"), TABLE).await
}

async fn metadata_of_an_object_alone(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}/one"), PARTIAL).await
}

async fn metadata_of_a_list_alone(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}?labelSelector=v"), PARTIAL_LIST).await
}

async fn a_form_that_nobody_writes_is_refused(place: Place) -> Outcome {
    in_form(&place, &format!("{MAPS}/one"), "text/html").await
}

async fn an_answer_can_be_yaml(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let path = format!("{MAPS}/one");
    let answer = place.send("GET", &path, &[("accept", "application/yaml")], Vec::new()).await?;
    // how it is quoted and in which order its fields come means nothing
    let mut lines: Vec<String> =
        String::from_utf8(answer.body)?.replace(['"', '\''], "").lines().map(str::to_owned).collect();
    lines.sort();
    Ok(json!({"type": answer.content_type, "lines": lines.join("\n")}))
}

async fn a_selection_is_deleted_at_once(place: Place) -> Outcome {
    some(&place).await?;
    let odd = ListParams::default().labels("odd");
    let gone = place.maps().delete_collection(&DeleteParams::default(), &odd).await?;
    let gone = gone.map_left(|list| names(&said(Ok(list)))).map_right(|status| said(Ok(status)));
    let gone = gone.either(Value::from, |status| status);
    Ok(json!({"gone": gone, "left": selected(&place, ListParams::default().labels("n")).await}))
}

async fn an_object_at_any_version_is_there(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    // from the cache, which may be behind
    let there = |answer: &Value| answer["code"] == 200;
    let mut answer = place.get(&format!("{MAPS}/one?resourceVersion=0")).await?;
    while !there(&answer) {
        answer = place.get(&format!("{MAPS}/one?resourceVersion=0")).await?;
    }
    Ok(answer)
}

async fn what_is_not_there_is_not_found(place: Place) -> Outcome {
    Ok(said(place.maps().get("one").await))
}

async fn a_kind_that_is_not_there_is_not_found(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS/nonsense").await
}

async fn what_lies_in_no_namespace_is_not_in_one(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS/nodes").await
}
