//! Wrong credentials, one after another, mended behind their handles; and a platform that does not want to go.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use platform_tests::{Bed, Output, Started, World, canary::Canaries};
use serde_json::Value;

use super::{assert_gone, assert_up, commits, down, refused, up};

/// What is behind the three handles of the spec.
struct Given {
    git: String,
    s3: String,
    tsig: String,
}

impl Given {
    fn command(&self, world: &World, args: &[String]) -> Command {
        let mut command = world.platform_command(args);
        command.env("BED_GIT_PASSWORD", &self.git).env("BED_S3_CREDENTIALS", &self.s3);
        command.env("BED_TSIG_SECRET", &self.tsig).args(["--output", "json"]);
        command
    }

    fn run(&self, world: &World, args: &[String]) -> Output {
        Output::of(&mut self.command(world, args))
    }
}

fn said(report: &Value) -> String {
    report["error"]["causes"].to_string()
}

#[test]
fn wrong_credentials_hold_the_run_mended_ones_let_it_go_on_and_a_foreign_finalizer_exits_6() {
    let Some(world) = Bed::world("credentials") else { return };
    let facts = world.bed().facts();
    let wrong = ["wrong-password-of-git", "wrong-secret-key-of-s3", &facts.tsig_stranger_secret];
    let canaries = Canaries::new(&[("git", wrong[0]), ("s3", wrong[1]), ("tsig", wrong[2])]);
    let mut given = Given {
        git: wrong[0].into(),
        s3: facts.s3_credentials().replace(&facts.s3_secret_key, wrong[1]),
        tsig: wrong[2].into(),
    };
    let resume = ["resume".to_owned()];
    // X-07: not even secrets that open nothing are repeated
    let untold = |output: Output| {
        let told = canaries.sightings("it said", format!("{}{}", output.stdout, output.stderr).as_bytes());
        let (kept, _) = canaries.sightings_below(&world.dir().join("state"));
        assert_eq!([told, kept].concat(), Vec::<String>::new());
        output
    };

    let report = refused(untold(given.run(&world, &up(&world))), 1, "P0303", "auth_expired");
    assert_eq!(report["status"], "held");
    assert!(said(&report).contains("the server refused the login"), "{report:#}");
    assert_eq!(commits(&world), 0);

    given.git.clone_from(&facts.git_password);
    let report = refused(untold(given.run(&world, &resume)), 1, "P0503", "auth_expired");
    assert!(said(&report).contains("BADSIG"), "{report:#}");
    assert_eq!(world.records(&world.zone()), [] as [String; 0]);

    given.tsig.clone_from(&facts.tsig_secret);
    let begun = Instant::now();
    let report = refused(untold(given.run(&world, &resume)), 1, "P0714", "config");
    assert!(said(&report).contains("SignatureDoesNotMatch"), "{report:#}");
    assert!(begun.elapsed() < Duration::from_secs(90), "said after {:?}", begun.elapsed());

    given.s3 = facts.s3_credentials();
    let mended = untold(given.run(&world, &resume)).ok().json();
    assert_eq!((mended["status"].as_str(), commits(&world)), (Some("succeeded"), 1));
    assert_up(&world);

    // keys that are replaced by wrong ones under a healthy platform: what was validated before says nothing about them
    let wrong_keys = facts.s3_credentials().replace(&facts.s3_secret_key, wrong[1]);
    given.s3.clone_from(&wrong_keys);
    let mut first = Started::new(&mut given.command(&world, &up(&world)));
    first.until(&["waits", "velero.ready"]);
    first.signal(Signal::SIGINT);
    untold(first.wait().exits(130));
    // mended while nobody waited, in the other form that credentials may have
    given.s3 = format!("{}:{}", facts.s3_access_key, facts.s3_secret_key);
    let mended = untold(given.run(&world, &resume)).ok().json();
    assert_eq!(mended["status"], "succeeded", "{mended:#}");

    given.s3 = wrong_keys;
    let begun = Instant::now();
    let report = refused(untold(given.run(&world, &up(&world))), 1, "P0714", "config");
    assert!(said(&report).contains("SignatureDoesNotMatch"), "{report:#}");
    assert!(begun.elapsed() < Duration::from_secs(120), "said after {:?}", begun.elapsed());
    given.s3 = facts.s3_credentials();
    let mended = untold(given.run(&world, &resume)).ok().json();
    assert_eq!(mended["status"], "succeeded", "{mended:#}");

    what_a_foreign_finalizer_holds_is_named(&world);
}

/// X-06: what is left is said, with why and how long; and goes when it can.
fn what_a_foreign_finalizer_holds_is_named(world: &World) {
    let finalizers = |list: &str| {
        let patch = format!("--patch={{\"metadata\":{{\"finalizers\":{list}}}}}");
        let args = ["patch", "configmap", "argocd-cm", "-n", "argocd", "--type=merge", &patch];
        world.bed().kubectl(args).ok();
    };
    finalizers(r#"["example.com/not-yours"]"#);
    let mut patiently = down(world).to_vec();
    patiently.extend(["--wait".into(), "45s".into()]);
    let report = world.platform(patiently).exits(6).json();
    let orphans = report["orphans"].as_array().expect("a list");
    let held = orphans.iter().find(|orphan| orphan["kind"] == "ConfigMap").expect("the ConfigMap");
    assert!(held["why"].as_str().is_some_and(|why| why.contains("example.com/not-yours")), "{held:#}");
    assert!(held["age_ms"].as_u64().is_some_and(|age| age > 0), "{held:#}");

    finalizers("null");
    world.platform(down(world)).ok();
    assert_gone(world);
}
