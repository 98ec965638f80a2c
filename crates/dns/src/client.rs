//! The calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, TryStreamExt, stream};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};
use platform_spec::Failure;
use serde::{Deserialize, Serialize};

use crate::{
    change::{Seen, demand, judge, put, take, update},
    held::{Held, Kind, Value},
    ownership::{Ownership, check_owner, host_of, place},
    record::{Record, Wanted, Zone, host},
    refusal::DnsError,
    wire::{Road, Wire},
};

/// How long one exchange over TCP may take, unless [`Dns::with_limit`] says otherwise.
const LIMIT: Duration = Duration::from_secs(10);
/// Questions under way at once: enough to hide the distance, too few to look like an attack.
const AT_ONCE: usize = 8;
/// Names in one update message. It may have 65,535 bytes; a name takes at most about 700.
const NAMES_PER_UPDATE: usize = 80;

/// Asks, a few questions at the same time, in order. Takes them already made: a closure that makes them one by one would
/// keep the caller's future from being `Send`.
async fn at_once<T>(questions: Vec<impl Future<Output = Result<T, DnsError>>>) -> Result<Vec<T>, DnsError> {
    stream::iter(questions).buffered(AT_ONCE).try_collect().await
}

/// A zone, its server, and the owner on whose behalf names are published.
#[derive(Clone)]
pub struct Dns {
    zone: Zone,
    origin: Name,
    owner: String,
    wire: Wire,
}

/// What publishing did, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Names that were not there.
    pub added: Vec<String>,
    /// Names that were ours and different.
    pub updated: Vec<String>,
    /// Names that already were as wanted.
    pub unchanged: Vec<String>,
}

impl Changed {
    /// Whether the zone was changed.
    pub fn any(&self) -> bool {
        !self.added.is_empty() || !self.updated.is_empty()
    }
}

/// What removing did, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Names that were ours and are gone.
    pub removed: Vec<String>,
    /// Names that were not there.
    pub absent: Vec<String>,
    /// Names that are not ours, and stay.
    pub foreign: Vec<String>,
}

/// A name that a zone says is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The name, without the last dot.
    pub host: String,
    /// What stands there of ours: `A 192.0.2.1`. Empty when only the ownership record is left.
    pub found: Vec<String>,
}

/// What the authoritative server tells everybody about one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name, without the last dot.
    pub host: String,
    /// Whether the answer is exactly what was asked for, with authority.
    pub ok: bool,
    /// The answer in words: `A 192.0.2.1`, or the response code.
    pub found: Vec<String>,
}

impl Dns {
    /// Checks a zone, its key and the owner's id. Talks to nobody.
    ///
    /// # Errors
    /// P0501.
    pub fn new(zone: Zone, owner: &str) -> Result<Self, Failure> {
        let deed = format!("could not use zone `{}`", zone.name);
        let made = || {
            check_owner(owner)?;
            let wire = Wire {
                server: zone.server.clone(),
                signer: zone.signer()?,
                now: Arc::new(system_time),
                limit: LIMIT,
                road: None,
            };
            Ok(Self { origin: zone.origin()?, owner: owner.to_owned(), wire, zone: zone.clone() })
        };
        made().map_err(|error: DnsError| error.into_failure(deed))
    }

