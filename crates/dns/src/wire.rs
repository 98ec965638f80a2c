//! Signed messages over UDP and TCP.
//!
//! Framing and signing come from hickory-proto. The transport is our own hundred lines and not hickory-net, because its
//! client hides the one thing that a person needs when a key is refused: the error code inside the reply's TSIG record
//! (such a reply is unsigned, and is dropped there as "missing tsig"); it also keeps at most eight messages of a transfer.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, Record, RecordType, TSigVerifier, TSigner, rdata::tsig::TsigError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, lookup_host},
    time::timeout,
};

use crate::refusal::DnsError;

/// Largest answer over UDP that passes everywhere unfragmented (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
/// Tries over UDP, each waiting twice as long as the one before, then once over TCP.
const UDP_WAITS: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(2000)];

/// Another way for messages than the network: a simulation answers them in the same process.
#[async_trait]
pub trait Road: Send + Sync {
    /// Brings one message to a server; what it answers: one message, or all of a zone transfer.
    ///
    /// # Errors
    /// What stands for a broken connection.
    async fn exchange(&self, server: &str, message: Vec<u8>) -> std::io::Result<Vec<Vec<u8>>>;
}

/// A server, the key it knows us by, and the time.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) server: String,
    pub(crate) signer: TSigner,
    pub(crate) now: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(crate) limit: Duration,
    /// Absent: UDP and TCP.
    pub(crate) road: Option<Arc<dyn Road>>,
}

