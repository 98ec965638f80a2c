//! The entries of a night, and how many of them fit into this machine's memory.

use std::{collections::BTreeSet, path::PathBuf};

use platform_spec::{Class, Code, Failure, Platform};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Nightly;
use crate::{
    App, Refusal, doors,
    specs::{self, Chosen, Wanted},
};

/// What is to be done.
pub(super) struct Planned {
    pub specs: Vec<Spec>,
}

/// One spec, with an entry for each version.
pub(super) struct Spec {
    pub wanted: Wanted,
    pub chosen: Chosen,
    pub entries: Vec<Entry>,
    /// Kinds of its providers that sweep.
    pub sweepable: Vec<String>,
    /// How much memory one entry takes on this machine, in MiB.
    pub needs_mib: u64,
}

/// One spec with one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `demo@1.36`, or the platform's name alone.
    pub name: String,
    /// The spec file, as it was named.
    pub spec: String,
    /// The Kubernetes version, when one was asked for.
    pub version: Option<String>,
    /// The name of the platform that is made: nobody else's.
    pub platform: String,
}

/// Names of clusters and namespaces are made of a platform's name, and have an end.
const LONGEST_NAME: usize = 20;

/// A system keeps working while this share of what is free is taken.
const SHARE_PERCENT: u64 = 80;

impl Planned {
    pub async fn of(app: &App, asked: &Nightly, run: &str) -> Result<Self, Refusal> {
        let files: Vec<Option<PathBuf>> = match asked.specs.as_slice() {
            [] => vec![None],
            files => files.iter().cloned().map(Some).collect(),
        };
        let mut planned = Self { specs: Vec::new() };
        for file in files {
            let chosen = Chosen {
                file,
                provider: asked.provider.clone(),
                or_starter: true,
                emulated: asked.emulated,
                state: Some(app.sandbox.clone()),
                ..Chosen::default()
            };
            let wanted = specs::load(&chosen).await?;
            planned.specs.push(spec(app, wanted, chosen, &asked.versions, run).await?);
        }
        let mut names = BTreeSet::new();
        for entry in planned.specs.iter().flat_map(|spec| &spec.entries) {
            if !names.insert(&entry.name) {
                return Err(Failure::new(
                    Code::new("P0901"),
                    Class::Config,
                    format!("there are two entries `{}`", entry.name),
                )
                .because("reports tell entries apart by the platform's name and the version")
                .hint("give the specs' platforms different names, and each version once")
                .into());
            }
        }
        Ok(planned)
    }

    /// How many specs may be worked on at once.
    pub fn fit(&self) -> usize {
        let needs = self.specs.iter().map(|spec| spec.needs_mib).max().unwrap_or_default();
        let free = fs_err::read_to_string("/proc/meminfo").ok().and_then(|text| available_mib(&text));
        fit(needs, free, self.specs.len())
    }
}

impl Spec {
    /// How its providers of a kind are reached.
    pub fn configs(&self, kind: &str) -> Vec<Value> {
        let providers = self.wanted.model.clusters.iter().map(|cluster| &cluster.provider);
        providers.filter(|provider| provider.kind == kind).map(|provider| json!(provider)).collect()
    }
}

async fn spec(
    app: &App,
    wanted: Wanted,
    chosen: Chosen,
    versions: &[String],
    run: &str,
) -> Result<Spec, Failure> {
    let only = |name: &String| wanted.only.as_ref().is_none_or(|only| only.contains(name));
    let clusters: Vec<_> = wanted.model.clusters.iter().filter(|cluster| only(&cluster.name)).collect();
    let mut sweepable = Vec::new();
    let mut needs_mib = 0;
    for provider in doors::providers(&app.sandbox) {
        let description = provider.describe().await?;
        let ours = clusters.iter().filter(|cluster| cluster.provider.kind == description.kind);
        let nodes: u64 = ours.clone().map(|cluster| nodes(&cluster.settings)).sum();
        needs_mib += nodes * description.capabilities.local_node_mib;
        if ours.count() > 0 && description.capabilities.sweeps {
            sweepable.push(description.kind);
        }
    }
    if let Some(cluster) = clusters.iter().find(|cluster| !sweepable.contains(&cluster.provider.kind)) {
        let kind = &cluster.provider.kind;
        return Err(Failure::new(
            Code::new("P0920"),
            Class::Config,
            format!("provider `{kind}` does not know how long its clusters are to live"),
        )
        .because(format!("cluster `{}` of `{}` could stay for ever", cluster.name, wanted.model.platform))
        .hint("choose the others with `--provider`"));
    }
    let file = match (&chosen.file, &wanted.starter) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(provider)) => format!("the starter spec of `{provider}`"),
        (None, None) => specs::DEFAULT_FILE.to_owned(),
    };
    let versions: Vec<Option<String>> = match versions {
        [] => vec![None],
        versions => versions.iter().cloned().map(Some).collect(),
    };
    let name = &wanted.model.platform;
    let entries = versions.into_iter().map(|version| Entry {
        name: version.as_ref().map_or_else(|| name.clone(), |version| format!("{name}@{version}")),
        spec: file.clone(),
        platform: unique(name, &format!("{run} {name} {version:?}")),
        version,
    });
    Ok(Spec { entries: entries.collect(), wanted, chosen, sweepable, needs_mib })
}

/// A name that no other night gives.
pub(super) fn unique(name: &str, salt: &str) -> String {
    let digest = hex::encode(&Sha256::digest(salt)[..3]);
    let short: String = name.chars().take(LONGEST_NAME).collect();
    format!("{}-{digest}", short.trim_end_matches('-'))
}

