//! Images, logins, ways of secrets, and versions of Kubernetes.

use super::addons::texts;
use crate::{
    platform::{
        Spec,
        argocd::LocalAdmin,
        guard::{ConnectorKind, CosignMode, Identity, OidcPurpose, SecretBackend},
    },
    source::{Issue, code},
};

/// The newest minor release of Kubernetes 1 that this program knows.
const NEWEST: u32 = 37;
/// How many minor releases behind it upstream still mends.
const MENDED: u32 = 2;

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    registries(spec, &mut issues);
    images(spec, &mut issues);
    logins(spec, &mut issues);
    secrets(spec, &mut issues);
    kubernetes(spec, &mut issues);
    issues
}

fn registries(spec: &Spec, issues: &mut Vec<Issue>) {
    let approved = spec.policies.as_ref().map_or(&[][..], |policies| &policies.approved_registries);
    for (index, registry) in approved.iter().enumerate().filter(|(_, registry)| !registry.ends_with('/')) {
        let message = format!("`{registry}` also approves what only begins like it");
        issues.push(
            Issue::error(code::TRUST, format!("spec.policies.approvedRegistries[{index}]"), message)
                .hint(format!("write `{registry}/`")),
        );
    }
    let Some(chain) = &spec.supply_chain else { return };
    let own = format!("{}/", chain.registry.trim_end_matches('/'));
    if !approved.is_empty() && !approved.iter().any(|approved| own.starts_with(approved.as_str())) {
        let message = format!("the platform's own registry `{}` is not approved", chain.registry);
        issues.push(
            Issue::error(code::TRUST, "spec.supplyChain.registry", message)
                .hint(format!("add `{own}` to `spec.policies.approvedRegistries`")),
        );
    }
    let key_missing =
        |cosign: &crate::platform::guard::Cosign| cosign.mode == CosignMode::Kms && cosign.key_ref.is_none();
    if chain.cosign.as_ref().is_some_and(key_missing) {
        issues.push(
            Issue::error(code::TRUST, "spec.supplyChain.cosign", "signatures with `kms` need a key")
                .hint("write `keyRef:` with the handle of the key, or `mode: keyless`"),
        );
    }
}

/// Whether an image or chart is among those that Bitnami took away in 2025 or no longer mends.
fn taken_away(text: &str) -> bool {
    let image = text.strip_prefix("oci://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let image = ["docker.io/", "registry-1.docker.io/"]
        .iter()
        .find_map(|registry| image.strip_prefix(registry))
        .unwrap_or(image);
    ["bitnami/", "bitnamilegacy/", "bitnamicharts/", "charts.bitnami.com"]
        .iter()
        .any(|start| image.starts_with(start))
}

fn images(spec: &Spec, issues: &mut Vec<Issue>) {
    let mut found = Vec::new();
    for (index, detail) in spec.addons.iter().enumerate().filter_map(|(at, said)| Some((at, said.detail()?)))
    {
        texts(&format!("spec.addons[{index}].values"), &detail.values, &mut found);
        for (overlay, values) in &detail.overlays {
            texts(&format!("spec.addons[{index}].overlays.{}", overlay.as_str()), values, &mut found);
        }
    }
    for (index, app) in spec.apps.iter().enumerate() {
        let path = format!("spec.apps[{index}]");
        texts(&format!("{path}.values"), &app.values, &mut found);
        for (key, layers) in [("envValues", &app.env_values), ("cellValues", &app.cell_values)] {
            for (name, values) in layers {
                texts(&format!("{path}.{key}.{name}"), values, &mut found);
            }
        }
    }
    for (index, tenant) in spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants).enumerate() {
        for (at, subscription) in tenant.subscriptions.iter().enumerate() {
            let path = format!("spec.tenancy.tenants[{index}].subscriptions[{at}]");
            texts(&format!("{path}.values"), &subscription.values, &mut found);
            for (name, values) in &subscription.env_values {
                texts(&format!("{path}.envValues.{name}"), values, &mut found);
            }
        }
    }
    for (path, text) in found.into_iter().filter(|(_, text)| taken_away(text)) {
        let message =
            format!("`{text}` is one of Bitnami's: its versions are gone, and what is left is not mended");
        issues.push(
            Issue::error(code::TRUST, path, message)
                .hint("use the project's own image (for PostgreSQL: CloudNativePG), by its digest"),
        );
    }
}

