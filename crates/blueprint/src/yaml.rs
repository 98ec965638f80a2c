//! Reading rendered YAML, and writing values so that every YAML reader takes them for what they are.

use serde::Deserialize;
use serde_json::Value as Json;
use tera::{Error, Kwargs, State, TeraResult, Value};
use yaml_serde::Value as Yaml;

/// Every document of a file, empty ones left out. Duplicate keys are an error.
///
/// # Errors
/// The parser's words, with line and column.
pub(crate) fn documents(text: &str) -> Result<Vec<Yaml>, String> {
    yaml_serde::Deserializer::from_str(text)
        .map(|document| Yaml::deserialize(document).map_err(|error| error.to_string()))
        .filter(|document| !matches!(document, Ok(Yaml::Null)))
        .collect()
}

/// Whether a file's name says that it is YAML.
pub(crate) fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// The filters that every template may use besides those of the template engine.
pub(crate) fn add_filters(tera: &mut tera::Tera) {
    tera.register_filter("quote", quote);
    tera.register_filter("to_yaml", to_yaml);
    tera.register_filter("where", matching);
    tera.register_filter("relative", relative);
    tera.set_escape_fn(|text, out| out.write_all(scalar(text).as_bytes()));
}

/// Refuses the template of a YAML file that inserts a value into the middle of other text: it could be quoted there only
/// by whoever knows the whole text. Comments are let pass, and what is `raw`: others' templates. The number of the first such line,
/// from 1.
///
/// # Errors
/// What is wrong with that line.
pub(crate) fn values_stand_alone(template: &str) -> Result<(), (usize, String)> {
    let mut raw = false;
    for (number, line) in template.lines().enumerate() {
        let ends_raw = line.contains("{% endraw") || line.contains("{%- endraw");
        raw = !ends_raw && (raw || line.contains("{% raw") || line.contains("{%- raw"));
        if raw || ends_raw || line.trim_start().starts_with('#') {
            continue;
        }
        let mut from = 0;
        while let Some(begin) = line[from..].find("{{").map(|at| from + at) {
            let Some(end) = line[begin..].find("}}").map(|at| begin + at + 2) else { break };
            let before = &line[..begin];
            let after = &line[end..];
            let begins = before.is_empty() || before.ends_with([' ', '[', '{']) || before.ends_with("%}");
            let ends =
                after.is_empty() || after.starts_with([' ', ',', ']', '}', ':']) || after.starts_with("{%");
            let what = &line[begin..end];
            // White space control joins the value to its neighbours.
            if !begins || !ends || what.starts_with("{{-") || what.ends_with("-}}") {
                return Err((
                    number + 1,
                    format!("`{what}` stands within other text; join the parts with `~` and then `| quote`"),
                ));
            }
            from = end;
        }
    }
    Ok(())
}

/// `quote`: a scalar as a double-quoted string, which no YAML version reads as anything else.
fn quote(value: &Value, _: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    if value.is_undefined() || value.is_none() || value.is_map() || value.is_array() {
        return Err(Error::message(format!(
            "`quote` takes a text, a number or a boolean, not {}",
            value.name()
        )));
    }
    Ok(Value::safe_string(&quoted(&value.to_string())))
}

/// `to_yaml`: any value as block YAML without a newline at its end; combine it with `indent`.
fn to_yaml(value: &Value, _: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    if value.is_undefined() {
        return Err(Error::message("`to_yaml` got an undefined value"));
    }
    let value = serde_json::to_value(value).map_err(Error::message)?;
    let mut text = String::new();
    write_block(&value, 0, &mut text);
    Ok(Value::safe_string(text.trim_end().trim_start_matches('\n')))
}

/// `where(FIELD=…)`: the elements of a list in which these fields are equal to what is given; in a field that is a list, one element
/// is enough.
fn matching(value: &Value, wanted: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    let list = value.as_array().ok_or_else(|| Error::message("`where` takes a list"))?;
    let fits = |element: &Value| {
        wanted.iter().all(|(field, wanted)| match element.as_map().and_then(|map| map.get(field)) {
            Some(found) => found == wanted || found.as_array().is_some_and(|list| list.contains(wanted)),
            None => false,
        })
    };
    Ok(list.iter().filter(|element| fits(element)).cloned().collect::<Vec<_>>().into())
}

/// `relative(to=DIRECTORY)`: a path of the repository as a file in that directory of it names it.
fn relative(path: &str, arguments: Kwargs, _: &State<'_>) -> TeraResult<String> {
    let from: &str = arguments.must_get("to")?;
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), path.split('/').collect());
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    Ok(up.chain(to[same..].iter().copied()).collect::<Vec<_>>().join("/"))
}

// Written here and not by yaml_serde: that one writes for YAML 1.2 and leaves `no`, `on` or `12:30` bare, which
// Kubernetes' readers (YAML 1.1) take for a boolean and a number.
fn write_block(value: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("\n{indent}{}:", scalar(key)));
                write_inner(value, depth + 1, out);
            }
        }
        Json::Array(list) if !list.is_empty() => {
            for value in list {
                out.push_str(&format!("\n{indent}-"));
                write_inner(value, depth + 1, out);
            }
        }
        Json::Object(_) => out.push_str("{}"),
        Json::Array(_) => out.push_str("[]"),
        Json::String(text) => out.push_str(&scalar(text)),
        other => out.push_str(&other.to_string()),
    }
}

