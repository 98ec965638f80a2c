//! One process of the bed: started with an environment of its own, watched until it answers, gone when dropped.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, interval, timeout},
};

use crate::BoxError;

/// How often a starting process is asked whether it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A process that is about to start.
pub(crate) struct Launch {
    name: String,
    command: Command,
    log: PathBuf,
}

impl Launch {
    /// `program`, with nothing of our environment but `path`; what it writes goes to `<dir>/log/<name>.log`.
    pub(crate) fn new(name: &str, program: impl AsRef<OsStr>, dir: &Path, path: &str) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", dir.join("home"))
            .env("TMPDIR", dir.join("tmp"))
            .env("LANG", "C.UTF-8")
            .current_dir(dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Self { name: name.to_owned(), command, log: dir.join("log").join(format!("{name}.log")) }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it, to run until it is dropped.
    pub(crate) fn start(mut self) -> Result<Running, BoxError> {
        let log = fs_err::OpenOptions::new().create(true).append(true).open(&self.log)?.into_file();
        self.command.stdout(log.try_clone()?).stderr(log);
        let child = self.command.spawn().map_err(|cause| format!("{} did not start: {cause}", self.name))?;
        Ok(Running { name: self.name, child, log: self.log })
    }

    /// Runs it to its end, which must be a good one.
    pub(crate) async fn finish(self) -> Result<(), BoxError> {
        let mut running = self.start()?;
        let status = running.child.wait().await?;
        if status.success() { Ok(()) } else { Err(running.trouble(&format!("ended with {status}"))) }
    }
}

/// A process that runs.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it and returns when it is gone and its ports are free.
    pub(crate) async fn stop(mut self) -> Result<(), BoxError> {
        Ok(self.child.kill().await?)
    }

    /// Waits until `answers` says yes; fails when the process ends before, or after `limit`.
    pub(crate) async fn until<F: Future<Output = bool>>(
        mut self,
        limit: Duration,
        answers: impl Fn() -> F,
    ) -> Result<Self, BoxError> {
        let deadline = Instant::now() + limit;
        let mut looks = interval(LOOK_AGAIN);
        loop {
            looks.tick().await;
            if timeout(Duration::from_secs(5), answers()).await.unwrap_or(false) {
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.trouble(&format!("ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.trouble(&format!("does not answer after {} s", limit.as_secs())));
            }
        }
    }

    fn trouble(&self, what: &str) -> BoxError {
        let log = fs_err::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
        format!("{} {what}; the end of its log:\n  {tail}", self.name).into()
    }
}

/// Whether a plain HTTP server answers 200 there.
pub(crate) async fn http_ok(address: &str, path: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut status = [0; 12]; // "HTTP/1.1 200"
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok(status.ends_with(b" 200"))
    };
    ask.await.unwrap_or(false)
}

/// Whether someone listens there.
pub(crate) async fn listens(address: &str) -> bool {
    TcpStream::connect(address).await.is_ok()
}
