//! The derived model as tables: what the steps below them are about.

use std::{collections::BTreeMap, fmt::Write};

use platform_spec::{
    Model,
    model::{
        Addon, Application, Cell, Cluster, DnsRecord, Host, Namespace, Objective, Project, Tenant, Wave,
    },
};
use serde::Serialize;

use crate::table;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// A table for each part of the model that has something in it, with empty lines between.
pub fn of(model: &Model) -> String {
    let mut text = String::new();
    let mut put = |heading: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            writeln!(text, "{}", table::render(heading, &rows)).expect("a string takes everything");
        }
    };
    put(
        &["CLUSTER", "PROVIDER", "REGION", "OVERLAY", "KUBERNETES", "ARGO CD ON", "VOLUMES BY", "CELLS"],
        model.clusters.iter().map(|it| cluster(model, it)).collect(),
    );
    put(
        &["CELL", "CLUSTER", "ENVIRONMENT", "DOMAIN", "DIRECTORY", "ONLY FOR"],
        model.cells.iter().map(cell).collect(),
    );
    put(
        &["TENANT", "KEPT APART BY", "TIER", "RESIDENCY", "CELLS"],
        model.tenants.iter().map(tenant).collect(),
    );
    put(
        &["APPLICATION", "CELL", "NAMESPACE", "PROJECT", "WAVE", "SYNC", "HOST"],
        model.applications.iter().map(application).collect(),
    );
    put(
        &["NAMESPACE", "CLUSTER", "TENANTS", "POD SECURITY", "QUOTA"],
        model.namespaces.iter().map(namespace).collect(),
    );
    put(&["PROJECT", "ARGO CD ON", "DESTINATIONS", "GROUPS"], model.projects.iter().map(project).collect());
    put(&["HOST", "ZONE", "ANSWERS", "CELLS"], model.hosts.iter().map(host).collect());
    put(&["RECORD", "TYPE", "ADDRESSES", "TTL", "CELLS"], model.dns_records.iter().map(record).collect());
    put(
        &["ADD-ON", "WAVE", "VERSION", "DEFINITIONS", "POD SECURITY", "KEEPS", "CLUSTERS BY OVERLAY"],
        model.addons.iter().map(addon).collect(),
    );
    put(
        &["ROLLOUT", "CELLS", "APPLICATIONS", "SOAK", "GATES", "SYNC"],
        model.waves.iter().map(wave).collect(),
    );
    let objectives = model.backup.iter().flat_map(|backup| &backup.objectives);
    put(
        &["OBJECTIVE", "BACK WITHIN", "MAY LOSE", "LOSES AT MOST", "SAVED BY", "CAN BE MET"],
        objectives.map(objective).collect(),
    );
    text
}

