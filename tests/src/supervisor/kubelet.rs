//! Plays the kubelet for the images whose programs the bed has: Argo CD, its Redis, and Velero.
//!
//! kwok makes every pod Running without running anything. For a pod with a container that [`Program`] knows, this
//! starts the real program on the host as a kubelet would in a container: with the pod's own environment (ConfigMaps
//! and Secrets resolved), its volumes (files 0600), and a token of its ServiceAccount; and ends it with the pod. So a
//! rolled out Deployment restarts the program, a deleted one stops it, and what its ServiceAccount may not do fails.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    time::Duration,
};

use k8s_openapi::{
    ByteString,
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{ConfigMap, Container, EnvVar, Pod, Secret, ServiceAccount, Volume},
    },
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use tokio::time::Instant;

use super::{
    Site, complain,
    pods::{Host, Program},
};
use crate::{
    BoxError,
    facts::{API, write_private},
    process::Running,
};

/// How long a Secret may be newer than the file made of it; a real kubelet takes up to a minute and a half.
const VOLUMES_ARE_REFRESHED: Duration = Duration::from_secs(5);
/// A program that ends by itself is started again after this; a real kubelet begins with ten seconds.
const BACK_OFF: Duration = Duration::from_secs(2);
/// Longer than any bed lives.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The programs that run for pods now.
pub(super) struct Kubelet<'s> {
    site: &'s Site,
    client: Client,
    running: BTreeMap<Program, Runs>,
    not_before: BTreeMap<Program, Instant>,
}

struct Runs {
    pod: String,
    process: Running,
    host: Host,
    refreshed: Instant,
}

impl<'s> Kubelet<'s> {
    pub(super) fn new(site: &'s Site, client: Client) -> Result<Self, BoxError> {
        Program::install(site)?;
        Ok(Self { site, client, running: BTreeMap::new(), not_before: BTreeMap::new() })
    }

    /// One look at all pods: ends what has no pod any more, starts what has one and does not run yet.
    pub(super) async fn look(&mut self) -> Result<(), BoxError> {
        let pods = Api::<Pod>::all(self.client.clone()).list(&ListParams::default()).await?.items;
        let wanted = newest(&pods);
        // first the old ones: a new pod of the same program wants the same ports
        for program in self.running.keys().copied().collect::<Vec<_>>() {
            let Entry::Occupied(mut entry) = self.running.entry(program) else { continue };
            let pod = wanted.get(&program).map(|(pod, _)| uid(pod));
            let ended = entry.get_mut().process.ended();
            if !ended && pod == Some(entry.get().pod.as_str()) {
                continue;
            }
            if ended {
                complain(&format!("{program:?} ended by itself"));
                self.not_before.insert(program, Instant::now() + BACK_OFF);
            }
            let runs = entry.remove();
            runs.process.stop().await?;
            if pod != Some(runs.pod.as_str()) {
                runs.host.remove();
            }
        }
        for (program, (pod, container)) in wanted {
            if let Some(runs) = self.running.get_mut(&program) {
                if runs.refreshed.elapsed() > VOLUMES_ARE_REFRESHED {
                    runs.refreshed = Instant::now();
                    volumes(&self.client, pod, &runs.host).await?;
                }
                continue;
            }
            if self.not_before.get(&program).is_some_and(|time| Instant::now() < *time) {
                continue;
            }
            match self.start(program, pod, container).await {
                Ok(Some(runs)) => drop(self.running.insert(program, runs)),
                Ok(None) => {} // waits for a Secret, as a pod does in ContainerCreating
                Err(trouble) => {
                    complain(&format!("{program:?}: {trouble}"));
                    self.not_before.insert(program, Instant::now() + BACK_OFF);
                }
            }
        }
        Ok(())
    }

    async fn start(
        &self,
        program: Program,
        pod: &Pod,
        container: &Container,
    ) -> Result<Option<Runs>, BoxError> {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let home = self.site.dir().join("pods").join(format!("{program:?}-{}", uid(pod)).to_lowercase());
        let mut host = Host::new(home, &namespace, container)?;
        self.token(pod, &host).await?;
        // init containers come before the environment is looked up: one of them makes the password of Redis
        program.initialise(self.site, &host, pod).await?;
        if !volumes(&self.client, pod, &host).await? {
            return Ok(None);
        }
        let Some(environment) = environment(&self.client, pod, container).await? else { return Ok(None) };
        host.environment = environment;
        let process = program.launch(self.site, &host, container)?.start()?;
        Ok(Some(Runs { pod: uid(pod).to_owned(), process, host, refreshed: Instant::now() }))
    }

