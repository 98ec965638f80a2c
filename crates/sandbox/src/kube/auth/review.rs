//! Questions about access: who am I, may I, may they. They are asked as objects that nobody keeps.

use serde_json::{Value, json};

use super::{User, rbac::Verdict, rules::Deed, token};
use crate::kube::{
    api::{Answer, Api},
    catalog::Resource,
    object::{meta, time},
    refusal::Refusal,
};

/// Whether objects of this kind are questions.
pub(in crate::kube) fn is_review(resource: &Resource) -> bool {
    matches!(resource.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

/// Answers a question.
///
/// # Errors
/// For a question that cannot be asked so.
pub(in crate::kube) fn answer(
    api: &Api,
    resource: &Resource,
    user: &User,
    mut object: Value,
) -> Result<Answer, Refusal> {
    let spec = object["spec"].clone();
    object["status"] = match resource.kind.as_str() {
        "SelfSubjectReview" => {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.insert("creationTimestamp".into(), time((api.now)()).into());
            }
            json!({ "userInfo": user.info() })
        }
        "TokenReview" => token_review(api, &spec)?,
        "SelfSubjectRulesReview" => {
            object["spec"] = json!({});
            rules_review(api, user, &spec)?
        }
        kind => {
            refuse(kind, &causes(kind, &object))?;
            let asked_about = match kind {
                "SelfSubjectAccessReview" => user.clone(),
                _ => asked_about(&spec),
            };
            shown(&api.may(&asked_about, &deed(&spec)))
        }
    };
    Ok(Answer::Json { code: 201, body: object.into(), warnings: Vec::new() })
}

fn refuse(kind: &str, causes: &[(String, String)]) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid("authorization.k8s.io", kind, "", causes)) }
}

fn causes(kind: &str, object: &Value) -> Vec<(String, String)> {
    let spec = &object["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut causes = Vec::new();
    let mut wrong = |field: &str, why: &str| causes.push((field.to_owned(), format!("Invalid value: {why}")));
    match (resource.is_object(), path.is_object()) {
        (true, true) => wrong(
            "spec.nonResourceAttributes",
            &format!("{path}: cannot be specified in combination with resourceAttributes"),
        ),
        (false, false) => wrong(
            "spec.resourceAttributes",
            "null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        _ => {}
    }
    let nobody = spec["user"].as_str().unwrap_or_default().is_empty()
        && spec["groups"].as_array().is_none_or(Vec::is_empty);
    if kind != "SelfSubjectAccessReview" && nobody {
        wrong("spec.user", "\"\": at least one of user or group must be specified");
    }
    if kind == "LocalSubjectAccessReview" {
        let within = resource["namespace"].as_str().unwrap_or_default();
        if resource.is_object() && within != meta(object, "namespace") {
            wrong("spec.resourceAttributes.namespace", &format!("{within:?}: must match metadata.namespace"));
        }
        if path.is_object() {
            wrong("spec.nonResourceAttributes", &format!("{path}: disallowed on this kind of request"));
        }
    }
    causes
}

fn asked_about(spec: &Value) -> User {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    let extra = spec["extra"].as_object().into_iter().flatten();
    User {
        name: text("user"),
        uid: text("uid"),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

fn deed(spec: &Value) -> Deed<'_> {
    fn text<'a>(value: &'a Value, key: &str) -> &'a str {
        value[key].as_str().unwrap_or_default()
    }
    let (of, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match of.is_object() {
        true => Deed {
            verb: text(of, "verb"),
            group: text(of, "group"),
            resource: text(of, "resource"),
            subresource: text(of, "subresource"),
            namespace: text(of, "namespace"),
            name: text(of, "name"),
            path: "",
        },
        // A path of nothing is still no object.
        false => Deed {
            verb: text(path, "verb"),
            path: match text(path, "path") {
                "" => "/",
                path => path,
            },
            ..Deed::default()
        },
    }
}

fn shown(verdict: &Verdict) -> Value {
    let mut status = json!({ "allowed": verdict.allowed });
    if !verdict.reason.is_empty() {
        status["reason"] = json!(verdict.reason);
    }
    status
}

fn token_review(api: &Api, spec: &Value) -> Result<Value, Refusal> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Refusal::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    Ok(match token::user_or_owner(api, token, &audiences) {
        Ok((user, audiences)) => {
            json!({ "authenticated": true, "user": user.info(), "audiences": audiences })
        }
        Err(why) => json!({ "user": {}, "error": why }),
    })
}

fn rules_review(api: &Api, user: &User, spec: &Value) -> Result<Value, Refusal> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Refusal::bad_request("no namespace on request"));
    }
    let (rules, unknown) = api.access.now(&api.store).rules(user, namespace);
    let of = |paths: bool| rules.iter().filter_map(|rule| rule.shown(paths)).collect::<Vec<_>>();
    let mut status = json!({ "resourceRules": of(false), "nonResourceRules": of(true), "incomplete": false });
    match unknown.as_slice() {
        [] => {}
        [one] => status["evaluationError"] = json!(one),
        several => status["evaluationError"] = json!(format!("[{}]", several.join(", "))),
    }
    Ok(status)
}
