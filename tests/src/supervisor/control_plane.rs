//! A real Kubernetes control plane with keys made by kubeadm, and three nodes played by kwok.

use std::{path::Path, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, ServiceAccount},
    rbac::v1::ClusterRoleBinding,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::time::{Instant, interval};

use super::Site;
use crate::{
    BoxError,
    facts::{API, ETCD},
    process::{Running, http_ok},
};

const ETCD_PEER: &str = "127.0.0.1:2380";
const ETCD_HEALTH: &str = "127.0.0.1:2381";
const SERVICES: &str = "10.96.0.0/16";
/// kubeadm refuses loopback as an address to advertise. This one is never dialled: it only becomes a name in
/// certificates and the server of two kubeconfigs, where we put the true address.
const ADVERTISED: &str = "10.0.0.1";
const NODES: usize = 3;
/// A cold disk and two busy cores: seconds become a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is written about each request: who, what, and with which result, but no bodies. Reads would only drown the
/// writes that tests count; leases and events are the heartbeat of controllers; reviews are questions, not writes.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: None, resources: [{group: '', resources: [events]}, {group: events.k8s.io}, {group: coordination.k8s.io}]}
- {level: None, resources: [{group: authentication.k8s.io}, {group: authorization.k8s.io}]}
- {level: Metadata}
";

/// The running control plane.
pub(super) struct ControlPlane {
    /// An administrator's client, told apart from the program's in the audit log.
    pub(super) client: Client,
    _processes: Vec<Running>,
}

pub(super) async fn start(site: &Site) -> Result<ControlPlane, BoxError> {
    make_keys(site).await?;
    let etcd = etcd(site).await?;
    let (api, client) = api_server(site).await?;
    trust_administrators(&client).await?;
    let controllers = controller_manager(site)?;
    let scheduler = scheduler(site)?;
    let kwok = kwok(site)?;
    make_nodes(&client).await?;
    settled(&client).await?;
    Ok(ControlPlane { client, _processes: vec![etcd, api, controllers, scheduler, kwok] })
}

