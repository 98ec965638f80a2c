//! The life of one entry: `up`, `verify`, `up` again, killed and resumed, drills, `down`, and a search for what is left.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use platform_flows::down::PATIENCE;
use platform_provider::life::GRACE;
use platform_spec::{
    Class, Code, Failure, Life, Model,
    report::{RunReport, RunStatus},
};
use tokio::{process::Command, time::Instant};

use super::{
    Nightly, Say,
    kill::{Child, moment},
    matrix::{Entry, Spec, rewritten, unique},
    report::{self, Attempt, Status, Step},
};
use crate::{
    App, Refusal,
    carry::{self, How},
    doors, holder,
    life::{self, after},
    place::SANDBOX_OF,
    runs,
    specs::{self, Chosen, Wanted},
    stop::Stop,
    sweep, verify,
};

/// What entries of a night share.
pub(super) struct Night<'a> {
    pub app: &'a App,
    pub asked: &'a Nightly,
    pub stop: &'a Stop,
    pub say: Say<'a>,
    /// The night's own folder.
    pub home: &'a Path,
    pub seed: u64,
}

impl Night<'_> {
    /// Tries an entry until it passes, as often as was asked for.
    pub async fn entry(&self, spec: &Spec, entry: &Entry) -> report::Entry {
        let mut attempts: Vec<Attempt> = Vec::new();
        while !self.stop.gently.is_cancelled() {
            let n = attempts.len() + 1;
            let attempt = self.attempt(spec, entry, n).await;
            let again = attempt.status == Status::Failed && n <= self.asked.repeat as usize;
            attempts.push(attempt);
            if !again {
                break;
            }
        }
        let entry = report::Entry::of(entry, attempts);
        (self.say)(&format!("{} {}", entry.name, entry.status.as_str()));
        entry
    }

    async fn attempt(&self, spec: &Spec, entry: &Entry, n: usize) -> Attempt {
        let mut entry = entry.clone();
        if n > 1 {
            // What the last attempt has left is in nobody's way.
            let salt = format!("{} {n}", entry.platform);
            entry.platform = unique(&spec.wanted.model.platform, &salt);
        }
        let folder = self.home.join(format!("{}-{n}", entry.name.replace('@', "-")));
        let platform = entry.platform.clone();
        let began = Instant::now();
        let attempt = match Trial::begin(self, spec, entry, n, folder.clone()).await {
            Ok(trial) => trial.all().await,
            Err(failure) => {
                let step = step("begin", began, Err(failure), Status::Failed);
                Attempt::of(&platform, vec![step], Vec::new())
            }
        };
        if attempt.status == Status::Passed && attempt.left.is_empty() {
            // What is worth keeping is in the report.
            let _ = fs_err::remove_dir_all(&folder);
        }
        attempt
    }
}

/// One attempt of an entry.
struct Trial<'a> {
    night: &'a Night<'a>,
    entry: Entry,
    n: usize,
    folder: PathBuf,
    file: PathBuf,
    app: App,
    wanted: Wanted,
    /// Stops what is under way: when the night is stopped, or the entry's time is over.
    stop: Stop,
    steps: Vec<Step>,
    left: Vec<String>,
    /// How long the first `up` took.
    took: Duration,
}

/// What is done with a platform between its making and its end.
enum What {
    Up,
    Verify,
    SecondUp,
    KillResume,
    Drill(usize),
}

impl<'a> Trial<'a> {
    async fn begin(
        night: &'a Night<'a>,
        spec: &Spec,
        entry: Entry,
        n: usize,
        folder: PathBuf,
    ) -> Result<Self, Failure> {
        let file = folder.join("platform.yaml");
        let text = serde_json::to_string_pretty(&rewritten(&spec.wanted.platform, &entry, &folder));
        let written =
            fs_err::create_dir_all(&folder).and_then(|()| fs_err::write(&file, text.unwrap_or_default()));
        written.map_err(|error| super::unusable(&folder, &error))?;
        let chosen = Chosen { file: Some(file.clone()), or_starter: false, ..spec.chosen.clone() };
        // With the starter spec, its provider was chosen and is the only one.
        let wanted = specs::load(&chosen).await.map_err(unwrapped)?;
        let app = night.app.beside(&folder.join("state")).await?;
        let stop = Stop { gently: night.stop.gently.child_token(), now: night.stop.now.child_token() };
        Ok(Self {
            night,
            entry,
            n,
            folder,
            file,
            app,
            wanted,
            stop,
            steps: Vec::new(),
            left: Vec::new(),
            took: Duration::ZERO,
        })
    }

