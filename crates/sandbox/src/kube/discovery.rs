//! What an API server says of itself: versions, groups, resources, OpenAPI documents, health.

use std::{collections::BTreeMap, sync::OnceLock};

use axum::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    api::{Answer, Api, Ask},
    catalog::{Resource, api_version},
    published::Published,
    refusal::Refusal,
};

/// Answers for everything that is not an object.
pub(super) fn answer(api: &Api, ask: &Ask, path: &str) -> Result<Answer, Refusal> {
    if !matches!(ask.method.as_str(), "GET" | "HEAD") {
        return Err(Refusal::method_not_allowed());
    }
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(Answer::text("ok")),
        ["version"] => Ok(Answer::ok(version())),
        ["api"] if aggregated(ask) => Ok(known(api, true)),
        ["apis"] if aggregated(ask) => Ok(known(api, false)),
        ["api"] => Ok(Answer::ok(
            json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        )),
        ["apis"] => Ok(Answer::ok(json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups(api).iter().map(|(name, versions)| group(name, versions)).collect::<Vec<_>>(),
        }))),
        ["apis", name] => match groups(api).into_iter().find(|(it, _)| it == name) {
            Some((name, versions)) => {
                let mut group = group(&name, &versions);
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                Ok(Answer::ok(group))
            }
            None => Err(Refusal::no_such_path()),
        },
        ["api", version] => resources(api, "", version),
        ["apis", group, version] => resources(api, group, version),
        ["openapi", "v2"] => Ok(super::swagger::answer(api, &ask.accept)),
        ["openapi", "v3"] => Ok(Answer::ok(json!({ "paths": documents(api) }))),
        ["openapi", "v3", path @ ..] => document(api, &path.join("/")),
        _ => super::auth::issuer_documents(api, path).map(Answer::ok).ok_or_else(Refusal::no_such_path),
    }
}

fn version() -> Value {
    let version = &Published::get().version;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next(), numbers.next());
    let before = minor.and_then(|it| it.parse::<u32>().ok()).map(|it| (it - 1).to_string());
    json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": before,
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": "platform sandbox",
        "platform": "linux/amd64",
    })
}

/// Groups with their versions, the preferred one first. Built-in groups come first, in the published order.
fn groups(api: &Api) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for resource in api.catalog.all().iter().filter(|it| !it.group.is_empty()) {
        let at = groups.iter().position(|(name, _)| *name == resource.group);
        let at = at.unwrap_or_else(|| {
            groups.push((resource.group.clone(), Vec::new()));
            groups.len() - 1
        });
        if let Some((_, versions)) = groups.get_mut(at)
            && !versions.contains(&resource.version)
        {
            versions.push(resource.version.clone());
        }
    }
    groups
}

fn group(name: &str, versions: &[String]) -> Value {
    let version =
        |version: &String| json!({ "groupVersion": api_version(name, version), "version": version });
    json!({
        "name": name,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

fn resources(api: &Api, group: &str, version: &str) -> Result<Answer, Refusal> {
    let all = api.catalog.all();
    let here: Vec<_> = all.iter().filter(|it| it.group == group && it.version == version).collect();
    if here.is_empty() {
        return Err(Refusal::no_such_path());
    }
    let mut rows = Vec::new();
    for it in here {
        let mut row = json!({
            "name": it.plural, "singularName": it.singular, "namespaced": it.namespaced, "kind": it.kind, "verbs": it.verbs,
        });
        if !it.short_names.is_empty() {
            row["shortNames"] = json!(it.short_names);
        }
        if !it.categories.is_empty() {
            row["categories"] = json!(it.categories);
        }
        rows.push(row);
        for sub in &it.subresources {
            let (of_group, of_version, kind) = &sub.kind;
            let mut row = json!({
                "name": format!("{}/{}", it.plural, sub.name), "singularName": "", "namespaced": it.namespaced,
                "kind": kind, "verbs": sub.verbs,
            });
            if (of_group.as_str(), of_version.as_str()) != (group, version) {
                row["group"] = json!(of_group);
                row["version"] = json!(of_version);
            }
            rows.push(row);
        }
    }
    Ok(Answer::ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": rows,
    })))
}

/// Whether the client wants everything in one document.
fn aggregated(ask: &Ask) -> bool {
    ask.accept.contains("as=APIGroupDiscoveryList") && ask.accept.contains("v=v2")
}

/// Everything in one document, written once as long as nothing is defined anew.
fn known(api: &Api, core: bool) -> Answer {
    static BUILT_IN: OnceLock<[Bytes; 2]> = OnceLock::new();
    let both = || [false, true].map(|core| aggregate(api, core));
    let all = match api.catalog.has_custom() {
        false => BUILT_IN.get_or_init(both).clone(),
        true => api.catalog.discovery(both),
    };
    // Clients tell by the type alone which of the two forms they were given.
    let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    Answer::Bytes { content_type, body: all[usize::from(core)].clone() }
}

