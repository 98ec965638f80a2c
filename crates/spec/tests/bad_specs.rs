//! What people read when a spec is wrong: all findings at once, each with its place, a code and a way out.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

use platform_spec::{
    parse,
    report::{Finding, Severity},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bad-specs")
}

fn bad_specs() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the folder of bad specs");
    let mut out: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a readable file"))
        })
        .collect();
    out.sort();
    out
}

fn findings(name: &str, text: &str) -> Vec<Finding> {
    match parse(&format!("{name}.yaml"), text) {
        Ok(parsed) => panic!("{name} was accepted with {:#?}", parsed.findings),
        Err(findings) => findings,
    }
}

fn shown(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        writeln!(
            out,
            "{}:{}: {severity}[{}] {}",
            finding.line.unwrap_or_default(),
            finding.column.unwrap_or_default(),
            finding.code,
            finding.message
        )
        .expect("a string takes everything");
        for (word, text) in [("at", &finding.path), ("hint", &finding.hint)] {
            if let Some(text) = text {
                writeln!(out, "    {word}: {text}").expect("a string takes everything");
            }
        }
    }
    out
}

#[test]
fn every_bad_spec_says_all_that_is_wrong() {
    let all = bad_specs();
    assert!(all.len() >= 20, "only {} bad specs", all.len());
    for (name, text) in all {
        let findings = findings(&name, &text);
        insta::with_settings!({description => text.lines().next().unwrap_or_default(), omit_expression => true}, {
            insta::assert_snapshot!(name, shown(&findings));
        });
    }
}

#[test]
fn findings_are_sorted_by_place_and_have_a_hint_and_a_file() {
    for (name, text) in bad_specs() {
        let findings = findings(&name, &text);
        assert!(findings.is_sorted_by_key(|finding| (finding.line, finding.column)), "{name}");
        for finding in findings {
            assert!(finding.hint.is_some(), "{name}: {finding:?}");
            assert_eq!(finding.file.as_deref(), Some(format!("{name}.yaml").as_str()));
            assert!(finding.line.is_some_and(|line| line >= 1), "{name}: {finding:?}");
        }
    }
}

/// what was written where a handle belongs is never repeated.
#[test]
fn a_secret_is_never_repeated() {
    let (name, text) = bad_specs().into_iter().find(|(name, _)| name.starts_with("08-")).expect("08");
    let found = serde_json::to_string(&findings(&name, &text)).expect("json").to_lowercase();
    assert!(text.to_lowercase().contains("hunter2"), "the fixture lost its canary");
    assert!(!found.contains("hunter2"), "{found}");
}

/// G-07: the four names of the requirements are among the collisions, with how many tenants want each.
#[test]
fn the_naive_host_format_is_rejected_with_its_collisions() {
    let (name, text) = bad_specs().into_iter().find(|(name, _)| name.starts_with("23-")).expect("23");
    let found = findings(&name, &text);
    for (host, count) in [("app1-dev", 3), ("app1-stg", 3), ("app2-dev", 2), ("app2-stg", 2)] {
        let start = format!("{count} applications want the host `{host}.agent.opsera.io`");
        assert!(found.iter().any(|finding| finding.message.starts_with(&start)), "{start}: {found:#?}");
    }
}

/// Every code that a spec can cause is shown by a bad spec; P0027 is a mistake of the program itself, and P0030 is not given.
#[test]
fn every_code_is_shown_by_a_bad_spec() {
    let shown: BTreeSet<String> = bad_specs()
        .iter()
        .flat_map(|(name, text)| findings(name, text))
        .map(|finding| finding.code.to_string())
        .collect();
    let all: BTreeSet<String> =
        (1..=40).filter(|n| ![27, 30].contains(n)).map(|n| format!("P{n:04}")).collect();
    assert_eq!(shown, all);
}
