//! The add-ons that this release knows: what must be known about one before it is installed. Data, and nothing else.
//!
//! Versions are upstream's newest releases of November 2026, by release tag of [`Entry::source`]. Where none is written, none
//! is settled yet: the blueprint that installs the add-on settles it. Nothing that upstream has retired stands here.

use serde_json::Value;

use crate::platform::{Values, cluster::Overlay, tenancy::PodSecurity};

/// What is known about an add-on.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in `spec.addons`.
    pub name: &'static str,
    /// Its sync wave.
    pub wave: i32,
    /// The version that is installed when the spec names none.
    pub version: Option<&'static str>,
    /// The oldest version that may be asked for.
    pub oldest: Option<&'static str>,
    /// The repository whose release tags the versions are.
    pub source: Option<&'static str>,
    /// Whether it brings resource definitions, which must be there before what uses them.
    pub crds: bool,
    /// The Pod Security Standard that its namespace needs.
    pub pod_security: PodSecurity,
    /// The class of `backup.objectives` that what it keeps is in: `stateless`, `config` or `volume`.
    pub class: &'static str,
    /// Add-ons that stand before it does, where they are there.
    pub after: &'static [&'static str],
    /// Settings by overlay.
    pub overlays: &'static [(Overlay, &'static [(&'static str, Setting)])],
}

/// A setting of an add-on.
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    /// A word.
    Text(&'static str),
    /// Yes or no.
    Flag(bool),
}

use Setting::{Flag, Text};

/// What most add-ons are like: an operator without data, hardened.
const PLAIN: Entry = Entry {
    name: "",
    wave: 10,
    version: None,
    oldest: None,
    source: None,
    crds: false,
    pod_security: PodSecurity::Restricted,
    class: "stateless",
    after: &[],
    overlays: &[],
};

/// What provides volumes, and so stands before whatever keeps data.
const VOLUMES: &[&str] = &["storage", "longhorn"];

/// Every add-on, by name.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "argo-rollouts",
        version: Some("1.10.2"),
        source: Some("https://github.com/argoproj/argo-rollouts"),
        crds: true,
        ..PLAIN
    },
    Entry { name: "backup-dr", pod_security: PodSecurity::Privileged, ..VELERO },
    Entry { name: "capsule", crds: true, class: "config", ..PLAIN },
    Entry {
        name: "cert-manager",
        version: Some("1.21.2"),
        source: Some("https://github.com/cert-manager/cert-manager"),
        crds: true,
        class: "config",
        // A machine of one's own has no name that a public authority could look up.
        overlays: &[(Overlay::Kind, &[("issuer", Text("self-signed"))])],
        ..PLAIN
    },
    Entry { name: "dex", crds: true, after: &["external-secrets"], wave: 20, ..PLAIN },
    Entry {
        name: "external-dns",
        wave: 20,
        version: Some("0.23.0"),
        source: Some("https://github.com/kubernetes-sigs/external-dns"),
        after: &["external-secrets"],
        overlays: &[
            (Overlay::Kind, &[("enabled", Flag(false))]),
            (Overlay::Aks, &[("provider", Text("azure"))]),
            (Overlay::Eks, &[("provider", Text("aws"))]),
            (Overlay::Gke, &[("provider", Text("google"))]),
            (Overlay::Onprem, &[("provider", Text("cloudflare"))]),
        ],
        ..PLAIN
    },
    Entry {
        name: "external-secrets",
        version: Some("1.3.2"),
        // Before 0.17 it serves `external-secrets.io/v1beta1`, which nothing here speaks.
        oldest: Some("0.17.0"),
        source: Some("https://github.com/external-secrets/external-secrets"),
        crds: true,
        class: "config",
        overlays: &[
            (Overlay::Kind, &[("store", Text("kubernetes"))]),
            (Overlay::Aks, &[("store", Text("azurekv"))]),
            (Overlay::Eks, &[("store", Text("aws"))]),
            (Overlay::Gke, &[("store", Text("gcpsm"))]),
            (Overlay::Onprem, &[("store", Text("vault"))]),
        ],
        ..PLAIN
    },
    // It reads the kernel's events, which needs more than a hardened pod may have.
    Entry { name: "falco", pod_security: PodSecurity::Privileged, ..PLAIN },
    Entry {
        name: "gatekeeper",
        version: Some("3.23.1"),
        source: Some("https://github.com/open-policy-agent/gatekeeper"),
        crds: true,
        class: "config",
        ..PLAIN
    },
    Entry { name: "grafana", wave: 30, after: VOLUMES, class: "config", ..PLAIN },
    Entry {
        name: "ingress",
        wave: 20,
        after: &["cert-manager", "metallb"],
        overlays: &[(Overlay::Kind, &[("hostPort", Flag(true))])],
        // Its ports on kind are the node's own.
        pod_security: PodSecurity::Privileged,
        ..PLAIN
    },
    Entry { name: "kube-bench", wave: 30, pod_security: PodSecurity::Privileged, ..PLAIN },
    Entry {
        name: "kyverno",
        version: Some("1.19.1"),
        // The first with stable CEL policies; the old kind of policy is gone from 1.20 on.
        oldest: Some("1.17.0"),
        source: Some("https://github.com/kyverno/kyverno"),
        crds: true,
        class: "config",
        ..PLAIN
    },
    Entry {
        name: "loki",
        wave: 30,
        version: Some("3.7.8"),
        source: Some("https://github.com/grafana/loki"),
        after: VOLUMES,
        class: "volume",
        ..PLAIN
    },
    Entry { name: "longhorn", wave: 5, crds: true, pod_security: PodSecurity::Privileged, ..PLAIN },
    Entry {
        name: "metallb",
        wave: 5,
        version: Some("0.16.2"),
        // Before 0.13 its addresses stood in a ConfigMap.
        oldest: Some("0.13.2"),
        source: Some("https://github.com/metallb/metallb"),
        crds: true,
        pod_security: PodSecurity::Privileged,
        class: "config",
        ..PLAIN
    },
    Entry {
        name: "metrics-server",
        wave: 30,
        version: Some("0.9.0"),
        source: Some("https://github.com/kubernetes-sigs/metrics-server"),
        ..PLAIN
    },
    Entry { name: "observability", wave: 30, crds: true, after: VOLUMES, class: "volume", ..PLAIN },
    Entry { name: "prometheus", wave: 30, crds: true, after: VOLUMES, class: "volume", ..PLAIN },
    Entry {
        name: "sealed-secrets",
        version: Some("0.40.0"),
        source: Some("https://github.com/bitnami-labs/sealed-secrets"),
        crds: true,
        ..PLAIN
    },
    Entry { name: "storage", wave: 5, class: "config", ..PLAIN },
    Entry { name: "tempo", wave: 30, after: VOLUMES, class: "volume", ..PLAIN },
    Entry { name: "trivy-operator", wave: 30, crds: true, ..PLAIN },
    VELERO,
];

