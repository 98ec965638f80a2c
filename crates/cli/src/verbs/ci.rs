use std::{path::PathBuf, time::Duration};

use platform_app::{
    App, Refusal,
    ci::{
        self, Nightly,
        report::{Report, Status},
    },
    stop,
};

use crate::{
    args::{Common, duration},
    exit::{self, Exit},
    printer::Printer,
    table, words,
};

/// Runs for servers of continuous integration
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform ci nightly\n  platform ci nightly --provider kind --ttl 60m --repeat 1"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Nightly(NightlyArgs),
}

/// Make, try, break, mend and remove platforms: each spec with each Kubernetes version
///
/// Begins by removing what earlier runs have left, also when nothing else of them is there any more. Each entry then goes
/// through up, verify, a second up that must change nothing, a new making that is killed at a random moment and
/// resumed, the drills, down, and a search for what is left. Entries of one spec come one after another.
///
/// Writes report.json (platform.ci/v1) and junit.xml. Exits 0 when every entry has passed, 1 when one has not, 6 when
/// something is left behind, 130 when it was told to stop. Whatever happens, what was made is removed: after a signal
/// by this run, after a kill by the next.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform ci nightly\n  \
    platform ci nightly a.yaml b.yaml --node-versions 1.34,1.35,1.36 --ttl 60m --provider kind\n  \
    platform ci nightly --drill ./drill.sh --drill 'kubectl --kubeconfig \"my file\" get nodes' --repeat 1")]
pub struct NightlyArgs {
    /// Spec files [default: platform.yaml, or the starter spec of --provider]
    #[arg(value_name = "SPEC")]
    specs: Vec<PathBuf>,
    /// Kubernetes versions to try each spec with (repeat it, or separate them with commas) [default: as each spec says]
    #[arg(long, value_name = "VERSION", value_delimiter = ',', value_parser = version)]
    node_versions: Vec<String>,
    /// How long one entry may take; then it is removed, and has failed
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = duration)]
    ttl: Duration,
    /// Where reports and working folders go
    #[arg(long, value_name = "DIR", default_value = "nightly")]
    report: PathBuf,
    /// How often an entry that has failed is tried again; one that passes then is flaky
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeat: u32,
    /// A program to run against each platform, with its arguments in quotes as a shell takes them, but without one (repeat it)
    #[arg(long, value_name = "PROGRAM", value_parser = words_of)]
    drill: Vec<Argv>,
    /// What chance goes by, to have the same again [default: the time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// `1.36`, `1.36.3`: what the spec takes as well.
fn version(text: &str) -> Result<String, String> {
    match platform_app::specs::is_kubernetes_version(text) {
        true => Ok(text.to_owned()),
        false => Err("write MAJOR.MINOR of Kubernetes, such as 1.36, or with a patch".to_owned()),
    }
}

/// A program with its arguments.
#[derive(Clone, Debug)]
struct Argv(Vec<String>);

fn words_of(text: &str) -> Result<Argv, String> {
    match shell_words::split(text) {
        Ok(words) if words.is_empty() => Err("it names no program".to_owned()),
        Ok(words) => Ok(Argv(words)),
        Err(error) => Err(error.to_string()),
    }
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let What::Nightly(args) = &args.what;
    let telling = printer.clone();
    let stop = stop::on_signals(move |count| match count {
        1 => telling
            .say("stopping: everything that was made is being removed (again to leave it to the next run)"),
        _ => telling.say("stopping at once; the next run removes what is left"),
    })
    .map_err(|error| exit::out_of_order("listen for Ctrl-C").caused_by(&error))?;
    let app = App::open(common.state_dir().as_deref()).await?;
    let nightly = Nightly {
        specs: args.specs.iter().cloned().chain(common.file.clone()).collect(),
        versions: args.node_versions.clone(),
        provider: common.provider.clone(),
        emulated: common.sandbox,
        ttl: args.ttl,
        dir: args.report.clone(),
        max_parallel: common.max_parallel.map(usize::from),
        repeat: args.repeat,
        drills: args.drill.iter().map(|argv| argv.0.clone()).collect(),
        seed: args.seed,
    };
    let report = ci::nightly(&app, &nightly, &stop, &|line| printer.say(line)).await?;
    match printer.wants_json() {
        true => printer.json(&report),
        false => show(&report, printer),
    }
    Ok(match () {
        () if report.left_behind() => Exit::LeftBehind,
        () if report.was_stopped() => Exit::Interrupted,
        () if report.passed => Exit::Ok,
        () => Exit::Failed,
    })
}

fn show(report: &Report, printer: &Printer) {
    let rows: Vec<_> = report
        .entries
        .iter()
        .map(|entry| {
            let steps = || entry.attempts.iter().flat_map(|attempt| &attempt.steps);
            let took = steps().map(|step| step.elapsed_ms).sum();
            let why = steps().find(|step| matches!(step.status, Status::Failed | Status::Stopped));
            vec![
                entry.name.clone(),
                entry.status.as_str().to_owned(),
                entry.attempts.len().to_string(),
                words::duration(took),
                why.map(|step| format!("{}: {}", step.name, step.note)).unwrap_or_default(),
            ]
        })
        .collect();
    printer.text(table::render(&["ENTRY", "ENDED", "TRIES", "TOOK", "WHY"], &rows));
    for flake in &report.flakes {
        printer.text(format_args!(
            "flaky: {} (tonight: {}; in {} of {} earlier nights)\n",
            flake.entry,
            if flake.tonight { "yes" } else { "no" },
            flake.earlier_flaky,
            flake.earlier_nights
        ));
    }
}
