//! All zones of a server: a request's bytes in, an answer's bytes out. It knows nothing of sockets, and time is given.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType, TSigner, rdata::tsig::TsigAlgorithm},
    serialize::binary::BinEncodable,
};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    answer,
    data::{Data, RecordSet, Set, Touched, bare, from_bytes, kind, name, text, to_bytes, value},
    transfer,
    tsig::{self, Signed},
    update,
};
use crate::{
    keep::{Book, NotKept},
    kube::object::Now,
    parts::faults::Faults,
};

/// How far the clocks of a client and the server may be apart, in seconds (RFC 8945, section 10).
const FUDGE: u16 = 300;

/// The largest answer by UDP, as BIND has it: it fits into every packet of the Internet.
const UDP: u16 = 1232;

/// A shared secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: String,
    /// In base64.
    pub secret: SecretString,
}

/// Who may have a copy of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfers {
    /// Everybody.
    Anybody,
    /// Holders of one of these keys.
    Keys(Vec<String>),
    /// Nobody.
    #[default]
    Nobody,
}

/// What is said of a zone when it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The zone's name server; without one `ns` in the zone itself, at 127.0.0.1.
    pub server: Option<String>,
    /// Names of the keys that may change it.
    pub updates: Vec<String>,
    /// Who may have a copy.
    pub transfers: Transfers,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// In a packet; answers that are too long are cut off.
    Udp,
    /// By a connection.
    Tcp,
}

/// What cannot be done, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

/// The zones and keys of one server. Everything is written to the [`Book`] as it changes.
pub struct Zones {
    state: Mutex<State>,
    book: Book,
    now: Now,
    faults: OnceLock<Faults>,
}

#[derive(Default)]
struct State {
    zones: BTreeMap<Name, Zone>,
    keys: BTreeMap<Name, TSigner>,
}

struct Zone {
    data: Data,
    settings: Settings,
}

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptKey {
    name: String,
    algorithm: String,
    secret: String,
}

impl Zones {
    /// No zones, and nothing is kept.
    pub fn new(now: Now) -> Self {
        Self { state: Mutex::default(), book: Book::default(), now, faults: OnceLock::new() }
    }

