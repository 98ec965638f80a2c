//! Where a repository is, and how to log in.

use std::{net::IpAddr, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

use crate::refusal::GitError;

/// A repository somewhere, with what is needed to write to it.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    /// `https://…`, `http://…` (this machine only), `ssh://user@host/path`, `user@host:path`, or `file:///path`. Never with
    /// a password in it.
    pub url: String,
    /// User name for https; servers that take a token mostly accept any name. Defaults to the one in the URL, then `git`.
    pub username: Option<String>,
    /// Password or token for https. Unused for ssh, which asks the user's agent.
    pub password: Option<SecretString>,
    /// Lines of an OpenSSH `known_hosts` file that pin the server's key. Without them the user's own file is read; an
    /// unknown key is refused either way.
    pub known_hosts: Option<String>,
}

impl Remote {
    /// A repository that needs no login.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// A repository behind a user name and password.
    pub fn with_password(
        url: impl Into<String>,
        username: impl Into<String>,
        password: SecretString,
    ) -> Self {
        Self { url: url.into(), username: Some(username.into()), password: Some(password), known_hosts: None }
    }

    /// Checks the URL and takes it apart.
    ///
    /// # Errors
    /// [`GitError::Url`] with the reason. The URL is not repeated when it holds a password.
    pub(crate) fn place(&self) -> Result<Place, GitError> {
        let wrong = |why: &str| Err(GitError::Url { url: redacted(&self.url), why: why.to_owned() });
        let url = self.url.as_str();
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return wrong("it holds a space or control character");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return match url.split_once(':') {
                Some((host, path)) if is_ssh_host(host) && !path.is_empty() && !path.starts_with('-') => {
                    Ok(Place::Ssh { url: url.to_owned() })
                }
                _ => wrong("write https://…, ssh://…, user@host:path or file:///…"),
            };
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return wrong("it holds a password; give that as a secret reference");
        }
        match scheme {
            "file" => match (authority, path.contains('%')) {
                ("", false) if path.len() > 1 => {
                    Ok(Place::File { url: url.to_owned(), path: PathBuf::from(path) })
                }
                ("", true) => wrong("percent signs are not supported in file URLs"),
                _ => wrong("a file URL has three slashes and an absolute path"),
            },
            "ssh" if is_ssh_host(authority.split(':').next().unwrap_or_default()) && path.len() > 1 => {
                Ok(Place::Ssh { url: url.to_owned() })
            }
            "http" | "https" if is_host_and_port(host) && path.len() > 1 => {
                let loopback = is_loopback(host);
                if scheme == "http" && !loopback {
                    return wrong(
                        "plain http is only for this machine; the password would be readable on the way",
                    );
                }
                let username = self.username.as_deref().or(user).unwrap_or("git");
                if username.contains(':') {
                    return wrong("a user name cannot hold a colon");
                }
                Ok(Place::Http {
                    url: format!("{scheme}://{host}{path}"),
                    origin: format!("{scheme}://{host}/"),
                    plain: scheme == "http",
                    loopback,
                    authorization: self.password.as_ref().map(|password| basic(username, password)),
                })
            }
            "ssh" | "http" | "https" => wrong("it names no proper host or no repository"),
            _ => wrong("only https, http on this machine, ssh and file are supported"),
        }
    }

    /// Every form in which the password could turn up in somebody's words, longest first.
    pub(crate) fn needles(&self) -> Vec<SecretString> {
        let Some(password) = &self.password else { return Vec::new() };
        let mut needles = vec![password.clone()];
        needles.push(percent_encoded(password.expose_secret()).into());
        if let Ok(Place::Http { authorization: Some(header), .. }) = self.place() {
            let text = header.expose_secret();
            needles.push(text.rsplit(' ').next().unwrap_or(text).into());
        }
        needles.retain(|needle| !needle.expose_secret().is_empty());
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.expose_secret().len()));
        needles
    }
}

/// A checked URL.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Over HTTP; `url` has no user name left in it, `origin` ends in a slash.
    Http { url: String, origin: String, plain: bool, loopback: bool, authorization: Option<SecretString> },
    /// Over ssh.
    Ssh { url: String },
    /// On this machine.
    File { url: String, path: PathBuf },
}