/// Its node agent reads the volumes of other pods.
const VELERO: Entry = Entry {
    name: "velero",
    wave: 30,
    version: Some("1.18.3"),
    // The first that takes patterns for namespaces.
    oldest: Some("1.18.1"),
    source: Some("https://github.com/vmware-tanzu/velero"),
    crds: true,
    pod_security: PodSecurity::Privileged,
    class: "config",
    after: VOLUMES,
    ..PLAIN
};

/// The sync wave of an add-on that is not in the catalogue: an operator's.
pub const USUAL_WAVE: i32 = PLAIN.wave;

/// What is known about the add-on of that name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// Its settings on one overlay.
    pub fn settings(&self, overlay: Overlay) -> Values {
        let own = self.overlays.iter().filter(|(on, _)| *on == overlay).flat_map(|(_, settings)| *settings);
        own.map(|(key, setting)| ((*key).to_owned(), setting.into())).collect()
    }
}

impl From<&Setting> for Value {
    fn from(setting: &Setting) -> Self {
        match setting {
            Text(text) => Self::from(*text),
            Flag(flag) => Self::from(*flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_in_order_and_leads_nowhere_else() {
        assert!(ENTRIES.windows(2).all(|pair| pair[0].name < pair[1].name), "by name");
        for one in ENTRIES {
            for before in one.after {
                let before = entry(before).unwrap_or_else(|| panic!("{}: no `{before}`", one.name));
                assert!(before.wave < one.wave, "{} comes after {}", one.name, before.name);
            }
            assert!(["stateless", "config", "volume"].contains(&one.class), "{}", one.name);
            assert!(one.version.is_none() || one.source.is_some(), "{}: a version of what?", one.name);
        }
    }

    /// Issue 6: at least these, each with a version where upstream has one for all controllers.
    #[test]
    fn the_add_ons_of_the_matrix_are_pinned() {
        for name in
            ["cert-manager", "external-dns", "external-secrets", "velero", "metrics-server", "argo-rollouts"]
        {
            let entry = entry(name).expect("in the catalogue");
            assert!(entry.version.is_some() && entry.source.is_some(), "{name}");
        }
        assert!(entry("ingress").is_some());
    }
}