    async fn all(mut self) -> Attempt {
        let doors = match doors::open(&self.app).await {
            Ok(doors) => doors,
            Err(failure) => {
                let step = step("begin", Instant::now(), Err(failure), Status::Failed);
                return Attempt::of(&self.entry.platform, vec![step], Vec::new());
            }
        };
        let model = Model { life: Some(self.life()), ..self.wanted.model.clone() };
        let _beating = life::beating(&doors, &model, self.app.clock.clone());
        let over = self.stop.gently.clone();
        let ttl = self.night.asked.ttl;
        let clock = tokio::spawn(async move {
            tokio::time::sleep(ttl).await;
            over.cancel();
        });
        let drills = (0..self.night.asked.drills.len()).map(What::Drill);
        let plan = [What::Up, What::Verify, What::SecondUp, What::KillResume].into_iter().chain(drills);
        for what in plan {
            let name = what.name();
            if self.steps.iter().any(|step| step.status != Status::Passed) {
                let note = "something before it did not pass".to_owned();
                self.steps.push(Step { name, status: Status::Skipped, elapsed_ms: 0, note, code: None });
                continue;
            }
            let began = Instant::now();
            let done = match what {
                What::Up => self.up().await,
                What::Verify => self.verify().await,
                What::SecondUp => self.second_up().await,
                What::KillResume => self.kill_resume().await,
                What::Drill(at) => self.drill(at).await,
            };
            self.end(&name, began, done);
        }
        clock.abort();
        let began = Instant::now();
        let done = self.down().await;
        self.end("down", began, done);
        let began = Instant::now();
        let done = self.inventory().await;
        self.end("inventory", began, done);
        Attempt::of(&self.entry.platform, self.steps, self.left)
    }

    /// Writes down how a step has ended.
    fn end(&mut self, name: &str, began: Instant, done: Result<String, Failure>) {
        let tears_down = matches!(name, "down" | "inventory");
        let (done, bad) = match done {
            Err(_) if !tears_down && self.night.stop.gently.is_cancelled() => {
                (Err(failed("the night was told to stop")), Status::Stopped)
            }
            Err(failure) if !tears_down && self.stop.gently.is_cancelled() => {
                let ttl = self.night.asked.ttl.as_secs();
                let over = Failure::new(
                    Code::new("P0926"),
                    Class::Config,
                    format!("the entry's time of {ttl} seconds was over"),
                );
                (Err(over.because(failure.message)), Status::Failed)
            }
            done => (done, Status::Failed),
        };
        let step = step(name, began, done, bad);
        let word = step.status.as_str();
        (self.night.say)(&format!(
            "{} {name}: {word} in {:.1} s: {}",
            self.entry.name,
            began.elapsed().as_secs_f64(),
            step.note
        ));
        self.steps.push(step);
    }

    fn life(&self) -> Life {
        let owner = format!("ci nightly of {}", holder::actor());
        Life { owner, until: after(self.app.clock.now(), GRACE) }
    }

    fn how(&self) -> How {
        How { stop: self.stop.clone(), confirmed: true, life: Some(self.life()), ..How::default() }
    }

    async fn up(&mut self) -> Result<String, Failure> {
        let began = Instant::now();
        let report = carry::up(&self.app, &self.wanted, self.how()).await.map_err(unwrapped)?;
        self.took = began.elapsed();
        succeeded(&report)?;
        Ok(format!("{} steps changed something", report.counts.changed))
    }

