//! What must hold beyond the form: references, uniqueness, and rules that say whether the wish can come true.

use crate::{platform::Platform, source::Issue};

/// Everything that is wrong with a well-formed spec, in no particular order.
pub(crate) fn check(_platform: &Platform) -> Vec<Issue> {
    Vec::new()
}
