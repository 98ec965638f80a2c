//! A set of objects that belongs to one platform: read from YAML, labelled, and in the order in which it can be made.

use platform_spec::{Class, Code, Failure};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::{
    object::{MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, Object, ObjectRef},
    wait::Condition,
};

/// Objects of one owner in the order of their making: Namespaces, CustomResourceDefinitions, then what others refer
/// to, then workloads, then custom resources, and admission webhooks last of all.
///
/// # Guarantees
/// Every object bears `app.kubernetes.io/managed-by: platform` and `platform.dev/name: <owner>` in its own metadata,
/// and only there: Pod templates and selectors are left as they are.
#[derive(Clone, Debug)]
pub struct Manifest {
    owner: String,
    namespace: Option<String>,
    objects: Vec<Object>,
}

impl Manifest {
    /// Takes objects as they are, labels and sorts them.
    pub fn new(owner: &str, objects: impl IntoIterator<Item = Object>) -> Self {
        let mut objects: Vec<Object> = objects.into_iter().collect();
        for object in &mut objects {
            object.set_label(MANAGED_BY_LABEL, MANAGER);
            object.set_label(OWNER_LABEL, owner);
        }
        objects.sort_by_key(|object| rank::rank(object.kind(), object.id().group()));
        Self { owner: owner.to_owned(), namespace: None, objects }
    }

    /// Reads a file of any number of YAML (or JSON) documents. Empty documents are skipped, `List`s are taken apart.
    ///
    /// YAML 1.2 words are meant: `no` is a text, `0755` is a text.
    ///
    /// # Errors
    /// `P0411` with the number of the document and the parser's words (line and column; never the content).
    pub fn parse(owner: &str, yaml: &str) -> Result<Self, Failure> {
        let mut objects = Vec::new();
        for (index, document) in yaml_serde::Deserializer::from_str(yaml).enumerate() {
            let refuse = |why: String| {
                Failure::new(
                    Code::new("P0411"),
                    Class::Config,
                    format!("document {} of the manifest cannot be read", index + 1),
                )
                .because(why)
                .hint("check the file with `kubectl apply --dry-run=client -f FILE`")
            };
            let value = Value::deserialize(document).map_err(|error| refuse(error.to_string()))?;
            for value in flatten(value) {
                objects.push(Object::new(value).map_err(refuse)?);
            }
        }
        Ok(Self::new(owner, objects))
    }

    /// Puts every namespaced object that names no namespace into this one (`kubectl apply -n`).
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Adds objects, labelled and in their place.
    #[must_use]
    pub fn and(self, more: impl IntoIterator<Item = Object>) -> Self {
        let namespace = self.namespace;
        Self { namespace, ..Self::new(&self.owner, self.objects.into_iter().chain(more)) }
    }

    /// Whose they are.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Where objects go that name no namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The objects in the order of their making.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// For changing single objects before they are applied.
    pub fn objects_mut(&mut self) -> &mut [Object] {
        &mut self.objects
    }

    /// When it works: every CRD Established, every Deployment Available, every StatefulSet and DaemonSet ready.
    pub fn readiness(&self) -> Condition {
        Condition::all_of(self.conditions())
    }

    /// As [`Self::readiness`], without the CRDs: an apply that went through has waited for those.
    pub fn rollout(&self) -> Condition {
        let workloads = |one: &Condition| !matches!(one, Condition::CrdEstablished { .. });
        Condition::all_of(self.conditions().filter(workloads))
    }

    fn conditions(&self) -> impl Iterator<Item = Condition> {
        self.objects.iter().filter_map(|object| {
            let mut id = object.id();
            if id.namespace.is_none() && id.group() == "apps" {
                id.namespace.clone_from(&self.namespace);
            }
            Condition::ready(&id)
        })
    }

    /// Leaves out what does not fit.
    #[must_use]
    pub fn only(mut self, fits: impl Fn(&Object) -> bool) -> Self {
        self.objects.retain(fits);
        self
    }

    /// Takes the schemas out of CustomResourceDefinitions: they then accept everything.
    #[must_use]
    pub fn without_schemas(mut self) -> Self {
        for object in self.objects.iter_mut().filter(|object| object.kind() == "CustomResourceDefinition") {
            for version in object.value_mut()["spec"]["versions"].as_array_mut().into_iter().flatten() {
                version["schema"]["openAPIV3Schema"] =
                    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
            }
        }
        self
    }

    /// The objects' names. Those without a namespace of their own are completed with [`Manifest::in_namespace`] only
    /// where the kind is known to be namespaced, which only the server can say: see [`crate::apply::Diff`].
    pub fn ids(&self) -> Vec<ObjectRef> {
        self.objects.iter().map(Object::id).collect()
    }
}

