//! What every cluster begins with.

use serde_json::{Value, json};

use crate::kube::api::{Answer, Api, Ask};

/// Roles and bindings of the real server and of its controllers; `data/make` says where they come from.
const PACKED: &[u8] = include_bytes!("../../../data/rbac-1.36.json.zst");

/// Namespaces that are there from the beginning.
pub const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

impl Api {
    /// Makes what a real server makes at its first start, and leaves alone what is there: four namespaces with what each
    /// has, and the service `kubernetes`, behind which the API answers at `port`.
    pub fn begin(&self, port: u16) {
        for name in NAMESPACES {
            self.found("/api/v1/namespaces", &json!({ "metadata": { "name": name } }));
        }
        let service = json!({
            "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
            "spec": {
                "clusterIP": "10.96.0.1",
                "ports": [{ "name": "https", "port": 443, "targetPort": port }],
            },
        });
        self.found("/api/v1/namespaces/default/services", &service);
    }

    /// Makes the roles, bindings and priority classes of every cluster, and leaves alone what is there. They are some 135
    /// objects: whoever stands up a thousand clusters in which only their owner acts can do without.
    ///
    /// # Panics
    /// Never: the data is part of the program, and a test reads it.
    pub fn begin_rights(&self) {
        let text = zstd::decode_all(PACKED).expect("the embedded data is whole");
        let all: Vec<Value> =
            serde_json::from_slice(&text).expect("the embedded data is what data/make wrote");
        for object in &all {
            let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
            let place = match object["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("namespaces/{namespace}/"),
                None => String::new(),
            };
            self.found(&format!("/apis/rbac.authorization.k8s.io/v1/{place}{plural}"), object);
        }
        for (name, value, description) in [
            (
                "system-cluster-critical",
                2_000_000_000,
                "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
            ),
            (
                "system-node-critical",
                2_000_001_000,
                "Used for system critical pods that must not be moved from their current node.",
            ),
        ] {
            let class = json!({ "metadata": { "name": name }, "value": value, "description": description });
            self.found("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
        }
    }

    fn found(&self, path: &str, object: &Value) {
        let answer = self.answer(&Ask {
            method: "POST".into(),
            path: path.into(),
            user_agent: "kube-apiserver/v1.36".into(),
            body: object.to_string().into_bytes(),
            ..Ask::default()
        });
        // What is there by now is what was wanted.
        debug_assert!(matches!(answer, Answer::Json { code: 201 | 409, .. }), "{path}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::kube::{
        auth::{User, rules::Deed},
        store::Key,
    };

    #[test]
    fn a_cluster_begins_as_a_real_one() {
        let api = Api::new(Arc::new(|| Timestamp::UNIX_EPOCH), 1);
        api.begin(6443);
        api.begin_rights();
        let before = api.store.revision();
        api.begin(6443);
        api.begin_rights();
        assert_eq!(api.store.revision(), before, "the second time changes nothing");

        let get = |kind: &str, namespace: &str, name: &str| {
            api.store
                .get(&Key { kind: kind.into(), namespace: namespace.into(), name: name.into() })
                .unwrap_or_else(|| panic!("{kind} {namespace}/{name}"))
        };
        for namespace in NAMESPACES {
            get("/serviceaccounts", namespace, "default");
            let map = get("/configmaps", namespace, "kube-root-ca.crt");
            assert_eq!(map["data"]["ca.crt"], api.identity.authority());
        }
        let admin = get("rbac.authorization.k8s.io/clusterroles", "", "admin");
        assert!(admin["rules"].as_array().expect("gathered").len() > 20);

        let may = |user: &User, verb, resource, namespace| {
            api.may(user, &Deed { verb, resource, namespace, ..Deed::default() }).allowed
        };
        let jane = User::new("jane", ["devs"]);
        assert!(!may(&jane, "get", "pods", "default"));
        let path = |user: &User, path| api.may(user, &Deed { verb: "get", path, ..Deed::default() }).allowed;
        assert!(
            path(&jane, "/apis")
                && !path(&User::anonymous(), "/apis")
                && path(&User::anonymous(), "/version")
        );
        let binding = json!({
            "metadata": {"name": "viewers"},
            "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "devs"}],
        });
        api.found("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", &binding);
        assert!(may(&jane, "get", "pods", "default") && !may(&jane, "get", "pods", "kube-system"));
        assert!(!may(&jane, "get", "secrets", "default") && !may(&jane, "delete", "pods", "default"));
    }
}
