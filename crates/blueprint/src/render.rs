//! One pass over a blueprint's files.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tera::{Context, ErrorKind};

use crate::{
    Blueprint, BlueprintError, File, Tree, Trees,
    blueprint::TEMPLATE_SUFFIX,
    context, lint, lock,
    manifest::Condition,
    paths::{self, Placed},
    yaml,
};

/// Says which blueprint a repository was rendered from. No time and no program version in it: it changes only when what
/// was asked for changes.
const RENDERED_BY: &str = ".platform/rendered-by.txt";

pub(crate) fn render(
    blueprint: &Blueprint,
    model: &Value,
    params: &Value,
    artifacts: &BTreeMap<String, Vec<u8>>,
) -> Result<Trees, BlueprintError> {
    check_version(blueprint, model)?;
    check_addons(blueprint, model)?;
    let index = context::index(model);
    let mut trees = Trees::default();
    for repository in &blueprint.manifest.repositories {
        let entry = repository_of(model, &repository.role)?;
        let pass = Pass { blueprint, model, index: &index, params, artifacts, role: &repository.role, entry };
        let tree = pass.tree()?;
        check(pass.name(), &tree)?;
        trees.repositories.insert(pass.name().to_owned(), tree);
    }
    Ok(trees)
}

/// One repository being rendered.
struct Pass<'a> {
    blueprint: &'a Blueprint,
    model: &'a Value,
    index: &'a Value,
    params: &'a Value,
    artifacts: &'a BTreeMap<String, Vec<u8>>,
    role: &'a str,
    entry: &'a Value,
}

impl Pass<'_> {
    fn name(&self) -> &str {
        self.entry["name"].as_str().unwrap_or(self.role)
    }

    fn tree(&self) -> Result<Tree, BlueprintError> {
        let mut tree = Tree::default();
        let base = self.base_context();
        for (source, bytes) in &self.blueprint.files {
            let Some(path) = source.strip_prefix(self.role).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let (path, is_template) = match path.strip_suffix(TEMPLATE_SUFFIX) {
                Some(path) => (path, true),
                None => (path, false),
            };
            if !self.is_wanted(path) {
                continue;
            }
            for placed in paths::expand(path, &self.blueprint.manifest.loops, self.model)? {
                if !is_template {
                    self.put(&mut tree, placed.path, File::new(bytes.clone()))?;
                } else if let Some(file) = self.fill(source, &base, &placed)? {
                    self.put(&mut tree, placed.path, file)?;
                }
            }
        }
        self.put_artifacts(&mut tree)?;
        self.put(&mut tree, RENDERED_BY.to_owned(), File::new(self.rendered_by()))?;
        let lock = lock::of(self.blueprint, self.model, &self.pinned(), &tree);
        self.put(&mut tree, lock::FILE.to_owned(), File::new(lock))?;
        Ok(tree)
    }

    /// Directory that everything goes below, empty or with a slash at its end.
    fn root(&self) -> String {
        match self.entry["root"].as_str().map(|root| root.trim_matches('/')) {
            None | Some("") => String::new(),
            Some(root) => format!("{root}/"),
        }
    }

    fn put(&self, tree: &mut Tree, path: String, file: File) -> Result<(), BlueprintError> {
        put(tree, format!("{}{path}", self.root()), file)
    }

    fn base_context(&self) -> Context {
        let manifest = &self.blueprint.manifest;
        let mut base = Context::new();
        base.insert("model", self.model);
        base.insert("index", self.index);
        base.insert("params", self.params);
        base.insert("repository", self.entry);
        base.insert("root", &self.root());
        base.insert(
            "blueprint",
            &json!({"name": manifest.name, "version": manifest.version, "digest": self.blueprint.digest()}),
        );
        base
    }

    /// The rendered file, or none when nothing but white space came out.
    fn fill(&self, source: &str, base: &Context, placed: &Placed) -> Result<Option<File>, BlueprintError> {
        let mut filled = base.clone();
        for (variable, element) in &placed.bindings {
            filled.insert(variable.clone(), element);
        }
        let text = self
            .blueprint
            .templates
            .render(source, &filled)
            .map_err(|error| template_error(source, &error))?;
        Ok((!text.trim().is_empty()).then(|| File::new(text)))
    }

    /// Whether every condition that covers this path is met.
    fn is_wanted(&self, path: &str) -> bool {
        let wanted = |when: &str| match when.split_once('.') {
            Some(("model", path)) => context::at(self.model, path),
            Some(("params", path)) => context::at(self.params, path),
            _ => None,
        };
        let full = format!("{}/{path}", self.role);
        self.blueprint
            .manifest
            .conditions
            .iter()
            .filter(|condition| covers(condition, &full))
            .all(|condition| wanted(&condition.when).is_some_and(context::is_wanted))
    }

    fn put_artifacts(&self, tree: &mut Tree) -> Result<(), BlueprintError> {
        let manifest = &self.blueprint.manifest;
        for group in manifest.artifacts.iter().filter(|group| group.repository == self.role) {
            for name in &group.names {
                let path = group.path.replace("{artifact}", name);
                if !self.is_wanted(&path) {
                    continue;
                }
                let bytes = self.artifacts.get(name).ok_or_else(|| BlueprintError::Artifact {
                    blueprint: manifest.name.clone(),
                    name: name.clone(),
                    version: group.version_for(self.model),
                })?;
                self.put(tree, path, File::new(bytes.clone()))?;
            }
        }
        Ok(())
    }

    /// The artifacts in this repository, each with its version and content.
    fn pinned(&self) -> Vec<(&str, String, &[u8])> {
        let manifest = &self.blueprint.manifest;
        let groups = manifest.artifacts.iter().filter(|group| group.repository == self.role);
        let all = groups.flat_map(|group| {
            group
                .names
                .iter()
                .filter(|name| self.is_wanted(&group.path.replace("{artifact}", name)))
                .filter_map(|name| {
                    Some((name.as_str(), group.version_for(self.model), self.artifacts.get(name)?.as_slice()))
                })
        });
        all.collect()
    }

    fn rendered_by(&self) -> String {
        let manifest = &self.blueprint.manifest;
        format!(
            "Rendered by platform. Changes made here by hand are overwritten; change platform.yaml instead.\n\
             platform: {}\nrepository: {} (role {})\nblueprint: {} {}\nblueprint digest: {}\n",
            self.model["platform"].as_str().unwrap_or_default(),
            self.name(),
            self.role,
            manifest.name,
            manifest.version,
            self.blueprint.digest(),
        )
    }
}

