//! What every node has without pulling it: images of the engine, and of archives.

use std::time::Duration;

use platform_provider::{Ensured, Observation, Ownership, Thing, progress};
use platform_spec::{Class, Code, Failure};
use serde::Deserialize;
use serde_json::json;

use crate::{
    archive::{self, Loaded},
    config::Archive,
    engine::{Container, Engine},
    graph::IMAGES,
    job::Job,
    parts::deed,
    programs::Who,
    refusal::Refusal,
    wish::Wish,
};

/// A gigabyte takes half a minute on each node.
const LOADING: Duration = Duration::from_secs(290);

#[derive(Deserialize)]
struct OnNode {
    images: Vec<Image>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    #[serde(default)]
    id: String,
    #[serde(default)]
    repo_tags: Vec<String>,
    #[serde(default)]
    repo_digests: Vec<String>,
}

/// What nodes are to have.
struct Wanted {
    /// Where it comes from: the name of an image, or the path of an archive.
    from: String,
    is_archive: bool,
    /// As it is named on nodes.
    names: Vec<String>,
    /// As it is known there; of an image of the engine only the engine knows it, and it has other words for it.
    id: Option<String>,
}

impl Wanted {
    fn is_in(&self, node: &OnNode) -> bool {
        let has = |image: &Image, name: &String| {
            image.repo_tags.contains(name) || image.repo_digests.contains(name)
        };
        let is = |image: &&Image| {
            self.id.as_ref().is_none_or(|id| image.id == *id)
                && self.names.iter().all(|name| has(image, name))
        };
        node.images.iter().any(|image| is(&image))
    }
}

/// What nodes are to have.
///
/// # Errors
/// P1044 when an archive cannot be read.
fn wanted(wish: &Wish<'_>, loaded: &[Loaded], deed: &str) -> Result<Vec<Wanted>, Failure> {
    let images = &wish.config.images;
    let named = images.names.iter().map(|name| Wanted {
        from: name.clone(),
        is_archive: false,
        names: vec![full(name)],
        id: None,
    });
    let mut all: Vec<Wanted> = named.collect();
    for file in &images.archives {
        let held = archive::known(file, loaded, deed)?;
        all.extend(held.into_iter().map(|held| Wanted {
            from: file.path.display().to_string(),
            is_archive: true,
            names: held.names.iter().map(|name| full(name)).collect(),
            id: Some(held.id),
        }));
    }
    Ok(all)
}

/// What is wrong with the archives before anything is changed. `loaded` is what nodes that are there have of them.
pub(crate) fn ahead(wish: &Wish<'_>, loaded: &[Loaded]) -> Vec<Failure> {
    let deed = deed("load", IMAGES, wish);
    let archives = wish.config.images.archives.iter();
    let is_read = |file: &Archive| archive::known(file, loaded, &deed).is_ok() && !file.path.exists();
    archives
        .filter(|file| !is_read(file))
        .filter_map(|file| archive::check(file, &deed).and_then(|()| archive::images(file, &deed)).err())
        .collect()
}

/// Where that comes from which some node lacks: images, and archives.
async fn lacking<'a>(
    wanted: &'a [Wanted],
    engine: &Engine<'_>,
    nodes: &[&Container],
) -> Result<Vec<&'a Wanted>, Refusal> {
    let mut lacking: Vec<&Wanted> = Vec::new();
    for node in nodes {
        let answer = engine.exec(node.name(), &["crictl", "images", "--output", "json"]).await?;
        let there: OnNode =
            serde_json::from_str(&answer).map_err(|error| Refusal::unreadable(engine.door, error))?;
        lacking.extend(wanted.iter().filter(|wanted| !wanted.is_in(&there)));
    }
    lacking.sort_by(|a, b| a.from.cmp(&b.from));
    lacking.dedup_by(|a, b| a.from == b.from);
    Ok(lacking)
}

/// An image's name with all that may be left out.
fn full(name: &str) -> String {
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, format!(":{tag}")),
        _ => (name, ":latest".to_owned()),
    };
    let tag = if name.contains('@') { &name[path.len()..] } else { &tag };
    match path.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => format!("{path}{tag}"),
        Some(_) => format!("docker.io/{path}{tag}"),
        None => format!("docker.io/library/{path}{tag}"),
    }
}

fn machines(nodes: &[Container]) -> Vec<&Container> {
    nodes.iter().filter(|node| node.is_node() && node.is_running()).collect()
}

