//! The clusters that an Argo CD deploys to beside its own: it hears of what changes there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::home::{Home, Target};
use crate::kube::store::{Change, Gone, Store};

/// The clusters beside its own that an Argo CD has looked at. After a restart there are none, and each Application that is
/// looked at brings its own back.
#[derive(Default)]
pub struct Elsewhere(Mutex<BTreeMap<String, Heard>>);

/// A cluster whose changes are heard.
struct Heard {
    store: Arc<Store>,
    /// Up to which.
    revision: u64,
    news: watch::Receiver<u64>,
}

impl Elsewhere {
    /// Hears from now on what changes in a cluster.
    ///
    /// To be said before one looks there: what changes while one looks must be heard.
    pub fn hear(&self, home: &Home<'_>, target: &Target) {
        let store = &target.cluster.api.store;
        if Arc::ptr_eq(store, &home.cluster.api.store) {
            return;
        }
        let mut heard = self.locked();
        // Another one may have come to the same address.
        if heard.get(&target.server).is_some_and(|it| Arc::ptr_eq(&it.store, store)) {
            return;
        }
        if let Some(clusters) = &home.cluster.around.clusters {
            clusters.listen(&target.server, home.cluster);
        }
        let (news, revision) = (store.revisions(), store.revision());
        heard.insert(target.server.clone(), Heard { store: store.clone(), revision, news });
    }

    /// What has changed in all of them since this was asked last.
    ///
    /// # Errors
    /// When that cannot be told of one any more. The next time it is told from there on.
    pub fn changes(&self) -> Result<Vec<Change>, Gone> {
        let mut all = Ok(Vec::new());
        for heard in self.locked().values_mut().filter(|it| it.news.has_changed().unwrap_or(false)) {
            heard.news.mark_unchanged();
            match (heard.store.changes_after(heard.revision), &mut all) {
                (Ok(changes), all) => {
                    heard.revision = changes.last().map_or(heard.revision, |last| last.revision);
                    if let Ok(all) = all {
                        all.extend(changes);
                    }
                }
                (Err(gone), all) => {
                    heard.revision = heard.store.revision();
                    *all = Err(gone);
                }
            }
        }
        all
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
