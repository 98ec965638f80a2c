//! `docker run` and `docker create`: a container from its words.

use jiff::Timestamp;

use super::{
    super::{
        reply::Reply,
        state::{Being, Container, Image, Labels, Mount, Port, State, Volume, with_tag},
        words::{Flag, Line},
    },
    image_of, is_name,
};

/// What it is understood with.
pub(super) const FLAGS: &[Flag] = &[
    ("name", true),
    ("detach,d", false),
    ("tty,t", false),
    ("interactive,i", false),
    ("rm", false),
    ("privileged", false),
    ("init", false),
    ("read-only", false),
    ("network,net", true),
    ("network-alias", true),
    ("restart", true),
    ("label,l", true),
    ("env,e", true),
    ("env-file", true),
    ("volume,v", true),
    ("mount", true),
    ("publish,p", true),
    ("hostname,h", true),
    ("user,u", true),
    ("workdir,w", true),
    ("entrypoint", true),
    ("tmpfs", true),
    ("security-opt", true),
    ("cap-add", true),
    ("cap-drop", true),
    ("cgroupns", true),
    ("userns", true),
    ("device", true),
    ("sysctl", true),
    ("memory,m", true),
    ("cpus", true),
    ("pull", true),
    ("platform", true),
    ("ip", true),
    ("add-host", true),
    ("dns", true),
    ("quiet,q", false),
];

/// Makes a container, and starts it if asked to.
pub(super) fn run(state: &mut State, line: &Line, start: bool, now: Timestamp) -> Reply {
    let made = match wanted(state, line, now) {
        Ok(container) => container,
        Err(refused) if start => return refused.of_run(),
        Err(refused) => return refused,
    };
    let (id, detached) = (made.id.clone(), line.has("detach") || !start);
    let pulled = match line.rest.first() {
        Some(image) if state.image(image).is_none() => pull(state, image, now),
        _ => String::new(),
    };
    // What is named and not there is made.
    for mount in made.mounts.iter().filter(|mount| mount.volume) {
        if !state.volumes.contains_key(&mount.source) {
            state.put(Volume { name: mount.source.clone(), created: now, labels: Labels::new() });
        }
    }
    let image_id = state.image(&made.image).map(|it| it.id.clone()).unwrap_or_default();
    state.put(Container { image_id, ..made });
    if start && let Err(refused) = self::start(state, &id, now) {
        // As the engine leaves it: made, and not started.
        let stdout = if detached { format!("{id}\n") } else { String::new() };
        return Reply { stdout, changed: true, ..refused.of_run() };
    }
    if !detached {
        // Whatever it would have done in front of us is over at once.
        let _gone: Option<Container> = if line.has("rm") { state.take(&id) } else { end(state, &id, 0, now) };
        return Reply { stderr: pulled, ..Reply::changed("") };
    }
    Reply { stderr: pulled, ..Reply::changed(format!("{id}\n")) }
}

/// Ends a container.
pub(super) fn end(state: &mut State, id: &str, code: i32, now: Timestamp) -> Option<Container> {
    let container = state.containers.get(id)?.clone();
    let Being::Running(started) = container.state else { return None };
    state.put(Container { state: Being::Exited { code, started, finished: now }, ..container });
    None
}

/// Starts a container that does not run.
///
/// # Errors
/// In the engine's words: a port that somebody has, a network that is not there.
pub(super) fn start(state: &mut State, id: &str, now: Timestamp) -> Result<bool, Reply> {
    let Some(mut container) = state.containers.get(id).cloned() else { return Ok(false) };
    if matches!(container.state, Being::Running(_)) {
        return Ok(false);
    }
    let Some(network) = state.network(&container.network).cloned() else {
        return Err(Reply::refused(format!("network {} not found", container.network)));
    };
    let name = &container.name;
    if let Some(port) = container.ports.iter().find(|port| state.listener(port, id).is_some()) {
        let host = if port.host_ip.is_empty() { "0.0.0.0" } else { &port.host_ip };
        return Err(Reply::refused(format!(
            "driver failed programming external connectivity on endpoint {name} ({}): Bind for {host}:{} failed: port is already allocated",
            network.id, port.host
        )));
    }
    if container.address.is_empty() {
        container.address = state.address(&network);
    }
    container.state = Being::Running(now);
    state.put(container);
    Ok(true)
}

/// Fetches an image; what the engine's client says to that.
pub(in super::super) fn pull(state: &mut State, name: &str, now: Timestamp) -> String {
    let full = with_tag(name);
    let id = image_of(&full);
    let mut image = state.images.get(&id).cloned().unwrap_or(Image { id, created: now, names: [].into() });
    image.names.insert(full.clone());
    state.put(image);
    let (repository, tag) = full.rsplit_once(':').unwrap_or((&full, "latest"));
    format!(
        "Unable to find image '{full}' locally\n{tag}: Pulling from {repository}\nStatus: Downloaded newer image for {full}\n"
    )
}

