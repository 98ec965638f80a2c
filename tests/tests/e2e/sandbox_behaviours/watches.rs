//! Watches: what is there, and then every change.

use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, WatchEvent, WatchParams},
    runtime::{reflector, wait::await_condition, watcher},
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{map, patch, post, said},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

/// How long an event may take, on busy cores.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const CASES: &[Row] = rows![
    changes_are_shown_in_order shows "\"ADDED one 1\"", "\"MODIFIED one 2\"", "\"DELETED one 2\"";
    a_watch_without_a_version_begins_with_what_is_there shows "\"ADDED one 1\"";
    a_watch_selects shows "\"DELETED one 1\"";
    a_watch_of_a_field_selects shows "\"ADDED two 2\"";
    watching_one_object_reads_it shows "\"name\": \"two\"";
    a_watch_of_all_namespaces_selects shows "\"ADDED one 1\"";
    a_watch_of_a_word_is_refused shows "\"code\": 500";
    initial_events_end_with_a_mark shows "\"BOOKMARK k8s.io/initial-events-end\"";
    initial_events_need_a_match shows "sendInitialEvents";
    initial_events_belong_to_a_watch shows "sendInitialEvents";
    metadata_alone_is_watched shows "\"PartialObjectMetadata\"";
    a_watch_can_be_a_table shows "\"with columnDefinitions\": 1", "\"cells\"";
    a_watch_ends_when_its_time_is_over shows "\"events\": 1";
    what_is_deleted_has_the_version_of_its_end shows "\"newer\": true";
    a_dry_run_is_not_watched shows "\"ADDED two 2\"";
    a_watcher_knows_what_is_there_and_what_comes shows "\"init\"", "\"apply two\"", "\"delete one\"";
    a_watcher_can_stream_its_list shows "\"init\"", "\"apply two\"";
    a_reflector_holds_what_is_there shows "\"two\"";
    a_condition_is_awaited shows "\"k\": \"2\"";
    a_finalizer_is_watched shows "\"MODIFIED one 1 going\"", "\"DELETED one 1 going\"";
];

/// An event in a few words.
fn words(event: &WatchEvent<ConfigMap>) -> String {
    let object = |word: &str, map: &ConfigMap| {
        let value = map.data.as_ref().and_then(|data| data.get("k").cloned()).unwrap_or_default();
        let going = if map.metadata.deletion_timestamp.is_some() { " going" } else { "" };
        format!("{word} {} {value}{going}", map.name_any())
    };
    match event {
        WatchEvent::Added(map) => object("ADDED", map),
        WatchEvent::Modified(map) => object("MODIFIED", map),
        WatchEvent::Deleted(map) => object("DELETED", map),
        WatchEvent::Bookmark(mark) => {
            let keys: Vec<&str> = mark.metadata.annotations.keys().map(String::as_str).collect();
            format!("BOOKMARK {}", keys.join(","))
        }
        WatchEvent::Error(error) => format!("ERROR {} {} {}", error.code, error.reason, error.message),
    }
}

/// Takes so many events.
async fn take<E>(
    events: impl Stream<Item = Result<WatchEvent<ConfigMap>, E>>,
    count: usize,
) -> Result<Vec<String>, BoxError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let taken = events.take(count).map_ok(|event| words(&event)).try_collect::<Vec<_>>();
    Ok(tokio::time::timeout(PATIENCE, taken).await??)
}

fn mine() -> WatchParams {
    WatchParams::default().labels("v")
}

/// Makes `one`, changes it and removes it.
async fn live(place: &Place) -> Result<String, BoxError> {
    let made = place.maps().create(&post(), &map("one", "1")).await?;
    let change = Patch::Merge(json!({"data": {"k": "2"}}));
    place.maps().patch("one", &patch(), &change).await?;
    place.maps().delete("one", &DeleteParams::default()).await?;
    Ok(made.resource_version().unwrap_or_default())
}

/// A version before everything that a case does.
async fn now(place: &Place) -> Result<String, BoxError> {
    let made = place.maps().create(&post(), &map("now", "0")).await?;
    place.maps().delete("now", &DeleteParams::default()).await?;
    let list = place.maps().list(&Default::default()).await?;
    drop(made);
    Ok(list.metadata.resource_version.unwrap_or_default())
}

