//! Create, read, change, remove.

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Cloud,
    kinds::{self, Wanted},
    refusal::Refusal,
    request::{Ask, What},
    state::{Effect, State},
    thing::{Kind, Phase, Thing},
};
use crate::parts::{
    faults::Struck,
    ids, paging,
    tags::{self, Filter, Tags},
    tokens::Seen,
    transitions::Transition,
};

/// An answer that is no refusal.
pub(super) struct Reply {
    pub status: u16,
    pub body: Value,
    /// Whether something was made, changed or removed.
    pub changed: bool,
}

impl Reply {
    fn read(body: Value) -> Self {
        Self { status: 200, body, changed: false }
    }
}

/// What a list is narrowed to.
#[derive(Debug)]
pub(super) struct Search {
    pub name: Option<String>,
    pub region: Option<String>,
    pub stands_on: Option<String>,
    pub tags: Filter,
    /// Those of the tags whose value is asked for.
    pub exact_tags: Vec<(String, String)>,
    pub limit: usize,
    pub page: Option<String>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            name: None,
            region: None,
            stands_on: None,
            tags: Filter::default(),
            exact_tags: Vec::new(),
            limit: 50,
            page: None,
        }
    }
}

impl Search {
    fn fits(&self, kind: Option<Kind>, thing: &Thing) -> bool {
        kind.is_none_or(|kind| kind == thing.kind)
            && self.name.as_ref().is_none_or(|name| *name == thing.name)
            && self.region.as_ref().is_none_or(|region| *region == thing.region)
            && self.stands_on.as_ref().is_none_or(|ground| thing.stands_on.contains(ground))
            && self.tags.fits(&thing.tags)
    }
}

/// A request to make something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    pub name: String,
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default)]
    pub tags: Tags,
    #[serde(default)]
    pub spec: Value,
    #[serde(default)]
    pub client_token: Option<String>,
}

/// A request to change something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    spec: Value,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KubeconfigFor {
    ttl_s: Option<u32>,
}

/// The longest that credentials of a kubeconfig last.
const LONGEST_TTL_S: u32 = 12 * 3600;

fn read_body<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    T::deserialize(body).map_err(|error| Refusal::invalid(error.to_string()))
}

impl Cloud {
    /// Answers a request.
    pub(super) fn answer(&self, ask: &Ask, struck: &Struck) -> Result<Reply, Refusal> {
        let clock = self.now().checked_add(struck.skew()).unwrap_or(Timestamp::MAX);
        if ask.what == What::Login {
            return self.login(&ask.body, clock).map(Reply::read);
        }
        self.admit(ask.bearer.as_deref(), clock)?;
        if let Some((name, epoch)) = &ask.fence {
            self.at_now(|state, _| {
                let newest = state.meta.fences.get(name).copied().unwrap_or(0);
                if *epoch < newest {
                    return Err(Refusal::new(
                        409,
                        "stale_epoch",
                        format!(
                            "`{name}` has been taken over: this is epoch {epoch}, and {newest} has been seen"
                        ),
                    ));
                }
                if *epoch > newest {
                    state.meta.fences.insert(name.clone(), *epoch);
                    state.save_meta(&self.inner.book);
                }
                Ok(())
            })?;
        }
        match &ask.what {
            What::Login => unreachable!("answered above"),
            What::Account => Ok(Reply::read(self.at_now(|state, _| self.account(state)))),
            What::List(kind) => self.list(*kind, &ask.search()?, struck),
            What::Create(kind) => {
                let wanted: Create = read_body(&ask.body)?;
                self.at_now(|state, now| self.create(state, now, *kind, wanted, struck))
            }
            What::Get(kind, id) => self.at_now(|state, now| {
                let seen = state.seen(id, picture(now, struck)).filter(|thing| thing.kind == *kind);
                let thing = seen.ok_or_else(|| unknown(*kind, id))?;
                Ok(Reply::read(thing.view(now, self.inner.pace)))
            }),
            What::Update(kind, id) => {
                let change: Change = read_body(&ask.body)?;
                self.at_now(|state, now| self.change(state, now, *kind, id, change, struck))
            }
            What::Delete(kind, id) => self.at_now(|state, now| self.delete(state, now, *kind, id, struck)),
            What::Kubeconfig(id) => self.kubeconfig(id, &ask.body),
            What::ZoneKey(id) => self.zone_key(id),
        }
    }