    /// What the book holds.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub async fn open(book: Book, now: Now) -> Result<Self, sqlx::Error> {
        let mut state = State::default();
        // Keys begin with `k/`, records with `r/` and zones with `z/`: of records the zone comes later.
        let mut records = Vec::new();
        for (key, bytes) in book.load().await? {
            match key.split_once('/') {
                Some(("k", _)) => {
                    let kept: Option<KeptKey> = serde_json::from_slice(&bytes).ok();
                    let signer = kept.and_then(|it| signer(&it.name, &it.algorithm, &it.secret).ok());
                    state.keys.extend(signer.map(|signer| (signer.signer_name().clone(), signer)));
                }
                Some(("r", place)) => {
                    let origin = place.split_once('/').map(|(origin, _)| origin.to_owned());
                    records.extend(origin.map(|origin| (origin, from_bytes(&bytes))));
                }
                Some(("z", origin)) => {
                    if let (Ok(origin), Ok(settings)) = (name(origin), serde_json::from_slice(&bytes)) {
                        state.zones.insert(origin.clone(), Zone { data: Data::empty(origin), settings });
                    }
                }
                _ => {}
            }
        }
        for (origin, records) in records {
            let zone = name(&origin).ok().and_then(|origin| state.zones.get_mut(&origin));
            let Some(zone) = zone else { continue };
            for record in records {
                let set = zone.data.set_mut(&record.name, record.record_type());
                set.ttl = record.ttl;
                set.data.push(record.data);
            }
        }
        Ok(Self { state: Mutex::new(state), book, now, faults: OnceLock::new() })
    }

    /// Returns when everything that was done so far outlives the process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kept(&self) -> Result<(), NotKept> {
        self.book.keeper().kept().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or replaces a key.
    ///
    /// # Errors
    /// A name, algorithm or secret that cannot be.
    pub fn put_key(&self, key: &Key) -> Result<(), Wrong> {
        let signer = signer(&key.name, &key.algorithm, key.secret.expose_secret())?;
        let kept = KeptKey {
            name: key.name.clone(),
            algorithm: key.algorithm.clone(),
            secret: key.secret.expose_secret().to_owned(),
        };
        self.book.put(
            &format!("k/{}", bare(signer.signer_name())),
            &serde_json::to_vec(&kept).unwrap_or_default(),
        );
        self.state().keys.insert(signer.signer_name().clone(), signer);
        Ok(())
    }

    /// Takes a key away.
    pub fn remove_key(&self, key: &str) {
        if let Ok(key) = name(key) {
            self.state().keys.remove(&key);
            self.book.remove(&format!("k/{}", bare(&key)));
        }
    }

    /// Makes a zone with serial 1, and records in it beside those that every zone has.
    ///
    /// # Errors
    /// A name or record that cannot be, or a zone that is there already.
    pub fn create(&self, origin: &str, settings: Settings, records: &[RecordSet]) -> Result<(), Wrong> {
        let origin = name(&origin.to_lowercase())?;
        let server = match &settings.server {
            Some(server) => name(server)?,
            None => origin.prepend_label("ns").map_err(|cause| Wrong(cause.to_string()))?,
        };
        let mut state = self.state();
        if state.zones.contains_key(&origin) {
            return Err(Wrong(format!("zone {} is there already", bare(&origin))));
        }
        let mut data = Data::new(origin.clone(), server.clone(), 300);
        if settings.server.is_none() {
            let address = value(RecordType::A, "127.0.0.1")?;
            data.put(server, Set { ttl: 300, data: vec![address] }, RecordType::A);
        }
        for set in records {
            replace(&mut data, set)?;
        }
        self.book.put(&format!("z/{}", bare(&origin)), &serde_json::to_vec(&settings).unwrap_or_default());
        let touched: Vec<Touched> = data.sets().map(|(name, kind, _)| (name.clone(), kind)).collect();
        self.keep(&data, &touched);
        state.zones.insert(origin, Zone { data, settings });
        Ok(())
    }

    /// Removes a zone with its records; whether it was there.
    pub fn remove(&self, origin: &str) -> bool {
        let Ok(origin) = name(origin) else { return false };
        let Some(zone) = self.state().zones.remove(&origin) else { return false };
        self.book.remove(&format!("z/{}", bare(&origin)));
        for (name, kind, _) in zone.data.sets() {
            self.book.remove(&place(&zone.data, name, kind));
        }
        true
    }

    /// The names of all zones, without their last dots.
    pub fn list(&self) -> Vec<String> {
        self.state().zones.keys().map(bare).collect()
    }

    /// A zone's settings and serial.
    pub fn zone(&self, origin: &str) -> Option<(Settings, u32)> {
        let state = self.state();
        let zone = state.zones.get(&name(origin).ok()?)?;
        Some((zone.settings.clone(), zone.data.soa().1.serial))
    }

    /// Every set of records of a zone but the SOA, in order.
    pub fn records(&self, origin: &str) -> Option<Vec<RecordSet>> {
        let state = self.state();
        let zone = state.zones.get(&name(origin).ok()?)?;
        let sets = zone.data.sets().filter(|(_, kind, _)| *kind != RecordType::SOA);
        let sets = sets.map(|(name, kind, set)| RecordSet {
            name: bare(name),
            kind: kind.to_string(),
            ttl: set.ttl,
            values: set.data.iter().map(text).collect(),
        });
        Some(sets.collect())
    }

    /// Writes a set of records in place of what its name has of that type; without values it is removed. Whether that
    /// changed anything: then the serial counts up.
    ///
    /// # Errors
    /// No such zone, a name outside of it, a value that cannot be, an alias beside other records.
    pub fn set(&self, origin: &str, wanted: &RecordSet) -> Result<bool, Wrong> {
        let origin = name(origin)?;
        let mut state = self.state();
        let zone = state.zones.get_mut(&origin);
        let zone = &mut zone.ok_or_else(|| Wrong(format!("there is no zone {}", bare(&origin))))?.data;
        let Some(touched) = replace(zone, wanted)? else { return Ok(false) };
        zone.count_up();
        self.keep(zone, &[touched, (origin, RecordType::SOA)]);
        Ok(true)
    }

    fn keep(&self, zone: &Data, touched: &[Touched]) {
        for (name, kind) in touched {
            let place = place(zone, name, *kind);
            match zone.set(name, *kind) {
                Some(set) => self.book.put(&place, &to_bytes(name, set)),
                None => self.book.remove(&place),
            }
        }
    }

    /// Answers a request as one that came by TCP; empty when it is not even a request. Of a transfer that needs more
    /// than one message this is the first: see [`Self::exchange`].
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.exchange(request, Over::Tcp).into_iter().next().unwrap_or_default()
    }

    /// Says what shall go wrong at requests that come by a socket. The first time counts.
    pub fn strike(&self, faults: Faults) {
        let _first = self.faults.set(faults);
    }

    /// What goes wrong at requests that come by a socket.
    pub(super) fn faults(&self) -> Option<&Faults> {
        self.faults.get()
    }

    /// Answers a request with all messages that belong to the answer; none when it is not even a request.
    pub fn exchange(&self, request: &[u8], over: Over) -> Vec<Vec<u8>> {
        self.exchange_by(SignedDuration::ZERO, request, over)
    }

    /// As [`Self::exchange`], with a clock that is off.
    pub(super) fn exchange_by(&self, skew: SignedDuration, request: &[u8], over: Over) -> Vec<Vec<u8>> {
        let message = match Message::from_vec(request) {
            Ok(message) if message.metadata.message_type == MessageType::Query => message,
            // An answer to an answer would be answered for ever.
            Ok(_) => return Vec::new(),
            Err(_) => {
                let Some(id) =
                    request.first_chunk().filter(|_| request.len() >= 12 && request[2] & 0x80 == 0)
                else {
                    return Vec::new();
                };
                let code = OpCode::from_u8((request[2] >> 3) & 0xf);
                let refused = Message::error_msg(u16::from_be_bytes(*id), code, ResponseCode::FormErr);
                return refused.to_vec().into_iter().collect();
            }
        };
        let now = u64::try_from((self.now)().as_second().saturating_add(skew.as_secs())).unwrap_or(0);
        let mut answer = Message::response(message.metadata.id, message.metadata.op_code);
        answer.metadata.recursion_desired = message.metadata.recursion_desired;
        answer.queries.clone_from(&message.queries);
        if message.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP).set_version(0);
            answer.set_edns(edns);
        }
        let mut state = self.state();
        let signature = match tsig::check(&state.keys, request, &message, now) {
            Signed::Not => None,
            Signed::By(signature) => Some(signature),
            Signed::Badly(refused) => {
                answer.metadata.response_code = ResponseCode::NotAuth;
                return tsig::refuse(answer, refused, now).into_iter().collect();
            }
        };
        let key = signature.as_ref().map(|it| it.signer.signer_name().clone());
        let answers = match (message.metadata.op_code, message.queries.as_slice()) {
            (OpCode::Query, [query]) => question(&state, query, key.as_ref(), over, answer),
            (OpCode::Update, [zone]) => {
                answer.metadata.response_code = match self.update(&mut state, zone, &message, key.as_ref()) {
                    Ok(()) => ResponseCode::NoError,
                    Err(code) => code,
                };
                vec![answer]
            }
            (OpCode::Query | OpCode::Update, _) => vec![saying(answer, ResponseCode::FormErr)],
            _ => vec![saying(answer, ResponseCode::NotImp)],
        };
        drop(state);
        let answers = match over {
            Over::Tcp => answers,
            Over::Udp => answers.into_iter().map(|it| fit(it, &message)).collect(),
        };
        match signature {
            Some(signature) => tsig::sign(answers, signature, now).unwrap_or_default(),
            None => answers.iter().filter_map(|answer| answer.to_vec().ok()).collect(),
        }
    }

    fn update(
        &self,
        state: &mut State,
        query: &Query,
        message: &Message,
        key: Option<&Name>,
    ) -> Result<(), ResponseCode> {
        if query.query_type() != RecordType::SOA || query.query_class() != DNSClass::IN {
            return Err(ResponseCode::FormErr);
        }
        let zone = state.zones.get_mut(query.name()).ok_or(ResponseCode::NotAuth)?;
        if !is_one_of(key, &zone.settings.updates) {
            return Err(ResponseCode::Refused);
        }
        let touched = update::apply(&mut zone.data, message)?;
        self.keep(&zone.data, &touched);
        Ok(())
    }
}

