//! Spec files: finding, checking and starting one.

mod providers;

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use platform_blueprint::{Blueprint, BlueprintError};
use platform_provider::Provider;
use platform_spec::{
    Class, Code, Failure, Model, Parsed, Platform, PlatformName, did_you_mean, parse, parse_emulated,
    report::{Finding, Severity},
    starter::{STARTERS, emulated, starter},
};

use crate::{Refusal, place};
use providers::Known;

/// The spec file when none is named.
pub const DEFAULT_FILE: &str = "platform.yaml";

/// The provider of a starter spec when none is named.
pub const DEFAULT_PROVIDER: &str = "sandbox";

/// Providers that have an emulated cloud, besides [`DEFAULT_PROVIDER`], which is nothing else.
const EMULATED: [&str; 1] = ["kind"];

/// The blueprint that starter specs use.
pub const STARTER_BLUEPRINT: &str = "starter";

/// Which spec, and which part of it.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The file; absent, [`DEFAULT_FILE`].
    pub file: Option<PathBuf>,
    /// Only the clusters of this provider (its name or its kind); when there is no spec file and none was named, the
    /// starter spec of that kind.
    pub provider: Option<String>,
    /// Only these clusters; empty, all.
    pub clusters: Vec<String>,
    /// With no spec file, neither here nor named, take the starter spec of [`DEFAULT_PROVIDER`].
    pub or_starter: bool,
    /// The state directory asked for: the sandbox of a starter spec is below it.
    pub state: Option<PathBuf>,
    /// Its clusters are to be made in emulated clouds.
    pub emulated: bool,
}

/// A spec that may be acted upon.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it says.
    pub platform: Platform,
    /// What it means.
    pub model: Model,
    /// The clusters to work on, when not all.
    pub only: Option<BTreeSet<String>>,
    /// When it was last revised: the file's time of modification, or now for a starter spec.
    pub revision: Timestamp,
    /// Warnings.
    pub findings: Vec<Finding>,
    /// The provider of the starter spec that this is, when there was no file.
    pub starter: Option<String>,
}

impl Wanted {
    /// The platform's name.
    pub fn name(&self) -> PlatformName {
        PlatformName::new(self.model.platform.as_str())
    }
}

/// Reads and checks the chosen spec.
///
/// # Errors
/// `P0912` when there is no file; the code of the first error in it, with all findings; `P0911` when a cluster or
/// provider was chosen that it does not have.
pub async fn load(chosen: &Chosen) -> Result<Wanted, Refusal> {
    read_spec(chosen, &Known::own().await?, Whole::WithBlueprint).await
}

/// As [`load`], for one more provider than this program has.
///
/// # Errors
/// As [`load`]; what the provider answers when it is asked who it is.
pub async fn load_for(chosen: &Chosen, provider: Arc<dyn Provider>) -> Result<Wanted, Refusal> {
    read_spec(chosen, &Known::own().await?.with(provider).await?, Whole::WithBlueprint).await
}

/// As [`load`], without asking whether the blueprint can make it: a platform can also be removed whose blueprint this
/// program does not have any more.
///
/// # Errors
/// As [`load`].
pub async fn load_for_removal(chosen: &Chosen) -> Result<Wanted, Refusal> {
    read_spec(chosen, &Known::own().await?, Whole::WithoutBlueprint).await
}

/// How much of a spec is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    WithBlueprint,
    WithoutBlueprint,
}

async fn read_spec(chosen: &Chosen, known: &Known, whole: Whole) -> Result<Wanted, Refusal> {
    let Text { name, text, revision, starter } = text_of(chosen)?;
    let examined = examine(&name, &text, chosen.emulated, known, whole).await;
    let Examined { platform, mut model, findings } = examined.map_err(|findings| invalid(&name, findings))?;
    if chosen.emulated {
        emulate(&mut model)?;
    }
    let only = select(&model, chosen)?;
    Ok(Wanted { platform, model, only, revision, findings, starter })
}

