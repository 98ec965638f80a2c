use std::path::PathBuf;

use clap::Subcommand;
use platform_app::{
    Refusal, place,
    sandbox::{Call, Said, Sandbox, Started, Status},
};
use platform_spec::{Class, Code, Failure};
use serde_json::json;

use crate::{args::Common, exit::Exit, printer::Printer, table, words};

/// The emulated cloud on this machine: start, stop, look, make things go wrong
///
/// The sandbox is a background process that serves a cloud with Kubernetes APIs, an object store and DNS zones on this
/// machine's loopback interface. It needs no Docker, no account and no network. `platform up` starts it when a spec asks
/// for it; it keeps what it has when it is stopped, and when it is killed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform sandbox start\n  platform sandbox status\n  \
    kubectl --kubeconfig \"$(platform sandbox kubeconfig)\" get pods -A\n  \
    platform sandbox faults storm.yaml\n  platform sandbox reset --yes")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start it, unless it is running
    Start {
        /// Rules by which calls go wrong
        #[arg(long, value_name = "FILE")]
        faults: Option<PathBuf>,
    },
    /// Stop it; it keeps what it has
    Stop,
    /// Show whether it runs, what it serves and what it holds
    Status,
    /// Stop it and remove everything it has
    Reset,
    /// Print the path of a cluster's kubeconfig
    Kubeconfig {
        /// Which cluster, when there are several
        cluster: Option<String>,
    },
    /// Show the rules by which calls go wrong; set those of a file; take them away
    Faults {
        /// Rules to set instead of those that are there
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Take all rules away
        #[arg(long, conflicts_with = "file")]
        clear: bool,
    },
    /// Show the last calls that its cloud answered
    Calls {
        /// Only those after this number
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
    },
    /// Play a program of the container engine that providers find with `--sandbox`
    #[command(hide = true)]
    Play {
        /// `kind`, or `docker`
        program: String,
        /// What it is given
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Run it in the foreground
    Serve {
        /// Rules by which calls go wrong
        #[arg(long, value_name = "FILE")]
        faults: Option<PathBuf>,
    },
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let sandbox = Sandbox::of(&place::state_dir(common.state_dir().as_deref())?)?;
    match &args.what {
        What::Start { faults } => {
            let Started { status, now } = sandbox.start(faults.as_deref()).await?;
            printer.say(if now { "the sandbox is started" } else { "the sandbox was running already" });
            show(Some(&status), printer);
        }
        What::Stop => {
            let was = sandbox.stop().await?;
            printer.say(if was {
                "the sandbox is stopped; it keeps what it has"
            } else {
                "it was not running"
            });
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.sandbox/v1", "running": false, "was_running": was}));
            }
        }
        What::Status => show(sandbox.status().await?.as_ref(), printer),
        What::Reset => {
            if !common.yes {
                return Err(Failure::new(Code::new("P0903"), Class::Config, "will not reset the sandbox unasked")
                    .because("everything that its cloud, its clusters, its buckets and its repositories hold would be lost")
                    .hint("give `--yes`")
                    .into());
            }
            sandbox.reset().await?;
            printer.say("the sandbox is empty");
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.sandbox/v1", "running": false}));
            }
        }
        What::Kubeconfig { cluster } => {
            let found = sandbox.kubeconfig(cluster.as_deref()).await?;
            match printer.wants_json() {
                true => printer.json(&json!({"schema": "platform.sandbox-kubeconfig/v1", "file": found})),
                false => printer.text(format_args!("{}\n", found.display())),
            }
        }
        What::Faults { file, clear } => {
            if *clear || file.is_some() {
                let rules = sandbox.set_faults(file.as_deref()).await?;
                printer.say(format_args!("{rules} rules in force"));
            }
            let standing = sandbox.faults().await?;
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.sandbox-faults/v1", "faults": standing}));
            } else if standing.is_empty() {
                printer.say("nothing goes wrong");
            } else {
                let line = |standing| serde_json::to_string(standing).unwrap_or_default() + "\n";
                printer.text(standing.iter().map(line).collect::<String>());
            }
        }
        What::Calls { after } => {
            let calls = sandbox.calls(*after).await?;
            match printer.wants_json() {
                true => printer.json(&json!({"schema": "platform.sandbox-calls/v1", "calls": calls})),
                false => printer.text(calls_table(&calls)),
            }
        }
        What::Play { program, arguments } => {
            let say = &mut |said| match said {
                Said::Out(text) => printer.text(text),
                Said::Err(text) => printer.as_it_is(text),
                Said::File { .. } | Said::Ended(_) => {}
            };
            let code = sandbox.play(program, arguments.clone(), say).await?;
            return Ok(Exit::Played(u8::try_from(code).unwrap_or(1)));
        }
        What::Serve { faults } => sandbox.serve(faults.as_deref()).await?,
    }
    Ok(Exit::Ok)
}

fn show(status: Option<&Status>, printer: &Printer) {
    let Some(status) = status else {
        match printer.wants_json() {
            true => printer.json(&json!({"schema": "platform.sandbox/v1", "running": false})),
            false => printer.text("the sandbox is not running\n"),
        }
        return;
    };
    if printer.wants_json() {
        let mut document = json!({"schema": "platform.sandbox/v1", "running": true});
        if let (Some(document), Ok(serde_json::Value::Object(status))) =
            (document.as_object_mut(), serde_json::to_value(status))
        {
            document.extend(status);
        }
        printer.json(&document);
        return;
    }
    printer.text(format_args!(
        "sandbox      pid {}, since {}\n  cloud      {} ({} things, {} calls, {} fault rules)\n  s3         {}\n  dns        {}\n  folder     {}\n",
        status.pid,
        words::moment(status.since),
        status.cloud,
        status.things,
        status.calls,
        status.faults,
        status.s3,
        status.dns,
        status.folder.display(),
    ));
    let rows: Vec<_> = status
        .clusters
        .iter()
        .map(|it| vec![it.name.clone(), it.server.clone(), it.kubeconfig.display().to_string()])
        .collect();
    if !rows.is_empty() {
        printer.text(format_args!("\n{}", table::render(&["CLUSTER", "API", "KUBECONFIG"], &rows)));
    }
}

fn calls_table(calls: &[Call]) -> String {
    let rows: Vec<_> = calls
        .iter()
        .map(|call| {
            vec![
                call.seq.to_string(),
                words::moment(call.at),
                call.service.clone(),
                call.operation.clone(),
                call.target.clone(),
                call.outcome.clone(),
                call.fault.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table::render(&["NO", "WHEN", "SERVICE", "CALL", "OF", "OUTCOME", "FAULT"], &rows)
}