async fn make_keys(site: &Site) -> Result<(), BoxError> {
    let dir = site.dir();
    let (pki, kubeconfig) = (dir.join("pki"), dir.join("kubeconfig"));
    let config = dir.join("kubeadm.yaml");
    let port = API.rsplit(':').next().unwrap_or_default();
    fs_err::write(
        &config,
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n\
             localAPIEndpoint: {{advertiseAddress: {ADVERTISED}, bindPort: {port}}}\n\
             nodeRegistration: {{name: bed, criSocket: unix:///nonexistent.sock}}\n---\n\
             apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\
             kubernetesVersion: v1.36.3\ncontrolPlaneEndpoint: {API}\ncertificatesDir: {}\n\
             networking: {{serviceSubnet: {SERVICES}}}\napiServer: {{certSANs: [127.0.0.1, localhost]}}\n\
             etcd: {{local: {{serverCertSANs: [127.0.0.1], peerCertSANs: [127.0.0.1]}}}}\n",
            pki.display()
        ),
    )?;
    let kubeadm = || site.launch("kubeadm", site.components.built("kube", "kubeadm")).args(["init", "phase"]);
    kubeadm().args(["certs", "all", "--config"]).arg(&config).finish().await?;
    kubeadm()
        .args(["kubeconfig", "all", "--config"])
        .arg(&config)
        .arg("--kubeconfig-dir")
        .arg(&kubeconfig)
        .finish()
        .await?;
    for name in ["controller-manager.conf", "scheduler.conf"] {
        let path = kubeconfig.join(name);
        let text = fs_err::read_to_string(&path)?;
        fs_err::write(
            &path,
            text.replace(&format!("https://{ADVERTISED}:{port}"), &format!("https://{API}")),
        )?;
    }
    Ok(())
}

async fn etcd(site: &Site) -> Result<Running, BoxError> {
    let pki = site.dir().join("pki/etcd");
    let key = |flag: &str, file: &str| format!("--{flag}={}", pki.join(file).display());
    site.launch("etcd", site.components.built("etcd", "server"))
        .args(["--name=bed", "--data-dir=etcd", "--unsafe-no-fsync"]) // the bed does not outlive its processes
        .args([
            format!("--listen-client-urls=https://{ETCD}"),
            format!("--advertise-client-urls=https://{ETCD}"),
        ])
        .arg(format!("--listen-peer-urls=https://{ETCD_PEER}"))
        .arg(format!("--initial-advertise-peer-urls=https://{ETCD_PEER}"))
        .arg(format!("--initial-cluster=bed=https://{ETCD_PEER}"))
        .arg(format!("--listen-metrics-urls=http://{ETCD_HEALTH}"))
        .args(["--client-cert-auth", "--peer-client-cert-auth"])
        .args([key("trusted-ca-file", "ca.crt"), key("peer-trusted-ca-file", "ca.crt")])
        .args([key("cert-file", "server.crt"), key("key-file", "server.key")])
        .args([key("peer-cert-file", "peer.crt"), key("peer-key-file", "peer.key")])
        .start()?
        .until(PATIENCE, || http_ok(ETCD_HEALTH, "/readyz"))
        .await
}

async fn api_server(site: &Site) -> Result<(Running, Client), BoxError> {
    let dir = site.dir();
    fs_err::write(dir.join("audit-policy.yaml"), AUDIT_POLICY)?;
    let key = |flag: &str, file: &str| format!("--{flag}={}", dir.join("pki").join(file).display());
    let (address, port) = API.rsplit_once(':').unwrap_or_default();
    let client = client(&site.facts.own_kubeconfig()).await?;
    let process = site
        .launch("kube-apiserver", site.components.built("kube", "kube-apiserver"))
        .args([format!("--bind-address={address}"), format!("--secure-port={port}")])
        .args([format!("--advertise-address={address}"), "--endpoint-reconciler-type=none".to_owned()])
        .arg(format!("--etcd-servers=https://{ETCD}"))
        .args([key("etcd-cafile", "etcd/ca.crt"), key("etcd-certfile", "apiserver-etcd-client.crt")])
        .arg(key("etcd-keyfile", "apiserver-etcd-client.key"))
        .args([key("tls-cert-file", "apiserver.crt"), key("tls-private-key-file", "apiserver.key")])
        .args([key("client-ca-file", "ca.crt"), key("service-account-key-file", "sa.pub")])
        .arg(key("service-account-signing-key-file", "sa.key"))
        .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
        .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
        .args(["--allow-privileged=true".to_owned(), format!("--service-cluster-ip-range={SERVICES}")])
        .args([key("kubelet-client-certificate", "apiserver-kubelet-client.crt")])
        .args([key("kubelet-client-key", "apiserver-kubelet-client.key")])
        .args([key("proxy-client-cert-file", "front-proxy-client.crt")])
        .args([key("proxy-client-key-file", "front-proxy-client.key")])
        .args([key("requestheader-client-ca-file", "front-proxy-ca.crt")])
        .arg("--requestheader-allowed-names=front-proxy-client")
        .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-")
        .args([
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
        ])
        .args([
            "--audit-policy-file=audit-policy.yaml",
            "--audit-log-path=audit.log",
            "--audit-log-maxsize=0",
        ])
        .start()?
        .until(PATIENCE, || async {
            let request = axum::http::Request::get("/readyz").body(Vec::new());
            match request {
                Ok(request) => client.request_text(request).await.is_ok(),
                Err(_) => false,
            }
        })
        .await?;
    Ok((process, client))
}

/// What `kubeadm init` does with super-admin.conf, so that admin.conf is an administrator's.
async fn trust_administrators(client: &Client) -> Result<(), BoxError> {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "kubeadm:cluster-admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "kubeadm:cluster-admins"}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    Ok(())
}

fn controller_manager(site: &Site) -> Result<Running, BoxError> {
    let key = |flag: &str, file: &str| format!("--{flag}={}", site.dir().join("pki").join(file).display());
    site.launch("kube-controller-manager", site.components.built("kube", "kube-controller-manager"))
        .args(["--bind-address=127.0.0.1", "--kubeconfig=kubeconfig/controller-manager.conf"])
        .arg("--authentication-kubeconfig=kubeconfig/controller-manager.conf")
        .arg("--authorization-kubeconfig=kubeconfig/controller-manager.conf")
        .args([key("client-ca-file", "ca.crt"), key("requestheader-client-ca-file", "front-proxy-ca.crt")])
        .args([key("root-ca-file", "ca.crt"), key("service-account-private-key-file", "sa.key")])
        .args([key("cluster-signing-cert-file", "ca.crt"), key("cluster-signing-key-file", "ca.key")])
        .args(["--use-service-account-credentials", "--leader-elect=false"])
        // Namespaces come and go by the hundred, each with a request for every kind.
        .args(["--kube-api-qps=200", "--kube-api-burst=400"])
        .start()
}

fn scheduler(site: &Site) -> Result<Running, BoxError> {
    site.launch("kube-scheduler", site.components.built("kube", "kube-scheduler"))
        .args(["--bind-address=127.0.0.1", "--kubeconfig=kubeconfig/scheduler.conf", "--leader-elect=false"])
        .arg("--authentication-kubeconfig=kubeconfig/scheduler.conf")
        .arg("--authorization-kubeconfig=kubeconfig/scheduler.conf")
        .start()
}

/// kwok is nothing without its stages, which say what becomes of nodes and pods; they lie in its module.
fn kwok(site: &Site) -> Result<Running, BoxError> {
    let share = site.components.share("kwok");
    let mut stages = String::new();
    for stage in ["node-initialize", "pod-ready", "pod-complete", "pod-delete"] {
        stages += "---\n";
        stages += &fs_err::read_to_string(share.join(format!("{stage}.yaml")))?;
        stages += "\n";
    }
    fs_err::write(site.dir().join("kwok.yaml"), stages)?;
    site.launch("kwok", site.components.built("kwok", "kwok"))
        .args(["--config=kwok.yaml", "--kubeconfig=kubeconfig/super-admin.conf"])
        .arg("--node-lease-duration-seconds=40") // without leases the nodes are NotReady after forty seconds
        .args(["--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"])
        .args(["--server-address=127.0.0.1:10247", "--node-ip=127.0.0.1", "--cidr=10.64.0.0/16"])
        .start()
}

async fn make_nodes(client: &Client) -> Result<(), BoxError> {
    let nodes: Api<Node> = Api::all(client.clone());
    for number in 0..NODES {
        let name = format!("node-{number}");
        let room = json!({"cpu": "32", "memory": "64Gi", "pods": "110"});
        let node: Node = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/zone": format!("zone-{number}"),
                },
            },
            "status": {"allocatable": room, "capacity": room},
        }))?;
        nodes.create(&PostParams::default(), &node).await?;
    }
    Ok(())
}

/// Returns when nodes are Ready and the controllers have made what every pod needs.
async fn settled(client: &Client) -> Result<(), BoxError> {
    let deadline = Instant::now() + PATIENCE;
    let (nodes, accounts) =
        (Api::<Node>::all(client.clone()), Api::<ServiceAccount>::default_namespaced(client.clone()));
    let mut looks = interval(Duration::from_millis(200));
    loop {
        looks.tick().await;
        let ready = nodes.list(&Default::default()).await?.items.iter().filter(|node| is_ready(node)).count();
        let account = accounts.get_opt("default").await?;
        if ready == NODES && account.is_some() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{ready} of {NODES} nodes are Ready, default ServiceAccount: {}",
                account.is_some()
            )
            .into());
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(super) async fn client(kubeconfig: &Path) -> Result<Client, BoxError> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
