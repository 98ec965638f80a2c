//! What a program says and how it ends.

use super::Ask;
use crate::parts::faults::Refuses;

/// What a program says and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Whether something was made, changed or removed.
    pub changed: bool,
}

impl Reply {
    /// All is well.
    pub fn ok(stdout: impl Into<String>) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    /// All is well, and it is not as it was.
    pub fn changed(stdout: impl Into<String>) -> Self {
        Self { changed: true, ..Self::ok(stdout) }
    }

    /// It is not.
    pub fn failed(code: i32, stderr: impl Into<String>) -> Self {
        Self { code, stderr: stderr.into(), ..Self::default() }
    }

    /// What the engine's server refuses, as the client shows it.
    pub fn refused(why: impl std::fmt::Display) -> Self {
        Self::failed(1, format!("Error response from daemon: {why}\n"))
    }

    /// The server is not there.
    pub fn unreachable() -> Self {
        Self::failed(
            1,
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
        )
    }

    /// As a rule of the fault script asks for, in the engine's words.
    pub fn of_fault(refuses: &Refuses<'_>) -> Self {
        let words = match refuses {
            Refuses::Throttled { .. } => {
                "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading"
            }
            Refuses::Capacity => "write /var/lib/docker/tmp/layer: no space left on device",
            Refuses::Quota => "failed to create task for container: cannot allocate memory",
            Refuses::Expired => "unauthorized: authentication required",
            Refuses::Error { message: Some(words), .. } => words,
            Refuses::Error { status: 403, .. } => {
                return Self::failed(
                    1,
                    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: \
                     dial unix /var/run/docker.sock: connect: permission denied\n",
                );
            }
            Refuses::Error { status: 404, .. } => "No such container: it",
            Refuses::Error { status: 409, .. } => "removal of container it is already in progress",
            Refuses::Error { status: 400, .. } => "invalid reference format",
            Refuses::Error { status: 502..=504, .. } => return Self::unreachable(),
            Refuses::Error { .. } => "server error",
        };
        Self::refused(words)
    }

    /// As `docker run` shows what was refused.
    pub fn of_run(self) -> Self {
        if self.code == 0 {
            return self;
        }
        let stderr =
            format!("docker: {}\n\nRun 'docker run --help' for more information\n", self.stderr.trim_end());
        Self { code: 125, stderr, ..self }
    }

    /// What the engine refuses, as the program shows it that was called.
    pub fn through(self, ask: &Ask) -> Self {
        let words = self.stderr.trim_end().to_owned();
        match (ask.program.as_str(), ask.arguments.first().map(String::as_str)) {
            (super::KIND, verb) => {
                let what = if verb == Some("create") { "failed to create cluster" } else { "" };
                let why = format!(
                    "command \"docker ps -a --filter label=io.x-k8s.kind.cluster --format '{{{{.Names}}}}'\" failed with error: exit status 1\n\nCommand Output: {words}"
                );
                Self::of_kind(what, why)
            }
            (_, Some("run")) => self.of_run(),
            _ => self,
        }
    }

    /// As kind shows what has failed.
    pub fn of_kind(what: &str, why: impl std::fmt::Display) -> Self {
        let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
        Self::failed(1, format!("ERROR: {what}{why}\n"))
    }
}
