//! Commands that carry a run out: what they say, how they are locked, stopped and killed.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::bed::Bed;

/// How long a test waits for something that takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bed with a spec whose cluster is behind `server`; without one, its kubeconfig is missing.
fn bed(server: Option<&str>) -> Bed {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    if let Some(server) = server {
        fs_err::create_dir(bed.path().join(".kube")).expect("the bed is writable");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: \"https://{server}\"}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: canary}}}}]\n"
        );
        bed.write(".kube/config", &kubeconfig);
    }
    bed
}

/// A server that takes connections and never says a word.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    (listener, address)
}

/// Starts a command that will not end by itself, and waits until it holds the lock.
fn start(bed: &Bed, words: &[&str]) -> Child {
    let child = Command::new(assert_cmd::cargo::cargo_bin("platform"))
        .env_clear()
        .env("HOME", bed.path())
        .env("NO_COLOR", "1")
        .current_dir(bed.path())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait_for("the run to begin", || bed.run(&["run", "events", "01"]).stdout.contains("started"));
    child
}

fn wait_for(what: &str, mut seen: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !seen() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("`kill` is there");
    assert!(sent.success());
}

#[test]
fn down_asks_and_without_a_terminal_does_nothing() {
    let bed = bed(None);
    let said = bed.run(&["down", "--output", "json"]);
    let report = said.json();
    assert_eq!((said.code, report["error"]["code"].as_str()), (2, Some("P0903")));
    assert_eq!(
        (report["schema"].as_str(), report["status"].as_str()),
        (Some("platform.run/v1"), Some("failed"))
    );
    assert!(bed.run(&["runs", "--output", "json"]).json()["runs"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn a_run_that_fails_exits_1_and_is_one_json_document_with_its_error() {
    let bed = bed(None);
    let said = bed.run(&["down", "--yes", "--output", "json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let report = said.json();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["error"]["step"], "demo/restores.remove");
    assert_eq!(report["counts"]["failed"].as_u64(), Some(1), "{report}");
    assert!(said.stderr.contains("error[P0"), "{said:?}");

    let run = report["run"].as_str().expect("the run exists");
    let shown = bed.run(&["run", "show", &run[..8], "--output", "json"]).json();
    assert_eq!((&shown["counts"], &shown["error"]["code"]), (&report["counts"], &report["error"]["code"]));
    let events = bed.run(&["run", "events", run, "--output", "json"]).stdout;
    let seqs: Vec<u64> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("each line is JSON")["seq"].as_u64().expect("a place")
        })
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let page = bed.run(&["run", "report", run]).stdout;
    assert!(page.starts_with(&format!("# Run {run}\n")));
    let shown = bed.run(&["run", "report", run, "--format", "json"]).json();
    for key in ["began_at", "actor", "spec_digest"] {
        let value = shown[key].as_str().unwrap_or_else(|| panic!("no {key} in {shown}"));
        let shown_as = if key == "began_at" { value[..19].replace('T', " ") } else { value.to_owned() };
        assert!(!value.is_empty() && page.contains(&shown_as), "{key} is not in {page}");
    }
    assert_eq!(bed.run(&["resume", run, "--output", "json"]).json()["error"]["code"], "P0705");
    assert_eq!(bed.run(&["resume"]).code, 2);
}

#[test]
fn a_bad_spec_stops_up_before_anything_and_lists_its_findings() {
    let bed = bed(None);
    bed.write("platform.yaml", "kind: Platform\nbogus: 1\n");
    for verb in ["up", "down", "plan"] {
        let said = bed.run(&[verb, "--output", "json"]);
        let document = said.json();
        assert_eq!(said.code, 2, "{said:?}");
        assert!(document["findings"].as_array().is_some_and(|findings| findings.len() > 1), "{document}");
        assert!(document["error"]["code"].as_str().is_some_and(|code| code.starts_with("P00")));
    }
}

#[test]
fn a_cluster_that_the_spec_does_not_have_is_a_wrong_argument() {
    let bed = bed(None);
    let said = bed.run(&["down", "--yes", "--cluster", "moon", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0911")));
    let said = bed.run(&["plan", "--provider", "moon", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0911")));
}

/// 75 while locked, 130 when stopped; the first signal says what a second one does.
#[test]
fn a_second_command_is_told_who_holds_the_lock_and_signals_stop_the_first_one() {
    let (_server, address) = silent_server();
    let bed = bed(Some(&address));
    let mut first = start(&bed, &["down", "--yes", "--output", "json"]);
    let pid = first.id().to_string();

    let second = bed.run(&["down", "--yes", "--output", "json"]);
    assert_eq!((second.code, second.json()["error"]["code"].as_str()), (75, Some("P0101")), "{second:?}");
    let message = second.json()["error"]["message"].as_str().expect("a message").to_owned();
    let lock = bed.run(&["lock", "show", "--output", "json"]).json()["locks"][0].clone();
    assert_eq!(lock["holder"]["pid"].to_string(), pid);
    // To the second: nobody reads nanoseconds.
    let since = lock["since"].as_str().unwrap_or("?")[..19].replace('T', " ") + "Z";
    for word in [&pid, lock["holder"]["host"].as_str().unwrap_or("?"), &since] {
        assert!(message.contains(word), "{message} does not name {word}");
    }
    let resumed = bed.run(&["resume", "--output", "json"]);
    assert_eq!((resumed.code, resumed.json()["error"]["code"].as_str()), (75, Some("P0101")), "{resumed:?}");
    assert!(resumed.stderr.contains(&pid), "{resumed:?}");
    let release = bed.run(&["lock", "release", "--output", "json"]);
    assert_eq!((release.code, release.json()["error"]["code"].as_str()), (75, Some("P0910")));
    assert_eq!(bed.run(&["run", "abandon", "01", "--because", "test"]).code, 75);

    signal(&first, "INT");
    let stderr = BufReader::new(first.stderr.take().expect("it is piped"));
    let mut lines = stderr.lines().map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.contains("again to stop at once")), "the first signal is answered");
    signal(&first, "TERM");
    let rest: Vec<String> = lines.collect();
    let ended = first.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{rest:?}");
    let report: Value = serde_json::from_slice(&ended.stdout).expect("one document");
    assert_eq!(report["status"], "interrupted");
    assert!(rest.iter().any(|line| line.contains("platform resume 01")), "{rest:?}");
    assert!(
        bed.run(&["lock", "show", "--output", "json"]).json()["locks"].as_array().is_some_and(Vec::is_empty)
    );
    assert_eq!(bed.run(&["run", "abandon", "01", "--because", "test"]).code, 0);
}

#[test]
fn a_killed_run_is_interrupted_and_its_lock_is_free_for_the_taking() {
    let (server, address) = silent_server();
    let bed = bed(Some(&address));
    let mut killed = start(&bed, &["down", "--yes"]);
    killed.kill().expect("it is ours");
    killed.wait().expect("it ends");
    assert_eq!(bed.run(&["runs", "--output", "json"]).json()["runs"][0]["status"], "interrupted");
    assert_eq!(bed.run(&["lock", "show", "--output", "json"]).json()["locks"][0]["holder_is_gone"], true);
    let unfinished = bed.run(&["down", "--yes", "--output", "json"]);
    assert_eq!(unfinished.json()["error"]["code"], "P0112", "{unfinished:?}");
    // A plan says that nothing can be begun; it also looks, and nobody is to wait for that.
    drop(server);
    for flow in ["up", "down"] {
        let planned = bed.run(&["plan", flow, "--output", "json"]);
        let findings = planned.json()["findings"].as_array().expect("a list").clone();
        let finding =
            findings.iter().find(|it| it["code"] == "P0112").unwrap_or_else(|| panic!("{planned:?}"));
        assert_eq!((planned.code, &finding["severity"]), (1, &"error".into()), "{planned:?}");
        assert!(finding["hint"].as_str().is_some_and(|it| it.contains("platform resume 01")), "{finding}");
    }
    assert_eq!(bed.run(&["run", "abandon", "01", "--because", "test"]).code, 0);
    let status = bed.run(&["status", "--output", "json"]).json();
    assert_eq!(status["platforms"][0]["last_run"]["status"], "abandoned");
}

#[test]
fn logs_of_the_loudest_kind_hold_no_secret() {
    let bed = bed(Some("127.0.0.1:1"));
    let mut child = start(&bed, &["-vvv", "down", "--yes"]);
    signal(&child, "TERM");
    signal(&child, "TERM");
    child.wait().expect("it ends");
    let output = child.wait_with_output().expect("it has ended");
    let all = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(all.contains("took the lease"), "-vvv logs: {all}");
    assert!(!all.contains("canary"), "{all}");
}
