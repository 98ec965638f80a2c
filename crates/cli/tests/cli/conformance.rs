//! Examining a provider: the sandbox in this process, and small plugins that are not as they should be.

use std::os::unix::fs::PermissionsExt as _;

use crate::bed::Bed;

/// A plugin in shell: it greets, describes itself, and answers everything else with `answer`.
fn plugin(bed: &Bed, answer: &str) -> String {
    let text = r#"#!/bin/sh
read -r hello; cookie=$(printf %s "$hello" | sed 's/.*"cookie":"\([^"]*\)".*/\1/')
printf '{"welcome":{"contract":1,"cookie":"%s","kind":"acme","version":"0.3.0"}}\n' "$cookie"
while read -r line; do
  id=$(printf %s "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case $line in
    *'"cancel"'*) ;;
    *'"method":"describe"'*)
      printf '{"id":%s,"ok":{"kind":"acme","summary":"for a test","version":"0.3.0","capabilities":{"makes_clusters":true}}}\n' "$id" ;;
    *) printf '{"id":%s,ANSWER}\n' "$id" ;;
  esac
done
"#;
    let program = bed.write("acme", &text.replace("ANSWER", answer));
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("the bed is ours");
    "./acme".to_owned()
}

/// Without the times, which are never the same.
fn timeless(page: &str) -> String {
    let digits = |cell: &str| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let is_check = cells.len() == 5 && cells[0].starts_with("| L") && digits(cells[3]);
        let is_check = is_check && !digits(cells[2]);
        let cells =
            cells.iter().enumerate().map(|(at, cell)| if is_check && at == 3 { "[ms]" } else { cell });
        cells.collect::<Vec<_>>().join(" | ")
    };
    page.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sandbox_passes_and_the_report_is_the_result() {
    let bed = Bed::new();
    let said =
        bed.run(&["conformance", "--provider", "sandbox", "--report", "reports/today", "--output", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    assert_eq!(report["schema"], "platform.conformance/v1");
    assert_eq!((report["provider"].as_str(), report["passed"].as_bool()), (Some("sandbox"), Some(true)));
    let levels: Vec<_> = report["levels"].as_array().expect("levels").iter().map(|it| &it["level"]).collect();
    assert_eq!(levels, ["L1", "L2", "L3", "L4", "L5"]);
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["verdict"] == "passed"), "{report:#}");
    assert_eq!(said.stderr.matches("passed").count(), checks.len(), "{said:?}");

    let written = fs_err::read_to_string(bed.path().join("reports/today/conformance.json")).expect("written");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), report);
    let page = fs_err::read_to_string(bed.path().join("reports/today/conformance.md")).expect("written");
    insta::assert_snapshot!("conformance_of_the_sandbox", timeless(&page));
    assert!(!bed.path().join(".local").exists(), "nothing is recorded");
}

#[test]
fn levels_are_chosen() {
    let bed = Bed::new();
    let said = bed.run(&["conformance", "--level", "l5,L3", "--quiet"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(said.stdout.contains("| L3 | ") && said.stdout.contains("| L5 | "), "{said:?}");
    assert!(!said.stdout.contains("| L1 | "), "{said:?}");
    let said = bed.run(&["conformance", "--level", "L6"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("there are L1 to L5"), "{said:?}");
}

#[test]
fn what_would_make_clusters_is_not_done_unasked() {
    let bed = Bed::new();
    let acme = plugin(&bed, r#""ok":null"#);
    for words in [&["--provider", &acme][..], &["--provider", "existing"]] {
        let said = bed.run(&[&["conformance", "--output", "json"], words].concat());
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0903")), "{said:?}");
    }
    let said = bed.run(&["conformance", "--provider", "sandbox", "--output", "json", "--", "word"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0901")), "{said:?}");
}

#[test]
fn a_plugin_that_refuses_everything_fails_in_the_plugins_own_words() {
    let bed = Bed::new();
    let refusal = r#""failure":{"code":"P0203","class":"forbidden","message":"not today","causes":["closed on Mondays"]}"#;
    let acme = plugin(&bed, refusal);
    let said = bed.run(&["conformance", "--provider", &acme, "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.starts_with("# Conformance of provider `acme` 0.3.0\n"), "{said:?}");
    assert!(said.stdout.contains("**something failed**"), "{said:?}");
    assert!(
        said.stderr
            .contains("L1 FAILED  graph is sound: not today [P0203 forbidden] because closed on Mondays"),
        "{said:?}"
    );
    let left = "L1 FAILED  describes itself: what may be left behind it could not be removed: not today";
    assert!(said.stderr.contains(left), "{said:?}");
    assert!(said.stderr.contains("L4 skipped refusals are classified"), "{said:?}");
}

#[test]
fn what_is_no_plugin_is_said_so() {
    let bed = Bed::new();
    let said = bed.run(&["conformance", "--provider", "/bin/cat", "--yes", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("P0204")), "{said:?}");
    let said = bed.run(&["conformance", "--provider", "./nobody", "--yes", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("P0204")), "{said:?}");
    let said = bed.run(&["conformance", "--provider", "moon", "--yes", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0710")), "{said:?}");
}

/// The spec says where; a spec without a cluster of the plugin's kind says nothing.
#[test]
fn a_plugin_is_examined_on_the_cluster_of_its_kind() {
    let bed = Bed::new();
    let acme = plugin(&bed, r#""ok":null"#);
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let words = ["conformance", "--provider", &acme, "--yes", "-f", "platform.yaml", "--output", "json"];
    let said = bed.run(&words);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0911")), "{said:?}");
}

/// A plugin says what its section may hold, and is asked for nothing with a wrong one; an older one that says nothing is asked as before.
#[test]
fn the_section_of_a_plugin_is_checked_by_its_own_schema() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let text = fs_err::read_to_string(bed.path().join("platform.yaml")).expect("init wrote it");
    let text = text
        .replace("kind: existing ", "kind: acme ")
        .replace("kubeconfigRef: file:~/.kube/config", "regoin: a");
    bed.write("platform.yaml", &text);
    let program = plugin(&bed, r#""ok":null"#);
    let words = [
        "conformance",
        "--provider",
        &program,
        "--file",
        "platform.yaml",
        "--yes",
        "--level",
        "L5",
        "--output",
        "json",
    ];
    let older = bed.run(&words);
    assert_ne!(older.code, 2, "{older:?}");
    let said = fs_err::read_to_string(bed.path().join("acme")).expect("it is there");
    let schema = r#""config_schema":{"type":"object","additionalProperties":false,"properties":{"region":{"type":"string"}}},"capabilities""#;
    bed.write("acme", &said.replace(r#""capabilities""#, schema));
    let checked = bed.run(&words);
    let refusal = checked.json();
    assert_eq!((checked.code, &refusal["error"]["code"]), (2, &"P0003".into()), "{refusal:#}");
    let found = refusal["findings"].as_array().into_iter().flatten().find(|it| it["code"] == "P0003");
    assert!(
        found.is_some_and(|it| it["hint"] == "did you mean `region`?" && it["line"].is_u64()),
        "{refusal:#}"
    );
}
