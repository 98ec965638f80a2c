//! Handles that lead nowhere are found before a run, all of them, without a word of what is behind the others.

use std::path::Path;

use platform_flows::handles;
use platform_spec::{Class, model::Model};

/// The bed's platform with handles of this test: files in `dir`, of which only those that are written exist.
fn model(dir: &Path) -> Model {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bed/platform.yaml");
    let at = |name: &str| format!("\"file:{}\"", dir.join(name).display());
    let text = fs_err::read_to_string(fixture)
        .expect("the bed's spec")
        .replace("env:BED_GIT_PASSWORD", &at("git"))
        .replace("env:BED_S3_CREDENTIALS", &at("s3"))
        .replace("env:BED_TSIG_SECRET", &at("tsig"))
        .replace("@GIT_URL@", "https://git.example.com/demo")
        .replace("@GIT_USER@", "platform")
        .replace("@KUBECONFIG@", "~/.kube/config")
        .replace("@ZONE@", "demo.example.com")
        .replace("@DNS@", "192.0.2.1:53")
        .replace("@TSIG_NAME@", "demo")
        .replace("@BUCKET@", "demo-backups")
        .replace("@S3_REGION@", "us-east-1")
        .replace("@S3_ENDPOINT@", "https://s3.example.com");
    platform_spec::derive(&platform_spec::parse("platform.yaml", &text).expect("a valid spec").platform)
}

fn codes(failures: &[platform_spec::Failure]) -> Vec<&str> {
    let mut codes: Vec<&str> = failures.iter().map(|failure| failure.code.as_str()).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn every_handle_that_leads_nowhere_is_named_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model(dir.path());
    let put = |name: &str, text: &str| fs_err::write(dir.path().join(name), text).expect("written");

    let found = handles::unusable(&model).await;
    assert_eq!(codes(&found), ["P0201", "P0201", "P0201"], "{found:#?}");
    for name in ["git", "s3", "tsig"] {
        let handle = format!("`file:{}`", dir.path().join(name).display());
        assert!(found.iter().any(|failure| failure.message.contains(&handle)), "{name}: {found:#?}");
    }

    put("git", "anything will do");
    put("s3", "pl4nted");
    put("tsig", "pl4nted, and no base64");
    let found = handles::unusable(&model).await;
    assert_eq!(codes(&found), ["P0432", "P0511"], "{found:#?}");
    assert!(found.iter().all(|failure| failure.class == Class::Config));
    let words = format!("{found:?}");
    assert!(!words.contains("pl4nted"), "{words}");
    let tsig = found.iter().find(|failure| failure.code.as_str() == "P0511").expect("that of the zone");
    let handle = format!("`file:{}`", dir.path().join("tsig").display());
    assert!(tsig.hints[0].contains(&handle) && tsig.hints[0].contains("`platform resume`"), "{tsig:#?}");

    put("s3", "AKIA1:secret");
    put("tsig", "c2VjcmV0IG9mIHRoZSB6b25lJ3Mga2V5IQ==");
    assert_eq!(handles::unusable(&model).await, []);
}
