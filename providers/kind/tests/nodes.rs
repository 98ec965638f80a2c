//! The conformance suite on real nodes, where there are an engine, `kind` and a node image (`PLATFORM_E2E_NODE_IMAGE`): kills, and
//! with `PLATFORM_E2E_LONG=1` everything, which takes a cluster for nearly each behaviour.

use std::{io::Write, path::Path, sync::Arc};

use platform_provider::{
    ClusterRequest, Provider,
    conformance::{Broken, Level, Outside, Verdicts, examine},
};
use platform_provider_kind::{Kind, Programs};
use serde_json::json;

fn subject(folder: &Path, image: &str, behaviour: &str) -> Outside {
    let mut cluster =
        ClusterRequest::new(&format!("suite{}", std::process::id()), &behaviour.replace('_', "-"), "here");
    cluster.config = json!({ "image": image });
    let folder = folder.to_owned();
    let make = move || Arc::new(Kind::new(Programs::default(), folder.clone())) as Arc<dyn Provider>;
    Outside::new(Arc::new(make), cluster).that_sweeps()
}

#[tokio::test]
async fn behaves_on_real_nodes() {
    let Ok(image) = std::env::var("PLATFORM_E2E_NODE_IMAGE") else {
        // Past the capture of the test harness: a skipped test should be seen.
        drop(writeln!(std::io::stderr(), "skipped: no node image: PLATFORM_E2E_NODE_IMAGE is not set"));
        return;
    };
    let folder = tempfile::tempdir().expect("a directory");
    let make = async |behaviour: &str| Ok::<_, Broken>(subject(folder.path(), &image, behaviour));
    let say = |checked: &platform_provider::conformance::Checked| {
        drop(writeln!(std::io::stderr(), "{} {:?} {} ms", checked.name, checked.verdict, checked.elapsed_ms));
    };
    let long = std::env::var_os("PLATFORM_E2E_LONG").is_some();
    let levels: &[Level] = if long { &[] } else { &[Level::L2] };
    let examined = examine(make, levels, say).await.unwrap_or_else(|broken| panic!("{broken}"));
    let failed: Vec<_> = examined.checks.iter().filter(|check| check.verdict == Verdicts::Failed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(examined.checks.iter().any(|check| check.verdict == Verdicts::Passed), "nothing was examined");
}
