//! The search for literal credentials in files that are about to be committed (X-08).
//!
//! Three looks: texts with a shape that only credentials have (any file), keys such as `password` with a literal value
//! and Kubernetes Secrets with content (YAML). A find says where and of what kind; it never repeats the value.

use std::{fmt, sync::LazyLock};

use regex::RegexSet;
use yaml_serde::Value;

use crate::{Tree, yaml};

/// A credential in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The file's path in its repository.
    pub path: String,
    /// Line (from 1), or dotted path within a document.
    pub place: String,
    /// What it looks like.
    pub kind: &'static str,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.place, self.kind)
    }
}

/// Shapes that nothing but a credential has. Prefixes are the issuers' own.
const SHAPES: &[(&str, &str)] = &[
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "an AWS access key"),
    (r"(?i)aws_secret_access_key\s*[=:]\s*['\x22]?[A-Za-z0-9/+=]{20,}", "an AWS secret key"),
    (r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----", "a private key"),
    (r"\bAGE-SECRET-KEY-1[A-Z0-9]{20,}", "an age key"),
    (r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})", "a GitHub token"),
    (r"\bglpat-[A-Za-z0-9_-]{20,}", "a GitLab token"),
    (r"\bxox[abprs]-[A-Za-z0-9-]{10,}", "a Slack token"),
    (r"\bAIza[A-Za-z0-9_-]{35}", "a Google API key"),
    (r"\bhvs\.[A-Za-z0-9_-]{20,}", "a Vault token"),
    (r"\b[a-z][a-z0-9+.-]*://[^/\s:@'\x22]+:[^/\s@{$<'\x22]{3,}@", "a password in a URL"),
];

static SHAPE_SET: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(SHAPES.iter().map(|(pattern, _)| pattern)).expect("a test has compiled the patterns")
});

/// Ends of key names, in small letters and without separators, whose value is secret.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secretkey",
    "secretaccesskey",
    "accesskeyid",
    "apikey",
    "clientsecret",
    "privatekey",
    "accesstoken",
    "authtoken",
    "bearertoken",
    "apitoken",
    "tsigsecret",
];

/// Every credential in a tree, by path.
pub fn credentials(tree: &Tree) -> Vec<Credential> {
    let mut found = Vec::new();
    for (path, file) in &tree.files {
        let Some(text) = file.text() else { continue };
        for (number, line) in text.lines().enumerate() {
            for shape in SHAPE_SET.matches(line) {
                found.push(Credential {
                    path: path.clone(),
                    place: format!("line {}", number + 1),
                    kind: SHAPES[shape].1,
                });
            }
        }
        if yaml::is_yaml(path) && !tree.is_helm_template(path) {
            // A file that is no YAML is reported by whoever parses it for its own sake.
            for (number, document) in yaml::documents(text).unwrap_or_default().iter().enumerate() {
                let mut look = Look { path, found: &mut found };
                look.at_secret(document, number);
                look.at(document, &format!("document {}", number + 1));
            }
        }
    }
    found
}

struct Look<'a> {
    path: &'a str,
    found: &'a mut Vec<Credential>,
}

impl Look<'_> {
    fn report(&mut self, place: String, kind: &'static str) {
        self.found.push(Credential { path: self.path.to_owned(), place, kind });
    }

    fn at_secret(&mut self, document: &Value, number: usize) {
        let is_secret =
            document["kind"].as_str() == Some("Secret") && document["apiVersion"].as_str() == Some("v1");
        // SOPS leaves the shape of a Secret and adds its own section; its values are encrypted.
        if !is_secret || !document["sops"].is_null() {
            return;
        }
        for section in ["data", "stringData"] {
            if document[section].as_mapping().is_some_and(|data| !data.is_empty()) {
                self.report(format!("document {}.{section}", number + 1), "a Secret with content");
            }
        }
    }

    fn at(&mut self, value: &Value, place: &str) {
        match value {
            Value::Mapping(map) => {
                // Environment variables: `{name: DB_PASSWORD, value: …}`.
                if let (Some(name), Some(value)) = (value["name"].as_str(), value["value"].as_str())
                    && is_secret_key(name)
                    && is_literal(value)
                {
                    self.report(format!("{place}.value"), "a literal credential");
                }
                for (key, value) in map {
                    let Some(key) = key.as_str() else { continue };
                    let place = format!("{place}.{key}");
                    if value.as_str().is_some_and(|text| is_secret_key(key) && is_literal(text)) {
                        self.report(place, "a literal credential");
                    } else {
                        self.at(value, &place);
                    }
                }
            }
            Value::Sequence(list) => {
                for (number, value) in list.iter().enumerate() {
                    self.at(value, &format!("{place}[{number}]"));
                }
            }
            Value::Tagged(tagged) => self.at(&tagged.value, place),
            _ => {}
        }
    }
}

