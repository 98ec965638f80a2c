//! What an endpoint does not let anybody write.

use super::{element::Path, fields::Set};

/// Kinds whose status endpoint keeps all of metadata as it was; so does that of every custom kind.
const METADATA_KEPT: &[&str] = &[
    "APIService",
    "DeviceTaintRule",
    "FlowSchema",
    "PodGroup",
    "PriorityLevelConfiguration",
    "ResourceClaim",
    "ResourcePoolStatusRequest",
    "ServiceCIDR",
    "StorageVersion",
    "StorageVersionMigration",
    "ValidatingAdmissionPolicy",
    "VolumeAttachment",
];

/// The fields, with all below them, that a write through an endpoint leaves as they were: nobody comes to own them by it.
/// `subresource` is empty for the object itself; `has_status` tells whether the kind has a status endpoint.
pub fn reset_fields(kind: &str, custom: bool, subresource: &str, has_status: bool) -> Set {
    let paths: &[&[&str]] = match (kind, subresource) {
        ("CertificateSigningRequest", "") if !custom => &[&["spec"], &["status"]],
        ("CertificateSigningRequest", "status") if !custom => &[&["spec"], &["status", "conditions"]],
        ("CertificateSigningRequest", "approval") if !custom => &[&["spec"], &["status", "certificate"]],
        ("Deployment", "status") if !custom => &[&["spec"], &["metadata", "labels"]],
        ("Pod", "status") if !custom => {
            &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        }
        (kind, "status") if custom || METADATA_KEPT.contains(&kind) => &[&["metadata"], &["spec"]],
        (_, "status") => &[&["spec"]],
        (_, "" | "finalize") if has_status => &[&["status"]],
        _ => &[],
    };
    Set::of(paths.iter().map(|path| Path::fields(path.iter().copied())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_and_its_status_are_written_apart() {
        let fields = |kind, custom, subresource| reset_fields(kind, custom, subresource, true).to_json();
        assert_eq!(fields("Deployment", false, ""), json!({"f:status": {}}));
        assert_eq!(
            fields("Deployment", false, "status"),
            json!({"f:metadata": {"f:labels": {}}, "f:spec": {}})
        );
        assert_eq!(fields("Service", false, "status"), json!({"f:spec": {}}));
        assert_eq!(fields("Service", true, "status"), json!({"f:metadata": {}, "f:spec": {}}));
        assert!(reset_fields("ConfigMap", false, "", false).is_empty());
    }
}
