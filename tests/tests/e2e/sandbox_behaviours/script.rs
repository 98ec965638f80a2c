//! Cases that are `kubectl` commands, as text: `kubectl/*.case`.
//!
//! ```text
//! file map.yaml              a file of every case below; its lines are indented by two
//!   kind: ConfigMap
//! case applied-maps-are-there
//! $ apply -f map.yaml        must succeed on the real server
//! > configmap/one created    which must say so
//! ! create configmap one     must fail on the real server
//! ? get pod web              is repeated, on each side, until it succeeds and says what follows
//! > Running
//! & get pods -w              is started and goes on,
//! lines 1                    which is waited for until it has written a line,
//! stop 3                     until it has written three lines; they are a result of the case
//! end                        or until it ends by itself
//! ```
//!
//! `@NS` is the case's namespace, for the names of what lies in none; `VAR=value` before a command sets its environment,
//! and `> file` behind it keeps its output in a file instead of comparing it.

use std::{path::Path, sync::Arc};

/// One case.
pub(super) struct Script {
    pub name: String,
    pub files: Arc<Vec<(String, String)>>,
    pub steps: Vec<Step>,
}

/// One line of a case that does something.
pub(super) struct Step {
    pub kind: Kind,
    /// The command as it is written.
    pub command: String,
    /// What the real server must say (or, of [`Kind::Until`], both).
    pub shows: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Succeeds,
    Fails,
    Until,
    Starts,
    /// The started command is waited for until it has written so many lines.
    Lines(usize),
    /// The started command is ended after so many lines.
    Stop(usize),
    /// The started command ends.
    End,
}

impl Script {
    /// Everything that the real server must say.
    pub(super) fn shows(&self) -> Vec<String> {
        let said = self.steps.iter().flat_map(|step| step.shows.clone());
        let ends = self.steps.iter().enumerate().filter_map(|(number, step)| match step.kind {
            Kind::Succeeds => Some(format!("[{number}] succeeds")),
            Kind::Fails => Some(format!("[{number}] fails")),
            _ => None,
        });
        said.chain(ends).collect()
    }
}

/// The cases of all files.
///
/// # Panics
/// When a file is not written as said above.
pub(super) fn all() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/sandbox_behaviours/kubectl");
    let entries = fs_err::read_dir(&folder).expect("the cases");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs_err::read_to_string(path).expect("cases");
        parse(&text).unwrap_or_else(|line| panic!("{}: what is {line:?}?", path.display()))
    };
    paths.iter().flat_map(read).collect()
}

fn parse(text: &str) -> Result<Vec<Script>, String> {
    let (mut files, mut cases) = (Vec::<(String, String)>::new(), Vec::<(String, Vec<Step>)>::new());
    for line in text.lines() {
        let bad = || line.to_owned();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(line) = line.strip_prefix("  ") {
            let (_, text) = files.last_mut().ok_or_else(bad)?;
            text.push_str(line);
            text.push('\n');
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match word {
            "file" => {
                files.push((rest.to_owned(), String::new()));
                continue;
            }
            "case" => {
                cases.push((rest.to_owned(), Vec::new()));
                continue;
            }
            ">" => {
                let step = cases.last_mut().and_then(|(_, steps)| steps.last_mut()).ok_or_else(bad)?;
                step.shows.push(rest.to_owned());
                continue;
            }
            "$" => Kind::Succeeds,
            "!" => Kind::Fails,
            "?" => Kind::Until,
            "&" => Kind::Starts,
            "lines" => Kind::Lines(rest.parse().map_err(|_| bad())?),
            "stop" => Kind::Stop(rest.parse().map_err(|_| bad())?),
            "end" => Kind::End,
            _ => return Err(bad()),
        };
        let (_, steps) = cases.last_mut().ok_or_else(bad)?;
        steps.push(Step { kind, command: rest.to_owned(), shows: Vec::new() });
    }
    if let Some((name, _)) = cases.iter().find(|(_, steps)| steps.iter().all(|step| step.shows.is_empty())) {
        return Err(format!("{name}, which shows nothing"));
    }
    let files = Arc::new(files);
    Ok(cases.into_iter().map(|(name, steps)| Script { name, files: files.clone(), steps }).collect())
}

#[test]
fn scripts_are_read() {
    let text = "file a.yaml\n  b: c\n# words\ncase one\n$ get pods\n> a\n! get x\n& get -w\nstop 2\n";
    let cases = parse(text).expect("a script");
    assert_eq!(*cases[0].files, [("a.yaml".to_owned(), "b: c\n".to_owned())]);
    let kinds: Vec<Kind> = cases[0].steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [Kind::Succeeds, Kind::Fails, Kind::Starts, Kind::Stop(2)]);
    assert_eq!(cases[0].shows(), ["a", "[0] succeeds", "[1] fails"]);
    for wrong in ["$ get pods\n", "case one\nget pods\n", "case one\n$ get pods\n", "  b: c\n"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
