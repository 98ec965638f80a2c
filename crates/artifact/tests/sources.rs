//! Where an artifact comes from, what is refused, and what is said when it is nowhere.

use std::{fs, path::Path};

use platform_artifact::{Artifacts, Catalogue, Sources, bundle};
use platform_spec::{Class, Failure};
use sha2::{Digest, Sha256};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

const CONTENT: &[u8] = b"kind: Thing\n";
/// Nothing listens on port 1 of this machine: the URL of last resort fails at once.
const URL: &str = "https://127.0.0.1:1/made/by/thing.yaml";

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn catalogue() -> Catalogue {
    Catalogue::parse(&format!(
        "[[artifact]]\nname = 'thing'\nversion = '1'\nurl = '{URL}'\nsha256 = '{}'\nsize = {}\n",
        digest(CONTENT),
        CONTENT.len()
    ))
    .expect("a catalogue")
}

fn artifacts(sources: Sources) -> Artifacts {
    Artifacts::of(catalogue(), sources).expect("sources that can be understood")
}

async fn get(sources: Sources) -> Result<Vec<u8>, Failure> {
    artifacts(sources).get("thing", "1").await.map_err(Failure::from)
}

fn cached(cache: &Path) -> std::path::PathBuf {
    cache.join("sha256").join(digest(CONTENT))
}

/// A mirror folder that holds these bytes at the place of the one artifact.
fn mirror(bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("127.0.0.1:1/made/by/thing.yaml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
    let base = format!("file://{}", folder.path().display());
    (folder, base)
}

#[tokio::test]
async fn a_mirror_folder_fills_the_cache_and_is_not_asked_again() {
    let cache = tempfile::tempdir().unwrap();
    let (folder, base) = mirror(CONTENT);
    let sources = Sources { mirror: Some(base), ..Sources::new(cache.path()) };
    assert_eq!(get(sources.clone()).await.unwrap(), CONTENT);
    drop(folder);
    assert_eq!(get(sources).await.unwrap(), CONTENT);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(cached(cache.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}

#[tokio::test]
async fn another_digest_is_refused_wherever_it_comes_from_and_never_kept() {
    let cache = tempfile::tempdir().unwrap();
    let (_folder, base) = mirror(b"kind: Evil!\n");
    let failure = get(Sources { mirror: Some(base), ..Sources::new(cache.path()) }).await.unwrap_err();
    assert_eq!(failure.code.as_str(), "P0611");
    assert_eq!(failure.causes[0], format!("expected sha256 {}", digest(CONTENT)));
    assert_eq!(failure.causes[1], format!("found    sha256 {}", digest(b"kind: Evil!\n")));
    assert!(!cached(cache.path()).exists());
}

#[tokio::test]
async fn a_damaged_copy_in_the_cache_is_replaced() {
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir_all(cached(cache.path()).parent().unwrap()).unwrap();
    fs::write(cached(cache.path()), b"half").unwrap();
    let (_folder, base) = mirror(CONTENT);
    get(Sources { mirror: Some(base), ..Sources::new(cache.path()) }).await.unwrap();
    assert_eq!(fs::read(cached(cache.path())).unwrap(), CONTENT);
}

#[tokio::test]
async fn nowhere_names_every_place_and_the_commands_that_help() {
    let cache = tempfile::tempdir().unwrap();
    let (_folder, base) = mirror(CONTENT);
    let failure = get(Sources {
        bundle: Some(cache.path().join("no-bundle")),
        mirror: Some(format!("{base}/elsewhere")),
        ..Sources::new(cache.path())
    })
    .await
    .unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0612", Class::Retryable));
    let places =
        [cached(cache.path()).display().to_string(), "no-bundle".into(), "elsewhere".into(), URL.into()];
    assert_eq!(failure.causes.len(), places.len(), "{:#?}", failure.causes);
    for (cause, place) in failure.causes.iter().zip(&places) {
        assert!(cause.contains(place.as_str()), "{cause} lacks {place}");
    }
    let hints = failure.hints.join("\n");
    assert!(
        hints.contains("PLATFORM_BUNDLE")
            && !hints.contains("bundle create")
            && hints.contains("PLATFORM_ARTIFACT_MIRROR")
    );
}

#[tokio::test]
async fn a_hiccup_is_tried_again_and_a_plain_no_is_not() {
    let server = MockServer::start().await;
    let place = "/127.0.0.1:1/made/by/thing.yaml";
    let respond =
        |status| Mock::given(method("GET")).and(path(place)).respond_with(ResponseTemplate::new(status));
    respond(503).up_to_n_times(2).expect(2).mount(&server).await;
    Mock::given(method("GET"))
        .and(path(place))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(CONTENT))
        .expect(1)
        .mount(&server)
        .await;
    let cache = tempfile::tempdir().unwrap();
    let sources = Sources { mirror: Some(server.uri()), ..Sources::new(cache.path()) };
    assert_eq!(get(sources).await.unwrap(), CONTENT);

    let refusing = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(404)).expect(1).mount(&refusing).await;
    let empty = tempfile::tempdir().unwrap();
    let failure =
        get(Sources { mirror: Some(refusing.uri()), ..Sources::new(empty.path()) }).await.unwrap_err();
    assert!(failure.causes[1].contains("404"), "{:?}", failure.causes);
}

#[tokio::test]
async fn what_grows_beyond_its_size_is_cut_off() {
    let server = MockServer::start().await;
    let endless = vec![b'a'; 1 << 20];
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(endless))
        .mount(&server)
        .await;
    let cache = tempfile::tempdir().unwrap();
    let failure =
        get(Sources { mirror: Some(server.uri()), ..Sources::new(cache.path()) }).await.unwrap_err();
    assert!(failure.causes[1].contains("larger than the 12 bytes"), "{:?}", failure.causes);
}

