//! What SQLite, the disk and the schema refuse, as failures with codes and hints.

use std::{error::Error as StdError, io, path::Path};

use platform_engine::store::StoreError;
use platform_spec::{Class, Code, Failure, PlatformName, RunId};
use sqlx::migrate::MigrateError;

/// Why something in this crate did not work, before it is put into words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The contract's own refusals.
    #[error(transparent)]
    Refused(#[from] StoreError),
    /// SQLite's.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Bringing the schema up to date did not work.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The file system's.
    #[error(transparent)]
    File(io::Error),
    /// The directory is not there and cannot be made.
    #[error(transparent)]
    Directory(io::Error),
    /// Something stored cannot be read as what it should be.
    #[error("{what} in it cannot be read")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// A database of something else.
    #[error("it is a database of another program")]
    Foreign,
    /// A schema that a newer program has made.
    #[error("it has schema version {found}; this program knows versions up to {known}")]
    Newer {
        /// What was found.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Events that do not follow what is stored.
    #[error("{0}")]
    Journal(String),
    /// A platform whose last run has not ended.
    #[error("run `{run}` of platform `{platform}` has not ended")]
    Unfinished {
        /// Whose.
        platform: PlatformName,
        /// Which run.
        run: RunId,
    },
    /// `PRAGMA integrity_check` has found something.
    #[error("{0}")]
    Damaged(String),
}

/// What lies behind an SQLite result code, as far as a person can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Damaged,
    Full,
    NotWritable,
    Busy,
    Other,
}

impl Trouble {
    pub(crate) fn unreadable(what: &'static str, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unreadable { what, cause: Box::new(cause) }
    }

