//! One rule, and whether it allows something.

use serde_json::{Value, json};

use super::User;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deed<'a> {
    /// `get`, `create`, `impersonate`; of what is no object the method, in small letters.
    pub verb: &'a str,
    /// The group of the resource.
    pub group: &'a str,
    /// The resource: `pods`; empty for what is no object.
    pub resource: &'a str,
    /// What lies below it: `log`.
    pub subresource: &'a str,
    /// In which namespace; empty for all, and for what lies in none.
    pub namespace: &'a str,
    /// Which one; empty for many, and for a new one.
    pub name: &'a str,
    /// The path of what is no object; else empty.
    pub path: &'a str,
}

/// Something that a role allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// The verbs, or `*`.
    pub verbs: Vec<String>,
    /// The groups, or `*`.
    pub groups: Vec<String>,
    /// The resources: `pods`, `pods/log`, `*/scale`, `*`.
    pub resources: Vec<String>,
    /// Only these, when there are any.
    pub names: Vec<String>,
    /// Paths of what is no object; one that ends with `*` means all below.
    pub urls: Vec<String>,
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|it| it == wanted)
}

fn has_or_all(list: &[String], wanted: &str) -> bool {
    list.iter().any(|it| it == wanted || it == "*")
}

/// Whether a path of a rule means this one, or everything that another path of a rule means.
fn means(rule: &str, path: &str) -> bool {
    rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

impl Rule {
    /// From a `PolicyRule`.
    pub fn of(rule: &Value) -> Self {
        let texts = |key: &str| {
            rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    /// Whether it allows this.
    pub fn allows(&self, deed: &Deed<'_>) -> bool {
        if !has_or_all(&self.verbs, deed.verb) {
            return false;
        }
        if !deed.path.is_empty() {
            return self.urls.iter().any(|it| it == "*" || means(it, deed.path));
        }
        has_or_all(&self.groups, deed.group)
            && self.resources.iter().any(|it| match it.split_once('/') {
                _ if it == "*" => true,
                None => deed.subresource.is_empty() && it == deed.resource,
                Some((resource, subresource)) => {
                    !deed.subresource.is_empty()
                        && subresource == deed.subresource
                        && (resource == "*" || resource == deed.resource)
                }
            })
            && (self.names.is_empty() || has(&self.names, deed.name))
    }

    /// The same in rules of one verb for one thing each.
    pub(super) fn taken_apart(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part = Self {
                        groups: one(group),
                        resources: one(resource),
                        verbs: one(verb),
                        ..Self::default()
                    };
                    match self.names.as_slice() {
                        [] => parts.push(part),
                        names => {
                            parts.extend(names.iter().map(|name| Self { names: one(name), ..part.clone() }))
                        }
                    }
                }
            }
        }
        for url in &self.urls {
            let part = |verb| Self { urls: one(url), verbs: one(verb), ..Self::default() };
            parts.extend(self.verbs.iter().map(part));
        }
        parts
    }

    /// Whether all that a rule of [`Self::taken_apart`] allows is allowed by this one.
    pub(super) fn covers(&self, part: &Self) -> bool {
        let all = |mine: &[String], theirs: &[String]| {
            has(mine, "*") || theirs.iter().all(|wanted| has(mine, wanted))
        };
        let resources = has(&self.resources, "*")
            || part.resources.iter().all(|wanted| {
                let below = wanted.split_once('/').map(|(_, below)| format!("*/{below}"));
                has(&self.resources, wanted) || below.is_some_and(|below| has(&self.resources, &below))
            });
        let names = self.names.is_empty()
            || (!part.names.is_empty() && part.names.iter().all(|wanted| has(&self.names, wanted)));
        all(&self.verbs, &part.verbs)
            && all(&self.groups, &part.groups)
            && resources
            && names
            && part.urls.iter().all(|wanted| self.urls.iter().any(|mine| means(mine, wanted)))
    }

    /// As refusals show it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub(super) fn words(&self) -> String {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(key, list)| format!("{key}:{}", quoted(list)))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// As reviews show it: `Some` for resources or for paths, whichever is asked for.
    pub(super) fn shown(&self, of_paths: bool) -> Option<Value> {
        let list = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
        let mut shown = match of_paths {
            true if !self.urls.is_empty() => json!({ "verbs": self.verbs, "nonResourceURLs": self.urls }),
            false if !self.resources.is_empty() => json!({
                "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources,
                "resourceNames": list(&self.names),
            }),
            _ => return None,
        };
        if let Value::Object(shown) = &mut shown {
            shown.retain(|_, value| !value.is_null());
        }
        Some(shown)
    }
}

/// `["a" "b"]`.
pub(super) fn quoted(list: &[String]) -> String {
    let words: Vec<String> = list.iter().map(|it| format!("{it:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// Why somebody may not do something, without what it is about.
pub(super) fn cannot(user: &User, deed: &Deed<'_>) -> String {
    let name = user.name.as_str();
    if !deed.path.is_empty() {
        return safe(&format!("User {name:?} cannot {} path {:?}", deed.verb, deed.path));
    }
    let resource = match deed.subresource {
        "" => deed.resource.to_owned(),
        below => format!("{}/{below}", deed.resource),
    };
    let place = match deed.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    safe(&format!(
        "User {name:?} cannot {} resource {resource:?} in API group {:?} {place}",
        deed.verb, deed.group
    ))
}

/// Words that no browser takes for HTML.
fn safe(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rule: Value) -> Rule {
        Rule::of(&rule)
    }

    fn pods<'a>(verb: &'a str, subresource: &'a str, name: &'a str) -> Deed<'a> {
        Deed { verb, resource: "pods", subresource, name, namespace: "shop", ..Deed::default() }
    }

    #[test]
    fn a_subresource_is_not_its_resource() {
        let it = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log", "*/scale"]}));
        assert!(it.allows(&pods("get", "log", "a")) && it.allows(&pods("get", "scale", "a")));
        assert!(!it.allows(&pods("get", "", "a")) && !it.allows(&pods("get", "exec", "a")));
        let it = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        assert!(it.allows(&pods("fly", "log", "")));
    }

    #[test]
    fn names_and_paths() {
        let it =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}));
        assert!(
            it.allows(&pods("get", "", "a"))
                && !it.allows(&pods("get", "", "b"))
                && !it.allows(&pods("get", "", ""))
        );
        let it = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]}));
        let path = |path| Deed { verb: "get", path, ..Deed::default() };
        assert!(it.allows(&path("/healthz")) && it.allows(&path("/api/v1")));
        assert!(!it.allows(&path("/healthz/x")) && !it.allows(&path("/api")));
    }

    #[test]
    fn who_is_covered() {
        let mine = rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "*/log"]}));
        let parts = rule(
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"], "resourceNames": ["a"]}),
        );
        assert!(parts.taken_apart().iter().all(|part| mine.covers(part)));
        let more =
            rule(json!({"verbs": ["get"], "apiGroups": ["", "apps"], "resources": ["pods"]})).taken_apart();
        assert_eq!(more.iter().filter(|part| !mine.covers(part)).count(), 1);
        assert_eq!(more[1].words(), r#"{APIGroups:["apps"], Resources:["pods"], Verbs:["get"]}"#);
    }
}