    async fn verify(&self) -> Result<String, Failure> {
        let report = verify::verify(&self.app, &self.wanted).await?;
        let of = |verdict| report.checks.iter().filter(move |check| check.verdict == verdict);
        if report.passed {
            let (passed, skipped) =
                (of(verify::Verdict::Passed).count(), of(verify::Verdict::Skipped).count());
            return Ok(format!("{passed} checks passed, {skipped} skipped"));
        }
        let failure =
            Failure::new(Code::new("P0924"), Class::Retryable, "the platform does not answer as it should");
        Err(of(verify::Verdict::Failed).fold(failure, |failure, check| {
            failure.because(format!("{} of `{}`: {}", check.what, check.cluster, check.found))
        }))
    }

    async fn second_up(&self) -> Result<String, Failure> {
        let report = carry::up(&self.app, &self.wanted, self.how()).await.map_err(unwrapped)?;
        succeeded(&report)?;
        if report.counts.changed == 0 {
            return Ok(format!("{} steps found nothing to do", report.counts.unchanged));
        }
        let changed =
            report.steps.iter().filter(|step| step.outcome == Some(platform_spec::Outcome::Changed));
        Err(changed.fold(failed("a second `up` has changed something"), |failure, step| {
            failure.because(format!("step `{}`", step.id))
        }))
    }

    /// Makes the platform anew by a child that is killed on the way, and goes on from what that has left.
    async fn kill_resume(&self) -> Result<String, Failure> {
        let down = carry::down(&self.app, &self.wanted, PATIENCE, self.how()).await.map_err(unwrapped)?;
        gone(&down)?;
        let time = moment(self.night.seed, &self.entry.name, self.n, self.took);
        let sandbox = std::path::absolute(&self.app.sandbox).unwrap_or_else(|_| self.app.sandbox.clone());
        let child = Child {
            file: &self.file,
            state: &self.folder.join("state"),
            sandbox: &sandbox,
            emulated: self.wanted.model.emulated,
            log: &self.folder.join("killed.log"),
        };
        let killed = tokio::select! {
            killed = child.killed_after(time) => killed?,
            () = self.stop.gently.cancelled() => return Err(failed("it was stopped")),
        };
        // Killed before its run existed, there is none to resume.
        let report = match runs::only_resumable(&self.app).await {
            Ok(run) => carry::resume(&self.app, &run, self.how()).await,
            Err(none) if none.code.as_str() == "P0908" => {
                carry::up(&self.app, &self.wanted, self.how()).await
            }
            Err(failure) => return Err(failure),
        };
        succeeded(&report.map_err(unwrapped)?)?;
        self.verify().await?;
        let word = if killed { "killed" } else { "had ended before it could be killed" };
        Ok(format!("{word} after {:.2} s, then resumed", time.as_secs_f64()))
    }

