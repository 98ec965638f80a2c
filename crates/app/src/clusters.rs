//! Clusters, for people who want to look into them.

use platform_flows::wish::reach;
use platform_spec::{Class, Code, Failure};
use secrecy::SecretString;

use crate::{App, doors, specs::Wanted};

/// The name and the kubeconfig of the one cluster that was chosen.
///
/// # Errors
/// `P0911` when several fit; what the provider refuses.
pub async fn kubeconfig(app: &App, wanted: &Wanted) -> Result<(String, SecretString), Failure> {
    let chosen = |name: &String| wanted.only.as_ref().is_none_or(|only| only.contains(name));
    let fits: Vec<_> = wanted.model.clusters.iter().filter(|cluster| chosen(&cluster.name)).collect();
    let [cluster] = fits.as_slice() else {
        let names: Vec<&str> = fits.iter().map(|cluster| cluster.name.as_str()).collect();
        return Err(Failure::new(Code::new("P0911"), Class::Config, "which cluster is meant is not clear")
            .hint(format!("name one with --cluster: {}", names.join(", "))));
    };
    let doors = doors::open(app).await?;
    let reach = reach(&wanted.model, cluster);
    let access = doors.provider(&reach.provider)?.access(&reach.request).await?;
    Ok((cluster.name.clone(), access.kubeconfig().await?))
}
