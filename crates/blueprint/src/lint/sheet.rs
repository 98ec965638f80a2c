//! A file as rules see it.

use yaml_serde::Value;

use super::place;
use crate::{Tree, yaml};

/// The part that a file plays in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Objects, or nothing that is known here.
    Plain,
    /// `kustomization.yaml`.
    Kustomization,
    /// A template of a Helm chart.
    HelmTemplate,
    /// `Chart.yaml`.
    HelmChart,
    /// Values for a Helm chart.
    HelmValues,
    /// Terraform, or OpenTofu.
    Terraform,
    /// What a CI server carries out.
    Pipeline,
}

/// Files and folders of CI servers.
const PIPELINES: [&str; 8] = [
    ".github/workflows/",
    ".gitlab-ci.yml",
    ".gitlab/ci/",
    ".circleci/",
    "bitbucket-pipelines.yml",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".tekton/",
];

impl Part {
    pub(super) fn of(tree: &Tree, path: &str) -> Self {
        let (folder, name) = split(path);
        let is_yaml = yaml::is_yaml(path);
        if tree.is_helm_template(path) {
            Self::HelmTemplate
        } else if ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name) {
            Self::Kustomization
        } else if name == "Chart.yaml" {
            Self::HelmChart
        } else if is_yaml
            && (name.starts_with("values") || chart(tree, folder).is_some() || in_values(folder))
        {
            Self::HelmValues
        } else if name.ends_with(".tf") || name.ends_with(".tofu") {
            Self::Terraform
        } else if PIPELINES.iter().any(|known| path.starts_with(known)) {
            Self::Pipeline
        } else {
            Self::Plain
        }
    }
}

fn in_values(folder: &str) -> bool {
    split(folder).1 == "values"
}

/// A path's folder, empty at the top, and its last segment.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The chart that a folder belongs to: the nearest folder at or above it with a `Chart.yaml`.
fn chart<'p>(tree: &Tree, folder: &'p str) -> Option<&'p str> {
    let mut folder = folder;
    loop {
        let file = if folder.is_empty() { "Chart.yaml".to_owned() } else { format!("{folder}/Chart.yaml") };
        if tree.get(&file).is_some() {
            return Some(folder);
        }
        if folder.is_empty() {
            return None;
        }
        folder = split(folder).0;
    }
}

/// A file, read once for all rules.
pub(crate) struct Sheet<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) part: Part,
    /// Its documents, when it is YAML that can be read.
    pub(crate) documents: Vec<Value>,
}

impl<'a> Sheet<'a> {
    /// Kubernetes objects: documents with a kind, those of a List one by one.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        let is_list = |document: &&Value| document["kind"].as_str() == Some("List");
        let listed = self.documents.iter().filter(is_list).filter_map(|list| list["items"].as_sequence());
        let single = self.documents.iter().filter(move |document| !is_list(document));
        listed.flatten().chain(single).filter(|object| object["kind"].is_string())
    }

    /// Objects of an API group and kind.
    pub(crate) fn of_kind(&self, group: &'static str, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.objects().filter(move |object| is(object, group, kind))
    }

    /// The line of a value of its documents.
    pub(crate) fn line(&self, value: &Value) -> u64 {
        place::line(self.text, &self.documents, value)
    }

    /// Lines with their numbers from 1, without comments.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, &'a str)> {
        let lines = (1..).zip(self.text.lines()).filter(|(_, line)| !is_comment(line));
        lines.map(|(number, line)| (number, line.split(" #").next().unwrap_or(line)))
    }

    /// Whether one of the folders it lies in has one of these names.
    pub(crate) fn lies_in(&self, names: &[&str]) -> bool {
        split(self.path).0.split('/').any(|segment| names.contains(&segment))
    }

    /// Whether it belongs to a Helm chart.
    pub(crate) fn in_chart(&self) -> bool {
        chart(self.tree, split(self.path).0).is_some()
    }

    /// The namespace that the Kustomization of its folder puts everything into.
    pub(crate) fn kustomize_namespace(&self) -> Option<String> {
        let folder = split(self.path).0;
        let file = match folder {
            "" => "kustomization.yaml".to_owned(),
            folder => format!("{folder}/kustomization.yaml"),
        };
        let documents = yaml::documents(self.tree.get(&file)?.text()?).ok()?;
        documents.first()?["namespace"].as_str().map(str::to_owned)
    }
}

/// Whether a line is only a comment, in any of the languages that a tree is written in.
pub(crate) fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["#", "//", "{{/*", "{{- /*", "<!--"].iter().any(|begin| line.starts_with(begin))
}

/// Whether an object is of an API group (empty: the core group) and kind.
pub(crate) fn is(object: &Value, group: &str, kind: &str) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    object["kind"].as_str() == Some(kind) && version.split_once('/').map_or("", |(group, _)| group) == group
}

/// The pod that an object makes, as far as it is written there: a patch has only a part of it.
pub(crate) fn pod(object: &Value) -> Option<&Value> {
    let spec = match object["kind"].as_str()? {
        "Pod" => &object["spec"],
        "PodTemplate" => &object["template"]["spec"],
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        _ => &object["spec"]["template"]["spec"],
    };
    let has = |list: &str| spec[list].is_sequence();
    (has("containers") || has("initContainers") || has("volumes")).then_some(spec)
}

/// Every container of a pod.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| items(&pod[list]))
}

/// The elements of a list; none when it is no list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

/// The entries of a map with text for a key; none when it is no map.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_mapping().into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// The sources of an Argo CD Application, or of those that an ApplicationSet makes.
pub(crate) fn sources(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = if is(object, "argoproj.io", "Application") {
        &object["spec"]
    } else if is(object, "argoproj.io", "ApplicationSet") {
        &object["spec"]["template"]["spec"]
    } else {
        &Value::Null
    };
    let single = Some(&spec["source"]).filter(|source| source.is_mapping());
    single.into_iter().chain(items(&spec["sources"]))
}

/// What an object is called, for people.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("without a name")
}
