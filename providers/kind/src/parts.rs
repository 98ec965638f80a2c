//! What stands around a control plane: network and registry.

use std::collections::BTreeMap;

use platform_provider::{Ensured, Observation, Ownership, Removed, Thing};
use platform_spec::{Class, Code, Failure};
use serde_json::json;

use crate::{
    config::Registry,
    engine::{Container, Engine, Network},
    graph::{NETWORK, REGISTRY},
    neighbours,
    refusal::Refusal,
    wish::{DIGEST_LABEL, Wish},
};

/// The cluster's network.
pub(crate) async fn look_at_network(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Observation, Refusal> {
    Ok(match own_network(wish, engine).await? {
        Some(network) => Observation::Present { thing: of_network(&network), differs: None },
        None => Observation::Absent,
    })
}

/// Networks may share a name; only that with our labels is meant.
async fn own_network(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Option<Network>, Refusal> {
    let labels = wish.labels(NETWORK);
    let search = ["platform.dev/name", "platform.dev/cluster", "platform.dev/resource"]
        .map(|key| format!("{key}={}", labels[key]));
    Ok(engine.networks(&search).await?.into_iter().next())
}

fn of_network(network: &Network) -> Thing {
    let outputs = json!({ "id": network.id, "name": network.name });
    Thing { external_id: network.id.clone(), ownership: Ownership::Owned, outputs }
}

pub(crate) async fn make_network(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Ensured, Failure> {
    let refused = |refusal: Refusal| refusal.failed(deed("make", NETWORK, wish));
    if let Some(network) = own_network(wish, engine).await.map_err(refused)? {
        return Ok(Ensured::Done { thing: of_network(&network), changed: false });
    }
    let name = wish.network();
    if engine.network(&name).await.map_err(refused)?.is_some() {
        return Err(taken("network", &name, NETWORK, wish));
    }
    engine.make_network(&name, &wish.labels(NETWORK)).await.map_err(refused)?;
    match own_network(wish, engine).await.map_err(refused)? {
        Some(network) => Ok(Ensured::Done { thing: of_network(&network), changed: true }),
        None => Err(Failure::new(Code::new("P1012"), Class::Retryable, deed("make", NETWORK, wish))
            .because("it was made, and is not there")),
    }
}

pub(crate) async fn remove_network(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Removed, Refusal> {
    let Some(network) = own_network(wish, engine).await? else { return Ok(Removed::Done) };
    neighbours::part(engine, wish.request, &network.name).await?;
    let network = own_network(wish, engine).await?.unwrap_or(network);
    // Containers that stand still are on it too, and are not listed with it.
    let mut by: Vec<String> = engine.nodes(&wish.stem()).await?.iter().map(name_of).collect();
    if by.is_empty() {
        by.extend(engine.node_ids(&wish.stem()).await?.iter().map(|id| format!("container {id}")));
    }
    by.extend(network.containers.iter().map(|name| format!("container {name}")));
    by.sort();
    by.dedup();
    if !by.is_empty() {
        return Ok(Removed::Blocked { by });
    }
    engine.remove_network(&network.id).await?;
    Ok(Removed::Done)
}

fn name_of(container: &Container) -> String {
    format!("container {}", container.name())
}

/// The registry beside the cluster.
pub(crate) async fn look_at_registry(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Observation, Refusal> {
    let Some(found) = own_registry(wish, engine).await? else { return Ok(Observation::Absent) };
    let differs = match &wish.config.registry {
        Some(asked) if found.labels().get(DIGEST_LABEL) != Some(&recipe(asked)) => {
            Some("it was made from another image or with other ports".to_owned())
        }
        Some(_) if !found.is_running() => Some("it stands still".to_owned()),
        _ => None,
    };
    Ok(Observation::Present { thing: of_registry(&found, wish), differs })
}

async fn own_registry(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Option<Container>, Refusal> {
    let found = engine.container(&wish.beside(REGISTRY)).await?;
    Ok(found.filter(|found| wish.is_ours(found.labels())))
}

fn of_registry(container: &Container, wish: &Wish<'_>) -> Thing {
    let port = wish.config.registry.as_ref().map(|registry| registry.port);
    let outputs = json!({ "id": container.id, "name": container.name(), "port": port });
    Thing { external_id: container.id.clone(), ownership: Ownership::Owned, outputs }
}

/// All that a registry is made from, in a word.
fn recipe(registry: &Registry) -> String {
    let host = registry.host_port.map(|port| port.to_string()).unwrap_or_default();
    format!("{}|{}|{host}", registry.image, registry.port)
}

pub(crate) async fn make_registry(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Ensured, Failure> {
    let refused = |refusal: Refusal| refusal.failed(deed("make", REGISTRY, wish));
    let Some(asked) = &wish.config.registry else {
        return Err(Failure::new(Code::new("P0216"), Class::Bug, deed("make", REGISTRY, wish))
            .because("nobody asked for one"));
    };
    let name = wish.beside(REGISTRY);
    match engine.container(&name).await.map_err(refused)? {
        Some(found) if !wish.is_ours(found.labels()) => {
            return Err(taken("container", &name, REGISTRY, wish));
        }
        Some(found) if found.labels().get(DIGEST_LABEL) != Some(&recipe(asked)) => {
            // It holds what can be pushed again.
            engine.remove_containers(&[found.id]).await.map_err(refused)?;
        }
        Some(found) if found.is_running() => {
            return Ok(Ensured::Done { thing: of_registry(&found, wish), changed: false });
        }
        Some(found) => {
            engine.start(std::slice::from_ref(&found.id)).await.map_err(refused)?;
            return Ok(Ensured::Done { thing: of_registry(&found, wish), changed: true });
        }
        None => {}
    }
    let mut labels: BTreeMap<String, String> = wish.labels(REGISTRY);
    labels.insert(DIGEST_LABEL.to_owned(), recipe(asked));
    let publish = asked.host_port.map(|port| format!("127.0.0.1:{port}:{}", asked.port));
    engine.run(&name, &wish.network(), &labels, publish, &asked.image).await.map_err(refused)?;
    match own_registry(wish, engine).await.map_err(refused)? {
        Some(found) => Ok(Ensured::Done { thing: of_registry(&found, wish), changed: true }),
        None => Err(Failure::new(Code::new("P1012"), Class::Retryable, deed("make", REGISTRY, wish))
            .because("it was made, and is not there")),
    }
}

/// Removes a container beside a cluster that keeps nothing.
pub(crate) async fn remove(resource: &str, wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Removed, Refusal> {
    match engine.container(&wish.beside(resource)).await? {
        None => Ok(Removed::Done),
        Some(found) if !wish.is_ours(found.labels()) => {
            Ok(Removed::Kept { why: format!("container `{}` is not ours", found.name()) })
        }
        Some(found) => {
            engine.remove_containers(&[found.id]).await?;
            Ok(Removed::Done)
        }
    }
}

pub(crate) fn deed(verb: &str, resource: &str, wish: &Wish<'_>) -> String {
    format!("could not {verb} `{resource}` of cluster `{}` with kind", wish.request.cluster)
}

pub(crate) fn taken(what: &str, name: &str, resource: &str, wish: &Wish<'_>) -> Failure {
    Failure::new(Code::new("P1005"), Class::Config, deed("make", resource, wish))
        .because(format!("there is a {what} `{name}` already, and it is not ours"))
        .hint("give the platform or the cluster another name, or remove what is in the way")
}
