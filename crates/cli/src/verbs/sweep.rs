use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use platform_app::{
    App, Refusal, specs, stop,
    sweep::{Asked, Found, Outcome, Report, Sweep},
};
use platform_spec::{Class, Code, Failure};

use crate::{
    args::{Common, duration},
    exit::{self, Exit},
    printer::Printer,
    table, words,
};

/// Remove clusters whose time is over
///
/// Looks at the providers themselves for everything that any platform has made there, also when nothing is recorded here.
/// What was made with --ttl is removed when its time is over and nobody says any more that it is in use. What was made to
/// stay is only removed when its platform is named with --platform.
///
/// Removes only at the provider that --provider names, and says before where that is: the real one, or the sandbox's with
/// --sandbox. Without --provider it shows what is at every provider of the spec (or, without one, of this program), removes
/// nothing, and says the commands that would.
///
/// What says that somebody else has made it goes by its name only when --owner says so, too. Ends with a look at what is
/// left: exits 0 only when nothing is, and 6 with a table otherwise.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform sweep\n  platform sweep --provider kind --dry-run\n  platform sweep --provider kind --yes\n  \
    platform sweep --provider kind --platform demo"
)]
pub struct Args {
    /// Show what is there and what would be removed; remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove this platform, whether its time is over or not, and nothing else
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// With --platform: whose it is, when it is not yours (as the column OWNER has it)
    #[arg(long, value_name = "WHO", requires = "platform")]
    owner: Option<String>,
    /// How long to wait for what is being removed before it is reported as left behind
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    wait: Duration,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    if common.yes && common.provider.is_none() && !args.dry_run {
        return Err(nowhere().into());
    }
    let only_look = args.dry_run || common.provider.is_none();
    let stop = stop::on_signals(|_| ())
        .map_err(|error| exit::out_of_order("listen for Ctrl-C").caused_by(&error))?;
    let has_file = common.file.is_some() || std::path::Path::new(specs::DEFAULT_FILE).exists();
    let wanted = match has_file {
        true => {
            let chosen = specs::Chosen { provider: None, ..common.chosen() };
            Some(specs::load_for_removal(&chosen).await?)
        }
        false => None,
    };
    let app = App::open(common.state_dir().as_deref()).await?;
    let asked = Asked {
        provider: common.provider.clone(),
        platform: args.platform.clone(),
        wait: args.wait,
        only_look,
        emulated: common.sandbox,
        owner: args.owner.clone(),
        ..Asked::default()
    };
    let sweep = Sweep::begin(&app, wanted.as_ref(), asked).await?;
    for place in sweep.places() {
        printer.say(format_args!("looking at {place}"));
    }
    let found = sweep.look(&stop).await?;
    let doomed = found.iter().filter(|it| it.verdict.is_doomed()).count();
    if only_look || doomed == 0 {
        let commands = if args.dry_run { BTreeSet::new() } else { commands(args, common, &found) };
        let report = sweep.report(found, Vec::new());
        show(&report, printer);
        for command in commands {
            printer.say(format_args!("nothing was removed; to remove it: {command}"));
        }
        return Ok(Exit::Ok);
    }
    sweep.judge(&found)?;
    if !common.yes {
        confirm(args, &found, printer)?;
    }
    let report = sweep.remove(found, &stop).await?;
    show(&report, printer);
    Ok(match (report.left.is_empty(), stop.gently.is_cancelled()) {
        (true, _) => Exit::Ok,
        (false, true) => Exit::Interrupted,
        (false, false) => Exit::LeftBehind,
    })
}

fn nowhere() -> Failure {
    Failure::new(Code::new("P0940"), Class::Config, "will not remove anything without `--provider`")
        .because("every provider would be looked at, and that of this machine's containers is a real one")
        .hint("`platform sweep` shows what there is at each, and the commands that remove it")
}

/// What would remove what is doomed, provider by provider.
fn commands(args: &Args, common: &Common, found: &[Found]) -> BTreeSet<String> {
    let doomed = found.iter().filter(|it| it.verdict.is_doomed());
    let command = |it: &Found| {
        let mut command = format!("platform sweep --provider {}", it.provider);
        if let Some(file) = &common.file {
            command.push_str(&format!(" --file {}", file.display()));
        }
        if common.sandbox {
            command.push_str(" --sandbox");
        }
        if let Some(platform) = &args.platform {
            command.push_str(&format!(" --platform {platform}"));
        }
        command
    };
    doomed.map(command).collect()
}

/// Shows what will be lost, and asks a person to type what they mean.
fn confirm(args: &Args, found: &[Found], printer: &Printer) -> Result<(), Failure> {
    let deed = match &args.platform {
        Some(name) => format!("remove platform `{name}`"),
        None => "remove what is over".to_owned(),
    };
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked"))
            .because("standard input is no terminal, so nobody can be asked")
            .hint("see what would be removed with `--dry-run`, then give `--yes`"));
    }
    printer.diagnostic(of_claims(found.iter().filter(|it| it.verdict.is_doomed())));
    let word = args.platform.as_deref().unwrap_or("sweep");
    printer.ask(format_args!("this cannot be undone. To {deed}, type `{word}`:"));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|error| {
        Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked")).caused_by(&error)
    })?;
    if typed.trim() == word {
        return Ok(());
    }
    Err(Failure::new(Code::new("P0909"), Class::Config, format!("did not {deed}: something else was typed"))
        .hint(format!("run the command again and type `{word}`")))
}

fn show(report: &Report, printer: &Printer) {
    for blind in &report.blind {
        printer.warn(format_args!("could not look at provider {blind}"));
    }
    if printer.wants_json() {
        printer.json(report);
        return;
    }
    if report.claims.is_empty() {
        printer.say("nothing belongs to any platform");
        return;
    }
    printer.text(of_claims(report.claims.iter()));
    if !report.left.is_empty() {
        let rows: Vec<_> = report
            .left
            .iter()
            .map(|it| {
                let provider = it.provider.clone();
                vec![provider, it.platform.to_string(), it.kind.clone(), it.name.clone(), it.why.clone()]
            })
            .collect();
        printer.text("\nleft behind\n");
        printer.text(table::render(&["PROVIDER", "PLATFORM", "KIND", "NAME", "WHY"], &rows));
    }
}

fn of_claims<'a>(claims: impl Iterator<Item = &'a Found>) -> String {
    let rows: Vec<_> = claims
        .map(|it| {
            let fate = match it.outcome {
                Outcome::Kept if it.verdict.is_doomed() => "to be removed",
                Outcome::Kept => "kept",
                Outcome::Removed => "removed",
                Outcome::Left => "left behind",
                Outcome::Revived => "in use again",
            };
            vec![
                it.provider.clone(),
                it.platform.to_string(),
                it.cluster.clone().unwrap_or_else(|| "-".to_owned()),
                it.owner.clone().unwrap_or_else(|| "-".to_owned()),
                it.age_ms.map_or_else(|| "-".to_owned(), words::duration),
                it.alive_until.map_or_else(|| "never".to_owned(), words::moment),
                it.verdict.as_str().to_owned(),
                fate.to_owned(),
                it.things.len().to_string(),
            ]
        })
        .collect();
    let heading = ["PROVIDER", "PLATFORM", "CLUSTER", "OWNER", "AGE", "ENDS", "IS", "WAS", "THINGS"];
    table::render(&heading, &rows)
}