fn write_inner(value: &Json, depth: usize, out: &mut String) {
    let has_children = value.as_object().is_some_and(|map| !map.is_empty())
        || value.as_array().is_some_and(|list| !list.is_empty());
    if !has_children {
        out.push(' ');
    }
    write_block(value, depth, out);
}

/// A text bare when no reader could take it for anything else, quoted otherwise.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_bare { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            // Line separators, byte order marks and the like mean something to YAML when they stand there bare.
            _ => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(template: &str, value: &serde_json::Value) -> String {
        let mut tera = tera::Tera::default();
        add_filters(&mut tera);
        let mut context = tera::Context::new();
        context.insert("value", value);
        tera.render_str(template, &context, false).unwrap()
    }

    #[test]
    fn documents_are_all_read_and_duplicates_refused() {
        assert_eq!(documents("---\na: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
        assert_eq!(documents("# nothing\n").unwrap().len(), 0);
        let error = documents("a: 1\n---\nb:\n  c: 1\n  c: 2\n").unwrap_err();
        assert!(error.contains("duplicate") && error.contains("c"), "{error}");
        assert!(documents("a: [1\n").is_err());
    }

    /// YAML 1.1 readers (Kubernetes' among them) take these bare words for booleans and numbers.
    #[test]
    fn words_that_look_like_something_else_stay_texts() {
        for word in [
            "no",
            "On",
            "y",
            "off",
            "null",
            "~",
            "1e3",
            "0755",
            "0x1f",
            "12:30",
            "1_000",
            "",
            " a",
            "#",
            "2026-01-01",
        ] {
            let value = serde_json::json!({ "k": word });
            let text = render("{{ value | to_yaml }}", &value);
            assert!(
                text == format!("k: '{word}'") || text == format!("k: \"{word}\""),
                "{word:?} became {text}"
            );
        }
    }

    #[test]
    fn lists_are_searched_and_paths_are_told_from_elsewhere() {
        let value = serde_json::json!([
            {"name": "a", "cell": "x", "tenants": ["t", "u"]},
            {"name": "b", "cell": "y", "tenants": ["t"]},
            {"name": "c"},
        ]);
        let names = |filter: &str| {
            render(
                &format!("{{% for it in value | where({filter}) %}}{{{{ it.name }}}} {{% endfor %}}"),
                &value,
            )
        };
        assert_eq!(names("cell=\"x\""), "a ");
        assert_eq!(names("tenants=\"t\""), "a b ");
        assert_eq!(names("tenants=\"t\", cell=\"y\""), "b ");
        assert_eq!(names("cell=\"z\""), "");
        let relative =
            |to: &str| render(&format!("{{{{ value | relative(to=\"{to}\") }}}}"), &"a/b/c".into());
        assert_eq!(relative("x/y"), "../../a/b/c");
        assert_eq!(relative("a/x"), "../b/c");
        assert_eq!(relative("a/b"), "c");
    }

    #[test]
    fn a_value_in_the_middle_of_other_text_is_refused() {
        for (template, line) in [
            ("a: 1\nname: {{ x }}-root\n", 2),
            ("name: \"{{ x }}\"", 1),
            ("path: apps/{{ x }}", 1),
            ("a: {{ x }}{{ y }}", 1),
            ("a: {{- x }}", 1),
        ] {
            assert_eq!(values_stand_alone(template).unwrap_err().0, line, "{template}");
        }
        for template in [
            "# of {{ x }}, and\na: {{ x }}\n{{ k }}: {y: {{ x | quote }}, z: [{{ x }}, {{ y }}]}",
            "{% if x %}{{ x | to_yaml }}{% endif %}",
            "{% raw %}\nname: '{{.name}}-root'\n{% endraw %}\na: {{ x }}",
        ] {
            assert_eq!(values_stand_alone(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn nested_values_become_blocks() {
        let value =
            serde_json::json!({"a": [{"b": 1, "c": []}, "x y"], "e": {}, "f": [[true], null], "on": 1.5});
        insta::assert_snapshot!(render("{{ value | to_yaml }}", &value), @r#"
        a:
          -
            b: 1
            c: []
          - "x y"
        e: {}
        f:
          -
            - true
          - null
        "on": 1.5
        "#);
        assert_eq!(
            documents(&render("{{ value | to_yaml }}", &value)).unwrap()[0],
            yaml_serde::to_value(&value).unwrap()
        );
    }

    proptest! {
        #[test]
        fn any_text_survives_both_filters(text in "\\PC*|[\\n\\t a:#'\"{}\\[\\]&*!|>%@`,?-]{0,12}") {
            let value = serde_json::json!(text);
            for template in ["k: {{ value | quote }}\n", "k: {{ value | to_yaml | indent(width=2) }}\n"] {
                let read = documents(&render(template, &value)).unwrap();
                prop_assert_eq!(read[0]["k"].as_str(), Some(text.as_str()), "{}", template);
            }
        }
    }
}
