//! Clusters that end by themselves, with the real program on the sandbox: nights that are green, stopped and killed, and
//! sweeps that know nothing but what the things outside say.

mod guide;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::sys::signal::Signal;
use platform_tests::{Alone, Output, Started};
use serde_json::Value;

use crate::platform::refused;

/// A platform that shares nothing with another: no zone and no bucket.
const SMALL: &str = r#"
apiVersion: platform.dev/v1alpha1
kind: Platform
metadata: {name: NAME, owner: platform-team, costCenter: DEMO-01}
spec:
  blueprint: {name: starter, version: 1.0.0}
  git:
    server: {kind: local, url: "file://DIR/NAME.git"}
    repositories: [{name: platform, role: platform, defaultBranch: main}]
  environments:
    - {name: dev, order: 1, autoSync: true, selfHeal: true, soak: 168h}
    - {name: prod, order: 2, autoSync: true, selfHeal: true, approvals: 1}
  providers: [{name: here, kind: sandbox}]
  clusters: [{name: one, provider: here, role: management, environments: [dev, prod]}]
  argocd: {version: 3.5.7}
  contracts: {ingressClass: nginx, storageClass: standard}
  apps:
    - name: hello
      source: {repo: platform, path: "apps/hello/overlays/{env}", type: kustomize}
      host: "hello{-env}.example.com"
      port: 8080
"#;

/// Writes the spec of a small platform; its file.
fn small(home: &Alone, name: &str) -> String {
    let text = SMALL.replace("NAME", name).replace("DIR", &home.dir().display().to_string());
    let file = home.dir().join(format!("{name}.yaml"));
    fs_err::write(&file, text).expect("a folder that can be written");
    file.display().to_string()
}

/// What a sweep would do: platform, what it is, and until when.
fn claims(home: &Alone) -> Vec<(String, String, Option<Timestamp>)> {
    let report = home.platform(["sweep", "--provider", "sandbox", "--dry-run"]).ok().json();
    let word = |claim: &Value, key: &str| claim[key].as_str().unwrap_or_default().to_owned();
    let claims = report["claims"].as_array().cloned().unwrap_or_default();
    let until = |claim: &Value| claim["alive_until"].as_str().map(|at| at.parse().expect("a time"));
    claims.iter().map(|it| (word(it, "platform"), word(it, "verdict"), until(it))).collect()
}

/// The platforms that have something, with what they are.
fn there(home: &Alone) -> Vec<(String, String)> {
    claims(home).into_iter().map(|(platform, verdict, _)| (platform, verdict)).collect()
}

/// A program in the state directory of another machine: nothing is recorded there.
fn elsewhere(home: &Alone, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command
        .env("PLATFORM_STATE", home.dir().join("elsewhere"))
        .env("PLATFORM_SANDBOX_OF", home.dir().join("state"));
    command
}

fn steps(attempt: &Value) -> Vec<(String, String)> {
    let steps = attempt["steps"].as_array().cloned().unwrap_or_default();
    let word = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    steps.iter().map(|step| (word(step, "name"), word(step, "status"))).collect()
}

const STEPS: [&str; 7] = ["up", "verify", "second_up", "kill_resume", "drill 1", "down", "inventory"];

#[test]
fn a_green_night_says_so_in_both_reports_and_leaves_nothing() {
    let home = Alone::new();
    let spec = small(&home, "small");
    let drill = "sh -c 'test -f \"$PLATFORM_FILE\" && \"$PLATFORM\" verify --file \"$PLATFORM_FILE\"'";
    let words = ["ci", "nightly", &spec, "--node-versions", "1.35,1.36", "--seed", "7", "--drill", drill];
    let report = home.platform(words).ok().json();
    assert_eq!(report["schema"], "platform.ci/v1");
    assert_eq!((&report["passed"], &report["seed"]), (&true.into(), &7.into()), "{report:#}");
    let entries = report["entries"].as_array().expect("entries");
    let names: Vec<&str> = entries.iter().map(|it| it["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["small@1.35", "small@1.36"]);
    for entry in entries {
        let passed = STEPS.map(|name| (name.to_owned(), "passed".to_owned())).to_vec();
        assert_eq!(steps(&entry["attempts"][0]), passed, "{entry:#}");
        assert!(entry["attempts"][0]["steps"][0]["elapsed_ms"].as_u64() > Some(0), "{entry:#}");
        let second = entry["attempts"][0]["steps"][2]["note"].as_str().expect("words");
        assert!(second.contains("found nothing to do"), "{second}");
    }
    assert_eq!(there(&home), []);
    let written = fs_err::read_to_string(home.dir().join("nightly/report.json")).expect("a report");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), report);
    let junit = fs_err::read_to_string(home.dir().join("nightly/junit.xml")).expect("a report");
    let junit = quick_junit::Report::deserialize_from_str(&junit).expect("JUnit");
    assert_eq!((junit.tests, junit.failures, junit.errors), (14, 0, 0));
    // What passed needs no folder any more; the night's reports stay for later nights.
    let night = home.dir().join("nightly/runs").join(report["run"].as_str().expect("an id"));
    let mut kept: Vec<_> =
        fs_err::read_dir(night).expect("a folder").map(|it| it.expect("a file").file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["junit.xml", "report.json"]);
}

