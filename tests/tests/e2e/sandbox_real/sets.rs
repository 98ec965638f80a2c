//! ApplicationSets: the real controller makes Applications of each, and the sandbox's own player makes the same.

mod player;
mod table;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use platform_tests::{Output, World};
use serde_json::{Value, json};

use self::{player::Player, table::Case};
use super::create;

/// A repository of the world's, beside the platform's own.
const REPOSITORY: &str = "sets";
/// How long the real controller may take with all of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of a set.
#[derive(Debug, Default, PartialEq)]
struct Made {
    /// What a person wants to know of each Application, by its name.
    applications: BTreeMap<String, Value>,
    /// The condition `ErrorOccurred`: status, reason, message.
    error: Option<[String; 3]>,
}

impl Made {
    /// Without the words of an error.
    fn wordless(mut self) -> Self {
        self.error = self.error.map(|[status, reason, _]| [status, reason, String::new()]);
        self
    }

    fn of<'a>(set: &Value, all: impl Iterator<Item = &'a Value>) -> Self {
        let uid = &set["metadata"]["uid"];
        let owned = all.filter(|it| it["metadata"]["ownerReferences"][0]["uid"] == *uid);
        let conditions = set["status"]["conditions"].as_array();
        let error = conditions.into_iter().flatten().find(|it| it["type"] == "ErrorOccurred");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            applications: owned.map(|it| (word(&it["metadata"]["name"]), plain(it))).collect(),
            error: error.map(|it| ["status", "reason", "message"].map(|part| word(&it[part]))),
        }
    }
}

fn plain(application: &Value) -> Value {
    let meta = &application["metadata"];
    json!({
        "labels": meta["labels"], "annotations": meta["annotations"], "finalizers": meta["finalizers"],
        "spec": application["spec"],
    })
}

pub fn both_make_the_same_of_every_set(world: &World) {
    world.make_repository(REPOSITORY).expect("a repository");
    push(world);
    let url = format!("{}/{REPOSITORY}.git", world.git_url());
    let secrets = table::secrets(&url, &world.bed().facts().git_password);
    let cases = table::cases(&url);
    secrets.iter().for_each(|secret| create(world, secret));
    cases.iter().for_each(|case| create(world, &case.set()));

    let mut player = Player::beside(world, &secrets);
    let ours = cases.iter().map(|case| {
        let made = player.makes(&case.set());
        if case.in_other_words { made.wordless() } else { made }
    });
    let ours: Vec<Made> = ours.collect();
    assert!(ours.iter().all(|it| it.error.is_some()), "each has its conditions: {ours:#?}");
    let deadline = Instant::now() + PATIENCE;
    let differences = loop {
        let differences = differences(world, &cases, &ours);
        if differences.is_empty() || Instant::now() > deadline {
            break differences;
        }
    };
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n"));

    let kinds = "applicationsets,secrets";
    let labelled = "--selector=sandbox-real=sets";
    world.bed().kubectl(["delete", kinds, labelled, "--namespace=argocd", "--wait"]).ok();
    // they go with their set, each as its finalizer wants it
    let gone = ["wait", "applications", "--selector=of-a-set", "--for=delete", "--namespace=argocd"];
    world.bed().kubectl(gone.iter().chain(&["--timeout=120s"])).ok();
}

fn differences(world: &World, cases: &[Case], ours: &[Made]) -> Vec<String> {
    let all = |kind: &str| {
        let listed = world.bed().kubectl_json(["get", kind, "--namespace=argocd"]);
        listed["items"].as_array().cloned().unwrap_or_default()
    };
    let (sets, applications) = (all("applicationsets"), all("applications"));
    let judged = cases.iter().zip(ours).filter_map(|(case, ours)| {
        let Some(set) = sets.iter().find(|it| it["metadata"]["name"] == case.name) else {
            return Some(format!("== {} is not there", case.name));
        };
        let real = Made::of(set, applications.iter());
        let real = if case.in_other_words { real.wordless() } else { real };
        (real != *ours).then(|| format!("== {}\n  real: {real:?}\n  ours: {ours:?}", case.name))
    });
    judged.collect()
}

fn push(world: &World) {
    let clone = world.dir().join("sets");
    for (path, text) in table::FILES {
        let path = clone.join(path);
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs_err::write(path, text).expect("written");
    }
    let place = clone.display().to_string();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C", &place];
        Output::of(world.bed().command("git").args(identity).args(args).env("HOME", world.dir())).ok()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=content"]);
    git(&["push", "--quiet", &world.repository(REPOSITORY).display().to_string(), "main"]);
}
