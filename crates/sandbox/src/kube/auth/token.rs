//! Tokens: JSON Web Tokens (RFC 7519), signed by the cluster's key with ES256 (RFC 7518).
//!
//! Tokens of service accounts have the claims of the real server. Tokens of people have an issuer of their own, as those of
//! an OpenID provider have.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use p256::ecdsa::{
    Signature, VerifyingKey,
    signature::{Signer, Verifier},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Identity, User, user};
use crate::kube::{
    api::{Answer, Api, Subject},
    object::{later, meta, time},
    refusal::{About, Refusal},
    store::Key,
};

/// Who issues tokens of service accounts, and for whom they are when nobody says.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Who issues tokens of people.
const USERS: &str = "https://users.sandbox.platform.dev";
/// Clocks may differ by so many seconds, as the real server has it.
const LEEWAY: i64 = 60;
/// Seconds for which a token is good when nobody says.
const HOUR: u64 = 3600;

fn sign(identity: &Identity, claims: &Value) -> SecretString {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({ "alg": "ES256", "kid": identity.tokens_name() });
    let signed = format!("{}.{}", part(&head), part(claims));
    let signature: Signature = identity.tokens().sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())).into()
}

/// The claims of a token that this identity has signed.
fn read(identity: &Identity, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let head: Value = serde_json::from_slice(&bytes(head)?).ok()?;
    if head["alg"] != "ES256" {
        return None;
    }
    let signature = Signature::from_slice(&bytes(signature)?).ok()?;
    let good = identity.is_verified(token, || {
        VerifyingKey::from(identity.tokens()).verify(signed.as_bytes(), &signature).is_ok()
    });
    serde_json::from_slice(&bytes(claims).filter(|_| good)?).ok()
}

pub(super) fn for_user(identity: &Identity, user: &User, from: Timestamp, until: Timestamp) -> SecretString {
    let claims = json!({
        "iss": USERS, "sub": user.name, "uid": user.uid, "groups": user.groups, "aud": [ISSUER],
        "iat": from.as_second(), "nbf": from.as_second(), "exp": until.as_second(),
    });
    sign(identity, &claims)
}

/// As [`user_of`], and knows the token of the owner.
///
/// # Errors
/// Why it is not good, in words for a review.
pub(super) fn user_or_owner(
    api: &Api,
    token: &str,
    audiences: &[String],
) -> Result<(User, Vec<String>), String> {
    // Digests of equal length tell nothing by how long they take to compare.
    let digest = |text: &str| Sha256::digest(text);
    if digest(token) == digest(api.identity.owner_token().expose_secret()) {
        let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences.to_vec() };
        return Ok((User::default(), audiences));
    }
    user_of(api, token, audiences)
}

/// Whose token this is, and which of the audiences it was made for. No audience means this server.
///
/// # Errors
/// Why it is not good, in words for a review.
pub(super) fn user_of(api: &Api, token: &str, audiences: &[String]) -> Result<(User, Vec<String>), String> {
    let unknown = "invalid bearer token";
    let claims = read(&api.identity, token).ok_or(unknown)?;
    let now = (api.now)().as_second();
    let at = |claim: &str| claims[claim].as_i64();
    match () {
        () if at("exp").is_some_and(|end| now > end.saturating_add(LEEWAY)) => {
            return Err(format!("{unknown}, service account token has expired"));
        }
        () if at("nbf").is_some_and(|begin| now < begin.saturating_sub(LEEWAY)) => {
            return Err(format!("{unknown}, service account token is not valid yet"));
        }
        () => {}
    }
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    // A token without an audience is one that a Secret keeps; those are for the server alone.
    let made_for = match texts(&claims["aud"]) {
        none if none.is_empty() => vec![ISSUER.to_owned()],
        some => some,
    };
    let wanted = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences.to_vec() };
    let both: Vec<String> = wanted.iter().filter(|it| made_for.contains(it)).cloned().collect();
    if both.is_empty() {
        return Err(format!(
            "{unknown}, token audiences {made_for:?} is invalid for the target audiences {wanted:?}"
        ));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = match claims["iss"].as_str() {
        Some(USERS) => {
            let user = User::new(text(&claims["sub"]), texts(&claims["groups"]));
            User { uid: text(&claims["uid"]), ..user }
        }
        _ => account(api, &claims).map_err(|why| format!("{unknown}, {why}"))?,
    };
    Ok((user, both))
}

