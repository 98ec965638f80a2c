//! Storage classes: one name on every cluster, another provisioner on each kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::build::overlay;
use crate::platform::{
    Spec,
    cluster::{Cluster, Overlay, Storage, StorageDriver},
};

/// The default storage class of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClass {
    /// Its name, the same everywhere: `contracts.storageClass`.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// Who makes its volumes.
    pub provisioner: String,
    /// What the provisioner is told.
    pub parameters: BTreeMap<String, String>,
    /// Its annotations: that it is the default, and what its volumes are where a backup would not see it.
    pub annotations: BTreeMap<String, String>,
    /// Classes that come with such clusters and must not stay the default beside it.
    pub replaces: Vec<String>,
}

const LOCAL_PATH: &str = "rancher.io/local-path";
const LONGHORN: &str = "driver.longhorn.io";

/// Who makes volumes where nothing else is said (S2-16, G-02).
fn usual(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::Kind => LOCAL_PATH,
        Overlay::Aks => "disk.csi.azure.com",
        Overlay::Eks => "ebs.csi.aws.com",
        Overlay::Gke => "pd.csi.storage.gke.io",
        Overlay::Onprem => LONGHORN,
    }
}

/// The class that such a cluster is born with as its default, under a name of its own.
fn born_with(overlay: Overlay) -> Option<&'static str> {
    match overlay {
        Overlay::Kind | Overlay::Onprem => None,
        Overlay::Aks => Some("default"),
        Overlay::Eks => Some("gp2"),
        Overlay::Gke => Some("standard-rwo"),
    }
}

/// One for each cluster. A cluster that exists already keeps what it has, unless the spec says who provides its volumes.
pub(super) fn storage_classes(spec: &Spec) -> Vec<StorageClass> {
    let adopted = |cluster: &Cluster| {
        let provider = spec.providers.iter().find(|provider| provider.name == cluster.provider);
        provider.is_some_and(|provider| provider.kind.as_str() == "existing")
    };
    let ours = spec.clusters.iter().filter(|cluster| cluster.storage.is_some() || !adopted(cluster));
    ours.map(|cluster| of_cluster(spec, cluster)).collect()
}

fn of_cluster(spec: &Spec, cluster: &Cluster) -> StorageClass {
    let overlay = overlay(spec, cluster);
    let provisioner = match cluster.storage.as_ref().map(|storage| storage.driver) {
        Some(StorageDriver::Longhorn) => LONGHORN,
        Some(StorageDriver::LocalPath) => LOCAL_PATH,
        Some(StorageDriver::Cloud) | None => usual(overlay),
    };
    let mut annotations =
        BTreeMap::from([("storageclass.kubernetes.io/is-default-class".to_owned(), "true".to_owned())]);
    if provisioner == LOCAL_PATH {
        // Volumes of the type `hostPath`, the provisioner's own choice, are passed over by file backups without a word.
        annotations.insert("defaultVolumeType".to_owned(), "local".to_owned());
    }
    let name = spec.contracts.storage_class.to_string();
    StorageClass {
        replaces: born_with(overlay).filter(|born| *born != name).map(str::to_owned).into_iter().collect(),
        name,
        cluster: cluster.name.to_string(),
        parameters: parameters(provisioner, cluster.storage.as_ref()),
        provisioner: provisioner.to_owned(),
        annotations,
    }
}

fn parameters(provisioner: &str, storage: Option<&Storage>) -> BTreeMap<String, String> {
    let Some(storage) = storage.filter(|_| provisioner == LONGHORN) else { return BTreeMap::new() };
    let given =
        [("numberOfReplicas", storage.replicas), ("staleReplicaTimeout", storage.stale_replica_timeout)];
    given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_string()))).collect()
}
