//! What preflight finds: pure.

use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
};

use crate::{
    facts::{About, Machine},
    wish::Wish,
};

/// What was found out beforehand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The engine's name, for commands that help.
    pub engine: String,
    pub about: About,
    /// Where the engine is, when it says so.
    pub place: Option<String>,
    /// Kind's version.
    pub kind: String,
    pub machine: Machine,
    /// Whether the cluster is there already, in whole or in part: then its own nodes have its ports and memory.
    pub there: bool,
    /// Why the cluster that is there is not ours.
    pub foreign: Option<String>,
    /// The network that the configuration names, when the engine does not have it.
    pub no_network: Option<String>,
}

/// The oldest kind: since then its nodes enforce network policies.
const OLDEST_KIND: (u64, u64) = (0, 24);
/// The oldest Docker engine: kind asks for private cgroup namespaces, which are new with it.
const OLDEST_DOCKER: (u64, u64) = (20, 10);
/// Memory for a control plane with Argo CD and small applications, and for each further node, in MiB: 0.6 GB and 0.5 GB
/// were measured for the bare nodes.
pub(crate) const FIRST_NODE_MIB: u64 = 1536;
const NODE_MIB: u64 = 768;
/// An unpacked node image, and what pods write, in MiB.
const DISK_MIB: u64 = 3072;
/// What one node opens of inotify; kind's own advice is 512 and 524288.
const INSTANCES: u64 = 64;
const WATCHES: u64 = 8192;

