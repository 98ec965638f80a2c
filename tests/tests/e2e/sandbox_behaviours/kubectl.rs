//! Runs the commands of a script.

use std::{
    fmt::Write,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use platform_tests::Output;

use super::{
    plain::plain,
    script::{Kind, Script, Step},
    sides::Place,
};

/// Controllers get this long on busy cores; what is waited for is the condition, not the time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a script to its end and gives everything that was said.
pub(super) fn run(script: &Script, place: &Place) -> String {
    let folder = place.folder();
    for (name, text) in script.files.iter() {
        fs_err::write(folder.join(name), text.replace("@NS", &place.namespace)).expect("written");
    }
    let mut said = String::new();
    let mut started: Option<Going> = None;
    for (number, step) in script.steps.iter().enumerate() {
        if matches!(step.kind, Kind::Succeeds | Kind::Fails | Kind::Until | Kind::Starts) {
            let _ = writeln!(said, "$ {}", step.command);
        }
        let text = match step.kind {
            Kind::Succeeds | Kind::Fails => once(step, place, number),
            Kind::Until => until(step, place),
            Kind::Starts => {
                started = Some(Going::new(words(step, place).0));
                String::new()
            }
            Kind::Lines(lines) => {
                started.iter_mut().for_each(|going| going.read(lines));
                String::new()
            }
            Kind::Stop(lines) => started.take().map_or_else(String::new, |going| going.stop(lines)),
            Kind::End => started.take().map_or_else(String::new, Going::end),
        };
        said += &text;
        if !said.ends_with('\n') {
            said.push('\n');
        }
    }
    said
}

fn once(step: &Step, place: &Place, number: usize) -> String {
    let (mut command, kept) = words(step, place);
    let output = Output::of(&mut command);
    let how = if output.status == 0 { "succeeds" } else { "fails" };
    let stdout = match kept {
        Some(file) => {
            fs_err::write(place.folder().join(file), output.stdout).expect("kept");
            String::new()
        }
        None => in_order(output.stdout),
    };
    format!("[{number}] {how} with {}\n{stdout}{}", output.status, output.stderr)
}

fn until(step: &Step, place: &Place) -> String {
    let start = Instant::now();
    loop {
        let output = Output::of(&mut words(step, place).0);
        let text = format!("{}{}", output.stdout, output.stderr);
        let plain = plain(&text);
        let shows = |words: &String| plain.contains(&words.replace("@NS", &place.namespace));
        if output.status == 0 && step.shows.iter().all(shows) {
            return text;
        }
        if start.elapsed() > PATIENCE {
            return format!("not within {PATIENCE:?}: {text}");
        }
    }
}

/// A document in JSON with its fields in order, anything else as it is.
fn in_order(text: String) -> String {
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(mut document) if document.is_object() => {
            super::plain::sort(&mut document);
            format!("{document:#}")
        }
        _ => text,
    }
}

/// The command, and the file that keeps its output.
fn words(step: &Step, place: &Place) -> (Command, Option<String>) {
    let text = step.command.replace("@NS", &place.namespace);
    let (text, kept) = match text.rsplit_once(" > ") {
        Some((text, file)) if !file.contains([' ', '\'', '"']) => (text.to_owned(), Some(file.to_owned())),
        _ => (text, None),
    };
    let words = shell_words::split(&text).expect("words of a shell");
    let variable = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let variables = words.iter().take_while(variable).count();
    let mut command = place.kubectl();
    for word in &words[..variables] {
        let (name, value) = word.split_once('=').expect("it has one");
        command.env(name, value);
    }
    command.args(&words[variables..]);
    (command, kept)
}

/// A command that goes on.
struct Going {
    child: Child,
    lines: Receiver<String>,
    /// What it has written so far.
    read: Vec<String>,
}

impl Going {
    fn new(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        let (said, lines) = channel();
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // nobody may be waiting for lines any more
                drop(said.send(line));
            }
        });
        Self { child, lines, read: Vec::new() }
    }

    /// Waits until it has written so many lines.
    fn read(&mut self, wanted: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.read.len() < wanted {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.read.push(line),
                Err(_) => return,
            }
        }
    }

    /// Waits for so many lines, and ends it.
    fn stop(mut self, wanted: usize) -> String {
        self.read(wanted);
        drop(self.child.kill());
        if self.read.len() < wanted {
            let mut errors = String::new();
            drop(self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut errors)));
            self.read.push(format!("and no more: {errors}"));
        }
        drop(self.child.wait());
        self.read.join("\n") + "\n"
    }

    /// Waits for its end. What it said is not told: it may have begun too late to see anything.
    fn end(self) -> String {
        let output = self.child.wait_with_output().expect("it is our child");
        format!("ends with {}\n", output.status.code().unwrap_or(-1))
    }
}
