//! The provider `kind` on the container engine that the sandbox plays: `--sandbox`, where no Docker can run. And that engine
//! beside a real one, where there is one.

mod archives;
mod doctor;
mod git;
mod kubeconfig;
mod neighbours;

use std::{collections::BTreeMap, process::Command};

use platform_tests::{Alone, Output, Started};
use serde_json::Value;

use crate::platform::refused;

/// A program that the sandbox plays.
fn played(home: &Alone, program: &str, words: &[&str]) -> Command {
    let mut command = home.command::<&str>([]);
    command.args(["sandbox", "play", program, "--"]).args(words);
    command
}

fn run(home: &Alone, program: &str, words: &[&str]) -> Output {
    Output::of(&mut played(home, program, words))
}

/// What there is at the engine.
fn there(home: &Alone) -> BTreeMap<&'static str, Vec<String>> {
    let lists: [(&str, &[&str]); 3] = [
        ("containers", &["ps", "--all", "--format", "{{.Names}}"]),
        ("networks", &["network", "ls", "--format", "{{.Name}}"]),
        ("volumes", &["volume", "ls", "--quiet"]),
    ];
    let own = ["bridge", "host", "none"];
    let lines = |words: &[&str]| {
        let said = run(home, "docker", words).ok().stdout;
        said.lines().filter(|line| !own.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    lists.into_iter().map(|(kind, words)| (kind, lines(words))).collect()
}

/// Writes the starter spec of the emulated kind, changed.
fn spec(home: &Alone, change: impl FnOnce(&str) -> String) {
    const STARTER: &str = include_str!("../../../crates/spec/src/starter/kind.yaml");
    let text = STARTER.replace("{folder}", &home.sandbox().display().to_string());
    std::fs::write(home.dir().join("platform.yaml"), change(&text)).expect("written");
}

const UP: &[&str] = &["up", "--provider", "kind", "--sandbox"];
const DOWN: &[&str] = &["down", "--provider", "kind", "--sandbox", "--yes"];

/// Everything is there once, and a further `up` finds nothing to do.
#[track_caller]
fn assert_up_once(home: &Alone) {
    let there = there(home);
    let mut names = there["containers"].clone();
    names.sort();
    assert_eq!(names, ["demo-demo-control-plane", "demo-demo-git-server", "demo-demo-worker"], "{there:?}");
    let clusters = home.platform(["sandbox", "status"]).ok().json()["clusters"].clone();
    assert_eq!(clusters.as_array().map(Vec::len), Some(1), "{clusters:#}");
    let changes = home.changes();
    let again = home.platform(UP).ok().json();
    assert_eq!(
        (again["status"].as_str(), again["counts"]["changed"].as_u64()),
        (Some("succeeded"), Some(0)),
        "{again:#}"
    );
    assert_eq!(home.changes(), changes, "a second `up` changes nothing at the engine");
}

#[track_caller]
fn assert_nothing_left(home: &Alone) {
    let left = there(home);
    assert!(left.values().all(Vec::is_empty), "{left:?}");
    let status = home.platform(["sandbox", "status"]).ok().json();
    assert_eq!(status["clusters"].as_array().map(Vec::len), Some(0), "{status:#}");
}

#[test]
fn a_platform_comes_up_and_goes_without_docker() {
    let home = Alone::new();
    let report = home.platform(UP).ok().json();
    assert_eq!(report["status"], "succeeded", "{report:#}");
    assert_up_once(&home);

    let kubeconfig = home.platform(["kubeconfig", "--provider", "kind", "--sandbox"]).ok();
    assert!(kubeconfig.stdout.contains("127.0.0.1"), "{kubeconfig:?}");
    // It is in the sandbox, and is not looked for anywhere else.
    refused(home.platform(["down", "--provider", "kind", "--yes"]), 1, "P0808", "config");
    // Nor is it forgotten for another platform of the same name.
    refused(home.platform(["up"]), 1, "P0809", "config");

    let report = home.platform(DOWN).ok().json();
    assert_eq!(report["orphans"].as_array().map(Vec::len), Some(0), "{report:#}");
    assert_nothing_left(&home);
}

#[test]
fn killed_in_the_middle_it_is_finished_and_made_once() {
    for words in [
        &["starts", "demo/network"] as &[&str],
        &["starts", "demo/git-server"],
        &["starts", "demo/control-plane"],
        &["waits", "demo/control-plane"],
        &["starts", "demo/argocd.install"],
    ] {
        let home = Alone::new();
        let mut first = home.start(UP);
        first.until(words);
        first.kill();
        home.platform(["resume"]).ok();
        assert_up_once(&home);
        let mut down = home.start(DOWN);
        down.until(&["starts", "demo/control-plane"]);
        down.kill();
        home.platform(["resume", "--yes"]).ok();
        assert_nothing_left(&home);
    }
}

#[test]
fn what_goes_wrong_is_tried_again_and_made_once() {
    let home = Alone::new();
    let rules = "faults:
- {service: docker, operation: network_create, when: {nth: 1}, do: {reset: after}}
- {service: docker, operation: volume_create, when: {nth: 1}, do: {reset: after}}
- {service: kind, operation: create_cluster, when: {nth: 1}, do: {fail: etcd did not come up}}
";
    std::fs::write(home.dir().join("storm.yaml"), rules).expect("written");
    home.platform(["sandbox", "start", "--faults", "storm.yaml"]).ok();
    let report = home.platform(UP).ok().json();
    assert_eq!(report["status"], "succeeded", "{report:#}");
    let standing = home.platform(["sandbox", "faults"]).ok().json();
    let struck = standing["faults"].as_array().into_iter().flatten().filter(|rule| rule["struck"] == 1);
    assert_eq!(struck.count(), 3, "{standing:#}");
    assert_up_once(&home);
    home.platform(DOWN).ok();
    assert_nothing_left(&home);
}

#[test]
fn what_has_no_emulated_cloud_is_refused() {
    let home = Alone::new();
    let said = home.platform(["up", "--provider", "existing", "--sandbox"]);
    refused(said, 1, "P0807", "config");
    let report = home.platform(["up", "--sandbox"]).ok().json();
    assert_eq!(report["status"], "succeeded", "the sandbox itself is nothing else: {report:#}");
}

#[test]
fn a_creation_whose_program_is_killed_stays_half_made() {
    let home = Alone::new();
    home.platform(["sandbox", "start"]).ok();
    let rules = "faults: [{service: kind, operation: create_cluster, do: {slow: 10m}}]\n";
    std::fs::write(home.dir().join("slow.yaml"), rules).expect("written");
    home.platform(["sandbox", "faults", "slow.yaml"]).ok();
    let mut creating = Started::new(&mut played(&home, "kind", &["create", "cluster", "--name", "x"]));
    creating.until(&["Starting control-plane"]);
    creating.kill();
    home.platform(["sandbox", "faults", "--clear"]).ok();
    assert_eq!(run(&home, "kind", &["get", "nodes", "--name", "x"]).ok().stdout, "x-control-plane\n");
    let again = run(&home, "kind", &["create", "cluster", "--name", "x"]);
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("node(s) already exist for a cluster with the name \"x\""), "{again:?}");
    assert_eq!(run(&home, "kind", &["get", "kubeconfig", "--name", "x"]).status, 1, "there is no API");
    run(&home, "kind", &["delete", "cluster", "--name", "x"]).ok();
    assert!(there(&home)["containers"].is_empty());
}

