//! The sandbox's object store, judged by the AWS SDK for Python: over plain HTTP and over TLS.

use std::{path::PathBuf, process::Command, sync::Arc};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use platform_sandbox::{
    kube::object::Ids,
    s3::{Asker, Gate, Key, KeyTable, Server, Store, serve::service},
};
use platform_tests::Output;
use tokio::net::TcpListener;

/// What the SDK does. It ends at the first surprise, and names each case that went as it should.
const SCRIPT: &str = include_str!("sandbox_s3/judge.py");

/// The cases, so that none is lost unseen.
const CASES: &[&str] = &[
    "buckets",
    "objects",
    "lists",
    "versions",
    "multipart",
    "copies",
    "conditions and ranges",
    "locks",
    "settings",
    "checksums",
    "signed chunks",
    "presigned",
    "clocks",
    "credentials",
    "permissions",
];

/// The SDK's Python, or why the test is left out. `CI=true` wants it to be there.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"));
    let python = cache.join("platform-dev/tools/boto3/bin/python");
    if python.exists() {
        return Some(python);
    }
    let missing = "boto3 is missing: run tests/tools/boto3";
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{missing}");
    #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
    {
        eprintln!("skipped: {missing}");
    }
    None
}

fn key(id: &str, account: &str) -> Key {
    Key {
        id: id.to_owned(),
        secret: "a-secret-for-a-test".into(),
        token: None,
        expires: None,
        asker: Asker::root(account),
    }
}

fn keys() -> KeyTable {
    let keys = KeyTable::default();
    keys.put(key("OWNER", "111111111111"));
    keys.put(key("STRANGER", "222222222222"));
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let token = |id: &str, expires| Key {
        token: Some("a-token-for-a-test".into()),
        expires: Some(expires),
        ..key(id, "111111111111")
    };
    keys.put(token("TEMPORARY", soon));
    keys.put(token("EXPIRED", soon - SignedDuration::from_hours(2)));
    keys
}

/// A certificate for the loopback address, and its PEM.
fn tls() -> (Arc<rustls::ServerConfig>, String) {
    let certified =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("made");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .expect("a good key");
    (Arc::new(config), certified.cert.pem())
}

#[test]
fn boto3_finds_what_it_finds_at_s3() {
    let Some(python) = python() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (config, pem) = tls();
    let authority = folder.path().join("ca.pem");
    fs_err::write(&authority, pem).expect("written");
    for tls in [None, Some(config)] {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let store = Store::new(Arc::new(Timestamp::now), Arc::new(Ids::new(1)));
        let gate = Gate { store: Arc::new(store), keys: Arc::new(keys()) };
        let server = runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            Server::start(listener, tls, service(&gate, "us-east-1")).expect("it starts")
        });
        let mut judge = Command::new(&python);
        judge.args(["-I", "-c", SCRIPT]).env_clear().env("HOME", folder.path());
        judge.env("ENDPOINT", format!("{scheme}://{}", server.address)).env("AWS_CA_BUNDLE", &authority);
        let said = Output::of(&mut judge).ok();
        assert_eq!(said.stdout.lines().collect::<Vec<_>>(), CASES, "{scheme}: {}", said.stderr);
    }
}
