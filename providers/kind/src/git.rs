//! The Git server beside a cluster: a container that serves the bare repositories of a folder of this machine, to be read. It is
//! made when the spec has Argo CD pull from a folder and names no address at which pods reach it.
//!
//! It speaks Git's own protocol and has no port on this machine: only what is on the cluster's network reaches it. Whoever
//! pushes does so to the folder.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::MetadataExt,
    time::{SystemTime, UNIX_EPOCH},
};

use fs_err as fs;
use platform_provider::{Ensured, GitFolder, Observation, Ownership, Thing, Wait, progress};
use platform_spec::{Class, Code, Failure};
use serde_json::json;

use crate::{
    engine::{Container, Engine, labelled, words},
    facts::About,
    graph::GIT,
    parts::{deed, taken},
    refusal::{Refusal, Why},
    wish::{DIGEST_LABEL, Wish},
};

/// Where the folder is in the container.
const BASE: &str = "/srv/git";

/// A repository that nobody has: to be refused it is an answer, too.
const NOBODYS: &str = "git://127.0.0.1/platform-asks";

/// How soon it is looked at again, in milliseconds: it answers a moment after it was started.
const SOON_MS: u64 = 200;

/// The server that is asked for.
struct Asked<'a> {
    folder: &'a GitFolder,
    image: &'a str,
}

fn asked<'a>(wish: &'a Wish<'_>) -> Option<Asked<'a>> {
    let folder = wish.request.git.as_ref()?;
    Some(Asked { folder, image: wish.config.git_server.image.as_deref().unwrap_or(&folder.image) })
}

impl Asked<'_> {
    /// All that it is made from, in a word. A container sees the folder that was there when it was started, and not another that
    /// somebody has put in its place since.
    fn recipe(&self) -> io::Result<String> {
        let Self { folder, image } = self;
        let there = fs::metadata(&folder.path)?;
        let since = |made: SystemTime| made.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let made = there.created().map_or(0, since);
        Ok(format!("{image}|{}|{}@{made}", folder.path, there.ino()))
    }
}

/// Below which URL pods pull: nodes answer for names of the engine's network, and their DNS server asks them.
pub(crate) fn place(wish: &Wish<'_>) -> Option<String> {
    wish.request.git.as_ref().map(|_| format!("git://{}", wish.beside(GIT)))
}

