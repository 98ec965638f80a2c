//! The Applications that an ApplicationSet makes of lists.

use std::borrow::Cow;

use yaml_serde::Value;

/// One Application for each element of the set's lists.
///
/// # Errors
/// For anything that only Argo CD can know: another generator, a patch, or more than fields in a text.
pub(super) fn expand(set: &Value) -> Result<Vec<Value>, String> {
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |why: &str| {
        format!(
            "ApplicationSet `{name}`: {why}; the label `{}` says that nobody waits for it",
            super::APP_OF_APPS_LABEL
        )
    };
    let spec = &set["spec"];
    if !spec["templatePatch"].is_null() {
        return Err(refuse("what `templatePatch` makes is not known here"));
    }
    let is_go = spec["goTemplate"].as_bool() == Some(true);
    let mut all = Vec::new();
    for generator in spec["generators"].as_sequence().into_iter().flatten() {
        let Some(elements) = generator["list"]["elements"].as_sequence() else {
            return Err(refuse("only `list` generators with `elements` are known here"));
        };
        for element in elements {
            let mut application = fill(&spec["template"], element, is_go).map_err(|why| refuse(&why))?;
            // It is made where its set is.
            if let (Some(metadata), namespace @ Value::String(_)) =
                (application["metadata"].as_mapping_mut(), &set["metadata"]["namespace"])
            {
                metadata.insert("namespace".into(), namespace.clone());
            }
            all.push(application);
        }
    }
    Ok(all)
}

fn fill(value: &Value, element: &Value, is_go: bool) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fields(text, element, is_go)?.into_owned()),
        Value::Sequence(list) => {
            Value::Sequence(list.iter().map(|value| fill(value, element, is_go)).collect::<Result<_, _>>()?)
        }
        Value::Mapping(map) => {
            let pairs = map.iter().map(|(key, value)| Ok((key.clone(), fill(value, element, is_go)?)));
            Value::Mapping(pairs.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// A text with the element's fields in the places of `{{.field}}` (`{{field}}` in the simple style).
fn fields<'t>(text: &'t str, element: &Value, is_go: bool) -> Result<Cow<'t, str>, String> {
    if !text.contains("{{") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").ok_or_else(|| format!("`{text}` has no end"))?;
        let inside = inside.trim();
        let field = if is_go { inside.strip_prefix('.') } else { Some(inside) };
        let value = field.and_then(|field| element[field].as_str());
        out.push_str(before);
        out.push_str(value.ok_or_else(|| format!("`{{{{{inside}}}}}` is no text of every element"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use crate::{BlueprintError, File, Tree, leaf_applications};

    fn leaves(spec: &str) -> Result<Vec<(String, i32, String, bool)>, BlueprintError> {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {{name: apps, namespace: argo}}\nspec:\n{spec}"
        );
        let tree = Tree { files: [("sets.yaml".to_owned(), File::new(text))].into() };
        let leaves = leaf_applications("r", &tree)?;
        Ok(leaves.into_iter().map(|it| (it.name, it.wave, it.namespace, it.automated)).collect())
    }

    const TEMPLATE: &str = "  template:
    metadata:
      name: '{{.tenant}}-{{ .app }}'
      annotations: {argocd.argoproj.io/sync-wave: '60'}
    spec: {project: '{{.tenant}}', syncPolicy: {automated: {}}}
";

    #[test]
    fn a_set_of_lists_is_the_applications_that_it_makes() {
        let spec = "  goTemplate: true
  generators:
    - list: {elements: [{tenant: a, app: x}, {tenant: b, app: x}]}
    - list: {elements: [{tenant: a, app: y}]}
";
        let found = leaves(&format!("{spec}{TEMPLATE}")).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a-x", "a-y", "b-x"]);
        assert!(
            found
                .iter()
                .all(|(_, wave, namespace, auto)| (*wave, namespace.as_str(), *auto) == (60, "argo", true))
        );
    }

    #[test]
    fn a_set_that_only_argo_cd_knows_is_refused_by_name() {
        for spec in [
            "  goTemplate: true\n  generators: [{clusters: {}}]\n",
            "  goTemplate: true\n  generators: [{list: {elements: [{tenant: a}]}}]\n",
            "  goTemplate: true\n  templatePatch: x\n  generators: []\n",
        ] {
            match leaves(&format!("{spec}{TEMPLATE}")) {
                Err(BlueprintError::Yaml { why, .. }) => {
                    assert!(why.contains("ApplicationSet `apps`"), "{why}")
                }
                other => panic!("{spec}: {other:?}"),
            }
        }
    }
}
