//! Finding secrets that were written where only a handle, or nothing secret, belongs. What is found is never repeated.

use std::sync::LazyLock;

use regex::RegexSet;

use crate::secret::SecretRef;

/// Texts whose form alone gives them away. Sources: the token formats that the issuers document for secret scanning.
static FORMS: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new([
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36}",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
        r"\bAIza[0-9A-Za-z_-]{35}",
        r"\bhvs\.[A-Za-z0-9_-]{24,}",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
        r"AGE-SECRET-KEY-1[0-9A-Z]{10,}",
        r"://[^/\s:@]+:[^/\s@]+@",
    ])
    .expect("the patterns are constants")
});

/// Endings of keys (lower case, without `-` and `_`) whose values are secrets.
const KEYS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "apikey",
    "accesskey",
    "secretaccesskey",
    "privatekey",
    "clientsecret",
];

/// Whether the text looks like a secret whatever it is for.
pub(super) fn looks_secret(text: &str) -> bool {
    FORMS.is_match(text)
}

/// Whether a key says that its value is a secret, and the value is neither a handle nor a placeholder.
pub(super) fn key_says_secret(key: &str, value: &str) -> bool {
    let key: String = key.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    KEYS.iter().any(|ending| key.ends_with(ending))
        && !value.is_empty()
        && !value.starts_with("{{")
        && !value.starts_with("${")
        && value.parse::<SecretRef>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_form_or_their_key() {
        for text in [
            "AKIAABCDEFGHIJKLMNOP",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "https://me:pw@git.example.com/x",
            &format!("ghp_{}", "a".repeat(36)),
        ] {
            assert!(looks_secret(text), "{text}");
        }
        for text in
            ["https://git.example.com:8443/a@b", "ssh://git@git.example.com:22/x", "registry-credentials"]
        {
            assert!(!looks_secret(text), "{text}");
        }
        assert!(key_says_secret("adminPassword", "x"));
        assert!(key_says_secret("API_TOKEN", "x"));
        for (key, value) in [
            ("password", "env:DB"),
            ("password", "{{ .Values.x }}"),
            ("password", ""),
            ("pullSecret", "registry-credentials"),
            ("passwordKey", "password"),
        ] {
            assert!(!key_says_secret(key, value), "{key}: {value}");
        }
    }
}
