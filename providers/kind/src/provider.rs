//! The contract's verbs.

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use platform_provider::{
    Access, Ailment, Capabilities, Claim, ClusterRequest, Description, Ensured, InventoryRequest, Kubeconfig,
    Observation, Owned, Provider, ReapCall, Removed, Resource, ResourceCall, SearchRequest, SecretString,
    describe::Need,
};
use platform_spec::{Class, Code, Failure, model::ClusterStore, report::Finding};
use serde_json::Value;

use crate::{
    ahead::{self, FIRST_NODE_MIB, Facts},
    ailing,
    cluster::ControlPlane,
    config::Config,
    engine::Engine,
    facts::{About, Machine},
    find, git,
    graph::{GIT, Part, REGISTRY},
    images,
    job::Job,
    kubeconfig::{self, Merged},
    life, neighbours, parts,
    programs::{Door, Programs, Who},
    refusal::Refusal,
    standing::Standing,
    store,
    wish::{self, Wish},
};

/// The provider `kind`. It keeps nothing in memory; what `kind` writes while it works is in a folder.
#[derive(Clone, Debug)]
pub struct Kind {
    programs: Programs,
    folder: PathBuf,
}

/// A call read once.
struct Opened<'a> {
    wish: Wish<'a>,
    door: Door,
}

impl Kind {
    /// A provider that calls `programs` and keeps locks and logs of `kind` in `folder`. That must be the same one for
    /// whoever works with the same engine as the same user, or two attempts at one cluster would not know of each other.
    pub fn new(programs: Programs, folder: PathBuf) -> Self {
        Self { programs, folder }
    }

    fn open<'a>(&self, request: &'a ClusterRequest) -> Result<Opened<'a>, Failure> {
        let wish = Wish::read(request)?;
        let door = self.programs.open(wish.config.engine.map(crate::config::Engine::as_str));
        Ok(Opened { wish, door })
    }

    fn door(&self, config: &Value) -> Result<Door, Failure> {
        let config = Config::read(config)?;
        Ok(self.programs.open(config.engine.map(crate::config::Engine::as_str)))
    }

    fn control_plane<'a>(
        &self,
        wish: &'a Wish<'a>,
        engine: &'a Engine<'a>,
        operation: &'a Value,
    ) -> ControlPlane<'a> {
        ControlPlane { wish, engine, job: Job::of(&self.folder, &wish.stem()), operation }
    }

    fn merged<'a>(&self, wish: &'a Wish<'a>) -> Merged<'a> {
        Merged::new(wish, Job::of(&self.folder, &wish.stem()))
    }

    /// What preflight is found from; what is not there at all is said at once.
    async fn facts(&self, wish: &Wish<'_>, door: &Door) -> Result<Facts, Refusal> {
        let engine = Engine { door };
        let cluster = self.control_plane(wish, &engine, &Value::Null);
        // The first one alone: it may have to start what plays the engine. The others only ask, and do not wait for
        // each other.
        let about = engine.about("info").await?;
        let network = async {
            let Some(name) = &wish.config.network else { return Ok(None) };
            Ok(engine.network(name).await?.is_none().then(|| name.clone()))
        };
        let (seen, place, kind, no_network) =
            tokio::try_join!(cluster.seen(), engine.place(), kind_version(door), network)?;
        let about = About::read(&door.engine, about).map_err(|error| Refusal::unreadable(door, error))?;
        let foreign = match seen.standing(Timestamp::now()) {
            Standing::Foreign { why } => Some(why),
            _ => None,
        };
        let machine =
            if self.programs.elsewhere { Machine::default() } else { Machine::look(&about, &wish.ports) };
        Ok(Facts {
            engine: door.engine.clone(),
            place,
            kind,
            machine,
            there: seen.ours || cluster.job.is_running().unwrap_or(false),
            foreign,
            no_network,
            about,
        })
    }
}

/// How a cluster is reached from this machine.
async fn said_by_kind(door: &Door, wish: &Wish<'_>) -> Result<SecretString, Refusal> {
    let ended = door.run(Who::Kind, &["get", "kubeconfig", "--name", &wish.stem()]).await;
    let ended = ended.map_err(|no_answer| Refusal::silent(door, Who::Kind, no_answer))?;
    match ended.code {
        Some(0) => Ok(SecretString::from(ended.stdout)),
        _ => Err(Refusal::of(door, Who::Kind, &ended)),
    }
}