#[tokio::test]
async fn a_mirrors_password_is_not_repeated() {
    let cache = tempfile::tempdir().unwrap();
    let base = "http://user:hunter2-canary@127.0.0.1:1/base".to_owned();
    let failure = get(Sources { mirror: Some(base), ..Sources::new(cache.path()) }).await.unwrap_err();
    assert!(!serde_json::to_string(&failure).unwrap().contains("canary"));
    for bad in ["ftp://a/b", "not a url", "https://user:hunter2-canary@a/b?x=1"] {
        let sources = Sources { mirror: Some(bad.to_owned()), ..Sources::new(cache.path()) };
        let failure = Failure::from(Artifacts::of(catalogue(), sources).unwrap_err());
        assert_eq!(failure.code.as_str(), "P0616");
        assert!(!serde_json::to_string(&failure).unwrap().contains("canary"));
    }
}

#[tokio::test]
async fn a_bundle_serves_a_site_without_internet() {
    let (work, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_folder, base) = mirror(CONTENT);
    let online = artifacts(Sources { mirror: Some(base), ..Sources::new(cache.path()) });
    for name in ["bundle", "bundle.tar"] {
        let place = work.path().join(name);
        bundle::create(&online, &place).await.unwrap();
        bundle::verify(online.catalogue(), &place).unwrap();
        let closed = tempfile::tempdir().unwrap();
        let sources = Sources { bundle: Some(place), ..Sources::new(closed.path()) };
        assert_eq!(get(sources).await.unwrap(), CONTENT, "{name}");
    }
    let again = work.path().join("again.tar");
    bundle::create(&online, &again).await.unwrap();
    assert_eq!(fs::read(again).unwrap(), fs::read(work.path().join("bundle.tar")).unwrap());
}

#[tokio::test]
async fn a_bundle_that_lacks_or_damages_a_file_is_not_complete() {
    let place = tempfile::tempdir().unwrap();
    let failure = Failure::from(bundle::verify(&catalogue(), place.path()).unwrap_err());
    assert_eq!(
        (failure.code.as_str(), failure.causes.as_slice()),
        ("P0614", &["thing 1 is missing".to_owned()][..])
    );

    let file = cached(place.path());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, b"something else").unwrap();
    let failure = Failure::from(bundle::verify(&catalogue(), place.path()).unwrap_err());
    assert!(failure.causes[0].starts_with("thing 1 is damaged"), "{failure:?}");

    let cache = tempfile::tempdir().unwrap();
    let sources = Sources { bundle: Some(place.path().to_owned()), ..Sources::new(cache.path()) };
    assert_eq!(get(sources).await.unwrap_err().code.as_str(), "P0611");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let (_folder, base) = mirror(CONTENT);
    let failure = get(Sources { mirror: Some(base), ..Sources::new(&file) }).await.unwrap_err();
    assert_eq!(failure.code.as_str(), "P0613");
}
