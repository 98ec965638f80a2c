//! What queries may ask for, and what they may not: options of lists and of writes, and the fields that select.

use super::{catalog::Resource, refusal::Refusal, request::Query};

/// A manager's longest name.
const LONGEST_MANAGER: usize = 128;

/// Holds the options of a write against the rules; `kind` is what they are called: `CreateOptions`.
///
/// # Errors
/// 422.
pub(super) fn check_write(kind: &str, query: &Query, applies: bool) -> Result<(), Refusal> {
    let refused = |field: &str, why: String| Err(Refusal::options(kind, field, why));
    match query.text("dryRun") {
        "" | "All" => {}
        other => {
            return refused("dryRun", format!("Unsupported value: [{other:?}]: supported values: \"All\""));
        }
    }
    let manager = query.text("fieldManager");
    if manager.len() > LONGEST_MANAGER {
        return refused("fieldManager", format!("Too long: may not be more than {LONGEST_MANAGER} bytes"));
    }
    if applies && manager.is_empty() {
        return refused("fieldManager", "Required value: is required for apply patch".into());
    }
    if kind == "PatchOptions" && !applies && !query.text("force").is_empty() {
        return refused("force", "Forbidden: may not be specified for non-apply patch".into());
    }
    match query.text("fieldValidation") {
        "" | "Ignore" | "Warn" | "Strict" => Ok(()),
        other => {
            let known = "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
            refused("fieldValidation", format!("Unsupported value: {other:?}: {known}"))
        }
    }
}

/// Holds the options of a list or a watch against the rules.
///
/// # Errors
/// 422.
pub(super) fn check_list(query: &Query, watches: bool) -> Result<(), Refusal> {
    let refused = |field: &str, why: &str| Err(Refusal::options("ListOptions", field, why));
    let matching = query.text("resourceVersionMatch");
    if query.flag("sendInitialEvents")? {
        if !watches {
            return refused("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list");
        }
        if matching != "NotOlderThan" {
            return refused(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        return Ok(());
    }
    if matching.is_empty() {
        return Ok(());
    }
    if watches {
        return refused("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden for watch");
    }
    if query.text("resourceVersion").is_empty() {
        return refused(
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        );
    }
    if !query.text("continue").is_empty() {
        return refused(
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        );
    }
    match matching {
        "NotOlderThan" => Ok(()),
        "Exact" if query.text("resourceVersion") == "0" => refused(
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        "Exact" => Ok(()),
        other => refused(
            "resourceVersionMatch",
            &format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""),
        ),
    }
}

/// Refuses fields by which a kind cannot be selected.
///
/// # Errors
/// 400.
pub(super) fn check_fields<'a>(
    resource: &Resource,
    fields: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let own: &[&str] = match &*resource.stored_as {
        "/pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "/nodes" => &["spec.unschedulable"],
        "/replicationcontrollers" | "apps/replicasets" => &["status.replicas"],
        "/events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "/namespaces" => &["status.phase"],
        "/secrets" => &["type"],
        "/services" => &["spec.clusterIP", "spec.type"],
        "batch/jobs" => &["status.successful"],
        "certificates.k8s.io/certificatesigningrequests" => &["spec.signerName"],
        _ => &[],
    };
    let custom = resource.custom.as_ref().map(|custom| &custom.selectable);
    for field in fields {
        let known = matches!(field, "metadata.name" | "metadata.namespace")
            || own.contains(&field)
            || custom.is_some_and(|fields| fields.iter().any(|it| it == field));
        if !known {
            // Kinds with fields of their own have words of their own.
            return Err(Refusal::bad_request(match own.is_empty() && custom.is_none() {
                true => format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
                false => format!("field label not supported: {field}"),
            }));
        }
    }
    Ok(())
}
