//! History that is forgotten: the store is compacted, and who asks for what was before is told 410.
//!
//! These cases run when all others are over: what they take away, others may be relying on. Events are kept out of the
//! real server's cache, so that what is asked of them is asked of the store.

use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{MANAGER, map, names, post},
    case::{Row, rows},
    sides::Place,
};

type Outcome = Result<Value, BoxError>;

const EVENTS: &str = "/api/v1/namespaces/@NS/events";
const MAPS: &str = "/api/v1/namespaces/@NS/configmaps";

pub(super) const CASES: &[Row] = rows![
    a_forgotten_page_offers_to_go_on shows "\"code\": 410", "\"reason\": \"Expired\"", "\"rest\": [\n    \"two\",";
    a_forgotten_version_is_not_listed shows "The resourceVersion for the provided list is too old", "\"code\": 410";
    a_forgotten_version_is_not_gone_on_from shows "\"Expired\"";
    a_watch_from_a_forgotten_version_ends shows "\"type\": \"ERROR\"", "\"code\": 410";
    a_watch_from_before_the_cache_ends shows "\"type\": \"ERROR\"", "too old resource version";
    a_version_that_is_not_forgotten_is_watched_from shows "\"type\": \"ADDED\"", "\"two\"";
    what_is_there_is_not_forgotten shows "\"one\"", "\"code\": 200";
];

/// Makes an event; its version.
async fn event(place: &Place, name: &str) -> Result<String, BoxError> {
    let about = json!({"kind": "ConfigMap", "namespace": place.namespace, "name": "none"});
    let event =
        json!({"metadata": {"name": name}, "involvedObject": about, "reason": "Made", "type": "Normal"});
    let made = place.call("POST", &format!("{EVENTS}?fieldManager={MANAGER}"), event).await?;
    Ok(made["body"]["metadata"]["resourceVersion"].as_str().ok_or("an event has a version")?.to_owned())
}

/// Forgets everything before now; more than one change, so that a watch from before misses one.
async fn forget(place: &Place) -> Result<String, BoxError> {
    event(place, "zero").await?;
    let now = event(place, "zero-too").await?;
    place.compact(now.parse()?);
    Ok(now)
}

/// The events of a watch from a version; the first says whether it begins.
async fn watched(place: &Place, of: &str, version: &str) -> Outcome {
    let path = format!("{of}?watch=true&resourceVersion={version}&timeoutSeconds=1");
    let answer = place.send("GET", &path, &[], Vec::new()).await?;
    let text = String::from_utf8(answer.body)?;
    let events: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(json!({"answer": answer.code, "events": events}))
}

async fn a_forgotten_page_offers_to_go_on(place: Place) -> Outcome {
    for name in ["one", "two"] {
        event(&place, name).await?;
    }
    let first = place.get(&format!("{EVENTS}?limit=1")).await?;
    let token = first["body"]["metadata"]["continue"].as_str().ok_or("there is more")?.to_owned();
    forget(&place).await?;
    let refused = place.get(&format!("{EVENTS}?limit=1&continue={token}")).await?;
    let token = refused["body"]["metadata"]["continue"].as_str().unwrap_or_default();
    let rest = place.get(&format!("{EVENTS}?continue={token}")).await?;
    Ok(json!({"first": names(&first["body"]), "refused": refused, "rest": names(&rest["body"])}))
}

async fn a_forgotten_version_is_not_listed(place: Place) -> Outcome {
    let then = event(&place, "one").await?;
    forget(&place).await?;
    place.get(&format!("{EVENTS}?resourceVersion={then}&resourceVersionMatch=Exact")).await
}

async fn a_forgotten_version_is_not_gone_on_from(place: Place) -> Outcome {
    for name in ["one", "two"] {
        place.maps().create(&post(), &map(name, "1")).await?;
    }
    let first = place.get(&format!("{EVENTS}?limit=1")).await?;
    event(&place, "one").await?;
    event(&place, "two").await?;
    let page = place.get(&format!("{EVENTS}?limit=1")).await?;
    let token = page["body"]["metadata"]["continue"].as_str().ok_or("there is more")?.to_owned();
    forget(&place).await?;
    let selected = format!("{EVENTS}?limit=1&fieldSelector=reason%3DMade&continue={token}");
    Ok(json!({"before": names(&first["body"]), "selected": place.get(&selected).await?}))
}

async fn a_watch_from_a_forgotten_version_ends(place: Place) -> Outcome {
    let then = event(&place, "one").await?;
    forget(&place).await?;
    watched(&place, EVENTS, &then).await
}

async fn a_watch_from_before_the_cache_ends(place: Place) -> Outcome {
    forget(&place).await?;
    watched(&place, MAPS, "1").await
}

async fn a_version_that_is_not_forgotten_is_watched_from(place: Place) -> Outcome {
    event(&place, "one").await?;
    let now = forget(&place).await?;
    event(&place, "two").await?;
    watched(&place, EVENTS, &now).await
}

async fn what_is_there_is_not_forgotten(place: Place) -> Outcome {
    place.maps().create(&post(), &map("one", "1")).await?;
    forget(&place).await?;
    place.get(&format!("{MAPS}/one")).await
}
