//! YAML text as a tree that remembers where everything is.

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{Issue, code};

/// How many nodes a file may have, and how deep they may be nested. A spec of 200 tenants on 50 clusters stays far
/// below; beyond it somebody is making a stack or a disk full.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// A place in the file; line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub line: u64,
    pub column: u64,
}

impl From<Span> for Position {
    fn from(span: Span) -> Self {
        Self { line: span.start.line() as u64, column: span.start.col() as u64 + 1 }
    }
}

/// A value in the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: Position,
    pub kind: Kind,
}

/// What a value is, before any meaning.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A text; `plain` when it was written without quotes, and so may be meant as a number or a truth value.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A map without duplicate keys, in the file's order.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

/// A whole file.
#[derive(Debug)]
pub(crate) struct Tree {
    pub root: Node,
}

impl Tree {
    /// Reads a text with exactly one document. What can be read around a mistake is read; a syntax error ends it.
    pub(crate) fn read(text: &str) -> (Option<Self>, Vec<Issue>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = granit_parser::options! { emit_comments: false };
        let mut reader = Reader {
            events: Parser::new_from_str_with_options(text, options),
            issues: Vec::new(),
            nodes: 0,
            path: Vec::new(),
        };
        let root = reader.document();
        (root.map(|root| Self { root }), reader.issues)
    }

    /// The place of a path such as `spec.clusters[0].name`, or of the nearest thing around it.
    pub(crate) fn locate(&self, path: &str) -> Position {
        self.nearest(path).0.at
    }

    /// What stands at a path.
    pub(crate) fn at(&self, path: &str) -> Option<&Node> {
        let (node, rest) = self.nearest(path);
        rest.is_empty().then_some(node)
    }

    /// What stands nearest to a path, and how much of the path is left there.
    fn nearest<'p>(&self, path: &'p str) -> (&Node, &'p str) {
        let mut node = &self.root;
        let mut rest = path;
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let next = match &node.kind {
                Kind::Map(entries) => entries.iter().find_map(|entry| {
                    let after = rest.strip_prefix(entry.key.as_str())?;
                    (after.is_empty() || after.starts_with(['.', '['])).then_some((&entry.value, after))
                }),
                Kind::List(items) => rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .and_then(|(index, after)| Some((items.get(index.parse::<usize>().ok()?)?, after))),
                Kind::Scalar { .. } => None,
            };
            match next {
                Some((child, after)) => (node, rest) = (child, after),
                None => return (node, rest),
            }
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    issues: Vec<Issue>,
    nodes: usize,
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Position)> {
        match self.events.next()? {
            Ok((event, span)) => Some((event, span.into())),
            Err(error) => {
                let marker = error.marker();
                let at = Position { line: marker.line() as u64, column: marker.col() as u64 + 1 };
                self.issues.push(
                    Issue::error(code::SYNTAX, "", format!("not valid YAML: {}", error.info()))
                        .hint("look at the indentation, quotes and brackets just before this place")
                        .at(at),
                );
                None
            }
        }
    }

    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    self.issues.push(
                        Issue::error(code::SYNTAX, "", "the file has a second document")
                            .hint("keep one platform in one file; remove everything from this `---` on")
                            .at(at),
                    );
                    break;
                }
                Event::DocumentStart(..) => {
                    let (event, at) = self.next()?;
                    root = Some(self.node(event, at)?);
                }
                _ => {}
            }
        }
        if root.is_none() {
            self.issues.push(
                Issue::error(code::SYNTAX, "", "the file is empty")
                    .hint("`platform init` writes one to begin with")
                    .at(Position { line: 1, column: 1 }),
            );
        }
        root
    }

    fn node(&mut self, event: Event<'a>, at: Position) -> Option<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || self.path.len() > MAX_DEPTH {
            self.issues.push(
                Issue::error(code::SYNTAX, self.path.concat(), "the file is nested too deep or too large")
                    .hint(format!("at most {MAX_DEPTH} levels and {MAX_NODES} values"))
                    .at(at),
            );
            return None;
        }
        if let Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(_, anchor, tag)
        | Event::MappingStart(_, anchor, tag) = &event
            && (*anchor != 0 || tag.is_some())
        {
            self.foreign(at, if tag.is_some() { "a tag (`!…`)" } else { "an anchor (`&…`)" });
        }
        let kind = match event {
            Event::Scalar(text, style, ..) => {
                Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Kind::List(self.list()?),
            Event::MappingStart(..) => Kind::Map(self.map()?),
            _ => {
                self.foreign(at, "an alias (`*…`)");
                Kind::Scalar { text: String::new(), plain: false }
            }
        };
        Some(Node { at, kind })
    }

    fn foreign(&mut self, at: Position, what: &str) {
        self.issues.push(
            Issue::error(
                code::SYNTAX,
                self.path.concat().trim_start_matches('.'),
                format!("{what} is not allowed here"),
            )
            .hint("write the value out; the file is read without anchors, aliases and tags")
            .at(at),
        );
    }

    fn list(&mut self) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Some(items);
            }
            self.path.push(format!("[{}]", items.len()));
            items.push(self.node(event, at)?);
            self.path.pop();
        }
    }

    fn map(&mut self) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Some(entries),
                Event::Scalar(text, ..) => Some(text.into_owned()),
                other => {
                    self.node(other, at)?;
                    self.issues.push(
                        Issue::error(
                            code::WRONG_TYPE,
                            self.path.concat().trim_start_matches('.'),
                            "a key must be a text",
                        )
                        .hint("write `KEY: VALUE` with a plain word as the key")
                        .at(at),
                    );
                    None
                }
            };
            let name = key.clone().unwrap_or_default();
            self.path.push(format!(".{name}"));
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at)?;
            let path = self.path.concat();
            self.path.pop();
            let Some(key) = key else { continue };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                self.issues.push(
                    Issue::error(
                        code::TWICE_KEY,
                        path.trim_start_matches('.'),
                        format!("the key `{key}` is there twice"),
                    )
                    .hint(format!("the first is in line {}; keep one of them", first.at.line))
                    .at(at),
                );
                continue;
            }
            entries.push(Entry { key, at, value });
        }
    }
}
