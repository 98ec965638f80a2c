//! What the calls do to a server, whichever it is: beside this module stands `support`, which has one to start.

use std::{net::IpAddr, time::Duration};

use platform_dns::{Dns, Owned, Record, Seen, Tsig, Zone};
use platform_spec::Failure;

use super::support::{self, Bind};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn three() -> Vec<Record> {
    vec![
        Record::addresses("www.example.test", [ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")]),
        Record::cname("docs.example.test", "www.example.test"),
        Record::addresses("*.apps.example.test", [ip("192.0.2.3")]),
    ]
}

fn refused_as<T: std::fmt::Debug>(result: Result<T, Failure>, code: &str, class: &str) -> Failure {
    let failure = result.expect_err("refused");
    assert_eq!((failure.code.as_str(), failure.class.as_str()), (code, class), "{failure:?}");
    assert!(!format!("{failure:?}").contains("c4nary"), "{failure:?}");
    failure
}

#[tokio::test]
async fn names_are_published_once_and_removed_without_a_trace() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo/eu");
    let records = three();
    let before = dig_all(&bind);
    assert_eq!(dns.observe(&records).await.expect("observed"), vec![Seen::Absent; 3]);

    let changed = dns.ensure(&records).await.expect("published");
    assert_eq!(changed.added, ["www.example.test", "docs.example.test", "*.apps.example.test"]);
    assert_eq!(bind.dig("www.example.test", "A"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(bind.dig("www.example.test", "AAAA"), ["2001:db8::1"]);
    assert_eq!(bind.dig("docs.example.test", "CNAME"), ["www.example.test."]);
    assert_eq!(bind.dig("anything.apps.example.test", "A"), ["192.0.2.3"]);
    assert_eq!(
        bind.dig("_platform-owner.www.example.test", "TXT"),
        ["\"heritage=platform,platform/owner=demo/eu,platform/resource=A+AAAA\""]
    );
    assert_eq!(dns.observe(&records).await.expect("observed"), vec![Seen::Matches; 3]);
    let answers = dns.verify(&records).await.expect("asked");
    assert!(answers.iter().all(|answer| answer.ok), "{answers:?}");

    let serial = bind.serial();
    let again = dns.ensure(&records).await.expect("published");
    assert!(!again.any() && again.unchanged.len() == 3, "{again:?}");
    assert_eq!(bind.serial(), serial, "X-04: a second time changes nothing");

    let hosts: Vec<_> = records.iter().map(|record| record.host.clone()).collect();
    let removed = dns.remove(&hosts).await.expect("removed");
    assert_eq!(removed.removed.len(), 3);
    assert_eq!(dig_all(&bind), before);
    let removed = dns.remove(&hosts).await.expect("absent is a success");
    assert_eq!((removed.removed.len(), removed.absent.len()), (0, 3));
}

/// Every record of the zone but the SOA, by somebody else's transfer.
fn dig_all(bind: &Bind) -> Vec<String> {
    let output = std::process::Command::new("dig")
        .args(["@127.0.0.1", "-p", &bind.port.to_string(), "+onesoa", "+nocmd", "+nostats", "-y"])
        .args([format!("hmac-sha256:platform-key:{}", support::SECRET).as_str(), "example.test", "AXFR"])
        .output()
        .expect("dig runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines =
        text.lines().filter(|line| line.starts_with(|c: char| c == '*' || c == '_' || c.is_alphanumeric()));
    let mut lines: Vec<_> =
        lines.filter(|line| !line.contains("\tSOA\t") && !line.contains("TSIG")).map(str::to_owned).collect();
    lines.sort();
    assert!(!lines.is_empty(), "{text}");
    lines
}

#[tokio::test]
async fn a_change_is_repaired_and_kinds_may_change() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    let www =
        |target: &[&str]| vec![Record::addresses("www.example.test", target.iter().map(|text| ip(text)))];
    dns.ensure(&www(&["192.0.2.1"])).await.expect("published");
    bind.nsupdate("update delete www.example.test. A\nupdate add www.example.test. 60 A 203.0.113.9");
    let seen = dns.observe(&www(&["192.0.2.1"])).await.expect("observed");
    assert_eq!(seen, [Seen::Differs { found: vec!["A 203.0.113.9".into()] }]);
    assert!(!dns.verify(&www(&["192.0.2.1"])).await.expect("asked")[0].ok);
    assert_eq!(dns.ensure(&www(&["192.0.2.1"])).await.expect("repaired").updated, ["www.example.test"]);

    let alias = [Record::cname("www.example.test", "ns.example.test")];
    assert_eq!(dns.ensure(&alias).await.expect("an alias now").updated, ["www.example.test"]);
    assert_eq!(bind.dig("www.example.test", "CNAME"), ["ns.example.test."]);
    dns.ensure(&www(&["2001:db8::7"])).await.expect("addresses again");
    assert_eq!(bind.dig("www.example.test", "AAAA"), ["2001:db8::7"]);
    assert_eq!(bind.dig("www.example.test", "CNAME"), Vec::<String>::new());

    let slower = Zone { ttl: 300, ..bind.zone() };
    let slower = Dns::new(slower, "demo").expect("a good zone");
    assert_eq!(slower.ensure(&www(&["2001:db8::7"])).await.expect("slower").updated, ["www.example.test"]);
}

#[tokio::test]
async fn records_of_others_are_never_touched() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    let other = bind.dns("other");
    other.ensure(&[Record::addresses("theirs.example.test", [ip("192.0.2.7")])]).await.expect("published");
    let before = (dig_all(&bind), bind.serial());
    let records = [
        Record::addresses("new.example.test", [ip("192.0.2.1")]),
        Record::addresses("foreign.example.test", [ip("192.0.2.1")]),
        Record::addresses("theirs.example.test", [ip("192.0.2.1")]),
    ];
    let seen = dns.observe(&records).await.expect("observed");
    assert_eq!(seen[0], Seen::Absent);
    assert_eq!(seen[1], Seen::Foreign { found: vec!["A 198.51.100.1".into()], owner: None });
    assert_eq!(seen[2], Seen::Foreign { found: vec!["A 192.0.2.7".into()], owner: Some("other".into()) });
    let failure = refused_as(dns.ensure(&records).await, "P0506", "config");
    assert_eq!(failure.blockers, ["foreign.example.test", "theirs.example.test"]);
    assert_eq!((dig_all(&bind), bind.serial()), before, "nothing at all was changed");

    let removed = dns
        .remove(&["foreign.example.test", "theirs.example.test", "mail.example.test"])
        .await
        .expect("left");
    assert_eq!(removed.foreign, ["foreign.example.test", "theirs.example.test"]);
    assert_eq!(removed.absent, ["mail.example.test"], "a mail record is nobody's business here");
    assert_eq!((dig_all(&bind), bind.serial()), before);

    // An alias where the name has something else would be dropped silently by the server.
    let alias = [Record::cname("mail.example.test", "ns.example.test")];
    refused_as(dns.ensure(&alias).await, "P0507", "conflict_in_progress");
    // Addresses beside mail records are fine, and leave without them.
    dns.ensure(&[Record::addresses("mail.example.test", [ip("192.0.2.1")])]).await.expect("beside");
    dns.remove(&["mail.example.test"]).await.expect("removed");
    assert_eq!(
        (dig_all(&bind), bind.dig("mail.example.test", "MX")),
        (before.0, vec!["10 ns.example.test.".into()])
    );
}

#[tokio::test]
async fn what_a_wildcard_makes_up_is_no_record() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    let records = [Record::addresses("a.wild.example.test", [ip("192.0.2.1")])];
    assert_eq!(bind.dig("a.wild.example.test", "A"), ["198.51.100.2"], "the wildcard answers");
    assert_eq!(dns.observe(&records).await.expect("observed"), [Seen::Absent]);
    dns.ensure(&records).await.expect("published");
    assert_eq!(bind.dig("a.wild.example.test", "A"), ["192.0.2.1"]);
    bind.nsupdate("update delete a.wild.example.test. A");
    assert_eq!(dns.observe(&records).await.expect("observed"), [Seen::Differs { found: vec![] }]);
    dns.ensure(&records).await.expect("repaired");
    dns.remove(&["a.wild.example.test"]).await.expect("removed");
    assert_eq!(bind.dig("a.wild.example.test", "A"), ["198.51.100.2"]);
}

#[tokio::test]
async fn keys_clocks_and_zones_that_do_not_fit() {
    let Some(bind) = Bind::start() else { return };
    let records = three();
    let with = |zone: Zone| Dns::new(zone, "demo").expect("well formed");
    let key = |name: &str, algorithm: &str, secret: &str| {
        let tsig = Tsig { name: name.into(), algorithm: algorithm.into(), secret: secret.into() };
        with(Zone { tsig, ..bind.zone() })
    };
    let wrong_secret = key("platform-key", "hmac-sha256", "d3Jvbmc=");
    let failure = refused_as(wrong_secret.ensure(&records).await, "P0503", "auth_expired");
    assert!(
        failure.causes[0].contains("BADSIG") && failure.causes[0].contains("platform-key"),
        "{failure:?}"
    );
    let failure =
        refused_as(key("nobody", "hmac-sha256", "d3Jvbmc=").ensure(&records).await, "P0503", "auth_expired");
    assert!(failure.causes[0].contains("BADKEY"), "{failure:?}");
    refused_as(
        key("platform-key", "hmac-sha384", support::SECRET).list_owned().await,
        "P0503",
        "auth_expired",
    );

    let reader = key("reader-key", "hmac-sha512", "cmVhZGVy");
    refused_as(reader.ensure(&records).await, "P0505", "forbidden");
    refused_as(reader.list_owned().await, "P0508", "forbidden");

    let late = bind.dns("demo").with_clock(|| 1_600_000_000);
    let failure = refused_as(late.ensure(&records).await, "P0504", "config");
    assert!(failure.causes[0].contains("1600000000"), "{failure:?}");

    let elsewhere = with(Zone { name: "example.org".into(), ..bind.zone() });
    let record = [Record::addresses("www.example.org", [ip("192.0.2.1")])];
    let failure = elsewhere.ensure(&record).await.expect_err("not its zone");
    assert!(["P0505", "P0509"].contains(&failure.code.as_str()), "{failure:?}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let nobody = with(Zone { server: closed.to_string(), ..bind.zone() });
    refused_as(nobody.ensure(&records).await, "P0502", "retryable");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = Zone { server: listener.local_addr().expect("bound").to_string(), ..bind.zone() };
    let silent = with(silent).with_limit(Duration::from_millis(200));
    refused_as(silent.ensure(&records).await, "P0502", "retryable");
    assert_eq!(bind.serial(), 1, "nothing was changed by any of them");
}

#[tokio::test]
async fn the_zone_itself_says_what_is_ours() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    assert_eq!(dns.list_owned().await.expect("listed"), []);
    dns.ensure(&three()).await.expect("published");
    bind.dns("demo2").ensure(&[Record::cname("x.example.test", "ns.example.test")]).await.expect("published");
    bind.nsupdate(
        "update delete docs.example.test. CNAME\nupdate add www.example.test. 60 MX 10 ns.example.test.",
    );
    let owned = |host: &str, found: &[&str]| Owned {
        host: host.into(),
        found: found.iter().map(|text| (*text).to_owned()).collect(),
    };
    assert_eq!(
        dns.list_owned().await.expect("listed"),
        [
            owned("*.apps.example.test", &["A 192.0.2.3"]),
            owned("docs.example.test", &[]),
            owned("www.example.test", &["A 192.0.2.1", "A 192.0.2.2", "AAAA 2001:db8::1"]),
        ]
    );
    let hosts: Vec<_> = dns.list_owned().await.expect("listed").into_iter().map(|owned| owned.host).collect();
    dns.remove(&hosts).await.expect("removed");
    assert_eq!(dns.list_owned().await.expect("listed"), []);
    assert_eq!(bind.dig("x.example.test", "CNAME"), ["ns.example.test."]);
}

/// More names than one update or one transfer message holds.
#[tokio::test]
async fn many_names() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    let records: Vec<_> = (0..900)
        .map(|n: u32| {
            let host = format!("host-with-a-rather-long-name-for-tenant-number-{n}.example.test");
            Record::addresses(host, [IpAddr::V4((0x0a00_0000 + n).into())])
        })
        .collect();
    assert_eq!(dns.ensure(&records).await.expect("published").added.len(), 900);
    assert_eq!(dns.list_owned().await.expect("listed").len(), 900);
    let serial = bind.serial();
    assert_eq!(dns.ensure(&records).await.expect("published").unchanged.len(), 900);
    assert_eq!(bind.serial(), serial);
    let hosts: Vec<_> = records.iter().map(|record| &record.host).collect();
    dns.remove(&hosts).await.expect("removed");
    assert_eq!(dns.list_owned().await.expect("listed"), []);
}

