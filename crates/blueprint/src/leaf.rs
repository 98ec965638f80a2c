//! Which Argo CD Applications a rendered tree asks for.

mod sets;

use serde::{Deserialize, Serialize};
use yaml_serde::Value;

use crate::{BlueprintError, Tree, yaml};

/// The label of an Application whose only purpose is to bring other Applications; any value.
///
/// Such an Application is healthy as soon as its children exist, so waiting for it says nothing about the platform.
pub const APP_OF_APPS_LABEL: &str = "platform.dev/app-of-apps";

/// The annotation that orders a sync.
const WAVE_ANNOTATION: &str = "argocd.argoproj.io/sync-wave";

/// An Application that brings workloads. A platform is up when every one of them is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeafApplication {
    /// Its sync wave; 0 when none is written.
    pub wave: i32,
    /// Its name.
    pub name: String,
    /// The namespace it lives in; `argocd` when none is written.
    pub namespace: String,
    /// Its AppProject.
    pub project: String,
    /// Whether Argo CD syncs it by itself; otherwise somebody must.
    pub automated: bool,
    /// The file it comes from.
    pub file: String,
    /// The API server it deploys to, when the Application names one.
    pub server: Option<String>,
    /// The namespace it deploys to, when the Application names one.
    pub target_namespace: Option<String>,
}

/// Every Application in a tree's YAML files that is no app-of-apps, in the order of waves, then names; those that ApplicationSets
/// make of lists among them. A set of another kind has the label itself: what it makes is only known where it runs.
///
/// Templates of Helm charts are not looked into.
///
/// # Errors
/// [`BlueprintError::Yaml`] for a file that is no YAML, an Application without a name, or an ApplicationSet whose Applications
/// cannot be known.
pub fn leaf_applications(repository: &str, tree: &Tree) -> Result<Vec<LeafApplication>, BlueprintError> {
    let mut leaves = Vec::new();
    for (path, file) in &tree.files {
        if !yaml::is_yaml(path) || tree.is_helm_template(path) {
            continue;
        }
        let refuse =
            |why: String| BlueprintError::Yaml { repository: repository.to_owned(), path: path.clone(), why };
        let text = file.text().ok_or_else(|| refuse("it is not UTF-8".to_owned()))?;
        for document in yaml::documents(text).map_err(refuse)? {
            if !document["metadata"]["labels"][APP_OF_APPS_LABEL].is_null() {
                continue;
            }
            let applications = match () {
                () if is_argo(&document, "Application") => vec![document],
                () if is_argo(&document, "ApplicationSet") => sets::expand(&document).map_err(refuse)?,
                () => continue,
            };
            for application in &applications {
                leaves.push(
                    leaf(application, path).ok_or_else(|| refuse("an Application has no name".to_owned()))?,
                );
            }
        }
    }
    leaves.sort();
    Ok(leaves)
}

fn is_argo(document: &Value, kind: &str) -> bool {
    document["kind"].as_str() == Some(kind)
        && document["apiVersion"].as_str().is_some_and(|version| version.starts_with("argoproj.io/"))
}

fn leaf(application: &Value, file: &str) -> Option<LeafApplication> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (metadata, spec) = (&application["metadata"], &application["spec"]);
    Some(LeafApplication {
        wave: metadata["annotations"][WAVE_ANNOTATION]
            .as_str()
            .and_then(|wave| wave.parse().ok())
            .unwrap_or(0),
        name: text(&metadata["name"])?,
        namespace: text(&metadata["namespace"]).unwrap_or_else(|| "argocd".to_owned()),
        project: text(&spec["project"]).unwrap_or_else(|| "default".to_owned()),
        // `automated: {}` is on, too.
        automated: spec["syncPolicy"]
            .get("automated")
            .is_some_and(|automated| !automated.is_null() && automated["enabled"].as_bool() != Some(false)),
        file: file.to_owned(),
        server: text(&spec["destination"]["server"]),
        target_namespace: text(&spec["destination"]["namespace"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::File;

    #[test]
    fn leaves_are_ordered_by_wave_and_roots_left_out() {
        let application = |name: &str, wave: &str, labels: &str| {
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\n  namespace: argocd\n  \
                 annotations: {{argocd.argoproj.io/sync-wave: \"{wave}\"}}\n  labels: {{{labels}}}\n\
                 spec: {{project: apps, syncPolicy: {{automated: {{}}}}, destination: {{server: s, namespace: n}}}}\n"
            )
        };
        let files = [
            ("argocd/root.yaml", application("root", "0", "platform.dev/app-of-apps: \"true\"")),
            (
                "argocd/apps/a.yaml",
                application("late", "50", "") + "---\n" + &application("early", "-10", ""),
            ),
            ("charts/c/Chart.yaml", "name: c\n".to_owned()),
            ("charts/c/templates/app.yaml", "{{ nonsense }}: {{ .Values }}\n".to_owned()),
            ("apps/kustomization.yaml", "kind: Kustomization\n".to_owned()),
        ];
        let tree = Tree {
            files: files.into_iter().map(|(path, text)| (path.to_owned(), File::new(text))).collect(),
        };
        let leaves = leaf_applications("platform", &tree).unwrap();
        let seen: Vec<_> = leaves.iter().map(|l| (l.wave, l.name.as_str(), l.project.as_str())).collect();
        assert_eq!(seen, [(-10, "early", "apps"), (50, "late", "apps")]);
        assert!(leaves[0].automated);
        assert_eq!(leaves[0].target_namespace.as_deref(), Some("n"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let tree = Tree { files: [("a.yaml".to_owned(), File::new("a: [1\n"))].into() };
        assert!(
            matches!(leaf_applications("r", &tree), Err(BlueprintError::Yaml { path, .. }) if path == "a.yaml")
        );
    }
}
