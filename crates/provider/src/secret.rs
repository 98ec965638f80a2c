//! Reading a secret by its handle, at the moment of use.
//!
//! No error names a value, quotes a file's content or repeats what a program printed: only the handle, which is not
//! secret, and why it could not be read.

use std::{path::PathBuf, process::Stdio, time::Duration};

use platform_spec::{Class, Code, Failure, secret::SecretRef};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// How long a program behind `exec:` may take.
///
/// Long enough for a hardware key that wants to be touched, short enough that a forgotten prompt does not hold a run.
const EXEC_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the secret that a handle names; without one trailing newline.
///
/// `env:` this process's environment; `file:` a file, `~/` meaning the home directory; `exec:` the standard output of a
/// program, its arguments split as a shell would, without a shell.
///
/// # Errors
/// `config`: P0201 when it is not there, cannot be read, is empty or is no text; P0202 for a kind of handle that cannot
/// be read here (`vault:`, `profile:`, `oidc:`, `adc`). `retryable` (P0201) when the program took too long.
pub async fn read(handle: &SecretRef) -> Result<SecretString, Failure> {
    let bytes = match handle {
        SecretRef::Env(name) => env(handle, name)?,
        SecretRef::File(path) => file(handle, path).await?,
        SecretRef::Exec(command) => exec(handle, command).await?,
        SecretRef::Vault(_) => {
            return Err(unsupported(handle, "reading from a Vault is not supported yet").hint(
                "write `exec:vault kv get -field=FIELD PATH`, or put it into a file or the environment",
            ));
        }
        SecretRef::Named(_) => {
            return Err(unsupported(handle, "only a cloud's own provider understands this kind of handle")
                .hint("write env:NAME, file:PATH or exec:PROGRAM here"));
        }
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| unreadable(handle).because("its content is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(unreadable(handle).because("it is empty"));
    }
    Ok(SecretString::from(text))
}

fn env(handle: &SecretRef, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    std::env::var_os(name).map(|value| Zeroizing::new(value.into_encoded_bytes())).ok_or_else(|| {
        unreadable(handle)
            .because(format!("the environment has no variable `{name}`"))
            .hint(format!("set it: `export {name}=…`"))
    })
}

async fn file(handle: &SecretRef, path: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = expand_home(path).ok_or_else(|| unreadable(handle).because("`~` needs HOME to be set"))?;
    fs_err::tokio::read(&path).await.map(Zeroizing::new).map_err(|cause| {
        unreadable(handle).caused_by(&cause).hint(format!("look at it: `ls -l {}`", path.display()))
    })
}

async fn exec(handle: &SecretRef, command: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let argv = shell_words::split(command).map_err(|cause| unreadable(handle).caused_by(&cause))?;
    let Some((program, arguments)) = argv.split_first() else {
        return Err(unreadable(handle).because("it names no program"));
    };
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Its complaints go to the person's terminal, not into a failure: they may repeat what they complain about.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| {
            unreadable(handle).because(format!("could not start `{program}`")).caused_by(&cause)
        })?;
    let Ok(ended) = tokio::time::timeout(EXEC_TIMEOUT, child.wait_with_output()).await else {
        let mut failure = unreadable(handle)
            .because(format!("`{program}` gave no answer within {} s", EXEC_TIMEOUT.as_secs()));
        failure.class = Class::Retryable;
        return Err(failure);
    };
    let output = ended.map_err(|cause| unreadable(handle).caused_by(&cause))?;
    let stdout = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(unreadable(handle)
            .because(format!("`{program}` ended with {}", output.status))
            .hint(format!("run it yourself to see why: `{command}`")));
    }
    Ok(stdout)
}

/// `~` and `~/…` in terms of HOME; anything else as it is. `None` when HOME is needed and not set.
pub fn expand_home(path: &str) -> Option<PathBuf> {
    let rest = match path.strip_prefix('~') {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => return Some(PathBuf::from(path)),
    };
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(rest))
}

fn unreadable(handle: &SecretRef) -> Failure {
    Failure::new(Code::new("P0201"), Class::Config, format!("could not read the secret `{handle}`"))
}

fn unsupported(handle: &SecretRef, why: &str) -> Failure {
    Failure::new(Code::new("P0202"), Class::Config, format!("could not read the secret `{handle}`"))
        .because(why)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const PLANTED: &str = "pl4nted-s3cret";

    async fn value(handle: &str) -> Result<String, Failure> {
        let handle: SecretRef = handle.parse().expect("a handle");
        read(&handle).await.map(|secret| secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn files_lose_one_newline_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        for (content, want) in [("a b\n", "a b"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a ")] {
            fs_err::write(&path, content).expect("written");
            assert_eq!(value(&format!("file:{}", path.display())).await.as_deref(), Ok(want));
        }
    }

    #[tokio::test]
    async fn programs_are_started_without_a_shell() {
        assert_eq!(value("exec:printf '%s' 'a; $HOME'").await.as_deref(), Ok("a; $HOME"));
    }

    #[tokio::test]
    async fn failures_never_hold_what_was_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let mut content = PLANTED.as_bytes().to_vec();
        content.push(0xff);
        fs_err::write(&path, &content).expect("written");
        let file = format!("file:{}", path.display());
        let script = format!("exec:sh -c \"cat {}; exit 3\"", path.display());
        for handle in [file.as_str(), script.as_str()] {
            let failure = value(handle).await.expect_err("no text, or a failed program");
            let shown = format!("{failure:?} {}", serde_json::to_string(&failure).expect("JSON"));
            assert!(!shown.contains(PLANTED), "{shown}");
            assert_eq!(failure.class, Class::Config);
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_the_way_out() {
        let failure = value("env:PLATFORM_TEST_NOT_SET").await.expect_err("not set");
        assert_eq!(failure.code.as_str(), "P0201");
        assert!(failure.hints[0].contains("export PLATFORM_TEST_NOT_SET="), "{:?}", failure.hints);
        let failure = value("file:/nowhere/at/all").await.expect_err("not there");
        assert!(failure.causes.iter().any(|c| c.contains("No such file")), "{:?}", failure.causes);
        let failure = value("exec:platform-no-such-program").await.expect_err("no such program");
        assert!(failure.causes[0].contains("could not start"), "{:?}", failure.causes);
        for handle in ["vault:kv/git#password", "profile:devops", "adc"] {
            let failure = value(handle).await.expect_err("not supported");
            assert_eq!((failure.code.as_str(), failure.class), ("P0202", Class::Config));
        }
    }

    #[test]
    fn home_is_expanded_only_at_the_start() {
        let home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
        assert_eq!(expand_home("~/.kube/config"), Some(home.join(".kube/config")));
        assert_eq!(expand_home("~"), Some(home.join("")));
        assert_eq!(expand_home("/a/~/b"), Some(PathBuf::from("/a/~/b")));
        assert_eq!(expand_home("~other/b"), Some(PathBuf::from("~other/b")));
    }
}
