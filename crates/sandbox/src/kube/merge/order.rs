//! The order of lists that strategic merge patches merge.

use serde_json::Value;

use super::{patch::PatchError, value::go};

/// By what items of a list are told apart.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// By themselves.
    Value,
    /// By this field.
    Key(&'a str),
}

impl By<'_> {
    fn of(self, item: &Value) -> Option<&Value> {
        match self {
            Self::Value => Some(item),
            Self::Key(key) => item.get(key),
        }
    }

    fn place(self, list: &[Value], item: &Value) -> Option<usize> {
        let own = self.of(item)?;
        list.iter().position(|other| self.of(other) == Some(own))
    }

    /// The items that `listed` has, and the others.
    pub(super) fn split(
        self,
        items: Vec<Value>,
        listed: &[Value],
    ) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
        if let (Self::Key(key), Some(item)) = (self, items.iter().find(|item| self.of(item).is_none())) {
            return Err(no_key(item, key));
        }
        Ok(items.into_iter().partition(|item| self.place(listed, item).is_some()))
    }

    /// Puts `listed` in the order of `wanted`, `others` in the order of `live`, and the others between the listed ones
    /// where the live list has them, as far as that can be.
    pub(super) fn arrange(
        self,
        mut listed: Vec<Value>,
        mut others: Vec<Value>,
        wanted: &[Value],
        live: &[Value],
    ) -> Result<Vec<Value>, PatchError> {
        if let Self::Key(key) = self {
            let mut all = listed.iter().chain(&others).chain(wanted).chain(live);
            if let Some(item) = all.find(|item| self.of(item).is_none()) {
                return Err(no_key(item, key));
            }
        }
        let sort = |items: &mut Vec<Value>, order: &[Value]| {
            items.sort_by_key(|item| self.place(order, item).unwrap_or(usize::MAX));
        };
        sort(&mut listed, wanted);
        sort(&mut others, live);
        let (mut listed, mut others) = (listed.into_iter().peekable(), others.into_iter().peekable());
        let mut out = Vec::new();
        while let (Some(other), Some(next)) = (others.peek(), listed.peek()) {
            let before =
                matches!((self.place(live, other), self.place(live, next)), (Some(a), Some(b)) if a < b);
            out.extend(if before { others.next() } else { listed.next() });
        }
        out.extend(listed.chain(others));
        Ok(out)
    }
}

/// Refuses a list whose items come in another order than `wanted`, or are not in it.
pub(super) fn agrees(items: &[Value], wanted: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if items.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let by = key.map_or(By::Value, By::Key);
    let mut rest = items.iter().filter(|item| key.is_none() || item.get("$patch").is_none()).peekable();
    for place in wanted {
        let Some(next) = rest.peek() else { break };
        if let Some(key) = key
            && let Some(item) = [*next, place].into_iter().find(|item| by.of(item).is_none())
        {
            return Err(no_key(item, key));
        }
        if by.of(next) == by.of(place) {
            rest.next();
        }
    }
    if rest.peek().is_some() {
        let print = |list: &[Value]| go(&Value::Array(list.to_vec()));
        return Err(PatchError::Internal(format!(
            "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
            print(items),
            print(wanted)
        )));
    }
    Ok(())
}

/// The values, each once; the last one takes the place of one that is dropped, as the real server has it.
pub(super) fn once(mut items: Vec<Value>) -> Vec<Value> {
    let mut at = 0;
    while at < items.len() {
        let mut other = at + 1;
        while other < items.len() {
            if items[at] == items[other] {
                items.swap_remove(other);
            } else {
                other += 1;
            }
        }
        at += 1;
    }
    items
}

/// An item lacks the field by which its list is merged.
pub(super) fn no_key(item: &Value, key: &str) -> PatchError {
    PatchError::Internal(format!("map: {} does not contain declared merge key: {key}", go(item)))
}
