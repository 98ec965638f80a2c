//! The sandbox of a state directory: the emulated clouds as a background process.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use platform_sandbox::{
    containers::{Ask, client},
    parts::faults::{Script, Standing, script},
    process::{self, Connection, Control, ControlError, Place},
};
use platform_spec::{Class, Code, Failure};

pub use platform_sandbox::{containers::Said, parts::calls::Call, process::Status};

/// How long a sandbox may take until it answers. It opens a database and some sockets; a machine that is busy with
/// something else may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a new one is asked whether it answers by now.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How much of the log's end is shown when it did not start.
const LAST_WORDS: usize = 5;

/// The sandbox of one state directory.
#[derive(Clone, Debug)]
pub struct Sandbox {
    state: PathBuf,
    place: Place,
}

/// What starting found.
#[derive(Clone, Debug)]
pub struct Started {
    /// How it stands.
    pub status: Status,
    /// Whether it was started now; otherwise it was running.
    pub now: bool,
}

impl Sandbox {
    /// The sandbox of a state directory, running or not. Makes its folder.
    ///
    /// # Errors
    /// `P0801` when the folder cannot be made.
    pub fn of(state: &Path) -> Result<Self, Failure> {
        // The process has a working directory of its own.
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        let folder = state.join("sandbox");
        let place = Place::open(&folder).map_err(|error| {
            Failure::new(
                Code::new("P0801"),
                Class::Config,
                format!("could not use `{}` for the sandbox", folder.display()),
            )
            .caused_by(&error)
            .hint("choose another state directory with `--state PATH`")
        })?;
        Ok(Self { state, place })
    }

