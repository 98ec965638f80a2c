//! The search for literal credentials (X-08).
//!
//! Three looks: texts with a shape that only credentials have (any file), keys such as `password` with a literal value
//! and Kubernetes Secrets with content (YAML). A find says where and of what kind; it never repeats the value.
//!
//! What is encrypted (SOPS, SealedSecret), a reference, or a placeholder that nobody could log in with is none. A default
//! such as `changeme` is one: it is what runs where nobody has changed it.

use std::sync::LazyLock;

use regex::Regex;
use yaml_serde::Value;

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
    (r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", "a signed token (JWT)"),
    (r"\b[a-z][a-z0-9+.-]*://[^/\s:@'\x22]+:[^/\s@{$<'\x22]{3,}@", "a password in a URL"),
];

static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile = |(pattern, kind): &(&str, &'static str)| {
        (Regex::new(pattern).expect("a test has compiled the patterns"), *kind)
    };
    SHAPES.iter().map(compile).collect()
});

/// All of them at once: most lines have none, and are read once.
static ANY: LazyLock<Regex> = LazyLock::new(|| {
    let all: Vec<String> = SHAPES.iter().map(|(pattern, _)| format!("(?:{pattern})")).collect();
    Regex::new(&all.join("|")).expect("a test has compiled the patterns")
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

/// Reports lines, from 1, with a text that has the shape of a credential, and what it looks like.
pub(crate) fn in_lines(text: &str, report: &mut dyn FnMut(u64, &'static str)) {
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| ANY.is_match(line)) {
        for (pattern, kind) in PATTERNS.iter() {
            // AWS's own documentation writes its examples so.
            if pattern.find_iter(line).any(|hit| !hit.as_str().contains("EXAMPLE")) {
                report(number, kind);
            }
        }
    }
}

/// Reports values of documents that are literal credentials, and what they look like.
pub(crate) fn in_documents(documents: &[Value], report: &mut dyn FnMut(&Value, &'static str)) {
    for document in documents {
        match (document["apiVersion"].as_str().unwrap_or_default(), document["kind"].as_str()) {
            ("v1", Some("List")) => {
                if let Some(items) = document["items"].as_sequence() {
                    in_documents(items, report);
                }
            }
            ("v1", Some("Secret")) => in_secret(document, report),
            // Its values are encrypted.
            (version, Some("SealedSecret")) if version.starts_with("bitnami.com/") => {
                at(&document["spec"]["template"], false, report);
            }
            // There `secretKey` is the name of a key.
            (version, _) if version.starts_with("external-secrets.io/") => at(document, true, report),
            _ => at(document, false, report),
        }
    }
}

/// A Secret may be in Git when nothing in it is secret: it is empty, encrypted (SOPS adds its own section), full of
/// placeholders, or says Argo CD where a repository is.
fn in_secret(secret: &Value, report: &mut dyn FnMut(&Value, &'static str)) {
    const PLACE: [&str; 8] =
        ["type", "url", "name", "project", "server", "enableOCI", "insecure", "forceHttpBasicAuth"];
    if !secret["sops"].is_null() {
        return;
    }
    let of_argocd = !secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"].is_null();
    for section in ["data", "stringData"] {
        let is_secret = |(key, value): (&Value, &Value)| {
            let known = of_argocd && key.as_str().is_some_and(|key| PLACE.contains(&key));
            !known && !value.is_null() && value.as_str().is_none_or(is_literal)
        };
        if secret[section].as_mapping().is_some_and(|content| content.iter().any(is_secret)) {
            report(&secret[section], "a Secret with content");
        }
    }
}

fn at(value: &Value, names_keys: bool, report: &mut dyn FnMut(&Value, &'static str)) {
    match value {
        Value::Mapping(map) => {
            // Environment variables: `{name: DB_PASSWORD, value: …}`.
            if let (Some(name), Some(text)) = (value["name"].as_str(), value["value"].as_str())
                && is_secret_key(name)
                && is_literal(text)
            {
                report(&value["value"], "a literal credential");
            }
            for (key, value) in map {
                let Some(key) = key.as_str() else { continue };
                let named = is_secret_key(key) && !(names_keys && key == "secretKey");
                match value.as_str() {
                    Some(text) if named && is_literal(text) => report(value, "a literal credential"),
                    _ => at(value, names_keys, report),
                }
            }
        }
        Value::Sequence(list) => list.iter().for_each(|value| at(value, names_keys, report)),
        Value::Tagged(tagged) => at(&tagged.value, names_keys, report),
        _ => {}
    }
}

fn is_secret_key(key: &str) -> bool {
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_KEYS.iter().any(|end| plain.ends_with(end))
}

/// Whether a text is the thing itself: not empty, no placeholder, no reference to where it is kept, not encrypted.
fn is_literal(text: &str) -> bool {
    const REFERENCES: &[&str] = &[
        "env:",
        "file:",
        "exec:",
        "vault:",
        "ref+",
        "secretref",
        "op://",
        "arn:",
        "ENC[",
        "$",
        "{{",
        "<",
        "/",
    ];
    const PLACEHOLDERS: &[&str] =
        &["replace", "your-", "your_", "xxx", "***", "...", "todo", "placeholder", "redacted"];
    let text = text.trim();
    let small = text.to_ascii_lowercase();
    !text.is_empty()
        && !REFERENCES.iter().any(|start| text.starts_with(start))
        && !PLACEHOLDERS.iter().any(|start| small.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// Line and kind of everything that is found.
    fn scan(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        in_lines(text, &mut |line, kind| found.push(format!("{line}: {kind}")));
        let documents = yaml::documents(text).unwrap_or_default();
        in_documents(&documents, &mut |_, kind| found.push(kind.to_owned()));
        found
    }

    /// Put together at run time, so that no scanner of repositories stumbles over this file.
    fn canary(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn x08_shapes_are_found_in_any_file() {
        for value in [
            canary(&["AKIA", "ABCDEFGHIJKLMNOP"]),
            canary(&["aws_secret_access_key = ", "abcdefghijabcdefghijabcdefghijabcdefghij"]),
            canary(&["-----BEGIN RSA ", "PRIVATE KEY-----"]),
            canary(&["-----BEGIN ", "PRIVATE KEY-----"]),
            canary(&["ghp", "_abcdefghijabcdefghijabcdefghijabcdef"]),
            canary(&["glpat", "-abcdefghijabcdefghij"]),
            canary(&["https://user:", "hunter2", "@git.example/x"]),
            canary(&["eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0NTY3ODkwIn0", ".c2lnbmF0dXJlLW9mLWl0"]),
        ] {
            let found = scan(&format!("# Notes\n\n- use {value} here\n"));
            assert_eq!(found.len(), 1, "{value}");
            assert!(found[0].starts_with("3: ") && !found[0].contains(&value));
        }
        assert_eq!(scan("# AKIAIOSFODNN7EXAMPLE\n"), [""; 0], "AWS's own example");
    }

    #[test]
    fn x08_keys_with_literal_values_and_secrets_with_content() {
        for (text, kind) in [
            ("db:\n  password: hunter2\n", "a literal credential"),
            ("db:\n  password: changeme\n", "a literal credential"),
            ("a: 1\n---\nauth:\n- clientSecret: hunter2\n", "a literal credential"),
            ("env:\n- name: DB_PASSWORD\n  value: hunter2\n", "a literal credential"),
            ("apiVersion: v1\nkind: Secret\nstringData: {cloud: hunter2}\n", "a Secret with content"),
            (
                "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, data: {a: aHVudGVyMg==}}\n",
                "a Secret with content",
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: repository}}\n\
                 stringData: {url: https://git.example/x, password: hunter2}\n",
                "a Secret with content",
            ),
        ] {
            assert_eq!(scan(text), [kind], "{text}");
        }
    }

    #[test]
    fn x08_references_placeholders_and_encrypted_values_pass() {
        for text in [
            "password: env:DB_PASSWORD\n",
            "password: ''\n",
            "password: ${DB_PASSWORD}\n",
            "password: <path:secret/data/db#password>\n",
            "password: REPLACE_ME\napiToken: your-token-here\nclientSecret: xxxxxxxx\n",
            "passwordSecretRef: {name: db, key: password}\n",
            "existingSecret: db\nsecretName: cloud-credentials\nautomountServiceAccountToken: false\n",
            "env:\n- name: AWS_SHARED_CREDENTIALS_FILE\n  value: /credentials/cloud\n",
            "env:\n- name: DB_PASSWORD\n  valueFrom: {secretKeyRef: {name: db, key: password}}\n",
            "apiVersion: v1\nkind: Secret\ndata: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x}\n",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: argocd-secret}\n",
            "apiVersion: v1\nkind: Secret\nstringData: {password: '${DB_PASSWORD}', user: ''}\n",
            "apiVersion: v1\nkind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: repository}}\n\
             stringData: {type: git, url: https://git.example/x}\n",
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {encryptedData: {password: AgBy3i4OJSWK}}\n",
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec:\n  data:\n  - secretKey: db-password\n    \
             remoteRef: {key: db, property: password}\n",
            "repoURL: https://git.example/x.git\n",
        ] {
            assert_eq!(scan(text), [""; 0], "{text}");
        }
    }
}