    /// Writes a kubeconfig with a token of the pod's ServiceAccount.
    async fn token(&self, pod: &Pod, host: &Host) -> Result<(), BoxError> {
        let account =
            pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &host.namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..Default::default() }),
            ..Default::default()
        };
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .ok_or("a token request was answered without a token")?;
        let authority = self.site.dir().join("pki/ca.crt");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bed\n\
             clusters: [{{name: bed, cluster: {{server: 'https://{API}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: bed, user: {{token: '{token}'}}}}]\n\
             contexts: [{{name: bed, context: {{cluster: bed, user: bed, namespace: '{}'}}}}]\n",
            authority.display(),
            host.namespace,
        );
        write_private(&host.kubeconfig(), text.as_bytes())
    }
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Of each program the newest pod that runs and is not being deleted, with the container that is the program.
fn newest(pods: &[Pod]) -> BTreeMap<Program, (&Pod, &Container)> {
    let mut alive: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))
        .collect();
    alive.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let containers = alive.into_iter().flat_map(|pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers.map(move |container| (pod, container))
    });
    containers.filter_map(|(pod, container)| Some((Program::of(container)?, (pod, container)))).collect()
}

type Data = BTreeMap<String, ByteString>;

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Option<Data>, BoxError> {
    let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await?;
    Ok(found.map(|secret| secret.data.unwrap_or_default()))
}

async fn config_map(client: &Client, namespace: &str, name: &str) -> Result<Option<Data>, BoxError> {
    let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await?;
    let data = found.map(|map| map.data.unwrap_or_default());
    Ok(data.map(|data| data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()))
}

/// The container's environment, or nothing while something it must have does not exist yet.
async fn environment(
    client: &Client,
    pod: &Pod,
    container: &Container,
) -> Result<Option<BTreeMap<String, String>>, BoxError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut environment = BTreeMap::new();
    for EnvVar { name, value, value_from } in container.env.iter().flatten() {
        let Some(source) = value_from else {
            environment.insert(name.clone(), value.clone().unwrap_or_default());
            continue;
        };
        let (data, key, optional) = if let Some(from) = &source.config_map_key_ref {
            (config_map(client, namespace, &from.name).await?, &from.key, from.optional)
        } else if let Some(from) = &source.secret_key_ref {
            (secret(client, namespace, &from.name).await?, &from.key, from.optional)
        } else {
            let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
            let value = match field {
                Some("metadata.namespace") => Some(namespace.to_owned()),
                Some("metadata.name") => pod.metadata.name.clone(),
                _ => None,
            };
            environment.extend(value.map(|value| (name.clone(), value)));
            continue;
        };
        match data.and_then(|mut data| data.remove(key)) {
            Some(value) => drop(environment.insert(name.clone(), String::from_utf8(value.0)?)),
            None if optional == Some(true) => {}
            None => return Ok(None),
        }
    }
    Ok(Some(environment))
}

/// Lays out the pod's volumes; false while one of them does not exist yet.
async fn volumes(client: &Client, pod: &Pod, host: &Host) -> Result<bool, BoxError> {
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let Volume { name, secret: from_secret, config_map: from_map, .. } = volume;
        let (data, optional) = if let Some(source) = from_secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            (secret(client, &host.namespace, name).await?, source.optional)
        } else if let Some(source) = from_map {
            (config_map(client, &host.namespace, &source.name).await?, source.optional)
        } else {
            (Some(Data::new()), None)
        };
        let folder: PathBuf = host.volume(name);
        fs_err::create_dir_all(&folder)?;
        match data {
            Some(data) => {
                for (key, value) in data {
                    let path = folder.join(&key);
                    if fs_err::read(&path).ok().as_deref() != Some(&value.0) {
                        write_private(&path, &value.0)?;
                    }
                }
            }
            None if optional == Some(true) => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}
