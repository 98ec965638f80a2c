//! The container engine, as its client answers: the commands that a provider of clusters calls.
//!
//! | room | what it holds |
//! |---|---|
//! | `run` | `run` and `create` |
//! | `things` | networks, volumes, images |
//! | `show` | documents as the engine shows them |
//! | `machine` | the engine and its machine |

mod machine;
mod run;
mod show;
mod things;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    reply::Reply,
    state::{Being, Container, Labels, State},
    words::{Flag, Line, formatted},
};

pub(super) use run::pull;

/// What a command was called with.
pub(super) struct Call<'a> {
    pub state: &'a mut State,
    pub line: Line,
    pub now: Timestamp,
}

/// A command: its words, the flags that it takes, whether a program's words follow, what it does.
type Command = (&'static str, &'static [Flag], bool, fn(&mut Call<'_>) -> Reply);

const SHOWN: &[Flag] = &[("format,f", true), ("size,s", false), ("type", true)];
const LISTED: &[Flag] = &[
    ("all,a", false),
    ("quiet,q", false),
    ("no-trunc", false),
    ("format", true),
    ("filter,f", true),
    ("last,n", true),
    ("size,s", false),
];
const REMOVED: &[Flag] = &[("force,f", false), ("volumes,v", false), ("link,l", false)];
const MADE: &[Flag] = &[
    ("driver,d", true),
    ("label", true),
    ("opt,o", true),
    ("subnet", true),
    ("gateway", true),
    ("ipv6", false),
    ("internal", false),
    ("name", true),
];
const STOPPED: &[Flag] = &[("time,t", true), ("timeout", true), ("signal,s", true)];
const PULLED: &[Flag] = &[("quiet,q", false), ("platform", true)];

const COMMANDS: &[Command] = &[
    ("version", SHOWN, false, |call| one(call, &machine::version(&call.state.machine))),
    ("info", SHOWN, false, |call| {
        let info = machine::info(call.state);
        one(call, &info)
    }),
    ("context inspect", SHOWN, false, |call| one(call, &machine::context())),
    ("ps", LISTED, false, list),
    ("inspect", SHOWN, false, inspect),
    ("run", run::FLAGS, true, |call| run::run(call.state, &call.line, true, call.now)),
    ("create", run::FLAGS, true, |call| run::run(call.state, &call.line, false, call.now)),
    ("start", &[("attach,a", false)], false, |call| each(call, "start", start_one)),
    ("stop", STOPPED, false, |call| each(call, "stop", |call, id| stop_one(call, id, 0))),
    ("kill", STOPPED, false, |call| each(call, "kill", |call, id| stop_one(call, id, 137))),
    ("restart", STOPPED, false, |call| {
        each(call, "restart", |call, id| stop_one(call, id, 0).and_then(|_| start_one(call, id)))
    }),
    ("rm", REMOVED, false, |call| each(call, "rm", remove_one)),
    ("port", &[], false, ports),
    ("logs", &[("follow,f", false), ("tail,n", true), ("timestamps,t", false), ("since", true)], false, logs),
    ("network create", MADE, false, things::make_network),
    ("network rm", REMOVED, false, things::remove_networks),
    ("network connect", &[("alias", true), ("ip", true)], false, |call| things::connect(call, true)),
    ("network disconnect", &[("force,f", false)], false, |call| things::connect(call, false)),
    ("network ls", LISTED, false, things::networks),
    ("network inspect", SHOWN, false, things::inspect_networks),
    ("volume create", MADE, false, things::make_volume),
    ("volume rm", REMOVED, false, things::remove_volumes),
    ("volume ls", LISTED, false, things::volumes),
    ("volume inspect", SHOWN, false, things::inspect_volumes),
    ("images", LISTED, false, things::images),
    ("image inspect", SHOWN, false, things::inspect_images),
    ("pull", PULLED, false, things::pull_image),
    ("rmi", REMOVED, false, things::remove_images),
];

/// Other words for the same commands.
const ALSO: &[(&str, &str)] = &[
    ("container ls", "ps"),
    ("container ps", "ps"),
    ("container list", "ps"),
    ("network remove", "network rm"),
    ("network list", "network ls"),
    ("volume remove", "volume rm"),
    ("volume list", "volume ls"),
    ("image ls", "images"),
    ("image pull", "pull"),
    ("image rm", "rmi"),
    ("system info", "info"),
];

/// Finds what is called: its name, and how many words it takes.
pub(super) fn command(words: &[String]) -> Option<(&'static Command, usize)> {
    let two = words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let named = |name: &str| COMMANDS.iter().find(|it| it.0 == name);
    let also = |name: &str| ALSO.iter().find(|(it, _)| *it == name).and_then(|(_, is)| named(is));
    let of_container =
        || two.strip_prefix("container ").and_then(|name| named(name).filter(|it| !it.0.contains(' ')));
    let two_words = named(&two).filter(|it| it.0.contains(' ')).or_else(|| also(&two)).or_else(of_container);
    two_words.map(|it| (it, 2)).or_else(|| Some((named(words.first()?)?, 1)))
}

/// Answers a command line of the engine's client.
pub(super) fn answer(state: &mut State, words: &[String], now: Timestamp) -> Reply {
    let Some(((name, flags, stops, act), taken)) = command(words) else {
        let word = words.first().map_or("", String::as_str);
        return Reply::failed(
            1,
            format!("docker: unknown command: docker {word}\n\nRun 'docker --help' for more information\n"),
        );
    };
    let line = match Line::read(&words[taken..], flags, *stops) {
        Ok(line) => line,
        Err(unread) => {
            return misused(name, &unread.words());
        }
    };
    if let Some(filter) = line.all("filter").find(|filter| !filter.contains('=')) {
        let words = format!(
            "invalid argument \"{filter}\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"
        );
        return misused(name, &words);
    }
    act(&mut Call { state, line, now })
}

/// Flags that cannot be read.
fn misused(command: &str, words: &str) -> Reply {
    let usage =
        format!("Usage:  docker {command} [OPTIONS]\n\nRun 'docker {command} --help' for more information\n");
    Reply::failed(125, format!("{words}\n\n{usage}"))
}

/// A document, as it is to be shown.
fn one(call: &Call<'_>, document: &Value) -> Reply {
    match formatted(call.line.one("format").unwrap_or("json"), document) {
        Some(text) => Reply::ok(text + "\n"),
        None => unshown(),
    }
}

fn unshown() -> Reply {
    Reply::failed(1, "template parsing error: the sandbox shows `json`, fields and `index` only\n")
}

/// Several documents that were asked for by name; what is not there is said after those that are.
fn many(call: &Call<'_>, found: &[Value], missing: &[String]) -> Reply {
    let mut text = String::new();
    match call.line.one("format") {
        None => text = format!("{}\n", serde_json::to_string_pretty(found).unwrap_or_default()),
        Some("json") => text = format!("{}\n", Value::from(found.to_vec())),
        Some(template) => {
            for document in found {
                match formatted(template, document) {
                    Some(line) => text.push_str(&(line + "\n")),
                    None => return unshown(),
                }
            }
        }
    }
    let stderr: String = missing.iter().map(|why| format!("{why}\n")).collect();
    Reply { code: i32::from(!missing.is_empty()), stdout: text, stderr, changed: false }
}

/// Lines of a list: ids or names when it is to be quiet, documents as a template shows them, else a table.
fn lines(call: &Call<'_>, rows: &[Value], word: &str) -> Reply {
    let mut text = String::new();
    let key = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    for row in rows {
        let line = match (call.line.has("quiet"), call.line.one("format")) {
            (true, _) => Some(key(row, word)),
            (false, Some(template)) => formatted(template, row),
            (false, None) => Some(format!(
                "{}   {}",
                key(row, word),
                key(row, if word == "ID" { "Names" } else { "Driver" })
            )),
        };
        match line {
            Some(line) => text.push_str(&(line + "\n")),
            None => return unshown(),
        }
    }
    Reply::ok(text)
}

/// Whether something fits all filters. `field` says what it has under a filter's name.
fn fits<'a>(
    call: &Call<'_>,
    labels: &Labels,
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<bool, Reply> {
    let mut all = true;
    let mut of_a_kind: std::collections::BTreeMap<&str, bool> = std::collections::BTreeMap::new();
    for filter in call.line.all("filter") {
        let Some((name, value)) = filter.split_once('=') else { continue };
        if name == "label" {
            let (key, wanted) =
                value.split_once('=').map_or((value, None), |(key, value)| (key, Some(value)));
            all &= labels.get(key).is_some_and(|has| wanted.is_none_or(|wanted| has == wanted));
            continue;
        }
        let Some(has) = field(name) else {
            return Err(Reply::refused(format!("invalid filter '{name}'")));
        };
        let met = match name {
            // A pattern, of which only the anchors are understood.
            "name" => {
                let plain = value.trim_start_matches('^').trim_start_matches('/').trim_end_matches('$');
                match (value.starts_with('^'), value.ends_with('$')) {
                    (true, true) => has == plain,
                    (true, false) => has.starts_with(plain),
                    (false, true) => has.ends_with(plain),
                    (false, false) => has.contains(plain),
                }
            }
            "id" => has.starts_with(value),
            _ => has == value,
        };
        // Several filters of one name: any of them; of different names: all.
        *of_a_kind.entry(name).or_default() |= met;
    }
    Ok(all && of_a_kind.values().all(|met| *met))
}

fn list(call: &mut Call<'_>) -> Reply {
    let mut shown: Vec<&Container> = Vec::new();
    for container in call.state.containers.values() {
        let status = match container.state {
            Being::Created => "created",
            Being::Running(_) => "running",
            Being::Exited { .. } => "exited",
        };
        let field = |name: &str| match name {
            "name" => Some(container.name.as_str()),
            "id" => Some(container.id.as_str()),
            "status" => Some(status),
            "network" => Some(container.network.as_str()),
            "ancestor" => Some(container.image.as_str()),
            _ => None,
        };
        let asked = call.line.all("filter").any(|filter| filter.starts_with("status="));
        match fits(call, &container.labels, field) {
            Ok(true) if call.line.has("all") || asked || status == "running" => shown.push(container),
            Ok(_) => {}
            Err(refused) => return refused,
        }
    }
    // The newest first.
    shown.sort_by(|one, other| (other.created, &one.name).cmp(&(one.created, &other.name)));
    let full = call.line.has("no-trunc");
    let rows: Vec<Value> = shown.into_iter().map(|it| show::container_line(it, full, call.now)).collect();
    lines(call, &rows, "ID")
}

fn inspect(call: &mut Call<'_>) -> Reply {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let kind = call.line.one("type").unwrap_or_default();
    for what in &call.line.rest {
        let container = call.state.container(what).map(|it| show::container(call.state, it));
        let any = || things::any(call.state, what).filter(|_| kind.is_empty());
        match container.filter(|_| matches!(kind, "" | "container")).or_else(any) {
            Some(document) => found.push(document),
            None if kind == "container" => {
                missing.push(format!("Error response from daemon: No such container: {what}"));
            }
            None => missing.push(format!("Error: No such object: {what}")),
        }
    }
    many(call, &found, &missing)
}

/// Does something with each container that is named, and says its name again.
fn each(call: &mut Call<'_>, verb: &str, act: impl Fn(&mut Call<'_>, &str) -> Result<bool, Reply>) -> Reply {
    let mut reply = Reply::default();
    let mut failed = Vec::new();
    for what in call.line.rest.clone() {
        let id = call.state.container(&what).map(|it| it.id.clone());
        let done = match id {
            Some(id) => act(call, &id),
            None if verb == "kill" => {
                Err(Reply::refused(format!("Cannot kill container: {what}: No such container: {what}")))
            }
            None => Err(Reply::refused(format!("No such container: {what}"))),
        };
        match done {
            Ok(changed) => {
                reply.stdout.push_str(&format!("{what}\n"));
                reply.changed |= changed;
            }
            // With --force what is not there is what was wanted.
            Err(refused) => {
                let forced =
                    verb == "rm" && call.line.has("force") && refused.stderr.contains("No such container");
                reply.code = if forced { reply.code } else { 1 };
                reply.stderr.push_str(&refused.stderr);
                failed.push(what);
            }
        }
    }
    if verb == "start" && !failed.is_empty() {
        reply.stderr.push_str(&format!("Error: failed to start containers: {}\n", failed.join(", ")));
    }
    reply
}

fn start_one(call: &mut Call<'_>, id: &str) -> Result<bool, Reply> {
    run::start(call.state, id, call.now)
}

#[expect(clippy::unnecessary_wraps, reason = "one of several acts, of which others fail")]
fn stop_one(call: &mut Call<'_>, id: &str, code: i32) -> Result<bool, Reply> {
    let running = call.state.containers.get(id).is_some_and(|it| matches!(it.state, Being::Running(_)));
    run::end(call.state, id, code, call.now);
    Ok(running)
}

fn remove_one(call: &mut Call<'_>, id: &str) -> Result<bool, Reply> {
    let running = call.state.containers.get(id).filter(|it| matches!(it.state, Being::Running(_)));
    if let Some(container) = running
        && !call.line.has("force")
    {
        return Err(Reply::refused(format!(
            "cannot remove container \"/{}\": container is running: stop the container before removing or force remove",
            container.name
        )));
    }
    Ok(call.state.take::<Container>(id).is_some())
}

fn ports(call: &mut Call<'_>) -> Reply {
    let what = call.line.rest.first().cloned().unwrap_or_default();
    let Some(container) = call.state.container(&what) else {
        return Reply::refused(format!("No such container: {what}"));
    };
    let lines = container.ports.iter().flat_map(|port| {
        let word = format!("{}/{}", port.container, port.protocol);
        show::port_line(port)
            .into_iter()
            .map(move |line| format!("{word} -> {}\n", line.split("->").next().unwrap_or_default()))
    });
    Reply::ok(lines.collect::<String>())
}

fn logs(call: &mut Call<'_>) -> Reply {
    let what = call.line.rest.first().cloned().unwrap_or_default();
    match call.state.container(&what) {
        Some(container) => Reply::ok(format!("container {} is imitated by the sandbox\n", container.name)),
        None => Reply::refused(format!("No such container: {what}")),
    }
}

/// Whether a container, network or volume may be called so.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good)
}

/// The id of an image that is pulled: a function of its name, which is all that is known of it.
pub(super) fn image_of(name: &str) -> String {
    match name.split_once("@sha256:") {
        Some((_, digest)) => digest.to_owned(),
        None => hex::encode(Sha256::digest(name)),
    }
}
