//! Which texts are meant.

use serde::{Deserialize, Serialize};

/// A text with `*` for any number of characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Default for Pattern {
    fn default() -> Self {
        Self("*".to_owned())
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Pattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means everything.
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// Whether a text is meant.
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        // Without any `*` the pattern is the text.
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let cases = [
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("", "a", false),
            ("create_*", "create_cluster", true),
            ("*_cluster", "create_cluster", true),
            ("c*_*r", "create_cluster", true),
            ("a*a", "a", false),
            ("*ab*ab", "ab", false),
            ("a*b*c", "a--b--c", true),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(Pattern::from(pattern).fits(text), want, "`{pattern}` and `{text}`");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_its_stars_are_replaced_by(parts in proptest::collection::vec("[ab]{0,3}", 1..5), filling in "[abc]{0,4}") {
            prop_assert!(Pattern::from(parts.join("*").as_str()).fits(&parts.join(&filling)));
        }
    }
}
