//! Opening: what is made, with which modes, and what is refused without being touched.

mod common;

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::{Trial, at, code, never_dead, open, sql, started, succeeded};
use platform_engine::store::Store;
use platform_spec::Failure;
use platform_state::{FILE, Sqlite};

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file below, with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect()
}

type Damage = fn(&mut Vec<u8>);

async fn refusal(dir: &Path) -> Failure {
    Sqlite::open(dir).await.expect_err("a refusal")
}

/// A state with a finished run in it, closed.
async fn finished(dir: &Path) {
    let mut trial = Trial::begin(dir, 50).await;
    for number in 0..50 {
        trial.append([started(number), succeeded(number, vec![])]).await;
    }
    trial.store.close().await;
}

#[tokio::test]
async fn directory_and_files_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b");
    let trial = Trial::begin(&state, 1).await;
    assert_eq!((mode(dir.path().join("a")), mode(&state)), (0o700, 0o700));
    for name in ["platform.db", "platform.db-wal", "platform.db-shm"] {
        assert_eq!(mode(state.join(name)), 0o600, "{name}");
    }
    trial.store.close().await;
    assert_eq!(contents(&state).keys().collect::<Vec<_>>(), [&state.join(FILE)], "closing tidies up");
}

#[tokio::test]
async fn durability_is_asked_for_on_the_connection_that_writes() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await;
    let store = open(dir.path()).await;
    let mut db = sql(&store).await;
    let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut db).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_place_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("new");
    let opens: Vec<_> = (0..8)
        .map(|number| {
            let place = place.clone();
            tokio::spawn(async move {
                let store = Sqlite::open(&place).await?;
                let platform = platform_spec::PlatformName::new(format!("p{number}"));
                let who = common::holder(&number.to_string());
                store
                    .acquire(&platform, &who, common::TTL, at(0), &|_| false)
                    .await
                    .map_err(platform_engine::store::StoreError::into_failure)
            })
        })
        .collect();
    for attempt in opens {
        attempt.await.unwrap().expect("each opens and writes");
    }
    assert_eq!(open(&place).await.platforms().await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_newer_state_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut db = sql(&store).await;
    sqlx::query("INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, 1, x'00', 1 FROM _sqlx_migrations LIMIT 1")
        .execute(&mut db)
        .await
        .unwrap();
    store.close().await;
    sqlx::Connection::close(db).await.unwrap();
    let before = contents(dir.path());
    let failure = refusal(dir.path()).await;
    assert_eq!(failure.code.as_str(), "P0105");
    assert!(failure.causes[0].contains("9999"), "{:?}", failure.causes);
    assert!(contents(dir.path()) == before);
}

#[tokio::test]
async fn what_is_no_state_of_ours_is_refused_and_stays_as_it_is() {
    let damages: [(&str, Damage); 4] = [
        ("a text", |bytes| *bytes = b"dear diary".to_vec()),
        ("noise where the first page was", |bytes| bytes[..4096].fill(0x5a)),
        ("cut in the middle", |bytes| bytes.truncate(bytes.len() / 2 / 4096 * 4096)),
        ("a torn header", |bytes| bytes[16..100].fill(0xff)),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        finished(dir.path()).await;
        let file = dir.path().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        let before = bytes;
        let failure = refusal(dir.path()).await;
        assert_eq!(failure.code.as_str(), "P0106", "{what}: {failure:?}");
        assert!(failure.hints.iter().any(|hint| hint.contains(".recover")), "{what}");
        // SQLite's thread may still be about to remove its side files, which hold nothing.
        assert!(std::fs::read(&file).unwrap() == before, "{what}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    use sqlx::ConnectOptions;
    let dir = tempfile::tempdir().unwrap();
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join(FILE)).create_if_missing(true);
    let mut db = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE bookmarks (url TEXT)").execute(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();
    let before = contents(dir.path());
    assert_eq!(refusal(dir.path()).await.code.as_str(), "P0106");
    assert!(contents(dir.path()) == before);
}

#[tokio::test]
async fn damage_further_in_is_found_where_it_is_met() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path()).await;
    let store = open(dir.path()).await;
    store.check().await.expect("a sound file");
    store.close().await;
    let file = dir.path().join(FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let pages = bytes.len() / 4096;
    for page in pages - 4..pages {
        bytes[page * 4096..page * 4096 + 64].fill(0x5a);
    }
    std::fs::write(&file, bytes).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(code(store.check().await), "P0106");
}

#[tokio::test]
async fn a_writer_that_does_not_let_go_is_reported_as_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut other = sql(&store).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(code(never_dead(&store, "one", at(0)).await), "P0110");
    assert!(store.leases().await.unwrap().is_empty(), "readers are not kept waiting");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    never_dead(&store, "one", at(0)).await.expect("and then it goes on");
}

/// Runs `work` with the rights of a stranger: modes are not asked about when root opens a file.
fn as_stranger<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                if nix::unistd::Uid::effective().is_root() {
                    // For this thread and those it starts only; SQLite's thread is one of them.
                    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
                }
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work())
            })
            .join()
            .unwrap()
    })
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_may_not_be_written_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let state = dir.path().join("state");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(finished(&state));
    chmod(&state.join(FILE), 0o444);
    chmod(&state, 0o555);
    let before = contents(&state);

    let failure = as_stranger(async || refusal(&state).await);
    assert_eq!(failure.code.as_str(), "P0109", "file and directory read-only: {failure:?}");
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    chmod(&empty, 0o555);
    let failure = as_stranger(async || refusal(&empty).await);
    assert_eq!(failure.code.as_str(), "P0109", "directory read-only, no file: {failure:?}");
    chmod(&state, 0o700);
    chmod(&state.join(FILE), 0o600);
    assert!(contents(&state) == before);
    if nix::unistd::Uid::effective().is_root() {
        let failure = as_stranger(async || refusal(&state).await);
        assert_eq!(failure.code.as_str(), "P0109", "another user's: {failure:?}");
    }

    chmod(dir.path(), 0o555);
    let failure = as_stranger(async || refusal(&dir.path().join("x/y")).await);
    assert_eq!(failure.code.as_str(), "P0111", "{failure:?}");
    assert!(failure.message.contains("x/y"), "{}", failure.message);
    chmod(dir.path(), 0o755);
}

#[tokio::test]
async fn a_file_where_the_directory_should_be_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert_eq!(refusal(&file).await.code.as_str(), "P0111");
    assert_eq!(refusal(&file.join("below")).await.code.as_str(), "P0111");
}
