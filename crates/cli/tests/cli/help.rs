//! The help of every verb, as a reviewer should read it.

use crate::bed::Bed;

/// The words under `Commands:`.
fn verbs(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// A verb's help without the options that all verbs have.
fn own_part(help: &str) -> String {
    let (before, after) = help.split_once("Common options:").expect("every verb has the common options");
    let examples = after.find("\nExamples:").map_or("", |at| &after[at..]);
    format!("{before}{examples}")
}

#[test]
fn the_program() {
    insta::assert_snapshot!(Bed::new().run(&["--help"]).stdout);
}

#[test]
fn every_verb_teaches_with_examples() {
    let bed = Bed::new();
    let verbs = verbs(&bed.run(&["--help"]).stdout);
    assert!(verbs.len() > 2, "no verbs found");
    for verb in verbs {
        let said = bed.run(&[&verb, "--help"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{verb}");
        assert!(said.stdout.contains("Examples:\n"), "{verb} has no examples");
        insta::assert_snapshot!(verb, own_part(&said.stdout));
    }
}

#[test]
fn help_goes_to_stdout_and_needs_no_home() {
    let bed = Bed::new();
    let said = bed.said(bed.command(&["--version"]).env_remove("HOME").output().expect("starts"));
    assert_eq!((said.code, said.stdout.starts_with("platform ")), (0, true));
}
