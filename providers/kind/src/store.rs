//! The object store beside a cluster: a container that serves S3 from a volume of its own, for backups. It is made when the
//! spec leaves the store to the cluster's surroundings.
//!
//! Its keys are made with the container and lie in a file of it: not in its environment or arguments, which the engine shows to
//! whoever asks, nor in a label, nor on this machine. Whoever needs them asks the container.

use std::{collections::BTreeMap, io};

use platform_provider::{
    Bucket, Ensured, Observation, Ownership, Removed, SecretString, Thing, Wait, progress,
};
use platform_spec::{Class, Code, Failure, model::ClusterStore};
use serde_json::json;

use crate::{
    config::ObjectStore,
    engine::{Container, Engine, labelled, words},
    graph::STORE,
    parts::{deed, taken},
    refusal::{Refusal, Why},
    wish::{DIGEST_LABEL, Wish},
};

/// Where its keys are, in the container: two lines, the key and the secret.
const KEYS: &str = "platform-keys";

/// What the container runs: the server takes its keys from its environment alone, and this is where they come into it. The
/// words behind are the bucket, the port, and the region.
const SERVE: &str = "\
set -eu
{ IFS= read -r ROOT_ACCESS_KEY; IFS= read -r ROOT_SECRET_KEY; } < /platform-keys
export ROOT_ACCESS_KEY ROOT_SECRET_KEY
mkdir -p \"/data/buckets/$1\" /data/meta
exec versitygw --port \":$2\" --region \"$3\" --health /health --quiet posix --sidecar /data/meta /data/buckets";

/// How soon it is looked at again, in milliseconds: it answers a moment after it was started.
const SOON_MS: u64 = 300;

/// The store that is asked for.
struct Asked<'a> {
    bucket: &'a Bucket,
    settings: &'a ObjectStore,
}

impl Asked<'_> {
    /// All that it is made from, in a word.
    fn recipe(&self) -> String {
        let Self { bucket, settings } = self;
        format!("{}|{}|{}|{}", settings.image, settings.port, bucket.name, bucket.region)
    }
}

fn asked<'a>(wish: &'a Wish<'_>) -> Option<Asked<'a>> {
    Some(Asked { bucket: wish.request.bucket.as_ref()?, settings: &wish.config.object_store })
}

/// Where pods reach it: nodes answer for names of the engine's network, and their DNS server asks them.
pub(crate) fn place(wish: &Wish<'_>) -> Option<ClusterStore> {
    let port = asked(wish)?.settings.port;
    Some(ClusterStore { endpoint: format!("http://{}:{port}", wish.beside(STORE)), force_path_style: true })
}