/// Images on every node. They live and go with the nodes.
pub(crate) async fn look(
    wish: &Wish<'_>,
    engine: &Engine<'_>,
    nodes: &[Container],
    job: &Job,
) -> Result<Observation, Failure> {
    let deed = deed("look at", IMAGES, wish);
    let refused = |refusal: Refusal| refusal.failed(&deed);
    let machines = machines(nodes);
    let Some(first) = machines.iter().find(|node| node.is_control_plane()) else {
        return Ok(Observation::Absent);
    };
    let images = &wish.config.images;
    let paths: Vec<_> = images.archives.iter().map(|archive| &archive.path).collect();
    let outputs = json!({ "names": images.names, "archives": paths });
    let thing = Thing { external_id: first.id.clone(), ownership: Ownership::Owned, outputs };
    // Whoever removes the nodes has no use for an archive; whoever makes them hears of it then.
    let wanted = match wanted(wish, &job.loaded(), &deed) {
        Ok(wanted) => wanted,
        Err(failure) => {
            let how = failure.causes.first().cloned().unwrap_or(failure.message);
            return Ok(Observation::Present { thing, differs: Some(how) });
        }
    };
    let lacking = lacking(&wanted, engine, &machines).await.map_err(refused)?;
    let from: Vec<&str> = lacking.iter().map(|it| it.from.as_str()).collect();
    if !lacking.is_empty() && from.len() == images.names.len() + images.archives.len() {
        return Ok(Observation::Absent);
    }
    let differs = (!lacking.is_empty()).then(|| format!("a node lacks {}", from.join(", ")));
    Ok(Observation::Present { thing, differs })
}

/// Loads what some node lacks.
pub(crate) async fn load(
    wish: &Wish<'_>,
    engine: &Engine<'_>,
    nodes: &[Container],
    job: &Job,
) -> Result<Ensured, Failure> {
    let deed = deed("load", IMAGES, wish);
    let refused = |refusal: Refusal| refusal.failed(&deed);
    let known = job.loaded();
    let wanted = wanted(wish, &known, &deed)?;
    let lacking = lacking(&wanted, engine, &machines(nodes)).await.map_err(refused)?;
    for (verb, is_archive) in [("docker-image", false), ("image-archive", true)] {
        let from: Vec<String> =
            lacking.iter().filter(|it| it.is_archive == is_archive).map(|it| it.from.clone()).collect();
        if from.is_empty() {
            continue;
        }
        for file in
            wish.config.images.archives.iter().filter(|it| from.contains(&it.path.display().to_string()))
        {
            archive::check(file, &deed).and_then(|()| archive::images(file, &deed))?;
        }
        progress::say(&format!("loading {}", from.join(", ")));
        let mut arguments = ["load", verb, "--name", &wish.stem()].map(str::to_owned).to_vec();
        arguments.extend(from);
        let ended = engine.door.run_within(Who::Kind, &arguments, LOADING).await;
        let ended = ended.map_err(|no_answer| refused(Refusal::silent(engine.door, Who::Kind, no_answer)))?;
        if ended.code != Some(0) {
            return Err(refused(Refusal::of(engine.door, Who::Kind, &ended)));
        }
    }
    match look(wish, engine, nodes, job).await? {
        Observation::Present { thing, differs: None } => {
            let archives = wish.config.images.archives.iter();
            let now = archives.map(|file| {
                let held = archive::known(file, &known, &deed)?;
                Ok(Loaded { archive: file.clone(), held })
            });
            let now: Vec<Loaded> = now.collect::<Result<_, Failure>>()?;
            // Where it cannot be remembered the files have to stay, as they would without.
            let _unremembered = job.remember_loaded(&now);
            Ok(Ensured::Done { thing, changed: !lacking.is_empty() })
        }
        other => Err(Failure::new(Code::new("P1012"), Class::Retryable, &deed)
            .because(format!("kind has loaded them, and looking says {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_there_by_its_names_and_by_what_it_is() {
        let node: OnNode = serde_json::from_value(json!({ "images": [
            { "id": "sha256:abc", "repoTags": ["docker.io/library/a:1"], "repoDigests": [] },
            { "id": "sha256:old", "repoTags": ["docker.io/library/b:1"] },
        ] }))
        .expect("a list");
        let wanted = |names: &[&str], id: Option<&str>| Wanted {
            from: "x".into(),
            is_archive: id.is_some(),
            names: names.iter().map(|name| full(name)).collect(),
            id: id.map(str::to_owned),
        };
        assert!(wanted(&["a:1"], None).is_in(&node) && wanted(&["a:1"], Some("sha256:abc")).is_in(&node));
        assert!(wanted(&[], Some("sha256:abc")).is_in(&node));
        assert!(!wanted(&["b:1"], Some("sha256:new")).is_in(&node), "another image of that name");
        assert!(!wanted(&["a:1", "a:2"], Some("sha256:abc")).is_in(&node), "a name is missing");
    }

    #[test]
    fn images_are_known_by_their_whole_names() {
        let cases = [
            ("redis", "docker.io/library/redis:latest"),
            ("redis:8", "docker.io/library/redis:8"),
            ("ada/app:1", "docker.io/ada/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("quay.io/a/b:v1", "quay.io/a/b:v1"),
        ];
        for (name, want) in cases {
            assert_eq!(full(name), want);
        }
    }
}