/// The service account of a token, if it and what the token is bound to are still there.
fn account(api: &Api, claims: &Value) -> Result<User, String> {
    let bound = &claims["kubernetes.io"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name, uid) = (
        text(&bound["namespace"]),
        text(&bound["serviceaccount"]["name"]),
        text(&bound["serviceaccount"]["uid"]),
    );
    let found = |kind: &str, namespace: &str, name: &str| {
        api.store.get(&Key { kind: kind.into(), namespace: namespace.to_owned(), name: name.to_owned() })
    };
    let account = found("/serviceaccounts", &namespace, &name)
        .ok_or_else(|| format!("serviceaccounts \"{name}\" not found"))?;
    if meta(&account, "uid") != uid {
        return Err(format!("service account UID ({}) does not match claim ({uid})", meta(&account, "uid")));
    }
    let mut user = User::account(&namespace, &name, &uid);
    let mut extra = |key: &str, value: String| {
        user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    if let Some(id) = claims["jti"].as_str() {
        extra("credential-id", format!("JTI={id}"));
    }
    for (word, kind) in [("secret", "/secrets"), ("pod", "/pods"), ("node", "/nodes")] {
        let Some(name) = bound[word]["name"].as_str() else { continue };
        let uid = text(&bound[word]["uid"]);
        // The node of a token that is bound to a pod is only told.
        let told = word == "node" && bound["pod"].is_object();
        let within = if word == "node" { "" } else { namespace.as_str() };
        let is = found(kind, within, name);
        if !told && is.is_none_or(|it| meta(&it, "uid") != uid) {
            return Err("service account token has been invalidated".to_owned());
        }
        if word != "secret" {
            extra(&format!("{word}-name"), name.to_owned());
            extra(&format!("{word}-uid"), uid);
        }
    }
    Ok(user)
}

/// The token that a Secret of type `kubernetes.io/service-account-token` keeps; it does not expire.
pub(in crate::kube) fn of_secret(api: &Api, account: &Value, secret: &Value) -> SecretString {
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": user::account_name(meta(account, "namespace"), meta(account, "name")),
        "kubernetes.io": {
            "namespace": meta(account, "namespace"),
            "serviceaccount": { "name": meta(account, "name"), "uid": meta(account, "uid") },
            "secret": { "name": meta(secret, "name"), "uid": meta(secret, "uid") },
        },
    });
    sign(&api.identity, &claims)
}

/// Answers `serviceaccounts/NAME/token`.
///
/// # Errors
/// As the real server: 404 for what it shall be bound to, 422 for a lifetime too short.
pub(in crate::kube) fn request(api: &Api, subject: &Subject<'_>, wanted: &Value) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    let namespace = subject.place.namespace.as_deref().unwrap_or_default();
    let account = api.store.get(&subject.key(name)).ok_or_else(|| Refusal::not_found(subject.about(name)))?;
    let spec = &wanted["spec"];
    let seconds = spec["expirationSeconds"].as_u64().unwrap_or(HOUR);
    lifetime(seconds)?;
    let audiences = match &spec["audiences"] {
        Value::Array(given) if !given.is_empty() => json!(given),
        _ => json!([ISSUER]),
    };
    let mut bound = json!({
        "namespace": namespace,
        "serviceaccount": { "name": name, "uid": meta(&account, "uid") },
    });
    if spec["boundObjectRef"].is_object() {
        bind(api, namespace, name, &spec["boundObjectRef"], &mut bound)?;
    }
    let now = (api.now)();
    let until = later(now, seconds);
    let claims = json!({
        "aud": audiences,
        "exp": until.as_second(),
        "iat": now.as_second(),
        "iss": ISSUER,
        "jti": api.ids.uid(),
        "kubernetes.io": bound,
        "nbf": now.as_second(),
        "sub": user::account_name(namespace, name),
    });
    let token = sign(&api.identity, &claims);
    let mut spec = json!({ "audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null });
    if wanted["spec"]["boundObjectRef"].is_object() {
        spec["boundObjectRef"] = wanted["spec"]["boundObjectRef"].clone();
    }
    let body = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": meta(&account, "uid"), "creationTimestamp": time(now),
        },
        "spec": spec,
        "status": { "token": token.expose_secret(), "expirationTimestamp": time(until) },
    });
    Ok(Answer::Json { code: 201, body: body.into(), warnings: Vec::new() })
}

