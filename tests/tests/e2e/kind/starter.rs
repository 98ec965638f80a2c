//! The starter spec of kind: Git is a folder of this machine, and nothing has to be there beside the engine.

use platform_tests::Nodes;

use super::{DOWN, UP, assert_gone, assert_synced, counts};

#[test]
fn the_starter_needs_no_git_server() {
    let Some(nodes) = Nodes::of_starter("starter") else { return };
    let before = nodes.everything();
    let empty = nodes.dir().join("empty");
    fs_err::create_dir(&empty).expect("a folder");
    let mut plan = nodes.command(["plan", "--provider", "kind"]);
    let planned = platform_tests::Output::of(plan.current_dir(&empty)).ok();
    assert!(
        planned.stdout.contains("git://demo-demo-git-server/platform.git"),
        "without a spec file: {}",
        planned.stdout
    );

    nodes.platform(UP).ok();
    assert_synced(&nodes);
    let server = format!("{}-git-server", nodes.cluster());
    let sources = "jsonpath={range .items[*]}{.spec.source.repoURL} {.spec.sources[*].repoURL}{\"\\n\"}{end}";
    let sources = nodes.kubectl(["get", "applications", "--namespace", "argocd", "--output", sources]);
    for line in sources.ok().stdout.lines() {
        assert!(line.contains(&format!("git://{server}/platform.git")), "{line}");
    }

    // It only hands out, and only to the cluster.
    let shown = nodes.docker(["inspect", &server]).ok().json()[0].clone();
    assert_eq!(shown["HostConfig"]["PortBindings"], serde_json::json!({}), "{shown:#}");
    assert_eq!(shown["HostConfig"]["ReadonlyRootfs"], true, "{shown:#}");
    assert_eq!(shown["Mounts"][0]["RW"], false, "{shown:#}");
    assert_eq!(shown["Config"]["Labels"]["platform.dev/name"], nodes.name(), "{shown:#}");
    let write = ["exec", &server, "git", "-C", "/srv/git/platform.git", "branch", "theirs", "main"];
    assert_ne!(nodes.docker(write).status, 0, "the repositories can be written to");

    let again = nodes.platform(UP).ok();
    assert_eq!(counts(&again, "changed"), 0, "a second `up` changes nothing: {}", again.stdout);

    // A push to the folder arrives.
    let file = nodes.dir().join("platform.yaml");
    let text = fs_err::read_to_string(&file).expect("a spec");
    fs_err::write(&file, text.replace("values: {replicaCount: 1}", "values: {replicaCount: 3}"))
        .expect("written");
    nodes.platform(UP).ok();
    let replicas =
        ["get", "deployments", "--namespace", "web-dev", "--output", "jsonpath={.items[*].spec.replicas}"];
    assert_eq!(nodes.kubectl(replicas).ok().stdout, "3");

    // Somebody removes the container.
    nodes.docker(["rm", "--force", &server]).ok();
    assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 1, "it is made again, and nothing else");
    assert_synced(&nodes);

    let down = nodes.platform(DOWN).ok();
    assert!(down.json()["orphans"].as_array().is_some_and(Vec::is_empty), "{}", down.stdout);
    assert_gone(&nodes, &before);
    assert!(nodes.dir().join("state/git/platform.git").is_dir(), "what was pushed is the user's");
}