    /// Where it keeps what it has.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How it stands; `None` when it does not run.
    ///
    /// # Errors
    /// `P0803` when it runs and does not answer.
    pub async fn status(&self) -> Result<Option<Status>, Failure> {
        self.control().status().await.map_err(|error| self.silent(error))
    }

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// `P0802` when it does not start, with its last words; what [`Sandbox::set_faults`] refuses.
    pub async fn start(&self, faults: Option<&Path>) -> Result<Started, Failure> {
        let rules = faults.map(read_faults).transpose()?;
        if let Some(status) = self.status().await? {
            if let Some(rules) = rules {
                self.control().set_faults(&rules).await.map_err(|error| self.silent(error))?;
            }
            return Ok(Started { status, now: false });
        }
        let mut child = self.spawn(faults).map_err(|error| self.mute().caused_by(&error))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.status().await? {
                let now = status.pid == child.id();
                return Ok(Started { status, now });
            }
            let ended = child.try_wait().map_err(|error| self.mute().caused_by(&error))?;
            // One that ended may have met another, which was started at the same moment and answers soon: it has the lock.
            let another = || matches!(self.place.take(), Ok(None));
            let failed = ended.is_some_and(|status| !status.success()) && !another();
            if failed || begun.elapsed() > PATIENCE {
                return match self.status().await? {
                    Some(status) => Ok(Started { status, now: false }),
                    None => Err(self.mute()),
                };
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Stops it; whether it was running. It keeps what it has.
    ///
    /// # Errors
    /// `P0803` when it does not answer, or does not end.
    pub async fn stop(&self) -> Result<bool, Failure> {
        match self.control().stop().await {
            Err(ControlError::NotRunning) => return Ok(false),
            stopped => stopped.map_err(|error| self.silent(error))?,
        }
        let begun = Instant::now();
        loop {
            // The lock is free when the process is gone.
            match self.place.take() {
                Ok(Some(_)) => return Ok(true),
                _ if begun.elapsed() > PATIENCE => {
                    return Err(self.silent(ControlError::Refused("it does not end".to_owned())));
                }
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Stops it, and removes everything it has.
    ///
    /// # Errors
    /// As [`Sandbox::stop`]; `P0801` when something cannot be removed.
    pub async fn reset(&self) -> Result<(), Failure> {
        self.stop().await?;
        let folder = self.place.folder();
        std::fs::remove_dir_all(folder).map_err(|error| {
            Failure::new(
                Code::new("P0801"),
                Class::Config,
                format!("could not remove `{}`", folder.display()),
            )
            .caused_by(&error)
        })
    }

    /// The file by which `kubectl` reaches one of its clusters.
    ///
    /// # Errors
    /// `P0804` when it does not run; `P0911` when it has no such cluster, or several and none is named.
    pub async fn kubeconfig(&self, cluster: Option<&str>) -> Result<PathBuf, Failure> {
        let Some(status) = self.status().await? else {
            return Err(self.silent(ControlError::NotRunning));
        };
        let fits: Vec<_> =
            status.clusters.iter().filter(|it| cluster.is_none_or(|name| it.name == name)).collect();
        match fits.as_slice() {
            [one] => Ok(one.kubeconfig.clone()),
            _ => {
                let known: Vec<&str> = status.clusters.iter().map(|it| it.name.as_str()).collect();
                let (what, hint) = match (known.is_empty(), cluster) {
                    (true, _) => (
                        "the sandbox has no cluster".to_owned(),
                        "`platform up` makes one; `platform sandbox status` shows what there is".to_owned(),
                    ),
                    (false, Some(name)) => (
                        format!("the sandbox has no cluster `{name}`"),
                        format!("it has: {}", known.join(", ")),
                    ),
                    (false, None) => (
                        "which cluster of the sandbox is meant is not clear".to_owned(),
                        format!("name one of: {}", known.join(", ")),
                    ),
                };
                Err(Failure::new(Code::new("P0911"), Class::Config, what).hint(hint))
            }
        }
    }

    /// The rules by which things go wrong, and what they have done.
    ///
    /// # Errors
    /// `P0804` when it does not run, `P0803` when it does not answer.
    pub async fn faults(&self) -> Result<Vec<Standing>, Failure> {
        self.control().faults().await.map_err(|error| self.silent(error))
    }

    /// Sets the rules of a file instead of those that were there; without a file nothing goes wrong any more.
    ///
    /// # Errors
    /// What is wrong in the file, by line; `P0804` when it does not run.
    pub async fn set_faults(&self, file: Option<&Path>) -> Result<usize, Failure> {
        let rules = file.map(read_faults).transpose()?.unwrap_or_default();
        self.control().set_faults(&rules).await.map_err(|error| self.silent(error))?;
        Ok(rules.faults.len())
    }

    /// The calls that it has answered after a number, as far as they are remembered.
    ///
    /// # Errors
    /// `P0804` when it does not run.
    pub async fn calls(&self, after: u64) -> Result<Vec<Call>, Failure> {
        self.control().calls(after).await.map_err(|error| self.silent(error))
    }

    /// Where it is; it is started when it does not run.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn connection(&self) -> Result<Connection, Failure> {
        self.start(None).await?;
        let connection = self.place.connected().map_err(|error| self.mute().caused_by(&error))?;
        connection.ok_or_else(|| self.mute())
    }

    /// Plays a program of the emulated container engine, and does here to files what it does to files; its exit code. It is
    /// started when it does not run.
    ///
    /// # Errors
    /// As [`Sandbox::start`]; `P0803` when it goes away in the middle.
    pub async fn play(
        &self,
        program: &str,
        arguments: Vec<String>,
        say: &mut (dyn FnMut(Said) + Send),
    ) -> Result<i32, Failure> {
        self.start(None).await?;
        let ask = Ask::here(program, arguments, std::env::vars());
        let mut unwritten = None;
        let code = self
            .control()
            .play(&ask, &mut |said| match client::perform(&said) {
                Ok(()) => say(said),
                Err(error) => drop(unwritten.get_or_insert(error)),
            })
            .await
            .map_err(|error| self.silent(error))?;
        Ok(match unwritten {
            None => code,
            Some(error) => {
                say(Said::Err(format!("ERROR: {error}\n")));
                1
            }
        })
    }

    /// Serves it in this process until it is told to stop.
    ///
    /// # Errors
    /// `P0802`.
    pub async fn serve(&self, faults: Option<&Path>) -> Result<(), Failure> {
        let rules = faults.map(read_faults).transpose()?;
        process::serve(&self.place, rules).await.map_err(|error| {
            Failure::new(Code::new("P0802"), Class::Config, "the sandbox could not be served")
                .caused_by(&error)
        })
    }

    fn control(&self) -> Control {
        Control::at(&self.place)
    }

    /// Starts the process, out of reach of the terminal's signals.
    fn spawn(&self, faults: Option<&Path>) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.place.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("sandbox").arg("serve").arg("-v").arg("--state").arg(&self.state);
        if let Some(faults) = faults {
            // It does not start in our directory.
            command.arg("--faults").arg(std::path::absolute(faults)?);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/")
            .process_group(0)
            .spawn()
    }

    /// It did not start.
    fn mute(&self) -> Failure {
        let log = self.place.log();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        let failure = Failure::new(Code::new("P0802"), Class::Config, "the sandbox did not start");
        let failure = last.iter().fold(failure, |failure, line| failure.because(*line));
        failure.hint(format!("its log is `{}`", log.display()))
    }

    fn silent(&self, error: ControlError) -> Failure {
        match error {
            ControlError::NotRunning => {
                Failure::new(Code::new("P0804"), Class::Config, "the sandbox is not running")
                    .hint("start it with `platform sandbox start`")
            }
            error => Failure::new(Code::new("P0803"), Class::Retryable, "the sandbox does not answer")
                .caused_by(&error)
                .hint(format!("its log is `{}`", self.place.log().display())),
        }
    }
}

/// Reads fault rules from a file.
///
/// # Errors
/// `P0917`, with the place in the file; `P0918` when it cannot be read.
pub(crate) fn read_faults(file: &Path) -> Result<Script, Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Code::new("P0918"), Class::Config, format!("could not read the fault script `{shown}`"))
            .caused_by(&error)
    })?;
    script::read(&shown, &text)
}