    fn list(&self, kind: Option<Kind>, search: &Search, struck: &Struck) -> Result<Reply, Refusal> {
        self.at_now(|state, now| {
            let query = format!(
                "{kind:?} {:?} {:?} {:?} {:?}",
                search.name, search.region, search.stands_on, search.tags
            );
            let after = match &search.page {
                Some(token) => Some(self.inner.pager.after(token, &query, now).map_err(|bad| {
                    Refusal::new(400, "invalid_page", format!("{bad}; begin with the first page again"))
                })?),
                None => None,
            };
            let at = picture(now, struck);
            let found = state.candidates(kind, search).into_iter().filter_map(|id| {
                let thing = state.seen(&id, at).filter(|thing| search.fits(kind, thing))?;
                Some((id, thing))
            });
            let page = paging::cut(found, after.as_deref(), search.limit);
            let items: Vec<Value> = page.items.iter().map(|thing| thing.view(now, self.inner.pace)).collect();
            let mut body = json!({ "items": items });
            if let Some(more) = page.more {
                body["next_page"] = self.inner.pager.token(&query, &more, now).into();
            }
            Ok(Reply::read(body))
        })
    }

    pub(super) fn create(
        &self,
        state: &mut State,
        now: Timestamp,
        kind: Kind,
        wanted: Create,
        struck: &Struck,
    ) -> Result<Reply, Refusal> {
        let Create { name, region, tags, spec, client_token } = wanted;
        kinds::check_name(kind, &name)?;
        tags::check(&tags).map_err(Refusal::invalid)?;
        let region = self.region(region.as_deref())?;
        let asked = json!([kind.word(), name, region.name, tags, spec]).to_string();
        if let Some(token) = &client_token {
            match state.tokens.look(token, &asked) {
                Seen::New => {}
                Seen::Same(id) => {
                    if let Some(thing) = state.get(&id) {
                        return Ok(Reply::read(thing.view(now, self.inner.pace)));
                    }
                }
                Seen::Other(id) => {
                    return Err(Refusal {
                        existing: Some(id),
                        ..Refusal::new(409, "token_reused", "the client token was used for another request")
                    });
                }
            }
        }
        let limit = state.meta.quotas.get(kind.word()).copied();
        let used = state.count(kind);
        if let Some(limit) = limit.filter(|limit| used >= *limit) {
            return Err(Refusal::quota(kind.word(), used, limit));
        }
        let serial = state.serial();
        let wish = Wanted { kind, name: &name, region, spec: &spec, serial };
        let made = self.prepare(state, &wish)?;
        let id = ids::hex_id(self.inner.chance, kind.prefix(), serial, 12);
        let thing = Thing {
            id: id.clone(),
            kind,
            name,
            region: region.name.clone(),
            tags,
            spec: made.spec,
            outputs: made.outputs,
            phase: Phase::Creating(self.begin(state, now, kind.takes().0, &id, struck)),
            stands_on: made.stands_on,
            created: now,
            token: client_token.map(|token| (token, asked)),
        };
        if let Some((token, asked)) = &thing.token {
            state.tokens.used(token, asked, &id, now, self.inner.options.client_tokens_last);
        }
        *state.meta.made.entry(kind).or_default() += 1;
        state.save_meta(&self.inner.book);
        state.put(thing, now, unseen_until(now, struck), &self.inner.book);
        if kind == Kind::Cluster {
            state.effects.push_back(Effect::MadeById(id.clone()));
        }
        state.settle(now, &self.inner.book);
        let body = state.get(&id).map(|thing| thing.view(now, self.inner.pace)).unwrap_or_default();
        Ok(Reply { status: 201, body, changed: true })
    }

    fn change(
        &self,
        state: &mut State,
        now: Timestamp,
        kind: Kind,
        id: &str,
        change: Change,
        struck: &Struck,
    ) -> Result<Reply, Refusal> {
        let thing =
            state.get(id).filter(|thing| thing.kind == kind).cloned().ok_or_else(|| unknown(kind, id))?;
        if thing.phase.transition().is_some() {
            return Err(Refusal::busy(&thing.named(), thing.phase.word()));
        }
        let tags = change.tags.unwrap_or_else(|| thing.tags.clone());
        tags::check(&tags).map_err(Refusal::invalid)?;
        let spec = self.changed(state, &thing, &change.spec)?;
        let failed = matches!(thing.phase, Phase::Failed(_));
        if spec == thing.spec && tags == thing.tags && !failed {
            return Ok(Reply::read(thing.view(now, self.inner.pace)));
        }
        let phase = if spec == thing.spec && !failed {
            thing.phase.clone()
        } else {
            Phase::Updating(self.begin(state, now, kind.takes().0, id, struck))
        };
        if kind == Kind::Cluster {
            state.effects.push_back(Effect::MadeById(id.to_owned()));
        }
        state.put(Thing { tags, spec, phase, ..thing }, now, unseen_until(now, struck), &self.inner.book);
        state.settle(now, &self.inner.book);
        let body = state.get(id).map(|thing| thing.view(now, self.inner.pace)).unwrap_or_default();
        Ok(Reply { status: 200, body, changed: true })
    }

