//! The one door through which programs are started: arguments in, exit code and outputs out; no shell.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use platform_provider::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;

/// The container engines that kind can use, in the order in which they are looked for.
pub const ENGINES: [&str; 3] = ["docker", "podman", "nerdctl"];

/// Which programs are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// What stands before every argument for `kind`. Empty: `kind` on the PATH.
    pub kind: Vec<OsString>,
    /// What stands before every argument for the container engine. Empty: the engine that the configuration names, or the
    /// first of [`ENGINES`] on the PATH.
    pub engine: Vec<OsString>,
    /// What is in their environment besides our own.
    pub env: Vec<(OsString, OsString)>,
    /// Whether the machine behind them is not this one: then only what the engine says of it counts, and nothing of this one
    /// is looked at.
    pub elsewhere: bool,
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Why there is no answer of a program.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It is not there, or may not be started.
    NotStarted(io::Error),
    /// It took too long and was killed.
    TooLong(Duration),
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Kind,
    Engine,
}

/// Programs with the engine chosen.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    programs: Programs,
    /// The engine's name: what kind calls it.
    pub engine: String,
}

/// For one call that only asks. Much longer than any takes on a busy machine, shorter than the engine's patience with us.
const DEADLINE: Duration = Duration::from_secs(45);

impl Programs {
    /// Chooses the engine: what the configuration names, or else the first that is there; Docker when there is none, so that
    /// the person hears of it.
    pub(crate) fn open(&self, named: Option<&str>) -> Door {
        let found = || ENGINES.into_iter().find(|name| on_path(OsStr::new(name)).is_some());
        let engine = match named {
            Some(name) => name,
            None if self.engine.is_empty() => found().unwrap_or(ENGINES[0]),
            None => ENGINES[0],
        };
        Door { programs: self.clone(), engine: engine.to_owned() }
    }
}

impl Door {
    fn argv(&self, who: Who) -> Vec<OsString> {
        let (given, name) = match who {
            Who::Kind => (&self.programs.kind, "kind"),
            Who::Engine => (&self.programs.engine, self.engine.as_str()),
        };
        if given.is_empty() { vec![name.into()] } else { given.clone() }
    }

    /// The program's name, for people.
    pub fn name(&self, who: Who) -> &str {
        match who {
            Who::Kind => "kind",
            Who::Engine => &self.engine,
        }
    }

    /// Whether the program that would be called is there at all.
    pub fn is_there(&self, who: Who) -> bool {
        self.argv(who).first().is_some_and(|program| on_path(program).is_some())
    }

    fn command<S: AsRef<OsStr>>(&self, who: Who, arguments: &[S], network: Option<&str>) -> Command {
        let argv = self.argv(who);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).args(arguments).stdin(Stdio::null());
        command.env("KIND_EXPERIMENTAL_PROVIDER", &self.engine);
        if let Some(network) = network {
            let name = if self.engine == "podman" { "PODMAN" } else { "DOCKER" };
            command.env(format!("KIND_EXPERIMENTAL_{name}_NETWORK"), network);
        }
        command.envs(self.programs.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Runs a program to its end. It is killed when the future is dropped.
    pub async fn run<S: AsRef<OsStr>>(&self, who: Who, arguments: &[S]) -> Result<Ended, NoAnswer> {
        self.run_within(who, arguments, DEADLINE).await
    }

    /// As [`Door::run`], with another patience.
    pub async fn run_within<S: AsRef<OsStr>>(
        &self,
        who: Who,
        arguments: &[S],
        deadline: Duration,
    ) -> Result<Ended, NoAnswer> {
        let mut command = tokio::process::Command::from(self.command(who, arguments, None));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        end(command.spawn().map_err(NoAnswer::NotStarted)?, deadline).await
    }

    /// As [`Door::run`]; the program reads something from its standard input.
    pub async fn feed<S: AsRef<OsStr>>(
        &self,
        who: Who,
        arguments: &[S],
        input: &SecretString,
    ) -> Result<Ended, NoAnswer> {
        let mut command = tokio::process::Command::from(self.command(who, arguments, None));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(NoAnswer::NotStarted)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends before it has read all says why, and that is what counts.
            drop(stdin.write_all(input.expose_secret().as_bytes()).await);
        }
        end(child, DEADLINE).await
    }

    /// Starts `kind` and leaves it to itself, in a process group of its own, writing into `log`. Its number.
    pub fn leave<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        network: Option<&str>,
        log: &File,
    ) -> io::Result<u32> {
        let mut command = self.command(Who::Kind, arguments, network);
        command.stdout(log.try_clone()?).stderr(log.try_clone()?).current_dir("/").process_group(0);
        let mut child = command.spawn()?;
        let number = child.id();
        // Somebody has to take in its end, or it would stay a zombie as long as we live.
        std::thread::spawn(move || child.wait());
        Ok(number)
    }
}

/// Waits for a program's end, as long as patience lasts.
async fn end(child: tokio::process::Child, deadline: Duration) -> Result<Ended, NoAnswer> {
    match tokio::time::timeout(deadline, child.wait_with_output()).await {
        Err(_) => Err(NoAnswer::TooLong(deadline)),
        Ok(Err(error)) => Err(NoAnswer::NotStarted(error)),
        Ok(Ok(output)) => Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

/// Where a program is, as `execvp` would find it.
fn on_path(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Path::new(program).exists().then(|| program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(script: &str) -> Door {
        let engine = ["sh", "-c", script, "engine"].map(OsString::from).to_vec();
        Programs { engine, ..Programs::default() }.open(None)
    }

    #[tokio::test]
    async fn a_program_gets_its_arguments_as_they_are() {
        let ended =
            door("printf '%s|' \"$@\"; echo oops >&2; exit 3").run(Who::Engine, &["a b", "$HOME", ""]).await;
        let ended = ended.expect("it ran");
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
            (Some(3), "a b|$HOME||", "oops\n")
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_and_one_that_is_not_there_is_said() {
        let patience = Duration::from_millis(50);
        let hung = door("exec sleep 600").run_within(Who::Engine, &["x"], patience).await;
        assert!(matches!(hung, Err(NoAnswer::TooLong(_))), "{hung:?}");
        let nobody =
            Programs { kind: vec!["platform-no-such-program".into()], ..Programs::default() }.open(None);
        assert!(!nobody.is_there(Who::Kind));
        assert!(matches!(nobody.run(Who::Kind, &["x"]).await, Err(NoAnswer::NotStarted(_))));
    }

    #[test]
    fn the_engine_is_the_one_that_was_named() {
        assert_eq!(Programs::default().open(Some("podman")).engine, "podman");
        let put = Programs { engine: vec!["emulated".into()], ..Programs::default() };
        assert_eq!(put.open(None).engine, "docker");
    }
}
