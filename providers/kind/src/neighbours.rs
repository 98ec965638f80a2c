//! Clusters that reach one another. Each has a network of its own, and addresses of this machine lead nowhere from inside; so the
//! container that serves a cluster's API joins the network of the cluster that wants to reach it. Pods find it by its name, which its
//! certificate bears.

use platform_provider::ClusterRequest;

use crate::{
    engine::{Container, Engine},
    refusal::Refusal,
    wish::{KIND_NAME_LABEL, PLATFORM_LABEL, Wish},
};

pub(crate) fn deed(wish: &Wish<'_>, to: &Wish<'_>) -> String {
    format!("could not let cluster `{}` reach cluster `{}`", wish.request.cluster, to.request.cluster)
}

/// The container that serves its API.
fn door(wish: &Wish<'_>) -> String {
    match wish.control_planes {
        1 => format!("{}-control-plane", wish.stem()),
        _ => format!("{}-external-load-balancer", wish.stem()),
    }
}

/// Where pods of its neighbours reach a cluster's API.
pub(crate) fn address(wish: &Wish<'_>) -> String {
    format!("https://{}:6443", door(wish))
}

/// Whether the one reaches the other.
pub(crate) async fn are_joined(engine: &Engine<'_>, wish: &Wish<'_>, to: &Wish<'_>) -> Result<bool, Refusal> {
    Ok(engine.container(&door(to)).await?.is_some_and(|it| it.is_on(&wish.network())))
}

/// Lets the one reach the other.
pub(crate) async fn join(engine: &Engine<'_>, wish: &Wish<'_>, to: &Wish<'_>) -> Result<(), Refusal> {
    match are_joined(engine, wish, to).await? {
        true => Ok(()),
        false => engine.connect(&wish.network(), &door(to)).await,
    }
}

/// Takes neighbours from a network that is about to go: containers of other clusters of the same platform.
pub(crate) async fn part(
    engine: &Engine<'_>,
    request: &ClusterRequest,
    network: &str,
) -> Result<(), Refusal> {
    for neighbour in of(engine, request.platform.as_str(), &request.cluster, network).await? {
        engine.disconnect(network, neighbour.name()).await?;
    }
    Ok(())
}

/// The nodes of other clusters of a platform that are on a network.
pub(crate) async fn of(
    engine: &Engine<'_>,
    platform: &str,
    but: &str,
    network: &str,
) -> Result<Vec<Container>, Refusal> {
    let own = crate::wish::stem(platform, but);
    let marks = engine.volumes(&[format!("{PLATFORM_LABEL}={platform}")]).await?;
    let others =
        marks.iter().filter(|mark| mark.labels.get(KIND_NAME_LABEL) == Some(&mark.name) && mark.name != own);
    let mut found = Vec::new();
    for mark in others {
        let nodes = engine.nodes(&mark.name).await?;
        found.extend(nodes.into_iter().filter(|node| node.is_on(network)));
    }
    Ok(found)
}