#[test]
fn the_provider_passes_its_examination() {
    let home = Alone::new();
    let said = home.platform(["conformance", "--provider", "kind", "--sandbox"]);
    let report = said.json();
    let failed: Vec<_> = report["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|check| check["verdict"] == "failed")
        .map(|check| format!("{}: {}", check["name"], check["why"]))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let passed =
        report["checks"].as_array().into_iter().flatten().filter(|check| check["verdict"] == "passed");
    assert!(passed.count() >= 12, "{report:#}");
    assert_nothing_left(&home);
}

/// Whether there is an engine to compare with.
fn real(program: &str, words: &[&str]) -> Option<Output> {
    Command::new(program).args(words).output().ok().map(|output| Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Ids, which differ, left out.
fn plain(text: &str) -> String {
    let is_id = |word: &str| word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let (body, end) = word.split_at(
                word.len()
                    - word.chars().last().filter(|c| !c.is_ascii_alphanumeric()).map_or(0, char::len_utf8),
            );
            if is_id(body) { format!("ID{end}") } else { word.to_owned() }
        })
        .collect()
}

/// What is read of documents: see `providers/kind`.
fn read(document: &str) -> Value {
    let documents: Value = serde_json::from_str(document).unwrap_or(Value::Null);
    let pick = |it: &Value| {
        let mut seen = serde_json::Map::new();
        for path in [
            "/Name",
            "/Labels",
            "/Config/Image",
            "/Config/Labels",
            "/State/Running",
            "/State/Status",
            "/Driver",
            "/Scope",
        ] {
            if let Some(value) = it.pointer(path) {
                seen.insert(path.to_owned(), value.clone());
            }
        }
        Value::from(seen)
    };
    documents.as_array().map(|all| all.iter().map(pick).collect()).unwrap_or(Value::Null)
}

/// A thing made at the real engine, removed whatever comes.
struct Behind;

impl Drop for Behind {
    fn drop(&mut self) {
        for words in [
            &["rm", "--force", "pt-a"] as &[&str],
            &["network", "rm", "pt-net"],
            &["volume", "rm", "pt-vol"],
            &["image", "rm", "pt-img:1"],
        ] {
            drop(real("docker", words));
        }
    }
}

#[test]
fn the_played_programs_answer_as_the_real_ones() {
    let Some(version) =
        real("docker", &["version", "--format", "{{.Client.Version}}"]).filter(|it| it.status == 0)
    else {
        skipped("there is no Docker engine here");
        return;
    };
    if version
        .stdout
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .is_none_or(|major: u32| major < 28)
    {
        skipped("the words of Docker's client are those of version 28");
        return;
    }
    let home = Alone::new();
    let _behind = Behind;
    // An image of nothing: nothing runs from it here.
    let import = "tar -c --files-from /dev/null | docker import - pt-img:1";
    assert!(Command::new("sh").args(["-c", import]).output().is_ok_and(|it| it.status.success()), "imported");
    run(&home, "docker", &["pull", "pt-img:1"]).ok();

    let asked = "
        version --frob
        frob
        ps --frob
        ps --all --quiet --no-trunc --filter label=pt=none
        ps --filter bad
        inspect --type container pt-nobody
        inspect pt-nobody
        network create --driver bridge --label pt=1 --label x=y pt-net
        network create pt-net
        network ls --quiet --no-trunc --filter label=pt=1
        network ls --filter label=pt=1 --format {{.Name}}|{{.Driver}}|{{.Scope}}
        network inspect pt-net
        network inspect pt-net pt-nobody
        network create
        volume create --label pt=1 pt-vol
        volume create --label pt=2 pt-vol
        volume create pt-vol
        volume ls --quiet --filter label=pt=1
        volume inspect pt-vol
        volume inspect pt-vol pt-nobody
        create --name pt-a --label pt=1 --network pt-net --volume pt-vol:/data --restart unless-stopped pt-img:1 /sleep
        create --name pt-a pt-img:1 /sleep
        create --name - pt-img:1 /sleep
        ps --all --quiet --no-trunc --filter label=pt=1
        ps --quiet --filter label=pt=1
        ps --all --filter label=pt=1 --filter label=x --format {{.Names}}
        ps --all --filter label=pt=1 --format {{.Names}}|{{.State}}|{{.Image}}|{{.Labels}}|{{.Networks}}
        inspect --type container pt-a
        inspect --type container pt-a pt-nobody
        volume rm pt-vol
        exec pt-a true
        exec pt-nobody true
        image inspect pt-nobody
        start pt-nobody
        stop pt-nobody
        rm pt-nobody
        rm --force --volumes pt-nobody
        rm --force --volumes pt-a pt-nobody
        volume rm pt-vol
        volume rm pt-vol
        network rm pt-net
        network rm pt-net
    ";
    let mut differ = Vec::new();
    let mut compare = |program: &str, words: &[&str]| {
        let there = real(program, words).unwrap_or_else(|| panic!("no {program}"));
        let here = run(&home, program, words);
        let told = |said: &Output| {
            let stdout =
                if words.contains(&"inspect") { read(&said.stdout).to_string() } else { plain(&said.stdout) };
            (said.status, stdout, plain(&said.stderr))
        };
        if told(&there) != told(&here) {
            differ.push(format!(
                "{program} {}\n  there {:?}\n  here  {:?}",
                words.join(" "),
                told(&there),
                told(&here)
            ));
        }
    };
    for line in asked.lines().map(str::trim).filter(|line| !line.is_empty()) {
        compare("docker", &line.split(' ').collect::<Vec<_>>());
    }
    if real("kind", &["version", "--quiet"]).is_some_and(|it| it.stdout.starts_with("0.33.")) {
        let bad = home.dir().join("bad.yaml").display().to_string();
        std::fs::write(&bad, "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nfrob: 1\n")
            .expect("written");
        for line in [
            "version --quiet",
            "frob",
            "create cluster --frob",
            "get nodes --name pt-x",
            "get kubeconfig --name pt-x",
            "delete cluster --name pt-x --kubeconfig /nonexistent-pt",
            "load docker-image pt-none:1 --name pt-x",
            "load docker-image pt-img:1 --name pt-x",
            "load image-archive /nonexistent-pt --name pt-x",
            "create cluster --config /nonexistent-pt",
        ] {
            compare("kind", &line.split(' ').collect::<Vec<_>>());
        }
        let there = real("kind", &["create", "cluster", "--config", &bad]).expect("kind");
        let here = run(&home, "kind", &["create", "cluster", "--config", &bad]);
        let last = |said: &Output| said.stderr.split("ERROR").nth(1).map(str::to_owned);
        assert_eq!((there.status, last(&there)), (here.status, last(&here)));
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Says so.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
