//! The rules, one file each. Their ids are those of the requirements that they come from.
//!
//! A rule that cannot be sure says nothing: what it would have to guess, such as a value that a template fills in, it lets pass.

mod audit;
mod base;
mod charts;
mod classes;
mod credentials;
mod dashboards;
mod drills;
mod images;
mod layers;
mod manual;
mod network;
mod portable;
mod privileged;

use platform_spec::Code;

use super::{Found, sheet::Sheet};
use crate::Tree;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its id.
    pub id: &'static str,
    /// Its code, which has a page.
    pub code: Code,
    /// What it asks for, in one sentence.
    pub asks: &'static str,
    /// What to do where it is broken.
    pub hint: &'static str,
    /// Whether it asks for something that happens in time, and that a tree alone cannot have before it is published.
    pub asks_operation: bool,
    pub(super) make: fn() -> Box<dyn Check>,
}

/// How a rule looks at a tree.
pub(super) trait Check {
    /// Looks at a file.
    fn sheet(&mut self, sheet: &Sheet<'_>, found: &mut Found<'_>);

    /// Says what only the whole tree can tell.
    fn end(&mut self, _tree: &Tree, _found: &mut Found<'_>) {}
}

/// A rule that needs nothing but one file at a time.
struct Each(fn(&Sheet<'_>, &mut Found<'_>));

impl Check for Each {
    fn sheet(&mut self, sheet: &Sheet<'_>, found: &mut Found<'_>) {
        self.0(sheet, found);
    }
}

/// The id of the rule about literal credentials.
pub(crate) const CREDENTIALS: &str = "X-08";

/// Every rule, in the order of their ids.
pub static RULES: &[Rule] = &[
    Rule {
        id: "G-10",
        code: Code::new("P0320"),
        asks: "Terraform makes clusters, not what runs in them; charts of applications bring no StorageClass and no ClusterIssuer.",
        hint: "move it to the layer it belongs to: workloads into Git for Argo CD, classes and issuers to the cluster's add-ons",
        asks_operation: false,
        make: || Box::new(Each(layers::look)),
    },
    Rule {
        id: "G-11",
        code: Code::new("P0321"),
        asks: "A base bears no annotation or label of one provider; those are for overlays.",
        hint: "move it into a patch of the overlay of that provider",
        asks_operation: false,
        make: || Box::new(Each(base::look)),
    },
    Rule {
        id: "G-12",
        code: Code::new("P0322"),
        asks: "Storage classes, ingress classes and cluster issuers have the same names on every overlay: those of the base.",
        hint: "keep the name of the base, and change only what is behind it",
        asks_operation: false,
        make: || Box::<classes::Classes>::default(),
    },
    Rule {
        id: "G-13",
        code: Code::new("P0323"),
        asks: "Nobody changes clusters by hand: pipelines change Git, and manifests are not copies of live objects.",
        hint: "let the pipeline commit, and Argo CD apply; take out what only a live object has",
        asks_operation: false,
        make: || Box::new(Each(manual::look)),
    },
    Rule {
        id: "G-14",
        code: Code::new("P0324"),
        asks: "Every image has a tag other than `latest`, or a digest.",
        hint: "name one version, better still its digest",
        asks_operation: false,
        make: || Box::<images::Images>::default(),
    },
    Rule {
        id: "G-15",
        code: Code::new("P0325"),
        asks: "No pod has rights over its node, but in the namespaces of add-ons that cannot do without.",
        hint: "take the right away; where an add-on truly needs it, give it a namespace of its own and accept it with a reason",
        asks_operation: false,
        make: || Box::new(Each(privileged::look)),
    },
    Rule {
        id: "G-16",
        code: Code::new("P0326"),
        asks: "Every dashboard is in a base: all clusters show the same ones.",
        hint: "move it into the base, so that every overlay has it",
        asks_operation: false,
        make: || Box::<dashboards::Dashboards>::default(),
    },
    Rule {
        id: "G-17",
        code: Code::new("P0327"),
        asks: "Where backups are scheduled, a restore is tried at least every 92 days.",
        hint: "schedule a restore drill: a CronJob, a pipeline or `backup.drills` in platform.yaml, named for what it is",
        asks_operation: true,
        make: || Box::<drills::Drills>::default(),
    },
    Rule {
        id: "G-18",
        code: Code::new("P0328"),
        asks: "Every chart is named by one exact version.",
        hint: "write MAJOR.MINOR.PATCH, or keep the Chart.lock beside the Chart.yaml",
        asks_operation: false,
        make: || Box::new(Each(charts::look)),
    },
    Rule {
        id: "G-19",
        code: Code::new("P0329"),
        asks: "Applications and their charts bear no annotation of one cloud, such as `service.beta.kubernetes.io/*`.",
        hint: "take it out of the application; an overlay of the cluster or the ingress add-on is its place",
        asks_operation: false,
        make: || Box::new(Each(portable::look)),
    },
    Rule {
        id: "G-22",
        code: Code::new("P0332"),
        asks: "A network policy of a tenant opens no way out to every namespace, and lets names be asked by UDP and TCP.",
        hint: "select namespaces by `kubernetes.io/metadata.name`; allow port 53 for both protocols",
        asks_operation: false,
        make: || Box::new(Each(network::look)),
    },
    Rule {
        id: "G-23",
        code: Code::new("P0333"),
        asks: "In an audit policy, no rule writes down bodies of Secrets: one for them at level Metadata stands before.",
        hint: "put `level: Metadata` for `resources: [{group: \"\", resources: [secrets]}]` first",
        asks_operation: false,
        make: || Box::new(Each(audit::look)),
    },
    Rule {
        id: CREDENTIALS,
        code: Code::new("P0606"),
        asks: "No file holds a literal credential.",
        hint: "name a reference instead (env:, file:, vault:, an ExternalSecret), and change the value where it is valid: Git forgets nothing",
        asks_operation: false,
        make: || Box::new(Each(credentials::look)),
    },
];
