//! Zones without sockets.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage},
    rr::{
        DNSClass, Name, RData, Record, RecordType, TSigner,
        rdata::{
            A, CNAME, SOA,
            tsig::{TsigAlgorithm, TsigError},
        },
    },
};
use jiff::Timestamp;

use super::zones::{Key, Over, Settings, Transfers, Zones};
use crate::{keep::Keeper, zone::RecordSet};

const SECRET: &str = "c2VjcmV0LWZvci1hLXRlc3Q=";
const NOW: i64 = 1_800_000_000;

fn set(name: &str, kind: &str, values: &[&str]) -> RecordSet {
    RecordSet {
        name: name.into(),
        kind: kind.into(),
        ttl: 60,
        values: values.iter().map(|it| (*it).to_owned()).collect(),
    }
}

fn fill(zones: &Zones) {
    let key = |name: &str| Key { name: name.into(), algorithm: "hmac-sha256".into(), secret: SECRET.into() };
    zones.put_key(&key("writer")).expect("good");
    zones.put_key(&key("reader")).expect("good");
    let settings = Settings {
        server: None,
        updates: vec!["writer".into()],
        transfers: Transfers::Keys(vec!["reader".into(), "writer".into()]),
    };
    let records = [
        set("www.example.test", "A", &["192.0.2.1", "192.0.2.2"]),
        set("docs.example.test", "CNAME", &["www.example.test"]),
        set("away.example.test", "CNAME", &["www.example.org"]),
        set("*.wild.example.test", "A", &["192.0.2.3"]),
        set("deep.down.example.test", "TXT", &["text"]),
        set("sub.example.test", "NS", &["ns.sub.example.test"]),
        set("ns.sub.example.test", "A", &["192.0.2.53"]),
    ];
    zones.create("Example.test", settings, &records).expect("made");
}

fn zones() -> Zones {
    let zones = Zones::new(Arc::new(|| Timestamp::from_second(NOW).expect("a time")));
    fill(&zones);
    zones
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).expect("a name")
}

fn ask(zones: &Zones, host: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name(host), kind));
    Message::from_vec(&zones.answer(&message.to_vec().expect("bytes"))).expect("an answer")
}

fn values(answer: &Message) -> Vec<String> {
    answer
        .answers
        .iter()
        .map(|record| format!("{} {}", record.name, super::data::text(&record.data)))
        .collect()
}

#[test]
fn questions_have_the_answers_of_an_authority() {
    let zones = zones();
    let answer = ask(&zones, "www.example.test", RecordType::A);
    assert!(answer.metadata.authoritative && !answer.metadata.recursion_available);
    assert_eq!(values(&answer), ["www.example.test. 192.0.2.1", "www.example.test. 192.0.2.2"]);
    assert_eq!(
        values(&ask(&zones, "docs.example.test", RecordType::A)),
        [
            "docs.example.test. www.example.test.",
            "www.example.test. 192.0.2.1",
            "www.example.test. 192.0.2.2"
        ]
    );
    assert_eq!(
        values(&ask(&zones, "away.example.test", RecordType::A)),
        ["away.example.test. www.example.org."]
    );
    assert_eq!(
        values(&ask(&zones, "a.b.wild.example.test", RecordType::A)),
        ["a.b.wild.example.test. 192.0.2.3"]
    );

    let code = |host, kind| {
        let answer = ask(&zones, host, kind);
        assert!(answer.answers.is_empty(), "{answer}");
        let soa = answer.authorities.iter().any(|it| it.record_type() == RecordType::SOA && it.ttl == 60);
        (answer.metadata.response_code, soa)
    };
    assert_eq!(code("nowhere.example.test", RecordType::A), (ResponseCode::NXDomain, true));
    assert_eq!(code("www.example.test", RecordType::AAAA), (ResponseCode::NoError, true));
    assert_eq!(code("down.example.test", RecordType::A), (ResponseCode::NoError, true), "something is below");
    assert_eq!(code("wild.example.test", RecordType::A), (ResponseCode::NoError, true));
    assert_eq!(code("x.www.example.test", RecordType::A), (ResponseCode::NXDomain, true));
    assert_eq!(code("www.example.org", RecordType::A), (ResponseCode::Refused, false));

    let referral = ask(&zones, "a.sub.example.test", RecordType::A);
    assert!(!referral.metadata.authoritative && referral.answers.is_empty(), "{referral}");
    assert_eq!(referral.authorities[0].name, name("sub.example.test"));
    assert_eq!(referral.additionals[0].data, RData::A(A::new(192, 0, 2, 53)));
}

fn signer(key: &str, secret: &[u8]) -> TSigner {
    TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name(key), 300).expect("a signer")
}

/// Sends signed; the answer must be signed as well, unless it says why not.
fn send(zones: &Zones, mut message: Message, signer: &TSigner, at: u64) -> (ResponseCode, Option<TsigError>) {
    let mut verifier = message.finalize(signer, at).expect("signed").expect("a verifier");
    let bytes = zones.answer(&message.to_vec().expect("bytes"));
    let answer = Message::from_vec(&bytes).expect("an answer");
    let error = answer.signature().and_then(|record| record.data.error);
    if error.is_none() {
        verifier.verify(&bytes).expect("signed with the same key");
    }
    (answer.metadata.response_code, error)
}

