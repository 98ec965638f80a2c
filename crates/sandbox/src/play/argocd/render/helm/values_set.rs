//! `--set`: `a.b[0].c=value`.

use serde_json::{Map, Value};

enum Step {
    Key(String),
    Item(usize),
}

/// Sets one value; a dot in a key is written `\.`.
pub fn set(values: &mut Value, path: &str, text: &str, as_text: bool) -> Result<(), String> {
    let mut at = values;
    for step in steps(path)? {
        at = match step {
            Step::Key(key) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                &mut at[key.as_str()]
            }
            Step::Item(number) => {
                if !at.is_array() {
                    *at = Value::Array(Vec::new());
                }
                let Value::Array(all) = at else { return Err(format!("failed parsing --set data: {path}")) };
                if all.len() <= number {
                    all.resize(number + 1, Value::Null);
                }
                &mut all[number]
            }
        };
    }
    *at = if as_text { text.into() } else { typed(text) };
    Ok(())
}

fn typed(text: &str) -> Value {
    if let Some(list) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return list.split(',').filter(|it| !it.is_empty()).map(|it| typed(it.trim())).collect();
    }
    match text {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        // A leading zero makes it a text, as in Helm.
        _ if text.len() > 1 && text.starts_with('0') => text.into(),
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    }
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("failed parsing --set data: key \"{path}\" has no value");
    let mut all = Vec::new();
    let mut key = String::new();
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.extend(letters.next()),
            '.' => {
                if !key.is_empty() {
                    all.push(Step::Key(std::mem::take(&mut key)));
                }
            }
            '[' => {
                if !key.is_empty() {
                    all.push(Step::Key(std::mem::take(&mut key)));
                }
                let number: String = letters.by_ref().take_while(|it| *it != ']').collect();
                all.push(Step::Item(
                    number.parse::<usize>().ok().filter(|it| *it < 65_536).ok_or_else(wrong)?,
                ));
            }
            other => key.push(other),
        }
    }
    if !key.is_empty() {
        all.push(Step::Key(key));
    }
    if all.is_empty() { Err(wrong()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets() {
        let mut values = json!({"a": {"b": 1}});
        for (path, text, as_text) in [
            ("a.b", "2", false),
            ("a.c", "2", true),
            ("l[1].x", "true", false),
            ("k\\.d", "007", false),
            ("m", "{a,1}", false),
        ] {
            set(&mut values, path, text, as_text).expect(path);
        }
        let wanted = json!({"a": {"b": 2, "c": "2"}, "l": [null, {"x": true}], "k.d": "007", "m": ["a", 1]});
        assert_eq!(values, wanted);
        assert!(set(&mut values, "a[x]", "1", false).is_err());
    }
}