/// Replaces records; which, if that changed anything.
fn replace(zone: &mut Data, wanted: &RecordSet) -> Result<Option<Touched>, Wrong> {
    let (host, kind) = (name(&wanted.name)?, kind(&wanted.kind)?);
    if !zone.has(&host) {
        return Err(Wrong(format!("{} does not lie in zone {}", wanted.name, bare(&zone.origin))));
    }
    let mut data = Vec::new();
    for text in &wanted.values {
        let value = value(kind, text)?;
        if !data.contains(&value) {
            data.push(value);
        }
    }
    if data.is_empty() {
        return Ok(zone.remove(&host, kind).then_some((host, kind)));
    }
    let beside = zone.at(&host).into_iter().flatten().map(|(it, _)| RecordType::from(*it));
    let mut beside = beside.filter(|it| *it != kind);
    let alone = match kind {
        RecordType::CNAME => beside.next().is_none() && data.len() == 1,
        _ => !beside.any(|it| it == RecordType::CNAME),
    };
    if !alone {
        return Err(Wrong(format!("{}: an alias stands alone", wanted.name)));
    }
    let set = Set { ttl: wanted.ttl, data };
    if zone.set(&host, kind) == Some(&set) {
        return Ok(None);
    }
    zone.put(host.clone(), set, kind);
    Ok(Some((host, kind)))
}

