//! Names made from templates: always valid, never too long, and different for different things.

use sha2::{Digest, Sha256};

/// The longest RFC 1123 label: namespaces, labels, projects.
pub const LABEL_LIMIT: usize = 63;
/// The longest name of an object such as an Argo CD Application.
pub const OBJECT_LIMIT: usize = 253;
/// How many hex digits tell shortened names apart.
const HASH_DIGITS: usize = 6;

/// What the placeholders of a template become.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a> {
    /// `{tenant}`.
    pub tenant: &'a str,
    /// `{tenant.id}`.
    pub tenant_id: &'a str,
    /// `{app}`.
    pub app: &'a str,
    /// `{key}`.
    pub key: &'a str,
    /// `{env}`.
    pub env: &'a str,
    /// `{-env}`.
    pub env_suffix: &'a str,
    /// `{cell}`.
    pub cell: &'a str,
    /// `{domain}`.
    pub domain: &'a str,
}

/// Fills a template in. An unknown placeholder stays as it is; the parser has refused it before.
pub fn fill(template: &str, words: Words<'_>) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match name {
            "tenant" => out.push_str(words.tenant),
            "tenant.id" => out.push_str(words.tenant_id),
            "app" => out.push_str(words.app),
            "key" => out.push_str(words.key),
            "env" => out.push_str(words.env),
            "-env" => out.push_str(words.env_suffix),
            "cell" => out.push_str(words.cell),
            "domain" => out.push_str(words.domain),
            _ => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Makes a text an RFC 1123 label of at most `limit` characters.
///
/// # Guarantees
/// A text that already is one comes back unchanged. Any other is cut and cleaned, and ends in the first six hex digits
/// of its SHA-256, so that different texts stay different and the same text always gives the same name.
pub fn fit(text: &str, limit: usize) -> String {
    if text.len() <= limit && is_label(text) {
        return text.to_owned();
    }
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    let clean: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(limit.saturating_sub(HASH_DIGITS + 1))
        .collect();
    let clean = clean.trim_matches('-');
    if clean.is_empty() {
        return format!("x-{}", &hash[..HASH_DIGITS]);
    }
    format!("{clean}-{}", &hash[..HASH_DIGITS])
}

/// Makes a text the value of a label: as it is where that may be, else as [`fit`] does. Nothing at all may be one, too.
pub fn label_value(text: &str) -> String {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let ends = [text.bytes().next(), text.bytes().last()];
    let sound = text.len() <= LABEL_LIMIT
        && text.bytes().all(inside)
        && ends.iter().flatten().all(u8::is_ascii_alphanumeric);
    if sound { text.to_owned() } else { fit(text, LABEL_LIMIT) }
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_is_filled_in() {
        let words = Words { tenant: "acme", app: "web", env_suffix: "-dev", key: "w", ..Words::default() };
        assert_eq!(fill("{tenant}{-env}.{app}.example.com", words), "acme-dev.web.example.com");
        assert_eq!(fill("{key}{nonsense}{", words), "w{nonsense}{");
    }

    #[test]
    fn a_long_name_ends_in_a_stable_hash() {
        let long = "a".repeat(70);
        let short = fit(&long, LABEL_LIMIT);
        assert_eq!(short, format!("{}-6bd5e5", "a".repeat(56)));
        assert_eq!(short, fit(&long, LABEL_LIMIT));
    }

    #[test]
    fn a_label_keeps_what_it_may_hold() {
        for text in ["", "tenant-a", "v1.2_3", "Gold"] {
            assert_eq!(label_value(text), text);
        }
        assert_eq!(label_value("a/b"), "a-b-c14cdd");
        assert_eq!(label_value(&"b".repeat(70)).len(), LABEL_LIMIT);
    }

    proptest! {
        /// names are valid, and different texts get different names.
        #[test]
        fn names_are_valid_and_injective(texts in proptest::collection::hash_set(".{0,90}", 2..40)) {
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            for text in texts {
                let name = fit(&text, LABEL_LIMIT);
                prop_assert!(is_label(&name) && name.len() <= LABEL_LIMIT, "{text:?} became {name:?}");
                if let Some(other) = seen.insert(name, text.clone()) {
                    prop_assert!(false, "{text:?} and {other:?} have the same name");
                }
            }
        }

        #[test]
        fn long_names_that_share_a_beginning_stay_apart(tail_a in "[a-z]{1,20}", tail_b in "[a-z]{1,20}") {
            prop_assume!(tail_a != tail_b);
            let head = "tenant-with-a-very-long-name-indeed-".repeat(3);
            prop_assert_ne!(fit(&format!("{head}{tail_a}"), 63), fit(&format!("{head}{tail_b}"), 63));
        }
    }
}
