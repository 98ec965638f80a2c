//! Networks, volumes and images.

use serde_json::Value;

use super::{
    super::{
        reply::Reply,
        state::{Being, Image, Network, State, Volume, with_tag},
    },
    Call, fits, is_name, lines, many, run, show,
};

/// What `docker inspect` finds that is no container.
pub(super) fn any(state: &State, what: &str) -> Option<Value> {
    let network = state.network(what).map(|it| show::network(state, it));
    let volume = || state.volumes.get(what).map(show::volume);
    network.or_else(volume).or_else(|| state.image(what).map(show::image))
}

pub(super) fn make_network(call: &mut Call<'_>) -> Reply {
    let [name] = call.line.rest.as_slice() else {
        return one_argument("network create", "NETWORK");
    };
    let name = name.clone();
    if call.state.networks.contains_key(&name) {
        return Reply::refused(format!("network with name {name} already exists"));
    }
    let taken: Vec<u8> = call.state.networks.values().map(|it| it.range).collect();
    let Some(range) = (0..=14_u8).find(|range| !taken.contains(range)) else {
        return Reply::refused("all predefined address pools have been fully subnetted");
    };
    let network = Network {
        id: call.state.id(),
        name,
        created: call.now,
        driver: call.line.one("driver").unwrap_or("bridge").to_owned(),
        labels: call.line.pairs("label"),
        range,
    };
    let id = network.id.clone();
    call.state.put(network);
    Reply::changed(format!("{id}\n"))
}

/// `network connect` and `network disconnect`.
pub(super) fn connect(call: &mut Call<'_>, on: bool) -> Reply {
    let [network, container] = call.line.rest.as_slice() else {
        let command = if on { "connect" } else { "disconnect" };
        return Reply::failed(1, format!("docker: 'docker network {command}' requires 2 arguments\n"));
    };
    let Some(network) = call.state.network(network).map(|it| it.name.clone()) else {
        return Reply::refused(format!("network {network} not found"));
    };
    let Some(mut found) = call.state.container(container).cloned() else {
        return Reply::refused(format!("No such container: {container}"));
    };
    let refused = match (on, found.is_on(&network)) {
        (true, true) => format!("endpoint with name {} already exists in network {network}", found.name),
        (false, false) => format!("container {} is not connected to network {network}", found.id),
        (false, true) if found.network == network => {
            "the sandbox leaves a container on its first network".to_owned()
        }
        (true, false) => {
            found.also_on.insert(network);
            call.state.put(found);
            return Reply::changed("");
        }
        (false, true) => {
            found.also_on.remove(&network);
            call.state.put(found);
            return Reply::changed("");
        }
    };
    Reply::refused(refused)
}

fn one_argument(command: &str, what: &str) -> Reply {
    Reply::failed(
        1,
        format!(
            "docker: 'docker {command}' requires 1 argument\n\nUsage:  docker {command} [OPTIONS] {what}\n\nRun 'docker {command} --help' for more information\n"
        ),
    )
}

pub(super) fn remove_networks(call: &mut Call<'_>) -> Reply {
    let mut reply = Reply::default();
    for what in call.line.rest.clone() {
        let refusal = match call.state.network(&what).cloned() {
            None => Some(format!("network {what} not found")),
            Some(network) if ["bridge", "host", "none"].contains(&network.name.as_str()) => {
                Some(format!("{} is a pre-defined network and cannot be removed", network.name))
            }
            Some(network) => {
                let active = call
                    .state
                    .containers
                    .values()
                    .any(|it| it.is_on(&network.name) && matches!(it.state, Being::Running(_)));
                if active {
                    Some(format!(
                        "error while removing network: network {} id {} has active endpoints",
                        network.name, network.id
                    ))
                } else {
                    call.state.take::<Network>(&network.name);
                    None
                }
            }
        };
        match refusal {
            None => {
                reply.changed = true;
                reply.stdout.push_str(&format!("{what}\n"));
            }
            Some(why) => {
                reply.code = 1;
                reply.stderr.push_str(&Reply::refused(why).stderr);
            }
        }
    }
    if reply.code != 0 {
        // The client says so too.
        reply.stderr.push_str("exit status 1\n");
    }
    reply
}

pub(super) fn networks(call: &mut Call<'_>) -> Reply {
    let mut rows = Vec::new();
    for network in call.state.networks.values() {
        let field = |name: &str| match name {
            "name" => Some(network.name.as_str()),
            "id" => Some(network.id.as_str()),
            "driver" => Some(network.driver.as_str()),
            _ => None,
        };
        match fits(call, &network.labels, field) {
            Ok(true) => rows.push(show::network_line(network, call.line.has("no-trunc"))),
            Ok(false) => {}
            Err(refused) => return refused,
        }
    }
    lines(call, &rows, "ID")
}