impl Wire {
    /// Asks for records of a zone, without recursion: UDP first, TCP when the answer is cut or does not come.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType, signed: bool) -> Result<Message, DnsError> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(name.clone(), kind));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
        if self.road.is_some() {
            return self.tell(message, signed).await;
        }
        let address = self.addresses().await?.remove(0);
        for wait in UDP_WAITS {
            match timeout(wait.min(self.limit), self.by_udp(&message, address, signed)).await {
                Ok(Ok(answer)) if !answer.metadata.truncation => return Ok(answer),
                Ok(Ok(_)) | Ok(Err(DnsError::Io { .. })) => break,
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        self.tell(message, signed).await
    }

    /// Sends one message over TCP and gives back the reply, whatever its response code.
    pub(crate) async fn tell(&self, message: Message, signed: bool) -> Result<Message, DnsError> {
        let work = async {
            let (bytes, mut verifier) = self.prepare(&message, signed)?;
            let reply = self.send(bytes).await?.receive().await.map_err(|cause| self.io(cause))?;
            self.check(&message, &reply, verifier.as_mut())
        };
        timeout(self.limit, work).await.map_err(|_| self.silent())?
    }

    /// Transfers a zone (AXFR, RFC 5936). Every message of the answer has to be signed.
    pub(crate) async fn transfer(&self, zone: &Name) -> Result<Vec<Record>, DnsError> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(zone.clone(), RecordType::AXFR));
        let (bytes, mut verifier) = self.prepare(&message, true)?;
        let mut answers = timeout(self.limit, self.send(bytes)).await.map_err(|_| self.silent())??;
        let mut records: Vec<Record> = Vec::new();
        // It begins and ends with the zone's SOA record.
        while records.len() < 2 || records.last().is_some_and(|last| last.record_type() != RecordType::SOA) {
            let reply = timeout(self.limit, answers.receive()).await.map_err(|_| self.silent())?;
            let reply = self.check(&message, &reply.map_err(|cause| self.io(cause))?, verifier.as_mut())?;
            match reply.metadata.response_code {
                ResponseCode::NoError => records.extend(reply.answers),
                ResponseCode::Refused => return Err(DnsError::TransferRefused { zone: zone.to_string() }),
                code => return Err(DnsError::of_code(code, zone)),
            }
            if records.first().is_none_or(|first| first.record_type() != RecordType::SOA) {
                return Err(DnsError::Strange {
                    what: "the transfer does not begin with an SOA record".into(),
                });
            }
        }
        Ok(records)
    }

    async fn by_udp(
        &self,
        message: &Message,
        address: SocketAddr,
        signed: bool,
    ) -> Result<Message, DnsError> {
        let any: SocketAddr =
            if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let (bytes, mut verifier) = self.prepare(message, signed)?;
        let socket = UdpSocket::bind(any).await.map_err(|cause| self.io(cause))?;
        // Connected: the kernel drops what comes from anybody else.
        socket.connect(address).await.map_err(|cause| self.io(cause))?;
        socket.send(&bytes).await.map_err(|cause| self.io(cause))?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|cause| self.io(cause))?;
            match self.check(message, &buffer[..length], verifier.as_mut()) {
                // Not an answer to this question: a late one, or a forged one. Go on listening.
                Err(DnsError::Strange { .. }) => {}
                checked => return checked,
            }
        }
    }

    fn prepare(&self, message: &Message, signed: bool) -> Result<(Vec<u8>, Option<TSigVerifier>), DnsError> {
        let strange = |cause: hickory_proto::ProtoError| DnsError::Strange { what: cause.to_string() };
        let mut message = message.clone();
        let verifier =
            if signed { message.finalize(&self.signer, (self.now)()).map_err(strange)? } else { None };
        let bytes = message.to_vec().map_err(strange)?;
        if bytes.len() > usize::from(u16::MAX) {
            return Err(DnsError::Strange {
                what: format!("a message of {} bytes is too long", bytes.len()),
            });
        }
        Ok((bytes, verifier))
    }

    /// Checks that `bytes` answer `asked`, and that the server has signed them with our key.
    fn check(
        &self,
        asked: &Message,
        bytes: &[u8],
        verifier: Option<&mut TSigVerifier>,
    ) -> Result<Message, DnsError> {
        let strange = |what: String| Err(DnsError::Strange { what });
        let reply = match Message::from_vec(bytes) {
            Ok(reply) => reply,
            Err(cause) => return strange(format!("an answer that cannot be read: {cause}")),
        };
        let same_question = reply.queries.is_empty() || reply.queries == asked.queries;
        let same = reply.metadata.id == asked.metadata.id
            && reply.metadata.message_type == MessageType::Response
            && reply.metadata.op_code == asked.metadata.op_code;
        if !same || !same_question {
            return strange("an answer to another question".into());
        }
        let Some(verifier) = verifier else { return Ok(reply) };
        let key = || self.signer.signer_name().to_string();
        if let Some(record) = reply.signature() {
            match record.data.error {
                // These two cannot be signed: the server does not share the key (RFC 8945, section 5.3.2).
                Some(TsigError::BadKey) => return Err(DnsError::Key { key: key(), said: "BADKEY" }),
                Some(TsigError::BadSig) => return Err(DnsError::Key { key: key(), said: "BADSIG" }),
                Some(TsigError::BadTrunc) => return Err(DnsError::Key { key: key(), said: "BADTRUNC" }),
                Some(TsigError::BadTime) => {
                    return Err(DnsError::Clock { ours: (self.now)(), theirs: seconds(&record.data.other) });
                }
                Some(error) => return strange(format!("TSIG error {}", u16::from(error))),
                None => {}
            }
        } else {
            // Some servers refuse before they look at the signature, and then do not sign. Such a refusal can at worst
            // be a nuisance; an unsigned success would be a lie to act upon.
            return match reply.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Err(DnsError::Unsigned { key: key() }),
                code => Err(DnsError::of_code(
                    code,
                    asked.queries.first().map_or(&Name::root(), |query| query.name()),
                )),
            };
        }
        match verifier.verify(bytes) {
            Ok(verified) => Ok(verified.into_message()),
            Err(cause) => Err(DnsError::Signature { key: key(), cause: cause.to_string() }),
        }
    }

    /// Sends a message; its answers come one after the other.
    async fn send(&self, bytes: Vec<u8>) -> Result<Answers, DnsError> {
        if let Some(road) = &self.road {
            let answers = road.exchange(&self.server, bytes).await.map_err(|cause| self.io(cause))?;
            return Ok(Answers::Here(answers.into()));
        }
        let mut stream = self.connect().await?;
        send(&mut stream, &bytes).await.map_err(|cause| self.io(cause))?;
        Ok(Answers::Tcp(stream))
    }

    async fn connect(&self) -> Result<TcpStream, DnsError> {
        let mut failed = None;
        for address in self.addresses().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(cause) => failed = Some(cause),
            }
        }
        Err(self.io(failed.unwrap_or_else(|| std::io::ErrorKind::NotFound.into())))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, DnsError> {
        let found: Vec<_> = lookup_host(&self.server).await.map_err(|cause| self.io(cause))?.collect();
        if found.is_empty() { Err(self.io(std::io::ErrorKind::NotFound.into())) } else { Ok(found) }
    }

    fn io(&self, cause: std::io::Error) -> DnsError {
        DnsError::Io { server: self.server.clone(), cause }
    }

    fn silent(&self) -> DnsError {
        DnsError::Silent { server: self.server.clone(), limit: self.limit }
    }
}

/// Answers to one message.
enum Answers {
    Tcp(TcpStream),
    Here(VecDeque<Vec<u8>>),
}

impl Answers {
    async fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Tcp(stream) => receive(stream).await,
            Self::Here(messages) => {
                messages.pop_front().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

/// The server's time in a BADTIME reply: 48 bits (RFC 8945, section 5.2.3).
fn seconds(other: &[u8]) -> Option<u64> {
    (other.len() == 6).then(|| other.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)))
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    // In one write, so that it leaves in one segment.
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await
}

async fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
