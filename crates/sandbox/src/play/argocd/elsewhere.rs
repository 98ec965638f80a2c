//! The clusters that an Argo CD deploys to beside its own: it hears of what changes there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::home::Home;
use crate::play::Cluster;

/// Clusters by their address, each with the revision from which on its changes are heard.
///
/// After a restart there are none, and each Application that is looked at brings its own back.
#[derive(Default)]
pub struct Elsewhere(Mutex<BTreeMap<String, (Cluster, u64)>>);

impl Elsewhere {
    /// Hears from now on of the cluster that an Application goes to.
    ///
    /// To be said before one looks there: what changes while one looks must be heard.
    pub fn of(&self, home: &Home<'_>, app: &Value) {
        let Ok(target) = home.target(&app["spec"]["destination"]) else { return };
        let store = &target.cluster.api.store;
        if Arc::ptr_eq(store, &home.cluster.api.store) {
            return;
        }
        let mut known = self.locked();
        // Another one may have come to the same address.
        if known.get(&target.server).is_some_and(|(cluster, _)| Arc::ptr_eq(&cluster.api.store, store)) {
            return;
        }
        if let Some(clusters) = &home.cluster.around.clusters {
            clusters.listen(&target.server, home.cluster);
        }
        known.insert(target.server, (target.cluster.clone(), store.revision()));
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Cluster, u64)> {
        self.locked().values().cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, (Cluster, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
