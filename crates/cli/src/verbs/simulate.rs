use std::path::PathBuf;

use clap::ValueEnum;
use platform_app::{
    Refusal,
    carry::Flow,
    simulate::{self, Asked, Simulated, storm::Stormed},
    specs,
};
use platform_spec::{Class, Code, Failure};
use serde_json::json;

use crate::{args::Common, exit::Exit, printer::Printer, report, words};

/// Play a flow in virtual time
///
/// The same engine and the same steps as for real, against emulated clouds inside this process: hours pass in seconds,
/// nothing outside is touched and nothing is recorded. The same seed gives the same story.
///
/// Clusters of every provider are played on the sandbox's own cloud.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform simulate up\n  platform simulate down --seed 7 --output json\n  \
    platform simulate up --faults storm.yaml\n  platform simulate --storm 1000"
)]
pub struct Args {
    /// Which flow; `down` is played after an `up`
    #[arg(value_enum, default_value = "up")]
    flow: Which,
    /// What chance goes by
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Rules by which calls go wrong
    #[arg(long, value_name = "FILE", conflicts_with = "storm")]
    faults: Option<PathBuf>,
    /// Play so many random schedules of kills, faults and jumps of the clock, each with an up and a down, from the seed on
    #[arg(long, value_name = "COUNT")]
    storm: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Up,
    Down,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let wanted = specs::load(&common.chosen_or_starter()).await?;
    if let Some(count) = args.storm {
        let stormed = simulate::storm::storm(wanted.model.clone(), args.seed, count).await?;
        return stormy(stormed, printer);
    }
    let asked = Asked {
        flow: match args.flow {
            Which::Up => Flow::Up,
            Which::Down => Flow::Down,
        },
        seed: args.seed,
        faults: simulate::faults(args.faults.as_deref())?,
        max_parallel: common.max_parallel.map(usize::from),
    };
    let simulated = simulate::simulate(&wanted, asked).await?;
    show(&simulated, printer);
    Ok(match simulated.left.is_empty() {
        true => Exit::of_report(&simulated.run),
        false => Exit::LeftBehind,
    })
}

fn show(simulated: &Simulated, printer: &Printer) {
    if printer.wants_json() {
        let mut document = json!({"schema": "platform.simulation/v1"});
        if let (Some(document), Ok(serde_json::Value::Object(fields))) =
            (document.as_object_mut(), serde_json::to_value(simulated))
        {
            document.extend(fields);
        }
        printer.json(&document);
        return;
    }
    printer.text(format_args!(
        "simulated {}\n\n{}\n",
        report::headline(&simulated.run),
        report::steps(&simulated.run.steps)
    ));
    let made: Vec<String> = simulated.made.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    printer.text(format_args!(
        "seed {}: {} of virtual time in {}; {} calls to the cloud; made: {}\n",
        simulated.seed,
        words::duration(simulated.virtual_ms),
        words::duration(simulated.real_ms),
        simulated.calls,
        made.join(", "),
    ));
    if !simulated.left.is_empty() {
        printer.text(format_args!("\nleft behind:\n{}", report::orphans(&simulated.left)));
    }
    if let Some(failure) = &simulated.run.error {
        printer.explain(failure);
    }
}

fn stormy(stormed: Stormed, printer: &Printer) -> Result<Exit, Refusal> {
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.storm/v1", "storm": stormed}));
    } else {
        let tally = stormed.tally;
        printer.text(format_args!(
            "{} schedules in {}: {} processes killed, {} runs held for a reason, {} calls struck\n",
            tally.schedules,
            words::duration(stormed.real_ms),
            tally.killed,
            tally.held,
            tally.struck
        ));
    }
    match stormed.flaw {
        None => Ok(Exit::Ok),
        Some(flaw) => Err(Failure::new(
            Code::new("P0806"),
            Class::Bug,
            format!("the schedule of seed {} shows a flaw", flaw.seed),
        )
        .because(flaw.what)
        .hint(format!("play it again: platform simulate --storm 1 --seed {}", flaw.seed))
        .into()),
    }
}
