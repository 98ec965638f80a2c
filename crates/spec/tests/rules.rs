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
    let errors = findings.into_iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| (finding.code.to_string(), finding.path.unwrap_or_default())).collect()
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
    let old = "rpo: 1440m\n        waiver: what must not be lost is in the database\n";
    let found = parse("s2.yaml", &changed(&s2, old, "rpo: 15m\n")).expect_err("it cannot be promised");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].code.as_str(), "P0018");
    assert_eq!(found[0].path.as_deref(), Some("spec.backup.objectives[2].rpo"));
    assert_eq!(
        found[0].message,
        "`volume` may lose 15 min at most, and the schedule `daily-full` lets 1440 min be lost"
    );
    warnings(&changed(&s2, old, "rpo: 15m\n        waiver: accepted\n"));
}

/// A dump hook alone cannot promise five minutes.
#[test]
fn a_database_needs_its_log_archived() {
    let s0 = fixture("s0-enterprise.yaml");
    assert_eq!(
        errors(&changed(&s0, "      pitr: true\n      walArchiveMax: 5m\n", "")),
        [("P0018".to_owned(), "spec.backup.objectives[0].rpo".to_owned())]
    );
}

/// S0-50.
#[test]
fn a_hospital_stays_in_its_country() {
    let s0 = fixture("s0-enterprise.yaml");
    let moved = changed(&s0, "cells: [hospital-001]\n", "cells: [hospital-001, eu-central]\n");
    let place = "spec.tenancy.tenants[3].cells[1]".to_owned();
    // It is the wrong part of the world, and not a cluster of its own.
    assert_eq!(errors(&moved), [("P0022".to_owned(), place.clone()), ("P0033".to_owned(), place)]);
}

/// a loopback URL is wrong on clusters that we make, and a warning where the cluster may be this very machine.
#[test]
fn a_loopback_git_url_depends_on_the_cluster() {
    let s1 = changed(&fixture("s1-multi-customer.yaml"), "      inClusterUrl:", "      # inClusterUrl:");
    assert_eq!(errors(&s1), [("P0020".to_owned(), "spec.git.server.url".to_owned())]);
    let here = changed(&starter(), "https://git.example.com/platform ", "http://127.0.0.1:3000/platform ");
    let found = warnings(&here);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code.as_str(), found[0].severity), ("P0020", Severity::Warning));
}

/// A folder of this machine is brought to the pods beside it on kind, and to one Argo CD.
#[test]
fn a_folder_is_good_for_one_argo_cd_on_kind() {
    let kind = platform_spec::starter::starter("kind", std::path::Path::new("/var/lib/platform"));
    let kind = kind.expect("there is one");
    assert_eq!(warnings(&kind), []);
    let refused = [("P0020".to_owned(), "spec.git.server.url".to_owned())];
    assert_eq!(errors(&changed(&kind, "kind: local ", "kind: generic ")), refused);
    let two = changed(
        &kind,
        "      environments: [dev, prod]",
        "      environments: [dev]\n    - {name: edge, provider: here, environments: [prod]}\n#",
    );
    let two = changed(&two, "      nodes: {controlPlane: 1, workers: 1}\n", "");
    assert_eq!(warnings(&two), []);
    assert_eq!(errors(&changed(&two, "{version: 3.5.7}", "{version: 3.5.7, topology: dedicated}")), refused);
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

/// without `dns.sharedHosts` two cells may not serve one host.
#[test]
fn cells_share_a_host_only_when_it_is_said() {
    let s4 = fixture("s4-opsera-mcp.yaml");
    let alone =
        changed(&s4, "    sharedHosts:\n      policy: latency\n      across: [prod-ue, prod-eu]\n", "");
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
