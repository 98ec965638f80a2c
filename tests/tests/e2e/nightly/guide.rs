//! The examples of `docs/guides/ci.md`: their shell is taken out of the page and run, as each server would run it, against
//! the sandbox.

use std::{path::Path, process::Command};

use platform_tests::{Alone, Output};
use serde_json::Value;

use super::{small, there};

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/ci.md");
    let text = fs_err::read_to_string(page).expect("the guide");
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// A block that says which file it is, as what a server reads.
fn file(name: &str) -> Value {
    let block = blocks("yaml").into_iter().find(|block| block.starts_with(&format!("# {name}\n")));
    yaml_serde::from_str(&block.unwrap_or_else(|| panic!("the guide has no `{name}`"))).expect("YAML")
}

fn lines(value: &Value) -> Vec<String> {
    let word = |line: &Value| line.as_str().expect("a line of shell").to_owned();
    value.as_array().expect("lines").iter().map(word).collect()
}

/// Runs shell as a server does: in the checkout, with `platform` on the PATH and the variables of its file.
fn shell(home: &Alone, script: &str) -> Output {
    let program = Alone::program("platform");
    let folder = program.parent().expect("a folder").display().to_string();
    let ours = home.command([] as [&str; 0]);
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(home.dir()).env_clear();
    for (key, value) in ours.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    command
        .env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
        .env("PROVIDER", "sandbox")
        .env("REPORTS", "nightly");
    Output::of(&mut command)
}

/// A checkout with a platform of its own.
fn checkout() -> Alone {
    let home = Alone::new();
    let spec = small(&home, "small");
    fs_err::rename(spec, home.dir().join("platform.yaml")).expect("the same folder");
    home
}

fn assert_green(home: &Alone) {
    let report = fs_err::read_to_string(home.dir().join("nightly/report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (&report["passed"], &report["entries"][0]["name"]),
        (&true.into(), &"small".into()),
        "{report:#}"
    );
    assert_eq!(there(home), []);
}

#[test]
fn the_plain_shell_runs() {
    let home = checkout();
    let script = blocks("sh").into_iter().find(|block| block.starts_with("set -eu"));
    shell(&home, &script.expect("the plain example")).ok();
    assert_green(&home);
}

#[test]
fn the_workflow_of_github_runs() {
    let home = checkout();
    let workflow = file(".github/workflows/nightly.yml");
    let steps = workflow["jobs"]["nightly"]["steps"].as_array().expect("steps").clone();
    let scripts: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(scripts.len(), 3, "{scripts:?}");
    for script in scripts {
        shell(&home, script).ok();
    }
    assert_green(&home);
    let upload = steps.iter().find(|step| step["with"]["path"] == "nightly" && step["if"] == "always()");
    assert!(upload.is_some(), "the reports are kept, also of a night that failed: {workflow:#}");
}

#[test]
fn the_file_of_gitlab_runs() {
    let home = checkout();
    let job = &file(".gitlab-ci.yml")["nightly"];
    shell(&home, &lines(&job["script"]).join("\n")).ok();
    shell(&home, &lines(&job["after_script"]).join("\n")).ok();
    assert_green(&home);
    let junit = job["artifacts"]["reports"]["junit"].as_str().expect("a report");
    assert!(home.dir().join(junit).exists(), "{junit}");
}
