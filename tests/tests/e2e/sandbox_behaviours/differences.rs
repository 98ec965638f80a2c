//! Which cases have another result on the sandbox, and why. The manual lists the same, in `docs/reference/sandbox.md`.

/// Names of cases, and the reasons. A case that is listed and does not differ is a failure.
pub(super) const DIFFERENT: &[(&str, &str)] = &[
    ("pods-keep-most-of-their-spec", "the refusal does not show the change of the pod as Go writes it"),
    ("rules-hold", "rules in CEL are not evaluated"),
    ("rules-of-one-object-hold", "rules in CEL are not evaluated"),
    ("version-is-told", "the server tells that it was not built with Go"),
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
