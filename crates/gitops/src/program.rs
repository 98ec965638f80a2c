//! One run of `git`.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Stdio,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    refusal::GitError,
    remote::{Place, Remote},
};

/// The oldest `git` that takes configuration from `GIT_CONFIG_COUNT` (its release notes), which is how a password
/// reaches it.
pub(crate) const OLDEST: (u32, u32) = (2, 31);

/// What a child may see of our environment: how to find programs, the ssh agent, proxies and certificate authorities.
const PASSED_ON: &[&str] = &[
    "PATH",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// Environment of one child: fixed, but for [`PASSED_ON`] and what one remote needs.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    plain: Vec<(OsString, OsString)>,
    config: Vec<(String, SecretString)>,
}

impl Environment {
    /// For work that touches no remote. `home` is an empty folder of ours, so that nobody's configuration is read.
    pub(crate) fn local(home: &Path) -> Self {
        let mut plain: Vec<(OsString, OsString)> = PASSED_ON
            .iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(*name), value)))
            .collect();
        let home = home.as_os_str().to_owned();
        for (name, value) in [
            ("HOME", home.clone()),
            ("XDG_CONFIG_HOME", home),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_NO_REPLACE_OBJECTS", "1".into()),
            ("LC_ALL", "C".into()),
        ] {
            plain.push((name.into(), value));
        }
        let config = [
            ("protocol.allow", "never"),
            ("core.hooksPath", "/dev/null"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("credential.helper", ""),
            // A redirect could carry the login to another host: git adds the header again to where it was sent.
            ("http.followRedirects", "false"),
            // A server that says nothing for half a minute is gone; without this git would wait for ever.
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", "30"),
        ];
        Self { plain, config: config.map(|(key, value)| (key.to_owned(), value.to_owned().into())).into() }
    }

    /// Adds what is needed to reach one remote, and nothing for any other.
    pub(crate) fn reaching(mut self, remote: &Remote, place: &Place, known_hosts: &Path) -> Self {
        let mut set = |key: String, value: SecretString| self.config.push((key, value));
        match place {
            Place::Http { origin, plain, loopback, authorization, .. } => {
                set(format!("protocol.{}.allow", if *plain { "http" } else { "https" }), "always".into());
                if *loopback {
                    set(format!("http.{origin}.proxy"), "".into());
                }
                if let Some(header) = authorization {
                    set(format!("http.{origin}.extraHeader"), header.clone());
                }
            }
            Place::Ssh { .. } => {
                set("protocol.ssh.allow".into(), "always".into());
                let mut ssh = vec![
                    "ssh",
                    "-o",
                    "BatchMode=yes",
                    "-o",
                    "StrictHostKeyChecking=yes",
                    "-o",
                    "ConnectTimeout=15",
                ];
                // In quotes, or ssh takes a folder with a space in its name for two files.
                let file = format!("UserKnownHostsFile=\"{}\"", known_hosts.display());
                if remote.known_hosts.is_some() {
                    ssh.extend(["-o", &file, "-o", "GlobalKnownHostsFile=/dev/null"]);
                }
                self.plain.push(("GIT_SSH_COMMAND".into(), shell_words::join(ssh).into()));
                self.plain.push(("GIT_SSH_VARIANT".into(), "ssh".into()));
            }
            Place::File { .. } => set("protocol.file.allow".into(), "always".into()),
        }
        self
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, secrets blotted out.
    pub stderr: String,
}

/// How to run `git` in one scratch repository.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) environment: Environment,
    pub(crate) folder: std::path::PathBuf,
    pub(crate) limit: Duration,
    pub(crate) needles: Vec<SecretString>,
}

