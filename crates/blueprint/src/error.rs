//! What can go wrong while loading and rendering, and how it reads at the crate's border.

use std::io;

use platform_spec::{Class, Code, Failure};

use crate::lint::Finding;

/// A blueprint that cannot be used, or does not fit what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlueprintError {
    /// No such blueprint in this program.
    #[error("blueprint `{name}` is not part of this program")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The spec names another version.
    #[error("the spec asks for blueprint `{blueprint}` {asked}, and this is {here}")]
    Version {
        /// Which blueprint.
        blueprint: String,
        /// The version in the spec.
        asked: String,
        /// The version of the blueprint.
        here: String,
    },
    /// A folder that cannot be read.
    #[error("could not read the blueprint in `{path}`")]
    Read {
        /// The folder.
        path: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file of the blueprint is wrong.
    #[error("`{file}` of the blueprint is not valid: {why}")]
    Invalid {
        /// Which file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The parameters do not fit the schema.
    #[error("the parameters do not fit blueprint `{blueprint}`")]
    Params {
        /// Whose.
        blueprint: String,
        /// One sentence for each thing wrong.
        problems: Vec<String>,
    },
    /// A template could not be rendered.
    #[error("template `{file}`{} could not be rendered", at(*line))]
    Template {
        /// Which template, within the blueprint.
        file: String,
        /// Line, from 1, when it is known.
        line: Option<usize>,
        /// In the template engine's words.
        why: String,
    },
    /// A path, loop or role that leads nowhere.
    #[error("could not place `{path}`: {why}")]
    Path {
        /// The path as the blueprint writes it.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A rendered file is no valid YAML.
    #[error("rendered file `{path}` of repository `{repository}` is not valid YAML")]
    Yaml {
        /// Which repository.
        repository: String,
        /// Which file.
        path: String,
        /// In the parser's words, with line and column.
        why: String,
    },
    /// Rendered files hold literal credentials.
    #[error("rendered files of repository `{repository}` hold literal credentials")]
    Credentials {
        /// Which repository.
        repository: String,
        /// Where and of what kind; never the value.
        found: Vec<Finding>,
    },
    /// Rendered files break rules that every tree must keep.
    #[error("rendered files of repository `{repository}` break rules")]
    Rules {
        /// Which repository.
        repository: String,
        /// Where, and which rule.
        broken: Vec<Finding>,
    },
    /// The caller did not bring an artifact.
    #[error("blueprint `{blueprint}` needs artifact `{name}` {version}, which was not given")]
    Artifact {
        /// Whose need.
        blueprint: String,
        /// Which artifact.
        name: String,
        /// Which version.
        version: String,
    },
    /// An add-on that the blueprint does not know.
    #[error("blueprint `{blueprint}` cannot install add-on `{addon}`")]
    Addon {
        /// Which blueprint.
        blueprint: String,
        /// The add-on asked for.
        addon: String,
        /// What it can install.
        known: Vec<String>,
    },
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line},")).unwrap_or_default()
}

impl From<BlueprintError> for Failure {
    fn from(error: BlueprintError) -> Self {
        let message = error.to_string();
        let config = |code| Self::new(code, Class::Config, message.clone());
        match error {
            BlueprintError::Unknown { known, .. } => config(Code::new("P0601"))
                .because(format!("there are: {}", known.join(", ")))
                .hint("write one of these names under `spec.blueprint.name`"),
            BlueprintError::Version { here, .. } => config(Code::new("P0601"))
                .hint(format!("write `version: {here}` under `spec.blueprint`, then look at `platform plan up`")),
            BlueprintError::Read { cause, .. } => config(Code::new("P0601")).because(cause),
            BlueprintError::Invalid { .. } => config(Code::new("P0602")),
            BlueprintError::Params { problems, .. } => problems
                .into_iter()
                .fold(config(Code::new("P0603")), Self::because)
                .hint("mend `spec.blueprint.params`; `platform validate` repeats this check"),
            BlueprintError::Template { why, .. } => config(Code::new("P0604")).because(why),
            BlueprintError::Path { .. } => config(Code::new("P0607")),
            BlueprintError::Yaml { why, .. } => config(Code::new("P0605")).because(why),
            BlueprintError::Credentials { found, .. } => found
                .into_iter()
                .fold(config(Code::new("P0606")), Self::because)
                .hint("take the value out and name a reference instead (env:, file:, vault:); a value that was ever committed must be changed where it is valid"),
            BlueprintError::Rules { broken, .. } => broken
                .into_iter()
                .fold(config(Code::new("P0316")), Self::because)
                .hint("`platform explain CODE` says what a rule asks for; mend the blueprint or what the spec asks of it"),
            BlueprintError::Artifact { .. } => Self::new(Code::new("P0608"), Class::Bug, message),
            BlueprintError::Addon { known, .. } => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                config(Code::new("P0609"))
                    .because(format!("it can install: {known}"))
                    .hint("take it out of `spec.addons`, or choose another blueprint")
            }
        }
    }
}
