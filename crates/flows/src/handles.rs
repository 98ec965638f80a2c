//! The handles of secrets that a model uses, followed before anything is begun.

use futures::{StreamExt as _, stream};
use platform_spec::{Failure, model::Model, secret::SecretRef};

use crate::{
    doors,
    steps::{self, dns::Served},
};

/// Follows every handle that `up` will follow, and says which lead nowhere or to something that cannot be used: of Git,
/// of zones that we write to, of the backup store, of providers. What is read is forgotten at once.
///
/// Handles that only a provider understands (`profile:`, `oidc:`, `adc`) are its own affair.
pub async fn unusable(model: &Model) -> Vec<Failure> {
    let zones = steps::dns::zones(model);
    let zones = stream::iter(&zones)
        .filter_map(async |zone| match &zone.served {
            Served::Server { server, tsig } => {
                steps::dns::at_server(zone, server, tsig, &model.platform).await.err()
            }
            Served::Provider { .. } => None,
        })
        .collect::<Vec<_>>();
    let store = async {
        let handle = model.backup.as_ref()?.store.credentials_ref.as_ref()?;
        steps::velero::keys_of(handle).await.err()
    };
    let plain = stream::iter(plain(model))
        .filter_map(async |handle| doors::secret(Some(handle)).await.err())
        .collect::<Vec<_>>();
    let (plain, zones, store) = futures::join!(plain, zones, store);
    let mut found: Vec<Failure> = Vec::new();
    for failure in plain.into_iter().chain(zones).chain(store) {
        // One secret may be used in two places.
        if !found.contains(&failure) {
            found.push(failure);
        }
    }
    found
}

/// Handles whose secret may be any text.
fn plain(model: &Model) -> Vec<&SecretRef> {
    let providers = model.clusters.iter().filter_map(|cluster| cluster.provider.credentials_ref.as_ref());
    let providers = providers.filter(|handle| !matches!(handle, SecretRef::Named(_)));
    let mut handles: Vec<&SecretRef> = model.git.auth_ref.iter().chain(providers).collect();
    handles.dedup();
    handles
}
