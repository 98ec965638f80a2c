//! The nightly run: a matrix of specs and Kubernetes versions, each made, tried, broken, mended and removed.
//!
//! | room | what it holds |
//! |---|---|
//! | [`report`] | what a night has shown, as JSON (`platform.ci/v1`) and JUnit |
//! | `matrix` | the entries, and how many of them fit into this machine's memory |
//! | `entry` | the life of one entry |
//! | `kill` | a child that is killed in the middle of its work |
//! | `history` | what earlier nights have shown |
//!
//! Everything that an entry makes is alive only as long as this process says so, every few seconds. A runner that is
//! killed leaves clusters that are over within half a minute, and the next run begins by removing them, whether or not
//! anything else of this one is left.

mod entry;
mod history;
mod kill;
mod matrix;
pub mod report;

pub use kill::end_with_parent;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use platform_provider::life::GRACE;
use platform_spec::{Class, Code, Failure};
use tokio::time::Instant;

use crate::{App, Refusal, specs::Wanted, stop::Stop, sweep};
use matrix::Planned;
use report::{Reaped, Report};

/// What a night is to be.
#[derive(Clone, Debug)]
pub struct Nightly {
    /// Spec files; none: `platform.yaml`, or the starter spec of the provider.
    pub specs: Vec<PathBuf>,
    /// Kubernetes versions; none: as each spec says.
    pub versions: Vec<String>,
    /// Only clusters of this provider.
    pub provider: Option<String>,
    /// In the emulated clouds instead of the real ones.
    pub emulated: bool,
    /// How long one entry may take.
    pub ttl: Duration,
    /// Where reports and working folders are.
    pub dir: PathBuf,
    /// How many specs are worked on at once; absent, as many as fit into the memory that is free.
    pub max_parallel: Option<usize>,
    /// How often an entry that has failed is tried again.
    pub repeat: u32,
    /// Programs with their arguments that are run against each platform.
    pub drills: Vec<Vec<String>>,
    /// What chance goes by; absent, the time.
    pub seed: Option<u64>,
}

/// How long another sweep is waited for, and how often it is asked after.
const QUEUE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(500);

/// Says a line to who watches.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// Carries a night out, and writes its reports. Tears down whatever it has made, also when it is told to stop.
///
/// # Errors
/// What refuses before anything is made: a spec, a provider, the folder of reports. A night that has begun is reported.
pub async fn nightly(app: &App, asked: &Nightly, stop: &Stop, say: Say<'_>) -> Result<Report, Refusal> {
    let began_at = Timestamp::now();
    let run = ulid::Ulid::generate();
    let dir = std::path::absolute(&asked.dir).map_err(|error| unusable(&asked.dir, &error))?;
    let home = dir.join("runs").join(run.to_string());
    fs_err::create_dir_all(&home).map_err(|error| unusable(&home, &error))?;
    let seed = asked.seed.unwrap_or_else(|| run.timestamp_ms());
    let planned = Planned::of(app, asked, &run.to_string()).await?;
    let earlier = history::read(&dir);
    let reaped = reap(app, asked, &planned, stop, say).await?;
    let parallel = asked.max_parallel.unwrap_or_else(|| planned.fit()).max(1);
    let entries: usize = planned.specs.iter().map(|spec| spec.entries.len()).sum();
    say(&format!("entries: {entries}, specs at once: {parallel}, seed: {seed}"));
    let night = entry::Night { app, asked, stop, say, home: &home, seed };
    // Entries of one spec share what it names: ports, zones, repositories. So one comes after another.
    let specs = futures::stream::iter(&planned.specs).map(async |spec| {
        let mut entries = Vec::new();
        for entry in &spec.entries {
            entries.push(night.entry(spec, entry).await);
        }
        entries
    });
    let entries: Vec<Vec<report::Entry>> = specs.buffered(parallel).collect().await;
    let entries: Vec<report::Entry> = entries.into_iter().flatten().collect();
    let report = Report::of(report::Night {
        run: run.to_string(),
        began_at,
        seed,
        parallel,
        ttl: asked.ttl,
        reaped,
        entries,
        earlier,
    });
    write(&report, &dir, &home)?;
    Ok(report)
}

/// Removes what earlier nights have left, and whatever else is over.
async fn reap(
    app: &App,
    asked: &Nightly,
    planned: &Planned,
    stop: &Stop,
    say: Say<'_>,
) -> Result<Vec<Reaped>, Failure> {
    let mut reaped = Vec::new();
    let mut seen = Vec::new();
    for spec in &planned.specs {
        for kind in &spec.sweepable {
            let place = (kind.clone(), spec.configs(kind));
            if seen.contains(&place) {
                continue;
            }
            seen.push(place);
            let asked_for = sweep::Asked {
                provider: Some(kind.clone()),
                wait: Duration::from_secs(300),
                soon: GRACE,
                emulated: asked.emulated,
                ..sweep::Asked::default()
            };
            let swept = async {
                let sweep = begun(app, &spec.wanted, &asked_for, stop).await?;
                let found = sweep.look(stop).await?;
                sweep.remove(found, stop).await
            };
            match swept.await {
                Ok(report) => {
                    for found in report.claims.iter().filter(|found| found.verdict.is_doomed()) {
                        let cluster = found.cluster.as_deref().unwrap_or("-");
                        say(&format!("reaped {} {cluster} at {kind}: {:?}", found.platform, found.outcome));
                    }
                    reaped.push(Reaped::of(kind, report));
                }
                // Whoever has been sweeping there for so long removes the same.
                Err(failure) if failure.code.as_str() == "P0921" => {
                    say(&failure.message);
                    reaped.push(Reaped::not(kind, failure));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(reaped)
}

/// Begins to sweep, once nobody else does.
async fn begun(
    app: &App,
    wanted: &Wanted,
    asked: &sweep::Asked,
    stop: &Stop,
) -> Result<sweep::Sweep, Failure> {
    let began = Instant::now();
    loop {
        match sweep::Sweep::begin(app, Some(wanted), asked.clone()).await {
            Err(failure) if failure.code.as_str() == "P0921" && began.elapsed() < QUEUE => {}
            begun => return begun,
        }
        tokio::select! {
            () = stop.gently.cancelled() => return sweep::Sweep::begin(app, Some(wanted), asked.clone()).await,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Writes the reports where a server of continuous integration looks for them, and beside the night's own folders.
fn write(report: &Report, dir: &Path, home: &Path) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report).unwrap_or_default() + "\n";
    let junit = report.junit();
    for folder in [home, dir] {
        for (name, text) in [("report.json", &json), ("junit.xml", &junit)] {
            let path = folder.join(name);
            fs_err::write(&path, text).map_err(|error| unusable(&path, &error))?;
        }
    }
    Ok(())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::new("P0927"), Class::Config, format!("could not use `{}`", path.display()))
        .caused_by(error)
        .hint("name another folder with `--report DIR`")
}
