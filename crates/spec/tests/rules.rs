//! Single rules, seen from a spec that is right but for one thing.

use std::path::PathBuf;

use platform_spec::{
    parse,
    report::{Finding, Severity},
};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/specs").join(name);
    std::fs::read_to_string(path).expect("a readable fixture")
}

/// The text with one thing changed.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the fixture lost `{from}`");
    text.replace(from, to)
}

fn errors(text: &str) -> Vec<(String, String)> {
    let findings = parse("platform.yaml", text).expect_err("one thing is wrong");
    findings.into_iter().map(|finding| (finding.code.to_string(), finding.path.unwrap_or_default())).collect()
}

fn warnings(text: &str) -> Vec<Finding> {
    parse("platform.yaml", text).expect("nothing is wrong").findings
}

fn starter() -> String {
    platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is one")
}

/// G-20.
#[test]
fn a_daily_backup_cannot_promise_a_quarter_of_an_hour() {
    let s2 = fixture("s2-agent-ready-k8s.yaml");
    let old = r#"rpo: 1440m, waiver: "no RPO-bound PVC outside postgresql""#;
    assert_eq!(
        errors(&changed(&s2, old, "rpo: 15m")),
        [("P0018".to_owned(), "spec.backup.objectives[2].rpo".to_owned())]
    );
    warnings(&changed(&s2, old, r#"rpo: 15m, waiver: "accepted""#));
}

/// A dump hook alone cannot promise five minutes (A-15).
#[test]
fn a_database_needs_its_log_archived() {
    let s0 = fixture("s0-enterprise.yaml");
    assert_eq!(
        errors(&changed(&s0, "pitr: true, walArchiveMax: 5m, ", "")),
        [("P0018".to_owned(), "spec.backup.objectives[0].rpo".to_owned())]
    );
}

/// S0-50.
#[test]
fn a_hospital_stays_in_its_country() {
    let s0 = fixture("s0-enterprise.yaml");
    let moved = changed(&s0, "cells: [hospital-001], ", "cells: [hospital-001, eu-central], ");
    assert_eq!(errors(&moved), [("P0022".to_owned(), "spec.tenancy.tenants[3].cells[1]".to_owned())]);
}

/// A-12: a loopback URL is wrong on clusters that we make, and a warning where the cluster may be this very machine.
#[test]
fn a_loopback_git_url_depends_on_the_cluster() {
    let s1 = changed(&fixture("s1-multi-customer.yaml"), "      inClusterUrl:", "      # inClusterUrl:");
    assert_eq!(errors(&s1), [("P0020".to_owned(), "spec.git.server.url".to_owned())]);
    let here = changed(&starter(), "https://git.example.com/platform ", "http://127.0.0.1:3000/platform ");
    let found = warnings(&here);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code.as_str(), found[0].severity), ("P0020", Severity::Warning));
}

/// S0-49.
#[test]
fn too_many_clusters_for_one_argo_cd_are_a_warning() {
    let mut many = String::new();
    for n in 0..25 {
        many.push_str(&format!("    - {{name: c{n}, provider: here, environments: [dev], cell: c{n}}}\n"));
    }
    let text =
        changed(&starter(), "  argocd: {version: 3.5.7}", &format!("{many}\n  argocd: {{version: 3.5.7}}"));
    // Every cluster serves the same hosts now, which is another matter.
    let text = changed(&text, "      host: \"hello{-env}.example.com\"\n", "");
    let text = changed(&text, "      host: \"web{-env}.example.com\"\n", "");
    let found = warnings(&text);
    assert_eq!(
        found.iter().map(|finding| finding.path.as_deref()).collect::<Vec<_>>(),
        [Some("spec.argocd.topology")]
    );
}

/// X-15: without `dns.sharedHosts` two cells may not serve one host.
#[test]
fn cells_share_a_host_only_when_it_is_said() {
    let s4 = fixture("s4-opsera-mcp.yaml");
    let alone = changed(&s4, "    sharedHosts:", "    # sharedHosts:");
    let found = errors(&alone);
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.iter().all(|(code, _)| code == "P0015"));
}

/// A single environment has no chain, and nobody needs to approve what goes nowhere.
#[test]
fn a_chain_of_one_needs_no_approval() {
    let s3 = fixture("s3-saas-rollouts.yaml");
    assert_eq!(warnings(&s3), []);
}