#[test]
fn an_entry_that_passes_on_a_repeat_is_flaky_and_one_that_does_not_has_failed() {
    let home = Alone::new();
    let spec = small(&home, "small");
    let mark = home.dir().join("mark");
    let once = format!("sh -c 'test -f {0} || {{ touch {0}; echo not yet; exit 3; }}'", mark.display());
    let flaky = home.platform(["ci", "nightly", &spec, "--repeat", "1", "--drill", &once]).ok().json();
    assert_eq!(flaky["entries"][0]["status"], "flaky", "{flaky:#}");
    let tries: Vec<&Value> = flaky["entries"][0]["attempts"].as_array().expect("tries").iter().collect();
    assert_eq!((&tries[0]["status"], &tries[1]["status"]), (&"failed".into(), &"passed".into()));
    assert_ne!(tries[0]["platform"], tries[1]["platform"], "each try has a name of its own");
    assert_eq!(flaky["flakes"][0]["tonight"], true, "{flaky:#}");

    let said = home.platform(["ci", "nightly", &spec, "--drill", "false"]);
    assert_eq!(said.status, 1, "{said:?}");
    let failed = said.json();
    let entry = &failed["entries"][0];
    assert_eq!((&entry["status"], &failed["passed"]), (&"failed".into(), &false.into()));
    assert_eq!(entry["attempts"][0]["steps"][4]["code"], "P0925", "{entry:#}");
    assert_eq!(
        steps(&entry["attempts"][0])[5..],
        [("down".to_owned(), "passed".to_owned()), ("inventory".to_owned(), "passed".to_owned())]
    );
    // The night before is remembered.
    let flake = &failed["flakes"][0];
    assert_eq!((&flake["earlier_nights"], &flake["earlier_flaky"]), (&1.into(), &1.into()), "{failed:#}");
    assert_eq!(there(&home), []);
}

#[test]
fn a_night_that_is_told_to_stop_removes_what_it_has_made() {
    let home = Alone::new();
    let spec = small(&home, "small");
    let mut night = home.start(["ci", "nightly", &spec]);
    night.until(&["small verify: passed"]);
    assert_eq!(there(&home).len(), 1);
    night.signal(Signal::SIGTERM);
    let said = night.wait();
    assert_eq!(said.status, 130, "{said:?}");
    let report = said.json();
    assert_eq!(report["entries"][0]["status"], "stopped", "{report:#}");
    assert_eq!(there(&home), []);
    assert!(home.dir().join("nightly/junit.xml").exists());
}

