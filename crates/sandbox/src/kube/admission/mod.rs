//! What is refused or filled in between reading and storing.

use super::{api::Api, catalog::Resource, store::Change};

/// Counts again what counts against quotas.
pub(super) fn count_again(_api: &Api, _resource: &Resource, _change: &Change) {}
