//! Sets of fields, as managedFields hold them (`FieldsV1`).
//!
//! A set is a tree: a field may be in it while its parent is not, and the other way round. Source of the format: the API
//! reference of `FieldsV1`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::{Element, ElementError, Path};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// No node is empty: each is a member or has children.
    nodes: BTreeMap<Element, Node>,
}

/// A field and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Whether the field is in the set.
    pub(super) member: bool,
    /// What is in the set below it.
    pub(super) children: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl Set {
    /// A set without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of these fields.
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut set = Self::new();
        paths.into_iter().for_each(|path| set.insert(&path));
        set
    }

    /// Adds a field; not its parents. The object as a whole has no owner, so an empty path adds nothing.
    pub fn insert(&mut self, path: &Path) {
        self.insert_at(&path.0);
    }

    fn insert_at(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        match rest {
            [] => node.member = true,
            rest => node.children.insert_at(rest),
        }
    }

    /// Whether this field is in it.
    pub fn contains(&self, path: &Path) -> bool {
        match path.0.split_last() {
            None => false,
            Some((last, parents)) => {
                let parent = parents.iter().try_fold(self, |set, element| set.below(element));
                parent.is_some_and(|set| set.has(last))
            }
        }
    }

    /// Whether the field at this element of the top is in it.
    pub fn has(&self, element: &Element) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// What is in it below this element, without the element; nothing when there is nothing.
    pub fn below(&self, element: &Element) -> Option<&Self> {
        self.nodes.get(element).map(|node| &node.children).filter(|set| !set.is_empty())
    }

    /// Whether no field is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many fields are in it.
    pub fn len(&self) -> usize {
        self.nodes.values().map(|node| usize::from(node.member) + node.children.len()).sum()
    }

    /// The fields of either.
    pub fn union(&self, other: &Self) -> Self {
        let mut nodes = self.nodes.clone();
        for (element, node) in &other.nodes {
            let mine = nodes.entry(element.clone()).or_default();
            mine.member |= node.member;
            mine.children = mine.children.union(&node.children);
        }
        Self { nodes }
    }

    /// The fields of both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| {
            theirs.map_or_else(Node::default, |theirs| Node {
                member: mine.member && theirs.member,
                children: mine.children.intersection(&theirs.children),
            })
        })
    }

    /// The fields of this one that are not in the other. Children stay when only their parent is in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| {
            theirs.map_or_else(
                || mine.clone(),
                |theirs| Node {
                    member: mine.member && !theirs.member,
                    children: mine.children.difference(&theirs.children),
                },
            )
        })
    }

    /// The fields of this one that are not in the other and not below a field of the other.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| match theirs {
            None => mine.clone(),
            Some(theirs) if theirs.member => Node::default(),
            Some(theirs) => {
                Node { member: mine.member, children: mine.children.recursive_difference(&theirs.children) }
            }
        })
    }

    /// The fields that have no fields below them.
    pub fn leaves(&self) -> Self {
        self.zip(self, |mine, _| Node {
            member: mine.member && mine.children.is_empty(),
            children: mine.children.leaves(),
        })
    }

    fn zip(&self, other: &Self, what: impl Fn(&Node, Option<&Node>) -> Node) -> Self {
        let nodes = self.nodes.iter().map(|(element, node)| (element, what(node, other.nodes.get(element))));
        Self {
            nodes: nodes
                .filter(|(_, node)| !node.is_empty())
                .map(|(element, node)| (element.clone(), node))
                .collect(),
        }
    }

    /// The elements of the top.
    pub(super) fn top(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.nodes.iter()
    }

    /// Puts an element of the top in place.
    pub(super) fn put(&mut self, element: Element, member: bool, children: Self) {
        let node = Node { member, children };
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    /// All fields, those of a parent before those below them, as conflicts are listed.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::with_capacity(self.len());
        self.collect(&Path::default(), &mut out);
        out
    }

    fn collect(&self, prefix: &Path, out: &mut Vec<Path>) {
        out.extend(
            self.nodes
                .iter()
                .filter(|(_, node)| node.member)
                .map(|(element, _)| prefix.then(element.clone())),
        );
        for (element, node) in &self.nodes {
            node.children.collect(&prefix.then(element.clone()), out);
        }
    }

    /// Reads `{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`. Elements of a kind that is unknown are left out.
    pub fn from_json(json: &Value) -> Result<Self, ElementError> {
        let mut set = Self::new();
        for (text, below) in json.as_object().into_iter().flatten().filter(|(text, _)| *text != ".") {
            if let Some(element) = Element::parse(text)? {
                let children = Self::from_json(below)?;
                let member = children.is_empty() || below.get(".").is_some();
                set.put(element, member, children);
            }
        }
        Ok(set)
    }

    /// Writes what [`Set::from_json`] reads; elements are sorted: fields, keys, values, indices.
    pub fn to_json(&self) -> Value {
        Value::Object(
            self.nodes
                .iter()
                .map(|(element, node)| {
                    let below = node.children.to_json();
                    let own = (node.member && !node.children.is_empty())
                        .then(|| (".".to_owned(), Value::Object(serde_json::Map::new())));
                    let below = own.into_iter().chain(below.as_object().cloned().into_iter().flatten());
                    (element.text(), Value::Object(below.collect()))
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(json: Value) -> Set {
        Set::from_json(&json).expect("a set")
    }

    #[test]
    fn paths_are_printed_as_conflicts_print_them() {
        let set = set(json!({"f:spec": {
            "f:replicas": {},
            "f:ports": {r#"k:{"protocol":"TCP","containerPort":80}"#: {".": {}, "f:name": {}}},
            "f:finalizers": {r#"v:"a/b""#: {}},
            "f:x": {"i:3": {}},
        }}));
        let paths: Vec<_> = set.paths().iter().map(ToString::to_string).collect();
        assert_eq!(
            paths,
            [
                ".spec.replicas",
                r#".spec.finalizers[="a/b"]"#,
                r#".spec.ports[containerPort=80,protocol="TCP"]"#,
                r#".spec.ports[containerPort=80,protocol="TCP"].name"#,
                ".spec.x[3]",
            ]
        );
    }

    #[test]
    fn differences() {
        let all = set(json!({"f:a": {".": {}, "f:b": {".": {}, "f:c": {}}}}));
        let b = set(json!({"f:a": {"f:b": {}}}));
        assert_eq!(all.difference(&b), set(json!({"f:a": {".": {}, "f:b": {"f:c": {}}}})));
        assert_eq!(all.recursive_difference(&b), set(json!({"f:a": {}})));
        assert_eq!(all.leaves(), set(json!({"f:a": {"f:b": {"f:c": {}}}})));
        assert_eq!(all.intersection(&b), b);
        assert!(b.difference(&all).is_empty());
    }

    #[test]
    fn keys_are_canonical_and_unknown_elements_are_left_out() {
        let set = set(json!({r#"k:{"b":1.0,"a":"<"}"#: {}, "q:later": {}, "f:z": {"q:later": {}}}));
        assert_eq!(
            serde_json::to_string(&set.to_json()).expect("text"),
            r#"{"f:z":{},"k:{\"a\":\"\\u003c\",\"b\":1}":{}}"#
        );
    }

    #[test]
    fn unreadable_elements_are_refused() {
        assert_eq!(Set::from_json(&json!({"f": {}})), Err(ElementError::Short));
        assert_eq!(Set::from_json(&json!({"fx:": {}})), Err(ElementError::NoColon("fx:".into())));
        assert!(matches!(Set::from_json(&json!({"k:{": {}})), Err(ElementError::Content(_))));
    }

    fn element() -> impl Strategy<Value = Element> {
        prop_oneof![
            "[a-z.]{1,3}".prop_map(Element::Field),
            ("[a-c]", 0..3i64, "[a<\"]{0,2}").prop_map(|(name, port, text)| Element::key([
                (name, json!(port)),
                ("z".into(), json!(text))
            ])),
            prop_oneof![Just(json!("x")), Just(json!(1)), Just(json!(true))].prop_map(Element::Value),
            (-2..3i64).prop_map(Element::Index),
        ]
    }

    prop_compose! {
        fn sets()(paths in prop::collection::vec(prop::collection::vec(element(), 1..4), 0..12)) -> Set {
            Set::of(paths.into_iter().map(Path))
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(set in sets()) {
            let text = serde_json::to_string(&set.to_json()).expect("text");
            let read = Set::from_json(&serde_json::from_str(&text).expect("JSON")).expect("a set");
            prop_assert_eq!(&read, &set);
            prop_assert_eq!(Set::of(set.paths()), set);
        }

        #[test]
        fn sets_are_sets(a in sets(), b in sets()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert!(a.difference(&a).is_empty());
            for path in a.union(&b).paths() {
                prop_assert_eq!(a.difference(&b).contains(&path), a.contains(&path) && !b.contains(&path));
            }
            prop_assert_eq!(a.len(), a.paths().len());
        }
    }
}
