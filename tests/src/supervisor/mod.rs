//! The process that is the bed: it starts the components and, as process 1 of its own process namespace, takes all of
//! them with it when it ends, however it ends.

mod control_plane;
mod dns;
pub(crate) mod git;
mod kubelet;
mod pods;
mod s3;
mod sandbox;

pub(crate) use dns::{zone_options, zone_text};

use std::{path::Path, process::Command, time::Duration};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::wait,
    },
    unistd::{Pid, getpid},
};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use kube::Client;

use crate::{
    BoxError,
    components::Components,
    facts::{Facts, Plane},
    process::{Launch, Running},
};

/// How often the kubelet looks at the cluster. A real one hears of a pod at once; half a second keeps tests quick
/// and costs the API server next to nothing.
const KUBELET_LOOKS: Duration = Duration::from_millis(500);

/// What every part of the bed needs to start.
pub(crate) struct Site {
    facts: Facts,
    components: Components,
    path: String,
}

impl Site {
    fn dir(&self) -> &Path {
        &self.facts.dir
    }

    /// A process of the bed named `name`.
    fn launch(&self, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Launch {
        Launch::new(name, program, self.dir(), &self.path)
    }
}

/// The Kubernetes API and the object store, for as long as this lives.
enum Cluster {
    Real(control_plane::ControlPlane, #[expect(dead_code, reason = "it runs until it is dropped")] Running),
    Sandbox(sandbox::Sandbox),
}

impl Cluster {
    async fn start(site: &Site) -> Result<Self, BoxError> {
        Ok(match site.facts.plane {
            Plane::Real => {
                let (plane, s3) = tokio::try_join!(control_plane::start(site), s3::start(site))?;
                Self::Real(plane, s3)
            }
            Plane::Sandbox => Self::Sandbox(sandbox::start(site).await?),
        })
    }

    fn client(&self) -> Client {
        match self {
            Self::Real(plane, _) => plane.client.clone(),
            Self::Sandbox(sandbox) => sandbox.client.clone(),
        }
    }
}

/// Runs the bed in `dir` until its starter goes away: the end of standard input (with `lifeline`), or SIGTERM.
///
/// Prints `ready` on standard output once every component answers. Must be process 1 of a process namespace and
/// alone in a network namespace; the caller has written [`Facts`] into `dir`. Removes `dir` at its end unless `keep`.
pub async fn supervise(dir: &Path, lifeline: bool, keep: bool) -> Result<(), BoxError> {
    if getpid() != Pid::from_raw(1) {
        return Err(
            "the supervisor runs only as process 1 of a namespace; start it with `platform-bed up`".into()
        );
    }
    let lock = fs_err::File::create(dir.join("lock"))?.into_file();
    lock.lock()?; // held until this process is gone: a folder whose lock is free is nobody's

    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = run(dir) => outcome,
        () = hang_up(lifeline) => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if let Err(trouble) = &outcome {
        say(&format!("failed {}", trouble.to_string().replace('\n', "\u{1f}")));
    }
    leave_nothing(dir, keep);
    outcome
}

async fn run(dir: &Path) -> Result<(), BoxError> {
    for folder in ["log", "home", "tmp", "bin", "git", "pods", "worlds"] {
        fs_err::create_dir_all(dir.join(folder))?;
    }
    let components = Components::find()?;
    let path = format!("{}:{}", dir.join("bin").display(), components.path());
    let site = Site { facts: Facts::read(dir)?, components, path };

    loopback_up()?;
    let (cluster, _dns, ()) = tokio::try_join!(Cluster::start(&site), dns::start(&site), git::start(&site))?;
    let mut kubelet = kubelet::Kubelet::new(&site, cluster.client())?;
    say("ready");

    let mut looks = interval(KUBELET_LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(trouble) = kubelet.look().await {
            complain(&format!("kubelet: {trouble}"));
        }
    }
}

/// A new network namespace has one interface, and it is down.
fn loopback_up() -> Result<(), BoxError> {
    let out = Command::new("ip").args(["link", "set", "lo", "up"]).output()?;
    if out.status.success() {
        Ok(())
    } else {
        Err(format!("ip link set lo up: {}", String::from_utf8_lossy(&out.stderr).trim()).into())
    }
}

/// Returns when whoever started us closed our standard input, which also happens when it is killed.
async fn hang_up(lifeline: bool) {
    if !lifeline {
        return std::future::pending().await;
    }
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    while matches!(stdin.read(&mut byte).await, Ok(1)) {}
}

/// Kills every process of our namespace and removes the folder.
fn leave_nothing(dir: &Path, keep: bool) {
    // all but ourselves, and nobody outside: we are process 1 here, as checked at the beginning
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait().is_ok() {} // orphans are ours too; when none is left nobody writes any more
    if !keep {
        drop(fs_err::remove_dir_all(dir)); // what cannot be removed now is swept by the next bed
    }
}

#[expect(clippy::print_stdout, reason = "the one line that the starter waits for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "goes to supervisor.log")]
fn complain(line: &str) {
    eprintln!("{line}");
}