    /// Signs with another clock: seconds since 1970.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.wire.now = Arc::new(now);
        self
    }

    /// Sends its messages by another way than the network.
    #[must_use]
    pub fn by(mut self, road: Arc<dyn Road>) -> Self {
        self.wire.road = Some(road);
        self
    }

    /// Limits how long one exchange over TCP may take.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.wire.limit = limit;
        self
    }

    /// Says how each name stands, in the order given. Changes nothing.
    ///
    /// Asks the zone's own server, signed and without recursion. What a wildcard would answer is not taken for a record.
    ///
    /// # Errors
    /// P0501 for a name that cannot be, and what the server refuses.
    pub async fn observe(&self, records: &[Record]) -> Result<Vec<Seen>, Failure> {
        let look = async {
            let wanted = self.zone.wanted(records)?;
            let held = self.held(wanted.iter().map(|want| &want.host)).await?;
            Ok(wanted.iter().zip(&held).map(|(want, held)| self.judge(held, want)).collect())
        };
        look.await.map_err(|error: DnsError| {
            error.into_failure(format!("could not look at zone `{}`", self.zone.name))
        })
    }

    /// Makes the names stand as given, each with its ownership record.
    ///
    /// # Guarantees
    /// One atomic update for every 80 names; a name is never half published. Names that already are as wanted are not
    /// touched: when that is all of them, the zone's serial stays. Names that are somebody else's are never touched; one of
    /// them is enough to change nothing at all. What was seen is each update's prerequisite, so that a change in between
    /// is refused by the server. Afterwards the names are looked at again.
    ///
    /// # Errors
    /// P0506 for names that are not ours (`blockers`), P0507 when somebody was faster, and what the server refuses.
    pub async fn ensure(&self, records: &[Record]) -> Result<Changed, Failure> {
        let deed = || format!("could not publish names in zone `{}`", self.zone.name);
        self.ensured(records).await.map_err(|error| error.into_failure(deed()))
    }

    /// Takes names out again: of each only the kinds of record that its ownership record says are ours, and that record.
    ///
    /// # Guarantees
    /// A name that is not there is a success. A name that is somebody else's stays, and is reported.
    ///
    /// # Errors
    /// P0507 when somebody was faster, and what the server refuses.
    pub async fn remove<H: AsRef<str>>(&self, hosts: &[H]) -> Result<Removed, Failure> {
        let deed = || format!("could not remove names from zone `{}`", self.zone.name);
        self.removed(hosts).await.map_err(|error| error.into_failure(deed()))
    }

    /// Lists every name that the zone itself says is this owner's, in order, by a transfer of the zone. Needs no memory
    /// of ours: this is the inventory after everything is lost.
    ///
    /// # Errors
    /// P0508 when the server refuses transfers to this key, and what else it refuses.
    pub async fn list_owned(&self) -> Result<Vec<Owned>, Failure> {
        let deed = || format!("could not list zone `{}`", self.zone.name);
        self.listed().await.map_err(|error| error.into_failure(deed()))
    }

    /// Asks the zone's own server for each name as anybody would, unsigned, and compares.
    ///
    /// # Errors
    /// What the server refuses. A wrong answer is no error: see [`Answer::ok`].
    pub async fn verify(&self, records: &[Record]) -> Result<Vec<Answer>, Failure> {
        let ask = async {
            let wanted = self.zone.wanted(records)?;
            at_once(wanted.iter().map(|want| self.answer(want)).collect()).await
        };
        ask.await.map_err(|error: DnsError| {
            error.into_failure(format!("could not verify zone `{}`", self.zone.name))
        })
    }

    async fn ensured(&self, records: &[Record]) -> Result<Changed, DnsError> {
        let wanted = self.zone.wanted(records)?;
        let held = self.held(wanted.iter().map(|want| &want.host)).await?;
        let mut changed = Changed::default();
        let mut todo = Vec::new();
        let (mut names, mut found) = (Vec::new(), Vec::new());
        for (want, held) in wanted.iter().zip(&held) {
            let host = plain(&want.host);
            match self.judge(held, want) {
                Seen::Matches => changed.unchanged.push(host),
                Seen::Absent => {
                    changed.added.push(host);
                    todo.push((want, held));
                }
                Seen::Differs { .. } => {
                    changed.updated.push(host);
                    todo.push((want, held));
                }
                Seen::Foreign { found: there, owner } => {
                    let whose = owner.map(|owner| format!(" of owner `{owner}`")).unwrap_or_default();
                    found.push(format!("{host}{whose} ({})", there.join(", ")));
                    names.push(host);
                }
            }
        }
        if !names.is_empty() {
            return Err(DnsError::Foreign { names, found });
        }
        for part in todo.chunks(NAMES_PER_UPDATE) {
            let mut message = update(&self.origin);
            for (want, held) in part {
                put(&mut message, held, want, self.zone.ttl, &self.owner)?;
            }
            self.send(message).await?;
        }
        let again = self.held(todo.iter().map(|(want, _)| &want.host)).await?;
        let missing =
            todo.iter().zip(&again).filter(|((want, _), held)| self.judge(held, want) != Seen::Matches);
        let names: Vec<_> = missing.map(|((want, _), _)| plain(&want.host)).collect();
        if names.is_empty() { Ok(changed) } else { Err(DnsError::NotTaken { names }) }
    }

    async fn removed<H: AsRef<str>>(&self, hosts: &[H]) -> Result<Removed, DnsError> {
        let hosts: BTreeSet<Name> =
            hosts.iter().map(|text| host(&self.origin, text.as_ref())).collect::<Result<_, _>>()?;
        let held = self.held(&hosts).await?;
        let mut done = Removed::default();
        let mut todo = Vec::new();
        for (host, held) in hosts.iter().zip(&held) {
            match held.ownership() {
                Some(said) if said.owner == self.owner => {
                    done.removed.push(plain(host));
                    todo.push((host, held, said));
                }
                None if held.values.is_empty() && held.txt.is_empty() => done.absent.push(plain(host)),
                _ => done.foreign.push(plain(host)),
            }
        }
        for part in todo.chunks(NAMES_PER_UPDATE) {
            let mut message = update(&self.origin);
            for (host, held, said) in part {
                take(&mut message, host, held, said)?;
            }
            self.send(message).await?;
        }
        Ok(done)
    }

    async fn listed(&self) -> Result<Vec<Owned>, DnsError> {
        let records = self.wire.transfer(&self.origin).await?;
        let mut values: BTreeMap<Name, BTreeSet<Value>> = BTreeMap::new();
        let mut ours: BTreeMap<Name, Ownership> = BTreeMap::new();
        for record in &records {
            let name = record.name.to_lowercase();
            if let Some(value) = Value::read(&record.data) {
                values.entry(name).or_default().insert(value);
            } else if let RData::TXT(txt) = &record.data
                && let (Some(host), Some(said)) = (host_of(&name), Ownership::from_txt(txt))
                && said.owner == self.owner
            {
                ours.insert(host, said);
            }
        }
        let owned = ours.into_iter().map(|(host, said)| {
            let there = values.remove(&host).unwrap_or_default();
            let there = there.iter().filter(|value| said.kinds.contains(&value.kind()));
            Owned { found: there.map(in_words).collect(), host: plain(&host) }
        });
        Ok(owned.collect())
    }

    async fn answer(&self, want: &Wanted) -> Result<Answer, DnsError> {
        let (mut found, mut ok) = (BTreeSet::new(), true);
        let mut said = None;
        for kind in want.kinds() {
            let reply = self.wire.ask(&want.host, kind.wire(), false).await?;
            match reply.metadata.response_code {
                ResponseCode::NoError => found.extend(at(&reply, &want.host)),
                ResponseCode::NXDomain => said = Some("NXDOMAIN".to_owned()),
                code => return Err(DnsError::of_code(code, &self.origin)),
            }
            ok &= reply.metadata.authoritative;
        }
        let there: BTreeSet<Value> = found.iter().map(|(value, _)| value.clone()).collect();
        let words = there.iter().map(in_words).chain(said).collect();
        Ok(Answer { host: plain(&want.host), ok: ok && there == want.values, found: words })
    }

    /// What the zone holds at each name, in order.
    async fn held<'a>(&self, hosts: impl IntoIterator<Item = &'a Name>) -> Result<Vec<Held>, DnsError> {
        let hosts: Vec<&Name> = hosts.into_iter().collect();
        let mut held = at_once(hosts.iter().map(|host| self.look(host)).collect()).await?;
        let something: Vec<usize> = (0..held.len()).filter(|n| held[*n] != Held::default()).collect();
        for part in something.chunks(NAMES_PER_UPDATE) {
            let mut message = update(&self.origin);
            for n in part {
                demand(&mut message, hosts[*n], &held[*n])?;
            }
            match self.send(message).await {
                Ok(()) => {}
                Err(DnsError::Raced { .. }) => {
                    for n in part {
                        held[*n] = self.without_wildcards(hosts[*n], &held[*n]).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Of what the server answered for a name, what really stands there and was not made up from a wildcard.
    ///
    /// An update that demands something and changes nothing is how the protocol lets one ask: prerequisites are compared
    /// with the records themselves.
    async fn without_wildcards(&self, host: &Name, answered: &Held) -> Result<Held, DnsError> {
        let guesses = [
            answered.clone(),
            Held { values: BTreeMap::new(), ..answered.clone() },
            Held { txt: Vec::new(), ..answered.clone() },
            Held::default(),
        ];
        for guess in guesses {
            let mut message = update(&self.origin);
            demand(&mut message, host, &guess)?;
            match self.send(message).await {
                Ok(()) => return Ok(guess),
                Err(DnsError::Raced { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(DnsError::Raced { said: format!("{} changes while we look", plain(host)) })
    }

    async fn look(&self, host: &Name) -> Result<Held, DnsError> {
        let mut held = Held::default();
        for kind in Kind::ALL {
            let reply = self.read(host, kind.wire()).await?;
            held.values.extend(at(&reply, host).filter(|(value, _)| value.kind() == kind));
        }
        let beside = place(host)?;
        let reply = self.read(&beside, RecordType::TXT).await?;
        let texts = reply.answers.into_iter().filter(|record| record.name == beside);
        held.txt.extend(texts.filter_map(|record| match record.data {
            RData::TXT(txt) => Some(txt),
            _ => None,
        }));
        Ok(held)
    }

    async fn read(&self, name: &Name, kind: RecordType) -> Result<Message, DnsError> {
        let reply = self.wire.ask(name, kind, true).await?;
        match reply.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if reply.metadata.authoritative => Ok(reply),
            // A referral: the name lies in a zone that was delegated away.
            ResponseCode::NoError | ResponseCode::NXDomain => Err(DnsError::NotTheAuthority {
                zone: self.origin.to_string(),
                said: format!("for {name} it points elsewhere"),
            }),
            code => Err(DnsError::of_code(code, &self.origin)),
        }
    }

    async fn send(&self, message: Message) -> Result<(), DnsError> {
        match self.wire.tell(message, true).await?.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(DnsError::of_code(code, &self.origin)),
        }
    }

    fn judge(&self, held: &Held, want: &Wanted) -> Seen {
        judge(held, want, self.zone.ttl, &self.owner)
    }
}

/// Values in an answer that stand at this very name; an alias's target may follow in the same answer.
fn at(reply: &Message, host: &Name) -> impl Iterator<Item = (Value, u32)> {
    let answers = reply.answers.iter().filter(move |record| record.name == *host);
    answers.filter_map(|record| Some((Value::read(&record.data)?, record.ttl)))
}

fn in_words(value: &Value) -> String {
    format!("{} {value}", value.kind().as_str())
}

/// A name as people write it.
fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