/// Sends every provider of a model to its emulated cloud.
///
/// # Errors
/// `P0807` when one has none.
fn emulate(model: &mut Model) -> Result<(), Failure> {
    let none = |kind: &str| kind != DEFAULT_PROVIDER && !EMULATED.contains(&kind);
    if let Some(cluster) = model.clusters.iter().find(|cluster| none(&cluster.provider.kind)) {
        let kind = &cluster.provider.kind;
        let failure = Failure::new(
            Code::new("P0807"),
            Class::Config,
            format!("provider `{kind}` of cluster `{}` has no emulated cloud", cluster.name),
        );
        return Err(match kind.as_str() {
            "existing" => failure
                .because("its clusters are there already, and are only used")
                .hint("leave `--sandbox` out, or name a provider that makes clusters: `platform up --provider kind --sandbox`"),
            _ => failure.hint(format!("those that have one: {DEFAULT_PROVIDER}, {}", EMULATED.join(", "))),
        });
    }
    model.emulated = true;
    Ok(())
}

/// A spec before it is parsed.
struct Text {
    name: String,
    text: String,
    revision: Timestamp,
    starter: Option<String>,
}

fn text_of(chosen: &Chosen) -> Result<Text, Failure> {
    if chosen.file.is_none() && !Path::new(DEFAULT_FILE).exists() {
        let provider = chosen.provider.as_deref().or(chosen.or_starter.then_some(DEFAULT_PROVIDER));
        if let Some(provider) = provider {
            let text = starter_text(provider, chosen.state.as_deref(), chosen.emulated)?;
            let name = format!("the starter spec of `{provider}`");
            return Ok(Text { name, text, revision: Timestamp::now(), starter: Some(provider.to_owned()) });
        }
    }
    let file = chosen.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    let text = read(file)?;
    let revised = fs_err::metadata(file).and_then(|metadata| metadata.modified());
    let revision = revised.ok().and_then(|at| Timestamp::try_from(at).ok());
    let revision = revision.unwrap_or_else(Timestamp::now);
    Ok(Text { name: file.display().to_string(), text, revision, starter: None })
}

/// The text of a starter spec.
///
/// # Errors
/// `P0913` when there is none for the provider, `P0902` without a place for the state.
pub fn starter_of(provider: &str, state: Option<&Path>) -> Result<String, Failure> {
    starter_text(provider, state, false)
}

fn starter_text(provider: &str, state: Option<&Path>, in_emulation: bool) -> Result<String, Failure> {
    let state = std::path::absolute(place::state_dir(state)?).map_err(|error| {
        Failure::new(
            Code::new("P0902"),
            Class::Config,
            "could not find a place for the state of this program",
        )
        .caused_by(&error)
    })?;
    let text = if in_emulation { emulated(provider, &state) } else { starter(provider, &state) };
    text.ok_or_else(|| no_starter("provider", provider))
}

/// More than any spec has: two hundred tenants on fifty clusters need a quarter of a megabyte.
const MOST: u64 = 8 << 20;

/// The file's text; `-` is standard input.
fn read(file: &Path) -> Result<String, Failure> {
    let refuse = |why: &str| {
        Failure::new(
            Code::new("P0916"),
            Class::Config,
            format!("will not read `{}` as a spec file", file.display()),
        )
        .because(why)
        .hint("name a file, or `-` for standard input: `platform validate -`")
    };
    let limited = |from: &mut dyn Read| {
        let mut text = String::new();
        from.take(MOST + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = if file == Path::new("-") {
        limited(&mut io::stdin().lock())
    } else {
        let kind = std::fs::metadata(file).map(|metadata| metadata.file_type());
        if kind.is_ok_and(|kind| {
            kind.is_dir() || kind.is_block_device() || kind.is_char_device() || kind.is_socket()
        }) {
            return Err(refuse("it is neither a file nor a pipe"));
        }
        std::fs::File::open(file).and_then(|mut file| limited(&mut file))
    };
    if text.as_ref().is_ok_and(|text| text.len() as u64 > MOST) {
        return Err(refuse("it has more than 8 MiB"));
    }
    text.map_err(|error| {
        let failure = Failure::new(
            Code::new("P0912"),
            Class::Config,
            format!("could not read the spec file `{}`", file.display()),
        )
        .caused_by(&error);
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.hint("`platform init` writes one; `--file PATH` names another")
            }
            _ => failure,
        }
    })
}

