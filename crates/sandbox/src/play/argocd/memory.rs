//! What the controller of Applications remembers between two looks, so that a look at what has not changed costs little.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    model::{Id, REFRESH, annotation, items},
    render::Rendered,
};
use crate::kube::{catalog::Catalog, object::is_going, store::Key};

/// Verdicts that are kept.
const VERDICTS: usize = 50_000;
/// Applications whose objects are kept.
const APPLICATIONS: usize = 100;

/// What is remembered. It all can be worked out again.
#[derive(Default)]
pub struct Memory {
    /// Whether an object is as wanted, by what is wanted and what is there: asking the API again would cost more.
    verdicts: Mutex<HashMap<(u64, u64), bool>>,
    wanted: Mutex<HashMap<String, Remembered>>,
    /// Applications that still bring enough objects to keep the controller busy.
    busy: Mutex<HashMap<Key, Busy>>,
}

/// With fewer objects than that an Application is looked at whenever one of them has changed.
const MANY: usize = 50;
/// How long a look takes for each of many objects; what changes meanwhile is looked at once. The real controller needs some
/// milliseconds for each, and to look at a thousand objects because one of them has changed would be all that is done here.
const EACH: SignedDuration = SignedDuration::from_millis(10);

/// An Application whose last look takes some time.
struct Busy {
    until: Timestamp,
    /// When it wanted to be looked at in any case.
    again: Option<Timestamp>,
    /// What it asked for.
    spec: Value,
}

/// The objects of an Application, and what they were made from.
struct Remembered {
    from: From,
    wanted: Arc<[Wanted]>,
}

/// What the objects of an Application are made from.
pub struct From {
    /// Name and namespace, and the differences that do not count.
    pub said: [Value; 3],
    /// Its sources.
    pub rendered: Vec<Arc<Rendered>>,
    /// Which kinds there are where it goes to, and how often that had changed.
    pub kinds: (Arc<Catalog>, u64),
}

impl PartialEq for From {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Rendered>, &Arc<Rendered>)| Arc::ptr_eq(a, b);
        self.rendered.len() == other.rendered.len()
            && self.rendered.iter().zip(&other.rendered).all(same)
            && Arc::ptr_eq(&self.kinds.0, &other.kinds.0)
            && self.kinds.1 == other.kinds.1
            && self.said == other.said
    }
}

/// One object that is wanted.
pub struct Wanted {
    /// Which.
    pub id: Id,
    /// As it will be applied.
    pub object: Arc<Value>,
    /// How often the sources have it; the last one counts.
    pub times: u32,
    verdict: Mutex<Option<(Arc<Value>, bool)>>,
}

impl Wanted {
    /// An object that the sources have so often.
    pub fn new(id: Id, object: Value, times: u32) -> Self {
        Self { id, object: Arc::new(object), times, verdict: Mutex::default() }
    }

    /// Whether it differs from what is there, when that was asked of the very same before.
    pub fn verdict_on(&self, live: &Arc<Value>) -> Option<bool> {
        locked(&self.verdict)
            .as_ref()
            .filter(|(seen, _)| Arc::ptr_eq(seen, live))
            .map(|(_, differs)| *differs)
    }

    /// Remembers that.
    pub fn judge(&self, live: &Arc<Value>, differs: bool) {
        *locked(&self.verdict) = Some((live.clone(), differs));
    }
}

impl Memory {
    /// What was remembered of two things by their digests, or else what `work` says.
    pub fn verdict(&self, of: (u64, u64), work: impl FnOnce() -> bool) -> bool {
        if let Some(known) = locked(&self.verdicts).get(&of) {
            return *known;
        }
        let verdict = work();
        self.judge(of, verdict);
        verdict
    }

    /// Remembers whether two things differ.
    pub fn judge(&self, of: (u64, u64), differs: bool) {
        let mut verdicts = locked(&self.verdicts);
        if verdicts.len() >= VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(of, differs);
    }

    /// For how long an Application need not be looked at once more, unless somebody asks for it.
    pub fn busy(&self, key: &Key, app: &Value, now: Timestamp) -> Option<SignedDuration> {
        let busy = locked(&self.busy);
        let last = busy.get(key)?;
        let asked = last.spec != app["spec"]
            || annotation(app, REFRESH).is_some()
            || is_going(app)
            || last.again.is_some_and(|again| again <= now);
        (!asked && now < last.until).then(|| last.until.duration_since(now))
    }

    /// Remembers that an Application was looked at, and when it wants to be looked at again.
    pub fn looked(&self, key: &Key, app: &Value, now: Timestamp, again: Option<SignedDuration>) {
        let objects = items(&app["status"]["resources"]).count();
        let mut busy = locked(&self.busy);
        busy.remove(key);
        if objects >= MANY {
            let after = |by: SignedDuration| now.checked_add(by).unwrap_or(Timestamp::MAX);
            let until = after(EACH.saturating_mul(i32::try_from(objects).unwrap_or(i32::MAX)));
            let last = Busy { until, again: again.map(after), spec: app["spec"].clone() };
            busy.insert(key.clone(), last);
        }
    }

    /// The objects of an Application: those that were made before of the same, or else what `work` makes.
    pub fn wanted(&self, from: From, work: impl FnOnce(&From) -> Vec<Wanted>) -> Arc<[Wanted]> {
        let name = from.said[0].as_str().unwrap_or_default().to_owned();
        if let Some(known) = locked(&self.wanted).get(&name).filter(|it| it.from == from) {
            return known.wanted.clone();
        }
        let wanted: Arc<[Wanted]> = work(&from).into();
        let mut all = locked(&self.wanted);
        if all.len() >= APPLICATIONS {
            all.clear();
        }
        all.insert(name, Remembered { from, wanted: wanted.clone() });
        wanted
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_of_many_objects_are_looked_at_together_unless_somebody_asks() {
        let memory = Memory::default();
        let app = |objects: usize| json!({"spec": {"project": "p"}, "status": {"resources": vec![json!({}); objects]}});
        let key =
            Key { kind: "argoproj.io/applications".into(), namespace: "argocd".into(), name: "root".into() };
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        let ms = SignedDuration::from_millis;
        memory.looked(&key, &app(60), at(0), Some(ms(400)));
        assert_eq!(memory.busy(&key, &app(60), at(100)), Some(ms(500)));
        assert_eq!(memory.busy(&key, &app(60), at(400)), None, "it wanted to be looked at by then");
        assert_eq!(memory.busy(&key, &app(60), at(600)), None, "the look is over");
        let mut asked = app(60);
        asked["metadata"]["annotations"][REFRESH] = "normal".into();
        assert_eq!(memory.busy(&key, &asked, at(100)), None);
        let mut other = app(60);
        other["spec"]["project"] = "q".into();
        assert_eq!(memory.busy(&key, &other, at(100)), None);
        memory.looked(&key, &app(MANY - 1), at(0), None);
        assert_eq!(memory.busy(&key, &app(MANY - 1), at(0)), None);
    }
}