fn covers(condition: &Condition, path: &str) -> bool {
    condition.paths.iter().any(|covered| {
        path.strip_prefix(covered.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn put(tree: &mut Tree, path: String, file: File) -> Result<(), BlueprintError> {
    let refuse = |path: &str, why: &str| BlueprintError::Path { path: path.to_owned(), why: why.to_owned() };
    if !paths::is_path(&path) {
        return Err(refuse(&path, "it is no path within a repository"));
    }
    if tree.files.contains_key(&path) {
        return Err(refuse(&path, "two files of the blueprint end there"));
    }
    tree.files.insert(path, file);
    Ok(())
}

/// The one repository of the model that plays a role.
fn repository_of<'v>(model: &'v Value, role: &str) -> Result<&'v Value, BlueprintError> {
    let refuse = |why: String| BlueprintError::Path { path: format!("files/{role}"), why };
    let all = model["repositories"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut playing = all.iter().filter(|entry| entry["role"].as_str() == Some(role));
    match (playing.next(), playing.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(refuse(format!("`spec.git.repositories` has none of role `{role}`"))),
        (Some(_), Some(_)) => {
            Err(refuse(format!("`spec.git.repositories` has more than one of role `{role}`")))
        }
    }
}

/// A spec is written for one version of a blueprint; another may make other things of it.
fn check_version(blueprint: &Blueprint, model: &Value) -> Result<(), BlueprintError> {
    let manifest = &blueprint.manifest;
    match model["blueprint"]["version"].as_str() {
        Some(asked) if asked != manifest.version => Err(BlueprintError::Version {
            blueprint: manifest.name.clone(),
            asked: asked.to_owned(),
            here: manifest.version.clone(),
        }),
        _ => Ok(()),
    }
}

fn check_addons(blueprint: &Blueprint, model: &Value) -> Result<(), BlueprintError> {
    let manifest = &blueprint.manifest;
    let asked = model["addons"].as_array().map(Vec::as_slice).unwrap_or_default();
    for addon in asked.iter().filter_map(|addon| addon.as_str().or(addon["name"].as_str())) {
        if !manifest.addons.iter().any(|known| known == addon) {
            return Err(BlueprintError::Addon {
                blueprint: manifest.name.clone(),
                addon: addon.to_owned(),
                known: manifest.addons.clone(),
            });
        }
    }
    Ok(())
}

/// What leaves this crate is valid and holds no credentials.
fn check(repository: &str, tree: &Tree) -> Result<(), BlueprintError> {
    for (path, file) in &tree.files {
        if !yaml::is_yaml(path) || tree.is_helm_template(path) {
            continue;
        }
        let refuse =
            |why: String| BlueprintError::Yaml { repository: repository.to_owned(), path: path.clone(), why };
        let text = file.text().ok_or_else(|| refuse("it is not UTF-8".to_owned()))?;
        yaml::documents(text).map_err(refuse)?;
    }
    judge(repository, tree)
}

/// The rules of [`lint`], but for those that ask what happens once the tree is published.
fn judge(repository: &str, tree: &Tree) -> Result<(), BlueprintError> {
    let report = lint::check(tree, None);
    if report.passed() {
        return Ok(());
    }
    let repository = repository.to_owned();
    let (found, broken): (Vec<_>, Vec<_>) =
        report.findings.into_iter().partition(|found| found.rule == lint::rules::CREDENTIALS);
    // What may have given a secret away is said before anything else.
    match found.is_empty() {
        false => Err(BlueprintError::Credentials { repository, found }),
        true => Err(BlueprintError::Rules { repository, broken }),
    }
}

/// The template engine's error with its file and line.
pub(crate) fn template_error(file: &str, error: &tera::Error) -> BlueprintError {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => BlueprintError::Template {
            file: report.filename().to_owned(),
            line: Some(report.span().start_line),
            why: report.message().to_owned(),
        },
        _ => BlueprintError::Template { file: file.to_owned(), line: None, why: error.to_string() },
    }
}
