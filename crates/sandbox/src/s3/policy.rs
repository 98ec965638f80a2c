//! Policies: documents that say who may do what.

use serde_json::Value;

use super::{keys::Asker, refusal::Refusal};

/// A policy of a bucket or of an identity.
///
/// Conditions are not evaluated: an `Allow` with a condition allows nothing, a `Deny` with one denies nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy(Vec<Statement>);

#[derive(Clone, Debug, PartialEq)]
struct Statement {
    allow: bool,
    /// Absent in policies of identities.
    principals: Option<Vec<String>>,
    actions: Vec<String>,
    resources: Vec<String>,
}

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Silent,
    /// It may.
    Allowed,
    /// It may not, whatever others say.
    Denied,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// `MalformedPolicy`, with what is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = |why: &str| Refusal::saying("MalformedPolicy", why);
        let json = "Policies must be valid JSON and the first byte must be '{'";
        let document: Value = serde_json::from_str(text).map_err(|_| malformed(json))?;
        if !document.is_object() {
            return Err(malformed(json));
        }
        let statements = match &document["Statement"] {
            Value::Array(statements) if !statements.is_empty() => statements.clone(),
            one @ Value::Object(_) => vec![one.clone()],
            _ => return Err(malformed("Missing required field Statement")),
        };
        let mut policy = Vec::new();
        for statement in &statements {
            let allow = match statement["Effect"].as_str() {
                Some("Allow") => true,
                Some("Deny") => false,
                _ => return Err(malformed("Invalid effect")),
            };
            let list = |field: &str| texts(&statement[field]);
            let actions = list("Action");
            if actions.is_empty() {
                return Err(malformed("Missing required field Action"));
            }
            let resources = list("Resource");
            if resources.is_empty() {
                return Err(malformed("Missing required field Resource"));
            }
            if statement.get("Condition").is_some() {
                continue;
            }
            let principals = match &statement["Principal"] {
                Value::Null => None,
                Value::Object(by_type) => Some(by_type.get("AWS").map(texts).unwrap_or_default()),
                all => Some(texts(all)),
            };
            policy.push(Statement { allow, principals, actions, resources });
        }
        Ok(Self(policy))
    }

    /// What it says of an action on a resource; `asker` is nobody for requests without a signature.
    pub fn verdict(&self, asker: Option<&Asker>, action: &str, resource: &str) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.0 {
            let meant = statement.principals.as_ref().is_none_or(|list| names(list, asker))
                && statement.actions.iter().any(|it| matches(&it.to_lowercase(), &action.to_lowercase()))
                && statement.resources.iter().any(|it| matches(it, resource));
            match (meant, statement.allow) {
                (true, false) => return Verdict::Denied,
                (true, true) => verdict = Verdict::Allowed,
                (false, _) => {}
            }
        }
        verdict
    }
}

fn names(principals: &[String], asker: Option<&Asker>) -> bool {
    principals.iter().any(|principal| {
        principal == "*"
            || asker.is_some_and(|asker| {
                *principal == asker.account
                    || *principal == asker.arn
                    || *principal == format!("arn:aws:iam::{}:root", asker.account)
            })
    })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// `*` stands for any letters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen, mut star, mut retry) = (0, 0, None, 0);
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some(at);
                retry = seen;
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some(place) => {
                    at = place + 1;
                    retry += 1;
                    seen = retry;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn letters_and_stars() {
        for (pattern, text, expected) in [
            ("s3:*", "s3:GetObject", true),
            ("s3:Get?bject", "s3:GetObject", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
            ("arn:aws:s3:::b*/x*z", "arn:aws:s3:::bucket/xyzz", true),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_deny_beats_every_allow_and_a_condition_silences() {
        let policy = Policy::parse(
            &json!({"Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"},
                {"Effect": "Deny", "Principal": {"AWS": ["111"]}, "Action": ["s3:*"], "Resource": "arn:aws:s3:::b/private/*"},
                {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "*", "Condition": {"Bool": {}}},
            ]})
            .to_string(),
        )
        .expect("good");
        let (one, two) = (Asker::root("111"), Asker::root("222"));
        let says = |asker, action, key: &str| policy.verdict(asker, action, &format!("arn:aws:s3:::b/{key}"));
        assert_eq!(says(Some(&one), "s3:GetObject", "x"), Verdict::Allowed);
        assert_eq!(says(None, "s3:GetObject", "x"), Verdict::Allowed);
        assert_eq!(says(Some(&one), "s3:GetObject", "private/x"), Verdict::Denied);
        assert_eq!(says(Some(&two), "s3:GetObject", "private/x"), Verdict::Allowed);
        assert_eq!(says(Some(&two), "s3:PutObject", "x"), Verdict::Silent);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["", "[]", "{}", r#"{"Statement":[{"Effect":"Maybe"}]}"#] {
            assert_eq!(Policy::parse(text).expect_err("malformed").code, "MalformedPolicy", "{text}");
        }
    }
}
