//! What outlives the process: books of named entries in one SQLite file.
//!
//! Everybody who holds state puts what changed into a book of its own and goes on; one writer takes everything that has
//! come together into one transaction. Who answers a client waits for [`Keeper::kept`] before: what a client was told is
//! there after a `kill -9`.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, watch};

/// How many entries one transaction takes at most.
const BATCH: usize = 4_096;

/// Keeps books, or nothing at all.
#[derive(Clone)]
pub struct Keeper(Option<Arc<Shelf>>);

struct Shelf {
    pool: SqlitePool,
    /// Entries in the order in which they were put; the lock makes number and place in the queue one.
    queue: Mutex<Queue>,
    /// The number of the last entry that is on disk, or why there will be no more.
    kept: watch::Receiver<Result<u64, String>>,
}

struct Queue {
    put: u64,
    send: mpsc::UnboundedSender<Entry>,
}

struct Entry {
    number: u64,
    book: Arc<str>,
    key: String,
    /// `None`: removed.
    bytes: Option<Vec<u8>>,
}

/// Why something could not be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the sandbox cannot write its state: {0}")]
pub struct NotKept(String);

impl Keeper {
    /// Keeps nothing: for tests and simulations.
    pub fn memory() -> Self {
        Self(None)
    }

    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open(file: &Path) -> Result<Self, sqlx::Error> {
        // A process that is killed loses nothing that it has handed to the system; only a power cut does, and an
        // emulated cloud need not survive one.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS entries (book TEXT NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL,
             PRIMARY KEY (book, key)) STRICT, WITHOUT ROWID",
        )
        .execute(&pool)
        .await?;
        let (send, entries) = mpsc::unbounded_channel();
        let (say, kept) = watch::channel(Ok(0));
        tokio::spawn(write(pool.clone(), entries, say));
        Ok(Self(Some(Arc::new(Shelf { pool, queue: Mutex::new(Queue { put: 0, send }), kept }))))
    }

    /// A book by its name.
    pub fn book(&self, name: impl Into<Arc<str>>) -> Book {
        Book { keeper: self.clone(), name: name.into() }
    }

    /// Returns when everything that was put so far is on disk.
    ///
    /// # Errors
    /// When it cannot be written; then nothing after it is.
    pub async fn kept(&self) -> Result<(), NotKept> {
        let Some(shelf) = &self.0 else { return Ok(()) };
        let put = shelf.queue.lock().unwrap_or_else(PoisonError::into_inner).put;
        let mut kept = shelf.kept.clone();
        let reached = kept.wait_for(|kept| kept.as_ref().map_or(true, |kept| *kept >= put)).await;
        match reached.as_deref() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(NotKept(why.clone())),
            Err(_) => Err(NotKept("its writer has stopped".to_owned())),
        }
    }

    /// Removes every book.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn clear(&self) -> Result<(), sqlx::Error> {
        if let Some(shelf) = &self.0 {
            sqlx::query("DELETE FROM entries").execute(&shelf.pool).await?;
        }
        Ok(())
    }
}

/// Named entries.
#[derive(Clone)]
pub struct Book {
    keeper: Keeper,
    name: Arc<str>,
}

impl Default for Book {
    fn default() -> Self {
        Keeper::memory().book("")
    }
}

impl Book {
    /// The keeper of this book.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Whether anything is kept at all.
    pub fn is_kept(&self) -> bool {
        self.keeper.0.is_some()
    }

    /// Writes an entry, or writes it anew. It is on disk when [`Keeper::kept`] says so.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        if self.keeper.0.is_some() {
            self.entry(key, Some(bytes.to_vec()));
        }
    }

    /// Removes an entry.
    pub fn remove(&self, key: &str) {
        self.entry(key, None);
    }

    /// Every entry, by key.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn load(&self) -> Result<Vec<(String, Vec<u8>)>, sqlx::Error> {
        let Some(shelf) = &self.keeper.0 else { return Ok(Vec::new()) };
        let rows = sqlx::query("SELECT key, bytes FROM entries WHERE book = ? ORDER BY key")
            .bind(&*self.name)
            .fetch_all(&shelf.pool)
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    fn entry(&self, key: &str, bytes: Option<Vec<u8>>) {
        let Some(shelf) = &self.keeper.0 else { return };
        let mut queue = shelf.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.put += 1;
        let entry = Entry { number: queue.put, book: self.name.clone(), key: key.to_owned(), bytes };
        // A writer that has stopped has said why, and `kept` repeats it.
        let _stopped = queue.send.send(entry);
    }
}

/// Writes entries until there will be no more.
async fn write(
    pool: SqlitePool,
    mut entries: mpsc::UnboundedReceiver<Entry>,
    say: watch::Sender<Result<u64, String>>,
) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let last = batch.last().map_or(0, |entry| entry.number);
        let written = write_batch(&pool, &mut batch).await;
        let broken = written.is_err();
        // Whoever asks later reads it; that nobody waits now is no matter.
        drop(say.send_replace(written.map(|()| last).map_err(|error| error.to_string())));
        if broken {
            return;
        }
    }
}

async fn write_batch(pool: &SqlitePool, batch: &mut Vec<Entry>) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for entry in batch.drain(..) {
        let query = match &entry.bytes {
            Some(bytes) => sqlx::query(
                "INSERT INTO entries (book, key, bytes) VALUES (?, ?, ?)
                 ON CONFLICT (book, key) DO UPDATE SET bytes = excluded.bytes",
            )
            .bind(&*entry.book)
            .bind(&entry.key)
            .bind(bytes),
            None => sqlx::query("DELETE FROM entries WHERE book = ? AND key = ?")
                .bind(&*entry.book)
                .bind(&entry.key),
        };
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_kept_is_there_in_the_next_life() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("sandbox.db");
        let keeper = Keeper::open(&file).await.expect("opened");
        let (one, other) = (keeper.book("one"), keeper.book("other"));
        one.put("a", b"1");
        one.put("b", b"2");
        one.put("a", b"3");
        other.put("a", b"4");
        one.remove("b");
        keeper.kept().await.expect("written");
        // A second reader is what a new process is: the first has not been closed.
        let again = Keeper::open(&file).await.expect("opened");
        assert_eq!(again.book("one").load().await.expect("read"), [("a".to_owned(), b"3".to_vec())]);
        assert_eq!(again.book("other").load().await.expect("read"), [("a".to_owned(), b"4".to_vec())]);
        again.clear().await.expect("cleared");
        assert_eq!(again.book("one").load().await.expect("read"), []);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let keeper = Keeper::open(&dir.path().join("sandbox.db")).await.expect("opened");
        let Some(shelf) = &keeper.0 else { unreachable!("it keeps") };
        sqlx::query("DROP TABLE entries").execute(&shelf.pool).await.expect("dropped");
        keeper.book("one").put("a", b"1");
        let error = keeper.kept().await.expect_err("no table");
        assert!(error.to_string().contains("no such table"), "{error}");
    }
}