/// Ten minutes at least, and not more seconds than 32 bits can count.
fn lifetime(seconds: u64) -> Result<(), Refusal> {
    let why = match seconds {
        0..600 => "may not specify a duration less than 10 minutes",
        600..=4_294_967_296 => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let cause = ("spec.expirationSeconds".to_owned(), format!("Invalid value: {seconds}: {why}"));
    Err(Refusal::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]))
}

/// Writes down to what a token is bound: it is good as long as that is there.
fn bind(api: &Api, namespace: &str, account: &str, to: &Value, bound: &mut Value) -> Result<(), Refusal> {
    let text = |key: &str| to[key].as_str().unwrap_or_default();
    let (word, resource, within) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => ("pod", "pods", namespace),
        ("v1", "Secret") => ("secret", "secrets", namespace),
        ("v1", "Node") => ("node", "nodes", ""),
        (version, kind) => {
            return Err(Refusal::bad_request(format!(
                "cannot bind token to object of type {version}, Kind={kind}"
            )));
        }
    };
    let name = text("name");
    let about = About { group: "", resource, name };
    let key =
        Key { kind: format!("/{resource}").into(), namespace: within.to_owned(), name: name.to_owned() };
    let found = api.store.get(&key).ok_or_else(|| Refusal::not_found(about))?;
    let uid = meta(&found, "uid");
    if word == "pod" && found["spec"]["serviceAccountName"] != account {
        return Err(Refusal::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    if !text("uid").is_empty() && text("uid") != uid {
        return Err(Refusal::conflict(
            about,
            &format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
                text("uid")
            ),
        ));
    }
    bound[word] = json!({ "name": name, "uid": uid });
    if word == "pod"
        && let Some(node) = found["spec"]["nodeName"].as_str()
    {
        let key = Key { kind: "/nodes".into(), namespace: String::new(), name: node.to_owned() };
        let uid = api.store.get(&key).map(|it| meta(&it, "uid").to_owned());
        bound["node"] = json!({ "name": node, "uid": uid.unwrap_or_default() });
    }
    Ok(())
}

/// What the issuer of tokens says of itself (OpenID Connect Discovery), by path.
pub(in crate::kube) fn issuer_documents(api: &Api, path: &str) -> Option<Value> {
    match path {
        ".well-known/openid-configuration" => Some(json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })),
        "openid/v1/jwks" => {
            let point = VerifyingKey::from(api.identity.tokens()).to_encoded_point(false);
            // One byte of form, then the two numbers (SEC 1, section 2.3.3).
            let (x, y) = point.as_bytes()[1..].split_at(32);
            Some(json!({ "keys": [{
                "use": "sig", "kty": "EC", "kid": api.identity.tokens_name(), "crv": "P-256", "alg": "ES256",
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            }] }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;

    #[test]
    fn a_token_is_good_for_its_user_its_time_and_its_audience() {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let time = clock.clone();
        let now = Arc::new(move || Timestamp::from_second(time.load(Ordering::Relaxed)).expect("a time"));
        let api = Api::new(now.clone(), 3);
        let user = User::new("jane", ["devs"]);
        let token = api.identity.user_token(&user, now(), later(now(), 600));
        let of = |token: &str, audiences: &[&str]| {
            let audiences: Vec<String> = audiences.iter().map(|it| (*it).to_owned()).collect();
            user_of(&api, token, &audiences).map(|(user, _)| user)
        };
        let token = token.expose_secret();
        assert_eq!(of(token, &[]), Ok(user.clone()));
        assert_eq!(of(token, &["other", ISSUER]), Ok(user));
        assert!(of(token, &["other"]).expect_err("for others").contains("audiences"));
        let other = Api::new(now, 4);
        assert!(user_of(&other, token, &[]).is_err(), "another cluster does not know it");
        let mut forged = token.to_owned();
        forged.replace_range(40..41, if &forged[40..41] == "A" { "B" } else { "A" });
        assert!(of(&forged, &[]).is_err());
        clock.fetch_add(600 + LEEWAY + 1, Ordering::Relaxed);
        assert!(of(token, &[]).expect_err("too old").contains("expired"));
    }
}