fn flatten(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(mut map)
            if map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
                && map.get("items").is_some_and(Value::is_array) =>
        {
            match map.remove("items") {
                Some(Value::Array(items)) => items.into_iter().flat_map(flatten).collect(),
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

/// The place of a kind in the order of making; things are removed in the opposite order.
pub(crate) mod rank {
    pub(crate) const NAMESPACE: u8 = 0;
    /// Custom resources, and above them what can refuse them.
    pub(crate) const CUSTOM: u8 = 9;

    pub(crate) fn rank(kind: &str, group: &str) -> u8 {
        match kind {
            "Namespace" => NAMESPACE,
            "CustomResourceDefinition" => 1,
            "PriorityClass" | "StorageClass" | "IngressClass" | "RuntimeClass" => 2,
            "ServiceAccount" | "ResourceQuota" | "LimitRange" | "NetworkPolicy" => 3,
            "Secret" | "ConfigMap" => 4,
            "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => 5,
            "PersistentVolume" | "PersistentVolumeClaim" | "Service" => 6,
            "APIService" => 8,
            "ValidatingWebhookConfiguration"
            | "MutatingWebhookConfiguration"
            | "ValidatingAdmissionPolicy"
            | "ValidatingAdmissionPolicyBinding" => 10,
            _ if is_built_in(group) => 7,
            _ => CUSTOM,
        }
    }

    /// Whether a group is Kubernetes' own. `gateway.networking.k8s.io` and its like are served by CRDs.
    fn is_built_in(group: &str) -> bool {
        const BY_CRD: &[&str] = &["gateway.networking.k8s.io", "snapshot.storage.k8s.io", "metrics.k8s.io"];
        (!group.contains('.') || group.ends_with(".k8s.io")) && !BY_CRD.contains(&group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: root}
spec: {flag: no, mode: 0755}
---
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, labels: {a: b}}
spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s}}
- {apiVersion: v1, kind: Namespace, metadata: {name: n}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: x.y.z}
status: {conditions: []}
";

    fn kinds(manifest: &Manifest) -> Vec<String> {
        manifest.objects().iter().map(|object| object.kind().to_owned()).collect()
    }

    #[test]
    fn namespaces_and_crds_come_first_and_custom_resources_last() {
        let manifest = Manifest::parse("demo", YAML).expect("parses");
        let expected = ["Namespace", "CustomResourceDefinition", "Secret", "Deployment", "Application"];
        assert_eq!(kinds(&manifest), expected);
    }

    #[test]
    fn order_does_not_depend_on_the_file() {
        let mut objects = Manifest::parse("demo", YAML).expect("parses").objects().to_vec();
        objects.reverse();
        assert_eq!(
            kinds(&Manifest::new("demo", objects)),
            kinds(&Manifest::parse("demo", YAML).expect("parses"))
        );
    }

    #[test]
    fn labels_are_on_the_object_and_never_in_its_pod_template() {
        let manifest = Manifest::parse("demo", YAML).expect("parses");
        for object in manifest.objects() {
            assert_eq!(object.value()["metadata"]["labels"][OWNER_LABEL], "demo", "{object:?}");
            assert_eq!(object.value()["metadata"]["labels"][MANAGED_BY_LABEL], MANAGER);
        }
        let deployment = manifest.objects()[3].value();
        assert_eq!(deployment["metadata"]["labels"]["a"], "b");
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"], serde_json::json!({"app": "d"}));
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], serde_json::json!({"app": "d"}));
    }

    #[test]
    fn words_stay_words() {
        let manifest = Manifest::parse("demo", YAML).expect("parses");
        assert_eq!(manifest.objects()[4].value()["spec"], serde_json::json!({"flag": "no", "mode": "0755"}));
    }

    #[test]
    fn status_is_the_servers() {
        let manifest = Manifest::parse("demo", YAML).expect("parses");
        assert!(manifest.objects()[1].value().get("status").is_none());
    }

    #[test]
    fn a_broken_document_is_named_by_its_number() {
        let failure = Manifest::parse("demo", "a: b\n---\n{").unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("P0411", Class::Config));
        assert_eq!(failure.message, "document 1 of the manifest cannot be read");
    }

    #[test]
    fn readiness_follows_from_the_objects() {
        let manifest = Manifest::parse("demo", YAML).expect("parses").in_namespace("argocd");
        let expected = Condition::all_of(vec![
            Condition::CrdEstablished { name: "x.y.z".into() },
            Condition::DeploymentAvailable { namespace: "argocd".into(), name: "d".into() },
        ]);
        assert_eq!(manifest.readiness(), expected);
    }
}
