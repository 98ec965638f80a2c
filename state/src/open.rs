//! Opening: the directory, the file, its modes, its version.

use std::{
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use platform_spec::Failure;
use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    migrate::Migrator,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use crate::trouble::Trouble;

/// Name of the database file within the state directory.
pub const FILE: &str = "platform.db";

/// How long a write waits for another process's write.
///
/// Transactions here take milliseconds; five seconds is a disk in trouble or a process stopped in the middle of one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Screens read at the same time as each other and as the writer; more than this only costs memory.
const READERS: u32 = 4;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// The state of this machine's platforms, in one SQLite file.
///
/// # Guarantees
/// What a call has returned `Ok` for is on the disk (WAL, `synchronous=FULL`). Several processes may have the same
/// file open. A file that is damaged, foreign or from a newer program is not written to.
///
/// # Assumptions
/// A local file system: SQLite's WAL needs shared memory, so network file systems will not do.
#[derive(Clone, Debug)]
pub struct Sqlite {
    path: PathBuf,
    /// One connection, so that writes of this process queue here and not on SQLite's lock.
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
}

impl Sqlite {
    /// Opens [`FILE`] in `dir`; makes the directory (mode 0700), the file (0600) and the schema when they are missing.
    ///
    /// # Errors
    /// `P0105` a newer program's, `P0106` damaged or not ours, `P0108` disk full, `P0109` not writable, `P0110` busy,
    /// `P0111` no such directory can be made, `P0113` anything else the disk says.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, Failure> {
        let path = dir.as_ref().join(FILE);
        Self::try_open(&path).await.map_err(|trouble| trouble.into_failure("open the state", &path))
    }

    /// Opens [`FILE`] in `dir` for looking at it: makes nothing. Where there is none, there is nothing to see; where it
    /// can only be read (a read-only file system), it is read as it lies there.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub async fn look(dir: impl AsRef<Path>) -> Result<Self, Failure> {
        let path = dir.as_ref().join(FILE);
        let said = |trouble: Trouble| trouble.into_failure("open the state", &path);
        if !exists(&path).map_err(said)? {
            let said = |trouble: Trouble| trouble.into_failure("open the state", &path);
            return Self::nothing(&path).await.map_err(said);
        }
        match Self::try_open(&path).await {
            Ok(open) => Ok(open),
            Err(trouble) => {
                let still = Self::immutable(&path);
                match version(&still.reader).await {
                    // What lies in a write-ahead log would not be seen; nobody can have left one there half-written
                    // who could not write there either.
                    Ok(found) if found == newest() && trouble.is_about_writing() && !has_log(&path) => {
                        Ok(still)
                    }
                    _ => Err(trouble.into_failure("open the state", &path)),
                }
            }
        }
    }

    /// An empty state that is nowhere.
    async fn nothing(path: &Path) -> Result<Self, Trouble> {
        let memory = pool().max_connections(1).connect_lazy_with(SqliteConnectOptions::new().in_memory(true));
        MIGRATIONS.run(&memory).await?;
        Ok(Self { path: path.to_owned(), writer: memory.clone(), reader: memory })
    }

    fn immutable(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
        let reader = pool().max_connections(1).connect_lazy_with(options.disable_statement_logging());
        Self { path: path.to_owned(), writer: reader.clone(), reader }
    }

    async fn try_open(path: &Path) -> Result<Self, Trouble> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let writer = pool().max_connections(1).connect_lazy_with(options.clone());
        if let Err(trouble) = make_ready(path, &writer).await {
            // Awaited, so that SQLite's side files are gone when the caller hears of it.
            writer.close().await;
            return Err(trouble);
        }
        let reader = pool().max_connections(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { path: path.to_owned(), writer, reader })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes every connection; the last process to close folds the WAL into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// No pings and no retirement: the connections are to a file, and each new one costs a thread and a parsed schema.
///
/// When a disk is full or fails, SQLite rolls back by itself, and sqlx goes on believing in the transaction. Such a
/// connection can begin nothing more, so it is replaced.
fn pool() -> PoolOptions<sqlx::Sqlite> {
    SqlitePoolOptions::new()
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Looks whether the file is there with our schema, and makes what is missing, one process at a time.
async fn make_ready(path: &Path, writer: &SqlitePool) -> Result<(), Trouble> {
    if exists(path)? && version(writer).await? == newest() {
        return Ok(());
    }
    let (dir, file) = (path.parent().unwrap_or(Path::new(".")).to_owned(), path.to_owned());
    let guard = tokio::task::spawn_blocking(move || make_room(&dir, &file))
        .await
        .map_err(|lost| Trouble::File(std::io::Error::other(lost)))??;
    // Looked at again under the guard, and before anything is written.
    version(writer).await?;
    sqlx::query("PRAGMA journal_mode = WAL").execute(writer).await?;
    MIGRATIONS.run(writer).await?;
    drop(guard);
    Ok(())
}

/// Whether the file is there. Where a directory should be and is none, it is not; making the directory will say so.
fn exists(path: &Path) -> Result<bool, Trouble> {
    match path.try_exists() {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
        other => other.map_err(Trouble::File),
    }
}

/// Whether a write-ahead log with something in it lies beside the file.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Makes directory and file. The file handle returned is a lock on the directory, held until it is dropped.
///
/// The lock is on the directory because closing any handle of the database file would drop SQLite's own locks on it
/// (POSIX locks belong to the process). For the same reason an existing file is never opened here.
fn make_room(dir: &Path, file: &Path) -> Result<std::fs::File, Trouble> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Trouble::Directory)?;
    let guard = std::fs::File::open(dir).map_err(Trouble::File)?;
    guard.lock().map_err(Trouble::File)?;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => Err(Trouble::File(cause)),
        _ => Ok(guard),
    }
}

/// The newest migration that this program knows.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The newest migration that the file has; 0 when it is empty.
async fn version(writer: &SqlitePool) -> Result<i64, Trouble> {
    let (tables, ours): (i64, bool) =
        sqlx::query_as("SELECT count(*), coalesce(max(name = '_sqlx_migrations'), 0) FROM sqlite_schema")
            .fetch_one(writer)
            .await?;
    if tables == 0 {
        return Ok(0);
    }
    if !ours {
        return Err(Trouble::Foreign);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(writer)
            .await?;
    for (version, checksum) in &applied {
        match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None if *version > newest() => {
                return Err(Trouble::Newer { found: *version, known: newest() });
            }
            Some(migration) if *migration.checksum == **checksum => {}
            _ => return Err(Trouble::Foreign),
        }
    }
    Ok(applied.last().map_or(0, |(version, _)| *version))
}
