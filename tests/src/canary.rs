//! Looking for secrets where none should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use memchr::memmem::Finder;

/// How often the command lines of all processes are read. A child that lives for less may be missed once, not in every
/// run; and what `git` is called with is written down by [`Canaries::shim`] as well.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Secrets, in every form in which they could be written down: as they are, base64 (also in the middle of something
/// longer, as in a login header), percent-encoded, hexadecimal.
pub struct Canaries {
    forms: Vec<(String, Finder<'static>)>,
}

impl Canaries {
    /// Of named secrets.
    pub fn new(secrets: &[(&str, &str)]) -> Self {
        let mut forms = Vec::new();
        for (name, secret) in secrets {
            assert!(secret.len() >= 12, "{name} is too short to be told from chance");
            let mut known = BTreeSet::new();
            let mut add = |form: &str, text: Vec<u8>| {
                // a secret of plain letters is its own percent-encoding
                if !known.insert(text.clone()) {
                    return;
                }
                forms.push((format!("{name} ({form})"), Finder::new(&text).into_owned()));
            };
            add("as it is", secret.as_bytes().to_vec());
            for lead in 0..3 {
                // whatever stands before it, one of three places in a group of base64 is where it begins
                let padded = [&b"\0\0\0"[..lead], secret.as_bytes()].concat();
                for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    let text = engine.encode(&padded).into_bytes();
                    let first = (lead * 8).div_ceil(6);
                    let last = padded.len() * 8 / 6;
                    add("base64", text[first..last].to_vec());
                }
            }
            let percent = |hex: fn(u8) -> String| -> Vec<u8> {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
                let encoded = secret.bytes().map(|byte| {
                    if plain(byte) { char::from(byte).to_string() } else { format!("%{}", hex(byte)) }
                });
                encoded.collect::<String>().into_bytes()
            };
            add("percent-encoded", percent(|byte| format!("{byte:02X}")));
            add("percent-encoded", percent(|byte| format!("{byte:02x}")));
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            add("hexadecimal", hex.into_bytes());
            if let Ok(bytes) = STANDARD.decode(secret)
                && bytes.len() >= 12
            {
                add("decoded", bytes);
            }
        }
        Self { forms }
    }

    /// Which of them are in `bytes`.
    pub fn find_in(&self, bytes: &[u8]) -> Vec<&str> {
        let found = self.forms.iter().filter(|(_, finder)| finder.find(bytes).is_some());
        let mut names: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    /// `place: name` for each that is in `bytes`.
    pub fn sightings(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        self.find_in(bytes).into_iter().map(|name| format!("{place}: {name}")).collect()
    }

    /// Sightings in the raw bytes of every file below `folder`, and how many bytes that were.
    ///
    /// # Panics
    /// When a file cannot be read.
    pub fn sightings_below(&self, folder: &Path) -> (Vec<String>, usize) {
        let (mut sightings, mut total) = (Vec::new(), 0);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")) {
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let bytes = fs_err::read(entry.path()).expect("a file");
                    total += bytes.len();
                    sightings.extend(self.sightings(&entry.path().display().to_string(), &bytes));
                }
            }
        }
        (sightings, total)
    }

    /// Makes a program `git` in `folder` that writes down its arguments in `folder/git.log` and becomes the real one.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn shim(folder: &Path, path: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs_err::create_dir_all(folder).expect("a folder");
        let (program, log) = (folder.join("git"), folder.join("git.log"));
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{}'\nPATH='{path}' exec git \"$@\"\n",
            log.display()
        );
        fs_err::write(&program, script).expect("a script");
        fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a program");
    }
}

/// Watches the command lines of every process of this machine.
pub struct Watch {
    stop: Option<Sender<()>>,
    watcher: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    sightings: BTreeMap<u32, String>,
    programs: BTreeMap<String, usize>,
}

impl Watch {
    /// Begins; returns after the first look.
    ///
    /// # Panics
    /// Without `/proc`.
    pub fn begin(canaries: Arc<Canaries>) -> Self {
        let (stop, stopped) = channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let theirs = seen.clone();
        look(&canaries, &seen);
        let watcher = std::thread::spawn(move || {
            while stopped.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) {
                look(&canaries, &theirs);
            }
        });
        Self { stop: Some(stop), watcher: Some(watcher), seen }
    }

    /// Ends; what was seen, and which programs ran (by file name).
    ///
    /// # Panics
    /// When the watcher did.
    pub fn end(mut self) -> (Vec<String>, Vec<String>) {
        drop(self.stop.take());
        self.watcher.take().into_iter().for_each(|watcher| watcher.join().expect("it only looks"));
        let seen = std::mem::take(&mut *self.seen.lock().expect("no panic holds it"));
        (seen.sightings.into_values().collect(), seen.programs.into_keys().collect())
    }
}

/// One look.
fn look(canaries: &Canaries, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().expect("no panic holds it");
    for entry in fs_err::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // a process may end while we look
        let Ok(line) = fs_err::read(entry.path().join("cmdline")) else { continue };
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let program = program.rsplit('/').next().unwrap_or_default().to_owned();
        if let [first, ..] = canaries.sightings(&format!("arguments of {program}"), &line).as_slice() {
            seen.sightings.insert(pid, first.clone());
        }
        *seen.programs.entry(program).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_and_nothing_else() {
        let secret = "s3cr+t/of=the.bed";
        let canaries = Canaries::new(&[("it", secret)]);
        let login = STANDARD.encode(format!("platform:{secret}"));
        let nested = STANDARD.encode(format!("[default]\naws_secret_access_key={secret}\n"));
        for text in [
            format!("x{secret}y"),
            STANDARD.encode(secret),
            login,
            nested,
            "s3cr%2Bt%2Fof%3Dthe.bed".to_owned(),
            "s3cr%2bt%2fof%3dthe.bed".to_owned(),
        ] {
            assert!(!canaries.find_in(text.as_bytes()).is_empty(), "{text}");
        }
        for text in ["", "s3cr+t", &STANDARD.encode("another secret altogether"), &"0".repeat(99)] {
            assert_eq!(canaries.find_in(text.as_bytes()), [""; 0], "{text}");
        }
    }
}
