//! Loading a blueprint, and what it offers.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tera::Tera;

use crate::{
    BlueprintError, Manifest, Trees, manifest,
    params::{self, Params},
    render, source, tree, yaml,
};

const MANIFEST: &str = "blueprint.toml";
const FILES: &str = "files/";
const PARTIALS: &str = "partials/";
pub(crate) const TEMPLATE_SUFFIX: &str = ".tera";

/// A blueprint, read and checked as far as it can be without a model.
pub struct Blueprint {
    pub(crate) manifest: Manifest,
    pub(crate) params: Params,
    /// Everything below `files/`: path from there (`<role>/…`), content.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) templates: Tera,
    digest: String,
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blueprint")
            .field("name", &self.manifest.name)
            .field("version", &self.manifest.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Blueprint {
    /// Names of the blueprints that are part of this program, sorted.
    pub fn names() -> Vec<String> {
        source::embedded_names()
    }

    /// A blueprint that is part of this program.
    ///
    /// # Errors
    /// [`BlueprintError::Unknown`], naming those there are.
    pub fn embedded(name: &str) -> Result<Self, BlueprintError> {
        Self::load(source::embedded(name)?)
    }

    /// A blueprint in a folder of the user's. Its `golden/` is not read.
    ///
    /// # Errors
    /// [`BlueprintError::Read`] for what cannot be read (or is a symbolic link); [`BlueprintError::Invalid`],
    /// [`BlueprintError::Template`] and [`BlueprintError::Path`] for what is wrong in it.
    pub fn from_dir(folder: &Path) -> Result<Self, BlueprintError> {
        Self::load(source::from_dir(folder)?)
    }

    fn load(all: source::Files) -> Result<Self, BlueprintError> {
        let needed = |file: &str| {
            all.get(file).ok_or_else(|| BlueprintError::Invalid {
                file: file.to_owned(),
                why: "it is missing".to_owned(),
            })
        };
        let manifest = read_manifest(needed(MANIFEST)?)?;
        let params = Params::load(needed(params::FILE)?)?;

        let partials = partials(&all);
        let mut sum = Sha256::new();
        for (path, bytes) in all.iter().chain(partials.iter().filter(|(path, _)| !all.contains_key(*path))) {
            tree::feed(&mut sum, path.as_bytes());
            tree::feed(&mut sum, bytes);
        }
        let files: BTreeMap<String, Vec<u8>> = all
            .into_iter()
            .filter_map(|(path, bytes)| Some((path.strip_prefix(FILES)?.to_owned(), bytes)))
            .collect();
        check_roles(&manifest, &files)?;
        Ok(Self {
            templates: compile(files.iter().chain(&partials))?,
            manifest,
            params,
            files,
            digest: tree::finish(sum),
        })
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The JSON Schema of its parameters.
    pub fn params_schema(&self) -> &Value {
        self.params.schema()
    }

    /// `sha256:…` over all of its files but `golden/`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every artifact that [`Blueprint::render`] must be given for a model.
    pub fn needed_artifacts(&self, model: &impl Serialize) -> Vec<manifest::Needed> {
        // A model that does not become JSON is refused when it is rendered.
        self.manifest.needed_artifacts(&serde_json::to_value(model).unwrap_or_default())
    }

    /// The parameters completed with defaults, when they fit the schema. `null` means none given.
    ///
    /// # Errors
    /// [`BlueprintError::Params`], one sentence per thing wrong, without values.
    pub fn complete_params(&self, given: &Value) -> Result<Value, BlueprintError> {
        self.params.complete(&self.manifest.name, given)
    }

    /// Renders every repository.
    ///
    /// `model` is the derived model; it must have `platform` (its name) and `repositories` (a list of `{name, role, …}`), and whatever
    /// the templates ask for. Templates see `model`, `params`, `blueprint` (`name`, `version`, `digest`), `repository`
    /// (the model's entry), `root` (the repository's directory: empty, or with a slash at its end), `index` (lists of the model as maps
    /// by name) and the variables of the path's loops. A template that renders to white space makes no file. `artifacts` has bytes by artifact name, at least those of
    /// [`Blueprint::needed_artifacts`].
    ///
    /// # Guarantees
    /// Equal inputs give equal bytes. Every YAML file parses without duplicate keys (Helm templates excepted), and none
    /// holds a literal credential.
    ///
    /// # Errors
    /// Every variant of [`BlueprintError`] but [`BlueprintError::Unknown`] and [`BlueprintError::Read`].
    pub fn render(
        &self,
        model: &impl Serialize,
        params: &Value,
        artifacts: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Trees, BlueprintError> {
        let model = serde_json::to_value(model).map_err(|error| BlueprintError::Invalid {
            file: MANIFEST.to_owned(),
            why: format!("the model does not become JSON: {error}"),
        })?;
        render::render(self, &model, &self.complete_params(params)?, artifacts)
    }
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, BlueprintError> {
    let invalid = |why: String| BlueprintError::Invalid { file: MANIFEST.to_owned(), why };
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    toml::from_str(text).map_err(|error| invalid(error.to_string()))
}

/// Every file belongs to a repository that the manifest makes.
fn check_roles(manifest: &Manifest, files: &BTreeMap<String, Vec<u8>>) -> Result<(), BlueprintError> {
    for path in files.keys() {
        let role = path.split('/').next().unwrap_or_default();
        if !manifest.repositories.iter().any(|repository| repository.role == role) {
            return Err(BlueprintError::Path {
                path: format!("{FILES}{path}"),
                why: format!("blueprint.toml makes no repository of role `{role}`"),
            });
        }
    }
    Ok(())
}

/// Templates for inclusion, by the path that includes name: all of the blueprint's own, and those of the shared ones that something
/// here includes.
fn partials(all: &source::Files) -> BTreeMap<String, Vec<u8>> {
    let mut taken: BTreeMap<String, Vec<u8>> = all
        .iter()
        .filter(|(path, _)| path.starts_with(PARTIALS) && path.ends_with(TEMPLATE_SUFFIX))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    let mut shared = source::shared();
    let mut texts: Vec<Vec<u8>> = all
        .iter()
        .filter(|(path, _)| path.ends_with(TEMPLATE_SUFFIX))
        .map(|(_, bytes)| bytes.clone())
        .collect();
    while let Some(bytes) = texts.pop() {
        let text = String::from_utf8_lossy(&bytes);
        let named: Vec<String> =
            shared.keys().filter(|path| text.contains(&format!("\"{path}\""))).cloned().collect();
        for path in named {
            if let Some(found) = shared.remove(&path) {
                texts.push(found.clone());
                taken.insert(path, found);
            }
        }
    }
    taken
}

fn compile<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> Result<Tera, BlueprintError> {
    let mut templates = Tera::default();
    // A value that is inserted into YAML without a filter is quoted where a reader could take it for something else
    // than text. Nothing here is HTML; elsewhere escaping would damage file contents.
    templates.autoescape_on([".yaml.tera", ".yml.tera"]);
    yaml::add_filters(&mut templates);
    templates.register_function("refuse", refuse);
    let mut sources = Vec::new();
    for (path, bytes) in files.filter(|(path, _)| path.ends_with(TEMPLATE_SUFFIX)) {
        let text = std::str::from_utf8(bytes).map_err(|error| BlueprintError::Template {
            file: path.clone(),
            line: None,
            why: error.to_string(),
        })?;
        if path.strip_suffix(TEMPLATE_SUFFIX).is_some_and(yaml::is_yaml) {
            yaml::values_stand_alone(text).map_err(|(line, why)| BlueprintError::Template {
                file: path.clone(),
                line: Some(line),
                why,
            })?;
        }
        sources.push((path.as_str(), text));
    }
    templates.add_raw_templates(sources).map_err(|error| render::template_error("files", &error))?;
    Ok(templates)
}

/// `refuse(because = "…")`: a blueprint says that it cannot make what the model asks for.
fn refuse(arguments: tera::Kwargs, _: &tera::State<'_>) -> tera::TeraResult<String> {
    Err(tera::Error::message(arguments.must_get::<String>("because")?))
}
