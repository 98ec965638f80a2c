//! A kubeconfig as text, into which entries of ours are put and from which they are taken: pure. What is not ours stays as it is,
//! byte by byte, comments and order included; the result is read again and compared with what it was meant to be.
//!
//! What was there before is written beside the entry itself, in its `extensions`: so it survives whatever becomes of this machine's
//! other memories, and a rewrite of the file by `kubectl` too.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The name of our extension.
const EXTENSION: &str = "platform.dev";
/// The lists, with the word under which each entry has what it is.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];
const CURRENT: &str = "current-context";
/// A file that was not there.
const EMPTY: &str = "apiVersion: v1\nkind: Config\n";

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub platform: String,
    pub cluster: String,
}

/// What is put in: a cluster, a user, and a context of both, all of one name.
pub(crate) struct Entry {
    pub name: String,
    pub owner: Owner,
    pub cluster: Value,
    pub user: Value,
}

/// What there was before an entry was put in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Before {
    /// The file itself was made for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    made: bool,
    /// By key, the text that stood there: of lists that had nothing in them, and of what was current. `null`: the key was not there.
    #[serde(default)]
    texts: Map<String, Value>,
}

/// Our extension of a context. Those of clusters and users say only whose they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mark {
    #[serde(flatten)]
    owner: Owner,
    #[serde(default)]
    before: Before,
}

/// Why a file is left alone. None of these repeats a value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no kubeconfig.
    Unreadable(String),
    /// It has entries of that name that are not ours.
    Foreign(String),
    /// It is written in a way that cannot be changed in part.
    Layout(String),
}

/// How a file stands to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    Nothing,
    /// Ours; whether all of it is as it should be is asked with [`is_as`].
    Ours,
}

/// What is to become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It has nothing of ours.
    Untouched,
    /// This is to be in it.
    Text(String),
    /// It was made for what is gone now.
    Nothing,
}

/// Whether a file has an entry of that name.
///
/// # Errors
/// [`Unfit`] when it cannot be told, or it is somebody else's.
pub(crate) fn has(text: &str, name: &str, owner: &Owner) -> Result<Has, Unfit> {
    let document = read(text)?;
    let mut found = Has::Nothing;
    for (list, key) in LISTS {
        for entry in entries(&document, list).iter().filter(|entry| entry["name"] == name) {
            match mark(entry, key) {
                Some(mark) if mark.owner == *owner => found = Has::Ours,
                _ => {
                    return Err(Unfit::Foreign(format!(
                        "`{list}` has a `{name}` that this platform did not put there"
                    )));
                }
            }
        }
    }
    Ok(found)
}

/// Whether an entry is in a file as it would be put in now.
pub(crate) fn is_as(text: &str, entry: &Entry) -> bool {
    let Ok(document) = read(text) else { return false };
    let same = |list: &str, key: &str, wanted: &Value| {
        let found = entries(&document, list).iter().find(|it| it["name"] == *entry.name);
        found.is_some_and(|found| {
            let mut found = found[key].clone();
            if let Some(found) = found.as_object_mut() {
                found.shift_remove("extensions");
            }
            found == *wanted
        })
    };
    same("clusters", "cluster", &entry.cluster)
        && same("users", "user", &entry.user)
        && entries(&document, "contexts").iter().any(|it| {
            it["name"] == *entry.name
                && it["context"]["cluster"] == *entry.name
                && it["context"]["user"] == *entry.name
        })
}

