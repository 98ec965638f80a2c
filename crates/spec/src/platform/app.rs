//! `apps` and `delivery`: what runs, and how new versions of it arrive.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name, Values,
    value::{Quantity, Template},
};

/// An application (product).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    /// Its name.
    pub name: Name,
    /// Where its manifests are.
    pub source: Source,
    /// Values everywhere.
    #[serde(default)]
    pub values: Values,
    /// Values by environment.
    #[serde(default)]
    pub env_values: BTreeMap<Name, Values>,
    /// Values by cell.
    #[serde(default)]
    pub cell_values: BTreeMap<Name, Values>,
    /// What values must satisfy.
    #[serde(default)]
    pub schema: Values,
    /// Its host; also knows `{domain}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Template>,
    /// The port it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Path that says it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^/"))]
    pub health: Option<String>,
    /// Path that says it can take traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^/"))]
    pub ready: Option<String>,
    /// How it grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// What it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful: Option<Stateful>,
    /// How new versions arrive: a name in `delivery.strategies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Name>,
}

/// Where an application's manifests are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// A name in `git.repositories`; the platform's own repository is one of them.
    pub repo: Name,
    /// Directory in it; a template. For Kustomize the directory of the overlay.
    #[schemars(extend("format" = "relative-path"))]
    pub path: Template,
    /// How it becomes manifests.
    #[serde(rename = "type")]
    pub kind: SourceKind,
    /// Version of the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How a source becomes manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A Helm chart.
    Helm,
    /// A Kustomize directory.
    Kustomize,
}

/// How an application grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscaling {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Processor use that is aimed at, in percent of the request.
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: u32,
}

/// What an application keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stateful {
    /// Its class in `backup.objectives`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Name>,
    /// Size of its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// A PostgreSQL that comes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<Store>,
    /// A Redis that comes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Store>,
}

/// A data store that comes with an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// Size of its volume.
    pub size: Quantity,
    /// Its class in `backup.objectives`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Name>,
}

/// How new versions of applications arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// Who does it.
    pub controller: DeliveryController,
    /// Who splits traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_router: Option<TrafficRouter>,
    /// The ways.
    #[serde(default)]
    pub strategies: Vec<Strategy>,
    /// The measurements.
    #[serde(default)]
    pub analysis: Vec<Analysis>,
}

/// Who delivers new versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryController {
    /// Argo Rollouts.
    ArgoRollouts,
    /// Deployments alone.
    None,
}

/// Who splits traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficRouter {
    /// The one that is used.
    pub kind: RouterKind,
    /// The one that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<RouterKind>,
}

/// Kind of traffic router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouterKind {
    /// ingress-nginx.
    Nginx,
    /// Gateway API.
    GatewayApi,
    /// Istio.
    Istio,
}

/// A way in which a new version arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    /// Its name.
    pub name: Name,
    /// Kind of way.
    #[serde(rename = "type")]
    pub kind: StrategyKind,
    /// How many more pods there may be meanwhile: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Share>,
    /// How many pods may be missing meanwhile: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Share>,
    /// Steps of a canary.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// A request header that leads to the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_route: Option<HeaderRoute>,
    /// What happens after an abort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
    /// Whether blue becomes green by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_promotion: Option<bool>,
    /// Measurement before traffic moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis: Option<Name>,
    /// Measurement after traffic moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis: Option<Name>,
    /// How long the old pods stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_delay: Option<Duration>,
    /// Why a canary is not measured; without it, it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
}

/// Kind of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StrategyKind {
    /// A little traffic first.
    Canary,
    /// All traffic at once, with the old one kept beside.
    BlueGreen,
    /// Pod by pod.
    Rolling,
}

/// A number of pods, or a percentage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Share {
    /// A number of pods.
    Count(u32),
    /// A percentage, `25%`.
    Percent(Percent),
}

/// A percentage, `25%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("pattern" = "^[0-9]{1,3}%$"))]
pub struct Percent(String);

/// A step of a canary: exactly one of the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Share of traffic in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<u32>,
    /// Wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Duration>,
    /// Measure: a name in `delivery.analysis`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Name>,
}

/// A request header that leads to the canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderRoute {
    /// The header.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What happens after an abort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Abort {
    /// How long the refused pods stay.
    pub scale_down_delay: Duration,
}

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Analysis {
    /// Its name.
    pub name: Name,
    /// Who measures.
    pub provider: MetricProvider,
    /// How often.
    pub interval: Duration,
    /// How many times.
    pub count: u32,
    /// How many of them may fail.
    #[serde(default)]
    pub failure_limit: u32,
    /// When one is good.
    pub success_condition: String,
    /// What is measured.
    pub metric: String,
    /// What no data mean.
    #[serde(default)]
    pub no_data: NoData,
}

/// Who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricProvider {
    /// Prometheus.
    Prometheus,
}

/// What no data mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoData {
    /// Neither good nor bad: hold.
    #[default]
    Inconclusive,
    /// Bad.
    Failed,
}
