//! Everything a plan is made from, gathered before anything is decided: the derived model, what providers declare, the
//! rendered trees, and the ledger.

use std::collections::BTreeMap;

use jiff::Timestamp;
use platform_blueprint::{Blueprint, BlueprintError, LeafApplication, Trees};
use platform_engine::plan::ledger_digest;
use platform_provider::{Bucket, ClusterRequest, GitFolder, Resource, resource};
use platform_spec::{
    Class, Code, Failure, PlatformName, StepId,
    event::LedgerEntry,
    model::{self, Model},
};
use serde_json::{Value, json};

use crate::doors::{Doors, Reach, Repository};

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What the spec means.
    pub model: Model,
    /// What exists because of us.
    pub ledger: Vec<LedgerEntry>,
    /// The time that commits bear: when the spec was last revised.
    pub revision: Timestamp,
    /// Platforms that were removed from here: what they have left in repositories of this machine belongs to nobody.
    pub gone: Vec<String>,
    /// Whether edits by people at rendered paths may be overwritten.
    pub overwrite_edits: bool,
    pub(crate) resources: BTreeMap<String, Vec<Resource>>,
    /// Clusters that nothing outlives that was made from inside, with all that their Argo CDs serve.
    self_contained: BTreeMap<String, Vec<String>>,
    pub(crate) trees: BTreeMap<String, String>,
    pub(crate) leaves: Vec<LeafApplication>,
}

/// What rendering gives: trees by repository, and the Applications that must be healthy in the end.
#[derive(Clone)]
pub struct Rendered {
    /// Trees by repository.
    pub trees: Trees,
    /// Applications that bring workloads.
    pub leaves: Vec<LeafApplication>,
}

/// Renders a model's blueprint.
///
/// # Errors
/// An unknown blueprint, parameters that do not fit, an artifact that cannot be had: all before anything changed.
pub async fn render(doors: &Doors, model: &Model) -> Result<Rendered, Failure> {
    let blueprint = Blueprint::embedded(&model.blueprint.name)?;
    let mut artifacts = BTreeMap::new();
    for needed in blueprint.needed_artifacts(model) {
        let bytes = doors.artifacts.get(&needed.name, &needed.version).await?;
        artifacts.insert(needed.name.clone(), bytes);
    }
    let params = serde_json::to_value(&model.blueprint.params).map_err(|error| {
        Failure::new(Code::new("P0702"), Class::Bug, "the blueprint's parameters are no JSON").because(error)
    })?;
    Ok(Rendered::of(blueprint.render(model, &params, &artifacts)?)?)
}

impl Rendered {
    /// Finds the Applications in rendered trees.
    ///
    /// # Errors
    /// A manifest of an Application that cannot be read.
    pub fn of(trees: Trees) -> Result<Self, BlueprintError> {
        let mut leaves = Vec::new();
        for (name, tree) in &trees.repositories {
            leaves.extend(platform_blueprint::leaf_applications(name, tree)?);
        }
        Ok(Self { trees, leaves })
    }
}

impl Wish {
    /// Gathers what `up` needs, and keeps the rendered trees where a resumed run finds them; changes nothing outside.
    ///
    /// # Errors
    /// What a provider refuses to declare; a folder of trees that cannot be written.
    pub async fn to_have(
        doors: &Doors,
        model: Model,
        rendered: Rendered,
        ledger: Vec<LedgerEntry>,
        revision: Timestamp,
    ) -> Result<Self, Failure> {
        let mut wish = Self::to_lose(doors, model, ledger, revision).await?;
        for (name, tree) in &rendered.trees.repositories {
            wish.trees.insert(name.clone(), doors.trees.put(&git_tree(tree))?);
        }
        wish.leaves = rendered.leaves;
        Ok(wish)
    }

    /// Gathers what `down` needs: as [`Self::to_have`], without trees.
    ///
    /// # Errors
    /// What a provider refuses to declare.
    pub async fn to_lose(
        doors: &Doors,
        model: Model,
        ledger: Vec<LedgerEntry>,
        revision: Timestamp,
    ) -> Result<Self, Failure> {
        let mut resources = BTreeMap::new();
        let mut self_contained = BTreeMap::new();
        for cluster in &model.clusters {
            let reach = reach(&model, cluster);
            let provider = doors.provider(&reach.provider)?;
            if provider.describe().await?.capabilities.self_contained {
                let served = model.clusters.iter().filter(|it| it.argocd == cluster.name);
                let with_it = served.map(|it| it.name.clone()).chain([cluster.name.clone()]).collect();
                self_contained.insert(cluster.name.clone(), with_it);
            }
            let declared = provider.resources(&reach.request).await?;
            let ordered = resource::order(&reach.provider, &declared)?;
            resources.insert(cluster.name.clone(), ordered.into_iter().cloned().collect());
        }
        Ok(Self {
            model,
            ledger,
            revision,
            gone: Vec::new(),
            overwrite_edits: false,
            resources,
            self_contained,
            trees: BTreeMap::new(),
            leaves: Vec::new(),
        })
    }