fn saying(mut answer: Message, code: ResponseCode) -> Message {
    answer.metadata.response_code = code;
    answer
}

fn is_one_of(key: Option<&Name>, names: &[String]) -> bool {
    key.is_some_and(|key| names.iter().any(|it| name(it).is_ok_and(|it| it == *key)))
}

fn question(
    state: &State,
    query: &Query,
    key: Option<&Name>,
    over: Over,
    mut answer: Message,
) -> Vec<Message> {
    if query.query_class() != DNSClass::IN {
        return vec![saying(answer, ResponseCode::Refused)];
    }
    // The longest name of a zone that the name lies in.
    let zones = state.zones.values().filter(|zone| zone.data.has(query.name()));
    let Some(zone) = zones.max_by_key(|zone| zone.data.origin.num_labels()) else {
        return vec![saying(answer, ResponseCode::Refused)];
    };
    match query.query_type() {
        RecordType::AXFR | RecordType::IXFR => {
            if zone.data.origin != *query.name() {
                return vec![saying(answer, ResponseCode::NotAuth)];
            }
            if over == Over::Udp {
                return vec![saying(answer, ResponseCode::FormErr)];
            }
            let may = match &zone.settings.transfers {
                Transfers::Anybody => true,
                Transfers::Nobody => false,
                Transfers::Keys(keys) => is_one_of(key, keys),
            };
            if !may {
                return vec![saying(answer, ResponseCode::Refused)];
            }
            answer.metadata.authoritative = true;
            // Who asks for what is new since a serial may be given everything (RFC 1995, section 4).
            transfer::messages(&zone.data, answer)
        }
        _ => {
            answer::answer(&zone.data, query, &mut answer);
            vec![answer]
        }
    }
}

/// Cuts an answer off that is too long for a packet.
fn fit(answer: Message, request: &Message) -> Message {
    // Without EDNS a packet has 512 bytes; a signature must fit as well.
    let most = request.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, UDP));
    let signature = if request.signature.is_some() { 160 } else { 0 };
    match answer.to_bytes() {
        Ok(bytes) if bytes.len() + signature <= usize::from(most) => answer,
        _ => answer.truncate(),
    }
}

fn place(zone: &Data, name: &Name, kind: RecordType) -> String {
    format!("r/{}/{}/{kind}", bare(&zone.origin), bare(&name.to_lowercase()))
}

fn signer(key: &str, algorithm: &str, secret: &str) -> Result<TSigner, Wrong> {
    let algorithm = match algorithm {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        other => return Err(Wrong(format!("key {key}: algorithm {other} is not known"))),
    };
    // The decoder's own words would show a part of the secret.
    let secret =
        STANDARD.decode(secret).map_err(|_| Wrong(format!("key {key}: the secret is not base64")))?;
    TSigner::new(secret, algorithm, name(&key.to_lowercase())?, FUDGE)
        .map_err(|cause| Wrong(format!("key {key}: {cause}")))
}
