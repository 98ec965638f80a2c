//! The machine of a container engine, where it is not what one wishes.

use serde::{Deserialize, Serialize};

/// What an engine says about itself and its machine, in place of what it would say. What is left out is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// The version of the program that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The folder in which the engine keeps what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The version of its cgroups: 1 or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u8>,
    /// Whether the engine runs without root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rootless: bool,
}

impl Machine {
    /// As this one says, and as another where this one says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.or(other.memory_mib),
            version: self.version.or(other.version),
            root: self.root.or(other.root),
            cgroup: self.cgroup.or(other.cgroup),
            rootless: self.rootless || other.rootless,
        }
    }
}
