use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use platform_app::{
    App, Refusal,
    conformance::{self, Checked, Examined, Level, Verdicts},
    providers,
    specs::{self, Chosen},
};
use platform_spec::{Class, Code, Failure};

use super::cannot_write;
use crate::{args::Common, exit::Exit, printer::Printer};

/// Examine a provider in the behaviours that every provider must show
///
/// Lifecycle (L1), kill and resume (L2), nothing left (L3), refusals (L4), adopt (L5). Exits 1 when a behaviour does not
/// hold. What cannot be examined is skipped, and the report says why.
///
/// The sandbox is examined inside this process, in virtual time. Any other provider is examined at the place that the
/// spec names: clusters are really made and removed there, which takes long and may cost money, so it wants --yes.
/// A plugin is named by the path of its program, with its arguments behind `--`; it needs no spec.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform conformance\n  \
    platform conformance --provider sandbox --level L2,L3 --output json\n  \
    platform conformance --provider existing -f platform.yaml --yes --report reports\n  \
    platform conformance --provider ./platform-provider-acme --yes -- --endpoint acme.test")]
pub struct Args {
    /// Only these levels (repeat it, or separate them with commas)
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    level: Vec<Level>,
    /// Write the report into this directory, as conformance.json and conformance.md
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// What the plugin's program is given
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let say = |checked: &Checked| tell(checked, printer);
    let provider = common.provider.as_deref().unwrap_or(conformance::PLAYED);
    let is_program = provider.contains('/');
    if !is_program && !args.arguments.is_empty() {
        return Err(no_program(provider).into());
    }
    let examined = if provider == conformance::PLAYED {
        conformance::played(&args.level, say).await?
    } else if is_program {
        let chosen = common.file.is_some().then(|| Chosen { provider: None, ..common.chosen() });
        let plugin = conformance::Plugin::new(provider.into(), args.arguments.clone());
        let wanted = match &chosen {
            Some(chosen) => Some(specs::load_for(chosen, plugin.started()).await?),
            None => None,
        };
        asked(common)?;
        conformance::plugin(plugin, wanted.as_ref(), &args.level, say).await?
    } else {
        let wanted = match specs::load(&common.chosen()).await {
            // It has no starter spec, for there is no such provider.
            Err(refusal) if refusal.failure.code.as_str() == "P0913" => {
                return Err(unknown(provider, refusal).await);
            }
            wanted => wanted?,
        };
        asked(common)?;
        let app = App::open(common.state_dir().as_deref()).await?;
        conformance::known(&app, &wanted, &args.level, say).await?
    };
    if let Some(dir) = &args.report {
        write(&examined, dir)?;
        printer.say(format_args!("wrote the report into {}", dir.display()));
    }
    match printer.wants_json() {
        true => printer.json(&examined),
        false => printer.text(examined.markdown()),
    }
    Ok(if examined.passed { Exit::Ok } else { Exit::Failed })
}

async fn unknown(provider: &str, refusal: Refusal) -> Refusal {
    let Ok(known) = providers::describe().await else { return refusal };
    let kinds: Vec<&str> = known.iter().map(|it| it.kind.as_str()).collect();
    if kinds.contains(&provider) {
        return refusal;
    }
    Failure::new(Code::new("P0710"), Class::Config, format!("there is no provider of kind `{provider}`"))
        .hint(format!(
            "this program has: {}; a plugin is named by a path: `--provider ./{provider}`",
            kinds.join(", ")
        ))
        .into()
}

fn no_program(provider: &str) -> Failure {
    Failure::new(
        Code::new("P0901"),
        Class::Config,
        format!("`{provider}` is no program that takes arguments"),
    )
    .hint("a plugin is named by a path: `--provider ./acme -- ARGUMENT`")
}

fn asked(common: &Common) -> Result<(), Failure> {
    // In an emulated cloud nothing is paid for and nobody waits long.
    if common.yes || common.sandbox {
        return Ok(());
    }
    Err(Failure::new(Code::new("P0903"), Class::Config, "will not make and remove clusters unasked")
        .because(
            "an examination makes and removes a cluster many times at the place that the provider leads to",
        )
        .hint("give `--yes` when that is what you want"))
}

fn tell(checked: &Checked, printer: &Printer) {
    let verdict = match checked.verdict {
        Verdicts::Passed => "passed ",
        Verdicts::Failed => "FAILED ",
        Verdicts::Skipped => "skipped",
    };
    let why = checked.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    printer.say(format_args!("{} {verdict} {}{why}", checked.level, checked.name.replace('_', " ")));
}

fn write(examined: &Examined, dir: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
    let json = serde_json::to_string_pretty(examined).unwrap_or_default() + "\n";
    for (name, text) in [("conformance.json", json), ("conformance.md", examined.markdown())] {
        let path = dir.join(name);
        fs_err::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
    }
    Ok(())
}
