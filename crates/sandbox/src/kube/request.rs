//! What an address and its query ask for.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// What an address names.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Something that is not an object: discovery, health, OpenAPI; the path without its first slash.
    Fixed(String),
    /// Objects.
    Objects(Place),
}

/// Objects, or one of them, or what lies below one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The group; empty for the one without a name.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace; absent for what lies in none, and for a list over all.
    pub namespace: Option<String>,
    /// The plural.
    pub plural: String,
    /// The name.
    pub name: Option<String>,
    /// What lies below: `status`.
    pub subresource: Option<String>,
}

impl Target {
    /// Reads a path: `/apis/apps/v1/namespaces/shop/deployments/web/status`.
    pub fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self::Fixed(parts.join("/")),
        };
        let place = Place { group: group.into(), version: version.into(), ..Place::default() };
        let named = |namespace: Option<&str>, plural: &str, rest: &[&str]| Place {
            namespace: namespace.map(str::to_owned),
            plural: plural.to_owned(),
            name: rest.first().map(|name| (*name).to_owned()),
            subresource: (rest.len() > 1).then(|| rest[1..].join("/")),
            ..place.clone()
        };
        Self::Objects(match rest {
            // Below a namespace lie its objects, and two parts of its own.
            ["namespaces", name, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
                named(Some(name), plural, rest)
            }
            [plural, rest @ ..] => named(None, plural, rest),
            [] => place.clone(),
        })
    }
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=b&c=d`; of a key that comes twice the last counts.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A value; empty when it is not given.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Whether something is asked for: `watch`, `watch=true`, `watch=1`.
    ///
    /// # Errors
    /// 400 for neither yes nor no.
    pub fn flag(&self, key: &str) -> Result<bool, Refusal> {
        match self.0.get(key).map(String::as_str) {
            None | Some("false" | "0" | "False") => Ok(false),
            Some("" | "true" | "1" | "True") => Ok(true),
            Some(other) => Err(Refusal::bad_request(format!("invalid value for {key}: {other:?}"))),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// 400 for what is none.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        match self.text(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    }

    /// Whether nothing shall be kept.
    ///
    /// # Errors
    /// 422 for another word than `All`.
    pub fn dry_run(&self) -> Result<bool, Refusal> {
        match self.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Refusal::new(
                422,
                "Invalid",
                format!(
                    "options.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: {other:?}: supported values: \"All\""
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> (String, Option<String>, String, Option<String>, Option<String>) {
        let Target::Objects(it) = Target::of(path) else { panic!("{path} names objects") };
        (it.group, it.namespace, it.plural, it.name, it.subresource)
    }

    fn wanted(
        group: &str,
        namespace: &str,
        plural: &str,
        name: &str,
        sub: &str,
    ) -> (String, Option<String>, String, Option<String>, Option<String>) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (group.into(), some(namespace), plural.into(), some(name), some(sub))
    }

    #[test]
    fn addresses() {
        for (path, it) in [
            ("/api/v1/pods", wanted("", "", "pods", "", "")),
            ("/api/v1/namespaces", wanted("", "", "namespaces", "", "")),
            ("/api/v1/namespaces/a", wanted("", "", "namespaces", "a", "")),
            ("/api/v1/namespaces/a/status", wanted("", "", "namespaces", "a", "status")),
            ("/api/v1/namespaces/a/finalize", wanted("", "", "namespaces", "a", "finalize")),
            ("/api/v1/namespaces/a/pods/x/log", wanted("", "a", "pods", "x", "log")),
            (
                "/apis/apps/v1/namespaces/a/deployments/x/scale",
                wanted("apps", "a", "deployments", "x", "scale"),
            ),
            ("/apis/x.io/v1/things/t", wanted("x.io", "", "things", "t", "")),
        ] {
            assert_eq!(place(path), it, "{path}");
        }
        for path in ["/", "/api", "/api/v1", "/apis", "/apis/apps/v1", "/openapi/v3/apis/apps/v1", "/readyz"]
        {
            assert!(matches!(Target::of(path), Target::Fixed(_)), "{path}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse("watch&limit=5&labelSelector=app%3Da&pretty=maybe");
        assert!(query.flag("watch").expect("a flag"));
        assert_eq!(query.number("limit").expect("a number"), Some(5));
        assert_eq!(query.text("labelSelector"), "app=a");
        assert_eq!(query.flag("pretty").expect_err("neither").code, 400);
    }
}