/// The names of all entries of a platform in a file, with the clusters that they are about.
///
/// # Errors
/// [`Unfit`] when it cannot be told.
pub(crate) fn of_platform(text: &str, platform: &str) -> Result<Vec<(String, String)>, Unfit> {
    let document = read(text)?;
    let mut found: Vec<(String, String)> = LISTS
        .iter()
        .flat_map(|(list, key)| entries(&document, list).iter().map(move |entry| (entry, key)))
        .filter_map(|(entry, key)| {
            let owner = mark(entry, key)?.owner;
            (owner.platform == platform).then_some((entry["name"].as_str()?.to_owned(), owner.cluster))
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// The text with an entry put in, or put right; the first time it also becomes the current one. `None` is a file that is not there.
///
/// # Errors
/// [`Unfit`]: then nothing may be written.
pub(crate) fn put(text: Option<&str>, entry: &Entry) -> Result<String, Unfit> {
    let made = text.is_none();
    let text = text.unwrap_or(EMPTY);
    let there = has(text, &entry.name, &entry.owner)?;
    let old = read(text)?;
    let remembered = before_of(&old, &entry.name);
    let mut lines = Lines::of(text);
    let mut before = remembered.clone().unwrap_or(Before { made, ..Before::default() });
    for (list, _) in LISTS {
        if there == Has::Ours {
            lines.strip(list, &entry.name)?;
        }
        if let Some(was) = lines.open(list)?
            && !before.texts.contains_key(list)
        {
            before.texts.insert(list.to_owned(), was);
        }
    }
    if there == Has::Nothing {
        let was = lines.replace(CURRENT, Some(&format!("{CURRENT}: {}", entry.name)));
        before.texts.insert(CURRENT.to_owned(), was);
    }
    let owner = json!(entry.owner);
    let context = json!({ "cluster": entry.name, "user": entry.name });
    let marked = |what: &Value, mark: Value| {
        let mut what = what.clone();
        what["extensions"] = json!([{ "extension": mark, "name": EXTENSION }]);
        what
    };
    let mark = json!(Mark { owner: entry.owner.clone(), before });
    let items = [
        json!({ "cluster": marked(&entry.cluster, owner.clone()), "name": entry.name }),
        json!({ "context": marked(&context, mark), "name": entry.name }),
        json!({ "name": entry.name, "user": marked(&entry.user, owner) }),
    ];
    let mut wanted = old;
    if !wanted.is_object() {
        wanted = json!({});
    }
    for ((list, _), item) in LISTS.iter().zip(items) {
        lines.append(list, &item)?;
        let mut all: Vec<Value> = entries(&wanted, list).to_vec();
        all.retain(|it| it["name"] != *entry.name);
        all.push(item);
        wanted[*list] = all.into();
    }
    if there == Has::Nothing {
        wanted[CURRENT] = json!(entry.name);
    }
    lines.as_wanted(&wanted)
}

/// The text without an entry, as it would be if it had never been put in.
///
/// # Errors
/// [`Unfit`]: then nothing may be written.
pub(crate) fn take(text: &str, name: &str, owner: &Owner) -> Result<Left, Unfit> {
    // Entries of that name that are not ours stay; then there is nothing of ours.
    match has(text, name, owner) {
        Ok(Has::Ours) => {}
        Ok(Has::Nothing) | Err(Unfit::Foreign(_)) => return Ok(Left::Untouched),
        Err(unfit) => return Err(unfit),
    }
    let mut wanted = read(text)?;
    let known = before_of(&wanted, name);
    let Before { made, mut texts } = known.clone().unwrap_or_default();
    let mut lines = Lines::of(text);
    for (list, _) in LISTS {
        lines.strip(list, name)?;
        let all = entries(&wanted, list);
        let rest: Vec<Value> = all.iter().filter(|it| it["name"] != *name).cloned().collect();
        if rest.len() == all.len() {
            continue;
        }
        let emptied = rest.is_empty();
        wanted[list] = rest.into();
        if emptied {
            let was = texts.shift_remove(list).unwrap_or_else(|| json!(format!("{list}: []")));
            restore(&mut lines, &mut wanted, list, &was)?;
        }
    }
    if wanted[CURRENT] == *name {
        // It stays known: what came later may remember ours as what was current.
        let was = texts.get(CURRENT).cloned().unwrap_or_else(|| json!(format!("{CURRENT}: \"\"")));
        restore(&mut lines, &mut wanted, CURRENT, &was)?;
    }
    let heirs = hand_over(&mut lines, &mut wanted, name, made, &texts)?;
    let text = lines.as_wanted(&wanted)?;
    Ok(if made && !heirs && text == EMPTY { Left::Nothing } else { Left::Text(text) })
}

/// Puts back what stood under a key.
fn restore(lines: &mut Lines, wanted: &mut Value, key: &str, was: &Value) -> Result<(), Unfit> {
    let text = was.as_str();
    lines.replace(key, text);
    let value =
        text.map(read).transpose()?.and_then(|mut document| document.as_object_mut()?.shift_remove(key));
    if let Some(wanted) = wanted.as_object_mut() {
        match value {
            Some(value) => drop(wanted.insert(key.to_owned(), value)),
            None => drop(wanted.shift_remove(key)),
        }
    }
    Ok(())
}

/// What an entry remembers, and could not give back because others have come since, goes to those of them that are ours. Whether
/// there are any.
fn hand_over(
    lines: &mut Lines,
    wanted: &mut Value,
    name: &str,
    made: bool,
    texts: &Map<String, Value>,
) -> Result<bool, Unfit> {
    let mut first = true;
    let others: Vec<Value> = entries(wanted, "contexts").to_vec();
    for (at, other) in others.into_iter().enumerate() {
        let Some(mut theirs) = mark(&other, "context") else { continue };
        let mut changed = first && made && !theirs.before.made;
        theirs.before.made |= first && made;
        for (key, was) in texts {
            let take = if key == CURRENT {
                theirs.before.texts.get(CURRENT).is_some_and(|text| names(text, name))
            } else {
                first && !theirs.before.texts.contains_key(key)
            };
            if take {
                theirs.before.texts.insert(key.clone(), was.clone());
                changed = true;
            }
        }
        first = false;
        if changed {
            let mut other = other;
            other["context"]["extensions"] = extensions_with(&other["context"], &json!(theirs));
            let its_name = other["name"].as_str().unwrap_or_default().to_owned();
            lines.rewrite("contexts", &its_name, &other)?;
            wanted["contexts"][at] = other;
        }
    }
    Ok(!first)
}

/// Whether the text of `current-context` is about a name.
fn names(text: &Value, name: &str) -> bool {
    text.as_str().and_then(|text| read(text).ok()).is_some_and(|document| document[CURRENT] == *name)
}

fn extensions_with(context: &Value, mark: &Value) -> Value {
    let mut all = context["extensions"].as_array().cloned().unwrap_or_default();
    for extension in all.iter_mut().filter(|it| it["name"] == EXTENSION) {
        extension["extension"] = mark.clone();
    }
    all.into()
}

/// Reads a kubeconfig, as far as it matters here.
fn read(text: &str) -> Result<Value, Unfit> {
    let unreadable = |why: String| Unfit::Unreadable(why);
    let document: Value = yaml_serde::from_str(text).map_err(|error| {
        let line = error.location().map(|at| format!(" (line {})", at.line())).unwrap_or_default();
        unreadable(format!("it is not YAML{line}"))
    })?;
    match &document {
        Value::Null => return Ok(document),
        Value::Object(_) => {}
        _ => return Err(unreadable("it is no mapping".to_owned())),
    }
    for (list, _) in LISTS {
        let fits = match document.get(list) {
            None | Some(Value::Null) => true,
            Some(Value::Array(all)) => all.iter().all(|it| it["name"].is_string()),
            Some(_) => false,
        };
        if !fits {
            return Err(unreadable(format!("`{list}` is no list of entries with names")));
        }
    }
    Ok(document)
}

fn entries<'a>(document: &'a Value, list: &str) -> &'a [Value] {
    document.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn mark(entry: &Value, key: &str) -> Option<Mark> {
    let all = entry[key]["extensions"].as_array()?;
    let ours = all.iter().find(|it| it["name"] == EXTENSION)?;
    serde_json::from_value(ours["extension"].clone()).ok()
}

fn before_of(document: &Value, name: &str) -> Option<Before> {
    let entry = entries(document, "contexts").iter().find(|it| it["name"] == name)?;
    Some(mark(entry, "context")?.before)
}

/// The file's lines. Joined again by newlines they are the text, also when the last one has none.
struct Lines(Vec<String>);

/// The lines of a key of the document: from the key to the last line that says something.
#[derive(Clone, Copy)]
struct Region {
    from: usize,
    to: usize,
}

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.split('\n').map(str::to_owned).collect())
    }

    /// The text, if it says what it should.
    fn as_wanted(&self, wanted: &Value) -> Result<String, Unfit> {
        let text = self.0.join("\n");
        let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
        match read(&text) {
            Ok(is) if is == *wanted || (empty(&is) && empty(wanted)) => Ok(text),
            _ => {
                Err(Unfit::Layout("a part of it cannot be changed without writing all of it anew".to_owned()))
            }
        }
    }

    fn region(&self, key: &str) -> Option<Region> {
        let from = self.0.iter().position(|line| key_of(line) == Some(key))?;
        let rest = &self.0[from + 1..];
        let next = rest.iter().position(|line| begins(line)).unwrap_or(rest.len());
        let to = rest[..next].iter().rposition(|line| says(line)).map_or(from + 1, |last| from + last + 2);
        Some(Region { from, to })
    }

    /// Behind the last line that says something.
    fn end(&self) -> usize {
        self.0.iter().rposition(|line| says(line)).map_or(0, |last| last + 1)
    }

    /// Puts other lines in the place of a key, or at the end, or nothing; what stood there, `null` if nothing did.
    fn replace(&mut self, key: &str, text: Option<&str>) -> Value {
        let new = text.into_iter().flat_map(|text| text.split('\n')).map(str::to_owned);
        match self.region(key) {
            Some(Region { from, to }) => {
                let was: Vec<String> = self.0.splice(from..to, new).collect();
                was.join("\n").into()
            }
            None => {
                let end = self.end();
                self.0.splice(end..end, new);
                Value::Null
            }
        }
    }

    /// Sees to it that items can be put into a list; what stood there if it had none.
    fn open(&mut self, list: &str) -> Result<Option<Value>, Unfit> {
        if self.region(list).is_some() && self.items(list)?.is_some() {
            return Ok(None);
        }
        Ok(Some(self.replace(list, Some(&format!("{list}:")))))
    }

    /// The items of a list with the column of their dashes; `None` when it has none.
    fn items(&self, list: &str) -> Result<Option<(usize, Vec<Region>)>, Unfit> {
        let Some(Region { from, to }) = self.region(list) else { return Ok(None) };
        let content: Vec<usize> = (from + 1..to).filter(|at| says(&self.0[*at])).collect();
        let Some(&first) = content.first() else {
            let value = read(&self.0[from])?[list].take();
            return match value {
                Value::Null => Ok(None),
                Value::Array(all) if all.is_empty() => Ok(None),
                _ => Err(Unfit::Layout(format!("`{list}` is written in one line"))),
            };
        };
        let column = self.0[first].len() - self.0[first].trim_start_matches(' ').len();
        let starts = |at: &usize| {
            let (pad, rest) = self.0[*at].split_at_checked(column).unwrap_or_default();
            pad.trim_start_matches(' ').is_empty() && (rest.starts_with("- ") || rest.trim_end() == "-")
        };
        if !starts(&first) {
            return Err(Unfit::Layout(format!("`{list}` is not written as a list of lines with dashes")));
        }
        let heads: Vec<usize> = content.iter().copied().filter(starts).collect();
        let ends = heads.iter().skip(1).copied().chain([to]);
        let items = heads
            .iter()
            .zip(ends)
            .map(|(&from, next)| {
                let last = (from..next).rev().find(|at| says(&self.0[*at])).unwrap_or(from);
                Region { from, to: last + 1 }
            })
            .collect();
        Ok(Some((column, items)))
    }

    fn item(&self, list: &str, name: &str) -> Result<Option<(usize, Region)>, Unfit> {
        let Some((column, items)) = self.items(list)? else { return Ok(None) };
        let named = |item: &&Region| {
            // One that cannot be read by itself refers to another place of the file: none of ours does.
            let alone: Option<Value> = yaml_serde::from_str(&self.0[item.from..item.to].join("\n")).ok();
            alone.is_some_and(|alone| alone[0]["name"] == *name)
        };
        Ok(items.iter().find(named).map(|item| (column, *item)))
    }

    fn strip(&mut self, list: &str, name: &str) -> Result<(), Unfit> {
        while let Some((_, Region { from, to })) = self.item(list, name)? {
            self.0.drain(from..to);
        }
        Ok(())
    }

    fn append(&mut self, list: &str, item: &Value) -> Result<(), Unfit> {
        let (column, at) = match self.items(list)? {
            Some((column, items)) => (column, items.last().map_or(0, |last| last.to)),
            None => (0, self.region(list).map_or(0, |region| region.to)),
        };
        self.0.splice(at..at, rendered(column, item)?);
        Ok(())
    }

    fn rewrite(&mut self, list: &str, name: &str, item: &Value) -> Result<(), Unfit> {
        if let Some((column, Region { from, to })) = self.item(list, name)? {
            self.0.splice(from..to, rendered(column, item)?);
        }
        Ok(())
    }
}

fn rendered(column: usize, item: &Value) -> Result<Vec<String>, Unfit> {
    let text =
        yaml_serde::to_string(&[item]).map_err(|_| Unfit::Layout("an entry cannot be written".to_owned()))?;
    Ok(text.lines().map(|line| format!("{:column$}{line}", "")).collect())
}

/// Whether a line says something: blank ones and comments do not.
fn says(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Whether a line begins something at the top of the document. The dashes of a list may stand there too, and begin nothing.
fn begins(line: &str) -> bool {
    says(line) && !line.starts_with([' ', '\t']) && (!line.starts_with('-') || line.starts_with("---"))
}

fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(':').filter(|_| begins(line))?;
    Some(key.trim_end().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests;
