use std::path::PathBuf;

use platform_app::{
    App, Refusal,
    render::{self, Difference, Kind, Rendered, Written},
    specs,
};
use serde_json::json;

use crate::{args::Common, exit::Exit, printer::Printer};

/// Turn the spec into the files of its repositories
///
/// The same spec gives the same bytes each time. Without --out the files are only listed; with it, files of an earlier
/// rendering that are not rendered any more are removed. --check compares them with what
/// is in Git, changes nothing, and exits 5 when something differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform render --out tree\n  platform render --check")]
pub struct Args {
    /// Write the files below this directory, one folder for each repository
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with what is in Git
    #[arg(long)]
    check: bool,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let wanted = specs::load(&common.chosen()).await?;
    printer.findings(&wanted.findings);
    let app = App::open(common.state_dir().as_deref()).await?;
    let rendering = render::render(&app, &wanted).await?;
    let repositories = rendering.repositories();
    let written = match &args.out {
        Some(out) => rendering.write(out)?,
        None => Written::default(),
    };
    let differences = if args.check { Some(rendering.compare(&app, &wanted).await?) } else { None };
    if printer.wants_json() {
        printer.json(&json!({
            "schema": "platform.render/v1",
            "repositories": repositories,
            "out": args.out.as_ref().map(|out| out.to_string_lossy()),
            "differences": differences,
        }));
    } else {
        match &differences {
            Some(differences) if differences.is_empty() => printer.say("Git holds what was rendered"),
            Some(differences) => differences.iter().for_each(|difference| tell(difference, printer)),
            None => repositories.iter().for_each(|repository| list(repository, printer)),
        }
        if let Some(out) = &args.out {
            printer.say(format_args!("wrote the files below {}", out.display()));
            for path in &written.removed {
                printer.say(format_args!("removed {path}: it is not rendered any more"));
            }
            for path in &written.kept {
                printer
                    .warn(format_args!("{path} is not rendered any more, and was changed by hand: it stays"));
            }
        }
    }
    Ok(if differences.is_some_and(|differences| !differences.is_empty()) { Exit::Drift } else { Exit::Ok })
}

fn list(repository: &Rendered, printer: &Printer) {
    for file in &repository.files {
        printer.text(format_args!("{}/{file}\n", repository.repository));
    }
}

fn tell(difference: &Difference, printer: &Printer) {
    if let Some(why) = &difference.why {
        printer.text(format_args!("{}: {why}\n", difference.repository));
    }
    for change in &difference.changes {
        let word = match change.kind {
            Kind::Add => "missing",
            Kind::Modify => "differs",
            Kind::Delete => "surplus",
        };
        printer.text(format_args!("{word}  {}/{}\n", difference.repository, change.path));
    }
}