impl Place {
    /// The URL that `git` is given.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Http { url, .. } | Self::Ssh { url } | Self::File { url, .. } => url,
        }
    }
}

/// The URL without a password that should not have been in it.
pub(crate) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        // A password may itself hold a slash; then the `@` comes later, and everything before it is suspect.
        None => match rest.rfind('@') {
            Some(at) if rest[..at].contains(':') && scheme != "file" => {
                format!("{scheme}://…@{}", &rest[at + 1..])
            }
            _ => url.to_owned(),
        },
        Some(at) => match rest[..at].split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:…@{}", &rest[at + 1..]),
            None => url.to_owned(),
        },
    }
}

fn basic(username: &str, password: &SecretString) -> SecretString {
    let pair: SecretString = format!("{username}:{}", password.expose_secret()).into();
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(pair.expose_secret())).into()
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`. What is no port after a colon may be the start of a password.
fn is_host_and_port(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let name_is_good = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        }
    };
    name_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A host, perhaps with a user, that `ssh` cannot take for an option.
fn is_ssh_host(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("git", text));
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']'))
    };
    plain(user) && plain(host)
}

/// Whether a branch may be called so: a subset of what `git check-ref-format` allows.
///
/// # Errors
/// [`GitError::Branch`].
pub(crate) fn check_branch(branch: &str) -> Result<(), GitError> {
    let good = branch.split('/').all(|part| {
        !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with('.') && !part.ends_with(".lock")
    }) && branch
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+'))
        && !branch.contains("..")
        && branch != "HEAD";
    if good { Ok(()) } else { Err(GitError::Branch { branch: branch.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_would_leak_or_mislead_are_refused_without_repeating_a_password() {
        let wrong = [
            "http://git.example.com/a.git",
            "https://me:c4nary@git.example.com/a.git",
            "https://me:c4n/ary@git.example.com/a.git",
            "ssh://me:c4nary@git.example.com/a.git",
            "git://git.example.com/a.git",
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/a.git",
            "-oProxyCommand=id:a.git",
            "file://host/a.git",
            "file:///",
            "https://git.example.com",
            "https://git.example.com/a b",
            "/srv/git/a.git",
            "http://127.0.0.1.evil.example/a.git",
        ];
        for url in wrong {
            let error = Remote::new(url).place().expect_err(url).to_string();
            assert!(!error.contains("c4n") && !error.contains("ary@"), "{error}");
        }
    }

    #[test]
    fn good_urls() {
        for url in [
            "https://git.example.com/org/a.git",
            "http://127.0.0.1:3000/a.git",
            "http://[::1]:3000/a.git",
            "http://localhost/a.git",
            "ssh://git@git.example.com:2222/a.git",
            "git@git.example.com:org/a.git",
            "file:///srv/git/a.git",
        ] {
            assert_eq!(Remote::new(url).place().expect(url).url(), url);
        }
        let place = Remote::new("https://me@git.example.com/a.git").place().expect("a user is no secret");
        assert_eq!(place.url(), "https://git.example.com/a.git");
    }

    #[test]
    fn the_password_is_in_no_debug_text_and_in_every_needle() {
        let remote = Remote::with_password("https://h/a", "me", "c4n:ary".into());
        assert!(!format!("{remote:?} {:?}", remote.place()).contains("c4n"), "{remote:?}");
        let needles: Vec<_> = remote.needles().iter().map(|n| n.expose_secret().to_owned()).collect();
        assert_eq!(needles, [BASE64_STANDARD.encode("me:c4n:ary"), "c4n%3Aary".into(), "c4n:ary".into()]);
    }

    #[test]
    fn branch_names() {
        for good in ["main", "release/1.2", "a_b-c+d"] {
            check_branch(good).expect(good);
        }
        for bad in ["", "-x", "a..b", "/a", "a/", "a//b", "a.lock", "a b", "a~1", "HEAD", "a:b", ".a", "a\n"]
        {
            check_branch(bad).expect_err(bad);
        }
    }
}