async fn kind_version(door: &Door) -> Result<String, Refusal> {
    let ended = door.run(Who::Kind, &["version", "--quiet"]).await;
    let ended = ended.map_err(|no_answer| Refusal::silent(door, Who::Kind, no_answer))?;
    match ended.code {
        Some(0) => Ok(ended.stdout.trim().to_owned()),
        _ => Err(Refusal::of(door, Who::Kind, &ended)),
    }
}

#[async_trait]
impl Provider for Kind {
    async fn describe(&self) -> Result<Description, Failure> {
        let need =
            |name: &str, why: &str| Need { name: name.to_owned(), why: why.to_owned(), required: true };
        Ok(Description {
            kind: "kind".to_owned(),
            summary: "real clusters in containers of this machine, by kind".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Capabilities {
                makes_clusters: true,
                load_balancer: false,
                dns_zones: Vec::new(),
                object_store: true,
                identity: None,
                checks_epochs: false,
                sweeps: true,
                self_contained: true,
                local_node_mib: FIRST_NODE_MIB,
                emulated: false,
            },
            tools: vec![
                need("kind", "makes the clusters; 0.24 or newer"),
                need("docker", "runs their nodes; or podman, or nerdctl"),
            ],
            credentials: Vec::new(),
            config_schema: Config::schema(),
        })
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        let deed = format!("cluster `{}` cannot be made with kind", cluster.cluster);
        if self.programs.elsewhere && wish.request.bucket.is_some() {
            return Ok(vec![store::not_played(&deed).into()]);
        }
        // Both, so that a person installs both.
        let missing: Vec<Finding> = [Who::Engine, Who::Kind]
            .into_iter()
            .filter(|who| !door.is_there(*who))
            .map(|who| {
                let no_answer = crate::programs::NoAnswer::NotStarted(std::io::ErrorKind::NotFound.into());
                Refusal::silent(&door, who, no_answer).failed(&deed).into()
            })
            .collect();
        if !missing.is_empty() {
            return Ok(missing);
        }
        let mut loaded = Vec::new();
        let mut found = match self.facts(&wish, &door).await {
            Ok(facts) => {
                if facts.there {
                    loaded = Job::of(&self.folder, &wish.stem()).loaded();
                }
                ahead::findings(&wish, &facts)
            }
            // An engine that does not answer makes nothing: that is what was looked for.
            Err(refusal) => vec![refusal.failed(deed).into()],
        };
        let here = self
            .merged(&wish)
            .ahead()
            .into_iter()
            .chain(images::ahead(&wish, &loaded))
            .chain(git::ahead(&wish));
        found.extend(here.map(Finding::from));
        found.extend(self.merged(&wish).forgotten());
        Ok(found)
    }

    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        Ok(Wish::read(cluster)?.resources())
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        let Opened { wish, door } = self.open(&call.cluster)?;
        let engine = Engine { door: &door };
        let refused = |refusal: Refusal| refusal.failed(parts::deed("look at", &call.resource, &wish));
        match Part::of(&call.resource)? {
            Part::ControlPlane => self.control_plane(&wish, &engine, &call.operation).look().await,
            Part::Network => parts::look_at_network(&wish, &engine).await.map_err(refused),
            Part::Registry => parts::look_at_registry(&wish, &engine).await.map_err(refused),
            Part::Store => store::look(&wish, &engine).await.map_err(refused),
            Part::Git => git::look(&wish, &engine).await.map_err(refused),
            Part::Images => {
                let seen = self.control_plane(&wish, &engine, &Value::Null).seen().await.map_err(refused)?;
                if !seen.ours {
                    return Ok(Observation::Absent);
                }
                images::look(&wish, &engine, &seen.nodes, &Job::of(&self.folder, &wish.stem())).await
            }
            Part::Kubeconfig => self.merged(&wish).look(said_by_kind(&door, &wish).await.ok().as_ref()),
        }
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        let Opened { wish, door } = self.open(&call.cluster)?;
        let engine = Engine { door: &door };
        match Part::of(&call.resource)? {
            Part::ControlPlane => self.control_plane(&wish, &engine, &call.operation).make().await,
            Part::Network => parts::make_network(&wish, &engine).await,
            Part::Registry => parts::make_registry(&wish, &engine).await,
            Part::Store => store::make(&wish, &engine).await,
            Part::Git => git::make(&wish, &engine).await,
            Part::Images => {
                let refused = |refusal: Refusal| refusal.failed(parts::deed("load", &call.resource, &wish));
                let seen = self.control_plane(&wish, &engine, &Value::Null).seen().await.map_err(refused)?;
                images::load(&wish, &engine, &seen.nodes, &Job::of(&self.folder, &wish.stem())).await
            }
            Part::Kubeconfig => {
                let refused = |refusal: Refusal| refusal.failed(parts::deed("merge", &call.resource, &wish));
                let said = said_by_kind(&door, &wish).await.map_err(refused)?;
                self.merged(&wish).put(&said).await
            }
        }
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        let Opened { wish, door } = self.open(&call.cluster)?;
        let engine = Engine { door: &door };
        let refused = |refusal: Refusal| refusal.failed(parts::deed("remove", &call.resource, &wish));
        let removed = match Part::of(&call.resource)? {
            Part::ControlPlane => {
                // The spec may have stopped asking for it.
                let (job, cluster) = (Job::of(&self.folder, &wish.stem()), &call.cluster);
                kubeconfig::take_along(&job, &wish.stem(), cluster.platform.as_str(), &cluster.cluster)
                    .await?;
                self.control_plane(&wish, &engine, &call.operation).remove().await?
            }
            Part::Network => parts::remove_network(&wish, &engine).await.map_err(refused)?,
            Part::Registry => parts::remove(REGISTRY, &wish, &engine).await.map_err(refused)?,
            Part::Store => store::remove(&wish, &engine).await.map_err(refused)?,
            Part::Git => parts::remove(GIT, &wish, &engine).await.map_err(refused)?,
            // They go with the nodes.
            Part::Images => Removed::Done,
            Part::Kubeconfig => self.merged(&wish).remove().await?,
        };
        if removed == Removed::Done {
            life::fall_silent(&engine, call.cluster.platform.as_str(), &call.cluster.cluster)
                .await
                .map_err(refused)?;
        }
        Ok(removed)
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        let door = self.door(&owner.config)?;
        let deed = format!("could not list what belongs to platform `{}`", owner.platform.as_str());
        let found = find::inventory(&Engine { door: &door }, owner).await;
        let mut found = found.map_err(|refusal| refusal.failed(deed))?;
        let config = Config::read(&owner.config)?;
        found.extend(kubeconfig::owned(
            &self.folder,
            &config,
            owner.platform.as_str(),
            owner.cluster.as_deref(),
        )?);
        Ok(found)
    }

    async fn list_claims(&self, search: &SearchRequest) -> Result<Vec<Claim>, Failure> {
        let door = self.door(&search.config)?;
        let deed = "could not list what platforms have left";
        find::claims(&Engine { door: &door }).await.map_err(|refusal| refusal.failed(deed))
    }

    async fn prolong(&self, cluster: &ClusterRequest, until: Timestamp) -> Result<bool, Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        let deed = format!("could not say that cluster `{}` is in use", cluster.cluster);
        life::prolong(&wish, &Engine { door: &door }, until).await.map_err(|refusal| refusal.failed(deed))
    }

    async fn reap(&self, call: &ReapCall) -> Result<Removed, Failure> {
        let door = self.door(&call.search.config)?;
        let deed = format!("could not remove {} `{}`", call.thing.kind, call.thing.name);
        let reaped = life::reap(&Engine { door: &door }, &self.folder, call).await;
        let reaped = reaped.map_err(|refusal| refusal.failed(deed))?;
        if let Some(cluster) = call.cluster.as_deref().filter(|_| reaped == Removed::Done) {
            let platform = call.platform.as_str();
            let stem = wish::stem(platform, cluster);
            // An entry that leads nowhere is of no use to anybody.
            kubeconfig::take_along(&Job::of(&self.folder, &stem), &stem, platform, cluster).await?;
        }
        Ok(reaped)
    }

    async fn store(&self, cluster: &ClusterRequest) -> Result<Option<ClusterStore>, Failure> {
        Ok(store::place(&Wish::read(cluster)?))
    }

    async fn git(&self, cluster: &ClusterRequest) -> Result<Option<String>, Failure> {
        Ok(git::place(&Wish::read(cluster)?))
    }

    async fn store_keys(&self, cluster: &ClusterRequest) -> Result<SecretString, Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        store::keys(&wish, &Engine { door: &door }).await
    }

    async fn ailments(&self, cluster: &ClusterRequest) -> Result<Vec<Ailment>, Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        let engine = Engine { door: &door };
        let control_plane = self.control_plane(&wish, &engine, &Value::Null);
        let mut found =
            ailing::found(&control_plane).await.map_err(|refusal| refusal.failed(ailing::deed(&wish)))?;
        if found.iter().all(|ailment| !ailment.lames) {
            let is_made = control_plane.seen().await.is_ok_and(|seen| seen.ours);
            if let Some(said) = said_by_kind(&door, &wish).await.ok().filter(|_| is_made) {
                found.extend(ailing::of_entry(&self.merged(&wish), &said)?);
            }
        }
        Ok(found)
    }

    async fn mend(&self, cluster: &ClusterRequest) -> Result<(), Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        let engine = Engine { door: &door };
        let refused = |refusal: Refusal| refusal.failed(ailing::deed(&wish));
        ailing::start(&self.control_plane(&wish, &engine, &Value::Null)).await.map_err(refused)?;
        // Of a container that runs kind knows it, whether the API answers by now or not.
        let Ok(said) = said_by_kind(&door, &wish).await else { return Ok(()) };
        match ailing::of_entry(&self.merged(&wish), &said)? {
            Some(ailment) if ailment.cure.is_some() => self.merged(&wish).put(&said).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn is_joined(&self, cluster: &ClusterRequest, to: &ClusterRequest) -> Result<bool, Failure> {
        let (Opened { wish, door }, to) = (self.open(cluster)?, Wish::read(to)?);
        let deed = neighbours::deed(&wish, &to);
        neighbours::are_joined(&Engine { door: &door }, &wish, &to)
            .await
            .map_err(|refusal| refusal.failed(deed))
    }

    async fn join(&self, cluster: &ClusterRequest, to: &ClusterRequest) -> Result<(), Failure> {
        let (Opened { wish, door }, to) = (self.open(cluster)?, Wish::read(to)?);
        let deed = neighbours::deed(&wish, &to);
        neighbours::join(&Engine { door: &door }, &wish, &to).await.map_err(|refusal| refusal.failed(deed))
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        let Opened { wish, door } = self.open(cluster)?;
        let engine = Engine { door: &door };
        let deed = format!("could not reach cluster `{}`", cluster.cluster);
        let refused = |refusal: Refusal| refusal.failed(&deed);
        let absent = |why: String| {
            Failure::new(Code::new("P1012"), Class::NotFound, &deed)
                .because(why)
                .hint("make it: `platform up`")
        };
        let cluster = self.control_plane(&wish, &engine, &Value::Null);
        if cluster.job.is_running().unwrap_or(false) {
            return Err(absent(format!("kind still makes `{}`", wish.stem())));
        }
        let seen = cluster.seen().await.map_err(refused)?;
        match seen.standing(Timestamp::now()) {
            Standing::Absent | Standing::Foreign { .. } => {
                return Err(absent(format!("there is no kind cluster `{}` of ours", wish.stem())));
            }
            Standing::HalfMade => {
                return Err(absent(format!("`{}` was begun, and never finished", wish.stem())));
            }
            Standing::MadeElsewhere
            | Standing::Stopped { .. }
            | Standing::Lacking { .. }
            | Standing::Runs { .. } => {}
        }
        let said = said_by_kind(&door, &wish).await.map_err(refused)?;
        let inside = Some(neighbours::address(&wish));
        Ok(Access { kubeconfig: Kubeconfig::Value(said), context: None, expires: None, inside })
    }
}