fn logins(spec: &Spec, issues: &mut Vec<Issue>) {
    let shared = spec.tenancy.is_some();
    if shared && spec.argocd.anonymous {
        let message = "anybody sees every tenant's applications without logging in";
        issues.push(
            Issue::error(code::LOGIN, "spec.argocd.anonymous", message).hint("write `anonymous: false`"),
        );
    }
    if shared && !spec.argocd.default_role.is_empty() {
        let message = format!("whoever is in no group is `{}`, in every tenant", spec.argocd.default_role);
        issues.push(
            Issue::error(code::LOGIN, "spec.argocd.defaultRole", message)
                .hint("leave it empty, and give roles to groups"),
        );
    }
    let Some(Identity { oidc, dex, .. }) = &spec.identity else { return };
    let people = oidc.as_ref().filter(|oidc| oidc.purpose == OidcPurpose::People);
    if people.is_some_and(|oidc| oidc.require_mfa.is_none()) {
        issues.push(
            Issue::warning(code::LOGIN, "spec.identity.oidc", "people log in with one factor")
                .hint("write `requireMfa: {claim: amr, values: [mfa]}` as the identity provider says it"),
        );
    }
    if people.is_some() && spec.argocd.local_admin == LocalAdmin::Enabled {
        let message = "the local admin stays a way around the identity provider";
        issues.push(
            Issue::warning(code::LOGIN, "spec.argocd.localAdmin", message).hint(
                "write `disabledAfterSso`; `identity.breakGlass` is the way in when the provider is gone",
            ),
        );
    }
    for (index, connector) in dex.iter().flat_map(|dex| &dex.connectors).enumerate() {
        if connector.kind == ConnectorKind::Ldap && connector.host.is_none() {
            let message = format!("the directory `{}` is nowhere", connector.name);
            issues.push(
                Issue::error(code::LOGIN, format!("spec.identity.dex.connectors[{index}]"), message)
                    .hint("write `host: HOST:636`"),
            );
        }
    }
}

fn secrets(spec: &Spec, issues: &mut Vec<Issue>) {
    let Some(secrets) = &spec.secrets else { return };
    let in_git = matches!(secrets.backend, SecretBackend::Sops | SecretBackend::Sealed);
    let mut refuse = |key: &str, message: &str, hint: &str| {
        issues.push(Issue::error(code::SECRET_WAY, format!("spec.secrets.{key}"), message).hint(hint));
    };
    match (secrets.backend, &secrets.sops) {
        (SecretBackend::Sops, None) => {
            refuse(
                "backend",
                "nothing says how SOPS encrypts",
                "write `sops: {kind: age, keyRef: file:PATH}`",
            );
        }
        (backend, Some(_)) if backend != SecretBackend::Sops => {
            refuse(
                "sops",
                "secrets do not live in SOPS files here",
                "write `backend: sops`, or leave this out",
            );
        }
        _ => (),
    }
    if in_git && secrets.operator.is_some() {
        refuse(
            "operator",
            "these secrets are in Git already",
            "leave the operator out, or choose another backend",
        );
    }
    if secrets.refresh.is_some() && secrets.operator.is_none() {
        refuse("refresh", "nobody looks again", "write `operator: external-secrets`, or leave this out");
    }
}

/// The minor of `1.36` or `1.36.2`.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

fn kubernetes(spec: &Spec, issues: &mut Vec<Issue>) {
    let own = &spec.kubernetes;
    let skew = own.skew.as_deref().and_then(|skew| skew.strip_prefix("N-")?.parse().ok());
    let of_clusters = spec.clusters.iter().enumerate().filter_map(|(index, cluster)| {
        let version = cluster.kubernetes.as_ref()?.version.as_deref()?;
        Some((format!("spec.clusters[{index}].kubernetes.version"), version))
    });
    let of_all = own.version.as_deref().map(|version| ("spec.kubernetes.version".to_owned(), version));
    let oldest = own.min_version.as_deref().and_then(minor);
    for (path, version) in of_all.into_iter().chain(of_clusters) {
        let Some(minor) = minor(version) else { continue };
        let mut say = |severe: bool, message: String, hint: String| {
            let new = if severe { Issue::error } else { Issue::warning };
            issues.push(new(code::KUBERNETES, path.clone(), message).hint(hint));
        };
        if let Some(oldest) = oldest.filter(|oldest| minor < *oldest) {
            say(
                true,
                format!("Kubernetes {version} is older than `kubernetes.minVersion`"),
                format!("write 1.{oldest} or newer"),
            );
        }
        if minor > NEWEST {
            say(
                false,
                format!("Kubernetes {version} is newer than this program knows"),
                format!("known: up to 1.{NEWEST}"),
            );
        }
        let behind = NEWEST.saturating_sub(minor);
        if behind > skew.unwrap_or(MENDED) {
            say(
                skew.is_some(),
                format!("Kubernetes {version} is {behind} minor releases behind 1.{NEWEST}"),
                match skew {
                    Some(skew) => format!(
                        "`kubernetes.skew` allows N-{skew}: write 1.{} or newer",
                        NEWEST.saturating_sub(skew)
                    ),
                    None => format!("upstream mends 1.{} to 1.{NEWEST}", NEWEST - MENDED),
                },
            );
        }
    }
}