fn wanted(state: &mut State, line: &Line, now: Timestamp) -> Result<Container, Reply> {
    let Some((image, command)) = line.rest.split_first() else {
        return Err(Reply::failed(1, "'docker run' requires at least 1 argument\n"));
    };
    if !is_image(image) {
        return Err(Reply::failed(1, "invalid reference format\n"));
    }
    let id = state.id();
    let name = line.one("name").map_or_else(|| format!("unnamed_{}", &id[..6]), str::to_owned);
    if !is_name(&name) {
        return Err(Reply::refused(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )));
    }
    if let Some(other) = state.containers.values().find(|it| it.name == name) {
        return Err(Reply::refused(format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
            other.id
        )));
    }
    let mut mounts = Vec::new();
    for given in line.all("volume") {
        mounts.extend(bind(given));
    }
    for given in line.all("mount") {
        mounts.push(mount(given).map_err(Reply::refused)?);
    }
    let mut ports = Vec::new();
    for given in line.all("publish") {
        let port =
            port(given).ok_or_else(|| Reply::failed(125, format!("invalid containerPort: {given}\n")))?;
        ports.push(port);
    }
    for at in 0..ports.len() {
        if ports[at].host == 0 {
            let free = (32_768..60_000).find(|host| {
                let here = Port { host: *host, ..ports[at].clone() };
                state.listener(&here, &id).is_none() && !ports.iter().any(|other| other.host == *host)
            });
            ports[at].host = free.unwrap_or(0);
        }
    }
    let mut env: Vec<String> = line.all("env").map(str::to_owned).collect();
    // Files are read where the program was called: see `client`.
    env.extend(line.all("env-file").flat_map(str::lines).filter(|it| it.contains('=')).map(str::to_owned));
    Ok(Container {
        hostname: line.one("hostname").unwrap_or(&id[..12]).to_owned(),
        id,
        name,
        created: now,
        image: image.clone(),
        image_id: String::new(),
        command: command.to_vec(),
        env,
        labels: line.pairs("label"),
        network: line.one("network").unwrap_or("bridge").to_owned(),
        also_on: [].into(),
        address: String::new(),
        restart: line.one("restart").unwrap_or("no").to_owned(),
        privileged: line.has("privileged"),
        tty: line.has("tty"),
        ports,
        mounts,
        state: Being::Created,
        images: [].into(),
    })
}

/// `SOURCE:TARGET[:OPTIONS]`; one without a source is a volume without a name, which is no matter of anybody's.
fn bind(given: &str) -> Option<Mount> {
    let mut parts = given.split(':');
    let (source, target) = (parts.next()?, parts.next()?);
    let read_only = parts.next().is_some_and(|options| options.split(',').any(|it| it == "ro"));
    Some(Mount { source: source.into(), target: target.into(), read_only, volume: !source.starts_with('/') })
}

fn mount(given: &str) -> Result<Mount, String> {
    let pairs: Vec<(&str, &str)> = given
        .split(',')
        .map(|pair| pair.trim_matches('"'))
        .map(|pair| pair.split_once('=').unwrap_or((pair, "true")))
        .collect();
    let one =
        |names: &[&str]| pairs.iter().find(|(key, _)| names.contains(key)).map_or("", |(_, value)| *value);
    let volume = one(&["type"]) != "bind";
    let (source, target) = (one(&["source", "src"]), one(&["target", "dst", "destination"]));
    if !volume && !std::path::Path::new(source).is_absolute() {
        return Err(format!(
            "invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
        ));
    }
    let read_only = one(&["readonly", "ro"]) == "true";
    Ok(Mount { source: source.into(), target: target.into(), read_only, volume })
}

/// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`.
fn port(given: &str) -> Option<Port> {
    let (ports, protocol) = given.split_once('/').unwrap_or((given, "tcp"));
    let (before, container) = match ports.rsplit_once(':') {
        Some((before, container)) => (Some(before), container),
        None => (None, ports),
    };
    let (host_ip, host) = match before.map(|before| before.rsplit_once(':').unwrap_or(("", before))) {
        Some((ip, host)) => (ip.trim_matches(['[', ']']).to_owned(), host),
        None => (String::new(), ""),
    };
    Some(Port {
        host_ip,
        host: if host.is_empty() { 0 } else { host.parse().ok()? },
        container: container.parse().ok()?,
        protocol: protocol.to_lowercase(),
    })
}

fn is_image(name: &str) -> bool {
    let name = name.split('@').next().unwrap_or_default();
    let path = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(path, _)| path);
    let first = path.split('/').next().unwrap_or_default();
    let is_host = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let own = if is_host { &path[first.len()..] } else { path };
    !path.is_empty()
        && own.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_all_their_forms() {
        let read = |given: &str| port(given).map(|it| (it.host_ip, it.host, it.container, it.protocol));
        assert_eq!(read("80:8080"), Some((String::new(), 80, 8080, "tcp".into())));
        assert_eq!(read("127.0.0.1:53:53/UDP"), Some(("127.0.0.1".into(), 53, 53, "udp".into())));
        assert_eq!(read("[::1]:1:2"), Some(("::1".into(), 1, 2, "tcp".into())));
        assert_eq!(read("127.0.0.1::9000").map(|it| it.1), Some(0));
        assert_eq!((read("9000").map(|it| it.1), read("x:y")), (Some(0), None));
    }

    #[test]
    fn images_are_named_in_small_letters() {
        for good in ["busybox", "kindest/node:v1.36.3", "127.0.0.1:5000/a/b:1", "a/b@sha256:0a"] {
            assert!(is_image(good), "{good}");
        }
        for bad in ["", "Busybox", "a b"] {
            assert!(!is_image(bad), "{bad}");
        }
    }
}
