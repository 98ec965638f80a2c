//! The sandbox in place of a real control plane and a real S3 server: its Kubernetes API with the controllers of
//! workloads, and its object store. Its own Argo CD and Velero do not play here: the real ones run on it.

use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use platform_sandbox::{
    kube::{
        Api,
        auth::{Credential, User, user::MASTERS},
        object::Ids,
        serve::Server,
    },
    play::{
        Cluster, Players,
        around::Around,
        workloads::{
            Pace, controllers,
            nodes::{NodeSpec, nodes},
        },
    },
    s3::{self, Asker, Gate, Key, KeyTable, Store},
};
use tokio::net::TcpListener;

use super::{Site, control_plane};
use crate::{
    BoxError,
    facts::{API, API_USER, S3, S3_REGION, write_private},
};

/// Longer than any bed lives.
const CERTIFICATES_LAST: SignedDuration = SignedDuration::from_hours(24);
/// As many as the real bed has.
const NODES: usize = 3;

/// What is served, until it is dropped.
pub(super) struct Sandbox {
    /// An administrator's client, which is not the program's.
    pub(super) client: Client,
    _api: Server,
    _objects: s3::Server,
}

pub(super) async fn start(site: &Site) -> Result<Sandbox, BoxError> {
    let listener = TcpListener::bind(API).await?;
    let api = Api::new(Arc::new(Timestamp::now), 1);
    api.begin(listener.local_addr()?.port());
    api.begin_rights();
    keys(site, &api, &listener)?;
    let cluster = Cluster { name: "sandbox".into(), api: api.clone(), around: Around::default() };
    nodes(&cluster, &machines())?;
    tokio::spawn(Players::new(cluster, controllers(Pace::quick())).live());
    let server = Server::on(listener, api, &[])?;
    let client = control_plane::client(&site.facts.own_kubeconfig()).await?;
    Ok(Sandbox { client, _api: server, _objects: objects(site).await? })
}

/// Lays the authority and the two kubeconfigs where kubeadm lays those of a real bed.
fn keys(site: &Site, api: &Api, listener: &TcpListener) -> Result<(), BoxError> {
    for folder in ["pki", "kubeconfig"] {
        fs_err::create_dir_all(site.dir().join(folder))?;
    }
    fs_err::write(site.dir().join("pki/ca.crt"), api.identity.authority())?;
    let (from, address) = (Timestamp::now(), listener.local_addr()?);
    let users =
        [(API_USER, site.facts.kubeconfig()), ("kubernetes-super-admin", site.facts.own_kubeconfig())];
    for (name, path) in users {
        let user = User::new(name, [MASTERS]);
        let credential = Credential::Certificate { user: &user, from, until: from + CERTIFICATES_LAST };
        let kubeconfig = api.identity.kubeconfig("bed", address, &credential)?;
        write_private(&path, secrecy::ExposeSecret::expose_secret(&kubeconfig).as_bytes())?;
    }
    Ok(())
}

fn machines() -> Vec<NodeSpec> {
    let node = |number| NodeSpec {
        name: format!("node-{number}"),
        cpu: "32".into(),
        memory: "64Gi".into(),
        pods: 110,
        zone: format!("zone-{number}"),
        ..NodeSpec::default()
    };
    (0..NODES).map(node).collect()
}

async fn objects(site: &Site) -> Result<s3::Server, BoxError> {
    let keys = KeyTable::default();
    keys.put(Key {
        id: site.facts.s3_access_key.clone(),
        secret: site.facts.s3_secret_key.clone().into(),
        token: None,
        expires: None,
        asker: Asker::root("000000000001"),
    });
    let store = Store::new(Arc::new(Timestamp::now), Arc::new(Ids::new(1)));
    let gate = Gate { store: Arc::new(store), keys: Arc::new(keys) };
    let listener = TcpListener::bind(S3).await?;
    Ok(s3::Server::start(listener, None, s3::serve::service(&gate, S3_REGION))?)
}