/// Everything that is wrong.
pub(crate) fn findings(wish: &Wish<'_>, facts: &Facts) -> Vec<Finding> {
    let refused = |code, class, why: String| {
        Failure::new(code, class, format!("cluster `{}` cannot be made with kind", wish.request.cluster))
            .because(why)
    };
    let mut found: Vec<Finding> = Vec::new();
    let mut error = |failure: Failure| found.push(failure.into());
    let Facts { about, machine, engine, .. } = facts;

    if let Some(why) = &facts.foreign {
        error(
            refused(Code::new("P1005"), Class::Config, format!("there is a kind cluster `{}` already: {why}", wish.stem()))
                .hint(format!("if nobody needs it: `kind delete cluster --name {}`; else give the platform or the cluster another name", wish.stem())),
        );
    }
    if let Some(name) = &facts.no_network {
        // kind would make it, without a word of whose it is, and nobody would remove it.
        error(
            refused(Code::new("P1017"), Class::Config, format!("{engine} has no network `{name}`"))
                .hint(format!("make it: `{engine} network create {name}`; or leave `network` out: then the cluster gets one of its own")),
        );
    }
    if version(&facts.kind).is_none_or(|version| version < OLDEST_KIND) {
        error(
            refused(
                Code::new("P1003"),
                Class::Config,
                format!("kind is {}, and 0.24 is the oldest that will do", facts.kind),
            )
            .hint(
                "install a newer one: `go install sigs.k8s.io/kind@latest`, or see https://kind.sigs.k8s.io",
            ),
        );
    }
    if engine == "docker" && version(&about.server_version).is_some_and(|version| version < OLDEST_DOCKER) {
        error(
            refused(
                Code::new("P1001"),
                Class::Config,
                format!(
                    "the Docker engine is {}, and 20.10 is the oldest that will do",
                    about.server_version
                ),
            )
            .hint("install a newer one: https://docs.docker.com/engine/install"),
        );
    }
    let remote = facts.place.as_deref().filter(|place| !is_local(place));
    if let Some(place) = remote
        && let Some((why, hint)) = unreached(wish)
    {
        error(
            refused(Code::new("P1011"), Class::Config, format!("the Docker engine is at {place}, and {why}"))
                .hint(format!("{hint}; or choose the engine of this machine: `docker context use default`, `unset DOCKER_HOST`; or run `platform` over there")),
        );
    }
    if let (Some(place), Some(folder)) = (remote, &wish.request.git) {
        error(crate::git::is_elsewhere(wish, folder, place));
    }
    if engine != "docker" && !wish.config.images.names.is_empty() {
        error(
            refused(
                Code::new("P1046"),
                Class::Config,
                format!("`images.names` asks for images of the engine, and kind takes them from Docker alone, not from {engine}"),
            )
            .hint(format!("save them (`{engine} save --output FILE IMAGE…`), and name the file in `images.archives`")),
        );
    }
    let rootless = about.has("rootless");
    if rootless && about.cgroup_version == "1" {
        error(
            refused(
                Code::new("P1010"),
                Class::Config,
                "the engine runs without root, which needs cgroup v2, and this machine has v1".into(),
            )
            .hint("boot with `systemd.unified_cgroup_hierarchy=1`, or use an engine that runs as root"),
        );
    }
    if rootless && let Some(port) = wish.ports.iter().find(|port| port.host_port < 1024) {
        let unprivileged = "sudo sysctl net.ipv4.ip_unprivileged_port_start=80";
        error(
            refused(
                Code::new("P1006"),
                Class::Config,
                format!("the engine runs without root and may not listen on port {}", port.host_port),
            )
            .hint(format!("allow it: `{unprivileged}`; or take a port above 1023")),
        );
    }
    if !facts.there && remote.is_none() {
        for port in &machine.taken {
            error(
                refused(
                    Code::new("P1006"),
                    Class::Config,
                    format!("somebody listens on port {port} already"),
                )
                .hint(format!(
                    "see who: `ss -ltnp 'sport = :{port}'`; or name another port in the spec's `ports`"
                )),
            );
        }
        let needs = FIRST_NODE_MIB + NODE_MIB * u64::from(wish.nodes() - 1);
        let total = about.mem_total >> 20;
        let has = machine.memory_mib.unwrap_or(total).min(if total == 0 { u64::MAX } else { total });
        if has < needs {
            error(
                refused(
                    Code::new("P1007"),
                    Class::Capacity,
                    format!("{} nodes need {needs} MiB of memory, and {has} MiB are free", wish.nodes()),
                )
                .hint("see what takes it: `ps aux --sort -rss | head`; or have fewer nodes"),
            );
        }
        if let Some(allowed) = wish.memory_mib.filter(|allowed| *allowed < needs) {
            error(
                refused(
                    Code::new("P1007"),
                    Class::Config,
                    format!(
                        "{} nodes need {needs} MiB of memory, and the spec allows {allowed}",
                        wish.nodes()
                    ),
                )
                .hint("raise `resources.memoryGb` of the cluster, or have fewer nodes"),
            );
        }
        if let Some(has) = machine.disk_mib.filter(|has| *has < DISK_MIB) {
            error(
                refused(
                    Code::new("P1008"),
                    Class::Capacity,
                    format!(
                        "the engine's disk has {has} MiB of room below `{}`, and {DISK_MIB} are needed",
                        about.docker_root_dir
                    ),
                )
                .hint(format!("make room: `{engine} system df`, `{engine} system prune`")),
            );
        }
    }
    if let Some((instances, watches)) = machine.inotify.filter(|_| remote.is_none()) {
        let nodes = u64::from(wish.nodes());
        if instances < INSTANCES * nodes || watches < WATCHES * nodes {
            error(
                refused(Code::new("P1009"), Class::Config, format!("{instances} inotify instances and {watches} watches are too few for {nodes} nodes"))
                    .hint("raise them: `sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288`"),
            );
        }
    }
    if about.cgroup_version == "1" && !rootless {
        let failure = refused(
            Code::new("P1010"),
            Class::Config,
            "this machine has cgroup v1: from Kubernetes 1.35 on a kubelet refuses it, unless its configuration says `failCgroupV1: false`".into(),
        )
        .hint("boot with `systemd.unified_cgroup_hierarchy=1`");
        found.push(Finding { severity: Severity::Warning, ..failure.into() });
    }
    for words in about.server_errors.iter().flatten() {
        let failure = refused(Code::new("P1012"), Class::Retryable, words.clone());
        found.push(Finding { severity: Severity::Warning, ..failure.into() });
    }
    found
}