    /// Whether it comes from a place that cannot be written.
    pub(crate) fn is_about_writing(&self) -> bool {
        /// SQLite could not make the side files that it needs beside the database.
        const CANTOPEN: i32 = 14;
        match self {
            Self::Sql(cause) => {
                kind_of(cause) == Kind::NotWritable || code_of(cause).is_some_and(|c| c & 0xff == CANTOPEN)
            }
            Self::File(cause) => {
                matches!(cause.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
            }
            _ => false,
        }
    }

    /// As the store's contract says it. `deed` is what was being done, with the thing: `record events of run `01J…``.
    pub(crate) fn into_store(self, deed: &str, path: &Path) -> StoreError {
        match self {
            Self::Refused(refused) => refused,
            other => StoreError::Other(Box::new(other.into_failure(deed, path))),
        }
    }

    /// As a person sees it.
    pub(crate) fn into_failure(self, deed: &str, path: &Path) -> Failure {
        let file = path.display();
        let message = format!("could not {deed} in `{file}`");
        match self {
            Self::Refused(refused) => refused.into_failure(),
            Self::Sql(cause) => of_sqlite(&cause, message, path).caused_by(&cause),
            Self::Migrate(cause) => {
                let inner = match &cause {
                    MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => Some(inner),
                    _ => None,
                };
                match inner {
                    Some(inner) => of_sqlite(inner, message, path),
                    None => damaged(message, path),
                }
                .caused_by(&cause)
            }
            Self::File(cause) => of_file(&cause, message, path).because(&cause),
            Self::Directory(cause) => {
                let dir = path.parent().unwrap_or(path).display();
                Failure::new(
                    Code::new("P0111"),
                    Class::Config,
                    format!("could not make the state directory `{dir}`"),
                )
                .because(&cause)
                .hint("choose another place with `--state DIR` or `PLATFORM_STATE`")
            }
            found @ (Self::Unreadable { .. } | Self::Foreign | Self::Damaged(_)) => {
                damaged(message, path).caused_by(&found)
            }
            found @ Self::Newer { .. } => Failure::new(
                Code::new("P0105"),
                Class::Config,
                format!("the state in `{file}` was written by a newer `platform`"),
            )
            .because(&found)
            .hint("use that version, or the newest one; nothing was changed")
            .hint("`platform --version` says which one this is"),
            Self::Journal(why) => Failure::new(Code::new("P0107"), Class::Bug, message)
                .because(why)
                .hint("nothing was written; `platform runs` shows where the run stands, `platform resume` reads it again"),
            Self::Unfinished { platform, run } => unfinished(&platform, &run),
        }
    }
}

/// What keeps another run of a platform from beginning: one that has not ended.
pub fn unfinished(platform: &PlatformName, run: &RunId) -> Failure {
    Failure::new(
        Code::new("P0112"),
        Class::ConflictInProgress,
        format!("platform `{platform}` has an unfinished run"),
    )
    .because(format!("run `{run}` has not ended"))
    .hint(format!("continue it with `platform resume {run}`"))
    .hint(format!(
        "or give it up with `platform run abandon {run} --because WHY`; what it made stays in the ledger"
    ))
}

/// Whether a failed write means that a row already stands where this one should.
pub(crate) fn is_duplicate(cause: &sqlx::Error) -> bool {
    cause.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether one of the schema's own checks (a trigger, CHECK, foreign key) has refused a write.
pub(crate) fn is_invariant(cause: &sqlx::Error) -> bool {
    code_of(cause).is_some_and(|code| code & 0xff == SQLITE_CONSTRAINT)
}

fn of_sqlite(cause: &sqlx::Error, message: String, path: &Path) -> Failure {
    if let sqlx::Error::Io(cause) = cause {
        return of_file(cause, message, path);
    }
    match kind_of(cause) {
        Kind::Damaged => damaged(message, path),
        Kind::Full => full(message, path),
        Kind::NotWritable => not_writable(message, path),
        Kind::Busy => Failure::new(Code::new("P0110"), Class::ConflictInProgress, message)
            .hint("another process is writing to it at length: look with `platform lock show`, or try again"),
        Kind::Other => Failure::new(Code::new("P0113"), Class::Retryable, message)
            .hint("look at the disk (`dmesg`, `df`); `platform resume` continues from what was stored"),
    }
}

fn of_file(cause: &io::Error, message: String, path: &Path) -> Failure {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(message, path),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => not_writable(message, path),
        _ => Failure::new(Code::new("P0113"), Class::Retryable, message)
            .hint("look at the disk (`dmesg`, `df`); `platform resume` continues from what was stored"),
    }
}

fn damaged(message: String, path: &Path) -> Failure {
    let file = path.display();
    Failure::new(Code::new("P0106"), Class::Config, message)
        .hint("the file was left as it is; `platform` does not write to it")
        .hint(format!("first keep a copy: `cp -p {file} {file}-wal {file}-shm /SOME/SAFE/PLACE`"))
        .hint(format!(
            "then put a backup in its place, or try `sqlite3 {file} .recover | sqlite3 {file}.recovered`"
        ))
}

fn full(message: String, path: &Path) -> Failure {
    let dir = path.parent().unwrap_or(path).display();
    Failure::new(Code::new("P0108"), Class::Capacity, message).hint(format!(
        "make room (`df -h {dir}`), then `platform resume`: everything recorded so far is kept"
    ))
}

fn not_writable(message: String, path: &Path) -> Failure {
    let dir = path.parent().unwrap_or(path).display();
    Failure::new(Code::new("P0109"), Class::Forbidden, message)
        .hint(format!("you need to write to `{dir}` and the files in it: see `ls -la {dir}`"))
        .hint("or choose another place with `--state DIR` or `PLATFORM_STATE`")
}

// Primary result codes, https://www.sqlite.org/rescode.html
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;
/// `SQLITE_IOERR_SHMSIZE`: the shared-memory file could not grow, which is a full disk in all but name.
const SQLITE_IOERR_SHMSIZE: i32 = 10 | (19 << 8);

fn code_of(cause: &sqlx::Error) -> Option<i32> {
    cause.as_database_error()?.code()?.parse().ok()
}

fn kind_of(cause: &sqlx::Error) -> Kind {
    if matches!(cause, sqlx::Error::PoolTimedOut) {
        return Kind::Busy;
    }
    match code_of(cause) {
        Some(SQLITE_IOERR_SHMSIZE) => Kind::Full,
        Some(code) => match code & 0xff {
            SQLITE_NOTADB | SQLITE_CORRUPT => Kind::Damaged,
            SQLITE_FULL => Kind::Full,
            SQLITE_READONLY | SQLITE_CANTOPEN | SQLITE_PERM => Kind::NotWritable,
            SQLITE_BUSY | SQLITE_LOCKED => Kind::Busy,
            _ => Kind::Other,
        },
        // A column that is not of the type the schema promises.
        None if matches!(cause, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => Kind::Damaged,
        None => Kind::Other,
    }
}
