//! Go templates with the functions of Sprig that charts and ApplicationSets use. A function that is not there is refused by
//! its name.

use std::{collections::BTreeMap, sync::Arc};

use gotmpl::{TemplateError, Value as Go, ValueFunc};
use serde_json::{Map, Number, Value};

mod lists;
mod texts;

pub type Result<T> = std::result::Result<T, TemplateError>;
/// Functions by their names.
pub type Functions = BTreeMap<String, ValueFunc>;

/// A value as templates see it. Numbers out of YAML are floats there, as in Go.
pub fn to_go(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(it) => Go::Bool(*it),
        Value::Number(it) => Go::Float(it.as_f64().unwrap_or_default()),
        Value::String(it) => Go::String(it.as_str().into()),
        Value::Array(all) => Go::List(all.iter().map(to_go).collect()),
        Value::Object(all) => {
            Go::Map(Arc::new(all.iter().map(|(key, value)| (key.as_str().into(), to_go(value))).collect()))
        }
    }
}

/// And back.
pub fn from_go(value: &Go) -> Value {
    match value {
        Go::Bool(it) => Value::Bool(*it),
        Go::Int(it) => (*it).into(),
        Go::Uint(it) => (*it).into(),
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is in range")]
        Go::Float(it) if it.fract() == 0.0 && it.abs() < 9e15 => (*it as i64).into(),
        Go::Float(it) => Number::from_f64(*it).map_or(Value::Null, Value::Number),
        Go::String(it) => Value::String(it.to_string()),
        Go::List(all) => all.iter().map(from_go).collect(),
        Go::Map(all) => Value::Object(
            all.iter().map(|(key, value)| (key.to_string(), from_go(value))).collect::<Map<_, _>>(),
        ),
        Go::Nil | Go::Function(_) => Value::Null,
    }
}

/// The functions that charts and sets have in common.
pub fn functions() -> Functions {
    let mut all = Functions::new();
    texts::fill(&mut all);
    lists::fill(&mut all);
    all
}

pub fn add(all: &mut Functions, name: &str, function: impl Fn(&[Go]) -> Result<Go> + Send + Sync + 'static) {
    all.insert(name.to_owned(), Arc::new(function));
}

pub fn wrong(words: impl Into<String>) -> TemplateError {
    TemplateError::Exec(words.into())
}

/// An argument, counted from the first.
pub fn arg<'a>(name: &str, args: &'a [Go], at: usize) -> Result<&'a Go> {
    args.get(at).ok_or_else(|| wrong(format!("wrong number of args for {name}: got {}", args.len())))
}

/// A value as text, as `%v` prints it.
pub fn text(value: &Go) -> String {
    match value {
        Go::String(it) => it.to_string(),
        Go::Nil => String::new(),
        other => other.to_string(),
    }
}

/// A value as a whole number, as far as it has one.
pub fn number(value: &Go) -> i64 {
    match value {
        Go::Int(it) => *it,
        Go::Uint(it) => i64::try_from(*it).unwrap_or(i64::MAX),
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates here as well")]
        Go::Float(it) => *it as i64,
        Go::Bool(it) => i64::from(*it),
        Go::String(it) => it.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

/// A value as YAML, without the last line end.
pub fn to_yaml(value: &Go) -> String {
    let value = from_go(value);
    let text = yaml_serde::to_string(&value).unwrap_or_default();
    text.trim_end_matches('\n').to_owned()
}

/// A value as JSON as Go writes it, with `<`, `>` and `&` escaped.
pub fn to_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(template: &str, data: &Value) -> String {
        gotmpl::Template::new("t")
            .funcs(functions())
            .parse(template)
            .and_then(|it| it.execute_to_string(&to_go(data)))
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn functions_as_sprig_has_them() {
        let data = json!({"n": 9898, "s": "a b", "l": [1, 2], "m": {"b": "2", "a": "1"}, "e": "", "f": 1.5});
        for (template, wanted) in [
            ("{{ .n }}", "9898"),
            ("{{ .f }}", "1.5"),
            ("{{ .s | quote }}", "\"a b\""),
            ("{{ .e | default \"x\" }}", "x"),
            ("{{ .nothing | default 5 }}", "5"),
            ("{{ toYaml .m | nindent 2 }}", "\n  a: '1'\n  b: '2'"),
            ("{{ toYaml .l }}", "- 1\n- 2"),
            ("{{ toJson .m }}", "{\"a\":\"1\",\"b\":\"2\"}"),
            ("{{ join \",\" .l }}", "1,2"),
            ("{{ trunc 3 \"abcdef\" }}{{ trunc -2 \"abcdef\" }}", "abcef"),
            ("{{ \"a-b\" | replace \"-\" \"_\" | upper }}", "A_B"),
            ("{{ ternary \"yes\" \"no\" (eq .s \"a b\") }}", "yes"),
            ("{{ (dict \"k\" 1).k }}", "1"),
            ("{{ range $k, $v := .m }}{{ $k }}={{ $v }};{{ end }}", "a=1;b=2;"),
            ("{{ hasKey .m \"a\" }} {{ has 2.0 .l }}", "true true"),
            ("{{ add 1 2 3 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 2 }}", "6 3 6 3 1"),
            ("{{ b64enc \"a\" }}{{ b64dec \"YQ==\" }}", "YQ==a"),
            ("{{ sha256sum \"a\" | trunc 8 }}", "ca978112"),
            ("{{ splitList \"/\" \"a/b\" | last }}", "b"),
            ("{{ get .m \"a\" }}{{ get .m \"z\" }}", "1"),
            ("{{ (merge (dict \"a\" \"x\") .m).a }}{{ (merge (dict \"a\" \"x\") .m).b }}", "x2"),
            ("{{ kindIs \"map\" .m }} {{ kindIs \"slice\" .l }} {{ kindOf .s }}", "true true string"),
            ("{{ semverCompare \">=1.20-0\" \"v1.36.0\" }}", "true"),
            ("{{ regexMatch \"^a\" .s }} {{ regexReplaceAll \"[ab]\" .s \"x\" }}", "true x x"),
            ("{{ coalesce .e .nothing \"z\" }} {{ empty .e }}", "z true"),
            ("{{ dig \"a\" \"none\" .m }} {{ dig \"x\" \"y\" \"none\" .m }}", "1 none"),
            ("{{ title \"hello world\" }} {{ squote .s }}", "Hello World 'a b'"),
        ] {
            assert_eq!(shown(template, &data), wanted, "{template}");
        }
        let refused = shown("{{ genCA \"x\" 1 }}", &data);
        assert!(refused.contains("genCA"), "{refused}");
    }
}