    /// Runs a program of somebody else against the platform.
    async fn drill(&self, at: usize) -> Result<String, Failure> {
        let argv = &self.night.asked.drills[at];
        let log = self.folder.join(format!("drill-{}.log", at + 1));
        let shown = argv.join(" ");
        let refused = |error: &std::io::Error| {
            Failure::new(Code::new("P0925"), Class::Config, format!("could not run the drill `{shown}`"))
                .caused_by(error)
        };
        let out = File::create(&log).map_err(|error| refused(&error))?;
        let err = out.try_clone().map_err(|error| refused(&error))?;
        let program = std::env::current_exe().map_err(|error| refused(&error))?;
        let sandbox = std::path::absolute(&self.app.sandbox).unwrap_or_else(|_| self.app.sandbox.clone());
        let Some((first, rest)) = argv.split_first() else { return Ok("there is nothing to run".to_owned()) };
        let mut child = Command::new(first)
            .args(rest)
            .env("PLATFORM", program)
            .env("PLATFORM_FILE", &self.file)
            .env("PLATFORM_STATE", self.folder.join("state"))
            .env(SANDBOX_OF, sandbox)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(&error))?;
        let status = tokio::select! {
            status = child.wait() => status.map_err(|error| refused(&error))?,
            () = self.stop.gently.cancelled() => return Err(failed("it was stopped")),
        };
        if status.success() {
            return Ok(format!("`{shown}` ended well"));
        }
        let said = fs_err::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(3).collect();
        let failure = Failure::new(
            Code::new("P0925"),
            Class::Config,
            format!("the drill `{shown}` ended with {status}"),
        );
        Err(last.into_iter().rev().fold(failure, Failure::because))
    }

    /// Always, also when the night was told to stop; a second signal leaves it to the next night.
    async fn down(&mut self) -> Result<String, Failure> {
        let now = self.night.stop.now.clone();
        self.stop = Stop { gently: now.clone(), now };
        // One that was cut short keeps the next from beginning, and nobody will go on with it.
        if let Ok(run) = runs::only_resumable(&self.app).await {
            runs::abandon(&self.app, &run, "the night tears everything down").await?;
        }
        let down = carry::down(&self.app, &self.wanted, PATIENCE, self.how()).await.map_err(unwrapped);
        match down.and_then(|report| gone(&report)) {
            Ok(()) => Ok("nothing is left".to_owned()),
            Err(failure) => {
                // What its own records cannot remove, its marks outside can.
                let swept = self.swept(false).await;
                Err(match swept {
                    Ok(()) => failure.because("its leftovers were swept"),
                    Err(again) => failure.because(again.message),
                })
            }
        }
    }

    /// Looks at the provider for whatever bears the platform's name, and removes it unless only looking was asked for.
    async fn swept(&mut self, only_look: bool) -> Result<(), Failure> {
        let asked = sweep::Asked {
            platform: Some(self.entry.platform.clone()),
            wait: PATIENCE,
            only_look,
            emulated: self.wanted.model.emulated,
            ..sweep::Asked::default()
        };
        let sweep = sweep::Sweep::begin(&self.app, Some(&self.wanted), asked).await?;
        let found = match sweep.look(&self.stop).await {
            Ok(found) => found,
            Err(none) if none.code.as_str() == "P0922" => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if only_look {
            let ours = found.iter().filter(|it| it.verdict.is_doomed());
            self.left = ours
                .flat_map(|it| &it.things)
                .map(|thing| format!("{} {}", thing.kind, thing.name))
                .collect();
            return Ok(());
        }
        sweep.remove(found, &self.stop).await.map(drop)
    }

    async fn inventory(&mut self) -> Result<String, Failure> {
        self.swept(true).await?;
        if self.left.is_empty() {
            return Ok("nothing bears its name".to_owned());
        }
        let failure = failed("something is left behind");
        Err(self.left.iter().fold(failure, |failure, thing| failure.because(thing)))
    }
}

impl What {
    fn name(&self) -> String {
        match self {
            Self::Up => "up".to_owned(),
            Self::Verify => "verify".to_owned(),
            Self::SecondUp => "second_up".to_owned(),
            Self::KillResume => "kill_resume".to_owned(),
            Self::Drill(at) => format!("drill {}", at + 1),
        }
    }
}

fn step(name: &str, began: Instant, done: Result<String, Failure>, bad: Status) -> Step {
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, note, code) = match done {
        Ok(note) => (Status::Passed, note, None),
        Err(failure) => {
            let note = match failure.causes.as_slice() {
                [] => failure.message.clone(),
                causes => format!("{}: {}", failure.message, causes.join("; ")),
            };
            (bad, note, Some(failure.code.as_str().to_owned()))
        }
    };
    Step { name: name.to_owned(), status, elapsed_ms, note, code }
}

fn failed(what: &str) -> Failure {
    Failure::new(Code::new("P0923"), Class::Retryable, what)
}

fn unwrapped(refusal: Refusal) -> Failure {
    let findings = refusal.findings.iter().map(|finding| finding.message.clone());
    findings.fold(*refusal.failure, Failure::because)
}

/// A run that has ended well.
fn succeeded(report: &RunReport) -> Result<(), Failure> {
    match (&report.error, report.status) {
        (None, RunStatus::Succeeded) => Ok(()),
        (Some(failure), _) => Err(failure.clone()),
        (None, status) => Err(failed(&format!("its run is {}", status.as_str()))),
    }
}

/// A `down` that has left nothing.
fn gone(report: &RunReport) -> Result<(), Failure> {
    succeeded(report)?;
    if report.orphans.is_empty() {
        return Ok(());
    }
    Err(report.orphans.iter().fold(failed("`down` has left something"), |failure, it| {
        failure.because(format!("{} {} at {}: {}", it.kind, it.name, it.place, it.why))
    }))
}