    pub(super) fn delete(
        &self,
        state: &mut State,
        now: Timestamp,
        kind: Kind,
        id: &str,
        struck: &Struck,
    ) -> Result<Reply, Refusal> {
        let thing =
            state.get(id).filter(|thing| thing.kind == kind).cloned().ok_or_else(|| unknown(kind, id))?;
        match &thing.phase {
            Phase::Deleting(_) => {
                let body = thing.view(now, self.inner.pace);
                return Ok(Reply { status: 202, body, changed: false });
            }
            Phase::Creating(_) | Phase::Updating(_) => {
                return Err(Refusal::busy(&thing.named(), thing.phase.word()));
            }
            Phase::Active | Phase::Failed(_) => {}
        }
        let blockers: Vec<String> = state.above(id).into_iter().map(Thing::named).collect();
        if !blockers.is_empty() {
            return Err(Refusal {
                message: format!("{} is in use by {}", thing.named(), blockers.join(", ")),
                blockers,
                ..Refusal::new(409, "dependency_violation", "")
            });
        }
        self.release(&thing)?;
        let phase = Phase::Deleting(self.begin(state, now, kind.takes().1, id, struck));
        state.put(Thing { phase, ..thing }, now, unseen_until(now, struck), &self.inner.book);
        if kind == Kind::Cluster {
            state.effects.push_back(Effect::Gone(id.to_owned()));
        }
        state.settle(now, &self.inner.book);
        let body = state.get(id).map_or(Value::Null, |thing| thing.view(now, self.inner.pace));
        let status = if body.is_null() { 204 } else { 202 };
        Ok(Reply { status, body, changed: true })
    }

    fn begin(
        &self,
        state: &mut State,
        now: Timestamp,
        takes: crate::parts::transitions::Takes,
        id: &str,
        struck: &Struck,
    ) -> Transition {
        let serial = state.serial();
        let operation = ids::hex_id(self.inner.chance, "op", serial, 12);
        let time = self.inner.pace.time(takes, self.inner.chance, &[id, &operation]);
        Transition::begin(operation, now, time, struck)
    }

    fn kubeconfig(&self, id: &str, body: &Value) -> Result<Reply, Refusal> {
        let wanted: KubeconfigFor = if body.is_null() { KubeconfigFor::default() } else { read_body(body)? };
        let ttl = wanted.ttl_s.unwrap_or(3600);
        if !(60..=LONGEST_TTL_S).contains(&ttl) {
            return Err(Refusal::invalid(format!("ttl_s must be from 60 to {LONGEST_TTL_S}")));
        }
        let now = self.at_now(|state, now| {
            let thing = state.get(id).filter(|thing| thing.kind == Kind::Cluster);
            let thing = thing.ok_or_else(|| unknown(Kind::Cluster, id))?;
            match &thing.phase {
                Phase::Active | Phase::Updating(_) => Ok(now),
                phase => Err(Refusal::new(
                    409,
                    "not_ready",
                    format!("{} is {}, and has no kubeconfig", thing.named(), phase.word()),
                )),
            }
        })?;
        let clusters = self.inner.clusters.get().ok_or_else(|| {
            Refusal::new(501, "not_implemented", "nobody makes Kubernetes APIs for this cloud")
        })?;
        let until = now.checked_add(SignedDuration::from_secs(ttl.into())).unwrap_or(Timestamp::MAX);
        let yaml = clusters.kubeconfig(id, until).map_err(|why| Refusal::new(503, "unavailable", why))?;
        Ok(Reply::read(json!({ "kubeconfig": yaml.expose_secret(), "expires_at": until.to_string() })))
    }
}

impl Cloud {
    fn zone_key(&self, id: &str) -> Result<Reply, Refusal> {
        let domain = self.at_now(|state, _| {
            let thing = state.get(id).filter(|thing| thing.kind == Kind::DnsZone);
            thing.map(|thing| thing.name.clone()).ok_or_else(|| unknown(Kind::DnsZone, id))
        })?;
        let zones =
            self.inner.zones.get().ok_or_else(|| {
                Refusal::new(501, "not_implemented", "nobody answers for zones of this cloud")
            })?;
        let key = zones.key(&domain).map_err(|why| Refusal::new(503, "unavailable", why))?;
        Ok(Reply::read(json!({
            "server": key.server, "key": key.key, "algorithm": key.algorithm, "secret": key.secret.expose_secret(),
        })))
    }
}

/// Of which time the picture is that a reader sees.
fn picture(now: Timestamp, struck: &Struck) -> Timestamp {
    now.checked_sub(struck.stale()).unwrap_or(Timestamp::MIN)
}

/// Until when readers do not see a write.
fn unseen_until(now: Timestamp, struck: &Struck) -> Timestamp {
    now.checked_add(struck.stale()).unwrap_or(Timestamp::MAX)
}

fn unknown(kind: Kind, id: &str) -> Refusal {
    Refusal::not_found(&format!("{} {id}", kind.word()))
}
