//! The engine itself, and the machine that it says it runs on.

use serde_json::{Value, json};

use super::super::state::{Being, State};
use crate::parts::faults::Machine;

/// The version that is played. Its API was written down from a real one of this version.
pub(super) const VERSION: &str = "28.2.2";
const API: &str = "1.50";

/// What `docker version` says.
pub(super) fn version(machine: &Machine) -> Value {
    let about = json!({
        "Version": VERSION, "ApiVersion": API, "GitCommit": "45873be", "GoVersion": "go1.24.3", "Os": "linux", "Arch": "amd64",
        "BuildTime": "Fri May 30 12:07:14 2025",
    });
    let mut client = about.clone();
    client["DefaultAPIVersion"] = API.into();
    client["Context"] = "default".into();
    let mut server = about;
    let engine = machine.version.as_deref().unwrap_or(VERSION);
    server["Version"] = engine.into();
    server["MinAPIVersion"] = "1.24".into();
    server["KernelVersion"] = "6.12.0-sandbox".into();
    server["Platform"] = json!({ "Name": "Docker Engine, as the sandbox plays it" });
    server["Components"] = json!([
        { "Name": "Engine", "Version": engine, "Details": { "ApiVersion": API, "Os": "linux", "Arch": "amd64" } },
        { "Name": "containerd", "Version": "1.7.27", "Details": {} },
        { "Name": "runc", "Version": "1.2.5", "Details": {} },
    ]);
    json!({ "Client": client, "Server": server })
}

/// What `docker info` says: a machine with room for some clusters.
pub(super) fn info(state: &State) -> Value {
    let machine = &state.machine;
    let mut security = vec!["name=seccomp,profile=builtin", "name=cgroupns"];
    security.extend(machine.rootless.then_some("name=rootless"));
    let running = |it: &&super::super::state::Container| matches!(it.state, Being::Running(_));
    let count = state.containers.len();
    let up = state.containers.values().filter(running).count();
    json!({
        "ID": "5a4d6f78-0000-4000-a000-5a4db0c5a4d0", "Containers": count, "ContainersRunning": up, "ContainersPaused": 0,
        "ContainersStopped": count - up, "Images": state.images.len(), "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"]], "MemoryLimit": true, "SwapLimit": true, "CpuCfsPeriod": true,
        "CpuCfsQuota": true, "CPUShares": true, "CPUSet": true, "PidsLimit": true, "IPv4Forwarding": true,
        "CgroupDriver": "systemd", "CgroupVersion": machine.cgroup.unwrap_or(2).to_string(), "KernelVersion": "6.12.0-sandbox",
        "OperatingSystem": "the sandbox of platform", "OSType": "linux", "Architecture": "x86_64", "NCPU": 8,
        "MemTotal": machine.memory_mib.unwrap_or(32_768) << 20,
        "DockerRootDir": machine.root.as_deref().unwrap_or(super::show::ROOT), "Name": "sandbox",
        "ServerVersion": machine.version.as_deref().unwrap_or(VERSION),
        "SecurityOptions": security, "Warnings": null,
        "ClientInfo": { "Context": "default", "Version": VERSION },
    })
}

/// Where the client finds the engine.
pub(super) fn context() -> Value {
    json!({ "Name": "default", "Endpoints": { "docker": { "Host": "unix:///var/run/docker.sock", "SkipTLSVerify": false } } })
}