#[test]
fn what_a_killed_runner_left_is_reaped_within_a_minute_and_what_is_in_use_is_not() {
    let home = Alone::new();
    let mine = small(&home, "mine");
    home.platform(["up", "--file", &mine, "--ttl", "60m"]).ok();
    let stays = small(&home, "stays");
    home.platform(["up", "--file", &stays]).ok();
    let other = small(&home, "other");
    let spec = small(&home, "small");

    // Another runner is at work all the time: it beats, and is not touched either.
    let versions = ["--node-versions", "1.33,1.34,1.35,1.36"];
    let words = [&["ci", "nightly", &other, "--report", "other"][..], &versions].concat();
    let mut beats = Started::new(&mut elsewhere(&home, &words));
    beats.until(&["other@1.33 up: passed"]);

    let mut night = home.start(["ci", "nightly", &spec]);
    night.until(&["small verify: passed"]);
    night.kill();
    // Nothing else of it is left: no folder, no state.
    fs_err::remove_dir_all(home.dir().join("nightly")).expect("its folder");
    let left = there(&home).into_iter().map(|(platform, _)| platform);
    let left: Vec<String> = left.filter(|platform| !platform.starts_with("other-")).collect();
    let [a, b, c] = left.as_slice() else { panic!("not three platforms: {left:?}") };
    assert!(a == "mine" && b.starts_with("small-") && c == "stays", "{left:?}");

    let began = Instant::now();
    let mut next = Started::new(&mut elsewhere(&home, &["ci", "nightly", &spec, "--report", "next"]));
    next.until(&["reaped small-", "one", "Removed"]);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    next.until(&["small up: passed"]);
    next.signal(Signal::SIGTERM);
    let next = next.wait();
    assert_eq!(next.status, 130, "{next:?}");
    assert_eq!(next.json()["reaped"][0]["removed"], serde_json::json!([format!("{b}/one")]));
    let beats = beats.wait().ok();
    assert_eq!(beats.json()["passed"], true, "{beats:?}");
    let spared = [("mine".to_owned(), "alive".to_owned()), ("stays".to_owned(), "permanent".to_owned())];
    assert_eq!(there(&home), spared);
}

/// Waits until the only claim is over.
fn until_over(home: &Alone) {
    loop {
        let claims = claims(home);
        let [(_, _, Some(until))] = claims.as_slice() else { panic!("not one that ends: {claims:?}") };
        if *until < Timestamp::now() {
            return;
        }
    }
}

#[test]
fn of_two_sweeps_one_works_and_the_other_exits_75() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec, "--ttl", "1s"]).ok();
    until_over(&home);
    let sweep = || Started::new(&mut elsewhere(&home, &["sweep", "--provider", "sandbox", "--yes"]));
    let mut both = [sweep(), sweep()];
    let pids = [both[0].pid(), both[1].pid()];
    let said: Vec<Output> = both.iter_mut().map(Started::wait).collect();
    let won = said.iter().position(|it| it.status == 0).unwrap_or_else(|| panic!("none: {said:?}"));
    let report = said[won].json();
    assert_eq!(
        (&report["claims"][0]["outcome"], &report["left"]),
        (&"removed".into(), &serde_json::json!([]))
    );
    let lost = said.into_iter().nth(1 - won).expect("two of them");
    let refusal = refused(lost, 75, "P0921", "conflict_in_progress");
    let message = refusal["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("(pid {})", pids[won])), "{message}");
    assert_eq!(there(&home), []);
}

#[test]
fn a_permanent_platform_goes_only_by_its_name_and_needs_no_database() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec]).ok();
    let sweep = |words: &[&str]| {
        let words: Vec<&str> = ["sweep", "--provider", "sandbox"].iter().chain(words).copied().collect();
        Output::of(&mut elsewhere(&home, &words))
    };
    let kept = sweep(&["--yes"]).ok().json();
    assert_eq!(
        (&kept["claims"][0]["verdict"], &kept["claims"][0]["outcome"]),
        (&"permanent".into(), &"kept".into())
    );
    refused(sweep(&["--platform", "small"]), 2, "P0903", "config");
    refused(sweep(&["--platform", "smal", "--yes"]), 2, "P0922", "not_found");
    assert_eq!(there(&home).len(), 1);
    let gone = sweep(&["--platform", "small", "--yes"]).ok().json();
    assert_eq!(gone["claims"][0]["outcome"], "removed", "{gone:#}");
    assert_eq!(there(&home), []);
    // The records here say otherwise, and `up` believes the outside.
    home.platform(["up", "--file", &spec]).ok();
    home.platform(["down", "--file", &spec, "--yes"]).ok();
}

