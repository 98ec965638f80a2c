//! Secrets are where they are used, and nowhere else.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use platform_tests::{
    Bed, Output, Started, World,
    canary::{Canaries, Watch},
};

use super::{assert_gone, assert_up, down, up};

/// The three secrets that the platform is given here.
fn planted(world: &World) -> Arc<Canaries> {
    let facts = world.bed().facts();
    Arc::new(Canaries::new(&[
        ("the Git password", &facts.git_password),
        ("the S3 secret key", &facts.s3_secret_key),
        ("the TSIG secret", &facts.tsig_secret),
    ]))
}

/// Everything that is written down: files of ours, raw, and every object of the published repository.
fn written_down(world: &World, canaries: &Canaries) -> Vec<String> {
    let mut sightings = Vec::new();
    for folder in ["state", "home", "tmp", "shim"] {
        sightings.extend(canaries.sightings_below(&world.dir().join(folder)).0);
    }
    let objects = world.git("platform", ["cat-file", "--batch-all-objects", "--batch"]).stdout;
    sightings.extend(canaries.sightings("the repository", objects.as_bytes()));
    sightings
}

fn said(canaries: &Canaries, what: &str, output: &Output) -> Vec<String> {
    let mut sightings = canaries.sightings(&format!("{what}: standard output"), output.stdout.as_bytes());
    sightings.extend(canaries.sightings(&format!("{what}: standard error"), output.stderr.as_bytes()));
    sightings
}

/// The program as loud as it gets, with a `git` that writes down how it is called.
fn loud(world: &World, args: &[String]) -> Command {
    let path = format!("{}:{}", world.dir().join("shim").display(), world.bed().components().path());
    let mut command = world.platform_command(["-vvv"]);
    command.args(args).env("PATH", path);
    command
}

#[test]
fn planted_secrets_are_found_nowhere() {
    let Some(world) = Bed::world("secrets") else { return };
    let canaries = planted(&world);
    Canaries::shim(&world.dir().join("shim"), &world.bed().components().path());
    let watch = Watch::begin(canaries.clone());
    let mut sightings = Vec::new();

    // Killed in its middle, the program leaves what it had not tidied away: the write-ahead log, scratch folders.
    let mut first = Started::new(&mut loud(&world, &up(&world)));
    first.until(&["starts", "argocd.synced"]);
    let first = first.kill();
    assert!(first.stderr.contains("TRACE") || first.stderr.contains("DEBUG"), "-vvv logs: {}", first.stderr);
    sightings.extend(said(&canaries, "up", &first));
    let log = fs_err::metadata(world.dir().join("state/platform.db-wal")).expect("a write-ahead log");
    assert!(log.len() > 4096, "the write-ahead log holds something");
    sightings.extend(written_down(&world, &canaries));

    for (what, args) in [("resume", vec!["resume".to_owned()]), ("down", down(&world).to_vec())] {
        let output = Output::of(&mut loud(&world, &args)).ok();
        sightings.extend(said(&canaries, what, &output));
        if what == "resume" {
            assert_up(&world);
        }
    }
    for args in [["runs"].as_slice(), &["status"], &["run", "show", "01"], &["run", "events", "01"]] {
        let output = world.platform(args);
        sightings.extend(said(&canaries, args[args.len() - 1], &output));
    }
    sightings.extend(written_down(&world, &canaries));
    assert_eq!(sightings, Vec::<String>::new());
    assert_gone(&world);

    let (arguments, programs) = watch.end();
    assert_eq!(arguments, Vec::<String>::new());
    for program in ["platform", "git"] {
        assert!(programs.iter().any(|seen| seen == program), "{program} was seen: {programs:?}");
    }
    let calls = fs_err::read_to_string(world.dir().join("shim/git.log")).expect("a log");
    assert!(calls.lines().any(|call| call.contains("push")), "{calls}");

    // … and the search can find: in arguments, on disk, in the repository, in what is said.
    let facts = world.bed().facts();
    let mut careless = Command::new("grep");
    let careless = careless.args(["--line-buffered", &facts.tsig_secret]);
    let mut careless = careless.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("grep is there");
    let (mut asked, answers) =
        (careless.stdin.take().expect("its input"), careless.stdout.take().expect("its output"));
    writeln!(asked, "{}", facts.tsig_secret).expect("grep reads");
    BufReader::new(answers).read_line(&mut String::new()).expect("grep finds, so it runs");
    let (arguments, _) = Watch::begin(canaries.clone()).end();
    assert_eq!(arguments, ["arguments of grep: the TSIG secret (as it is)"]);
    drop(asked);
    careless.wait().expect("grep ends");
    let careless = world.dir().join("tmp/careless").display().to_string();
    fs_err::write(&careless, facts.s3_credentials()).expect("a file");
    world.git("platform", ["hash-object", "-w", &careless]).ok();
    let found = written_down(&world, &canaries);
    let place = |name: &str| found.iter().any(|sighting| sighting.starts_with(name));
    assert!(place(&careless) && place("the repository"), "{found:?}");
    let said = said(
        &canaries,
        "it",
        &Output { status: 0, stdout: String::new(), stderr: facts.git_password.clone() },
    );
    assert_eq!(said, ["it: standard error: the Git password (as it is)"]);
}
