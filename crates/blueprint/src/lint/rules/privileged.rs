//! G-15 (golden rule 6, S2-37): pods have no rights over their nodes.
//!
//! Those of a few add-ons cannot do without: the catalogue says which, and they have namespaces of their own.

use platform_spec::{catalogue, platform::tenancy::PodSecurity};
use yaml_serde::Value;

use crate::lint::{
    Found,
    sheet::{Part, Sheet, containers, items, name, pod},
};

/// The label by which a namespace says what its pods may do.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Capabilities that the Pod Security Standards leave to containers.
const HARMLESS: [&str; 1] = ["NET_BIND_SERVICE"];

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    if sheet.part == Part::HelmTemplate {
        for (line, text) in sheet.lines() {
            let words: String = text.split_whitespace().collect();
            let rights = ["privileged:true", "hostNetwork:true", "hostPID:true", "hostIPC:true"];
            if let Some(right) = rights.iter().find(|right| words.trim_start_matches('-') == **right) {
                found.at(sheet.path, line, format!("a pod of the chart has `{}`", right.replace(':', ": ")));
            }
        }
        return;
    }
    for object in sheet.objects() {
        let level = &object["metadata"]["labels"][ENFORCE];
        if object["kind"].as_str() == Some("Namespace") && level.as_str() == Some("privileged") {
            if !is_exempt(name(object)) {
                let message = format!("namespace `{}` lets its pods do everything", name(object));
                found.value(sheet, level, message);
            }
            continue;
        }
        let Some(pod) = pod(object) else { continue };
        let rights = rights(pod, sheet.lies_in(&["kind"]));
        if rights.is_empty() {
            continue;
        }
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        if namespace.or_else(|| sheet.kustomize_namespace()).is_some_and(|namespace| is_exempt(&namespace)) {
            continue;
        }
        for (value, right) in rights {
            found.value(sheet, value, format!("`{}` has {right}", name(object)));
        }
    }
}

/// Whether a namespace is that of an add-on which needs such rights. The ingress controller's is not among them: what it
/// needs on kind, ports of its node, is asked where its overlay stands.
fn is_exempt(namespace: &str) -> bool {
    let needs = |entry: &&catalogue::Entry| entry.pod_security == PodSecurity::Privileged;
    catalogue::ENTRIES.iter().filter(needs).filter(|entry| entry.name != "ingress").any(|entry| {
        namespace == entry.name || namespace.strip_suffix("-system").is_some_and(|name| name == entry.name)
    })
}

fn rights(pod: &Value, on_kind: bool) -> Vec<(&Value, String)> {
    let mut rights = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[key].as_bool() == Some(true) {
            rights.push((&pod[key], format!("`{key}`: what is its node's")));
        }
    }
    for volume in items(&pod["volumes"]).filter(|volume| !volume["hostPath"].is_null()) {
        rights.push((&volume["hostPath"], "a `hostPath`: files of its node".to_owned()));
    }
    let root = |context: &Value| context["runAsUser"].as_i64() == Some(0);
    if root(&pod["securityContext"]) {
        rights.push((&pod["securityContext"]["runAsUser"], "`runAsUser: 0`".to_owned()));
    }
    for container in containers(pod) {
        let context = &container["securityContext"];
        for key in ["privileged", "allowPrivilegeEscalation"] {
            if context[key].as_bool() == Some(true) {
                rights.push((&context[key], format!("a container with `{key}: true`")));
            }
        }
        if root(context) {
            rights.push((&context["runAsUser"], "a container with `runAsUser: 0`".to_owned()));
        }
        for added in items(&context["capabilities"]["add"]) {
            if added.as_str().is_some_and(|added| !HARMLESS.contains(&added)) {
                let added_name = added.as_str().unwrap_or_default();
                rights.push((added, format!("a container with the capability {added_name}")));
            }
        }
        for port in items(&container["ports"]).filter(|_| !on_kind) {
            if port["hostPort"].as_u64().is_some_and(|port| port != 0) {
                rights.push((&port["hostPort"], "a `hostPort`: a port of its node".to_owned()));
            }
        }
    }
    rights
}