fn or_nothing(text: Option<impl Into<String>>) -> String {
    text.map(Into::into).filter(|text| !text.is_empty()).unwrap_or_else(|| NOTHING.to_owned())
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    or_nothing(Some(names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")))
}

/// The word that the spec uses.
fn word(value: impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    or_nothing(word.as_ref().and_then(serde_json::Value::as_str))
}

fn cluster(model: &Model, it: &Cluster) -> Vec<String> {
    let volumes = model.storage_classes.iter().find(|class| class.cluster == it.name);
    vec![
        it.name.clone(),
        it.provider.kind.clone(),
        or_nothing(it.region.as_deref()),
        it.overlay.as_str().to_owned(),
        or_nothing(it.kubernetes_version.as_deref()),
        it.argocd.clone(),
        or_nothing(volumes.map(|class| class.provisioner.as_str())),
        list(&it.cells),
    ]
}

fn cell(it: &Cell) -> Vec<String> {
    vec![
        it.name.clone(),
        it.cluster.clone(),
        it.environment.clone(),
        or_nothing(it.domain.as_deref()),
        it.dir.clone(),
        or_nothing(it.dedicated_to.as_deref()),
    ]
}

fn tenant(it: &Tenant) -> Vec<String> {
    vec![
        it.name.clone(),
        word(it.isolation),
        or_nothing(it.tier.as_deref()),
        list(&it.residency),
        list(&it.cells),
    ]
}

fn application(it: &Application) -> Vec<String> {
    vec![
        it.name.clone(),
        it.cell.clone(),
        it.namespace.clone(),
        it.project.clone(),
        it.wave.to_string(),
        if it.auto_sync { "by itself" } else { "by a person" }.to_owned(),
        or_nothing(it.host.as_deref()),
    ]
}

fn namespace(it: &Namespace) -> Vec<String> {
    // The rest of a quota is in the JSON; a row must fit on a screen.
    let shown = [("requests.cpu", "cpu"), ("requests.memory", "memory"), ("pods", "pods")];
    let quota = shown.iter().filter_map(|(key, word)| Some(format!("{word} {}", it.quota.get(*key)?)));
    let quota: Vec<String> = quota.collect();
    vec![it.name.clone(), it.cluster.clone(), list(&it.tenants), word(it.pod_security), list(&quota)]
}

fn project(it: &Project) -> Vec<String> {
    let to = it.destinations.iter().map(|to| format!("{}/{}", to.cluster, to.namespace));
    let groups = it.groups.iter().map(|(role, groups)| format!("{role} {}", groups.join("+")));
    vec![it.name.clone(), it.argocd.clone(), list(&to.collect::<Vec<_>>()), list(&groups.collect::<Vec<_>>())]
}

fn host(it: &Host) -> Vec<String> {
    let answers = it.policy.map_or_else(|| "its cell".to_owned(), |policy| format!("by {}", word(policy)));
    vec![it.name.clone(), or_nothing(it.zone.as_deref()), answers, list(&it.cells)]
}

fn record(it: &DnsRecord) -> Vec<String> {
    let addresses: Vec<String> = it.addresses.iter().map(ToString::to_string).collect();
    vec![it.name.clone(), it.kind.clone(), list(&addresses), format!("{} s", it.ttl), list(&it.cells)]
}

fn addon(it: &Addon) -> Vec<String> {
    let mut overlays: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for place in &it.clusters {
        overlays.entry(place.overlay.as_str()).or_default().push(&place.cluster);
    }
    let places = overlays.iter().map(|(overlay, clusters)| format!("{overlay}: {}", clusters.join(", ")));
    vec![
        it.name.clone(),
        it.wave.to_string(),
        or_nothing(it.version.as_deref()),
        if it.crds { "yes" } else { NOTHING }.to_owned(),
        it.pod_security.map_or_else(|| NOTHING.to_owned(), word),
        or_nothing(it.class.as_deref()),
        or_nothing(Some(places.collect::<Vec<_>>().join("; "))),
    ]
}

fn wave(it: &Wave) -> Vec<String> {
    let gates: Vec<String> = it.gates.iter().map(word).collect();
    vec![
        it.name.clone(),
        list(&it.cells),
        it.applications.len().to_string(),
        it.soak.to_string(),
        list(&gates),
        word(it.sync),
    ]
}

fn objective(it: &Objective) -> Vec<String> {
    let met = match (&it.waiver, it.feasible) {
        (_, true) => "yes".to_owned(),
        (Some(why), false) => format!("waived: {why}"),
        (None, false) => "no".to_owned(),
    };
    vec![
        it.class.clone(),
        it.rto.to_string(),
        it.rpo.to_string(),
        it.loss.map_or_else(|| "everything".to_owned(), |loss| loss.to_string()),
        or_nothing(it.saved_by.as_deref()),
        met,
    ]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use platform_spec::{derive, parse};

    /// S0-01: who reads a plan sees how each tenant is kept apart, and everything else that was worked out.
    #[test]
    fn a_plan_shows_what_the_spec_means() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/specs");
        for name in ["s0-enterprise", "s4-opsera-mcp"] {
            let text = std::fs::read_to_string(path.join(format!("{name}.yaml"))).expect("a fixture");
            let parsed = parse(name, &text).expect("it is right");
            insta::assert_snapshot!(name, super::of(&derive(&parsed.platform)));
        }
    }
}
