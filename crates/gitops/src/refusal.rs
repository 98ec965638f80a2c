//! What went wrong, classified from the words of `git` once, here, with the original text kept.

use std::{io, path::PathBuf, time::Duration};

use platform_spec::{Class, Code, Failure};

use crate::program::OLDEST;

/// What was being done when `git` refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Look,
    Read,
    Push,
    Local,
}

/// Why something could not be done with a repository. `said` is what `git` wrote, secrets blotted out.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program could not be started.
    #[error("could not run the `git` program")]
    Start {
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It cannot take what we give it.
    #[error("this `git` is older than {}.{}: {said}", OLDEST.0, OLDEST.1)]
    TooOld {
        /// What it says it is.
        said: String,
    },
    /// It did not come back.
    #[error("`git {what}` took longer than {limit:?}")]
    Slow {
        /// Its first argument.
        what: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It wrote something it should not.
    #[error("`git {what}` answered unexpectedly: {said}")]
    Strange {
        /// What was run.
        what: &'static str,
        /// What it wrote.
        said: String,
    },
    /// A URL that is not supported.
    #[error("the URL {url} cannot be used: {why}")]
    Url {
        /// The URL without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No name for a branch.
    #[error("`{branch}` is no name for a branch")]
    Branch {
        /// The name.
        branch: String,
    },
    /// No path for a file in a repository.
    #[error("`{path}` cannot be a file in a repository: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The login was refused.
    #[error("the server refused the login: {said}")]
    Login {
        /// In its words.
        said: String,
    },
    /// Logged in, and not allowed.
    #[error("the server does not allow it: {said}")]
    Forbidden {
        /// In its words.
        said: String,
    },
    /// There is nothing there.
    #[error("there is no repository: {said}")]
    NoRepository {
        /// In its words.
        said: String,
    },
    /// The server cannot be reached, or broke off.
    #[error("the server could not be reached: {said}")]
    Unreachable {
        /// In its words.
        said: String,
    },
    /// Too many calls.
    #[error("the server asks to slow down: {said}")]
    Throttled {
        /// In its words.
        said: String,
    },
    /// The server lives elsewhere now.
    #[error("the server points to another address: {said}")]
    Moved {
        /// In its words.
        said: String,
    },
    /// We cannot know that it is the right server.
    #[error("the server's certificate or host key is not trusted: {said}")]
    Untrusted {
        /// In its words.
        said: String,
    },
    /// Somebody pushed between our look and our push.
    #[error("history was moved by someone else: {said}")]
    MovedOn {
        /// In its words.
        said: String,
    },
    /// What we published is no longer part of the branch.
    #[error("history was rewritten by someone else: our commit {known} is not an ancestor of {tip}")]
    Rewritten {
        /// What we remember.
        known: String,
        /// What stands there.
        tip: String,
    },
    /// Another platform publishes there.
    #[error("platform `{owner}` publishes to this branch, and this is platform `{ours}`")]
    Foreign {
        /// Whose it is.
        owner: String,
        /// Who we are.
        ours: String,
    },
    /// People have edited rendered files.
    #[error("files that we rendered were changed by hand: {}", listed(.paths))]
    ByHand {
        /// Which.
        paths: Vec<String>,
    },
    /// People's files have the names of folders that we need, or the other way round.
    #[error("files that are not ours are in the way: {}", listed(.paths))]
    InTheWay {
        /// Which.
        paths: Vec<String>,
    },
    /// A rule of the server.
    #[error("the server's rules declined the push: {said}")]
    Declined {
        /// In its words.
        said: String,
    },
    /// No room, here or there.
    #[error("there is no room left: {said}")]
    Full {
        /// In whose words.
        said: String,
    },
    /// A folder of this machine.
    #[error("could not use the folder {}", .folder.display())]
    Work {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The list of our files is damaged.
    #[error("the list of our files, {}, cannot be read", crate::tree::MANIFEST)]
    Manifest {
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The list of our files names something that we never write.
    #[error("the list of our files, {}, names `{path}`: {why}", crate::tree::MANIFEST)]
    ManifestPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The list of our files is from a newer program.
    #[error("the list of our files, {}, was written by a newer program ({schema})", crate::tree::MANIFEST)]
    NewerManifest {
        /// Its format.
        schema: String,
    },
    /// Anything else.
    #[error("git failed: {said}")]
    Other {
        /// In its words.
        said: String,
    },
}

/// The first few, and how many more.
fn listed(paths: &[String]) -> String {
    let shown = paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > 5 { format!("{shown} and {} more", paths.len() - 5) } else { shown }
}

impl GitError {
    /// Reads `git`'s standard error (LC_ALL=C). The texts are those of git 2.31 to 2.50, of libcurl and of OpenSSH.
    pub(crate) fn classify(deed: Deed, stderr: &str) -> Self {
        let said = tidy(stderr);
        let lower = said.to_lowercase();
        let any = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
        if any(&["no space left on device", "disk quota exceeded"]) {
            return Self::Full { said };
        }
        if any(&[
            "could not read username",
            "could not read password",
            "authentication failed",
            "returned error: 401",
        ]) {
            return Self::Login { said };
        }
        if any(&[
            "permission denied (publickey",
            "permission denied (password",
            "too many authentication failures",
        ]) {
            return Self::Login { said };
        }
        if any(&[
            "host key verification failed",
            "certificate",
            "ssl:",
            "tls handshake",
            "ssl_connect",
            "ssl routines",
        ]) {
            return Self::Untrusted { said };
        }
        if any(&["returned error: 429"]) {
            return Self::Throttled { said };
        }
        if any(&["returned error: 30", "unable to update url base from redirection"]) {
            return Self::Moved { said };
        }
        if any(&[
            "returned error: 403",
            "dubious ownership",
            // A login shell that talks instead of starting git.
            "bad line length character",
            "access denied",
            "write access to repository not granted",
            // A server that takes no pushes over smart HTTP, so that git tried the protocol before it.
            "git-http-push failed",
        ]) {
            return Self::Forbidden { said };
        }
        if any(&["repository not found", "does not appear to be a git repository", "returned error: 404"])
            || (lower.contains("repository '") && lower.contains("not found"))
        {
            return Self::NoRepository { said };
        }
        if deed == Deed::Push {
            if any(&[
                "fetch first",
                "non-fast-forward",
                "cannot lock ref",
                "failed to update ref",
                "incorrect old value",
            ]) {
                return Self::MovedOn { said };
            }
            if any(&["protected branch", "hook declined", "[remote rejected]", "denied by rule"]) {
                return Self::Declined { said };
            }
        }
        if any(&[
            "could not resolve host",
            "failed to connect",
            "couldn't connect",
            "connection refused",
            "connection reset",
            "connection closed",
            "connection timed out",
            "operation timed out",
            "operation too slow",
            "network is unreachable",
            "no route to host",
            "temporary failure in name resolution",
            "empty reply from server",
            "hung up unexpectedly",
            "early eof",
            "rpc failed",
            "returned error: 5",
        ]) {
            return Self::Unreachable { said };
        }
        Self::Other { said }
    }

    fn class(&self) -> (Code, Class) {
        match self {
            Self::Start { .. } | Self::TooOld { .. } => (Code::new("P0301"), Class::Config),
            Self::Url { .. } | Self::Branch { .. } | Self::Path { .. } => (Code::new("P0302"), Class::Config),
            Self::Login { .. } => (Code::new("P0303"), Class::AuthExpired),
            Self::Forbidden { .. } => (Code::new("P0304"), Class::Forbidden),
            Self::NoRepository { .. } => (Code::new("P0305"), Class::NotFound),
            Self::Moved { .. } => (Code::new("P0305"), Class::Config),
            Self::Unreachable { .. } | Self::Slow { .. } => (Code::new("P0306"), Class::Retryable),
            Self::Throttled { .. } => (Code::new("P0306"), Class::Throttled),
            Self::Untrusted { .. } => (Code::new("P0307"), Class::Config),
            Self::MovedOn { .. } => (Code::new("P0308"), Class::ConflictInProgress),
            Self::Rewritten { .. } => (Code::new("P0309"), Class::Config),
            Self::Foreign { .. } => (Code::new("P0315"), Class::Config),
            Self::ByHand { .. } | Self::InTheWay { .. } => (Code::new("P0310"), Class::Config),
            Self::Declined { .. } => (Code::new("P0311"), Class::Forbidden),
            Self::Full { .. } => (Code::new("P0312"), Class::Capacity),
            Self::Work { cause, .. } if cause.kind() == io::ErrorKind::StorageFull => {
                (Code::new("P0312"), Class::Capacity)
            }
            Self::Work { .. } => (Code::new("P0312"), Class::Config),
            Self::Manifest { .. } | Self::ManifestPath { .. } | Self::NewerManifest { .. } => {
                (Code::new("P0313"), Class::Config)
            }
            Self::Strange { .. } | Self::Other { .. } => (Code::new("P0314"), Class::Bug),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Start { .. } | Self::TooOld { .. } => {
                format!("install git {}.{} or newer (`apt-get install git`), then `platform resume`", OLDEST.0, OLDEST.1)
            }
            Self::Url { .. } | Self::Branch { .. } | Self::Path { .. } => {
                "correct it in the spec, then `platform validate platform.yaml`".into()
            }
            Self::Login { .. } => {
                "renew the password, token or ssh key that the repository's `authRef` names, then `platform resume`".into()
            }
            Self::Forbidden { .. } => "give this user write access on the server, then `platform resume`".into(),
            Self::NoRepository { .. } => {
                "create the repository on the server (empty is best), or correct its name; some servers also say this to \
                 users who may not see it"
                    .into()
            }
            Self::Moved { .. } => "write the repository's new address into the spec; redirects are not followed with a \
                                   password in hand"
                .into(),
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Throttled { .. } => {
                "check that the server answers (`git ls-remote URL`), then `platform resume`".into()
            }
            Self::Untrusted { .. } => {
                "check the server's certificate or key with whoever runs it; for a private authority set `SSL_CERT_FILE`, \
                 for ssh add the key with `ssh-keyscan HOST >> ~/.ssh/known_hosts`"
                    .into()
            }
            Self::MovedOn { .. } => {
                "nothing was overwritten; `platform resume` looks again and publishes on top of what is there now".into()
            }
            Self::Rewritten { known, tip } => format!(
                "nothing was changed; look at what happened with `git log --oneline {known}...{tip}` and bring {known} back \
                 into the branch (`git merge {known}`), then `platform resume`"
            ),
            Self::Foreign { owner, .. } => format!(
                "nothing was changed; give this platform a repository of its own in the spec, or, when `{owner}` is gone for \
                 good, remove its files and `{}` from the branch",
                crate::tree::MANIFEST
            ),
            Self::ByHand { .. } => "nothing was overwritten; take the edits into the spec or the blueprint, or undo them in \
                                    the repository (`git revert`), then `platform resume`"
                .into(),
            Self::InTheWay { .. } => "move these files in the repository (`git mv`), then `platform resume`".into(),
            Self::Declined { .. } => {
                "let this user push to the branch in the server's protection rules, then `platform resume`".into()
            }
            Self::Full { .. } => "free some disk space (`df -h`), then `platform resume`".into(),
            Self::Work { .. } => "make the folder writable for this user, then `platform resume`".into(),
            Self::Manifest { .. } | Self::ManifestPath { .. } => "bring the file back from the repository's history (`git log -- \
                                      .platform/files.json`), then `platform resume`"
                .into(),
            Self::NewerManifest { .. } => "use the newer `platform`".into(),
            Self::Strange { .. } | Self::Other { .. } => {
                "run the command again with `-vvv`; if git is sound, this is our mistake: please report it".into()
            }
        }
    }

    /// The failure a person sees: `deed` says what was being done, to which thing.
    pub fn into_failure(self, deed: impl Into<String>) -> Failure {
        let (code, class) = self.class();
        let failure = Failure::new(code, class, deed).caused_by(&self).hint(self.hint());
        match self {
            Self::ByHand { paths } | Self::InTheWay { paths } => failure.blocked_by(paths),
            _ => failure,
        }
    }
}

/// Beginnings of lines that say nothing: advice to people at a keyboard, frames, the address that we know.
const NOISE: &[&str] = &[
    "hint:",
    "To ",
    "Done",
    "@",
    "IT IS POSSIBLE THAT SOMEONE",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
];

/// One line, without the noise.
fn tidy(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim);
    let telling = lines.filter(|line| !line.is_empty() && !NOISE.iter().any(|noise| line.starts_with(noise)));
    telling.collect::<Vec<_>>().join("; ").replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of real programs, as they were met.
    const WORDS: &[(&str, &str, &str)] = &[
        (
            "fatal: could not read Username for 'http://127.0.0.1:1': terminal prompts disabled",
            "P0303",
            "auth_expired",
        ),
        ("fatal: Authentication failed for 'https://h/a.git/'", "P0303", "auth_expired"),
        (
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "P0303",
            "auth_expired",
        ),
        (
            "fatal: unable to access 'https://h/a/': The requested URL returned error: 403",
            "P0304",
            "forbidden",
        ),
        ("remote: Repository not found.\nfatal: repository 'https://h/a/' not found", "P0305", "not_found"),
        ("fatal: '/srv/a' does not appear to be a git repository", "P0305", "not_found"),
        ("fatal: unable to access 'https://h/a/': The requested URL returned error: 301", "P0305", "config"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "P0306", "retryable"),
        (
            "fatal: unable to access 'http://h/': Failed to connect to h port 1 after 0 ms: Couldn't connect to server",
            "P0306",
            "retryable",
        ),
        ("error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", "P0306", "retryable"),
        ("fatal: the remote end hung up unexpectedly", "P0306", "retryable"),
        ("The requested URL returned error: 429", "P0306", "throttled"),
        (
            "fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate",
            "P0307",
            "config",
        ),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "P0307", "config"),
        ("! abc:refs/heads/main [rejected] (fetch first)\nDone", "P0308", "conflict_in_progress"),
        ("! a:refs/heads/main [remote rejected] (failed to update ref)", "P0308", "conflict_in_progress"),
        (
            "remote: error: GH006: Protected branch update failed\n! a:b [remote rejected] (protected branch hook declined)",
            "P0311",
            "forbidden",
        ),
        ("! a:b [remote rejected] (pre-receive hook declined)", "P0311", "forbidden"),
        ("error: file write error: No space left on device\nfatal: unable to write", "P0312", "capacity"),
        ("fatal: something new", "P0314", "bug"),
    ];

    #[test]
    fn a_long_list_of_paths_is_cut_in_the_text_and_whole_in_the_blockers() {
        let paths: Vec<String> = (1..=7).map(|n| format!("f{n}")).collect();
        let failure = GitError::ByHand { paths: paths.clone() }.into_failure("could not publish");
        assert_eq!(
            failure.causes,
            ["files that we rendered were changed by hand: f1, f2, f3, f4, f5 and 2 more"]
        );
        assert_eq!(failure.blockers, paths);
    }

    #[test]
    fn words_of_git_are_classified_and_kept() {
        for (words, code, class) in WORDS {
            let failure = GitError::classify(Deed::Push, words).into_failure("could not publish");
            assert_eq!((failure.code.as_str(), failure.class.as_str()), (*code, *class), "{words}");
            let first = words.lines().next().expect("one line");
            assert!(failure.causes.iter().any(|cause| cause.contains(first)), "{failure:?}");
            assert_eq!(failure.hints.len(), 1);
        }
    }
}