pub(super) fn inspect_networks(call: &mut Call<'_>) -> Reply {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for what in &call.line.rest {
        match call.state.network(what) {
            Some(network) => found.push(show::network(call.state, network)),
            None => missing.push(format!("Error response from daemon: network {what} not found")),
        }
    }
    many(call, &found, &missing)
}

pub(super) fn make_volume(call: &mut Call<'_>) -> Reply {
    let given = call.line.rest.first().map(String::as_str).or_else(|| call.line.one("name"));
    let name = given.map_or_else(|| call.state.id(), str::to_owned);
    if !is_name(&name) {
        return Reply::refused(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ));
    }
    // One that is there is left as it is, labels included.
    let new = !call.state.volumes.contains_key(&name);
    if new {
        let labels = call.line.pairs("label");
        call.state.put(Volume { name: name.clone(), created: call.now, labels });
    }
    Reply { changed: new, ..Reply::ok(format!("{name}\n")) }
}

pub(super) fn remove_volumes(call: &mut Call<'_>) -> Reply {
    let mut reply = Reply::default();
    for name in call.line.rest.clone() {
        let mounted = |it: &&super::super::state::Container| {
            it.mounts.iter().any(|mount| mount.volume && mount.source == name)
        };
        let users: Vec<String> =
            call.state.containers.values().filter(mounted).map(|it| it.id.clone()).collect();
        let refusal = if !call.state.volumes.contains_key(&name) {
            (!call.line.has("force")).then(|| format!("get {name}: no such volume"))
        } else if users.is_empty() {
            None
        } else {
            Some(format!("remove {name}: volume is in use - [{}]", users.join(", ")))
        };
        match refusal {
            None => {
                reply.changed |= call.state.take::<Volume>(&name).is_some();
                reply.stdout.push_str(&format!("{name}\n"));
            }
            Some(why) => {
                reply.code = 1;
                reply.stderr.push_str(&Reply::refused(why).stderr);
            }
        }
    }
    reply
}

pub(super) fn volumes(call: &mut Call<'_>) -> Reply {
    let mut rows = Vec::new();
    for volume in call.state.volumes.values() {
        let field = |name: &str| match name {
            "name" => Some(volume.name.as_str()),
            "driver" => Some("local"),
            _ => None,
        };
        match fits(call, &volume.labels, field) {
            Ok(true) => rows.push(show::volume_line(volume)),
            Ok(false) => {}
            Err(refused) => return refused,
        }
    }
    lines(call, &rows, "Name")
}

pub(super) fn inspect_volumes(call: &mut Call<'_>) -> Reply {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for what in &call.line.rest {
        match call.state.volumes.get(what) {
            Some(volume) => found.push(show::volume(volume)),
            None => missing.push(format!("Error response from daemon: get {what}: no such volume")),
        }
    }
    many(call, &found, &missing)
}

pub(super) fn images(call: &mut Call<'_>) -> Reply {
    let full = call.line.has("no-trunc");
    let rows = call.state.images.values().flat_map(|it| show::image_lines(it, full, call.now));
    let rows: Vec<Value> = rows.collect();
    lines(call, &rows, "ID")
}

pub(super) fn inspect_images(call: &mut Call<'_>) -> Reply {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for what in &call.line.rest {
        match call.state.image(what) {
            Some(image) => found.push(show::image(image)),
            None => missing.push(format!(
                "Error response from daemon: no such image: {what}: No such image: {}",
                with_tag(what)
            )),
        }
    }
    many(call, &found, &missing)
}

pub(super) fn pull_image(call: &mut Call<'_>) -> Reply {
    let [name] = call.line.rest.as_slice() else { return one_argument("pull", "NAME[:TAG|@DIGEST]") };
    let name = name.clone();
    let new = call.state.image(&name).is_none();
    if new {
        run::pull(call.state, &name, call.now);
    }
    Reply { changed: new, ..Reply::ok(format!("{}\n", with_tag(&name))) }
}

pub(super) fn remove_images(call: &mut Call<'_>) -> Reply {
    let mut reply = Reply::default();
    for what in call.line.rest.clone() {
        let full = with_tag(&what);
        let Some(image) = call.state.image(&what).cloned() else {
            reply.code = 1;
            reply.stderr.push_str(&Reply::refused(format!("No such image: {full}")).stderr);
            continue;
        };
        let user = call.state.containers.values().find(|it| it.image_id == image.id).map(|it| it.id.clone());
        if let Some(user) = user.filter(|_| !call.line.has("force")) {
            reply.code = 1;
            let why = format!(
                "conflict: unable to remove repository reference \"{what}\" (must force) - container {} is using its referenced image {}",
                &user[..12],
                &image.id[..12]
            );
            reply.stderr.push_str(&Reply::refused(why).stderr);
            continue;
        }
        call.state.take::<Image>(&image.id);
        reply.changed = true;
        reply.stdout.push_str(&format!("Untagged: {full}\nDeleted: sha256:{}\n", image.id));
    }
    reply
}