/// The refusal of a spec with errors: the first one's code, and all findings.
fn invalid(name: &str, findings: Vec<Finding>) -> Refusal {
    let errors: Vec<&Finding> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let code = errors.first().map_or_else(|| Code::new("P0912"), |first| first.code.clone());
    let count = match errors.len() {
        1 => "an error".to_owned(),
        n => format!("{n} errors"),
    };
    let failure = Failure::new(code, Class::Config, format!("the spec `{name}` has {count}"))
        .hint("mend what is listed above; `platform validate` checks again and changes nothing");
    Refusal { failure: Box::new(failure), findings }
}

/// The clusters that were chosen, when not all were.
fn select(model: &Model, chosen: &Chosen) -> Result<Option<BTreeSet<String>>, Failure> {
    if chosen.clusters.is_empty() && chosen.provider.is_none() {
        return Ok(None);
    }
    for name in &chosen.clusters {
        if !model.clusters.iter().any(|cluster| cluster.name == *name) {
            let names = model.clusters.iter().map(|cluster| cluster.name.as_str());
            return Err(not_in_spec("cluster", name, names));
        }
    }
    if let Some(name) = &chosen.provider
        && !model.clusters.iter().any(|cluster| is_of(cluster, name))
    {
        let names = model.clusters.iter().map(|cluster| cluster.provider.name.as_str());
        return Err(not_in_spec("provider", name, names));
    }
    let only: BTreeSet<String> = model
        .clusters
        .iter()
        .filter(|cluster| chosen.clusters.is_empty() || chosen.clusters.contains(&cluster.name))
        .filter(|cluster| chosen.provider.as_ref().is_none_or(|name| is_of(cluster, name)))
        .map(|cluster| cluster.name.clone())
        .collect();
    if only.is_empty() {
        let failure =
            Failure::new(Code::new("P0911"), Class::Config, "no cluster fits both --cluster and --provider");
        return Err(failure.hint("leave one of them out"));
    }
    Ok(Some(only))
}

fn is_of(cluster: &platform_spec::model::Cluster, provider: &str) -> bool {
    cluster.provider.name == provider || cluster.provider.kind == provider
}

fn not_in_spec<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: BTreeSet<&str> = known.collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Failure::new(Code::new("P0911"), Class::Config, format!("the spec has no {what} `{name}`"))
        .hint(format!("it has: {known}"))
}

/// A file and everything that was found in it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its text.
    pub text: String,
    /// Everything that was found, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Checks a spec file, for real clouds or for emulated ones.
///
/// # Errors
/// `P0912` when it cannot be read. What is wrong in it is no error here.
pub async fn check(file: &Path, in_emulation: bool) -> Result<Checked, Failure> {
    let text = read(file)?;
    let name = file.display().to_string();
    let examined = examine(&name, &text, in_emulation, &Known::own().await?, Whole::WithBlueprint).await;
    let findings = examined.map_or_else(|findings| findings, |examined| examined.findings);
    Ok(Checked { text, findings })
}

/// A spec without errors.
struct Examined {
    platform: Platform,
    model: Model,
    findings: Vec<Finding>,
}

/// Everything that is wrong with a spec, in the order of the file, when an error is among it: what the spec itself says, and once
/// that is right, what its providers and its blueprint say.
async fn examine(
    name: &str,
    text: &str,
    in_emulation: bool,
    known: &Known,
    whole: Whole,
) -> Result<Examined, Vec<Finding>> {
    let Parsed { mut platform, mut findings } = read_as(name, text, in_emulation)?;
    let (model, found) = known.read(name, text, &mut platform).await;
    findings.extend(found);
    if whole == Whole::WithBlueprint {
        findings.extend(of_blueprint(name, text, &platform));
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        true => Err(findings),
        false => Ok(Examined { platform, model, findings }),
    }
}

/// Reads a spec, for real clouds or for emulated ones.
fn read_as(name: &str, text: &str, in_emulation: bool) -> Result<Parsed, Vec<Finding>> {
    if in_emulation { parse_emulated(name, text) } else { parse(name, text) }
}

