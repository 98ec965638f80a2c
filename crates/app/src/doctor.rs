//! What keeps clusters from being used, as after a reboot, and what helps without losing anything.
//!
//! It works beside an unfinished run, and is none itself: it makes nothing and owns nothing, and doing it twice is doing it once.

use std::time::Duration;

use platform_flows::{Doors, wish::reach};
use platform_provider::Ailment;
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    App, doors, lease,
    specs::Wanted,
    stop::Stop,
    verify::{self, Verdict},
};

/// How often a platform that is being mended is looked at again: each look asks everything there is.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ailing {
    /// The cluster.
    pub cluster: String,
    /// What is wrong with it.
    pub what: String,
    /// What would help, and loses nothing: fits behind "to".
    pub cure: Option<String>,
}

/// How a platform is. Field names are a contract with scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always `platform.doctor/v1`.
    pub schema: String,
    /// Which platform.
    pub platform: String,
    /// Nothing is wrong, and everything answers as it should.
    pub passed: bool,
    /// What is wrong.
    pub ailments: Vec<Ailing>,
    /// What was wrong and was mended.
    pub mended: Vec<Ailing>,
    /// What was asked, and how it answered.
    pub checks: Vec<verify::Check>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// Looks. Changes nothing.
///
/// # Errors
/// As [`verify::verify`]; what a provider cannot look at.
pub async fn examine(app: &App, wanted: &Wanted) -> Result<Report, Failure> {
    let began = Instant::now();
    let doors = doors::open(app).await?;
    let ailments = ailments(&doors, wanted).await?;
    report(app, wanted, ailments, Vec::new(), began).await
}

/// Mends what can be mended without a loss, and waits, as long as patience lasts, until everything answers as it should.
///
/// # Errors
/// `P0101` when another process is changing the platform; `P0930` when it was told to stop; what a provider refuses.
pub async fn mend(app: &App, wanted: &Wanted, patience: Duration, stop: &Stop) -> Result<Report, Failure> {
    let began = Instant::now();
    let doors = doors::open(app).await?;
    lease::with(app, &wanted.name(), stop, async |_lease| {
        let mut mended: Vec<Ailing> = Vec::new();
        loop {
            let found = ailments(&doors, wanted).await?;
            let curable: Vec<&Ailing> = found.iter().filter(|it| it.cure.is_some()).collect();
            for cluster in chosen(wanted).filter(|it| curable.iter().any(|ailing| ailing.cluster == it.name))
            {
                let reach = reach(&wanted.model, cluster);
                doors.provider(&reach.provider)?.mend(&reach.request).await?;
            }
            let new: Vec<Ailing> = curable.into_iter().filter(|it| !mended.contains(it)).cloned().collect();
            mended.extend(new);
            let report = report(app, wanted, found, mended.clone(), began).await?;
            if report.passed || began.elapsed() > patience {
                return Ok(report);
            }
            tokio::select! {
                () = stop.gently.cancelled() => return Err(stopped()),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    })
    .await
}

fn stopped() -> Failure {
    Failure::new(Code::new("P0930"), Class::Config, "stopped before the platform was well")
        .hint("nothing is lost: `platform doctor --fix` goes on with it")
}

fn chosen(wanted: &Wanted) -> impl Iterator<Item = &platform_spec::model::Cluster> {
    let is = |name: &String| wanted.only.as_ref().is_none_or(|only| only.contains(name));
    wanted.model.clusters.iter().filter(move |cluster| is(&cluster.name))
}

async fn ailments(doors: &Doors, wanted: &Wanted) -> Result<Vec<Ailing>, Failure> {
    let mut all = Vec::new();
    for cluster in chosen(wanted) {
        let reach = reach(&wanted.model, cluster);
        let found = doors.provider(&reach.provider)?.ailments(&reach.request).await?;
        all.extend(found.into_iter().map(|Ailment { what, cure, .. }| Ailing {
            cluster: cluster.name.clone(),
            what,
            cure,
        }));
    }
    Ok(all)
}

async fn report(
    app: &App,
    wanted: &Wanted,
    ailments: Vec<Ailing>,
    mended: Vec<Ailing>,
    began: Instant,
) -> Result<Report, Failure> {
    let checks = verify::verify(app, wanted).await?.checks;
    let well = checks.iter().all(|check| check.verdict != Verdict::Failed);
    Ok(Report {
        schema: "platform.doctor/v1".to_owned(),
        platform: wanted.model.platform.clone(),
        passed: ailments.is_empty() && well,
        ailments,
        mended,
        checks,
        elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