fn update(records: impl IntoIterator<Item = Record>) -> Message {
    let mut message = Message::new(9, MessageType::Query, OpCode::Update);
    message.add_zone(Query::query(name("example.test"), RecordType::SOA));
    message.add_updates(records.into_iter().collect::<Vec<_>>());
    message
}

fn add(host: &str, data: RData) -> Record {
    Record::from_rdata(name(host), 60, data)
}

fn any(host: &str, kind: RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(name(host), 0, kind);
    record.dns_class = class;
    record
}

const GOOD: (ResponseCode, Option<TsigError>) = (ResponseCode::NoError, None);

#[test]
fn changes_are_made_whole_and_count_the_serial_up() {
    let zones = zones();
    let serial = || zones.zone("example.test").expect("there").1;
    let writer = signer("writer", b"secret-for-a-test");
    let send = |message| send(&zones, message, &writer, NOW as u64);
    let address = RData::A(A::new(192, 0, 2, 9));
    assert_eq!(send(update([add("new.example.test", address.clone())])), GOOD);
    assert_eq!(serial(), 2);
    assert_eq!(send(update([add("new.example.test", address.clone())])), GOOD);
    assert_eq!(serial(), 2, "nothing changed");

    let when = |prerequisite, record| {
        let mut message = update([record]);
        message.add_pre_requisite(prerequisite);
        message
    };
    let other = || add("other.example.test", RData::A(A::new(192, 0, 2, 10)));
    let code = |prerequisite| send(when(prerequisite, other())).0;
    assert_eq!(code(any("new.example.test", RecordType::ANY, DNSClass::NONE)), ResponseCode::YXDomain);
    assert_eq!(code(any("new.example.test", RecordType::A, DNSClass::NONE)), ResponseCode::YXRRSet);
    assert_eq!(code(any("no.example.test", RecordType::ANY, DNSClass::ANY)), ResponseCode::NXDomain);
    assert_eq!(code(any("new.example.test", RecordType::TXT, DNSClass::ANY)), ResponseCode::NXRRSet);
    let exactly = |data| Record::from_rdata(name("new.example.test"), 0, data);
    assert_eq!(code(exactly(RData::A(A::new(192, 0, 2, 8)))), ResponseCode::NXRRSet);
    assert_eq!(code(any("www.example.org", RecordType::ANY, DNSClass::NONE)), ResponseCode::NotZone);
    assert_eq!(serial(), 2);
    assert_eq!(code(exactly(address)), ResponseCode::NoError);
    assert_eq!(serial(), 3);

    // One that cannot be, and nothing of the message is done.
    assert_eq!(
        send(update([
            any("new.example.test", RecordType::A, DNSClass::ANY),
            add("www.example.org", RData::A(A::new(1, 1, 1, 1)))
        ]))
        .0,
        ResponseCode::NotZone
    );
    assert_eq!(send(update([add("new.example.test", RData::CNAME(CNAME(name("www.example.test"))))])), GOOD);
    assert_eq!(serial(), 3, "an alias beside addresses is left out");
    assert_eq!(send(update([any("example.test", RecordType::ANY, DNSClass::ANY)])), GOOD);
    assert_eq!(serial(), 3, "the zone's own records stay");
    let mut one = add("www.example.test", RData::A(A::new(192, 0, 2, 1)));
    (one.dns_class, one.ttl) = (DNSClass::NONE, 0);
    assert_eq!(send(update([one, any("new.example.test", RecordType::ANY, DNSClass::ANY)])), GOOD);
    assert_eq!(values(&ask(&zones, "www.example.test", RecordType::A)), ["www.example.test. 192.0.2.2"]);
    assert_eq!(ask(&zones, "new.example.test", RecordType::A).metadata.response_code, ResponseCode::NXDomain);

    let soa = |serial| add("example.test", RData::SOA(SOA::new(name("a"), name("b"), serial, 1, 1, 1, 1)));
    send(update([soa(3)]));
    assert_eq!(serial(), 4, "an older serial is left out");
    send(update([soa(100)]));
    assert_eq!(serial(), 100);
}

#[test]
fn who_may_not_is_told_why() {
    let zones = zones();
    let message = || update([add("new.example.test", RData::A(A::new(1, 1, 1, 1)))]);
    let said = |key: &str, secret: &[u8], at: i64| send(&zones, message(), &signer(key, secret), at as u64);
    assert_eq!(said("nobody", b"secret-for-a-test", NOW), (ResponseCode::NotAuth, Some(TsigError::BadKey)));
    assert_eq!(said("writer", b"another", NOW), (ResponseCode::NotAuth, Some(TsigError::BadSig)));
    assert_eq!(
        said("writer", b"secret-for-a-test", NOW - 301),
        (ResponseCode::NotAuth, Some(TsigError::BadTime))
    );
    assert_eq!(said("reader", b"secret-for-a-test", NOW), (ResponseCode::Refused, None));
    assert_eq!(said("writer", b"secret-for-a-test", NOW - 299), GOOD);
    let bytes = zones.answer(&message().to_vec().expect("bytes"));
    let unsigned = Message::from_vec(&bytes).expect("an answer");
    assert_eq!(unsigned.metadata.response_code, ResponseCode::Refused);
    let mut elsewhere = message();
    elsewhere.queries[0].set_name(name("example.org"));
    assert_eq!(
        send(&zones, elsewhere, &signer("writer", b"secret-for-a-test"), NOW as u64),
        (ResponseCode::NotAuth, None)
    );
}

