//! What the controllers next to a real API server make of a change, done at once: what every namespace has, cluster roles
//! that gather others, tokens that Secrets keep, and what counts against quotas.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    admission,
    api::{Api, Ask},
    auth,
    catalog::Resource,
    house,
    object::{is_going, meta, metadata},
    select::Selector,
    store::{Change, Key},
};

/// The account of pods that name none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The certificate of the cluster's authority, in each namespace.
pub const ROOT: &str = "kube-root-ca.crt";
const TOKEN: &str = "kubernetes.io/service-account-token";
const OF_ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Does what follows from a change, beyond what belongs to deleting.
pub(super) fn after(api: &Api, resource: &Resource, change: &Change) {
    let namespace = change.key.namespace.as_str();
    match (&*resource.stored_as, &change.after) {
        ("/namespaces", Some(object)) if !is_going(object) => furnish(api, &change.key.name),
        ("/serviceaccounts", None) if change.key.name == DEFAULT_ACCOUNT => furnish(api, namespace),
        ("/configmaps", _) if change.key.name == ROOT => furnish(api, namespace),
        ("rbac.authorization.k8s.io/clusterroles", _) => gather(api),
        ("/secrets", Some(secret)) if secret["type"] == TOKEN => {
            give_token(api, resource, &change.key, secret)
        }
        _ => {}
    }
    if (&*resource.stored_as, &change.after) == ("/serviceaccounts", &None) {
        drop_tokens(api, namespace, &change.key.name);
    }
    admission::count_again(api, resource, change);
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key { kind: kind.into(), namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Makes what every namespace has, as long as it is not going.
fn furnish(api: &Api, namespace: &str) {
    if api.store.get(&key("/namespaces", "", namespace)).is_none_or(|it| is_going(&it)) {
        return;
    }
    let make = |plural: &str, object: Value| {
        // One that is there by now is what was wanted.
        let _there = api.answer(&Ask {
            method: "POST".into(),
            path: format!("/api/v1/namespaces/{namespace}/{plural}"),
            user_agent: "kube-controller-manager/v1.36".into(),
            body: object.to_string().into_bytes(),
            ..Ask::default()
        });
    };
    if api.store.get(&key("/serviceaccounts", namespace, DEFAULT_ACCOUNT)).is_none() {
        make("serviceaccounts", json!({ "metadata": { "name": DEFAULT_ACCOUNT } }));
    }
    let data = json!({ "ca.crt": api.identity.authority() });
    match api.store.get(&key("/configmaps", namespace, ROOT)) {
        None => make(
            "configmaps",
            json!({
                "metadata": { "name": ROOT, "annotations": {
                    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
                } },
                "data": data,
            }),
        ),
        Some(map) if map["data"] != data && !is_going(&map) => {
            if let Some(resource) = api.catalog.find("", "v1", "configmaps") {
                house::edit(api, &resource, &key("/configmaps", namespace, ROOT), |map| map["data"] = data);
            }
        }
        Some(_) => {}
    }
}

/// Gives each cluster role that gathers others the rules of those.
fn gather(api: &Api) {
    let Some(resource) = api.catalog.find("rbac.authorization.k8s.io", "v1", "clusterroles") else { return };
    let all = api.store.list(&resource.stored_as, None).objects;
    for (key, role) in &all {
        let Some(wanted) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else { continue };
        let mut rules: Vec<Value> = Vec::new();
        for selector in wanted.iter().filter_map(|it| Selector::of_object(it).ok()) {
            // In order of name, as the store has them; a rule once.
            for (other, it) in &all {
                if other == key || !selector.matches(it) {
                    continue;
                }
                for rule in it["rules"].as_array().into_iter().flatten() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        let has = role["rules"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        if has != rules.as_slice() {
            house::edit(api, &resource, key, |role| role["rules"] = json!(rules));
        }
    }
}

/// Puts a token into a Secret that asks for one, if its account is there.
fn give_token(api: &Api, resource: &Resource, at: &Key, secret: &Value) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let name = secret["metadata"]["annotations"][OF_ACCOUNT].as_str().unwrap_or_default();
    let account = api.store.get(&key("/serviceaccounts", &at.namespace, name));
    let Some(account) = account.filter(|_| secret["data"]["token"].is_null() && !is_going(secret)) else {
        return;
    };
    let token = auth::of_secret(api, &account, secret);
    let authority = api.identity.authority();
    house::edit(api, resource, at, |secret| {
        for (field, value) in
            [("ca.crt", authority.as_str()), ("namespace", &at.namespace), ("token", token.expose_secret())]
        {
            secret["data"][field] = STANDARD.encode(value).into();
        }
        let meta = metadata(secret);
        let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
        annotations["kubernetes.io/service-account.uid"] = meta_uid(&account);
    });
}

fn meta_uid(object: &Value) -> Value {
    meta(object, "uid").into()
}

/// Tokens of an account go with it.
fn drop_tokens(api: &Api, namespace: &str, account: &str) {
    let Some(resource) = api.catalog.find("", "v1", "secrets") else { return };
    for (key, secret) in api.store.list(&resource.stored_as, Some(namespace)).objects {
        if secret["type"] == TOKEN && secret["metadata"]["annotations"][OF_ACCOUNT] == account {
            house::remove(api, &resource, &key);
        }
    }
}
