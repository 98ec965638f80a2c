//! Names that Argo CD's parts share.

use serde_json::Value;

use crate::kube::object::meta;

/// Where Applications are stored.
pub const APPLICATIONS: &str = "argoproj.io/applications";
/// Where projects are stored.
pub const PROJECTS: &str = "argoproj.io/appprojects";
/// The version of all three.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";
/// The name under which the controller writes.
pub const CONTROLLER: &str = "argocd-controller";
/// Which Application an object came from, and as what.
pub const TRACKING: &str = "argocd.argoproj.io/tracking-id";
/// Options of one object.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Options of its comparison.
pub const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// Its wave.
pub const WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Its phase.
pub const HOOK: &str = "argocd.argoproj.io/hook";
/// When a hook is deleted.
pub const HOOK_DELETE: &str = "argocd.argoproj.io/hook-delete-policy";
/// Keeps hooks until they are done.
pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// Asks for a look: `normal` or `hard`.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Says that what is shown as healthy was only imitated.
pub const IMITATED: &str = "sandbox.platform.dev/imitated";
/// The address of the cluster that Argo CD runs in.
pub const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// A text; empty for anything else.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The items of a list; none for anything else.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// Whether an annotation lists an option: `Prune=false` in `Prune=false,Delete=false`.
pub fn has_option(object: &Value, key: &str, option: &str) -> bool {
    listed(annotation(object, key).unwrap_or_default()).any(|it| it == option)
}

/// The parts between commas.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// What tells one object from another within a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The group; empty for the one without a name.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for what lies in none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Id {
    /// Of an object.
    pub fn of(object: &Value) -> Self {
        Self {
            group: group_version(object).0.to_owned(),
            kind: text(object, "kind").to_owned(),
            namespace: meta(object, "namespace").to_owned(),
            name: meta(object, "name").to_owned(),
        }
    }

    /// As the tracking annotation says it: `<app>:<group>/<kind>:<namespace>/<name>`.
    pub fn tracking(&self, app: &str) -> String {
        format!("{app}:{}/{}:{}/{}", self.group, self.kind, self.namespace, self.name)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.group, self.kind, self.namespace, self.name)
    }
}

/// Group and version of an object.
pub fn group_version(object: &Value) -> (&str, &str) {
    text(object, "apiVersion").split_once('/').unwrap_or(("", text(object, "apiVersion")))
}

/// The name of the Application in a tracking annotation, when the annotation is about this very object: controllers copy
/// annotations to what they make.
pub fn tracked_by(object: &Value) -> Option<&str> {
    let tracking = annotation(object, TRACKING)?;
    let (app, rest) = tracking.split_once(':')?;
    let (group_kind, place) = rest.split_once(':')?;
    let (group, kind) = group_kind.split_once('/')?;
    let (namespace, name) = place.split_once('/')?;
    let same = group == group_version(object).0
        && kind == text(object, "kind")
        && name == meta(object, "name")
        && (namespace == meta(object, "namespace") || meta(object, "namespace").is_empty());
    same.then_some(app)
}

/// The sources of an Application's spec, and whether they are written as several.
pub fn sources(spec: &Value) -> (Vec<&Value>, bool) {
    match spec["sources"].as_array().filter(|all| !all.is_empty()) {
        Some(all) => (all.iter().collect(), true),
        None => (spec.get("source").filter(|it| it.is_object()).into_iter().collect(), false),
    }
}

/// Whether a pattern of Argo CD fits: `*` reaches over slashes unless told otherwise, `{a,b}` are choices.
pub fn glob(pattern: &str, text: &str, separated: bool) -> bool {
    if pattern == "*" {
        return !separated || !text.contains('/');
    }
    if !pattern.contains(['*', '?', '[', '{', '\\']) {
        return pattern == text;
    }
    globset::GlobBuilder::new(pattern)
        .literal_separator(separated)
        .backslash_escape(true)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// Seconds of a Go duration: `2m`, `1h30m`, `180s`, `500ms`; a bare number are seconds.
pub fn duration(text: &str) -> Option<jiff::SignedDuration> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(jiff::SignedDuration::from_secs(seconds));
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    jiff::SignedDuration::try_from_secs_f64(total).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_as_argo_cd_reads_them() {
        for (pattern, text, separated, fits) in [
            ("*", "https://git/a/b", false, true),
            ("*", "https://git/a/b", true, false),
            ("team-*", "team-a", false, true),
            ("https://git.example.com/*", "https://git.example.com/a", true, true),
            ("https://git.example.com/*", "https://git.example.com/a/b", true, false),
            ("https://git.example.com/**", "https://git.example.com/a/b", true, true),
            ("{apps/*.yaml,projects/*.yaml}", "projects/a.yaml", false, true),
            ("{apps/*.yaml,projects/*.yaml}", "root.yaml", false, false),
        ] {
            assert_eq!(glob(pattern, text, separated), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn durations_as_go_writes_them() {
        for (text, seconds) in [("5s", 5.0), ("1m", 60.0), ("1h30m", 5400.0), ("180", 180.0), ("500ms", 0.5)]
        {
            assert_eq!(duration(text).expect(text).as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "5 s", "x", "5y"] {
            assert!(duration(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_copied_annotation_tracks_nothing() {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "n", "annotations": {TRACKING: "app:apps/Deployment:n/a"}},
        });
        assert_eq!(tracked_by(&object), Some("app"));
        object["kind"] = "ReplicaSet".into();
        assert_eq!(tracked_by(&object), None);
    }
}
