//! What goes wrong on purpose at the object store and the zones, over sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use jiff::{SignedDuration, Timestamp};
use platform_sandbox::{
    kube::object::{Ids, Now},
    parts::faults::{Fault, Faults, Rule},
    s3::{self, KeyTable},
    zone::{self, Settings, Zones},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

fn now() -> Now {
    Arc::new(Timestamp::now)
}

/// Longer than anything takes here that arrives at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a store with such rules answers to somebody without a name; empty when the connection breaks.
async fn s3(faults: &Faults, request: &str) -> String {
    let store = s3::Store::new(now(), Arc::new(Ids::new(1)));
    let gate = s3::Gate { store: Arc::new(store), keys: Arc::new(KeyTable::default()) };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let service = s3::serve::struck_service(&gate, "local", Some(faults.clone()));
    let server = s3::Server::start(listener, None, service).expect("served");
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = format!("{request} HTTP/1.1\r\nhost: s3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _broken = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_object_store_refuses_breaks_off_and_is_slow() {
    let faults = Faults::new(7, now());
    faults.add(
        Rule::at("s3", "GetObject", "box/slow")
            .fault(Fault::Throttle { retry_after: SignedDuration::from_secs(3) }),
    );
    faults.add(Rule::at("s3", "PutObject", "box/*").times(1).fault(Fault::Error {
        status: 503,
        code: Some("ServiceUnavailable".to_owned()),
        message: Some("not today".to_owned()),
    }));
    faults.add(Rule::at("s3", "DeleteObject", "*").fault(Fault::ResetBefore));
    faults.add(Rule::at("s3", "ListBuckets", "").fault(Fault::ResetAfter));

    let answer = s3(&faults, "GET /box/slow").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("<Code>SlowDown</Code>"), "{answer}");
    assert!(answer.contains("retry-after: 3\r\n"), "{answer}");
    let answer = s3(&faults, "PUT /box/k").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("not today"), "{answer}");
    // Without a fault it is what it was: nobody may do this.
    let answer = s3(&faults, "PUT /box/k").await;
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    assert_eq!(s3(&faults, "DELETE /box/k").await, "");
    assert_eq!(s3(&faults, "GET /").await, "");
    let struck: Vec<u64> = faults.standing().iter().map(|rule| rule.struck).collect();
    assert_eq!(struck, [1, 1, 1, 1]);
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 77;
    message.metadata.op_code = OpCode::Query;
    message.queries = vec![Query::query(Name::from_ascii(name).expect("a name"), RecordType::SOA)];
    message.to_vec().expect("a message")
}

/// The code of the answer by UDP; `None` for silence.
async fn ask(server: SocketAddr, name: &str) -> Option<ResponseCode> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.send_to(&question(name), server).await.expect("sent");
    let mut buffer = [0; 1500];
    let length = timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await.ok()?.expect("received");
    Some(Message::from_vec(&buffer[..length]).expect("an answer").metadata.response_code)
}

#[tokio::test]
async fn the_zones_refuse_are_silent_and_break_off() {
    let faults = Faults::new(7, now());
    let zones = Zones::new(now());
    zones.create("example.test", Settings::default(), &[]).expect("a zone");
    zones.strike(faults.clone());
    let server = zone::Server::start(Arc::new(zones), "127.0.0.1:0".parse().expect("an address")).await;
    let server = server.expect("served");
    faults.add(Rule::at("dns", "query", "example.test").nth(1).fault(Fault::error(500)));
    faults.add(Rule::at("dns", "query", "example.test").nth(2).fault(Fault::LoseReply));
    faults.add(Rule::at("dns", "*", "broken.example.test").fault(Fault::ResetBefore));

    assert_eq!(ask(server.address, "Example.test.").await, Some(ResponseCode::ServFail));
    assert_eq!(ask(server.address, "example.test.").await, None);
    assert_eq!(ask(server.address, "example.test.").await, Some(ResponseCode::NoError));

    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = question("broken.example.test.");
    let length = u16::try_from(request.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length[..], &request].concat()).await.expect("sent");
    let mut answer = Vec::new();
    let _broken = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    assert!(answer.is_empty(), "{answer:?}");
}