fn is_secret_key(key: &str) -> bool {
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_KEYS.iter().any(|end| plain.ends_with(end))
}

/// Whether a text is the thing itself: not empty, no placeholder, no reference to where it is kept, not encrypted.
fn is_literal(text: &str) -> bool {
    const REFERENCES: &[&str] =
        &["env:", "file:", "exec:", "vault:", "vault://", "ref+", "secretref", "ENC[", "$", "{{", "<", "/"];
    !text.trim().is_empty() && !REFERENCES.iter().any(|start| text.trim_start().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::File;

    fn scan(path: &str, text: &str) -> Vec<Credential> {
        credentials(&Tree { files: [(path.to_owned(), File::new(text))].into() })
    }

    /// Put together at run time, so that no scanner of repositories stumbles over this file.
    fn canary(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn x08_shapes_are_found_in_any_file_and_never_repeated() {
        for value in [
            canary(&["AKIA", "ABCDEFGHIJKLMNOP"]),
            canary(&["aws_secret_access_key = ", "abcdefghijabcdefghijabcdefghijabcdefghij"]),
            canary(&["-----BEGIN RSA ", "PRIVATE KEY-----"]),
            canary(&["-----BEGIN ", "PRIVATE KEY-----"]),
            canary(&["ghp", "_abcdefghijabcdefghijabcdefghijabcdef"]),
            canary(&["glpat", "-abcdefghijabcdefghij"]),
            canary(&["https://user:", "hunter2", "@git.example/x"]),
        ] {
            let found = scan("docs/notes.md", &format!("# Notes\n\nuse {value} here\n"));
            assert_eq!(found.len(), 1, "{value}");
            assert_eq!(found[0].place, "line 3");
            assert!(!found[0].to_string().contains(&value));
        }
    }

    #[test]
    fn x08_keys_with_literal_values_and_secrets_with_content() {
        for (text, place) in [
            ("db:\n  password: hunter2\n", "document 1.db.password"),
            ("a: 1\n---\nauth:\n- clientSecret: hunter2\n", "document 2.auth[0].clientSecret"),
            ("env:\n- name: DB_PASSWORD\n  value: hunter2\n", "document 1.env[0].value"),
            ("apiVersion: v1\nkind: Secret\nstringData: {cloud: hunter2}\n", "document 1.stringData"),
        ] {
            let found = scan("a.yaml", text);
            assert_eq!(found.iter().map(|f| f.place.as_str()).collect::<Vec<_>>(), [place], "{text}");
            assert!(!found[0].to_string().contains("hunter2"));
        }
    }

    #[test]
    fn x08_references_placeholders_and_encrypted_values_pass() {
        for text in [
            "password: env:DB_PASSWORD\n",
            "password: ''\n",
            "password: ${DB_PASSWORD}\n",
            "passwordSecretRef: {name: db, key: password}\n",
            "existingSecret: db\nsecretName: cloud-credentials\nautomountServiceAccountToken: false\n",
            "env:\n- name: AWS_SHARED_CREDENTIALS_FILE\n  value: /credentials/cloud\n",
            "env:\n- name: DB_PASSWORD\n  valueFrom: {secretKeyRef: {name: db, key: password}}\n",
            "apiVersion: v1\nkind: Secret\ndata: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x}\n",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: argocd-secret}\n",
            "repoURL: https://git.example/x.git\n",
        ] {
            assert_eq!(scan("a.yaml", text), [], "{text}");
        }
    }
}
