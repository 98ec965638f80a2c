//! The matrix of add-ons: each by its wave, with its settings on each cluster that gets it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cluster, build::words, merge};
use crate::{
    catalogue,
    platform::{
        Spec, Values,
        argocd::{Addon as Said, AddonDetail},
        cluster::Overlay,
        tenancy::PodSecurity,
    },
};

/// An add-on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Addon {
    /// Its name.
    pub name: String,
    /// Its sync wave.
    pub wave: i32,
    /// Its version: the spec's, else the catalogue's.
    pub version: Option<String>,
    /// The repository whose release tags the versions are, when the catalogue knows it.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether it brings resource definitions.
    #[serde(default)]
    pub crds: bool,
    /// The Pod Security Standard that its namespace needs, when the catalogue knows it.
    #[serde(default)]
    pub pod_security: Option<PodSecurity>,
    /// The class of objectives that what it keeps is in, when the catalogue knows it.
    #[serde(default)]
    pub class: Option<String>,
    /// Which controller implements it, when the spec says.
    pub controller: Option<String>,
    /// Policy bundles, parts and dashboards, when the spec lists them.
    pub parts: BTreeMap<String, Vec<String>>,
    /// Where it goes.
    pub clusters: Vec<AddonOnCluster>,
}

/// An add-on on one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddonOnCluster {
    /// The cluster.
    pub cluster: String,
    /// The cluster's overlay.
    pub overlay: Overlay,
    /// The catalogue's settings for the overlay, under the spec's values, under the spec's settings for the overlay.
    pub values: Values,
}

pub(super) fn addons(spec: &Spec, clusters: &[Cluster]) -> Vec<Addon> {
    let mut out: Vec<Addon> = spec.addons.iter().map(|said| addon(said, clusters)).collect();
    out.sort_by(|a, b| (a.wave, &a.name).cmp(&(b.wave, &b.name)));
    out
}

fn addon(said: &Said, clusters: &[Cluster]) -> Addon {
    let known = catalogue::entry(said.name());
    let detail = said.detail();
    let version = detail.and_then(|detail| detail.version.clone());
    let on = clusters.iter().filter_map(|cluster| {
        let values = settings(said, cluster.overlay)?;
        Some(AddonOnCluster { cluster: cluster.name.clone(), overlay: cluster.overlay, values })
    });
    Addon {
        name: said.name().to_owned(),
        wave: wave(said),
        version: version.or_else(|| known?.version.map(str::to_owned)),
        source: known.and_then(|known| known.source).map(str::to_owned),
        crds: known.is_some_and(|known| known.crds),
        pod_security: known.map(|known| known.pod_security),
        class: known.map(|known| known.class.to_owned()),
        controller: detail.and_then(|detail| detail.controller.as_ref()).map(ToString::to_string),
        parts: detail.map(parts).unwrap_or_default(),
        clusters: on.collect(),
    }
}

/// The wave that is written, else the usual one.
pub(crate) fn wave(said: &Said) -> i32 {
    let usual = || catalogue::entry(said.name()).map_or(catalogue::USUAL_WAVE, |known| known.wave);
    said.detail().and_then(|detail| detail.wave).unwrap_or_else(usual)
}

/// An add-on's settings on one overlay; nothing where it is left out.
pub(crate) fn settings(said: &Said, overlay: Overlay) -> Option<Values> {
    let mut values = catalogue::entry(said.name()).map(|known| known.settings(overlay)).unwrap_or_default();
    if let Some(detail) = said.detail() {
        if !detail.only.is_empty() && !detail.only.contains(&overlay) {
            return None;
        }
        merge(&mut values, &detail.values);
        if let Some(own) = detail.overlays.get(&overlay) {
            merge(&mut values, own);
        }
    }
    // A word of ours and none of the chart's.
    (values.shift_remove("enabled") != Some(Value::Bool(false))).then_some(values)
}

fn parts(detail: &AddonDetail) -> BTreeMap<String, Vec<String>> {
    [("bundles", &detail.bundles), ("stack", &detail.stack), ("dashboards", &detail.dashboards)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(part, names)| (part.to_owned(), words(names)))
        .collect()
}
