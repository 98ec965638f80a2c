//! `blueprint.toml`: what a blueprint says about itself.

use serde::Deserialize;
use serde_json::Value;

use crate::context;

/// The content of `blueprint.toml`. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, as in `spec.blueprint.name`.
    pub name: String,
    /// Its version, as in `spec.blueprint.version`.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Names of the add-ons it can install.
    #[serde(default)]
    pub addons: Vec<String>,
    /// The repositories it makes.
    pub repositories: Vec<Repository>,
    /// Artifacts that become files.
    #[serde(default)]
    pub artifacts: Vec<EmbeddedArtifacts>,
    /// Paths that are made once for each element of a list.
    #[serde(default)]
    pub loops: Vec<Loop>,
    /// Files that are only made when the model asks for them.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A repository that a blueprint makes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The role it plays in `spec.git.repositories`; its files are below `files/<role>/`.
    pub role: String,
}

/// Artifacts of one version that are copied into a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedArtifacts {
    /// Their names in `artifacts.toml`.
    pub names: Vec<String>,
    /// Their version there; in braces, where it is in the model: `{argocd.version}`.
    pub version: String,
    /// Role of the repository they go to.
    pub repository: String,
    /// The path of each; `{artifact}` stands for its name.
    pub path: String,
}

impl EmbeddedArtifacts {
    /// The version for this model.
    pub(crate) fn version_for(&self, model: &Value) -> String {
        let inner = self.version.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let found = inner.and_then(|path| context::at(model, path)?.as_str());
        found.unwrap_or(&self.version).trim_start_matches('v').to_owned()
    }
}

/// A path segment `{variable}` (the element's name) or `{variable.field}`: the file is made once for each element.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loop {
    /// The word between the braces; in the template it is the element.
    pub variable: String,
    /// Dotted path of the list: in an outer loop's element (`tenant.apps`), else in the model (`cells`).
    pub over: String,
    /// Dotted paths in an element: of those that are equal there, only the first is taken.
    #[serde(default)]
    pub by: Vec<String>,
}

/// Files that are only made when something in the model or the parameters is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Paths in the blueprint (before loops, with the role, without `.tera`); a folder means everything in it.
    pub paths: Vec<String>,
    /// Dotted path such as `model.backup` or `params.sample`: made unless that is absent, null, false, or empty.
    pub when: String,
}

/// One artifact that a blueprint needs before it can be rendered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Needed {
    /// Its name in `artifacts.toml`.
    pub name: String,
    /// Its version there.
    pub version: String,
}

impl Manifest {
    /// Every artifact that is embedded, each once, in the manifest's order.
    pub(crate) fn needed_artifacts(&self, model: &Value) -> Vec<Needed> {
        let all = self.artifacts.iter().flat_map(|group| {
            group.names.iter().map(|name| Needed { name: name.clone(), version: group.version_for(model) })
        });
        let mut needed = Vec::new();
        for artifact in all {
            if !needed.contains(&artifact) {
                needed.push(artifact);
            }
        }
        needed
    }
}
