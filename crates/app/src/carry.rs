//! Plans, and carrying them out.

use std::{sync::Arc, time::Duration};

pub use platform_engine::preview::{Effect, Line as PlanLine};
use platform_engine::{
    decide::Limits,
    graph::Graph,
    local::{Local, Options},
    plan::Plan,
    preview::preview,
    store::StoreError,
};
use platform_flows::{Doors, Wish, down::PATIENCE, wish};
use platform_spec::{
    Class, Code, Failure, Life, Model, RunId,
    report::{Finding, Notice, RunReport, RunStatus, Severity},
};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    App, Refusal, doors, holder, inventory,
    kept::{self, Kept},
    lease, life, preflight, runs, sight,
    specs::Wanted,
    status,
    stop::Stop,
};

/// What can be done with a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Create or repair what the spec asks for.
    Up,
    /// Remove what is ours.
    Down,
}

/// How a run is to be carried out, and who watches.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Tells it to stop.
    pub stop: Stop,
    /// Told of everything that happens, after it is stored.
    pub notices: Option<UnboundedSender<Notice>>,
    /// How many calls may be in flight; absent, as many as the engine finds right.
    pub max_parallel: Option<usize>,
    /// A person has agreed to what cannot be undone.
    pub confirmed: bool,
    /// When what is made is to end by itself.
    pub life: Option<Life>,
}

/// What a flow would do.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Its steps, in the plan's order.
    pub steps: Vec<PlanLine>,
    /// What the providers find looking ahead.
    pub findings: Vec<Finding>,
    /// What the spec means, with what its providers add to it.
    pub model: Model,
}

/// Says what a flow would do to what exists. Changes nothing outside.
///
/// # Errors
/// What a provider or the blueprint refuses.
pub async fn plan(app: &App, wanted: &Wanted, flow: Flow) -> Result<Preview, Failure> {
    let doors = doors::open(app).await?;
    let (wish, plan) = planned(app, &doors, wanted, flow, PATIENCE, None).await?;
    let mut findings = unfinished(app, wanted).await?;
    if flow == Flow::Up {
        findings.extend(preflight::findings(&doors, &wish.model).await?);
    }
    let graph = Graph::of(plan).map_err(|unsound| {
        Failure::new(Code::new("P0702"), Class::Bug, "the plan cannot be carried out").because(unsound)
    })?;
    let steps = preview(&graph, &platform_flows::registry(&doors)).await;
    if flow == Flow::Up {
        findings.extend(refused(&steps, &findings));
    }
    let model = match flow {
        Flow::Up => wish::settled(&doors, wanted.model.clone()).await?,
        Flow::Down => wanted.model.clone(),
    };
    Ok(Preview { steps, findings, model })
}

/// The run that keeps another from beginning: one that rests is an error, one that goes on is over in a while.
async fn unfinished(app: &App, wanted: &Wanted) -> Result<Vec<Finding>, Failure> {
    let name = wanted.name();
    let rows = app.state.resumable(Some(&name)).await.map_err(StoreError::into_failure)?;
    let runs = runs::as_they_are(app, rows).await?;
    Ok(runs
        .into_iter()
        .map(|line| {
            let severity = match line.status {
                RunStatus::Running => Severity::Warning,
                _ => Severity::Error,
            };
            Finding { severity, ..platform_state::unfinished(&name, &line.run).into() }
        })
        .collect())
}

/// What steps cannot even look at, and what no second attempt would help: the run would stop there.
fn refused(steps: &[PlanLine], known: &[Finding]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for line in steps {
        let Effect::Unknown { failure } = &line.effect else { continue };
        let may_pass =
            matches!(failure.class, Class::Retryable | Class::Throttled | Class::ConflictInProgress);
        if !may_pass {
            let finding = Finding::from(failure.clone());
            // Looking ahead may have found the same, and several steps may fail at one thing.
            if known.iter().chain(&found).all(|it| it.code != finding.code || it.message != finding.message) {
                found.push(finding);
            }
        }
    }
    found
}

/// Creates or repairs what the spec asks for.
///
/// # Errors
/// `P0101` when another process is changing the platform; `P0112` when a run is unfinished; whatever refuses before the
/// run exists. A run that exists is reported, however it ended.
pub async fn up(app: &App, wanted: &Wanted, how: How) -> Result<RunReport, Refusal> {
    start(app, wanted, Flow::Up, PATIENCE, how).await
}

/// Removes what is ours; `patience` is how long what is being deleted may take to go.
///
/// # Errors
/// As [`up`].
pub async fn down(app: &App, wanted: &Wanted, patience: Duration, how: How) -> Result<RunReport, Refusal> {
    start(app, wanted, Flow::Down, patience, how).await
}

/// Continues a run that rests, or whose process is gone.
///
/// # Errors
/// As [`up`]; `P0104` when there is no such run, `P0705` when it has ended.
pub async fn resume(app: &App, run: &RunId, how: How) -> Result<RunReport, Refusal> {
    let row = app.state.run(run).await.map_err(StoreError::into_failure)?;
    let (doors, carried) = lease::with::<_, Failure>(app, &row.platform, &how.stop, async |lease| {
        let doors = doors::open(app).await?;
        let engine = local(app, &doors);
        let work = engine.resume(&lease, run, how.options());
        let carried = match kept::recall::<Model>(app, run, Kept::Wish)? {
            Some(model) => life::while_working(&doors, &model, app.clock.clone(), work).await,
            None => work.await,
        };
        Ok((doors, carried.map(|_| ())))
    })
    .await?;
    let report = report(app, run, carried).await?;
    if report.flow != Flow::Down.as_str() {
        return Ok(report);
    }
    let Some(model) = kept::recall(app, run, Kept::Wish)? else { return Err(forgotten(run).into()) };
    Ok(inventory::complete(app, &doors, &model, report).await)
}

