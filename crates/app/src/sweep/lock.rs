//! One sweep at a time in one place.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::PathBuf,
};

use platform_spec::{Class, Code, Failure};
use sha2::{Digest, Sha256};

use crate::holder;

/// The right to sweep a place, until it is dropped or the process is gone.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Takes it. `place` tells one outside from another.
    ///
    /// A lock of the operating system in a folder of this user, and not of the state directory: two runners with states
    /// of their own may share one container engine.
    ///
    /// # Errors
    /// `P0921` when somebody has it, with who; `P0927` when there is no place for it.
    pub fn take(kind: &str, place: &str) -> Result<Self, Failure> {
        let file = folder().join(format!("sweep-{kind}-{}.lock", &hex::encode(Sha256::digest(place))[..16]));
        let no_place = |error: &std::io::Error| {
            Failure::new(Code::new("P0927"), Class::Config, format!("could not use `{}`", file.display()))
                .caused_by(error)
                .hint("set XDG_RUNTIME_DIR or TMPDIR to a folder of yours that can be written")
        };
        let opened = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| File::options().read(true).write(true).create(true).truncate(false).open(&file));
        let mut lock = opened.map_err(|error| no_place(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut who = String::new();
                // Who is only a help; the lock is the operating system's.
                let _ = lock.read_to_string(&mut who);
                let who = if who.is_empty() { "somebody" } else { who.trim() };
                return Err(Failure::new(
                    Code::new("P0921"),
                    Class::ConflictInProgress,
                    format!("{who} is sweeping provider `{kind}`"),
                )
                .hint("wait until it has ended; `platform sweep --dry-run` shows what is there meanwhile"));
            }
            Err(TryLockError::Error(error)) => return Err(no_place(&error)),
        }
        let us = format!("{} (pid {})", holder::actor(), std::process::id());
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(us.as_bytes()));
        written.map_err(|error| no_place(&error))?;
        Ok(Self(lock))
    }
}

fn folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    match runtime {
        Some(dir) => dir.join("platform"),
        None => std::env::temp_dir().join(format!("platform-{}", nix::unistd::Uid::current())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_sweep_and_others_have_theirs() {
        let place = format!("test-{}", std::process::id());
        let first = Lock::take("kind", &place).expect("nobody has it");
        let second = Lock::take("kind", &place).expect_err("it is taken");
        assert_eq!((second.code.as_str(), second.class), ("P0921", Class::ConflictInProgress));
        assert!(second.message.contains(&format!("(pid {})", std::process::id())), "{}", second.message);
        Lock::take("kind", &format!("{place}-other")).expect("another place");
        drop(first);
        Lock::take("kind", &place).expect("it was given back");
    }
}
