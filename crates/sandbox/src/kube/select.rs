//! Selectors: `labelSelector=app in (a,b),!tier`, `fieldSelector=metadata.name=x,status.phase!=Running`.

use serde_json::Value;

use super::refusal::Refusal;

/// What a list or watch is narrowed to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    /// Also true of what does not have the key.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads both selectors of a query; empty ones select everything.
    ///
    /// # Errors
    /// 400 for what is no selector.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = terms(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        let fields = terms(fields).into_iter().map(field).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Reads `matchLabels` and `matchExpressions`.
    ///
    /// # Errors
    /// 400 for an operator that there is not.
    pub fn of_object(selector: &Value) -> Result<Self, Refusal> {
        let mut labels = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            labels.push(Requirement { key: key.clone(), test: Test::In(vec![value]) });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let test = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                other => {
                    return Err(Refusal::bad_request(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            labels.push(Requirement { key: expression["key"].as_str().unwrap_or_default().to_owned(), test });
        }
        Ok(Self { labels, fields: Vec::new() })
    }

    /// The only name that is selected, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.fields.iter().find_map(|it| match &it.test {
            Test::In(values) if it.key == "metadata.name" => values.first().map(String::as_str),
            _ => None,
        })
    }

    /// The fields that it looks at.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|it| it.key.as_str())
    }

    /// Whether an object is selected.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|it| it.test.holds(labels[it.key.as_str()].as_str()))
            && self.fields.iter().all(|it| it.test.holds(Some(&at(object, &it.key))))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|it| it == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|it| it != value)),
            Self::Above(limit) => number().is_some_and(|number| number > *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

/// A field as text; what is not there is empty.
fn at(object: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match object.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Splits at commas that are not inside parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn label(term: &str) -> Result<Requirement, Refusal> {
    let unread = |why: String| Refusal::bad_request(format!("unable to parse requirement: {why}"));
    let wrong = || unread(format!("{term:?}"));
    if let Some(first) = term.chars().next().filter(|first| "=<>,)(".contains(*first)) {
        let expected = "!, identifier, or 'end of string'";
        return Err(Refusal::bad_request(format!("found '{first}', expected: {expected}")));
    }
    let of = |key: &str, test: Test| {
        let key = key.trim();
        let fine = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if let (false, Some((_, second))) = (fine, key.split_once(char::is_whitespace)) {
            let found = second.split_whitespace().next().unwrap_or_default();
            return Err(match second.split_whitespace().nth(1) {
                Some(third) if matches!(found, "in" | "notin") => {
                    unread(format!("found '{third}' expected: '('"))
                }
                _ => unread(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
            });
        }
        if let Test::In(values) | Test::NotIn(values) = &test {
            for (at, value) in values.iter().enumerate() {
                if value.contains('=') {
                    return Err(Refusal::bad_request("found '=', expected: ',' or 'end of string'"));
                }
                if let Some(why) = super::names::value_trouble(value) {
                    return Err(unread(format!("values[{at}][{key}]: Invalid value: {value:?}: {why}")));
                }
            }
        }
        fine.then(|| Requirement { key: key.to_owned(), test }).ok_or_else(wrong)
    };
    let number = |text: &str| {
        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
        let text = text.trim();
        text.parse::<i64>().map_err(|_| unread(format!("values[0]: Invalid value: {text:?}: {why}")))
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(rest) = term.strip_suffix(')') {
        let (head, values) = rest.split_once('(').ok_or_else(wrong)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        return match operator {
            "in" => of(key, Test::In(values)),
            "notin" => of(key, Test::NotIn(values)),
            _ => Err(wrong()),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return of(key, Test::NotIn(one(value)));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return of(key, Test::In(one(value)));
    }
    if let Some((key, value)) = term.split_once('>') {
        return of(key, Test::Above(number(value)?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return of(key, Test::Below(number(value)?));
    }
    match term.strip_prefix('!') {
        Some(key) => of(key, Test::Missing),
        None => of(term, Test::Exists),
    }
}

fn field(term: &str) -> Result<Requirement, Refusal> {
    let of = |key: &str, test| Ok(Requirement { key: key.trim().to_owned(), test });
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = term.split_once("!=") {
        return of(key, Test::NotIn(one(value)));
    }
    match term.split_once("==").or_else(|| term.split_once('=')) {
        Some((key, value)) => of(key, Test::In(one(value))),
        None => Err(Refusal::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picks(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "x", "labels": {"app": "a", "n": "5"}},
            "spec": {"nodeName": "n1"},
        });
        Selector::parse(labels, fields).expect("a selector").matches(&object)
    }

    #[test]
    fn labels() {
        for yes in [
            "",
            "app",
            "app=a",
            "app==a",
            "app!=b",
            "app in (a, b)",
            "app notin (b),n",
            "!tier",
            "tier!=x",
            "n>4",
            "n<6",
        ] {
            assert!(picks(yes, ""), "{yes}");
        }
        for no in ["tier", "app=b", "app!=a", "app in (b)", "app notin (a)", "!app", "n>5", "app,tier"] {
            assert!(!picks(no, ""), "{no}");
        }
        for wrong in ["app in a", "a b", "=x", "n>x", "app is (a)"] {
            assert_eq!(Selector::parse(wrong, "").expect_err(wrong).code, 400);
        }
    }

    #[test]
    fn fields() {
        assert!(picks("", "metadata.name=x,spec.nodeName!=n2,status.phase="));
        assert!(!picks("", "metadata.name=y"));
        assert_eq!(Selector::parse("", "x").expect_err("no operator").code, 400);
    }
}