/// Whether this program has the blueprint that the spec names, and whether that can make what the spec asks for.
fn of_blueprint(name: &str, text: &str, platform: &Platform) -> Vec<Finding> {
    let asked = &platform.spec.blueprint;
    let finding = |severity, code, path: &str, message: String, hint: String| {
        let at = platform_spec::place(text, path);
        Finding {
            class: None,
            code: Code::new(code),
            severity,
            message,
            hint: Some(hint),
            file: Some(name.to_owned()),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            path: Some(path.to_owned()),
        }
    };
    let error = |code, path: &str, message, hint| finding(Severity::Error, code, path, message, hint);
    let blueprint = match Blueprint::embedded(asked.name.as_str()) {
        Ok(blueprint) => blueprint,
        Err(BlueprintError::Unknown { name, known }) => {
            let message = format!("blueprint `{name}` is not part of this program");
            // A name unlike any here is no slip of the pen: the spec may be meant for another version of this program,
            // and can still be checked. Nothing is made from it.
            let (severity, hint) = match did_you_mean(&name, known.iter().map(String::as_str)) {
                Some(near) => (Severity::Error, format!("did you mean `{near}`?")),
                None => (
                    Severity::Warning,
                    format!("there are: {}; nothing can be made from it", known.join(", ")),
                ),
            };
            return vec![finding(severity, "P0601", "spec.blueprint.name", message, hint)];
        }
        // One of ours that cannot be loaded is no matter of the spec; rendering says it.
        Err(_) => return Vec::new(),
    };
    let manifest = blueprint.manifest();
    let mut findings = Vec::new();
    if asked.version != manifest.version {
        let (asked, here) = (&asked.version, &manifest.version);
        findings.push(error(
            "P0601",
            "spec.blueprint.version",
            format!("the spec asks for blueprint `{}` {asked}, and this is {here}", manifest.name),
            format!("write `version: {here}`, then look at `platform plan up`"),
        ));
    }
    let params = serde_json::to_value(&asked.params).unwrap_or_default();
    if let Err(BlueprintError::Params { problems, .. }) = blueprint.complete_params(&params) {
        findings.extend(problems.into_iter().map(|problem| {
            let hint = format!("the parameters of `{}` are in its params.schema.json", manifest.name);
            error("P0603", "spec.blueprint.params", problem, hint)
        }));
    }
    for (at, addon) in platform.spec.addons.iter().enumerate() {
        let addon = addon.name();
        if manifest.addons.iter().any(|known| known == addon) {
            continue;
        }
        let hint = match did_you_mean(addon, manifest.addons.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it can install: {}", manifest.addons.join(", ")),
        };
        let message = format!("blueprint `{}` cannot install add-on `{addon}`", manifest.name);
        findings.push(error("P0609", &format!("spec.addons[{at}]"), message, hint));
    }
    findings
}

/// Whether a text is a version of Kubernetes as the spec takes it.
pub fn is_kubernetes_version(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |part: Option<&str>| {
        part.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts.next() == Some("1") && number(parts.next()) && {
        let patch = parts.next();
        (patch.is_none() || number(patch)) && parts.next().is_none()
    }
}

/// The JSON Schema of the spec file.
pub fn schema() -> &'static serde_json::Value {
    platform_spec::schema::schema()
}

/// Writes a starter spec.
///
/// # Errors
/// `P0904` when the file exists, `P0906` when it cannot be written, `P0913` when there is no such starter.
pub fn init(file: &Path, blueprint: &str, provider: &str, state: Option<&Path>) -> Result<(), Failure> {
    if blueprint != STARTER_BLUEPRINT {
        return Err(no_starter("blueprint", blueprint));
    }
    let text = starter_of(provider, state)?;
    let shown = file.display();
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut handle| handle.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Code::new("P0904"), Class::Config, format!("will not overwrite `{shown}`"))
                .hint("write to another file with `platform init --file PATH`")
        }
        _ => Failure::new(Code::new("P0906"), Class::Config, format!("could not write `{shown}`"))
            .caused_by(&error),
    })
}

fn no_starter(what: &str, name: &str) -> Failure {
    let known = if what == "provider" { STARTERS.join(", ") } else { STARTER_BLUEPRINT.to_owned() };
    Failure::new(Code::new("P0913"), Class::Config, format!("there is no starter spec for {what} `{name}`"))
        .hint(format!("there is one for: {known}"))
}
