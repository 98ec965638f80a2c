//! Add-ons: their order, their versions, the contracts they keep, and who needs one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    catalogue, model,
    platform::{
        Spec, Values,
        app::DeliveryController,
        argocd::Addon,
        cluster::{Cluster, LoadBalancerKind, Overlay, StorageDriver},
        guard::{RuntimeGuard, SecretOperator},
        tenancy::TenancyEngine,
    },
    source::{Issue, code},
};

/// Sync waves of add-ons: from resource definitions to data. Applications begin after them.
const WAVES: std::ops::RangeInclusive<i32> = -10..=49;

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    let waves: BTreeMap<&str, i32> =
        spec.addons.iter().map(|addon| (addon.name(), model::addon_wave(addon))).collect();
    for (index, addon) in spec.addons.iter().enumerate() {
        let path = format!("spec.addons[{index}]");
        order(&path, addon, &waves, &mut issues);
        version(&path, addon, &mut issues);
        retired(&path, addon, &mut issues);
        contracts(spec, &path, addon, &mut issues);
        let reached =
            |cluster: &Cluster| model::addon_settings(addon, model::overlay(spec, cluster)).is_some();
        if addon.detail().is_some() && !spec.clusters.is_empty() && !spec.clusters.iter().any(reached) {
            let message = format!("no cluster gets the add-on `{}`", addon.name());
            let hint = "its `only` and `overlays` leave out every overlay of the clusters";
            issues.push(Issue::warning(code::ADDON, path, message).hint(hint));
        }
    }
    disks(spec, &mut issues);
    issues
}

fn order(path: &str, addon: &Addon, waves: &BTreeMap<&str, i32>, issues: &mut Vec<Issue>) {
    let wave = model::addon_wave(addon);
    let path = format!("{path}.wave");
    if !WAVES.contains(&wave) {
        let message = format!("the add-on `{}` is in the wave {wave}", addon.name());
        let hint = "add-ons are in −10 to 49; applications begin in 50";
        issues.push(Issue::error(code::ADDON, path.clone(), message).hint(hint));
    }
    for before in catalogue::entry(addon.name()).map(|known| known.after).unwrap_or_default() {
        if let Some(theirs) = waves.get(before).filter(|theirs| **theirs >= wave) {
            let message = format!("`{}` (wave {wave}) stands on `{before}` (wave {theirs})", addon.name());
            issues.push(
                Issue::error(code::ADDON, path.clone(), message)
                    .hint(format!("write a wave after {theirs}, or leave both out: the usual ones fit")),
            );
        }
    }
}

/// `MAJOR.MINOR.PATCH`; a pre-release is less than its release.
fn numbers(version: &str) -> Option<([u64; 3], bool)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let (release, pre) = version.split_once('-').map_or((version, false), |(release, _)| (release, true));
    let parts: Vec<u64> = release.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    Some((parts.try_into().ok()?, !pre))
}

fn version(path: &str, addon: &Addon, issues: &mut Vec<Issue>) {
    let Some(said) = addon.detail().and_then(|detail| detail.version.as_deref()) else { return };
    let path = format!("{path}.version");
    let Some(asked) = numbers(said) else {
        let message = format!("`{said}` is not one version of `{}`", addon.name());
        let hint = "write MAJOR.MINOR.PATCH; a range or `latest` gives another result another day";
        issues.push(Issue::error(code::ADDON, path, message).hint(hint));
        return;
    };
    let oldest = catalogue::entry(addon.name()).and_then(|known| known.oldest);
    if let Some(oldest) = oldest.filter(|oldest| numbers(oldest).is_some_and(|oldest| asked < oldest)) {
        let message = format!("`{}` {said} is older than what is installed here works with", addon.name());
        issues.push(Issue::error(code::ADDON, path, message).hint(format!("write {oldest} or newer")));
    }
}

fn retired(path: &str, addon: &Addon, issues: &mut Vec<Issue>) {
    let Some(detail) = addon.detail() else { return };
    let gone = detail.controller.as_ref().is_some_and(|controller| controller.as_str() == "ingress-nginx");
    if gone && detail.support_ack_expires.is_none() {
        let message = "ingress-nginx was retired in March 2026 and gets no security fixes any more";
        issues.push(Issue::error(code::LIMIT, format!("{path}.controller"), message).hint(
            "choose another controller, or write `supportAckExpires: YEAR-MONTH-DAY` to accept it until then",
        ));
    }
}