fn aggregate(api: &Api, core: bool) -> Bytes {
    let names = if core { vec![(String::new(), vec!["v1".to_owned()])] } else { groups(api) };
    let all = api.catalog.all();
    let items: Vec<Value> = names
        .iter()
        .map(|(name, versions)| {
            let version = |version: &String| {
                let here = all.iter().filter(|it| it.group == *name && it.version == *version);
                json!({ "version": version, "resources": here.map(|it| row(it)).collect::<Vec<_>>(), "freshness": "Current" })
            };
            json!({
                "metadata": if name.is_empty() { json!({ "creationTimestamp": null }) } else { json!({ "name": name, "creationTimestamp": null }) },
                "versions": versions.iter().map(version).collect::<Vec<_>>(),
            })
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    serde_json::to_vec(&list).unwrap_or_default().into()
}

fn row(it: &Resource) -> Value {
    let kind =
        |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let mut row = json!({
        "resource": it.plural,
        "responseKind": kind(&it.group, &it.version, &it.kind),
        "scope": if it.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": it.singular,
        "verbs": it.verbs,
    });
    if !it.short_names.is_empty() {
        row["shortNames"] = json!(it.short_names);
    }
    if !it.categories.is_empty() {
        row["categories"] = json!(it.categories);
    }
    if !it.subresources.is_empty() {
        let sub = |sub: &super::catalog::Subresource| {
            let (group, version, name) = &sub.kind;
            json!({ "subresource": sub.name, "responseKind": kind(group, version, name), "verbs": sub.verbs })
        };
        row["subresources"] = it.subresources.iter().map(sub).collect();
    }
    row
}

/// OpenAPI documents with the digest of each, so that clients keep them.
fn documents(api: &Api) -> BTreeMap<String, Value> {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut add = |path: &str, text: &str| {
        let digest = hex::encode_upper(Sha256::digest(text));
        paths.insert(
            path.to_owned(),
            json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={digest}") }),
        );
    };
    let published = Published::get();
    for path in published.openapi_paths() {
        add(path, published.openapi(path).unwrap_or_default());
    }
    for (path, document) in custom_documents(api) {
        add(&path, &document.to_string());
    }
    paths
}

fn document(api: &Api, path: &str) -> Result<Answer, Refusal> {
    if let Some(text) = Published::get().openapi(path) {
        return Ok(Answer::Text { code: 200, content_type: "application/json", body: text.to_owned() });
    }
    let custom = custom_documents(api).remove(path).ok_or_else(Refusal::no_such_path)?;
    Ok(Answer::ok(custom))
}

/// One document for each group and version of custom kinds: what `kubectl explain` and client-side checks read.
pub(super) fn custom_documents(api: &Api) -> BTreeMap<String, Value> {
    let mut documents: BTreeMap<String, Value> = BTreeMap::new();
    for it in api.catalog.all() {
        let Some(custom) = &it.custom else { continue };
        let path = format!("apis/{}/{}", it.group, it.version);
        let document = documents.entry(path.clone()).or_insert_with(|| {
            json!({
                "openapi": "3.0.0",
                "info": { "title": "Kubernetes CRD Swagger", "version": "v0.1.0" },
                "paths": {},
                "components": { "schemas": {} },
            })
        });
        let reversed: Vec<&str> = it.group.split('.').rev().collect();
        let name = format!("{}.{}.{}", reversed.join("."), it.version, it.kind);
        let kind = json!({ "group": it.group, "version": it.version, "kind": it.kind });
        let mut schema = custom.schema.clone();
        schema["x-kubernetes-group-version-kind"] = json!([kind]);
        document["components"]["schemas"][name.as_str()] = schema;
        let place = if it.namespaced { "namespaces/{namespace}/" } else { "" };
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        let operation = |action: &str| {
            json!({
                "operationId": format!("{action}{}", it.kind),
                "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": reference } } } },
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind,
            })
        };
        let mut patch = operation("patch");
        // Clients learn from these parameters that the server validates fields and knows dry runs.
        patch["parameters"] = json!([
            { "name": "dryRun", "in": "query", "schema": { "type": "string", "uniqueItems": true } },
            { "name": "fieldValidation", "in": "query", "schema": { "type": "string", "uniqueItems": true } },
        ]);
        document["paths"][format!("/{path}/{place}{}/{{name}}", it.plural).as_str()] =
            json!({ "get": operation("get"), "put": operation("put"), "patch": patch });
    }
    documents
}
