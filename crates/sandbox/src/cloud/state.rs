//! Everything that exists, and the passing of time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    LoadError, Options,
    kinds::nodes_of,
    plug::{NewCluster, Node},
    thing::{Kind, Phase, Thing},
};
use crate::{
    keep::Book,
    parts::{
        history::History,
        tokens::ClientTokens,
        transitions::{Stands, Transition},
    },
};

/// The key of what is not about one thing.
const META: &str = "meta";

pub(super) struct State {
    things: BTreeMap<String, History<Thing>>,
    /// Ids by kind, of what exists now.
    live: BTreeMap<Kind, BTreeSet<String>>,
    /// Ids by name, by tag, and by what they stand on, of whatever somebody may still see.
    by_name: BTreeMap<(Kind, String), BTreeSet<String>>,
    by_tag: BTreeMap<(String, String), BTreeSet<String>>,
    by_ground: BTreeMap<String, BTreeSet<String>>,
    /// What ends when.
    due: BTreeSet<(Timestamp, String)>,
    /// What is gone, to be forgotten when nobody can see it any more.
    leaving: VecDeque<Thing>,
    pub tokens: ClientTokens,
    pub meta: Meta,
    pub effects: VecDeque<Effect>,
    pub performing: bool,
}

/// What is not about one thing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Counts ids, operations, addresses.
    pub serial: u64,
    pub made: BTreeMap<Kind, u64>,
    /// The newest epoch seen, by name of the fence.
    pub fences: BTreeMap<String, u64>,
    pub quotas: BTreeMap<String, u64>,
    pub capacity: BTreeMap<String, u64>,
}

/// What follows outside of the cloud.
pub(super) enum Effect {
    /// A cluster's API is to be there; by its id, and in full.
    MadeById(String),
    Made(NewCluster),
    /// A cluster has these nodes; by its id, and in full.
    NodesById(String),
    Nodes(String, Vec<Node>),
    /// A cluster's API is to go.
    Gone(String),
}

impl State {
    pub fn new(options: &Options) -> Self {
        Self {
            things: BTreeMap::new(),
            live: BTreeMap::new(),
            by_name: BTreeMap::new(),
            by_tag: BTreeMap::new(),
            by_ground: BTreeMap::new(),
            due: BTreeSet::new(),
            leaving: VecDeque::new(),
            tokens: ClientTokens::default(),
            meta: Meta {
                quotas: options.quotas.clone(),
                capacity: options.capacity.clone(),
                ..Meta::default()
            },
            effects: VecDeque::new(),
            performing: false,
        }
    }

    /// Takes over what a book has.
    pub fn load(&mut self, entries: Vec<(String, Vec<u8>)>, now: Timestamp) -> Result<(), LoadError> {
        for (key, bytes) in entries {
            let bad = |cause| LoadError::Entry { key: key.clone(), cause };
            if key == META {
                self.meta = serde_json::from_slice(&bytes).map_err(bad)?;
                continue;
            }
            let thing: Thing = serde_json::from_slice(&bytes).map_err(bad)?;
            if let Some((token, asked)) = &thing.token {
                self.tokens.used(token, asked, &thing.id, now, jiff::SignedDuration::MAX);
            }
            self.remember(&thing);
            let at = thing.created;
            self.things.entry(thing.id.clone()).or_default().set(Some(thing), at, at);
        }
        Ok(())
    }

    /// A serial number.
    pub fn serial(&mut self) -> u64 {
        self.meta.serial += 1;
        self.meta.serial
    }

    pub fn save_meta(&self, book: &Book) {
        if book.is_kept()
            && let Ok(bytes) = serde_json::to_vec(&self.meta)
        {
            book.put(META, &bytes);
        }
    }

    /// A thing as it is.
    pub fn get(&self, id: &str) -> Option<&Thing> {
        self.things.get(id).and_then(History::now)
    }

    /// A thing as somebody sees it whose picture is of this time.
    pub fn seen(&self, id: &str, at: Timestamp) -> Option<&Thing> {
        self.things.get(id).and_then(|history| history.seen(at))
    }