/// Two owners want one name at the same moment: the server lets exactly one of them have it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_gets_the_name() {
    let Some(bind) = Bind::start() else { return };
    for round in 0..10 {
        let host = format!("race-{round}.example.test");
        let (one, two) = (bind.dns("one"), bind.dns("two"));
        let ours = [Record::addresses(&host, [ip("192.0.2.1")])];
        let theirs = [Record::addresses(&host, [ip("192.0.2.2")])];
        let results = <[_; 2]>::from(tokio::join!(one.ensure(&ours), two.ensure(&theirs)));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        let (address, owner) = if results[0].is_ok() { ("192.0.2.1", "one") } else { ("192.0.2.2", "two") };
        assert_eq!(bind.dig(&host, "A"), [address]);
        assert!(bind.dig(&format!("_platform-owner.{host}"), "TXT")[0].contains(&format!("owner={owner},")));
        for lost in results.into_iter().filter_map(Result::err) {
            assert!(["P0506", "P0507"].contains(&lost.code.as_str()), "{lost:?}");
        }
    }
}

/// An update whose answer never arrived is found done, and not done again.
#[tokio::test]
async fn broken_off_anywhere_and_done_again_changes_the_zone_once() {
    let Some(bind) = Bind::start() else { return };
    let dns = bind.dns("demo");
    let before = bind.serial();
    for moment in (0..40).map(Duration::from_millis) {
        if tokio::time::timeout(moment, dns.ensure(&three())).await.is_ok() {
            break;
        }
    }
    while let Err(failure) = dns.ensure(&three()).await {
        // The last one broken off is still under way.
        assert_eq!(failure.code.as_str(), "P0507", "{failure:?}");
    }
    assert_eq!(dns.observe(&three()).await.expect("observed"), vec![Seen::Matches; 3]);
    assert_eq!(bind.serial(), before + 1);
}

/// A workflow engine runs the calls on other threads, behind boxed futures.
#[test]
fn the_calls_may_move_between_threads() {
    fn may_move<T: Send>(_: impl FnOnce(Dns) -> T) {}
    may_move(|dns| async move {
        dns.observe(&three()).await?;
        dns.ensure(&three()).await?;
        dns.verify(&three()).await?;
        dns.remove(&["www.example.test"]).await?;
        dns.list_owned().await
    });
}
