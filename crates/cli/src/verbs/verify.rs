mod repo;

use platform_app::{
    App, Refusal, specs,
    verify::{self, Check, Verdict},
};

use crate::{args::Common, exit::Exit, printer::Printer, table};

/// Ask whether the platform answers as it should
///
/// Every cluster's API, its nodes, the Applications of its Argo CD, and the hosts whose addresses the spec knows. Changes
/// nothing; exits 1 when something does not answer as it should.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform verify\n  platform verify -f platform.yaml --output json\n  \
    platform verify repo .")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

/// What else can be verified.
#[derive(Debug, clap::Subcommand)]
enum What {
    Repo(repo::Args),
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    if let Some(What::Repo(args)) = &args.what {
        return repo::run(args, printer);
    }
    let wanted = specs::load(&common.chosen_or_starter()).await?;
    let app = App::open(common.state_dir().as_deref()).await?;
    let report = verify::verify(&app, &wanted).await?;
    if printer.wants_json() {
        printer.json(&report);
    } else {
        printer.text(of_checks(&report.checks));
    }
    Ok(if report.passed { Exit::Ok } else { Exit::Failed })
}

/// What was asked, as a table.
pub fn of_checks(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let verdict = match check.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        vec![check.cluster.clone(), check.what.clone(), verdict.to_owned(), check.found.clone()]
    };
    table::render(&["CLUSTER", "ASKED", "ANSWER", "FOUND"], &checks.iter().map(row).collect::<Vec<_>>())
}
