//! Where this program keeps its state.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use platform_spec::{Class, Code, Failure};

/// The state directory: the one asked for, else `platform` in the XDG state directory.
///
/// The directory need not exist yet.
///
/// # Errors
/// `P0902` when nothing was asked for and this user has no home directory.
pub fn state_dir(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let home = || {
        // A relative HOME would make a state directory below wherever a command happens to be given.
        std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).or_else(|| {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok()??;
            Some(user.dir)
        })
    };
    choose(asked, std::env::var_os("XDG_STATE_HOME"), home).ok_or_else(|| {
        Failure::new(
            Code::new("P0902"),
            Class::Config,
            "could not find a place for the state of this program",
        )
        .because("neither XDG_STATE_HOME nor HOME is set, and this user has no home directory")
        .hint("name one with `--state PATH`, or set PLATFORM_STATE")
    })
}

/// The variable that names the state directory whose sandbox is meant, where it is not one's own.
pub(crate) const SANDBOX_OF: &str = "PLATFORM_SANDBOX_OF";

/// The state directory whose sandbox clusters are made in.
pub(crate) fn sandbox_home(state: &Path) -> PathBuf {
    let elsewhere = std::env::var_os(SANDBOX_OF).map(PathBuf::from).filter(|path| path.is_absolute());
    elsewhere.unwrap_or_else(|| state.to_owned())
}

/// Where files from outside are kept that can be had again: `platform` in the XDG cache directory, or else a folder in
/// the state directory.
pub fn cache_dir(state: &Path) -> PathBuf {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CACHE_HOME")
        .or_else(|| Some(set("HOME")?.join(".cache")))
        .map_or_else(|| state.join("cache"), |base| base.join("platform"))
}

/// The rules of the XDG Base Directory Specification 0.8: a relative or empty `XDG_STATE_HOME` counts as unset, and
/// the default is `$HOME/.local/state`.
fn choose(
    asked: Option<&Path>,
    xdg_state_home: Option<OsString>,
    home: impl FnOnce() -> Option<PathBuf>,
) -> Option<PathBuf> {
    if let Some(asked) = asked {
        return Some(asked.to_owned());
    }
    let base = xdg_state_home.map(PathBuf::from).filter(|path| path.is_absolute());
    Some(base.or_else(|| Some(home()?.join(".local/state")))?.join("platform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Option<PathBuf> {
        Some("/home/ada".into())
    }

    #[test]
    fn what_was_asked_for_wins() {
        assert_eq!(choose(Some(Path::new("here")), Some("/xdg".into()), home), Some("here".into()));
    }

    #[test]
    fn xdg_counts_only_when_absolute() {
        assert_eq!(choose(None, Some("/xdg".into()), home), Some("/xdg/platform".into()));
        for unset in [Some("".into()), Some("relative".into()), None] {
            assert_eq!(choose(None, unset, home), Some("/home/ada/.local/state/platform".into()));
        }
    }

    #[test]
    fn without_a_home_there_is_no_guess() {
        assert_eq!(choose(None, None, || None), None);
    }
}