impl Program {
    /// Runs `git ARGS…` with `input` on its standard input.
    ///
    /// # Errors
    /// It could not be started, or took longer than the limit. A non-zero exit is no error here.
    pub(crate) async fn run<A: AsRef<OsStr>>(&self, args: &[A], input: Vec<u8>) -> Result<Output, GitError> {
        let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy().into_owned()).collect();
        tracing::debug!(args = %words.join(" "), "git");
        let mut child = self.command(args).spawn().map_err(|cause| GitError::Start { cause })?;
        let mut stdin = child.stdin.take();
        let feed = async move {
            if let Some(pipe) = stdin.as_mut() {
                // A child that stops reading says why on its standard error and by its exit code.
                if let Err(cause) = pipe.write_all(&input).await {
                    tracing::debug!(%cause, "git stopped reading");
                }
            }
            drop(stdin);
        };
        let work = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done.map_err(|cause| GitError::Start { cause })?,
            Err(_) => {
                return Err(GitError::Slow {
                    what: words.first().cloned().unwrap_or_default(),
                    limit: self.limit,
                });
            }
        };
        Ok(Output {
            ok: output.status.success(),
            stdout: output.stdout,
            stderr: blot(&String::from_utf8_lossy(&output.stderr), &self.needles),
        })
    }

    fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment.plain.iter().map(|(name, value)| (name, value)))
            .env("GIT_CONFIG_COUNT", self.environment.config.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Its own group: the Ctrl-C that asks us to stop must not cut a push short.
            .process_group(0);
        for (n, (key, value)) in self.environment.config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{n}"), value.expose_secret());
        }
        command
    }
}

/// Takes every needle out of a text.
fn blot(text: &str, needles: &[SecretString]) -> String {
    needles.iter().fold(text.to_owned(), |text, needle| text.replace(needle.expose_secret(), "[redacted]"))
}

/// The version in `git version 2.39.5 (Apple Git-154)`.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("git version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("git version 2.39.5\n"), Some((2, 39)));
        assert_eq!(version("git version 2.50.1 (Apple Git-155)"), Some((2, 50)));
        assert_eq!(version("git version 2.31.windows.1"), Some((2, 31)));
        assert_eq!(version("hub version 3"), None);
    }

    #[test]
    fn the_password_reaches_the_environment_of_the_child_and_never_its_arguments() {
        let remote = Remote::with_password("https://git.example.com/a.git", "me", "c4nary".into());
        let place = remote.place().expect("good url");
        let environment =
            Environment::local(Path::new("/nowhere")).reaching(&remote, &place, Path::new("/kh"));
        assert!(!format!("{environment:?}").contains("c4nary"));
        let program = Program {
            environment,
            folder: "/".into(),
            limit: Duration::from_secs(1),
            needles: remote.needles(),
        };
        let command = program.command(&["fetch", "--", place.url()]);
        let command = command.as_std();
        let secret = "bWU6YzRuYXJ5";
        assert!(command.get_args().all(|arg| !arg.to_string_lossy().contains(secret)));
        let holders: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_some_and(|value| value.to_string_lossy().contains(secret)))
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(holders.len(), 1, "{holders:?}");
        let key = holders[0].replace("VALUE", "KEY");
        let key = command.get_envs().find(|(name, _)| *name == key.as_str()).and_then(|(_, value)| value);
        assert_eq!(
            key,
            Some(OsStr::new("http.https://git.example.com/.extraHeader")),
            "only for that server"
        );
    }

    #[test]
    fn ssh_is_strict_and_pinned() {
        let remote =
            Remote { known_hosts: Some("h ssh-ed25519 AAAA".into()), ..Remote::new("ssh://git@h/a.git") };
        let place = remote.place().expect("good url");
        let environment =
            Environment::local(Path::new("/n")).reaching(&remote, &place, Path::new("/my dir/kh"));
        let ssh = environment
            .plain
            .iter()
            .find(|(name, _)| name == "GIT_SSH_COMMAND")
            .map(|(_, value)| value.clone());
        insta::assert_snapshot!(ssh.expect("set").to_string_lossy());
    }

    #[test]
    fn secrets_are_blotted_out_of_what_others_say() {
        let remote = Remote::with_password("https://h/a", "me", "c4nary".into());
        let said = "remote: bad password c4nary (Basic bWU6YzRuYXJ5)";
        assert_eq!(blot(said, &remote.needles()), "remote: bad password [redacted] (Basic [redacted])");
    }
}
