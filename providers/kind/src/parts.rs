//! What stands around a control plane: network, registry, images.

use std::collections::BTreeMap;

use platform_provider::{Ensured, Observation, Ownership, Removed, Thing, progress};
use platform_spec::{Class, Code, Failure};
use serde::Deserialize;
use serde_json::json;

use crate::{
    config::Registry,
    engine::{Container, Engine, Network},
    graph::{NETWORK, REGISTRY},
    programs::Who,
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

pub(crate) async fn remove_registry(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Removed, Refusal> {
    match engine.container(&wish.beside(REGISTRY)).await? {
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

#[derive(Deserialize)]
struct OnNode {
    images: Vec<Image>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    #[serde(default)]
    repo_tags: Vec<String>,
    #[serde(default)]
    repo_digests: Vec<String>,
}

/// Names of images that some node lacks.
async fn lacking(wish: &Wish<'_>, engine: &Engine<'_>, nodes: &[&Container]) -> Result<Vec<String>, Refusal> {
    let mut lacking = Vec::new();
    for node in nodes {
        let answer = engine.exec(node.name(), &["crictl", "images", "--output", "json"]).await?;
        let there: OnNode =
            serde_json::from_str(&answer).map_err(|error| Refusal::unreadable(engine.door, error))?;
        let names: Vec<&String> =
            there.images.iter().flat_map(|image| image.repo_tags.iter().chain(&image.repo_digests)).collect();
        lacking.extend(
            wish.config.images.names.iter().filter(|wanted| !names.contains(&&full(wanted))).cloned(),
        );
    }
    lacking.sort();
    lacking.dedup();
    Ok(lacking)
}

/// An image's name with all that may be left out.
fn full(name: &str) -> String {
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, format!(":{tag}")),
        _ => (name, ":latest".to_owned()),
    };
    let tag = if name.contains('@') { &name[path.len()..] } else { &tag };
    match path.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => format!("{path}{tag}"),
        Some(_) => format!("docker.io/{path}{tag}"),
        None => format!("docker.io/library/{path}{tag}"),
    }
}

/// Images on every node. They live and go with the nodes.
pub(crate) async fn look_at_images(
    wish: &Wish<'_>,
    engine: &Engine<'_>,
    nodes: &[Container],
) -> Result<Observation, Refusal> {
    let machines: Vec<&Container> = nodes.iter().filter(|node| node.is_node() && node.is_running()).collect();
    let Some(first) = machines.iter().find(|node| node.is_control_plane()) else {
        return Ok(Observation::Absent);
    };
    let lacking = lacking(wish, engine, &machines).await?;
    if lacking.len() == wish.config.images.names.len() {
        return Ok(Observation::Absent);
    }
    let thing = Thing {
        external_id: first.id.clone(),
        ownership: Ownership::Owned,
        outputs: json!({ "names": wish.config.images.names }),
    };
    let differs = (!lacking.is_empty()).then(|| format!("a node lacks {}", lacking.join(", ")));
    Ok(Observation::Present { thing, differs })
}

pub(crate) async fn load_images(
    wish: &Wish<'_>,
    engine: &Engine<'_>,
    nodes: &[Container],
) -> Result<Ensured, Failure> {
    let refused = |refusal: Refusal| refusal.failed(deed("load", "images", wish));
    let machines: Vec<&Container> = nodes.iter().filter(|node| node.is_node() && node.is_running()).collect();
    let lacking = lacking(wish, engine, &machines).await.map_err(refused)?;
    if !lacking.is_empty() {
        progress::say(&format!("loading {}", lacking.join(", ")));
        let mut arguments = ["load", "docker-image", "--name", &wish.stem()].map(str::to_owned).to_vec();
        arguments.extend(lacking.iter().cloned());
        // A gigabyte takes half a minute on each node.
        let ended = engine.door.run_within(Who::Kind, &arguments, std::time::Duration::from_secs(290)).await;
        let ended = ended.map_err(|no_answer| refused(Refusal::silent(engine.door, Who::Kind, no_answer)))?;
        if ended.code != Some(0) {
            return Err(refused(Refusal::of(engine.door, Who::Kind, &ended)));
        }
    }
    match look_at_images(wish, engine, nodes).await.map_err(refused)? {
        Observation::Present { thing, differs: None } => {
            Ok(Ensured::Done { thing, changed: !lacking.is_empty() })
        }
        other => Err(Failure::new(Code::new("P1012"), Class::Retryable, deed("load", "images", wish))
            .because(format!("kind has loaded them, and looking says {other:?}"))),
    }
}

pub(crate) fn deed(verb: &str, resource: &str, wish: &Wish<'_>) -> String {
    format!("could not {verb} `{resource}` of cluster `{}` with kind", wish.request.cluster)
}

fn taken(what: &str, name: &str, resource: &str, wish: &Wish<'_>) -> Failure {
    Failure::new(Code::new("P1005"), Class::Config, deed("make", resource, wish))
        .because(format!("there is a {what} `{name}` already, and it is not ours"))
        .hint("give the platform or the cluster another name, or remove what is in the way")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_whole_names() {
        let cases = [
            ("redis", "docker.io/library/redis:latest"),
            ("redis:8", "docker.io/library/redis:8"),
            ("ada/app:1", "docker.io/ada/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("quay.io/a/b:v1", "quay.io/a/b:v1"),
        ];
        for (name, want) in cases {
            assert_eq!(full(name), want);
        }
    }
}