#[test]
fn what_cannot_be_removed_is_reported_and_exits_6() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec]).ok();
    let faults = home.dir().join("faults.yaml");
    let rule = "faults:\n  - {service: cloud, operation: delete_network, do: {error: 500}}\n";
    fs_err::write(&faults, rule).expect("a folder");
    home.platform(["sandbox", "faults", &faults.display().to_string()]).ok();
    let words = ["sweep", "--provider", "sandbox", "--platform", "small", "--yes", "--wait", "20s"];
    let said = home.platform(words);
    assert_eq!(said.status, 6, "{said:?}");
    let report = said.json();
    assert_eq!(
        (&report["left"][0]["kind"], &report["left"][1]),
        (&"network".into(), &Value::Null),
        "{report:#}"
    );
    assert!(report["left"][0]["why"].as_str().is_some_and(|why| why.contains("500")), "{report:#}");
}

#[test]
fn a_provider_that_cannot_find_its_clusters_again_refuses_to_let_them_end() {
    let home = Alone::new();
    refused(home.platform(["sweep", "--provider", "existing", "--dry-run"]), 2, "P0920", "config");
    refused(home.platform(["sweep", "--provider", "moon", "--dry-run"]), 2, "P0911", "config");
}

#[test]
fn without_a_provider_a_sweep_only_looks_and_says_the_commands() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec, "--ttl", "1s"]).ok();
    until_over(&home);
    refused(home.platform(["sweep", "--yes"]), 2, "P0940", "config");
    // In the sandbox alone: nobody knows what this machine's real engine has.
    let looked = home.platform(["sweep", "--sandbox"]).ok();
    let report = looked.json();
    assert_eq!(
        (&report["dry_run"], &report["claims"][0]["outcome"]),
        (&true.into(), &"kept".into()),
        "{report:#}"
    );
    let places = report["places"].to_string();
    assert!(
        places.contains("sandbox of this state directory") && !places.contains("the real one"),
        "{places}"
    );
    let command = "platform sweep --provider sandbox --sandbox";
    assert!(looked.stderr.contains(command), "{looked:?}");
    assert!(looked.stderr.contains("looking at sandbox"), "what is looked at is said: {looked:?}");
    assert_eq!(there(&home).len(), 1);
    // A time is not shortened, and that is said.
    let up = home.platform(["up", "--file", &spec, "--ttl", "8h"]).ok().json();
    assert!(!up["findings"].to_string().contains("P0942"), "{up:#}");
    let up = home.platform(["up", "--file", &spec, "--ttl", "1m"]).ok().json();
    assert!(up["findings"].to_string().contains("P0942"), "{up:#}");
}

/// A platform that was given another name finds its repository in the hands of the one that it was.
#[test]
fn a_plan_says_that_the_repository_is_another_platforms() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec]).ok();
    let text = fs_err::read_to_string(&spec).expect("it is there").replace("name: small", "name: other");
    let renamed = home.dir().join("renamed.yaml").display().to_string();
    fs_err::write(&renamed, text).expect("written");
    let planned = home.platform(["plan", "--file", &renamed]).exits(1).json();
    let finding = planned["findings"].as_array().into_iter().flatten().find(|it| it["code"] == "P0315");
    let finding = finding.unwrap_or_else(|| panic!("{planned:#}"));
    assert_eq!(finding["severity"], "error");
    assert!(finding["message"].as_str().is_some_and(|it| it.contains("`small`")), "{finding:#}");
    assert_eq!(there(&home).len(), 1, "nothing was made");
    home.platform(["plan", "--file", &spec]).ok();
    // Once it is gone, the folder on this machine is free for what it is called now.
    home.platform(["down", "--file", &spec, "--yes"]).ok();
    home.platform(["up", "--file", &renamed]).ok();
    assert_eq!(there(&home), [("other".to_owned(), "permanent".to_owned())]);
}

#[test]
fn what_is_only_recorded_is_said_to_be() {
    let home = Alone::new();
    let spec = small(&home, "small");
    home.platform(["up", "--file", &spec]).ok();
    let gone = || home.platform(["status"]).ok().json()["platforms"][0]["gone"].clone();
    assert_eq!(gone(), Value::Null);
    home.platform(["sandbox", "reset", "--yes"]).ok();
    assert!(gone().as_str().is_some_and(|why| why.contains("sandbox")), "{}", gone());
    home.platform(["sandbox", "start"]).ok();
    let refusal = refused(home.platform(["sandbox", "kubeconfig"]), 2, "P0911", "config");
    assert!(refusal["error"]["hints"].to_string().contains("platform up"), "{refusal:#}");
}
