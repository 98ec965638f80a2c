//! Clusters that an Argo CD serves beside its own, registered as `argocd cluster add` does.
//! <https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#clusters>

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use platform_spec::{Class, Code, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::{
    client::Cluster,
    endpoint::Endpoint,
    manifest::Manifest,
    object::{Object, ObjectRef},
};

/// Namespace of the account that Argo CD acts as in a cluster that is not its own.
const NAMESPACE: &str = "kube-system";
/// That account, and the binding of its role.
const MANAGER: &str = "argocd-manager";
/// Its role.
const ROLE: &str = "argocd-manager-role";
/// The Secret that keeps its token.
const TOKEN: &str = "argocd-manager-token";

/// What Argo CD needs in a cluster that it serves: an account that may do everything, and a token of it that does not end.
pub fn manager(owner: &str) -> Manifest {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut token = Object::named(&ObjectRef::namespaced("v1", "Secret", NAMESPACE, TOKEN))
        .with("type", json!("kubernetes.io/service-account-token"));
    token.value_mut()["metadata"]["annotations"] = json!({ "kubernetes.io/service-account.name": MANAGER });
    Manifest::new(
        owner,
        [
            Object::named(&ObjectRef::namespaced("v1", "ServiceAccount", NAMESPACE, MANAGER)),
            Object::named(&ObjectRef::cluster(rbac, "ClusterRole", ROLE)).with(
                "rules",
                json!([
                    { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
                    { "nonResourceURLs": ["*"], "verbs": ["*"] },
                ]),
            ),
            Object::named(&ObjectRef::cluster(rbac, "ClusterRoleBinding", &format!("{MANAGER}-binding")))
                .with(
                    "roleRef",
                    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE }),
                )
                .with(
                    "subjects",
                    json!([{ "kind": "ServiceAccount", "name": MANAGER, "namespace": NAMESPACE }]),
                ),
            token,
        ],
    )
}

/// What Argo CD shows to a cluster that it serves.
pub struct Credentials {
    token: SecretString,
    /// The authority that the cluster itself believes, in base64.
    authority: String,
}

impl Cluster {
    /// The credentials of [`manager`]; `None` as long as the cluster has not made the token.
    ///
    /// # Errors
    /// The classified refusal; `P0433` for a token that is no text.
    pub async fn manager_credentials(&self) -> Result<Option<Credentials>, Failure> {
        let id = ObjectRef::namespaced("v1", "Secret", NAMESPACE, TOKEN);
        let Some(secret) = self.get(&id).await? else { return Ok(None) };
        let text = |key: &str| secret["data"][key].as_str().filter(|text| !text.is_empty());
        let (Some(token), Some(authority)) = (text("token"), text("ca.crt")) else { return Ok(None) };
        let bytes = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let token = bytes.ok_or_else(|| {
            Failure::new(Code::new("P0433"), Class::Config, format!("{id} holds no token")).hint(format!(
                "delete it (`kubectl delete secret -n {NAMESPACE} {TOKEN}`), then `platform resume`"
            ))
        })?;
        Ok(Some(Credentials { token: token.into(), authority: authority.to_owned() }))
    }
}

/// The Secret by which an Argo CD in `namespace` knows a cluster by its name.
///
/// The server is verified by the authority that the way to it names, or else by the one that the cluster believes itself.
pub fn registration(
    owner: &str,
    namespace: &str,
    cluster: &str,
    endpoint: &Endpoint,
    credentials: &Credentials,
) -> Manifest {
    let mut tls = json!({
        "insecure": false,
        "caData": endpoint.authority.as_ref().unwrap_or(&credentials.authority),
    });
    if let Some(name) = &endpoint.server_name {
        tls["serverName"] = json!(name);
    }
    let config: Value = json!({ "bearerToken": credentials.token.expose_secret(), "tlsClientConfig": tls });
    let secret =
        Object::named(&ObjectRef::namespaced("v1", "Secret", namespace, &format!("cluster-{cluster}")))
            .with_label("argocd.argoproj.io/secret-type", "cluster")
            .with("type", json!("Opaque"))
            .with_secret("name", cluster.to_owned().into())
            .with_secret("server", endpoint.server.clone().into())
            .with_secret("config", config.to_string().into());
    Manifest::new(owner, [secret])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(authority: Option<&str>) -> (String, Value) {
        let endpoint = Endpoint {
            server: "https://10.0.0.1:6443".into(),
            authority: authority.map(str::to_owned),
            server_name: None,
        };
        let credentials = Credentials { token: "hunter2".to_owned().into(), authority: "b3du".into() };
        let manifest = registration("demo", "argocd", "edge", &endpoint, &credentials);
        let shown = format!("{manifest:?}{}", manifest.objects()[0].value());
        let full = manifest.objects()[0].full();
        let config = BASE64.decode(full["data"]["config"].as_str().expect("there")).expect("base64");
        (shown, serde_json::from_slice(&config).expect("JSON"))
    }

    #[test]
    fn the_token_shows_only_on_the_wire() {
        let (shown, config) = registered(None);
        assert!(!shown.contains("hunter2") && !shown.contains(&BASE64.encode("hunter2")), "{shown}");
        assert_eq!(config["bearerToken"], "hunter2");
    }

    #[test]
    fn the_authority_of_the_way_counts_before_the_clusters_own() {
        assert_eq!(registered(None).1["tlsClientConfig"], json!({ "insecure": false, "caData": "b3du" }));
        assert_eq!(registered(Some("d2F5")).1["tlsClientConfig"]["caData"], "d2F5");
    }

    #[test]
    fn the_token_is_of_an_account_that_may_everything() {
        let manifest = manager("demo");
        let mut names: Vec<_> = manifest.ids().into_iter().map(|id| id.to_string()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "ClusterRole argocd-manager-role",
                "ClusterRoleBinding argocd-manager-binding",
                "Secret kube-system/argocd-manager-token",
                "ServiceAccount kube-system/argocd-manager",
            ]
        );
        let of = |kind: &str| manifest.objects().iter().find(|it| it.kind() == kind).expect("there").value();
        assert_eq!(
            of("ClusterRole")["rules"][0],
            json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] })
        );
        assert_eq!(of("ClusterRoleBinding")["subjects"][0]["name"], "argocd-manager");
        let of_account = "kubernetes.io/service-account.name";
        assert_eq!(of("Secret")["metadata"]["annotations"][of_account], "argocd-manager");
    }
}