/// What keeps the folder from being brought to pods, found on this machine.
pub(crate) fn ahead(wish: &Wish<'_>) -> Option<Failure> {
    let folder = wish.request.git.as_ref()?;
    let why = match fs::metadata(&folder.path) {
        Ok(there) if there.is_dir() => return None,
        Ok(_) => format!("`{}` is no folder", folder.path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    Some(not_brought(wish, folder).because(why))
}

/// An engine on another machine does not have the folder.
pub(crate) fn is_elsewhere(wish: &Wish<'_>, folder: &GitFolder, place: &str) -> Failure {
    not_brought(wish, folder)
        .because(format!("the Docker engine is at {place}, and the folder is on this machine"))
        .hint("or choose the engine of this machine: `docker context use default`, `unset DOCKER_HOST`")
}

fn not_brought(wish: &Wish<'_>, folder: &GitFolder) -> Failure {
    let deed = format!(
        "the Git repositories in `{}` cannot be brought to the pods of cluster `{}`",
        folder.path, wish.request.cluster
    );
    Failure::new(Code::new("P1050"), Class::Config, deed)
        .hint("name a Git server that pods reach: `git.server.inClusterUrl`, and `url` if it is another")
}

pub(crate) async fn look(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Observation, Refusal> {
    let found = engine.container(&wish.beside(GIT)).await?.filter(|found| wish.is_ours(found.labels()));
    let Some(found) = found else { return Ok(Observation::Absent) };
    let asked = asked(wish);
    let is_another = |asked: &Asked<'_>| asked.recipe().ok().as_ref() != found.labels().get(DIGEST_LABEL);
    let differs = if asked.as_ref().is_some_and(is_another) {
        Some("it was made from another image, or serves another folder".to_owned())
    } else if found.was_never_started() {
        Some("it was begun, and never finished".to_owned())
    } else if found.is_restarting() {
        let logs = format!("`{} logs {}`", engine.door.engine, found.name());
        let why = format!("its server ends as soon as it was started: {logs} says why");
        return Ok(Observation::Broken { why });
    } else if !found.is_running() {
        Some("it stands still".to_owned())
    } else {
        if asked.is_some()
            && let Some(silence) = silence(&found, engine).await?
        {
            return Ok(Observation::InProgress(waiting(&found.id, &silence)));
        }
        None
    };
    Ok(Observation::Present { thing: thing(&found, wish), differs })
}

fn thing(found: &Container, wish: &Wish<'_>) -> Thing {
    let outputs = json!({
        "id": found.id,
        "name": found.name(),
        "url": place(wish),
        "folder": wish.request.git.as_ref().map(|folder| &folder.path),
    });
    Thing { external_id: found.id.clone(), ownership: Ownership::Owned, outputs }
}

fn waiting(id: &str, silence: &str) -> Wait {
    let waiting_for = format!("the Git server to answer: {silence}");
    Wait { operation: json!({ "start": id }), waiting_for, poll_after_ms: SOON_MS }
}

/// Why its server does not answer; `None` when it does. Asked from inside: only the cluster reaches it.
async fn silence(found: &Container, engine: &Engine<'_>) -> Result<Option<String>, Refusal> {
    match engine.exec(&found.id, &["git", "ls-remote", NOBODYS]).await {
        Ok(_) => Ok(None),
        Err(refusal) if refusal.words.contains("remote error") => Ok(None),
        Err(refusal) if matches!(refusal.why, Why::Other | Why::NotThere) => {
            // Also what the client in the container says of a server that does not listen yet.
            Ok(Some(refusal.words))
        }
        Err(refusal) => Err(refusal),
    }
}

pub(crate) async fn make(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Ensured, Failure> {
    let refused = |refusal: Refusal| refusal.failed(deed("make", GIT, wish));
    let Some(asked) = asked(wish) else {
        return Err(Failure::new(Code::new("P0216"), Class::Bug, deed("make", GIT, wish))
            .because("nobody asked for one"));
    };
    // An engine that were told of a folder that is not there would make it, as root.
    let recipe = fs::create_dir_all(&asked.folder.path).and_then(|()| asked.recipe());
    let recipe = recipe.map_err(|error| not_brought(wish, asked.folder).caused_by(&error))?;
    let name = wish.beside(GIT);
    let begun = |id: &str| Ok(Ensured::InProgress(waiting(id, "it was just started")));
    match engine.container(&name).await.map_err(refused)? {
        Some(found) if !wish.is_ours(found.labels()) => return Err(taken("container", &name, GIT, wish)),
        // It holds nothing.
        Some(found) if found.was_never_started() || found.labels().get(DIGEST_LABEL) != Some(&recipe) => {
            engine.remove_containers(&[found.id]).await.map_err(refused)?;
        }
        Some(found) if found.is_restarting() => {
            return Err(does_not_serve(wish, engine, &asked).because(format!(
                "container `{name}`, of `{}`, ends as soon as it was started",
                found.image()
            )));
        }
        Some(found) if found.is_running() => {
            return match silence(&found, engine).await.map_err(refused)? {
                Some(silence) => Ok(Ensured::InProgress(waiting(&found.id, &silence))),
                None => Ok(Ensured::Done { thing: thing(&found, wish), changed: false }),
            };
        }
        Some(found) => {
            engine.start(std::slice::from_ref(&found.id)).await.map_err(refused)?;
            return begun(&found.id);
        }
        None => {}
    }
    progress::say(&format!("starting a Git server, of {}", asked.image));
    let id = create(wish, &asked, &recipe, engine).await.map_err(|refusal| match refusal.why {
        Why::NoImage | Why::BadImage => {
            refused(refusal).hint("`gitServer.image` in the provider's `config` names another")
        }
        _ => refused(refusal),
    })?;
    match engine.start(std::slice::from_ref(&id)).await {
        Ok(()) => begun(&id),
        // What an engine says of an image without the program.
        Err(refusal) if matches!(refusal.why, Why::Other | Why::NotThere) => {
            Err(does_not_serve(wish, engine, &asked).because(refusal.words))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn does_not_serve(wish: &Wish<'_>, engine: &Engine<'_>, asked: &Asked<'_>) -> Failure {
    let image = asked.image;
    Failure::new(Code::new("P1051"), Class::Config, deed("make", GIT, wish))
        .hint(format!("see why: `{} logs {}`", engine.door.engine, wish.beside(GIT)))
        .hint(format!("`gitServer.image` in the provider's `config` names another than `{image}`; it has `git` and its `git daemon`"))
}

/// Makes the container, which is not started; its id.
async fn create(
    wish: &Wish<'_>,
    asked: &Asked<'_>,
    recipe: &str,
    engine: &Engine<'_>,
) -> Result<String, Refusal> {
    let about = engine.about("info").await?;
    let about =
        About::read(&engine.door.engine, about).map_err(|error| Refusal::unreadable(engine.door, error))?;
    let name = wish.beside(GIT);
    let mut labels: BTreeMap<String, String> = wish.labels(GIT);
    labels.insert(DIGEST_LABEL.to_owned(), recipe.to_owned());
    let mut arguments =
        words(&["--name", &name, "--network", &wish.network(), "--restart", "unless-stopped"]);
    arguments.extend(labelled(&labels));
    arguments.extend(["--user".to_owned(), user(&asked.folder.path, &about)]);
    arguments.extend(words(&["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]));
    if about.has("selinux") {
        // Other labels would have to be written to the folder, which is its owner's.
        arguments.extend(words(&["--security-opt", "label=disable"]));
    }
    // Git serves no repository of another owner, and not every engine shows owners as they are.
    for (key, value) in [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")] {
        arguments.extend(["--env".to_owned(), format!("GIT_CONFIG_{key}={value}")]);
    }
    // The value is a line of CSV.
    let source = format!("source={}", asked.folder.path).replace('"', "\"\"");
    arguments.extend(["--mount".to_owned(), format!("type=bind,\"{source}\",target={BASE},readonly")]);
    arguments.extend(words(&["--entrypoint", "git", asked.image, "daemon", "--reuseaddr", "--export-all"]));
    arguments.extend([format!("--base-path={BASE}"), BASE.to_owned()]);
    engine.create(&arguments).await
}

/// Who may read the folder. Where the engine runs without root, its root is whoever started it.
fn user(folder: &str, about: &About) -> String {
    match fs::metadata(folder) {
        Ok(there) if !about.has("rootless") => format!("{}:{}", there.uid(), there.gid()),
        _ => "0:0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use platform_provider::ClusterRequest;

    use super::*;

    fn request(path: &str) -> ClusterRequest {
        let git = GitFolder { path: path.into(), image: "argocd:1".into() };
        ClusterRequest { git: Some(git), ..ClusterRequest::new("demo", "one", "here") }
    }

    #[test]
    fn pods_are_told_its_name_on_their_network() {
        let (with, without) = (request("/srv/git"), ClusterRequest::new("demo", "one", "here"));
        let place = |request: &ClusterRequest| place(&Wish::read(request).expect("a good request"));
        assert_eq!(place(&with).as_deref(), Some("git://demo-one-git-server"));
        assert_eq!(place(&without), None);
    }

    #[test]
    fn another_image_or_a_folder_that_was_made_anew_is_another_server() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("git").display().to_string();
        let recipe = |request: &ClusterRequest| {
            asked(&Wish::read(request).expect("a good request")).and_then(|asked| asked.recipe().ok())
        };
        let one = request(&path);
        assert_eq!(recipe(&one), None, "it is not there");
        fs::create_dir(&path).expect("made");
        let first = recipe(&one);
        assert_eq!(recipe(&one), first);
        fs::write(format!("{path}/HEAD"), "x").expect("written");
        assert_eq!(recipe(&one), first, "what is in it does not matter");
        fs::rename(&path, format!("{path}.old")).expect("moved");
        fs::create_dir(&path).expect("made");
        assert_ne!(recipe(&one), first);
        let mut other = one.clone();
        other.config = json!({ "gitServer": { "image": "git:2" } });
        assert_ne!(recipe(&other), recipe(&one));
    }

    #[test]
    fn what_is_no_folder_is_found_beforehand() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let code = |path: &std::path::Path| {
            let request = request(&path.display().to_string());
            ahead(&Wish::read(&request).expect("a good request")).map(|failure| failure.code.to_string())
        };
        assert_eq!(code(&file).as_deref(), Some("P1050"));
        assert_eq!((code(dir.path()), code(&dir.path().join("new"))), (None, None));
    }

    #[test]
    fn it_runs_as_whoever_may_read_the_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let there = fs::metadata(dir.path()).expect("there");
        let path = dir.path().display().to_string();
        assert_eq!(user(&path, &About::default()), format!("{}:{}", there.uid(), there.gid()));
        let rootless = About { security_options: Some(vec!["name=rootless".into()]), ..About::default() };
        assert_eq!(user(&path, &rootless), "0:0");
    }
}