#[test]
fn a_whole_zone_comes_in_messages_that_are_bound_together() {
    let zones = zones();
    for host in 0..2_000 {
        let host = format!("a-name-that-is-rather-long-so-that-many-fill-a-message-{host}.example.test");
        zones.set("example.test", &set(&host, "A", &["192.0.2.1"])).expect("written");
    }
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name("example.test"), RecordType::AXFR));
    let unsigned = Message::from_vec(&zones.answer(&message.to_vec().expect("bytes"))).expect("an answer");
    assert_eq!(unsigned.metadata.response_code, ResponseCode::Refused);

    let reader = signer("reader", b"secret-for-a-test");
    let mut verifier = message.finalize(&reader, NOW as u64).expect("signed").expect("a verifier");
    let answers = zones.exchange(&message.to_vec().expect("bytes"), Over::Tcp);
    assert!(answers.len() > 2, "{}", answers.len());
    let mut records = Vec::new();
    for answer in &answers {
        records.extend(verifier.verify(answer).expect("signed").into_message().answers);
    }
    assert_eq!(records.len(), 2 + 2 + 8 + 2_000);
    let is_soa = |record: Option<&Record>| record.is_some_and(|it| it.record_type() == RecordType::SOA);
    assert!(is_soa(records.first()) && is_soa(records.last()));
}

#[test]
fn a_packet_has_no_more_than_fits() {
    let zones = zones();
    let many: Vec<String> = (0..100).map(|it| format!("192.0.2.{it}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    zones.set("example.test", &set("many.example.test", "A", &many)).expect("written");
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name("many.example.test"), RecordType::A));
    let packets = zones.exchange(&message.to_vec().expect("bytes"), Over::Udp);
    let cut = Message::from_vec(&packets[0]).expect("an answer");
    assert!(cut.metadata.truncation && cut.answers.is_empty() && packets[0].len() <= 512);
    let nothing: &[u8] = &[0; 3];
    assert!(zones.exchange(nothing, Over::Udp).is_empty());
    let garbage: &[u8] = &[1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0];
    let refused = Message::from_vec(&zones.answer(garbage)).expect("an answer");
    assert_eq!((refused.metadata.id, refused.metadata.response_code), (0x0102, ResponseCode::FormErr));
}

#[test]
fn records_are_written_in_process_as_well() {
    let zones = zones();
    assert!(zones.set("example.test", &set("new.example.test", "TXT", &["one two"])).expect("written"));
    assert!(!zones.set("example.test", &set("new.example.test", "TXT", &["one two"])).expect("the same"));
    let all = zones.records("example.test").expect("there");
    assert!(all.contains(&set("new.example.test", "TXT", &["\"one two\""])), "{all:?}");
    assert!(zones.set("example.test", &set("new.example.test", "CNAME", &["a.example.test"])).is_err());
    assert!(zones.set("example.test", &set("new.example.org", "A", &["192.0.2.1"])).is_err());
    assert!(zones.set("example.test", &set("new.example.test", "TXT", &[])).expect("removed"));
    assert_eq!(zones.zone("example.test").expect("there").1, 3);
}

#[tokio::test]
async fn what_was_written_is_there_in_the_next_life() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("sandbox.db");
    let now = Arc::new(AtomicI64::new(NOW));
    let open = async || {
        let now = now.clone();
        let now = Arc::new(move || Timestamp::from_second(now.load(Ordering::Relaxed)).expect("a time"));
        Zones::open(Keeper::open(&file).await.expect("opened").book("zones"), now).await.expect("read")
    };
    let zones = open().await;
    fill(&zones);
    let writer = signer("writer", b"secret-for-a-test");
    let gone = any("docs.example.test", RecordType::CNAME, DNSClass::ANY);
    let new = add("new.example.test", RData::A(A::new(192, 0, 2, 9)));
    assert_eq!(send(&zones, update([gone, new]), &writer, NOW as u64), GOOD);
    zones.kept().await.expect("kept");
    let again = open().await;
    assert_eq!(again.records("example.test"), zones.records("example.test"));
    assert_eq!(again.zone("example.test"), zones.zone("example.test"));
    let more = update([add("more.example.test", RData::A(A::new(192, 0, 2, 9)))]);
    assert_eq!(send(&again, more, &writer, NOW as u64), GOOD, "keys are kept");
    assert!(again.remove("example.test"));
    again.kept().await.expect("kept");
    assert_eq!(open().await.list(), Vec::<String>::new());
}