    /// Everything as it is.
    pub fn things(&self) -> impl Iterator<Item = &Thing> {
        self.things.values().filter_map(History::now)
    }

    /// Things of a kind as they are.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Thing> {
        self.live.get(&kind).into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.live.get(&kind).map_or(0, |ids| ids.len() as u64)
    }

    /// Things of a kind and name as they are.
    pub fn named<'a>(&'a self, kind: Kind, name: &str) -> impl Iterator<Item = &'a Thing> {
        let ids = self.by_name.get(&(kind, name.to_owned()));
        let name = name.to_owned();
        ids.into_iter().flatten().filter_map(|id| self.get(id)).filter(move |thing| thing.name == name)
    }

    /// A thing with a tag, as it is.
    pub fn tagged(&self, key: &str, value: &str) -> Option<&Thing> {
        let ids = self.by_tag.get(&(key.to_owned(), value.to_owned()))?;
        let has = |thing: &&Thing| thing.tags.get(key).is_some_and(|is| is == value);
        ids.iter().filter_map(|id| self.get(id)).find(has)
    }

    /// What stands on a thing.
    pub fn above(&self, id: &str) -> Vec<&Thing> {
        self.by_ground.get(id).into_iter().flatten().filter_map(|above| self.get(above)).collect()
    }

    /// Ids among which everything is that a search can find, in order.
    pub fn candidates(&self, kind: Option<Kind>, search: &super::acts::Search) -> Vec<String> {
        let mut sets: Vec<Option<&BTreeSet<String>>> = Vec::new();
        if let (Some(kind), Some(name)) = (kind, &search.name) {
            sets.push(self.by_name.get(&(kind, name.clone())));
        }
        if let Some(ground) = &search.stands_on {
            sets.push(self.by_ground.get(ground));
        }
        sets.extend(search.exact_tags.iter().map(|tag| self.by_tag.get(tag)));
        match sets.into_iter().min_by_key(|set| set.map_or(0, BTreeSet::len)) {
            Some(set) => set.into_iter().flatten().cloned().collect(),
            None => self.things.keys().cloned().collect(),
        }
    }

    /// Writes a thing, seen by readers from `seen` on.
    pub fn put(&mut self, thing: Thing, now: Timestamp, seen: Timestamp, book: &Book) {
        if book.is_kept()
            && let Ok(bytes) = serde_json::to_vec(&thing)
        {
            book.put(&thing.id, &bytes);
        }
        if let Some(until) = self.get(&thing.id).and_then(|old| old.phase.transition()?.until) {
            self.due.remove(&(until, thing.id.clone()));
        }
        self.remember(&thing);
        self.things.entry(thing.id.clone()).or_default().set(Some(thing), now, seen);
    }

    fn remember(&mut self, thing: &Thing) {
        let id = &thing.id;
        self.live.entry(thing.kind).or_default().insert(id.clone());
        self.by_name.entry((thing.kind, thing.name.clone())).or_default().insert(id.clone());
        for (key, value) in &thing.tags {
            self.by_tag.entry((key.clone(), value.clone())).or_default().insert(id.clone());
        }
        for ground in &thing.stands_on {
            self.by_ground.entry(ground.clone()).or_default().insert(id.clone());
        }
        if let Some(until) = thing.phase.transition().and_then(|transition| transition.until) {
            self.due.insert((until, id.clone()));
        }
    }

    /// Takes a thing away, unseen by readers from `seen` on.
    pub fn take(&mut self, id: &str, now: Timestamp, seen: Timestamp, book: &Book) {
        book.remove(id);
        self.tokens.forget(id);
        let Some(history) = self.things.get_mut(id) else { return };
        let Some(thing) = history.now().cloned() else { return };
        history.set(None, now, seen);
        if let Some(live) = self.live.get_mut(&thing.kind) {
            live.remove(id);
        }
        self.leaving.push_back(thing);
    }

    /// Sets something that the cloud says of a thing, without its being a change.
    pub fn set_output(&mut self, id: &str, key: &str, value: Value, book: &Book) {
        let Some(thing) = self.things.get_mut(id).and_then(History::now_mut) else { return };
        if thing.outputs.get(key) == Some(&value) {
            return;
        }
        thing.outputs[key] = value;
        if book.is_kept()
            && let Ok(bytes) = serde_json::to_vec(thing)
        {
            book.put(id, &bytes);
        }
    }

    /// When something ends by itself next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Ends what is over by now, in the order in which it ended.
    pub fn settle(&mut self, now: Timestamp, book: &Book) {
        while let Some((at, id)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            let Some(thing) = self.get(&id) else { continue };
            let failed = |transition: &Transition| match transition.stands(at) {
                Stands::Failed(why) => Some(why.to_owned()),
                _ => None,
            };
            let phase = match &thing.phase {
                Phase::Creating(it) | Phase::Updating(it) => failed(it).map_or(Phase::Active, Phase::Failed),
                Phase::Deleting(it) => match failed(it) {
                    Some(why) => Phase::Failed(why),
                    None => {
                        if thing.kind == Kind::NodePool {
                            self.effects.extend(thing.stands_on.first().cloned().map(Effect::NodesById));
                        }
                        self.take(&id, at, at, book);
                        continue;
                    }
                },
                Phase::Active | Phase::Failed(_) => continue,
            };
            let ended = Thing { phase, ..thing.clone() };
            if ended.kind == Kind::NodePool && ended.phase == Phase::Active {
                self.effects.extend(ended.stands_on.first().cloned().map(Effect::NodesById));
            }
            self.put(ended, at, at, book);
        }
        while let Some(thing) = self.leaving.front()
            && self.things.get(&thing.id).is_none_or(|history| history.is_over(now))
            && let Some(thing) = self.leaving.pop_front()
        {
            self.forget(&thing);
        }
    }

    fn forget(&mut self, thing: &Thing) {
        let id = &thing.id;
        self.things.remove(id);
        leave(&mut self.by_name, &(thing.kind, thing.name.clone()), id);
        for tag in &thing.tags {
            leave(&mut self.by_tag, &(tag.0.clone(), tag.1.clone()), id);
        }
        for ground in &thing.stands_on {
            leave(&mut self.by_ground, ground, id);
        }
    }

    /// Every cluster's API, and its nodes, are to be there.
    pub fn all_clusters_again(&mut self) {
        let ids: Vec<String> = self
            .of_kind(Kind::Cluster)
            .filter(|thing| !matches!(thing.phase, Phase::Deleting(_)))
            .map(|thing| thing.id.clone())
            .collect();
        for id in ids {
            self.effects.push_back(Effect::MadeById(id.clone()));
            self.effects.push_back(Effect::NodesById(id));
        }
    }

    /// An effect with everything that it needs.
    pub fn in_full(&self, effect: Effect, options: &Options) -> Effect {
        match effect {
            Effect::MadeById(id) => match self.get(&id) {
                Some(thing) => {
                    let text = |key: &str| thing.spec[key].as_str().map(str::to_owned);
                    Effect::Made(NewCluster {
                        id,
                        name: thing.name.clone(),
                        region: thing.region.clone(),
                        version: text("version").or(options.versions.last().cloned()).unwrap_or_default(),
                        pod_cidr: text("pod_cidr"),
                        service_cidr: text("service_cidr"),
                    })
                }
                None => Effect::MadeById(id),
            },
            Effect::NodesById(id) => match self.get(&id) {
                Some(_) => {
                    let pools = self.above(&id).into_iter().filter(|thing| thing.kind == Kind::NodePool);
                    let mut nodes: Vec<Node> = pools.flat_map(nodes_of).collect();
                    nodes.sort_by(|a, b| a.name.cmp(&b.name));
                    Effect::Nodes(id, nodes)
                }
                None => Effect::NodesById(id),
            },
            other => other,
        }
    }
}

/// Takes an id out of an index.
fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<String>>, key: &K, id: &str) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
