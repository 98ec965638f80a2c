//! What keeps a cluster from being used after a reboot, and what helps: containers that stand still are started again. Nodes whose
//! addresses have changed put their own files right as they start; the API stays at its port of this machine.

use jiff::Timestamp;
use platform_provider::{Ailment, Observation, SecretString, progress};
use platform_spec::Failure;

use crate::{
    cluster::ControlPlane,
    engine::Container,
    kubeconfig::Merged,
    refusal::Refusal,
    standing::Standing,
    wish::{CLUSTER_LABEL, PLATFORM_LABEL, Wish},
};

pub(crate) fn deed(wish: &Wish<'_>) -> String {
    format!("could not mend kind cluster `{}`", wish.stem())
}

/// Everything that is wrong with the containers of a cluster that was made.
pub(crate) async fn found(cluster: &ControlPlane<'_>) -> Result<Vec<Ailment>, Refusal> {
    let seen = cluster.seen().await?;
    let stem = cluster.wish.stem();
    let mut found = match seen.standing(Timestamp::now()) {
        Standing::Absent | Standing::Foreign { .. } | Standing::MadeElsewhere | Standing::Runs { .. } => {
            Vec::new()
        }
        Standing::HalfMade => {
            vec![incurable(format!("`{stem}` was begun, and never finished; `platform up` makes it anew"))]
        }
        Standing::Lacking { why } => {
            vec![incurable(format!(
                "{why}; `platform down` removes `{stem}`, `platform up` then makes it anew"
            ))]
        }
        Standing::Stopped { ids } => {
            seen.nodes.iter().filter(|node| ids.contains(&node.id)).map(|node| still(node, true)).collect()
        }
    };
    if seen.ours {
        found.extend(beside(cluster).await?.iter().map(|container| still(container, false)));
    }
    Ok(found)
}

/// What is wrong with the entry in the user's kubeconfig, when the spec asks for one. `said` is how the cluster is reached.
///
/// # Errors
/// When the file cannot be looked at.
pub(crate) fn of_entry(entry: &Merged<'_>, said: &SecretString) -> Result<Option<Ailment>, Failure> {
    let ailment = |what: String, cure: Option<&str>| {
        let what = format!("the entry in your kubeconfig: {what}");
        Ok(Some(Ailment { what, cure: cure.map(str::to_owned), lames: false }))
    };
    if !entry.is_asked_for() {
        return Ok(None);
    }
    // What putting it in would be refused, putting it right would be refused, too.
    if let Some(refusal) = entry.ahead() {
        return ailment(refusal.causes.join(": "), None);
    }
    match entry.look(Some(said))? {
        Observation::Absent => ailment("it is not there".to_owned(), Some("put it in")),
        Observation::Present { differs: Some(how), .. } => ailment(how, Some("put it right")),
        _ => Ok(None),
    }
}

/// Starts what stands still of a cluster that is whole.
pub(crate) async fn start(cluster: &ControlPlane<'_>) -> Result<(), Refusal> {
    // What stands beside it serves it while it starts.
    let mut ids: Vec<String> = beside(cluster).await?.into_iter().map(|container| container.id).collect();
    if let Standing::Stopped { ids: nodes } = cluster.seen().await?.standing(Timestamp::now()) {
        ids.extend(nodes);
    }
    if ids.is_empty() {
        return Ok(());
    }
    progress::say(&format!("starting {} containers of `{}`", ids.len(), cluster.wish.stem()));
    cluster.engine.start(&ids).await
}

/// Containers of ours beside the nodes that do not run.
async fn beside(cluster: &ControlPlane<'_>) -> Result<Vec<Container>, Refusal> {
    let request = cluster.wish.request;
    let search = [
        format!("{PLATFORM_LABEL}={}", request.platform.as_str()),
        format!("{CLUSTER_LABEL}={}", request.cluster),
    ];
    let all = cluster.engine.containers(&search).await?;
    // One that was never started was never finished either: that is for `up`.
    Ok(all.into_iter().filter(|it| !it.is_running() && !it.was_never_started()).collect())
}

fn still(container: &Container, lames: bool) -> Ailment {
    let what = format!("container `{}` stands still", container.name());
    Ailment { what, cure: Some("start it".to_owned()), lames }
}

fn incurable(what: String) -> Ailment {
    Ailment { what, cure: None, lames: true }
}