    /// Whether all that is in a cluster ends with it when everything goes that is wished for here: nothing of it is elsewhere, and
    /// neither is what its Argo CD has brought into others.
    pub(crate) fn ends(&self, cluster: &str) -> bool {
        let goes = |name: &String| self.model.clusters.iter().any(|it| it.name == *name);
        let with_it = self.self_contained.get(cluster);
        with_it.is_some_and(|all| all.iter().all(|it| self.self_contained.contains_key(it) && goes(it)))
    }

    pub(crate) fn state_digest(&self) -> String {
        ledger_digest(&self.ledger)
    }

    /// The last commit that the ledger knows of a repository.
    pub(crate) fn known_commit(&self, repository: &Repository) -> Option<String> {
        let key = crate::steps::repository::key(repository);
        let entry = self.ledger.iter().find(|entry| entry.key == key)?;
        (entry.external_id == repository.push_url)
            .then(|| entry.detail.get("commit").and_then(Value::as_str).map(str::to_owned))?
    }

    pub(crate) fn repositories(&self) -> Vec<Repository> {
        repositories(&self.model)
    }
}

/// How steps name the repositories of a model.
pub fn repositories(model: &Model) -> Vec<Repository> {
    let of = |repository: &model::Repository| Repository {
        name: repository.name.clone(),
        push_url: repository.push_url.clone(),
        in_cluster_url: repository.in_cluster_url.clone(),
        branch: repository.branch.clone(),
        username: model.git.username.clone(),
        auth_ref: model.git.auth_ref.clone(),
    };
    model.repositories.iter().map(of).collect()
}

/// How steps name a cluster.
pub fn reach(model: &Model, cluster: &model::Cluster) -> Reach {
    let request = ClusterRequest {
        platform: PlatformName::new(&model.platform),
        cluster: cluster.name.clone(),
        provider: cluster.provider.name.clone(),
        region: cluster.region.clone(),
        kubernetes_version: cluster.kubernetes_version.clone(),
        config: json!(cluster.provider.config),
        spec: cluster.settings.clone(),
        credentials: cluster.provider.credentials_ref.clone(),
        tags: model.labels.clone(),
        life: model.life.clone().or_else(|| cluster.life.clone()),
        bucket: bucket(model),
        git: git_folder(model, cluster),
    };
    Reach { provider: implementation(model, &cluster.provider.kind), request }
}

/// The bucket of backups, where the spec leaves it to the surroundings of its clusters.
fn bucket(model: &Model) -> Option<Bucket> {
    let store = &model.backup.as_ref()?.store;
    store.comes_along().then(|| Bucket { name: store.bucket.clone(), region: store.region.clone() })
}

/// The folder that Argo CD pulls from, where the spec leaves it to the surroundings of its cluster.
fn git_folder(model: &Model, cluster: &model::Cluster) -> Option<GitFolder> {
    let folder = model.git.folder.as_ref().filter(|folder| folder.cluster == cluster.name)?;
    let image = format!("quay.io/argoproj/argocd:v{}", model.argocd.version.trim_start_matches('v'));
    Some(GitFolder { path: folder.path.clone(), image })
}

/// A model with what only its providers know: where the stores are that they bring along, and where Argo CD pulls from. Changes
/// nothing outside.
///
/// # Errors
/// What a provider refuses to say.
pub async fn settled(doors: &Doors, mut model: Model) -> Result<Model, Failure> {
    for at in 0..model.clusters.len() {
        let reach = reach(&model, &model.clusters[at]);
        // One that this program lacks has nothing to say; who needs more of it than files refuses.
        let Ok(provider) = doors.provider(&reach.provider) else { continue };
        model.clusters[at].store = provider.store(&reach.request).await?;
        if reach.request.git.is_some()
            && let Some(base) = provider.git(&reach.request).await?
        {
            model.pull_from(&base);
        }
    }
    Ok(model)
}

/// What the names end in under which [`Doors`] have providers that lead to emulated clouds.
pub const EMULATED: &str = "@sandbox";

/// The one that is nothing else.
const SANDBOX: &str = "sandbox";

/// By which name [`Doors`] have the provider of a kind. It stands in every plan, so that a run that was begun in an emulated
/// cloud ends there.
pub(crate) fn implementation(model: &Model, kind: &str) -> String {
    match model.emulated && kind != SANDBOX {
        true => format!("{kind}{EMULATED}"),
        false => kind.to_owned(),
    }
}

/// A rendered tree as Git takes it.
pub fn git_tree(tree: &platform_blueprint::Tree) -> platform_gitops::tree::Tree {
    tree.files
        .iter()
        .map(|(path, file)| {
            let file = platform_gitops::tree::File { bytes: file.bytes.clone(), executable: file.executable };
            (path.clone(), file)
        })
        .collect()
}

/// Outputs of the resources that one needs, as references: `{"network": {"$from": "demo/network"}}`.
pub(crate) fn outputs_of(needs: &[String], ids: &BTreeMap<String, StepId>) -> Value {
    needs
        .iter()
        .filter_map(|need| Some((need.clone(), crate::draft::from(ids.get(need)?, ""))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
