//! Examining a provider in the behaviours that every provider must show.
//!
//! The sandbox is examined in worlds of its own, one for each behaviour, in virtual time and with faults. Any other
//! provider is examined at the place that it leads to: a cluster is really made and removed there, many times.

mod played;

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use platform_flows::{doors::Reach, wish};
use platform_provider::{
    ClusterRequest, Description, Provider,
    conformance::{ALL, Broken, Outside, examine},
    process::ProcessProvider,
};
use platform_sandbox::play::argocd::{Programs, Renderer};
use platform_spec::{Class, Code, Failure, PlatformName};
use ulid::Ulid;

pub use platform_provider::conformance::{Checked, Examined, Level, Verdicts};

use crate::{App, doors, specs::Wanted};

/// The provider that is examined in worlds of its own.
pub const PLAYED: &str = "sandbox";

/// Makes a provider as a new process of this program would have it: nothing is remembered.
type Make = Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>;

/// Examines the sandbox in some levels (none: all). `say` hears of each behaviour as it is over.
///
/// # Errors
/// `P0919` when a world cannot be made.
pub async fn played(levels: &[Level], say: impl FnMut(&Checked)) -> Result<Examined, Failure> {
    let renderer = Arc::new(Renderer::new(Programs::default()));
    let world = async |_: &str| played::Played::new(renderer.clone()).await;
    examine(world, levels, say).await.map_err(unexaminable)
}

/// Examines the provider of the first chosen cluster of a spec, at the place that the spec names.
///
/// # Errors
/// `P0911` when this program does not have the provider; `P0919` when it cannot say what it is.
pub async fn known(
    app: &App,
    wanted: &Wanted,
    levels: &[Level],
    say: impl FnMut(&Checked),
) -> Result<Examined, Failure> {
    let Reach { provider: kind, request } = chosen(wanted, |_| true)?;
    if let Some(kind) = kind.strip_suffix(wish::EMULATED) {
        let state = app.sandbox.clone();
        let Some(index) = doors::emulated(&state).iter().position(|(it, _)| *it == kind) else {
            return Err(nobody(kind));
        };
        let make: Make = Arc::new(move || doors::emulated(&state).swap_remove(index).1);
        let description = make().describe().await?;
        return outside(make, &description, request, levels, say).await;
    }
    for (index, provider) in doors::providers(&app.dir).iter().enumerate() {
        let description = provider.describe().await?;
        if description.kind == kind {
            let state = app.dir.clone();
            let make: Make = Arc::new(move || doors::providers(&state).swap_remove(index));
            return outside(make, &description, request, levels, say).await;
        }
    }
    Err(nobody(&kind))
}

/// A provider that is a program of its own.
#[derive(Clone, Debug)]
pub struct Plugin {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Plugin {
    /// That of a program, which is given arguments.
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments }
    }

    /// A new process of it, started with the first call.
    pub fn started(&self) -> Arc<dyn Provider> {
        let Self { program, arguments } = self;
        Arc::new(ProcessProvider::new(&program.display().to_string(), program, arguments))
    }
}

/// Examines a provider that is a program of its own, started anew for every call: at the place of the first chosen
/// cluster of a spec that is of its kind, or, without a spec, on a cluster with a name and nothing else.
///
/// # Errors
/// `P0204` and its like when the program cannot be started or does not answer; `P0911` when the spec has no cluster of
/// its kind.
pub async fn plugin(
    plugin: Plugin,
    wanted: Option<&Wanted>,
    levels: &[Level],
    say: impl FnMut(&Checked),
) -> Result<Examined, Failure> {
    let make: Make = Arc::new(move || plugin.started());
    let description = make().describe().await?;
    let request = match wanted {
        Some(wanted) => chosen(wanted, |kind| kind == description.kind)?.request,
        None => ClusterRequest::new("examined", "one", &description.kind),
    };
    outside(make, &description, request, levels, say).await
}

/// The first chosen cluster whose provider's kind fits.
fn chosen(wanted: &Wanted, fits: impl Fn(&str) -> bool) -> Result<Reach, Failure> {
    let meant = |name: &String| wanted.only.as_ref().is_none_or(|only| only.contains(name));
    let mut clusters = wanted.model.clusters.iter();
    let cluster = clusters.find(|cluster| meant(&cluster.name) && fits(&cluster.provider.kind));
    cluster.map(|cluster| wish::reach(&wanted.model, cluster)).ok_or_else(|| {
        Failure::new(Code::new("P0911"), Class::Config, "the spec has no such cluster to be examined on")
            .hint("name a spec with `--file`, and one of its clusters with `--cluster`")
    })
}

async fn outside(
    make: Make,
    description: &Description,
    request: ClusterRequest,
    levels: &[Level],
    say: impl FnMut(&Checked),
) -> Result<Examined, Failure> {
    // Nobody has had a platform of such a name: behaviours take leases of it.
    let family = Ulid::generate().to_string().to_lowercase();
    let family = &family[family.len() - 6..];
    let subject = async |name: &str| {
        let number = ALL.iter().position(|(it, _)| *it == name).unwrap_or_default();
        let platform = format!("c{family}-{number}");
        let mut request = request.clone();
        request.tags.insert("platform.dev/name".to_owned(), platform.clone());
        request.platform = PlatformName::new(platform);
        let mut subject = Outside::new(make.clone(), request);
        if description.capabilities.checks_epochs {
            subject = subject.with_epochs();
        }
        if description.capabilities.sweeps {
            subject = subject.that_sweeps();
        }
        Ok(if description.capabilities.makes_clusters { subject } else { subject.found() })
    };
    examine(subject, levels, say).await.map_err(unexaminable)
}

fn nobody(kind: &str) -> Failure {
    Failure::new(Code::new("P0911"), Class::Config, format!("there is no provider `{kind}` to examine"))
        .hint("`platform providers` lists those that this program has; a plugin is named by a path: `./acme`")
}

fn unexaminable(broken: Broken) -> Failure {
    Failure::new(Code::new("P0919"), Class::Bug, "the provider could not be examined").because(broken.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sandbox_shows_every_behaviour() {
        let mut heard = 0;
        let examined = played(&[], |_| heard += 1).await.expect("examined");
        let unheld: Vec<_> =
            examined.checks.iter().filter(|check| check.verdict != Verdicts::Passed).collect();
        assert!(unheld.is_empty() && examined.passed, "{unheld:?}");
        assert_eq!((heard, examined.checks.len()), (ALL.len(), ALL.len()));
        assert_eq!(examined.provider, PLAYED);
    }

    #[tokio::test]
    async fn levels_are_chosen() {
        let examined = played(&[Level::L5], |_| ()).await.expect("examined");
        assert_eq!(examined.levels.len(), 1);
        assert!(examined.passed, "{:?}", examined.checks);
    }
}
