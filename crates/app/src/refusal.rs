//! Why a call was refused before anything was done.

use platform_spec::{Failure, report::Finding};

/// A failure, and what was found in the spec file on the way to it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub failure: Box<Failure>,
    /// Every finding of the spec file; empty when the file was not the reason.
    pub findings: Vec<Finding>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), findings: Vec::new() }
    }
}