/// Names that applications rely on are said once, in `contracts`, and not by an add-on of one overlay.
fn contracts(spec: &Spec, path: &str, addon: &Addon, issues: &mut Vec<Issue>) {
    let Some(detail) = addon.detail() else { return };
    let own = &spec.contracts;
    let one_of = |key: &str| match key {
        "ingressClass" | "ingressClassName" => Some(("ingressClass", vec![own.ingress_class.as_str()])),
        "storageClass" | "storageClassName" => Some(("storageClass", vec![own.storage_class.as_str()])),
        "clusterIssuer" => {
            Some(("clusterIssuers", own.cluster_issuers.iter().map(|name| name.as_str()).collect()))
        }
        "pullSecret" => Some(("pullSecret", own.pull_secret.iter().map(|name| name.as_str()).collect())),
        _ => None,
    };
    let overlay = |overlay: &Overlay| format!("{path}.overlays.{}", overlay.as_str());
    let everywhere = std::iter::once((format!("{path}.values"), &detail.values));
    let layers = everywhere.chain(detail.overlays.iter().map(|(on, values)| (overlay(on), values)));
    for (path, values) in layers {
        let said = |(key, value): (&String, &Value)| {
            let (contract, names) = one_of(key)?;
            let name = value.as_str()?;
            (!names.contains(&name)).then(|| (format!("{path}.{key}"), contract, name.to_owned()))
        };
        for (path, contract, name) in values.iter().filter_map(said) {
            let message = format!("`{name}` is not what `contracts.{contract}` promises on every cluster");
            issues.push(
                Issue::error(code::CONTRACT, path, message)
                    .hint(format!("write it in `spec.contracts.{contract}`, and leave it out here")),
            );
        }
    }
}

/// The disks of a cloud are only where its overlay is.
fn disks(spec: &Spec, issues: &mut Vec<Issue>) {
    for (index, cluster) in spec.clusters.iter().enumerate() {
        let overlay = model::overlay(spec, cluster);
        let cloud = cluster.storage.as_ref().is_some_and(|storage| storage.driver == StorageDriver::Cloud);
        if cloud && matches!(overlay, Overlay::Kind | Overlay::Onprem) {
            let message =
                format!("no cloud gives `{}` disks: its overlay is `{}`", cluster.name, overlay.as_str());
            issues.push(
                Issue::error(code::PLACE, format!("spec.clusters[{index}].storage.driver"), message)
                    .hint("write `longhorn` or `local-path`, or the `overlay` of the cloud that it is in"),
            );
        }
    }
}

/// What is asked for elsewhere and only an add-on can do.
pub(super) fn needed(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut need = |name: &str, on: Option<&Cluster>, path: String, what: String| {
        let there = |addon: &Addon| {
            addon.name() == name
                && on.is_none_or(|on| model::addon_settings(addon, model::overlay(spec, on)).is_some())
        };
        if !spec.addons.iter().any(there) {
            let message = match on {
                Some(on) => format!("{what} needs the add-on `{name}` on `{}`", on.name),
                None => format!("{what} needs the add-on `{name}`"),
            };
            let hint = format!("add `{name}` to `spec.addons`, and see to it that its overlays let it in");
            issues.push(Issue::error(code::NEEDS_ADDON, path, message).hint(hint));
        }
    };
    for (index, cluster) in spec.clusters.iter().enumerate() {
        let path = format!("spec.clusters[{index}]");
        if cluster.storage.as_ref().is_some_and(|storage| storage.driver == StorageDriver::Longhorn) {
            need("longhorn", Some(cluster), format!("{path}.storage.driver"), "the driver `longhorn`".into());
        }
        let balancer = cluster.load_balancer.as_ref();
        if balancer.is_some_and(|balancer| balancer.kind == LoadBalancerKind::Metallb) {
            let path = format!("{path}.loadBalancer.kind");
            need("metallb", Some(cluster), path, "a load balancer of the kind `metallb`".into());
        }
    }
    let delivery = spec.delivery.as_ref().map(|delivery| delivery.controller);
    let secrets = spec.secrets.as_ref().and_then(|secrets| secrets.operator);
    let guard = spec.policies.as_ref().and_then(|policies| policies.runtime);
    let tenancy = spec.tenancy.as_ref().map(|tenancy| tenancy.engine);
    let wishes = [
        ("argo-rollouts", "delivery.controller", delivery == Some(DeliveryController::ArgoRollouts)),
        ("external-secrets", "secrets.operator", secrets == Some(SecretOperator::ExternalSecrets)),
        ("falco", "policies.runtime", guard == Some(RuntimeGuard::Falco)),
        ("capsule", "tenancy.engine", tenancy == Some(TenancyEngine::Capsule)),
        ("dex", "identity.dex", spec.identity.as_ref().is_some_and(|identity| identity.dex.is_some())),
    ];
    for (name, path, _) in wishes.into_iter().filter(|(_, _, wished)| *wished) {
        need(name, None, format!("spec.{path}"), format!("`{path}`"));
    }
    issues
}

/// Every text in a map of values, with its path.
pub(super) fn texts<'a>(path: &str, values: &'a Values, out: &mut Vec<(String, &'a str)>) {
    for (key, value) in values {
        within(format!("{path}.{key}"), value, out);
    }
}

fn within<'a>(path: String, value: &'a Value, out: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => out.push((path, text)),
        Value::Object(map) => texts(&path, map, out),
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                within(format!("{path}[{at}]"), value, out);
            }
        }
        _ => (),
    }
}
