//! What the sandbox says a write makes of an object.

use platform_sandbox::kube::{
    merge::{
        ApplyError, Write, blank, decode, json_patch, keep_times, merge_patch, reset_fields, strategic_patch,
    },
    schema::Shape,
};
use serde_json::{Value, json};

/// A kind that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
}

pub(super) const CONFIG_MAP: Kind = Kind { group: "", kind: "ConfigMap", plural: "configmaps" };
pub(super) const DEPLOYMENT: Kind = Kind { group: "apps", kind: "Deployment", plural: "deployments" };
pub(super) const SERVICE: Kind = Kind { group: "", kind: "Service", plural: "services" };
pub(super) const SERVICE_ACCOUNT: Kind =
    Kind { group: "", kind: "ServiceAccount", plural: "serviceaccounts" };
pub(super) const POD_TEMPLATE: Kind = Kind { group: "", kind: "PodTemplate", plural: "podtemplates" };

impl Kind {
    pub(super) fn api_version(self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }

    fn shape(self) -> &'static Shape {
        Shape::built_in(self.group, "v1", self.kind).expect("a built-in kind")
    }
}

/// One way of writing.
#[derive(Clone)]
pub(super) enum Verb {
    Create(Value),
    /// A PUT of the live object, edited.
    Update(fn(&mut Value)),
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value, bool),
}

/// A write.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) manager: String,
    pub(super) subresource: &'static str,
    pub(super) verb: Verb,
}

/// The object after a write, or the status of a refusal: code, message, and `manager message: field` of its causes.
pub(super) type Outcome = Result<Value, (u16, String, Vec<String>)>;

impl Step {
    /// The body that asks for it.
    pub(super) fn body(&self, before: Option<&Value>) -> Value {
        match &self.verb {
            Verb::Create(body) | Verb::Apply(body, _) => self.named(body),
            Verb::Json(body) | Verb::Merge(body) | Verb::Strategic(body) => body.clone(),
            Verb::Update(edit) => {
                let mut body = before.cloned().expect("an object to update");
                edit(&mut body);
                body
            }
        }
    }

    fn named(&self, body: &Value) -> Value {
        let mut named = json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind});
        let fields = body.as_object().expect("an object").clone();
        named.as_object_mut().expect("an object").extend(fields);
        named["metadata"]["name"] = json!(self.name);
        named
    }

    /// What the sandbox makes of it.
    pub(super) fn predicted(&self, before: Option<&Value>, namespace: &str, now: &str) -> Outcome {
        let shape = self.kind.shape();
        let has_status = matches!(self.kind.kind, "Deployment" | "Service");
        let reset = reset_fields(self.kind.kind, false, self.subresource, has_status);
        let api_version = self.kind.api_version();
        let write = Write {
            shape,
            manager: &self.manager,
            api_version: &api_version,
            subresource: self.subresource,
            reset: &reset,
            now,
        };
        let body = self.body(before);
        let empty = blank(shape, &json!({"apiVersion": api_version, "kind": self.kind.kind}));
        let old = before.unwrap_or(&empty);
        let refused = |cause: &dyn std::fmt::Display, code| (code, cause.to_string(), Vec::new());
        let patched = match &self.verb {
            Verb::Create(_) | Verb::Update(_) => Ok(body),
            Verb::Json(_) => json_patch(old, &body),
            Verb::Merge(_) => merge_patch(old, &body),
            Verb::Strategic(_) => strategic_patch(shape, old, &body),
            Verb::Apply(_, force) => {
                let applied = write.apply(old, &body, *force).map_err(|error| match &error {
                    ApplyError::BadRequest(_) => refused(&error, 400),
                    ApplyError::Internal(_) => refused(&error, 500),
                    ApplyError::Conflicts(conflicts) => {
                        let causes = conflicts.iter().map(|it| format!("{it}: {}", it.path)).collect();
                        (409, error.to_string(), causes)
                    }
                })?;
                let mut new = applied.object;
                finish(self.kind, &mut new, namespace);
                keep_times(old, &mut new);
                return Ok(new);
            }
        };
        let mut new = patched.map_err(|error| refused(&error, error.code()))?;
        finish(self.kind, &mut new, namespace);
        write.track(old, &mut new);
        keep_times(old, &mut new);
        Ok(new)
    }
}

/// Decodes and defaults an object as far as the script needs it.
fn finish(kind: Kind, object: &mut Value, namespace: &str) {
    decode(kind.shape(), object);
    object["metadata"]["namespace"] = json!(namespace);
    match kind.kind {
        "Deployment" => {
            let spec = &mut object["spec"];
            let defaults = json!({"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600});
            fill(spec, &defaults);
            fill(&mut spec["strategy"], &json!({"type": "RollingUpdate"}));
            if spec["strategy"]["type"] == "RollingUpdate" {
                fill(&mut spec["strategy"], &json!({"rollingUpdate": {}}));
                let quarter = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
                fill(&mut spec["strategy"]["rollingUpdate"], &quarter);
            }
            default_pod(&mut spec["template"]["spec"]);
        }
        "PodTemplate" => default_pod(&mut object["template"]["spec"]),
        "Service" => {
            fill(&mut object["spec"], &json!({"type": "ClusterIP", "sessionAffinity": "None"}));
            fill(&mut object["spec"], &json!({"internalTrafficPolicy": "Cluster"}));
            if object["spec"].get("externalIPs").is_some() {
                fill(&mut object["spec"], &json!({"externalTrafficPolicy": "Cluster"}));
            }
            for port in items(&mut object["spec"], "ports") {
                let number = port["port"].clone();
                fill(port, &json!({"protocol": "TCP", "targetPort": number}));
            }
        }
        _ => (),
    }
}

fn default_pod(spec: &mut Value) {
    let defaults = json!({"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
        "securityContext": {}, "terminationGracePeriodSeconds": 30});
    fill(spec, &defaults);
    for volume in items(spec, "volumes") {
        if volume.as_object().is_some_and(|volume| volume.len() == 1) {
            fill(volume, &json!({"emptyDir": {}}));
        }
    }
    for list in ["initContainers", "containers"] {
        items(spec, list).for_each(default_container);
    }
}

fn default_container(container: &mut Value) {
    let defaults = json!({"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent"});
    fill(container, &defaults);
    items(container, "ports").for_each(|port| fill(port, &json!({"protocol": "TCP"})));
}

fn items<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets what is not there.
fn fill(object: &mut Value, defaults: &Value) {
    if let (Some(object), Some(defaults)) = (object.as_object_mut(), defaults.as_object()) {
        for (name, value) in defaults {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// An object without what the server itself sets.
pub(super) fn plain(step: &Step, object: &Value) -> Value {
    if step.subresource == "status" {
        return json!({"status": object["status"]});
    }
    let mut object = object.clone();
    let gone = [
        ("/metadata", &["uid", "creationTimestamp", "resourceVersion", "generation", "managedFields"][..]),
        ("", &["status"]),
        ("/spec", &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]),
    ];
    for (parent, names) in gone {
        if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.retain(|name, _| !names.contains(&name.as_str()));
        }
    }
    object
}

/// Where two values differ, one line each.
pub(super) fn differences(place: &str, ours: &Value, real: &Value, out: &mut Vec<String>) {
    match (ours, real) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let part = |side: &serde_json::Map<String, Value>| {
                    side.get(name).cloned().unwrap_or(json!("(nothing)"))
                };
                differences(&format!("{place} {name}"), &part(a), &part(b), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place} {at}"), a, b, out);
            }
        }
        (a, b) if a != b => out.push(format!("{place}\n    ours: {a}\n    real: {b}")),
        _ => (),
    }
}
