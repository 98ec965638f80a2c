use std::{
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use platform_app::{
    App, Refusal,
    doctor::{self, Ailing, Report},
    specs, stop,
};
use platform_spec::{Class, Code, Failure};

use super::verify;
use crate::{
    args::{Common, duration},
    exit::{self, Exit},
    printer::Printer,
    table,
};

/// Find out what is wrong with the platform, as after a reboot
///
/// Looks for what keeps clusters from being used: nodes that stand still, a kubeconfig entry that leads elsewhere; then asks
/// everything that `platform verify` asks. Changes nothing; exits 1 when something is wrong.
///
/// With --fix it shows what it would do, asks, and does it: it starts what stands still and puts right what leads elsewhere,
/// and waits until everything answers. It never removes anything or makes it anew: that is for `platform up`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform doctor\n  platform doctor --fix\n  platform doctor --fix --yes --wait 10m"
)]
pub struct Args {
    /// Mend what can be mended without losing anything
    #[arg(long)]
    fix: bool,
    /// How long what was mended may take until it answers
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    wait: Duration,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let wanted = specs::load_for_removal(&common.chosen_or_starter()).await?;
    let app = App::open(common.state_dir().as_deref()).await?;
    let mut report = doctor::examine(&app, &wanted).await?;
    if args.fix && report.ailments.iter().any(|ailing| ailing.cure.is_some()) {
        if !common.yes {
            agree(&report, printer)?;
        }
        let told = printer.clone();
        let stop = stop::on_signals(move |_| told.say("stopping"))
            .map_err(|error| exit::out_of_order("listen for Ctrl-C").caused_by(&error))?;
        report = doctor::mend(&app, &wanted, args.wait, &stop).await?;
    }
    show(&report, args.fix, printer);
    Ok(if report.passed { Exit::Ok } else { Exit::Failed })
}

/// Shows what would be done, and asks.
fn agree(report: &Report, printer: &Printer) -> Result<(), Failure> {
    let deed = format!("mend platform `{}`", report.platform);
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked"))
            .because("standard input is no terminal, so nobody can be asked")
            .hint("see what would be done with `platform doctor`, then give `--yes`"));
    }
    printer.diagnostic(of_ailments(&report.ailments));
    printer.ask(format_args!("nothing is removed or made anew. {deed}? [y/N]"));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|error| {
        Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked")).caused_by(&error)
    })?;
    match typed.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => {
            Err(Failure::new(Code::new("P0909"), Class::Config, format!("did not {deed}: the answer was no"))
                .hint("run the command again and type `y`"))
        }
    }
}

fn show(report: &Report, fixes: bool, printer: &Printer) {
    if printer.wants_json() {
        return printer.json(report);
    }
    for ailing in &report.mended {
        printer.say(format_args!("{}: {}: mended", ailing.cluster, ailing.what));
    }
    if !report.ailments.is_empty() {
        printer.text(of_ailments(&report.ailments));
    }
    printer.text(verify::of_checks(&report.checks));
    if !fixes && report.ailments.iter().any(|ailing| ailing.cure.is_some()) {
        printer.say("`platform doctor --fix` mends it");
    }
}

fn of_ailments(ailments: &[Ailing]) -> String {
    let row = |it: &Ailing| {
        let cure = it.cure.clone().unwrap_or_else(|| "nothing that loses nothing".to_owned());
        vec![it.cluster.clone(), it.what.clone(), cure]
    };
    table::render(&["CLUSTER", "WHAT IS WRONG", "WHAT HELPS"], &ailments.iter().map(row).collect::<Vec<_>>())
}