pub(crate) async fn look(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Observation, Refusal> {
    let Some(found) = own(wish, engine).await? else { return Ok(Observation::Absent) };
    let differs = match asked(wish) {
        Some(asked) if found.labels().get(DIGEST_LABEL) != Some(&asked.recipe()) => {
            Some("it was made from another image, or for another bucket".to_owned())
        }
        _ if found.was_never_started() => Some("it was begun, and never finished".to_owned()),
        _ if found.is_restarting() => {
            let why = format!(
                "its server ends as soon as it was started: `{} logs {}` says why",
                engine.door.engine,
                found.name()
            );
            return Ok(Observation::Broken { why });
        }
        _ if !found.is_running() => Some("it stands still".to_owned()),
        _ => None,
    };
    if differs.is_none()
        && let Some(asked) = asked(wish)
        && let Some(silence) = silence(&asked, &found, engine).await?
    {
        return Ok(Observation::InProgress(waiting(&found.id, &silence)));
    }
    Ok(Observation::Present { thing: thing(&found, wish), differs })
}

async fn own(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Option<Container>, Refusal> {
    let found = engine.container(&wish.beside(STORE)).await?;
    Ok(found.filter(|found| wish.is_ours(found.labels())))
}

fn thing(found: &Container, wish: &Wish<'_>) -> Thing {
    let outputs = json!({
        "id": found.id,
        "name": found.name(),
        "endpoint": place(wish).map(|place| place.endpoint),
        "bucket": wish.request.bucket.as_ref().map(|bucket| &bucket.name),
    });
    Thing { external_id: found.id.clone(), ownership: Ownership::Owned, outputs }
}

fn waiting(id: &str, silence: &str) -> Wait {
    let waiting_for = format!("the object store to answer: {silence}");
    Wait { operation: json!({ "start": id }), waiting_for, poll_after_ms: SOON_MS }
}

/// Why its server does not answer; `None` when it does. Asked from inside: only the cluster reaches it.
async fn silence(
    asked: &Asked<'_>,
    found: &Container,
    engine: &Engine<'_>,
) -> Result<Option<String>, Refusal> {
    let url = format!("http://127.0.0.1:{}/health", asked.settings.port);
    match engine.exec(&found.id, &["wget", "-q", "-O", "/dev/null", &url]).await {
        Ok(_) => Ok(None),
        Err(refusal) if matches!(refusal.why, Why::Other | Why::NotThere) => {
            // Also what the client in the container says of a server that does not listen yet.
            Ok(Some(refusal.words))
        }
        Err(refusal) => Err(refusal),
    }
}

pub(crate) async fn make(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Ensured, Failure> {
    let refused = |refusal: Refusal| refusal.failed(deed("make", STORE, wish));
    let Some(asked) = asked(wish) else {
        return Err(Failure::new(Code::new("P0216"), Class::Bug, deed("make", STORE, wish))
            .because("nobody asked for one"));
    };
    let name = wish.beside(STORE);
    let begun = |id: &str| Ok(Ensured::InProgress(waiting(id, "it was just started")));
    match engine.container(&name).await.map_err(refused)? {
        Some(found) if !wish.is_ours(found.labels()) => {
            return Err(taken("container", &name, STORE, wish));
        }
        // Its data is in the volume; new keys are handed over as the first were.
        Some(found)
            if found.was_never_started() || found.labels().get(DIGEST_LABEL) != Some(&asked.recipe()) =>
        {
            engine.remove_containers(&[found.id]).await.map_err(refused)?;
        }
        Some(found) if found.is_restarting() => return Err(ends_at_once(wish, engine, &found)),
        Some(found) if found.is_running() => {
            return match silence(&asked, &found, engine).await.map_err(refused)? {
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
    match engine.volume(&name).await.map_err(refused)? {
        Some(volume) if !wish.is_ours(&volume.labels) => return Err(taken("volume", &name, STORE, wish)),
        Some(_) => {}
        None => engine.make_volume(&name, &wish.labels(STORE)).await.map_err(refused)?,
    }
    progress::say(&format!("starting {}", asked.settings.image));
    let id = create(wish, &asked, engine).await.map_err(refused)?;
    let file = keys_file().map_err(|error| {
        Failure::new(Code::new("P1020"), Class::Bug, deed("make", STORE, wish)).caused_by(&error)
    })?;
    // Nobody can have started it yet.
    engine.unpack(&id, &file).await.map_err(refused)?;
    engine.start(std::slice::from_ref(&id)).await.map_err(refused)?;
    begun(&id)
}

fn ends_at_once(wish: &Wish<'_>, engine: &Engine<'_>, found: &Container) -> Failure {
    let image = found.image();
    Failure::new(Code::new("P1020"), Class::Config, deed("make", STORE, wish))
        .because(format!("container `{}`, of `{image}`, ends as soon as it was started", found.name()))
        .hint(format!("see why: `{} logs {}`", engine.door.engine, found.name()))
        .hint("`objectStore.image` in the provider's `config` names another image; it has `versitygw`, `sh` and `wget`")
}

/// Makes the container, which is not started; its id.
async fn create(wish: &Wish<'_>, asked: &Asked<'_>, engine: &Engine<'_>) -> Result<String, Refusal> {
    let Asked { bucket, settings } = asked;
    let name = wish.beside(STORE);
    let mut labels: BTreeMap<String, String> = wish.labels(STORE);
    labels.insert(DIGEST_LABEL.to_owned(), asked.recipe());
    let mut arguments =
        words(&["--name", &name, "--network", &wish.network(), "--restart", "unless-stopped"]);
    arguments.extend(labelled(&labels));
    // The volume and the keys are root's, whoever the image's own user is.
    arguments.extend(words(&["--user", "0:0", "--volume", &format!("{name}:/data")]));
    arguments.extend(words(&["--entrypoint", "/bin/sh", &settings.image, "-c", SERVE, "sh"]));
    arguments.extend([bucket.name.clone(), settings.port.to_string(), bucket.region.clone()]);
    engine.create(&arguments).await
}

/// New keys, as an archive that the engine unpacks in the container.
fn keys_file() -> io::Result<SecretString> {
    let (key, secret): ([u8; 10], [u8; 20]) = rand::random();
    let text = format!("{}\n{}\n", hex::encode_upper(key), hex::encode(secret));
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, KEYS, text.as_bytes())?;
    let archive = archive.into_inner()?;
    // Hex and zeros.
    String::from_utf8(archive).map(SecretString::from).map_err(io::Error::other)
}

/// The keys of the store, as `KEY:SECRET`.
pub(crate) async fn keys(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<SecretString, Failure> {
    let deed = || format!("could not get the keys of the object store of cluster `{}`", wish.request.cluster);
    let absent = |why: &str| {
        Failure::new(Code::new("P1020"), Class::NotFound, deed())
            .because(why)
            .hint("make it be as it should: `platform up`")
    };
    let found = own(wish, engine).await.map_err(|refusal| refusal.failed(deed()))?;
    let found = found.ok_or_else(|| absent("it has none"))?;
    if !found.is_running() {
        return Err(absent("its container does not run"));
    }
    let file = format!("/{KEYS}");
    let text = engine.exec(&found.id, &["cat", &file]).await;
    let text = text.map_err(|refusal| refusal.failed(deed()))?;
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(key), Some(secret)) => Ok(SecretString::from(format!("{key}:{secret}"))),
        _ => Err(absent("there are none in its container")),
    }
}

/// Emulated engines run no programs of images, and so no object store.
pub(crate) fn not_played(deed: &str) -> Failure {
    Failure::new(Code::new("P1021"), Class::Config, deed)
        .because("its backups need an object store beside it, and an emulated engine runs none")
        .hint("leave `backup` out, or try it on the sandbox itself, which has a store: `platform up`")
        .hint("leave `--sandbox` out where there is a container engine")
}

pub(crate) async fn remove(wish: &Wish<'_>, engine: &Engine<'_>) -> Result<Removed, Refusal> {
    let name = wish.beside(STORE);
    let foreign = |what: &str| Ok(Removed::Kept { why: format!("{what} `{name}` is not ours") });
    match engine.container(&name).await? {
        Some(found) if !wish.is_ours(found.labels()) => return foreign("container"),
        Some(found) => engine.remove_containers(&[found.id]).await?,
        None => {}
    }
    match engine.volume(&name).await? {
        Some(volume) if !wish.is_ours(&volume.labels) => return foreign("volume"),
        Some(volume) => engine.remove_volumes(&[volume.name]).await?,
        None => {}
    }
    Ok(Removed::Done)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use platform_provider::{ClusterRequest, ExposeSecret};

    use super::*;

    fn request() -> ClusterRequest {
        let bucket = Bucket { name: "backups".into(), region: "eu".into() };
        ClusterRequest { bucket: Some(bucket), ..ClusterRequest::new("demo", "one", "here") }
    }

    #[test]
    fn pods_are_told_its_name_on_their_network() {
        let (with, without) = (request(), ClusterRequest::new("demo", "one", "here"));
        let place = |request: &ClusterRequest| place(&Wish::read(request).expect("a good request"));
        assert_eq!(place(&with).map(|it| it.endpoint).as_deref(), Some("http://demo-one-object-store:7070"));
        assert_eq!(place(&without), None);
    }

    #[test]
    fn keys_are_new_each_time_and_only_root_reads_them() {
        let read = || {
            let file = keys_file().expect("an archive");
            let mut archive = tar::Archive::new(file.expose_secret().as_bytes());
            let mut entries = archive.entries().expect("entries");
            let mut entry = entries.next().expect("one").expect("readable");
            let (mode, owner) =
                (entry.header().mode().expect("a mode"), entry.header().uid().expect("an owner"));
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            assert_eq!((mode, owner, text.lines().count()), (0o600, 0, 2));
            text
        };
        assert_ne!(read(), read());
    }

    #[test]
    fn another_bucket_is_another_store() {
        let (one, mut other) = (request(), request());
        other.bucket = Some(Bucket { name: "others".into(), region: "eu".into() });
        let recipe = |request: &ClusterRequest| {
            asked(&Wish::read(request).expect("a good request")).map(|asked| asked.recipe())
        };
        assert_ne!(recipe(&one), recipe(&other));
        assert_eq!(recipe(&one), recipe(&request()));
    }
}
