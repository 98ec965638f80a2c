//! The line that a value stands in. Asked only for what is found, so that trees without findings cost nothing.

use granit_parser::{Event, Parser, StrInput};
use yaml_serde::Value;

/// One step from a value to one inside it.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The line, from 1, of a value of one of a file's documents; that of the nearest thing around it where it has none of its
/// own; 1 when it is no part of them.
pub(super) fn line(text: &str, documents: &[Value], value: &Value) -> u64 {
    for (number, document) in documents.iter().enumerate() {
        let mut trail = Vec::new();
        if seek(document, value, &mut trail) {
            return walk(text, number, &trail).unwrap_or(1);
        }
    }
    1
}

/// The way from a value to one inside it, which is the same one and not one like it.
fn seek(from: &Value, target: &Value, trail: &mut Vec<Step>) -> bool {
    if std::ptr::eq(from, target) {
        return true;
    }
    let mut deeper = |step: Step, value: &Value| {
        trail.push(step);
        let found = seek(value, target, trail);
        if !found {
            trail.pop();
        }
        found
    };
    match from {
        Value::Mapping(map) => map.iter().any(|(key, value)| match key.as_str() {
            Some(key) => deeper(Step::Key(key.to_owned()), value),
            None => false,
        }),
        Value::Sequence(list) => {
            list.iter().enumerate().any(|(number, value)| deeper(Step::Index(number), value))
        }
        Value::Tagged(tagged) => seek(&tagged.value, target, trail),
        _ => false,
    }
}

fn walk(text: &str, document: usize, trail: &[Step]) -> Option<u64> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! { emit_comments: false };
    let mut events = Events { parser: Parser::new_from_str_with_options(text, options) };
    let mut number = 0;
    loop {
        let (event, _) = events.next()?;
        match event {
            Event::StreamEnd => return None,
            Event::DocumentStart(..) => {
                let (event, line) = events.next()?;
                // Empty documents are not among those that rules see.
                if matches!(&event, Event::Scalar(text, ..) if ["", "~", "null"].contains(&text.as_ref())) {
                    continue;
                }
                if number == document {
                    return events.find(&event, line, trail);
                }
                number += 1;
                events.skip(&event)?;
            }
            _ => {}
        }
    }
}

struct Events<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Option<(Event<'a>, u64)> {
        let (event, span) = self.parser.next()?.ok()?;
        Some((event, span.start.line() as u64))
    }

    /// Goes past the rest of a value that has begun.
    fn skip(&mut self, begun: &Event<'a>) -> Option<()> {
        let mut open = usize::from(begins(begun));
        while open > 0 {
            let (event, _) = self.next()?;
            open += usize::from(begins(&event));
            open -= usize::from(matches!(event, Event::MappingEnd | Event::SequenceEnd));
        }
        Some(())
    }

    fn find(&mut self, begun: &Event<'a>, line: u64, trail: &[Step]) -> Option<u64> {
        let Some((step, rest)) = trail.split_first() else { return Some(line) };
        match (begun, step) {
            (Event::MappingStart(..), Step::Key(wanted)) => loop {
                let (key, at) = self.next()?;
                if matches!(key, Event::MappingEnd) {
                    return Some(line);
                }
                let hit = matches!(&key, Event::Scalar(text, ..) if text.as_ref() == wanted);
                self.skip(&key)?;
                let (value, _) = self.next()?;
                match hit {
                    true => return self.find(&value, at, rest),
                    false => self.skip(&value)?,
                }
            },
            (Event::SequenceStart(..), Step::Index(wanted)) => {
                for _ in 0..*wanted {
                    let (item, _) = self.next()?;
                    self.skip(&item)?;
                }
                let (item, at) = self.next()?;
                self.find(&item, at, rest)
            }
            // An alias: what it stands for was written elsewhere.
            _ => Some(line),
        }
    }
}

fn begins(event: &Event<'_>) -> bool {
    matches!(event, Event::MappingStart(..) | Event::SequenceStart(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_their_lines() {
        let text = "---\n---\na: 1\n---\nkind: X\nspec:\n  ? [1, 2]\n  : z\n  list:\n    - one: 1\n      two: &two\n        - x\n        - y\n  more: {k: v}\n  again: *two\n";
        let documents = crate::yaml::documents(text).expect("valid");
        let spec = &documents[1]["spec"];
        for (value, at) in [
            (&documents[0]["a"], 3),
            (&documents[1], 5),
            (spec, 6),
            (&spec["list"][0]["one"], 10),
            (&spec["list"][0]["two"][1], 13),
            (&spec["more"]["k"], 14),
            (&spec["again"], 15),
            (&spec["again"][1], 15),
            (&spec["nothing"], 1),
        ] {
            assert_eq!(line(text, &documents, value), at, "{value:?}");
        }
    }
}