async fn changes_are_shown_in_order(place: Place) -> Outcome {
    let since = now(&place).await?;
    live(&place).await?;
    let events = place.maps().watch(&mine(), &since).await?;
    Ok(take(events, 3).await?.into())
}

async fn a_watch_without_a_version_begins_with_what_is_there(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let events = place.maps().watch(&mine(), "").await?;
    Ok(take(events, 1).await?.into())
}

async fn a_watch_selects(place: Place) -> Outcome {
    let since = now(&place).await?;
    place.maps().create(&post(), &map("one", "1")).await?;
    for value in ["2", "1"] {
        let change = Patch::Merge(json!({"metadata": {"labels": {"v": value}}}));
        place.maps().patch("one", &patch(), &change).await?;
    }
    let events = place.maps().watch(&WatchParams::default().labels("v=1"), &since).await?;
    Ok(take(events, 3).await?.into())
}

async fn a_watch_of_a_field_selects(place: Place) -> Outcome {
    let since = now(&place).await?;
    for (name, value) in [("one", "1"), ("two", "2")] {
        place.maps().create(&post(), &map(name, value)).await?;
    }
    let events = place.maps().watch(&WatchParams::default().fields("metadata.name=two"), &since).await?;
    Ok(take(events, 1).await?.into())
}

/// The events of a raw watch that ends by itself.
async fn raw(place: &Place, path: &str, accept: &str) -> Result<Vec<Value>, BoxError> {
    let answer = place.send("GET", path, &[("accept", accept)], Vec::new()).await?;
    if answer.code != 200 {
        return Ok(vec![answer.value()]);
    }
    let text = String::from_utf8(answer.body)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

async fn watching_one_object_reads_it(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    place.maps().create(&post(), &map("two", "2")).await?;
    let path = "/api/v1/namespaces/@NS/configmaps/two?watch=true&timeoutSeconds=1";
    Ok(raw(&place, path, "application/json").await?.into())
}

async fn a_watch_of_all_namespaces_selects(place: Place) -> Outcome {
    let since = now(&place).await?;
    let all: Api<ConfigMap> = Api::all(place.client.clone());
    live(&place).await?;
    let fields = format!("metadata.namespace={}", place.namespace);
    let events = all.watch(&mine().fields(&fields), &since).await?;
    Ok(take(events, 3).await?.into())
}

async fn a_watch_of_a_word_is_refused(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS/configmaps?watch=true&resourceVersion=word").await
}

async fn initial_events_end_with_a_mark(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let events = place.maps().watch(&mine().initial_events(), "").await?;
    Ok(take(events, 2).await?.into())
}

async fn initial_events_need_a_match(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS/configmaps?watch=true&sendInitialEvents=true").await
}

async fn initial_events_belong_to_a_watch(place: Place) -> Outcome {
    place.get("/api/v1/namespaces/@NS/configmaps?sendInitialEvents=true").await
}

async fn metadata_alone_is_watched(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let path = "/api/v1/namespaces/@NS/configmaps?watch=true&labelSelector=v&timeoutSeconds=1";
    Ok(raw(&place, path, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await?.into())
}

async fn a_watch_can_be_a_table(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    place.maps().create(&post(), &map("two", "1")).await?;
    let path = "/api/v1/namespaces/@NS/configmaps?watch=true&labelSelector=v&timeoutSeconds=1";
    let mut events = raw(&place, path, "application/json;as=Table;v=v1;g=meta.k8s.io").await?;
    // the order of what is there is nobody's promise
    events.sort_by_key(|event| event["object"]["rows"][0]["object"]["metadata"]["name"].to_string());
    let parts = events.iter().map(|event| {
        let table = &event["object"];
        json!({"type": event["type"], "kind": table["kind"], "cells": table["rows"][0]["cells"]})
    });
    let heads = events.iter().filter(|event| event["object"]["columnDefinitions"].is_array()).count();
    Ok(json!({"events": parts.collect::<Vec<_>>(), "with columnDefinitions": heads}))
}

async fn a_watch_ends_when_its_time_is_over(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let path = "/api/v1/namespaces/@NS/configmaps?watch=true&labelSelector=v&timeoutSeconds=1";
    Ok(json!({"events": raw(&place, path, "application/json").await?.len()}))
}

async fn what_is_deleted_has_the_version_of_its_end(place: Place) -> Outcome {
    let since = live(&place).await?;
    let events = place.maps().watch(&mine(), &since).await?;
    let events: Vec<_> = tokio::time::timeout(PATIENCE, events.take(2).try_collect::<Vec<_>>()).await??;
    let version = |event: &WatchEvent<ConfigMap>| match event {
        WatchEvent::Modified(map) | WatchEvent::Deleted(map) => {
            map.resource_version().and_then(|version| version.parse::<u64>().ok())
        }
        _ => None,
    };
    Ok(json!({"newer": version(&events[1]) > version(&events[0])}))
}

async fn a_dry_run_is_not_watched(place: Place) -> Outcome {
    let since = now(&place).await?;
    let trial = kube::api::PostParams { dry_run: true, ..post() };
    place.maps().create(&trial, &map("one", "1")).await?;
    place.maps().create(&post(), &map("two", "2")).await?;
    let events = place.maps().watch(&mine(), &since).await?;
    Ok(take(events, 1).await?.into())
}

/// A watcher's events, from the beginning to the removal of `one`.
async fn watched(place: &Place, config: watcher::Config) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let events = watcher(place.maps(), config.labels("v"));
    futures::pin_mut!(events);
    let mut said = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, events.try_next()).await?? {
        said.push(match &event {
            watcher::Event::Init => "init".to_owned(),
            watcher::Event::InitApply(map) => format!("init {}", map.name_any()),
            watcher::Event::InitDone => "init done".to_owned(),
            watcher::Event::Apply(map) => format!("apply {}", map.name_any()),
            watcher::Event::Delete(map) => format!("delete {}", map.name_any()),
        });
        match event {
            watcher::Event::InitDone => {
                place.maps().create(&post(), &map("two", "2")).await?;
            }
            watcher::Event::Apply(_) => {
                place.maps().delete("one", &DeleteParams::default()).await?;
            }
            watcher::Event::Delete(_) => break,
            _ => {}
        }
    }
    Ok(said.into())
}

