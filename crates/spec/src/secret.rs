//! Handles of secrets. A handle says where a secret can be read at the moment of use; it is not secret itself.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Where a secret is: `env:NAME`, `file:PATH`, `exec:PROGRAM ARG…`, `vault:PATH#FIELD`.
///
/// A literal has no form here on purpose: a password written into the spec cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// An environment variable of this process.
    Env(String),
    /// A file; its content without one trailing newline.
    File(String),
    /// The standard output of a program, started without a shell; without one trailing newline.
    Exec(String),
    /// A path and field of a Vault.
    Vault(String),
    /// A named profile, or another scheme that only a provider understands (`profile:`, `oidc:`, `adc`).
    Named(String),
}

/// A text that is no handle. The text itself is not repeated: it may be the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret reference: write env:NAME, file:PATH, exec:PROGRAM or vault:PATH#FIELD")]
pub struct NotAReference;

impl FromStr for SecretRef {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        match text.split_once(':') {
            Some((_, "")) => Err(NotAReference),
            Some(("env", name)) => Ok(Self::Env(name.into())),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("exec", command)) => Ok(Self::Exec(command.into())),
            Some(("vault", path)) => Ok(Self::Vault(path.into())),
            Some(("profile" | "oidc", _)) => Ok(Self::Named(text.into())),
            None if text == "adc" => Ok(Self::Named(text.into())),
            _ => Err(NotAReference),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = NotAReference;

    fn try_from(text: String) -> Result<Self, NotAReference> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(handle: SecretRef) -> Self {
        handle.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Exec(command) => write!(f, "exec:{command}"),
            Self::Vault(path) => write!(f, "vault:{path}"),
            Self::Named(text) => f.write_str(text),
        }
    }
}

impl JsonSchema for SecretRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "secret-ref",
            "pattern": "^((env|file|exec|vault|profile|oidc):.+|adc)$",
        })
    }
}
