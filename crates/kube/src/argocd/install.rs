//! What is applied to install Argo CD: the upstream manifest, and the few settings that a platform needs.

use std::{collections::BTreeMap, time::Duration};

use platform_spec::{Class, Code, Failure};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    manifest::Manifest,
    object::{Object, ObjectRef},
};

/// Namespace for which the upstream manifest is written.
const UPSTREAM_NAMESPACE: &str = "argocd";

/// Gives an Application the health of what it deploys. Since 1.8 Argo CD leaves it out, and then a sync wave of an
/// app-of-apps does not wait for its children.
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#argocd-app>
const APPLICATION_HEALTH: &str = r#"hs = {}
hs.status = "Progressing"
hs.message = ""
if obj.status ~= nil and obj.status.health ~= nil then
  hs.status = obj.status.health.status
  if obj.status.health.message ~= nil then
    hs.message = obj.status.health.message
  end
end
return hs
"#;

/// Settings of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallOptions {
    /// Where to install.
    pub namespace: String,
    /// How often Git is looked at.
    pub reconciliation: Duration,
    /// More keys of `argocd-cm`; they win over ours.
    pub settings: BTreeMap<String, String>,
}

impl Default for InstallOptions {
    /// Namespace `argocd`, Git looked at every two minutes.
    fn default() -> Self {
        Self {
            namespace: UPSTREAM_NAMESPACE.to_owned(),
            reconciliation: Duration::from_secs(120),
            settings: BTreeMap::new(),
        }
    }
}

/// What installs Argo CD: its Namespace and the upstream manifest (`install.yaml`, or its HA or core variant) with
/// nothing changed but our labels, the namespace, and the data of `argocd-cm`.
///
/// Apply it with [`force`](crate::apply::Options::force), as upstream documents; it is ready when its
/// [`readiness`](Manifest::readiness) is met.
///
/// # Errors
/// `P0411` when it is not YAML, `P0422` when it is no manifest of Argo CD (it has no `argocd-cm`).
pub fn install(owner: &str, install_yaml: &[u8], options: &InstallOptions) -> Result<Manifest, Failure> {
    let text = std::str::from_utf8(install_yaml).map_err(|error| foreign().because(error))?;
    let mut manifest = Manifest::parse(owner, text)?;
    let namespace = &options.namespace;
    for object in manifest.objects_mut() {
        // Bindings name the namespace of their subjects; upstream's is written for its own.
        if matches!(object.kind(), "ClusterRoleBinding" | "RoleBinding")
            && let Some(subjects) = object.value_mut()["subjects"].as_array_mut()
        {
            for subject in subjects.iter_mut().filter(|one| one["namespace"] == UPSTREAM_NAMESPACE) {
                subject["namespace"] = json!(namespace);
            }
        }
    }
    let settings = manifest
        .objects_mut()
        .iter_mut()
        .find(|object| object.kind() == "ConfigMap" && object.id().name == "argocd-cm")
        .ok_or_else(|| foreign().because("it has no ConfigMap `argocd-cm`"))?;
    for (key, value) in argocd_cm(options) {
        let data = &mut settings.value_mut()["data"];
        data[key] = json!(value);
    }
    let namespace_object = Object::named(&ObjectRef::cluster("v1", "Namespace", namespace));
    Ok(manifest.and([namespace_object]).in_namespace(namespace))
}

fn argocd_cm(options: &InstallOptions) -> BTreeMap<String, String> {
    let mut data = BTreeMap::from([
        ("application.resourceTrackingMethod".to_owned(), "annotation".to_owned()),
        ("resource.customizations.health.argoproj.io_Application".to_owned(), APPLICATION_HEALTH.to_owned()),
        ("timeout.reconciliation".to_owned(), format!("{}s", options.reconciliation.as_secs())),
    ]);
    data.extend(options.settings.clone());
    data
}

/// The Secret by which Argo CD reads a repository over https with user name and password (or token).
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories>
pub fn repository(
    owner: &str,
    namespace: &str,
    name: &str,
    url: &str,
    login: Option<(&str, SecretString)>,
) -> Manifest {
    let mut object = Object::named(&ObjectRef::namespaced("v1", "Secret", namespace, name))
        .with_label("argocd.argoproj.io/secret-type", "repository")
        .with("type", json!("Opaque"))
        .with_secret("type", SecretString::from("git"))
        .with_secret("url", SecretString::from(url));
    if let Some((username, password)) = login {
        object =
            object.with_secret("username", SecretString::from(username)).with_secret("password", password);
    }
    Manifest::new(owner, [object])
}

fn foreign() -> Failure {
    Failure::new(Code::new("P0422"), Class::Config, "this is no install manifest of Argo CD")
        .hint("take `manifests/install.yaml` of an Argo CD release")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argocd-server}
subjects: [{kind: ServiceAccount, name: argocd-server, namespace: argocd}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-server}
";

    fn value<'a>(manifest: &'a Manifest, kind: &str) -> &'a serde_json::Value {
        manifest.objects().iter().find(|object| object.kind() == kind).expect("there").value()
    }

    #[test]
    fn settings_go_into_argocd_cm_and_nowhere_else() {
        let options = InstallOptions {
            namespace: "gitops".into(),
            reconciliation: Duration::from_secs(10),
            settings: BTreeMap::from([("url".to_owned(), "https://argo".to_owned())]),
        };
        let manifest = install("demo", UPSTREAM.as_bytes(), &options).expect("Argo CD");
        let data = &value(&manifest, "ConfigMap")["data"];
        assert_eq!(data["timeout.reconciliation"], "10s");
        assert_eq!(data["application.resourceTrackingMethod"], "annotation");
        assert_eq!(data["url"], "https://argo");
        assert!(data["resource.customizations.health.argoproj.io_Application"].is_string());
        assert_eq!(value(&manifest, "ClusterRoleBinding")["subjects"][0]["namespace"], "gitops");
        assert_eq!(value(&manifest, "Namespace")["metadata"]["name"], "gitops");
        assert_eq!(manifest.namespace(), Some("gitops"));
        assert!(value(&manifest, "Deployment").get("spec").is_none());
    }

    #[test]
    fn another_manifest_is_refused() {
        let failure =
            install("demo", b"{apiVersion: v1, kind: Pod, metadata: {name: x}}", &InstallOptions::default());
        assert_eq!(failure.unwrap_err().code.as_str(), "P0422");
    }

    #[test]
    fn the_password_shows_only_on_the_wire() {
        let login = Some(("git", SecretString::from("hunter2")));
        let manifest = repository("demo", "argocd", "repo", "https://git/x.git", login);
        assert!(!format!("{manifest:?}{}", manifest.objects()[0].value()).contains("hunter2"));
        assert_eq!(manifest.objects()[0].full()["data"]["password"], "aHVudGVyMg==");
    }
}
