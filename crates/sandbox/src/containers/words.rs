//! The words of a command line as docker and kind read them: flags, what stands alone, what is to be shown.

use std::collections::BTreeMap;

use serde_json::Value;

/// A flag: its names, and whether a value follows.
pub(super) type Flag = (&'static str, bool);

/// A command line that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    flags: BTreeMap<&'static str, Vec<String>>,
    /// What stands alone, in its order.
    pub rest: Vec<String>,
}

/// Why a command line cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A flag that there is not, with its dashes.
    Unknown(String),
    /// A flag without its value, with its dashes.
    Valueless(String),
}

impl Unread {
    /// In the words of the library that both programs read their command lines with.
    pub fn words(&self) -> String {
        match self {
            Self::Unknown(flag) if flag.starts_with("--") => format!("unknown flag: {flag}"),
            Self::Unknown(flag) => {
                format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-'))
            }
            Self::Valueless(flag) if flag.starts_with("--") => format!("flag needs an argument: {flag}"),
            Self::Valueless(flag) => {
                format!("flag needs an argument: '{0}' in -{0}", flag.trim_start_matches('-'))
            }
        }
    }
}

impl Line {
    /// Reads words. Names of flags are written `long` or `long,l`. With `stops`, flags end at the first word that stands
    /// alone: what follows belongs to a program inside.
    pub fn read(words: &[String], known: &[Flag], stops: bool) -> Result<Self, Unread> {
        let find = |name: &str| {
            let fits = |flag: &&Flag| flag.0.split(',').any(|it| it == name);
            known.iter().find(fits).map(|(names, takes)| (names.split(',').next().unwrap_or(names), *takes))
        };
        let mut line = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                line.rest.extend(words.cloned());
                break;
            }
            let Some(name) = word.strip_prefix("--") else {
                match word.strip_prefix('-').filter(|short| !short.is_empty()) {
                    None => {
                        line.rest.push(word.clone());
                        if stops {
                            line.rest.extend(words.cloned());
                            break;
                        }
                    }
                    Some(short) => line.shorts(short, &mut words, &find)?,
                }
                continue;
            };
            let (name, given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let (long, takes) = find(name).ok_or_else(|| Unread::Unknown(format!("--{name}")))?;
            let value = match (given, takes) {
                (Some(value), _) => value,
                (None, false) => "true".to_owned(),
                (None, true) => {
                    words.next().cloned().ok_or_else(|| Unread::Valueless(format!("--{name}")))?
                }
            };
            line.flags.entry(long).or_default().push(value);
        }
        Ok(line)
    }

    /// Reads flags of one letter, which may stand together, the last one with its value.
    fn shorts<'a>(
        &mut self,
        short: &str,
        words: &mut impl Iterator<Item = &'a String>,
        find: &impl Fn(&str) -> Option<(&'static str, bool)>,
    ) -> Result<(), Unread> {
        for (at, letter) in short.char_indices() {
            let unknown = || Unread::Unknown(format!("-{short}"));
            let (long, takes) = find(&letter.to_string()).ok_or_else(unknown)?;
            let value = if takes {
                let rest = &short[at + letter.len_utf8()..];
                match rest.strip_prefix('=').unwrap_or(rest) {
                    "" => words.next().cloned().ok_or_else(|| Unread::Valueless(format!("-{letter}")))?,
                    rest => rest.to_owned(),
                }
            } else {
                "true".to_owned()
            };
            self.flags.entry(long).or_default().push(value);
            if takes {
                break;
            }
        }
        Ok(())
    }

    /// Whether a flag is set.
    pub fn has(&self, long: &str) -> bool {
        self.one(long).is_some_and(|value| value != "false")
    }

    /// The last value of a flag.
    pub fn one(&self, long: &str) -> Option<&str> {
        self.flags.get(long)?.last().map(String::as_str)
    }

    /// Every value of a flag.
    pub fn all(&self, long: &str) -> impl Iterator<Item = &str> {
        self.flags.get(long).into_iter().flatten().map(String::as_str)
    }

    /// Values of a flag of the form `KEY=VALUE`; without a `=` the value is empty.
    pub fn pairs(&self, long: &str) -> BTreeMap<String, String> {
        self.all(long)
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Shows a document by a template: `json`, or text with `{{json .}}`, `{{.A.B}}`, `{{json .A.B}}` and
/// `{{index .A "b"}}` in it. `None` for anything else that a template may hold.
pub(super) fn formatted(template: &str, document: &Value) -> Option<String> {
    if template == "json" {
        return Some(document.to_string());
    }
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (act, after) = after.split_once("}}")?;
        text.push_str(before);
        text.push_str(&acted(act.trim(), document)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn acted(act: &str, document: &Value) -> Option<String> {
    if let Some(path) = act.strip_prefix("json ") {
        return at(path.trim(), document).map(Value::to_string);
    }
    let found = match act.strip_prefix("index ") {
        Some(index) => {
            let (path, key) = index.trim().split_once(' ')?;
            let key = key.trim().strip_prefix('"')?.strip_suffix('"')?;
            at(path, document)?.get(key).cloned().unwrap_or(Value::String(String::new()))
        }
        None => at(act, document)?.clone(),
    };
    Some(match found {
        Value::String(text) => text,
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    })
}

fn at<'a>(path: &str, document: &'a Value) -> Option<&'a Value> {
    let path = path.strip_prefix('.')?;
    path.split('.').filter(|key| !key.is_empty()).try_fold(document, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FLAGS: &[Flag] = &[("detach,d", false), ("publish,p", true), ("label,l", true), ("force", false)];

    fn line(words: &[&str]) -> Result<Line, Unread> {
        Line::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>(), FLAGS, true)
    }

    #[test]
    fn flags_are_read_in_all_their_forms_and_end_where_a_program_begins() {
        let read = line(&["-d", "--label", "a=b", "--label=c", "-p80:80", "-dp", "1:1", "img", "-d", "x"]);
        let read = read.expect("good words");
        assert!(read.has("detach") && !read.has("force"));
        assert_eq!(read.all("publish").collect::<Vec<_>>(), ["80:80", "1:1"]);
        assert_eq!(read.pairs("label"), [("a".into(), "b".into()), ("c".into(), String::new())].into());
        assert_eq!(read.rest, ["img", "-d", "x"]);
        assert!(!line(&["--force=false"]).expect("good").has("force"));
    }

    #[test]
    fn what_cannot_be_read_is_said_as_both_programs_say_it() {
        let words = |given: &[&str]| line(given).expect_err("bad words").words();
        assert_eq!(words(&["--frob"]), "unknown flag: --frob");
        assert_eq!(words(&["-z"]), "unknown shorthand flag: 'z' in -z");
        assert_eq!(words(&["--label"]), "flag needs an argument: --label");
    }

    #[test]
    fn templates_show_parts_of_a_document() {
        let document = json!({ "State": { "Running": true }, "Name": "/a", "Labels": { "x.y": "z" } });
        let cases = [
            ("json", document.to_string()),
            ("{{json .}}", document.to_string()),
            ("{{.Name}} {{.State.Running}}", "/a true".to_owned()),
            ("{{json .Labels}}", r#"{"x.y":"z"}"#.to_owned()),
            ("{{index .Labels \"x.y\"}}|{{index .Labels \"no\"}}", "z|".to_owned()),
        ];
        for (template, shown) in cases {
            assert_eq!(formatted(template, &document), Some(shown), "{template}");
        }
        assert_eq!(formatted("{{range .}}", &document), None);
    }
}
