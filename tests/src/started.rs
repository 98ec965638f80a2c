//! The program while it runs: heard, signalled, killed.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::Output;

/// Longer than any step takes on a busy machine; what is waited for is the words, not the time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program that was started and has not been waited for.
///
/// # Guarantees
/// It is killed when dropped.
pub struct Started {
    child: Child,
    /// Lines of standard error, as they come.
    lines: Receiver<String>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Started {
    /// Starts `command`, without input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn new(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|cause| panic!("it does not start: {cause}"));
        let (said, lines) = channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // both are read all the time: a full pipe would stop the program
        let stdout = std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.map(|mut pipe| pipe.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let stderr = std::thread::spawn(move || stderr.map(|pipe| listen(pipe, &said)).unwrap_or_default());
        Self { child, lines, stdout: Some(stdout), stderr: Some(stderr) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says a line on standard error that holds all these words.
    ///
    /// # Panics
    /// With everything it said, when it ends before or takes too long.
    #[track_caller]
    pub fn until(&mut self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("it does not say {words:?}: {:?}", self.kill()),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before {words:?}: {:?}", self.wait()),
            }
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).unwrap_or_else(|cause| panic!("{signal} cannot be sent: {cause}"));
    }

    /// `kill -9`; what it had said until then.
    pub fn kill(&mut self) -> Output {
        // one that has ended meanwhile cannot be killed, and need not be
        drop(self.child.kill());
        self.wait()
    }

    /// Lets it go on for a while and then kills it; says whether it was still alive.
    ///
    /// # Panics
    /// When it ended by itself, and not well.
    #[track_caller]
    pub fn kill_after(&mut self, while_: Duration) -> bool {
        use wait_timeout::ChildExt;
        let ended = self.child.wait_timeout(while_).expect("it is our child");
        if ended.is_some() {
            self.wait().ok();
            return false;
        }
        self.kill();
        true
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Output {
        let status = self.child.wait().expect("it is our child");
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader.take().map(|reader| reader.join().expect("it only reads")).unwrap_or_default()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Output { status: status.code().unwrap_or(-1), stdout, stderr }
    }
}

/// Makes a program believe that it is an hour later. Its own clock is not touched, and time goes on as it does.
///
/// # Panics
/// When `faketime` is missing.
pub fn an_hour_ahead(command: &mut Command) -> &mut Command {
    // the program that comes with the library knows where it is
    let asked = Output::of(Command::new("faketime").args(["-f", "+1h", "printenv", "LD_PRELOAD"])).ok();
    command
        .env("LD_PRELOAD", asked.stdout.trim())
        .env("FAKETIME", "+1h")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

fn listen(pipe: impl Read, said: &Sender<String>) -> String {
    let mut text = String::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        text.push_str(&line);
        text.push('\n');
        // nobody may be waiting for words any more
        drop(said.send(line));
    }
    text
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
