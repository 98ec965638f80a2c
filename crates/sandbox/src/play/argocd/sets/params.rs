//! Parameters in templates: Go's, or `{{name}}` alone.

use gotmpl::{MissingKey, Template, Value as Go};
use serde_json::{Map, Value};

use super::super::{
    model::items,
    render::template::{self, Functions, arg},
};

/// How a set writes parameters into texts.
pub struct Style {
    /// The functions of Go templates; `None`: the simple style.
    go: Option<(Functions, bool)>,
}

impl Style {
    /// As a set says.
    pub fn of(spec: &Value) -> Self {
        let strict = items(&spec["goTemplateOptions"]).any(|it| it == "missingkey=error");
        Self { go: (spec["goTemplate"] == true).then(|| (functions(), strict)) }
    }

    /// Whether parameters have a structure.
    pub fn is_go(&self) -> bool {
        self.go.is_some()
    }

    /// Writes parameters into every text (and every key) of a value.
    pub fn render(&self, value: &Value, params: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.text(text, params)?.into(),
            Value::Array(all) => {
                Value::Array(all.iter().map(|it| self.render(it, params)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let mut new = Map::new();
                for (key, value) in fields {
                    new.insert(self.text(key, params)?, self.render(value, params)?);
                }
                Value::Object(new)
            }
            other => other.clone(),
        })
    }

    /// Writes parameters into a text.
    pub fn text(&self, text: &str, params: &Value) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let Some((functions, strict)) = &self.go else { return Ok(simple(text, params)) };
        let missing = if *strict { MissingKey::Error } else { MissingKey::Invalid };
        Template::new("")
            .missing_key(missing)
            .funcs(functions.clone())
            .parse(text)
            .map_err(|error| format!("failed to parse template {text}: {error}"))?
            .execute_to_string(&template::to_go(params))
            .map_err(|error| format!("failed to execute go template {text}: {error}"))
    }
}

/// `{{ name }}` for every parameter of that name; what is no parameter stays.
fn simple(text: &str, params: &Value) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let name = rest[start + 2..start + length].trim();
        out.push_str(&rest[..start]);
        match &params[name] {
            Value::Null => out.push_str(&rest[start..start + length + 2]),
            _ => out.push_str(&shown(params, name)),
        }
        rest = &rest[start + length + 2..];
    }
    out + rest
}

fn functions() -> Functions {
    let mut all = template::functions();
    template::add(&mut all, "normalize", |args| {
        Ok(normalized(&template::text(arg("normalize", args, 0)?)).into())
    });
    template::add(&mut all, "slugify", |args| {
        // The name comes last; before it the most letters, and whether words stay whole.
        let name = template::text(args.last().unwrap_or(&Go::Nil));
        let most = args.first().filter(|it| matches!(it, Go::Int(_))).map_or(50, template::number);
        let slug = normalized(&name).replace('.', "-");
        let short: String = slug.chars().take(usize::try_from(most).unwrap_or(50)).collect();
        Ok(short.trim_matches('-').to_owned().into())
    });
    all
}

/// A name that Kubernetes takes: lower case, other letters as dashes, at most 253.
pub fn normalized(name: &str) -> String {
    let plain: String =
        name.to_lowercase()
            .chars()
            .map(|it| {
                if it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '.') {
                    it
                } else {
                    '-'
                }
            })
            .take(253)
            .collect();
    plain.trim_matches(['-', '.']).to_owned()
}

/// A structure as flat parameters: `a.b`, `list[0]`.
pub fn flat(prefix: &str, value: &Value, into: &mut Map<String, Value>) {
    let inside = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flat(&inside(key), value, into)),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(at, value)| flat(&inside(&at.to_string()), value, into));
        }
        Value::String(text) => drop(into.insert(prefix.to_owned(), text.clone().into())),
        Value::Null => {}
        other => drop(into.insert(prefix.to_owned(), other.to_string().into())),
    }
}

/// The parameter that a merge key names.
pub fn at<'a>(params: &'a Value, key: &str) -> &'a Value {
    if params.get(key).is_some() {
        return &params[key];
    }
    key.split('.').fold(params, |value, part| &value[part])
}

/// A parameter as a text.
pub fn shown(params: &Value, key: &str) -> String {
    match at(params, key) {
        Value::String(it) => it.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