async fn a_watcher_knows_what_is_there_and_what_comes(place: Place) -> Outcome {
    watched(&place, watcher::Config::default()).await
}

async fn a_watcher_can_stream_its_list(place: Place) -> Outcome {
    watched(&place, watcher::Config::default().streaming_lists()).await
}

async fn a_reflector_holds_what_is_there(place: Place) -> Outcome {
    for (name, value) in [("one", "1"), ("two", "2")] {
        place.maps().create(&post(), &map(name, value)).await?;
    }
    let (store, writer) = reflector::store();
    let events = reflector(writer, watcher(place.maps(), watcher::Config::default().labels("v")));
    let driven = events.for_each(|_| futures::future::ready(()));
    let ready = async { store.wait_until_ready().await };
    tokio::select! {
        () = driven => {}
        ready = tokio::time::timeout(PATIENCE, ready) => ready??,
    }
    let mut names: Vec<String> = store.state().iter().map(|map| map.name_any()).collect();
    names.sort();
    Ok(names.into())
}

async fn a_condition_is_awaited(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    let is_two = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data == self::map("one", "2").data);
    let awaited = await_condition(place.maps(), "one", is_two);
    let changed = async {
        let change = Patch::Merge(json!({"data": {"k": "2"}}));
        place.maps().patch("one", &patch(), &change).await
    };
    let (awaited, changed) = tokio::join!(tokio::time::timeout(PATIENCE, awaited), changed);
    changed?;
    Ok(said(Ok(awaited??.map(|map| map.data))))
}

async fn a_finalizer_is_watched(place: Place) -> Outcome {
    let since = now(&place).await?;
    let mut held = map("one", "1");
    held.metadata.finalizers = Some(vec!["example.com/held".into()]);
    place.maps().create(&post(), &held).await?;
    place.maps().delete("one", &DeleteParams::default()).await?;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    place.maps().patch("one", &patch(), &free).await?;
    let events = place.maps().watch(&mine(), &since).await?;
    Ok(take(events, 3).await?.into())
}
