//! The contract as a child process: the same suite, and what only a process can do wrong.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use platform_provider::{
    CONTRACT_VERSION, ClusterRequest, Ensured, Observation, Provider, Removed,
    process::{ProcessProvider, Timeouts, serve_on},
    progress,
};
use platform_spec::{Class, Failure};
use platform_testkit::{
    conformance::{Level, Outside, Subject, Verdicts, examine},
    conformance_tests,
    memory::{Fault, MemoryCloud, MemoryProvider, Pace, Verb, What},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A plugin and its cloud in a file, which this test can see too.
struct Plugin {
    cloud: MemoryCloud,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

async fn plugin() -> Plugin {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("cloud.json");
    let cloud = MemoryCloud::in_file(&file, Pace::BRISK).expect("a cloud");
    Plugin { cloud, file, _dir: dir }
}

fn provider_on(file: &Path) -> ProcessProvider {
    ProcessProvider::new("memory", env!("CARGO_BIN_EXE_platform-provider-memory"), [file])
}

fn cluster() -> ClusterRequest {
    let mut cluster = ClusterRequest::new("shop", "eu", "memory");
    cluster.kubernetes_version = Some("1.36".to_owned());
    cluster.spec = json!({"nodes": {"workers": 3}});
    cluster
}

#[async_trait]
impl Subject for Plugin {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(provider_on(&self.file))
    }

    fn cluster(&self) -> ClusterRequest {
        cluster()
    }

    async fn pass(&self, ms: u64) {
        // The pace that the plugin itself asks for; its cloud follows the real clock.
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some((self.cloud.made().values().sum(), self.cloud.changes() as u64))
    }

    fn inject(&self, fault: Fault) -> bool {
        self.cloud.inject(fault);
        true
    }

    fn put_foreign(&self, resource: &str) -> bool {
        self.cloud.put_foreign("shop", "eu", resource);
        true
    }

    fn put_load_balancer(&self) -> Option<String> {
        self.cloud.put_load_balancer("shop", "eu", "lb-web").map(|_| "lb-web".to_owned())
    }

    fn use_up_quota(&self) -> bool {
        self.cloud.set_quota(Some(0));
        true
    }
}

conformance_tests!(plugin());

/// As `platform conformance` does it: a person's plugin, and nothing that can be made to go wrong.
#[tokio::test]
async fn a_plugin_is_examined_by_levels() {
    let plugin = plugin().await;
    let make = async |behaviour: &str| {
        let file = plugin.file.clone();
        let number =
            u64::from_be_bytes(std::array::from_fn(|at| *behaviour.as_bytes().get(at).unwrap_or(&0)));
        let mut cluster = cluster();
        cluster.platform = platform_spec::PlatformName::new(format!("examined-{number:x}"));
        let provider = move || Arc::new(provider_on(&file)) as Arc<dyn Provider>;
        Ok(Outside::new(Arc::new(provider), cluster).with_epochs().that_sweeps())
    };
    let examined =
        examine(make, &[Level::L2, Level::L3, Level::L5], |_| ()).await.expect("it says what it is");
    assert!(examined.passed, "{}", examined.markdown());
    let sums: Vec<_> =
        examined.levels.iter().map(|it| (it.level, it.passed, it.failed, it.skipped)).collect();
    assert_eq!(sums, [(Level::L2, 2, 0, 2), (Level::L3, 6, 0, 0), (Level::L5, 0, 0, 1)]);
    let skipped = examined.checks.iter().filter(|check| check.verdict == Verdicts::Skipped);
    assert!(skipped.clone().count() == 3 && skipped.clone().all(|check| check.why.is_some()));
    assert!(plugin.cloud.objects().is_empty(), "{:?}", plugin.cloud.objects());
}

/// A plugin written as a shell script.
fn script(text: &str) -> ProcessProvider {
    ProcessProvider::new("acme", "sh", ["-c", text]).with_timeouts(Timeouts {
        start: Duration::from_secs(20),
        call: Duration::from_secs(20),
        end: Duration::from_secs(20),
    })
}

/// Reads the hello and answers it as version `contract`.
fn welcome(contract: u32) -> String {
    format!(
        r#"read -r hello; cookie=$(printf %s "$hello" | sed 's/.*"cookie":"\([^"]*\)".*/\1/');
           printf '{{"welcome":{{"contract":{contract},"cookie":"%s","kind":"acme","news":1}}}}\n' "$cookie";"#
    )
}

async fn failure(provider: &ProcessProvider) -> Failure {
    provider.describe().await.expect_err("this plugin does not answer well")
}

/// X-05: a plugin that exits with 137 in mid-call is a failure of that step; the next call finds what it did.
#[tokio::test]
async fn a_crash_is_a_retryable_failure_and_the_next_call_starts_it_again() {
    let plugin = plugin().await;
    let provider = provider_on(&plugin.file);
    let call = cluster().call("network", "t-1", 1);
    for (what, made) in [(What::Crash, 0), (What::CrashAfter, 1)] {
        plugin.inject(Fault::on(Verb::Ensure, "network", what));
        let failure = provider.ensure(&call).await.expect_err("it has crashed");
        assert_eq!((failure.code.as_str(), failure.class), ("P0205", Class::Retryable));
        assert!(failure.causes[0].contains("137"), "{:?}", failure.causes);
        assert_eq!(plugin.cloud.made().values().sum::<u64>(), made);
    }
    let seen = provider.observe(&call).await.expect("it was started again");
    assert!(matches!(seen, Observation::Present { .. } | Observation::InProgress(_)), "{seen:?}");
    provider.ensure(&call).await.expect("it goes on");
    assert_eq!(plugin.cloud.made()["network"], 1, "one network, wherever it crashed");
}

#[tokio::test]
async fn calls_run_at_the_same_time_and_a_stuck_one_is_given_up() {
    let plugin = plugin().await;
    let provider = provider_on(&plugin.file)
        .with_timeouts(Timeouts { call: Duration::from_secs(2), ..Timeouts::default() });
    plugin.inject(Fault::on(Verb::Observe, "network", What::Hang));
    let (network, pool) = (cluster().call("network", "t-1", 1), cluster().call("pool/default", "t-2", 1));
    let stuck = provider.observe(&network);
    let others = async {
        for _ in 0..5 {
            assert_eq!(provider.observe(&pool).await, Ok(Observation::Absent));
        }
    };
    let (stuck, ()) = tokio::join!(stuck, others);
    let failure = stuck.expect_err("it never answers");
    assert_eq!((failure.code.as_str(), failure.class), ("P0206", Class::Retryable));
    assert_eq!(provider.observe(&network).await, Ok(Observation::Absent), "the plugin itself is well");
}

#[tokio::test]
async fn words_said_on_the_way_arrive() {
    let plugin = plugin().await;
    let provider = provider_on(&plugin.file);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let listener: progress::Listener =
        Arc::new(move |words| ears.lock().expect("ears").push(words.to_owned()));
    let call = cluster().call("network", "t-1", 1);
    progress::listen(listener, provider.ensure(&call)).await.expect("made");
    assert_eq!(*heard.lock().expect("ears"), ["making `network`"]);
}

#[tokio::test]
async fn a_program_that_is_missing_or_no_plugin_is_refused() {
    let missing = failure(&ProcessProvider::new("acme", "platform-no-such-plugin", [""; 0])).await;
    assert_eq!((missing.code.as_str(), missing.class), ("P0204", Class::Config));
    assert!(missing.hints[0].contains("platform-no-such-plugin"), "{:?}", missing.hints);

    let repeats = failure(&script("cat")).await;
    assert_eq!((repeats.code.as_str(), repeats.class), ("P0204", Class::Config));

    let ends = failure(&script("exit 3")).await;
    assert_eq!((ends.code.as_str(), ends.class), ("P0204", Class::Retryable));
    assert!(ends.causes[0].contains("exit status: 3"), "{:?}", ends.causes);
}

#[tokio::test]
async fn another_version_of_the_contract_is_refused_with_both_numbers() {
    let refused = failure(&script(&format!("{} cat", welcome(CONTRACT_VERSION + 8)))).await;
    assert_eq!((refused.code.as_str(), refused.class), ("P0208", Class::Config));
    let numbers = format!(
        "version {} of the contract, this program speaks version {CONTRACT_VERSION}",
        CONTRACT_VERSION + 8
    );
    assert!(refused.causes[0].contains(&numbers), "{:?}", refused.causes);
}

#[tokio::test]
async fn a_junk_line_is_a_bug_of_the_plugin_and_is_not_repeated() {
    let lines =
        ["token: pl4nted-s3cret", r#"{"id":1,"ok":{"kind":"pl4nted-s3cret"},"failure":{}}"#, r#"{"id":1}"#];
    for line in lines {
        let junk =
            failure(&script(&format!("{} read -r call; echo '{line}'; cat", welcome(CONTRACT_VERSION))))
                .await;
        assert_eq!((junk.code.as_str(), junk.class), ("P0207", Class::Bug));
        assert!(junk.message.contains("acme"), "{}", junk.message);
        assert!(!format!("{junk:?}").contains("pl4nted"), "{junk:?}");
    }
}

#[tokio::test]
async fn a_kubeconfig_of_a_wrong_shape_is_not_quoted() {
    let line = r#"{"id":1,"ok":{"kubeconfig":["pl4nted-s3cret"],"expires":"pl4nted-s3cret"}}"#;
    let provider = script(&format!("{} read -r call; echo '{line}'; cat", welcome(CONTRACT_VERSION)));
    let failure = provider.access(&cluster()).await.expect_err("a wrong shape");
    assert_eq!(failure.code.as_str(), "P0207");
    assert!(!format!("{failure:?}").contains("pl4nted"), "{failure:?}");
}

#[tokio::test]
async fn half_a_line_before_death_is_a_crash_and_no_junk() {
    let died = failure(&script(&format!(
        "{} read -r call; printf '{{\"id\":1,'; exit 137",
        welcome(CONTRACT_VERSION)
    )))
    .await;
    assert_eq!((died.code.as_str(), died.class), ("P0205", Class::Retryable));
}

/// A host by hand, to say what ours never says.
async fn talk(lines: &[Value]) -> Vec<Value> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (from_host, to_host) = tokio::io::split(far);
    let provider = Arc::new(MemoryProvider::new(&MemoryCloud::instant()));
    let served = tokio::spawn(serve_on(provider, from_host, to_host));
    let (answers, mut calls) = tokio::io::split(near);
    let mut answers = BufReader::new(answers).lines();
    let mut heard = Vec::new();
    for line in lines {
        calls.write_all(format!("{line}\n").as_bytes()).await.expect("written");
        let answer = answers.next_line().await.expect("read").expect("an answer");
        heard.push(serde_json::from_str(&answer).expect("JSON"));
    }
    calls.shutdown().await.expect("closed");
    served.await.expect("no panic").expect("a good end");
    heard
}

#[tokio::test]
async fn unknown_fields_are_tolerated_and_unknown_methods_refused() {
    let heard = talk(&[
        json!({"hello": {"contract": CONTRACT_VERSION, "cookie": "c", "colour": "blue"}, "more": 1}),
        json!({"id": 1, "method": "describe", "params": null, "deadline": 5}),
        json!({"id": 2, "method": "dance", "params": {}}),
        json!({"id": 3, "method": "observe", "params": {"cluster": "no cluster"}}),
        json!({"id": 4, "method": "list_owned", "params": {"platform": "shop", "provider": "memory", "since": 1}}),
    ])
    .await;
    assert_eq!(heard[0]["welcome"]["cookie"], "c");
    assert_eq!(heard[1]["ok"]["kind"], "memory");
    assert_eq!(heard[2]["failure"]["message"], "the provider knows no method `dance`");
    assert_eq!(heard[3]["failure"]["class"], "bug");
    assert_eq!(heard[4]["ok"], json!([]));
}

#[tokio::test]
async fn a_plugin_that_panics_answers_and_goes_on() {
    let cloud = MemoryCloud::instant();
    cloud.inject(Fault::on(Verb::Ensure, "network", What::Crash));
    let (near, far) = tokio::io::duplex(1 << 16);
    let (from_host, to_host) = tokio::io::split(far);
    tokio::spawn(serve_on(Arc::new(MemoryProvider::new(&cloud)), from_host, to_host));
    let (answers, mut calls) = tokio::io::split(near);
    let mut answers = BufReader::new(answers).lines();
    let call = cluster().call("network", "t-1", 1);
    let mut last = Value::Null;
    for line in [
        json!({"hello": {"contract": CONTRACT_VERSION, "cookie": "c"}}),
        json!({"id": 1, "method": "ensure", "params": call}),
        json!({"id": 2, "method": "ensure", "params": call}),
    ] {
        calls.write_all(format!("{line}\n").as_bytes()).await.expect("written");
        loop {
            let answer = answers.next_line().await.expect("read").expect("an answer");
            last = serde_json::from_str(&answer).expect("JSON");
            if last.get("progress").is_none() {
                break;
            }
        }
        if last["id"] == 1 {
            assert_eq!(last["failure"]["message"], "the provider panicked in `ensure`");
        }
    }
    let ensured: Ensured = serde_json::from_value(last["ok"].clone()).expect("it goes on");
    assert!(matches!(ensured, Ensured::Done { changed: true, .. }), "{ensured:?}");
}

#[tokio::test]
async fn a_plugin_started_by_hand_says_what_it_is() {
    let (near, far) = tokio::io::duplex(1024);
    let (from_host, to_host) = tokio::io::split(far);
    let served =
        tokio::spawn(serve_on(Arc::new(MemoryProvider::new(&MemoryCloud::instant())), from_host, to_host));
    let (_answers, mut calls) = tokio::io::split(near);
    calls.write_all(b"--help\n").await.expect("written");
    let refused = served.await.expect("no panic").expect_err("no hello");
    assert!(refused.to_string().contains("`platform`, which starts it by itself"), "{refused}");
}

#[tokio::test]
async fn nobody_left_to_call_ends_the_plugin() {
    let plugin = plugin().await;
    let note = plugin.file.with_extension("ended");
    let text = format!("{} cat >/dev/null; echo > '{}'", welcome(CONTRACT_VERSION), note.display());
    let provider =
        script(&text).with_timeouts(Timeouts { call: Duration::from_millis(50), ..Timeouts::default() });
    assert_eq!(failure(&provider).await.code.as_str(), "P0206");
    drop(provider);
    let ended = async {
        while !note.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("its input was closed, so it ends");
    assert_eq!(provider_on(&plugin.file).remove(&cluster().call("network", "t", 1)).await, Ok(Removed::Done));
}
