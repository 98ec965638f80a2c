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
    for verb in verbs.into_iter().filter(|verb| verb != "help") {
        let said = bed.run(&[&verb, "--help"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{verb}");
        assert!(said.stdout.contains("Examples:\n"), "{verb} has no examples");
        insta::assert_snapshot!(verb, own_part(&said.stdout));
    }
}

#[test]
fn help_is_a_word_too() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["help"]).stdout, bed.run(&["--help"]).stdout);
    assert_eq!(bed.run(&["help", "up"]).stdout, bed.run(&["up", "--help"]).stdout);
}

/// Every verb takes every common flag; it shows those that mean something to it.
#[test]
fn a_flag_without_meaning_is_taken_and_not_shown() {
    let bed = Bed::new();
    let flags = ["--cluster", "--provider", "--yes", "--max-parallel", "--state", "--file"];
    for verb in ["schema", "man", "explain", "completions", "providers"] {
        let help = bed.run(&[verb, "--help"]).stdout;
        for flag in flags {
            assert!(!help.contains(flag), "{verb} shows {flag}");
        }
        assert!(help.contains("--output"), "{help}");
    }
    let help = bed.run(&["up", "--help"]).stdout;
    assert!(
        help.contains("--cluster") && help.contains("--max-parallel") && !help.contains("--yes"),
        "{help}"
    );
    assert!(bed.run(&["run", "show", "--help"]).stdout.contains("--state"));
    assert!(!bed.run(&["run", "show", "--help"]).stdout.contains("--cluster"));
    for words in [
        &["explain", "P0101", "--yes", "--cluster", "a", "--max-parallel", "2", "-f", "x"][..],
        &["--provider", "x", "--state", "s", "schema"],
        &["run", "show", "01", "--yes"],
    ] {
        let said = bed.run(words);
        assert!(!said.stderr.contains("P0901"), "{words:?}: {said:?}");
    }
}

#[test]
fn help_goes_to_stdout_and_needs_no_home() {
    let bed = Bed::new();
    let said = bed.said(bed.command(&["--version"]).env_remove("HOME").output().expect("starts"));
    assert_eq!((said.code, said.stdout.starts_with("platform ")), (0, true));
}
