use clap::ValueEnum;
use platform_app::{
    App, Refusal,
    carry::{self, Effect, PlanLine},
    specs,
};
use serde_json::json;

use crate::{args::Common, exit::Exit, printer::Printer, table, words};

mod tables;

/// Show what would be done, and change nothing
///
/// Shows what the spec means (clusters, applications, namespaces, hosts, add-ons, waves, objectives), and lists the steps of
/// a flow with what each would do to what exists: create, change, keep, or remove. What depends on an earlier step is
/// unknown until that step is done. Exits as `platform up` would when something keeps it from beginning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform plan\n  platform plan down\n  platform plan up --output json")]
pub struct Args {
    /// Which flow
    #[arg(default_value = "up")]
    flow: Flow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Flow {
    Up,
    Down,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let wanted = match args.flow {
        Flow::Up => specs::load(&common.chosen_or_starter()).await?,
        Flow::Down => specs::load_for_removal(&common.chosen_or_starter()).await?,
    };
    printer.findings(&wanted.findings);
    let app = App::open(common.state_dir().as_deref()).await?;
    let flow = match args.flow {
        Flow::Up => carry::Flow::Up,
        Flow::Down => carry::Flow::Down,
    };
    let carry::Preview { steps: lines, findings, model } = carry::plan(&app, &wanted, flow).await?;
    printer.findings(&findings);
    let findings = [wanted.findings.clone(), findings].concat();
    // What is removed is what exists, whatever the spec means by now.
    let shown = (args.flow == Flow::Up).then_some(&model);
    let typical_ms = lines.iter().map(|line| line.typical_ms).sum();
    if printer.wants_json() {
        printer.json(&json!({
            "schema": "platform.plan/v1",
            "flow": flow,
            "platform": wanted.name(),
            "model": shown,
            "steps": lines,
            "typical_ms": typical_ms,
            "findings": findings,
        }));
        return Ok(Exit::of_findings(&findings));
    }
    if let Some(model) = shown {
        printer.text(tables::of(model));
    }
    let rows: Vec<_> = lines.iter().map(|line| row(line, flow)).collect();
    printer.text(table::render(&["STEP", "EFFECT", "TYPICALLY", "WHAT"], &rows));
    printer.text(format_args!(
        "\n{} steps; one after the other they typically take {}\n",
        lines.len(),
        words::duration(typical_ms)
    ));
    let exit = Exit::of_findings(&findings);
    if exit != Exit::Ok {
        printer.diagnostic(format_args!(
            "`platform {}` will not begin before the errors above are mended",
            flow.as_str()
        ));
    }
    Ok(exit)
}

fn row(line: &PlanLine, flow: carry::Flow) -> Vec<String> {
    let (effect, why) = effect(&line.effect, flow);
    let what = if why.is_empty() { line.title.clone() } else { format!("{}: {why}", line.title) };
    vec![line.step.to_string(), effect.to_owned(), words::duration(line.typical_ms), what]
}

/// A step of `down` that finds work to do removes something.
fn effect(effect: &Effect, flow: carry::Flow) -> (&'static str, String) {
    match effect {
        Effect::Create if flow == carry::Flow::Down => ("remove", String::new()),
        Effect::Create => ("create", String::new()),
        Effect::Change { how } if flow == carry::Flow::Down => ("remove", how.clone()),
        Effect::Change { how } => ("change", how.clone()),
        Effect::Keep => ("keep", String::new()),
        Effect::Wait { waiting_for } => ("wait", format!("for {waiting_for}")),
        Effect::Ask { question } => ("ask", question.clone()),
        Effect::Skip { because } => ("skip", because.clone()),
        Effect::After { step } => ("unknown", format!("until {step} is done")),
        Effect::Unknown { failure } => {
            let words = failure.causes.last().unwrap_or(&failure.message);
            ("unknown", format!("could not look: {words}"))
        }
    }
}
