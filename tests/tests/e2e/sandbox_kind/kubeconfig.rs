//! The cluster in the user's own kubeconfig: it comes when asked for, and goes to the byte.

use platform_tests::Alone;

use super::{assert_nothing_left, spec, there};
use crate::platform::refused;

const THEIRS: &str = "# mine
apiVersion: v1
kind: Config
clusters:
  - name: big   # at work
    cluster: {server: 'https://big.example.com'}
contexts:
  - {name: big, context: {cluster: big, user: ada}}
current-context: big # for now
users: []
wonder: 1
";
const NAME: &str = "kind-demo-demo";

/// A home with a kubeconfig and a spec that asks for the cluster in it.
fn home() -> Alone {
    let home = Alone::new();
    spec(&home, |text| {
        text.replace("kind: kind  ", "kind: kind\n      config: {mergeKubeconfig: true}\n      #")
    });
    std::fs::create_dir(home.dir().join(".kube")).expect("a folder");
    std::fs::write(home.dir().join(".kube/config"), THEIRS).expect("written");
    home
}

fn kubeconfig(home: &Alone) -> String {
    std::fs::read_to_string(home.dir().join(".kube/config")).expect("it is there")
}

const UP: &[&str] = &["up", "--sandbox"];
const DOWN: &[&str] = &["down", "--sandbox", "--yes"];

#[test]
fn it_comes_with_the_cluster_and_goes_to_the_byte() {
    let home = home();
    home.platform(UP).ok();
    let merged = kubeconfig(&home);
    assert!(merged.contains(&format!("current-context: {NAME}\n")), "{merged}");
    for line in THEIRS.lines().filter(|line| !line.starts_with("current-context") && *line != "users: []") {
        assert!(merged.contains(line), "{line} is gone: {merged}");
    }
    let again = home.platform(UP).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
    assert_eq!(kubeconfig(&home), merged);
    // Somebody has touched it: the next `up` puts it right, and nothing else.
    let touched = merged.replace("https://127.0.0.1:", "https://127.0.0.2:");
    assert_ne!(touched, merged);
    std::fs::write(home.dir().join(".kube/config"), touched).expect("written");
    let ailing = home.platform(["doctor", "--sandbox"]).exits(1).json();
    assert!(
        ailing["ailments"][0]["what"].as_str().is_some_and(|it| it.contains("leads elsewhere")),
        "{ailing:#}"
    );
    let mended = home.platform(UP).ok().json();
    assert_eq!(mended["counts"]["changed"], 1, "{mended:#}");
    home.platform(DOWN).ok();
    assert_eq!(kubeconfig(&home), THEIRS);
    assert_nothing_left(&home);
}

#[test]
fn killed_in_the_middle_it_is_there_or_not_and_never_half() {
    let home = home();
    let mut up = home.start(UP);
    up.until(&["starts", "demo/kubeconfig"]);
    up.kill();
    let seen = kubeconfig(&home);
    assert!(seen == THEIRS || seen.contains(NAME), "{seen}");
    home.platform(["resume"]).ok();
    assert_eq!(kubeconfig(&home).matches(&format!("current-context: {NAME}")).count(), 1);
    let mut down = home.start(DOWN);
    down.until(&["starts", "demo/kubeconfig.remove"]);
    down.kill();
    home.platform(["resume", "--yes"]).ok();
    assert_eq!(kubeconfig(&home), THEIRS);
    assert_nothing_left(&home);
}

#[test]
fn one_that_is_not_ours_is_found_before_anything_is_changed() {
    let home = home();
    for (text, code) in [
        (THEIRS.replace("name: big,", &format!("name: {NAME},")), "P1040"),
        ("clusters: [".to_owned(), "P1041"),
    ] {
        std::fs::write(home.dir().join(".kube/config"), &text).expect("written");
        refused(home.platform(UP), 1, code, "config");
        assert_eq!(kubeconfig(&home), text);
        assert!(there(&home)["containers"].is_empty());
    }
}

#[test]
fn a_spec_that_asks_for_it_no_more_takes_it_along_all_the_same() {
    let home = home();
    std::fs::remove_dir_all(home.dir().join(".kube")).expect("removed");
    home.platform(UP).ok();
    assert!(kubeconfig(&home).contains(NAME));
    spec(&home, str::to_owned);
    home.platform(DOWN).ok();
    assert!(!home.dir().join(".kube").exists(), "it was made for it");
    assert_nothing_left(&home);
}

/// What `doctor` finds of the entry: what is wrong, and what helps.
fn ailments(home: &Alone) -> Vec<(String, Option<String>)> {
    let report = home.platform(["doctor", "--sandbox"]);
    let all = report.json()["ailments"].as_array().cloned().unwrap_or_default();
    assert_eq!(report.status, i32::from(!all.is_empty()), "{report:?}");
    let word = |it: &serde_json::Value, key: &str| it[key].as_str().map(str::to_owned);
    all.iter().map(|it| (word(it, "what").unwrap_or_default(), word(it, "cure"))).collect()
}

#[test]
fn a_doctor_knows_what_is_wrong_with_the_entry_and_offers_what_can_be_done() {
    let home = home();
    home.platform(UP).ok();
    let merged = kubeconfig(&home);
    assert_eq!(ailments(&home), []);
    let config = home.dir().join(".kube/config");
    // It was taken out, or the whole file is gone.
    for text in [Some(THEIRS), None] {
        match text {
            Some(text) => std::fs::write(&config, text).expect("written"),
            None => std::fs::remove_file(&config).expect("removed"),
        }
        let found = ailments(&home);
        assert!(found.len() == 1 && found[0].0.contains("it is not there"), "{found:?}");
        assert_eq!(found[0].1.as_deref(), Some("put it in"));
        home.platform(["doctor", "--sandbox", "--fix", "--yes"]).ok();
        assert!(kubeconfig(&home).contains(NAME));
        assert_eq!(ailments(&home), []);
    }
    // Somebody else's of that name, and what is no kubeconfig: nothing is offered that would be refused.
    for text in [THEIRS.replace("name: big,", &format!("name: {NAME},")), "clusters: [".to_owned()] {
        std::fs::write(&config, &text).expect("written");
        let found = ailments(&home);
        assert!(found.len() == 1 && found[0].1.is_none(), "{found:?}");
        home.platform(["doctor", "--sandbox", "--fix", "--yes"]).exits(1);
        assert_eq!(kubeconfig(&home), text);
    }
    std::fs::write(&config, merged).expect("written");
    // The spec asks for it no more: it stays until the cluster goes, and that is said.
    spec(&home, str::to_owned);
    assert_eq!(ailments(&home), []);
    let planned = home.platform(["plan", "--sandbox"]).ok().json();
    let finding = planned["findings"].as_array().into_iter().flatten().find(|it| it["code"] == "P1018");
    assert_eq!(finding.map(|it| &it["severity"]), Some(&"warning".into()), "{planned:#}");
    home.platform(DOWN).ok();
    assert_nothing_left(&home);
}
