//! What the API server saw: every write, by whom, and what became of it.

use serde::Deserialize;

use crate::{Bed, facts::API_USER};

/// One request that was not a read. Leases, events and reviews (`SubjectAccessReview` and the like) are left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The path with its query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    user: User,
    /// With which program.
    #[serde(default)]
    pub user_agent: String,
    /// What was asked about.
    #[serde(default)]
    pub object_ref: ObjectRef,
    #[serde(default)]
    response_status: Status,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural resource, `configmaps`.
    pub resource: String,
    /// API group, empty for the core.
    pub api_group: String,
    /// Namespace, empty outside of namespaces.
    pub namespace: String,
    /// Name; empty when the server chose it.
    pub name: String,
    /// For instance `status`.
    pub subresource: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct User {
    username: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

impl Write {
    /// Who asked: a user or `system:serviceaccount:NAMESPACE:NAME`.
    pub fn user(&self) -> &str {
        &self.user.username
    }

    /// Whether the program asked (the user of the kubeconfig it is given).
    pub fn is_ours(&self) -> bool {
        self.user() == API_USER
    }

    /// The HTTP status; 201 when the object was made by this request.
    pub fn status(&self) -> u16 {
        self.response_status.code
    }

    /// The field manager it named.
    pub fn field_manager(&self) -> Option<&str> {
        let query = self.uri.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="))
    }

    /// Whether it only asked what would happen.
    pub fn is_dry_run(&self) -> bool {
        self.uri.contains("dryRun=All")
    }

    /// `resource.group/name` and namespace, for messages and for counting.
    pub fn object(&self) -> String {
        let ObjectRef { resource, api_group, namespace, name, .. } = &self.object_ref;
        let dot = if api_group.is_empty() { "" } else { "." };
        format!("{namespace}/{resource}{dot}{api_group}/{name}")
    }
}

/// A moment in the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl Bed {
    /// Now, for [`Bed::writes_since`].
    pub fn audit_mark(&self) -> Mark {
        Mark(self.flushed_audit_log().len())
    }

    /// Every write since `mark`, dry runs and the harness's own left out, in the order the server finished them.
    ///
    /// # Panics
    /// When a line of the audit log is not what Kubernetes documents.
    pub fn writes_since(&self, mark: Mark) -> Vec<Write> {
        let log = self.flushed_audit_log();
        let lines = log[mark.0..].lines().map(serde_json::from_str::<Write>);
        lines
            .map(|write| write.expect("an audit event"))
            .filter(|write| !write.is_dry_run() && write.user() != "kubernetes-super-admin")
            .collect()
    }

    /// The audit log, up to and including a write of our own made after the call: a request is logged a moment after
    /// it is answered, so the last ones could be missing otherwise.
    fn flushed_audit_log(&self) -> String {
        use std::sync::atomic::{AtomicU32, Ordering};
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let name = format!("audit-mark-{}-{}", std::process::id(), MARKS.fetch_add(1, Ordering::Relaxed));
        // refused as not found, and logged all the same
        self.kubectl(["delete", "configmap", &name, "--namespace=default", "--ignore-not-found"]);
        loop {
            let log =
                fs_err::read_to_string(self.facts().dir.join("audit.log")).expect("the bed has an audit log");
            let whole = log.rfind('\n').map_or(0, |end| end + 1);
            if log[..whole].contains(&name) {
                return log[..whole].to_owned();
            }
            assert!(self.kubectl(["get", "--raw", "/livez"]).status == 0, "the API server is gone");
        }
    }
}
