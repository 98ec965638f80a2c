//! What preflight is found from: what the engine says about itself, and this machine.

use std::{net::TcpListener, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::config::{PortMapping, Protocol};

/// What the engine says about itself, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct About {
    #[serde(alias = "serverVersion")]
    pub server_version: String,
    pub mem_total: u64,
    #[serde(rename = "NCPU")]
    pub processors: u64,
    pub cgroup_version: String,
    pub security_options: Option<Vec<String>>,
    pub docker_root_dir: String,
    pub server_errors: Option<Vec<String>>,
}

/// What Podman says about itself, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OfPodman {
    host: PodmanHost,
    store: PodmanStore,
    version: PodmanVersion,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodmanHost {
    mem_total: u64,
    cpus: u64,
    cgroup_version: String,
    security: PodmanSecurity,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodmanSecurity {
    rootless: bool,
    #[serde(rename = "selinuxEnabled")]
    selinux: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodmanStore {
    graph_root: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PodmanVersion {
    version: String,
}

impl About {
    /// Whether it says that of its security: `rootless`, `selinux`.
    pub fn has(&self, option: &str) -> bool {
        self.security_options.iter().flatten().any(|it| it.contains(option))
    }

    /// Reads what an engine says about itself. nerdctl says it as Docker does.
    ///
    /// # Errors
    /// What is not in the shape that it should have.
    pub fn read(engine: &str, said: Value) -> Result<Self, serde_json::Error> {
        if engine != "podman" {
            return serde_json::from_value(said);
        }
        let OfPodman { host, store, version } = serde_json::from_value(said)?;
        Ok(Self {
            server_version: version.version,
            mem_total: host.mem_total,
            processors: host.cpus,
            cgroup_version: host.cgroup_version.trim_start_matches('v').to_owned(),
            security_options: Some(
                [(host.security.rootless, "name=rootless"), (host.security.selinux, "name=selinux")]
                    .into_iter()
                    .filter(|(has, _)| *has)
                    .map(|(_, name)| name.to_owned())
                    .collect(),
            ),
            docker_root_dir: store.graph_root,
            server_errors: None,
        })
    }
}

/// This machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Machine {
    /// Memory that programs can have, in MiB; `None` where it cannot be read.
    pub memory_mib: Option<u64>,
    /// Room where the engine keeps what it has, in MiB.
    pub disk_mib: Option<u64>,
    /// `fs.inotify.max_user_instances` and `fs.inotify.max_user_watches`.
    pub inotify: Option<(u64, u64)>,
    /// Ports of the wish that somebody listens on.
    pub taken: Vec<u16>,
}

impl Machine {
    /// Looks at it. Changes nothing: a port is listened on for a moment.
    pub fn look(about: &About, ports: &[PortMapping]) -> Self {
        Self {
            memory_mib: std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)),
            disk_mib: room(Path::new(&about.docker_root_dir)),
            inotify: number("/proc/sys/fs/inotify/max_user_instances")
                .zip(number("/proc/sys/fs/inotify/max_user_watches")),
            taken: ports.iter().filter(|port| is_taken(port)).map(|port| port.host_port).collect(),
        }
    }
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `MemAvailable` of `/proc/meminfo`, in MiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}

/// Room on the disk of a folder, or of the nearest above it that can be looked at.
fn room(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let disk = nix::sys::statvfs::statvfs(there).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()) >> 20)
}

/// Only whether somebody has it: that we may not listen there ourselves says nothing about the engine.
fn is_taken(port: &PortMapping) -> bool {
    let Some(address) = port.listen_address.filter(|_| matches!(port.protocol, None | Some(Protocol::Tcp)))
    else {
        return false;
    };
    let tried = TcpListener::bind((address, port.host_port));
    tried.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_programs_can_have() {
        let text = "MemTotal:       24684084 kB\nMemFree:        1 kB\nMemAvailable:   2097152 kB\n";
        assert_eq!(available(text), Some(2048));
        assert_eq!(available("nothing"), None);
    }

    #[test]
    fn engines_say_the_same_in_their_own_words() {
        let said = serde_json::json!({
            "host": {
                "cgroupManager": "systemd", "cgroupVersion": "v2", "cpus": 8, "memFree": 1, "memTotal": 16_530_124_800_u64,
                "security": { "rootless": true, "selinuxEnabled": false },
            },
            "store": { "graphRoot": "/home/ada/.local/share/containers/storage" },
            "version": { "APIVersion": "5.2.2", "Version": "5.2.2" },
        });
        let about = About::read("podman", said).expect("it is read");
        assert_eq!((about.processors, about.mem_total >> 30, about.cgroup_version.as_str()), (8, 15, "2"));
        assert!(about.has("rootless") && !about.has("selinux"));
        assert!(about.docker_root_dir.ends_with("storage"));
        let said = serde_json::json!({ "ServerVersion": "v2.0.3", "MemTotal": 1, "NCPU": 2, "CgroupVersion": "2", "Labels": null });
        assert_eq!(About::read("nerdctl", said).expect("it is read").processors, 2);
    }

    #[test]
    fn a_port_is_taken_while_somebody_listens() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let host_port = listener.local_addr().expect("an address").port();
        let port = PortMapping {
            host_port,
            container_port: 80,
            listen_address: Some([127, 0, 0, 1].into()),
            protocol: None,
        };
        assert!(is_taken(&port));
        assert!(!is_taken(&PortMapping { protocol: Some(Protocol::Udp), ..port.clone() }));
        drop(listener);
        assert!(!is_taken(&port));
    }
}
