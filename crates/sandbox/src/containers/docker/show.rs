//! Things as the engine shows them: in full for `inspect`, in few words for lists.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::state::{Being, Container, Image, Labels, Mount, Network, Port, State, Volume};

/// The time before all time, as Go writes it.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Where the engine has its files.
pub(super) const ROOT: &str = "/var/lib/docker";

/// A container, as `docker inspect` shows it.
pub(super) fn container(state: &State, it: &Container) -> Value {
    let (status, running, code, started, finished) = match &it.state {
        Being::Created => ("created", false, 0, NEVER.to_owned(), NEVER.to_owned()),
        Being::Running(since) => ("running", true, 0, since.to_string(), NEVER.to_owned()),
        Being::Exited { code, started, finished } => {
            ("exited", false, *code, started.to_string(), finished.to_string())
        }
    };
    let networks: serde_json::Map<_, _> = it
        .networks()
        .map(|name| {
            let id = state.network(name).map(|it| it.id.clone()).unwrap_or_default();
            // On those that it was put on later it has an address that nobody asks for.
            let address = if running && *name == it.network { it.address.as_str() } else { "" };
            let about = json!({
                "NetworkID": id, "IPAddress": address, "IPPrefixLen": if running { 16 } else { 0 },
                "Aliases": [it.id.get(..12).unwrap_or_default()], "GlobalIPv6Address": "",
            });
            (name.clone(), about)
        })
        .collect();
    let command = it.command.split_first();
    let bindings = bindings(&it.ports, false);
    let binds: Vec<String> = it
        .mounts
        .iter()
        .map(|mount| format!("{}:{}{}", mount.source, mount.target, if mount.read_only { ":ro" } else { "" }))
        .collect();
    let exposed: serde_json::Map<_, _> = it.ports.iter().map(|port| (port_word(port), json!({}))).collect();
    json!({
        "Id": it.id,
        "Created": it.created.to_string(),
        "Path": command.map_or("", |(first, _)| first),
        "Args": command.map_or(&[] as &[String], |(_, rest)| rest),
        "State": {
            "Status": status, "Running": running, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
            "Pid": if running { 4_242 } else { 0 }, "ExitCode": code, "Error": "", "StartedAt": started, "FinishedAt": finished,
        },
        "Image": format!("sha256:{}", it.image_id),
        "Name": format!("/{}", it.name),
        "RestartCount": 0, "Driver": "overlay2", "Platform": "linux",
        "HostConfig": {
            "Binds": if binds.is_empty() { Value::Null } else { binds.into() },
            "NetworkMode": it.network, "PortBindings": bindings,
            "RestartPolicy": restart(&it.restart), "AutoRemove": false, "Privileged": it.privileged,
        },
        "Mounts": it.mounts.iter().map(mount).collect::<Vec<_>>(),
        "Config": {
            "Hostname": it.hostname, "Env": it.env, "Cmd": it.command, "Image": it.image, "Tty": it.tty,
            "ExposedPorts": exposed, "Labels": it.labels, "Entrypoint": null, "Volumes": null, "WorkingDir": "",
        },
        "NetworkSettings": {
            "Ports": if running { self::bindings(&it.ports, true) } else { json!({}) }, "IPAddress": "",
            "Networks": networks,
        },
    })
}

fn restart(policy: &str) -> Value {
    let (name, count) = policy.split_once(':').unwrap_or((policy, "0"));
    json!({ "Name": if name.is_empty() { "no" } else { name }, "MaximumRetryCount": count.parse().unwrap_or(0) })
}

fn mount(it: &Mount) -> Value {
    if it.volume {
        return json!({
            "Type": "volume", "Name": it.source, "Source": format!("{ROOT}/volumes/{}/_data", it.source),
            "Destination": it.target, "Driver": "local", "Mode": "z", "RW": !it.read_only, "Propagation": "",
        });
    }
    json!({
        "Type": "bind", "Source": it.source, "Destination": it.target,
        "Mode": if it.read_only { "ro" } else { "" }, "RW": !it.read_only, "Propagation": "rprivate",
    })
}

fn port_word(port: &Port) -> String {
    format!("{}/{}", port.container, port.protocol)
}

/// Ports as they were asked for, or as they are bound.
fn bindings(ports: &[Port], bound: bool) -> Value {
    let mut all = serde_json::Map::new();
    for port in ports {
        let entry = all.entry(port_word(port)).or_insert_with(|| json!([]));
        let Some(list) = entry.as_array_mut() else { continue };
        let host = port.host.to_string();
        if bound && port.host_ip.is_empty() {
            list.push(json!({ "HostIp": "0.0.0.0", "HostPort": host }));
            list.push(json!({ "HostIp": "::", "HostPort": host }));
        } else {
            list.push(json!({ "HostIp": port.host_ip, "HostPort": host }));
        }
    }
    all.into()
}