/// How many nodes a cluster's settings ask for: two where they do not say.
fn nodes(settings: &Value) -> u64 {
    let pools = settings["nodePools"].as_array().map(|pools| {
        pools.iter().map(|pool| pool["desired"].as_u64().or(pool["min"].as_u64()).unwrap_or(1)).sum()
    });
    let workers = &settings["nodes"]["workers"];
    let workers = workers.as_u64().or(workers["count"].as_u64());
    let planes = settings["nodes"]["controlPlane"].as_u64().unwrap_or(1);
    pools.or(workers.map(|workers| workers + planes)).unwrap_or(2)
}

/// What Linux says may be taken without swapping.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}

fn fit(needs_mib: u64, free_mib: Option<u64>, specs: usize) -> usize {
    let most = specs.max(1);
    match (needs_mib, free_mib) {
        (0, _) => most,
        // Nobody knows: one is what every machine can be asked for.
        (_, None) => 1,
        (needs, Some(free)) => {
            usize::try_from(free * SHARE_PERCENT / 100 / needs).unwrap_or(most).clamp(1, most)
        }
    }
}

/// What the names of entries' branches begin with.
const BRANCHES: &str = "nightly/";

/// The spec of an entry: that of the file with the entry's name and version, and repositories of its own where they are
/// folders of this machine; elsewhere branches of its own, for those of the spec bear the name of whoever published last.
pub(super) fn rewritten(platform: &Platform, entry: &Entry, folder: &std::path::Path) -> Value {
    let mut spec = json!(platform);
    spec["metadata"]["name"] = entry.platform.as_str().into();
    let server = &mut spec["spec"]["git"]["server"];
    // Somebody serves those that pods reach by another address.
    let is_ours = server["inClusterUrl"].is_null();
    if is_ours && server["url"].as_str().is_some_and(|url| url.starts_with("file://")) {
        server["url"] = format!("file://{}", folder.join("git").display()).into();
    } else {
        for repository in spec["spec"]["git"]["repositories"].as_array_mut().into_iter().flatten() {
            repository["defaultBranch"] = format!("{BRANCHES}{}", entry.platform).into();
        }
    }
    if let Some(version) = &entry.version {
        for cluster in spec["spec"]["clusters"].as_array_mut().into_iter().flatten() {
            cluster["kubernetes"]["version"] = version.as_str().into();
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_of_two_nights_differ_and_are_short() {
        let long = "a-platform-with-a-very-long-name";
        let (one, other) = (unique(long, "night 1"), unique(long, "night 2"));
        assert_ne!(one, other);
        assert!(one.len() <= LONGEST_NAME + 7, "{one}");
        assert_eq!(one, unique(long, "night 1"));
    }

    #[test]
    fn as_many_as_fit_and_never_none() {
        assert_eq!(fit(2000, Some(10_000), 8), 4);
        assert_eq!(fit(2000, Some(10_000), 3), 3, "there are no more specs");
        assert_eq!(fit(2000, Some(500), 8), 1);
        assert_eq!(fit(2000, None, 8), 1);
        assert_eq!(fit(0, None, 8), 8, "their nodes are elsewhere");
    }

    #[test]
    fn memory_is_what_linux_says_is_available() {
        let text = "MemTotal:       16000000 kB\nMemFree:          100 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_mib(text), Some(2048));
        assert_eq!(available_mib("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn nodes_are_counted_in_either_form() {
        assert_eq!(nodes(&json!({ "nodes": { "controlPlane": 3, "workers": 2 } })), 5);
        assert_eq!(nodes(&json!({ "nodes": { "workers": { "count": 4 } } })), 5);
        assert_eq!(nodes(&json!({ "nodePools": [{ "min": 1, "desired": 3 }, { "min": 2 }] })), 5);
        assert_eq!(nodes(&json!({})), 2);
    }

    #[test]
    fn the_spec_of_an_entry_is_a_spec() {
        let text =
            platform_spec::starter::starter("sandbox", Path::new("/var/lib/platform")).expect("there is one");
        let parsed = platform_spec::parse("platform.yaml", &text).expect("a starter has no errors");
        let entry = Entry {
            name: "demo@1.35".into(),
            spec: "platform.yaml".into(),
            version: Some("1.35".into()),
            platform: "demo-0a1b2c".into(),
        };
        let rewritten = rewritten(&parsed.platform, &entry, Path::new("/reports/demo")).to_string();
        let again = platform_spec::parse("entry", &rewritten).expect("still without errors");
        let model = platform_spec::derive(&again.platform);
        assert_eq!(model.platform, "demo-0a1b2c");
        assert_eq!(model.clusters[0].kubernetes_version.as_deref(), Some("1.35"));
        assert_eq!(model.git.url, "file:///reports/demo/git");
        assert_eq!(model.repositories[0].branch, "main", "it has the repository for itself");
    }

    #[test]
    fn entries_do_not_publish_to_one_branch_of_a_server() {
        let text =
            platform_spec::starter::starter("sandbox", Path::new("/var/lib/platform")).expect("there is one");
        let mut parsed = platform_spec::parse("platform.yaml", &text).expect("a starter has no errors");
        parsed.platform.spec.git.server.url = "https://git.example".into();
        let branch = |platform: &str| {
            let platform = platform.to_owned();
            let entry = Entry { name: "demo".into(), spec: "platform.yaml".into(), version: None, platform };
            let rewritten = rewritten(&parsed.platform, &entry, Path::new("/reports/demo"));
            rewritten["spec"]["git"]["repositories"][0]["defaultBranch"].clone()
        };
        assert_eq!(
            (branch("demo-0a1b2c"), branch("demo-d3e4f5")),
            ("nightly/demo-0a1b2c".into(), "nightly/demo-d3e4f5".into())
        );
    }
}
