//! Which cases have another result on the sandbox, and why. The manual lists the same, in `docs/reference/sandbox.md`.

/// Names of cases, and the reasons. A case that is listed and does not differ is a failure.
pub(super) const DIFFERENT: &[(&str, &str)] = &[
    ("a-definition-has-a-schema", "definitions are judged by fewer rules"),
    ("a-definition-has-a-type-at-its-root", "definitions are judged by fewer rules"),
    ("a-definition-stores-one-version", "definitions are judged by fewer rules"),
    ("a-field-has-its-type", "the message names the field, not its place in a Go struct"),
    ("a-list-is-a-table", "columns have no descriptions"),
    ("a-patch-is-judged-strictly-when-asked", "the refusal does not repeat the whole object"),
    ("a-word-is-no-body", "what is no JSON is refused in the words of another parser"),
    ("an-object-is-a-table", "columns have no descriptions"),
    ("an-object-is-of-the-kind-it-is-sent-to", "an object of another kind is refused in other words"),
    ("columns-of-a-definition-are-a-table", "columns have no descriptions"),
    ("explained", "the published description does not name the values a field may have"),
    ("explained-with-all-below", "the published description does not name the values a field may have"),
    ("pods-keep-most-of-their-spec", "changes of a pod's spec are not refused"),
    ("resources-of-the-core-are-listed", "bindings and componentstatuses are not served"),
    ("rows-can-hold-nothing", "columns have no descriptions"),
    ("rows-can-hold-whole-objects", "columns have no descriptions"),
    ("rules-hold", "rules in CEL are not evaluated"),
    ("rules-of-one-object-hold", "rules in CEL are not evaluated"),
    ("version-is-told", "the server tells that it was not built with Go"),
    ("what-is-going-takes-no-new-finalizers", "the cause is told once, not twice"),
];

/// The heading of the list in the manual.
const HEADING: &str = "### Cases that differ";

#[test]
fn the_manual_lists_the_cases_that_differ() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/sandbox.md");
    let manual = fs_err::read_to_string(manual).expect("the manual");
    let (_, list) = manual.split_once(HEADING).expect("the manual has the heading");
    let list = list.split("\n#").next().unwrap_or_default();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let listed: Vec<(&str, &str)> =
        rows.map(|(name, why)| (name, why.trim().trim_end_matches('|').trim())).collect();
    assert_eq!(listed, DIFFERENT, "docs/reference/sandbox.md and the table here must agree");
    let cases = super::case::all();
    for (name, _) in DIFFERENT {
        assert!(cases.iter().any(|case| case.name == *name), "no case is named {name}");
    }
}
