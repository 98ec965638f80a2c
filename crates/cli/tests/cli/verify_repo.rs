//! `platform verify repo DIR`: what is said, where, and how it exits.

use std::path::Path;

use crate::bed::Bed;

fn tree(name: &str) -> String {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/trees");
    trees.join(name).to_string_lossy().into_owned()
}

#[test]
fn every_rule_that_is_broken_is_named_with_code_file_and_line() {
    let bed = Bed::new();
    let rules = fs_err::read_dir(tree("")).expect("trees");
    for rule in rules.map(|entry| entry.expect("readable").file_name().into_string().expect("a name")) {
        let said = bed.run(&["verify", "repo", &tree(&format!("{rule}/broken")), "--output", "json"]);
        assert_eq!((said.code, said.stderr.as_str()), (1, ""), "{rule}");
        let report = said.json();
        assert_eq!((&report["schema"], &report["passed"]), (&"platform.repo/v1".into(), &false.into()));
        let findings = report["findings"].as_array().expect("findings");
        assert!(!findings.is_empty());
        for found in findings {
            assert_eq!(
                (&found["rule"], &found["severity"]),
                (&rule.as_str().into(), &"error".into()),
                "{found}"
            );
            assert!(found["file"].is_string() && found["line"].as_u64() >= Some(1), "{found}");
            let code = found["code"].as_str().expect("a code");
            assert_eq!(bed.run(&["explain", code]).code, 0, "{code} has a page");
        }
        let kept = bed.run(&["verify", "repo", &tree(&format!("{rule}/kept"))]);
        assert_eq!((kept.code, kept.stderr.as_str()), (0, ""), "{rule}: {kept:?}");
    }
}

#[test]
fn people_read_the_place_and_never_the_secret() {
    let said = Bed::new().run(&["verify", "repo", &tree("X-08/broken")]);
    assert_eq!(said.code, 1);
    assert!(
        said.stdout.contains("error[P0606]: X-08: a literal credential\n  --> charts/db/values.yaml:2\n"),
        "{said:?}"
    );
    assert!(
        said.stdout.contains("not judged, or not in full:\n  charts/db/templates/config.yaml: "),
        "{said:?}"
    );
    assert!(said.stdout.contains("\n5 errors, 0 warnings, 0 accepted, "), "{said:?}");
    assert!(!said.story().contains("hunter2"), "{said:?}");
}

#[test]
fn what_is_accepted_is_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = "image: x:latest # platform:accept G-14 until 2999-12-31: nobody else has it\n";
    fs_err::write(folder.path().join("values.yaml"), values).expect("written");
    let said = Bed::new().run(&["verify", "repo", &folder.path().to_string_lossy()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("accepted:\n  values.yaml:1: G-14: "), "{said:?}");
    assert!(said.stdout.contains("    until 2999-12-31: nobody else has it\n"), "{said:?}");
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let said = Bed::new().run(&["verify", "repo", "nowhere", "--output", "json"]);
    assert_eq!(said.code, 2);
    assert_eq!(said.json()["error"]["code"], "P0318");
    assert_eq!(Bed::new().run(&["verify", "repo"]).code, 2);
}