/// Why a cluster of an engine on another machine could not be used from here, and what helps.
fn unreached(wish: &Wish<'_>) -> Option<(&'static str, &'static str)> {
    let config = &wish.config;
    let address = config.api_server_address.filter(|it| !it.is_loopback() && !it.is_unspecified());
    if address.is_none() {
        return Some((
            "the cluster's API would listen on that machine alone",
            "name an address of that machine, at which this one reaches it: `apiServerAddress` in the provider's `config`",
        ));
    }
    (!config.registry_mirrors.is_empty() || config.registry.is_some()).then_some((
        "its nodes would look there for files that are here: where `registryMirrors` and `registry` lead is written into files that nodes mount",
        "leave `registryMirrors` and `registry` out, and say the same in `containerdConfigPatches`",
    ))
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Whether an engine's address leads to this machine.
fn is_local(place: &str) -> bool {
    let host = place.strip_prefix("tcp://").map(|rest| rest.rsplit_once(':').map_or(rest, |(host, _)| host));
    place.starts_with("unix://")
        || place.starts_with("npipe://")
        || place.starts_with("fd://")
        || host.is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use platform_provider::{ClusterRequest, GitFolder};
    use serde_json::json;

    use super::*;

    fn good() -> Facts {
        Facts {
            engine: "docker".into(),
            about: About {
                server_version: "28.2.2".into(),
                mem_total: 8 << 30,
                cgroup_version: "2".into(),
                docker_root_dir: "/var/lib/docker".into(),
                ..About::default()
            },
            place: Some("unix:///var/run/docker.sock".into()),
            kind: "0.33.0".into(),
            machine: Machine {
                memory_mib: Some(4096),
                disk_mib: Some(10_000),
                inotify: Some((128, 8192)),
                taken: vec![],
            },
            there: false,
            foreign: None,
            no_network: None,
        }
    }

    fn found(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.spec = json!({ "ports": [80] });
        let mut facts = good();
        change(&mut facts);
        findings(&Wish::read(&request).expect("a good request"), &facts)
    }

    #[test]
    fn a_good_machine_has_nothing_to_say() {
        assert_eq!(found(|_| {}), []);
    }

    #[test]
    fn each_trouble_is_an_error_with_a_command_that_helps() {
        type Trouble = (fn(&mut Facts), &'static str, &'static str);
        let troubles: [Trouble; 13] = [
            (|f| f.foreign = Some("a container".into()), "P1005", "kind delete cluster --name demo-eu"),
            (|f| f.no_network = Some("none".into()), "P1017", "docker network create none"),
            (|f| f.kind = "0.23.0".into(), "P1003", "go install"),
            (|f| f.kind = "nonsense".into(), "P1003", "go install"),
            (|f| f.about.server_version = "19.03.1".into(), "P1001", "docs.docker.com"),
            (|f| f.place = Some("ssh://ada@far".into()), "P1011", "`apiServerAddress`"),
            (|f| f.machine.taken = vec![80], "P1006", "ss -ltnp 'sport = :80'"),
            (|f| f.machine.memory_mib = Some(700), "P1007", "ps aux"),
            (|f| f.about.mem_total = 1 << 30, "P1007", "ps aux"),
            (|f| f.machine.disk_mib = Some(100), "P1008", "docker system prune"),
            (|f| f.machine.inotify = Some((16, 8192)), "P1009", "sysctl fs.inotify"),
            (|f| f.machine.inotify = Some((128, 100)), "P1009", "sysctl fs.inotify"),
            (
                |f| f.about.security_options = Some(vec!["name=rootless".into()]),
                "P1006",
                "ip_unprivileged_port_start",
            ),
        ];
        for (trouble, code, hint) in troubles {
            let found = found(trouble);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert_eq!((found[0].code.as_str(), found[0].severity), (code, Severity::Error));
            assert!(
                found[0].hint.as_ref().is_some_and(|it| it.contains(hint)),
                "{code}: {:?}",
                found[0].hint
            );
        }
    }

    #[test]
    fn an_engine_elsewhere_will_do_where_its_clusters_are_reached() {
        let codes = |config: serde_json::Value| {
            let mut request = ClusterRequest::new("demo", "eu", "here");
            request.config = config;
            let mut facts = good();
            facts.place = Some("ssh://ada@far".into());
            // Of this machine, which is another.
            facts.machine.inotify = Some((1, 1));
            facts.machine.memory_mib = Some(1);
            let found = findings(&Wish::read(&request).expect("a good request"), &facts);
            found.iter().map(|it| it.code.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(codes(json!({ "apiServerAddress": "10.0.0.5" })), [] as [&str; 0]);
        for refused in [
            json!({}),
            json!({ "apiServerAddress": "127.0.0.1" }),
            json!({ "apiServerAddress": "0.0.0.0" }),
            json!({ "apiServerAddress": "10.0.0.5", "registryMirrors": { "*": ["http://10.0.0.5:5000"] } }),
        ] {
            assert_eq!(codes(refused.clone()), ["P1011"], "{refused}");
        }
    }

    #[test]
    fn a_folder_of_this_machine_is_not_brought_to_another() {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.config = json!({ "apiServerAddress": "10.0.0.5" });
        request.git = Some(GitFolder { path: "/srv/git".into(), image: "git:1".into() });
        let wish = Wish::read(&request).expect("a good request");
        assert_eq!(findings(&wish, &good()), []);
        let found = findings(&wish, &Facts { place: Some("tcp://10.0.0.5:2375".into()), ..good() });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].code.as_str() == "P1050"
                && found[0].hint.as_ref().is_some_and(|it| it.contains("inClusterUrl")),
            "{found:?}"
        );
    }

    #[test]
    fn what_only_docker_hands_to_kind_is_said_for_others() {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.config = json!({ "images": { "names": ["app:1"] } });
        let wish = Wish::read(&request).expect("a good request");
        assert_eq!(findings(&wish, &good()), []);
        let found = findings(&wish, &Facts { engine: "podman".into(), place: None, ..good() });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].code.as_str() == "P1046"
                && found[0].hint.as_ref().is_some_and(|it| it.contains("podman save"))
        );
    }

    #[test]
    fn everything_is_found_in_one_go_and_old_cgroups_only_warn() {
        let many = found(|facts| {
            facts.machine =
                Machine { memory_mib: Some(1), disk_mib: Some(1), inotify: Some((1, 1)), taken: vec![80] };
            facts.about.cgroup_version = "1".into();
        });
        let codes: Vec<&str> = many.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["P1006", "P1007", "P1008", "P1009", "P1010"]);
        assert_eq!(many[4].severity, Severity::Warning);
        let rootless = found(|facts| {
            facts.about.cgroup_version = "1".into();
            facts.about.security_options = Some(vec!["name=rootless".into()]);
        });
        assert_eq!((rootless[0].code.as_str(), rootless[0].severity), ("P1010", Severity::Error));
    }

    #[test]
    fn a_cluster_that_is_there_has_its_own_ports_and_memory() {
        let found = found(|facts| {
            facts.there = true;
            facts.machine.taken = vec![80];
            facts.machine.memory_mib = Some(1);
        });
        assert_eq!(found, []);
    }

    #[test]
    fn addresses_of_engines_are_here_or_elsewhere() {
        for here in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "npipe:////./pipe/docker_engine"]
        {
            assert!(is_local(here), "{here}");
        }
        for there in ["ssh://far", "tcp://10.0.0.1:2376", "tcp://localhost.example:1"] {
            assert!(!is_local(there), "{there}");
        }
    }
}
