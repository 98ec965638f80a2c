//! Several clusters of kind under one Argo CD: it reaches them on the network of its own nodes.

use platform_tests::Alone;
use serde_json::Value;

use super::{assert_nothing_left, run, spec};

const UP: &[&str] = &["up", "--sandbox"];

/// Production on a cluster of its own.
fn home() -> Alone {
    let home = Alone::new();
    spec(&home, |text| {
        text.replace(
            "      environments: [dev, prod]",
            "      environments: [dev]\n    - {name: edge, provider: here, environments: [prod]}\n#",
        )
        .replace("      nodes: {controlPlane: 1, workers: 1}\n", "")
    });
    home
}

/// Namespaces with Deployments of the platform in a cluster.
fn deployed(home: &Alone, cluster: &str) -> Vec<String> {
    let node = format!("demo-{cluster}-control-plane");
    let kubectl = ["exec", &node, "kubectl", "get", "deployments", "--all-namespaces", "--output", "json"];
    let list: Value = serde_json::from_str(&run(home, "docker", &kubectl).ok().stdout).expect("JSON");
    let items = list["items"].as_array().expect("a list").iter();
    let names = items
        .map(|it| format!("{}/{}", it["metadata"]["namespace"], it["metadata"]["name"]).replace('"', ""));
    names.filter(|name| name.starts_with("hello-") || name.starts_with("web-")).collect()
}

#[test]
fn one_argo_cd_serves_its_neighbour() {
    let home = home();
    home.platform(UP).ok();
    assert_eq!(deployed(&home, "demo"), ["hello-dev/hello", "web-dev/web"]);
    assert_eq!(deployed(&home, "edge"), ["hello-prod/hello", "web-prod/web"]);
    let again = home.platform(UP).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");

    // Somebody cuts the road: the next `up` brings back what is missing, and nothing else.
    let cut = ["network", "disconnect", "demo-demo", "demo-edge-control-plane"];
    run(&home, "docker", &cut).ok();
    let mended = home.platform(UP).ok().json();
    assert_eq!(mended["counts"]["changed"], 1, "{mended:#}");

    let down = home.platform(["down", "--sandbox", "--yes"]).ok().json();
    assert_eq!(down["orphans"].as_array().map(Vec::len), Some(0), "{down:#}");
    assert_nothing_left(&home);
}

#[test]
fn whose_argo_cd_goes_lets_go_of_its_neighbour() {
    let home = home();
    home.platform(UP).ok();
    home.platform(["down", "--sandbox", "--yes", "--cluster", "demo"]).ok();
    let networks = run(&home, "docker", &["network", "ls", "--format", "{{.Name}}"]).ok().stdout;
    assert!(networks.contains("demo-edge\n") && !networks.contains("demo-demo\n"), "{networks}");
    home.platform(["down", "--sandbox", "--yes"]).ok();
    assert_nothing_left(&home);
}