/// A container, as `docker ps` shows it.
pub(super) fn container_line(it: &Container, in_full: bool, now: Timestamp) -> Value {
    let status = match &it.state {
        Being::Created => "Created".to_owned(),
        Being::Running(since) => format!("Up {}", ago(*since, now)),
        Being::Exited { code, finished, .. } => format!("Exited ({code}) {} ago", ago(*finished, now)),
    };
    let word = match it.state {
        Being::Created => "created",
        Being::Running(_) => "running",
        Being::Exited { .. } => "exited",
    };
    let ports: Vec<String> = it.ports.iter().filter(|_| word == "running").flat_map(port_line).collect();
    let volumes = it.mounts.iter().filter(|mount| mount.volume).count();
    let mounts: Vec<&str> = it.mounts.iter().map(|mount| mount.source.as_str()).collect();
    json!({
        "Command": format!("{:?}", it.command.join(" ")), "CreatedAt": local(it.created),
        "ID": id(&it.id, in_full), "Image": it.image, "Labels": labels(&it.labels),
        "LocalVolumes": volumes.to_string(), "Mounts": mounts.join(","), "Names": it.name,
        "Networks": it.networks().map(String::as_str).collect::<Vec<_>>().join(","), "Platform": null, "Ports": ports.join(", "),
        "RunningFor": format!("{} ago", ago(it.created, now)), "Size": "0B", "State": word, "Status": status,
    })
}

/// The lines of `docker port`, and of the list.
pub(super) fn port_line(port: &Port) -> Vec<String> {
    let hosts: &[&str] = if port.host_ip.is_empty() { &["0.0.0.0", "[::]"] } else { &[&port.host_ip] };
    hosts.iter().map(|host| format!("{host}:{}->{}", port.host, port_word(port))).collect()
}

/// A network, in full.
pub(super) fn network(state: &State, it: &Network) -> Value {
    let connected =
        state.containers.values().filter(|one| one.is_on(&it.name) && matches!(one.state, Being::Running(_)));
    let containers: serde_json::Map<_, _> = connected
        .map(|one| {
            let about =
                json!({ "Name": one.name, "IPv4Address": format!("{}/16", one.address), "IPv6Address": "" });
            (one.id.clone(), about)
        })
        .collect();
    let range = 17 + u32::from(it.range);
    json!({
        "Name": it.name, "Id": it.id, "Created": it.created.to_string(), "Scope": "local", "Driver": it.driver,
        "EnableIPv6": false, "Internal": false, "Attachable": false, "Ingress": false,
        "IPAM": { "Driver": "default", "Options": {},
            "Config": [{ "Subnet": format!("172.{range}.0.0/16"), "Gateway": format!("172.{range}.0.1") }] },
        "ConfigFrom": { "Network": "" }, "ConfigOnly": false,
        "Containers": containers, "Options": {}, "Labels": it.labels,
    })
}

/// A network in a list.
pub(super) fn network_line(it: &Network, in_full: bool) -> Value {
    json!({
        "CreatedAt": local(it.created), "Driver": it.driver, "ID": id(&it.id, in_full), "IPv4": "true", "IPv6": "false",
        "Internal": "false", "Labels": labels(&it.labels), "Name": it.name, "Scope": "local",
    })
}

/// A volume, in full.
pub(super) fn volume(it: &Volume) -> Value {
    json!({
        "CreatedAt": whole_seconds(it.created).to_string(), "Driver": "local",
        "Labels": if it.labels.is_empty() { Value::Null } else { json!(it.labels) },
        "Mountpoint": format!("{ROOT}/volumes/{}/_data", it.name), "Name": it.name, "Options": null, "Scope": "local",
    })
}

/// A volume in a list.
pub(super) fn volume_line(it: &Volume) -> Value {
    json!({
        "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": labels(&it.labels), "Links": "N/A",
        "Mountpoint": format!("{ROOT}/volumes/{}/_data", it.name), "Name": it.name, "Scope": "local", "Size": "N/A",
        "Status": "N/A",
    })
}

/// An image, in full.
pub(super) fn image(it: &Image) -> Value {
    let (digests, tags): (Vec<&String>, Vec<&String>) = it.names.iter().partition(|name| name.contains('@'));
    json!({
        "Id": format!("sha256:{}", it.id), "RepoTags": tags, "RepoDigests": digests, "Created": it.created.to_string(),
        "Architecture": "amd64", "Os": "linux", "Size": 1_048_576, "Config": { "Labels": null },
    })
}

/// An image in a list: one line for each of its names.
pub(super) fn image_lines(it: &Image, in_full: bool, now: Timestamp) -> Vec<Value> {
    let line = |name: &String| {
        let (repository, tag) = name.rsplit_once([':', '@']).unwrap_or((name, "<none>"));
        json!({
            "Containers": "N/A", "CreatedAt": local(it.created), "CreatedSince": format!("{} ago", ago(it.created, now)),
            "Digest": "<none>", "ID": if in_full { format!("sha256:{}", it.id) } else { id(&it.id, false) },
            "Repository": repository, "SharedSize": "N/A", "Size": "1.05MB", "Tag": tag, "UniqueSize": "N/A",
            "VirtualSize": "1.05MB",
        })
    };
    it.names.iter().map(line).collect()
}

/// The id, or what people see of it.
pub(super) fn id(id: &str, in_full: bool) -> String {
    id.get(..12).filter(|_| !in_full).unwrap_or(id).to_owned()
}

fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn local(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// How long ago, as the engine's client words it.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (count, unit) = match seconds {
        0 => return "Less than a second".to_owned(),
        1 => return "1 second".to_owned(),
        2..60 => (seconds, "seconds"),
        60..120 => return "About a minute".to_owned(),
        120..2_760 => (seconds / 60, "minutes"),
        2_760..5_400 => return "About an hour".to_owned(),
        5_400..172_800 => ((seconds + 1_800) / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