async fn start(
    app: &App,
    wanted: &Wanted,
    flow: Flow,
    patience: Duration,
    how: How,
) -> Result<RunReport, Refusal> {
    let run = RunId::new(ulid::Ulid::generate().to_string());
    let (doors, wish, carried) = lease::with::<_, Refusal>(app, &wanted.name(), &how.stop, async |lease| {
        // Under the lease: the ledger that the plan is made from cannot change any more. A state directory that cannot
        // be written has been said by now, in better words than the doors have for their own folders in it.
        let doors = doors::open(app).await?;
        if how.life.is_some() {
            life::possible(&doors, &wanted.model).await?;
        }
        let (wish, plan) = planned(app, &doors, wanted, flow, patience, how.life.clone()).await?;
        if flow == Flow::Up {
            let mut findings = preflight::judge(preflight::findings(&doors, &wish.model).await?)?;
            findings.extend(life::findings(&wish.model));
            if let (Some(life), false) = (&how.life, wish.ledger.is_empty()) {
                findings.extend(life::longer(&doors, &wanted.model, life).await?);
            }
            kept::keep(app, &run, Kept::Findings, &findings)?;
        }
        kept::keep(app, &run, Kept::Wish, &wish.model)?;
        let engine = local(app, &doors);
        let work = engine.start(&lease, run.clone(), plan, how.options());
        let carried = life::while_working(&doors, &wish.model, app.clock.clone(), work).await;
        Ok((doors, wish, carried.map(|_| ())))
    })
    .await?;
    let report = report(app, &run, carried).await?;
    match flow {
        Flow::Up => Ok(report),
        Flow::Down => Ok(inventory::complete(app, &doors, &wish.model, report).await),
    }
}

fn forgotten(run: &RunId) -> Failure {
    Failure::new(
        Code::new("P0914"),
        Class::Config,
        format!("what run `{run}` was asked for is not there any more"),
    )
    .hint("run `platform down` again: it searches what the spec file names")
}

async fn planned(
    app: &App,
    doors: &Doors,
    wanted: &Wanted,
    flow: Flow,
    patience: Duration,
    life: Option<Life>,
) -> Result<(Wish, Plan), Failure> {
    let ledger = status::ledger(app, &wanted.name()).await?;
    sight::kept(&ledger, &wanted.model)?;
    let model = Model { life, ..wanted.model.clone() };
    match flow {
        Flow::Up => {
            let model = match model.life {
                // Of what was never made nobody need be asked.
                None if !ledger.is_empty() => life::kept(doors, model).await?,
                _ => model,
            };
            let model = wish::settled(doors, model).await?;
            let rendered = wish::render(doors, &model).await?;
            let mut wish = Wish::to_have(doors, model, rendered, ledger, wanted.revision).await?;
            wish.gone = status::gone(app, &wanted.name()).await?;
            // Rendered in full and only then narrowed: a cluster that is left out keeps its files.
            narrow(&mut wish, wanted);
            let plan = platform_flows::up(&wish)?;
            Ok((wish, plan))
        }
        Flow::Down => {
            let mut wish = Wish::to_lose(doors, model, ledger, wanted.revision).await?;
            if narrow(&mut wish, wanted) {
                // Names and repositories belong to the whole platform: they go with its last cluster.
                wish.model.dns_zones.clear();
                wish.model.repositories.clear();
            }
            let plan = platform_flows::down(&wish, patience);
            Ok((wish, plan))
        }
    }
}

/// Leaves out the clusters that were not chosen, and says whether there were any.
fn narrow(wish: &mut Wish, wanted: &Wanted) -> bool {
    let before = wish.model.clusters.len();
    if let Some(only) = &wanted.only {
        wish.model.clusters.retain(|cluster| only.contains(&cluster.name));
    }
    wish.model.clusters.len() < before
}

fn local(app: &App, doors: &Arc<Doors>) -> Local {
    Local {
        store: Arc::new(app.state.clone()),
        registry: platform_flows::registry(doors),
        clock: app.clock.clone(),
    }
}

impl Flow {
    /// The word used in plans, runs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl How {
    fn options(&self) -> Options {
        let mut limits = Limits::default();
        if let Some(most) = self.max_parallel {
            limits.max_parallel = most;
        }
        Options {
            limits,
            actor: holder::actor(),
            confirmed: self.confirmed,
            stop: self.stop.clone(),
            notices: self.notices.clone(),
        }
    }
}

/// The report of a run that was carried out, or that broke off with a failure of the engine's own.
async fn report(app: &App, run: &RunId, carried: Result<(), Failure>) -> Result<RunReport, Failure> {
    match (runs::report(app, run).await, carried) {
        (Ok(report), Ok(())) => Ok(report),
        // Ours no more: whatever the journal says, another process may go on with it.
        (Ok(report), Err(failure)) => {
            Ok(RunReport { status: RunStatus::Interrupted, error: Some(failure), ..report })
        }
        // It was refused before it existed; or the state cannot be read any more, and the first failure says why.
        (Err(_), Err(failure)) => Err(failure),
        (Err(failure), Ok(())) => Err(failure),
    }
}
