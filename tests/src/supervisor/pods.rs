//! The programs that the bed runs for pods, and what a host process needs that a container brings by itself.

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::Site;
use crate::{BoxError, components::which, process::Launch};

// In a cluster these have addresses of their own; here they share one loopback and need ports of their own.
const REDIS: &str = "127.0.0.1:6379";
const REPO_SERVER: &str = "127.0.0.1:8081";
/// Not 8080, its own default: there Velero's controller manager always listens.
const ARGO_SERVER_PORT: &str = "8090";

/// A program the bed runs for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    Redis,
    RepoServer,
    ApplicationController,
    ApplicationSetController,
    ArgoServer,
    Velero,
}

impl Program {
    /// The program of a container, by the container's name in the upstream manifests.
    pub(super) fn of(container: &Container) -> Option<Self> {
        let argo = container.image.as_deref().unwrap_or_default().contains("argocd");
        Some(match container.name.as_str() {
            "redis" => Self::Redis,
            "argocd-repo-server" if argo => Self::RepoServer,
            "argocd-application-controller" if argo => Self::ApplicationController,
            "argocd-applicationset-controller" if argo => Self::ApplicationSetController,
            "argocd-server" if argo => Self::ArgoServer,
            "velero" => Self::Velero,
            _ => return None,
        })
    }

    /// Puts on the bed's `PATH` what Argo CD's image has on its own.
    pub(super) fn install(site: &Site) -> Result<(), BoxError> {
        let bin = site.dir().join("bin");
        let argocd = site.components.built("argocd", "argocd");
        for name in [
            "argocd",
            "argocd-server",
            "argocd-repo-server",
            "argocd-application-controller",
            "argocd-applicationset-controller",
        ] {
            symlink(&argocd, bin.join(name))?; // one binary, which asks for the name it was called by
        }
        // every manifest generation calls the first of these, also with signatures switched off
        for name in ["git-verify-wrapper.sh", "gpg-wrapper.sh"] {
            symlink(site.components.share("argocd").join(name), bin.join(name))?;
        }
        Ok(())
    }

    /// Does what the pod's init containers do.
    pub(super) async fn initialise(self, site: &Site, host: &Host, pod: &Pod) -> Result<(), BoxError> {
        let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        for container in containers {
            let image = container.image.as_deref().unwrap_or_default();
            let words: Vec<_> = container.command.iter().chain(&container.args).flatten().collect();
            if self == Self::Redis && words.iter().any(|word| *word == "redis-initial-password") {
                site.launch("argocd-redis-init", site.dir().join("bin/argocd"))
                    .args(["admin", "redis-initial-password", "--namespace", &host.namespace])
                    .env("KUBECONFIG", host.kubeconfig())
                    .finish()
                    .await?;
            }
            if self == Self::Velero && image.contains("velero-plugin-for-aws") {
                let plugins =
                    container.volume_mounts.iter().flatten().find(|mount| mount.mount_path == "/target");
                let plugins = plugins.map_or("plugins", |mount| mount.name.as_str());
                fs_err::create_dir_all(host.volume(plugins))?;
                let plugin = host.volume(plugins).join("velero-plugin-for-aws");
                if !plugin.exists() {
                    symlink(site.components.velero_plugin(), plugin)?;
                }
            }
        }
        Ok(())
    }

    /// The process for `container`: its arguments and environment, and what differs on a host.
    pub(super) fn launch(self, site: &Site, host: &Host, container: &Container) -> Result<Launch, BoxError> {
        let bin = |name: &str| site.dir().join("bin").join(name);
        let ns = host.namespace.as_str();
        let argo = |name: &str| {
            let mut launch = host.launch(site, name, bin(name));
            for (name, folder) in [
                ("ARGOCD_TLS_DATA_PATH", "tls"),
                ("ARGOCD_SSH_DATA_PATH", "ssh"),
                ("ARGOCD_GNUPGHOME", "gnupg"),
                ("ARGOCD_GPG_DATA_PATH", "gpg-source"),
                ("ARGOCD_PLUGINSOCKFILEPATH", "plugins"),
            ] {
                launch = launch.env(name, host.home.join(folder));
            }
            // Argo CD asks Git every two to three minutes unless told otherwise; tests cannot wait for that.
            for (name, value) in
                [("ARGOCD_RECONCILIATION_TIMEOUT", "10s"), ("ARGOCD_RECONCILIATION_JITTER", "0s")]
            {
                if !host.environment.contains_key(name) {
                    launch = launch.env(name, value);
                }
            }
            launch
                .env("ARGOCD_FAKE_IN_CLUSTER", "true") // else it looks for a pod's files below /var/run
                .env("ARGOCD_GPG_ENABLED", "false")
        };
        Ok(match self {
            Self::Redis => {
                let password = host.environment.get("REDIS_PASSWORD").cloned().unwrap_or_default();
                let (address, port) = REDIS.rsplit_once(':').unwrap_or_default();
                // the password goes into a file: an argument can be read by everyone
                let config = host.home.join("redis.conf");
                let text = format!(
                    "bind {address}\nport {port}\nsave \"\"\nappendonly no\ndir {}\nrequirepass {password}\n",
                    host.home.display()
                );
                crate::facts::write_private(&config, text.as_bytes())?;
                host.launch(
                    site,
                    "argocd-redis",
                    which("redis-server").ok_or("redis-server is not installed")?,
                )
                .arg(config)
            }
            Self::RepoServer => argo("argocd-repo-server")
                .args(["--address", "127.0.0.1", "--port", "8081", "--redis", REDIS])
                .args(["--metrics-address", "127.0.0.1", "--metrics-port", "8084"]),
            Self::ApplicationController => argo("argocd-application-controller").args([
                "--namespace",
                ns,
                "--metrics-port",
                "8082",
                "--redis",
                REDIS,
                "--repo-server",
                REPO_SERVER,
            ]),
            Self::ApplicationSetController => argo("argocd-applicationset-controller")
                .args([
                    "--namespace",
                    ns,
                    "--metrics-addr",
                    "127.0.0.1:8085",
                    "--probe-addr",
                    "127.0.0.1:8086",
                ])
                .args(["--webhook-addr", "127.0.0.1:7000", "--argocd-repo-server", REPO_SERVER]),
            Self::ArgoServer => argo("argocd-server")
                .args(["--namespace", ns, "--insecure", "--address", "127.0.0.1", "--port", ARGO_SERVER_PORT])
                .args(["--metrics-address", "127.0.0.1", "--metrics-port", "8083"])
                .args(["--redis", REDIS, "--repo-server", REPO_SERVER]),
            Self::Velero => host
                .launch(site, "velero", site.components.built("velero", "velero"))
                .args(container.args.iter().flatten().map(|arg| host.relocate(arg)))
                .arg("--plugin-dir")
                .arg(host.relocate("/plugins"))
                .arg("--kubeconfig")
                .arg(host.kubeconfig())
                .args(["--namespace", ns, "--metrics-address", "127.0.0.1:8087"])
                .args(["--profiler-address", "127.0.0.1:6060"])
                // a store that was repaired should count as such within a test's patience; a pod asks every minute
                .args(["--store-validation-frequency", "10s"]),
        })
    }
}

/// A pod's place on the host.
pub(super) struct Host {
    /// Its folder.
    pub(super) home: PathBuf,
    /// Its namespace.
    pub(super) namespace: String,
    /// The environment of its container, resolved.
    pub(super) environment: BTreeMap<String, String>,
    /// Mount path in the container, and the volume there.
    mounts: BTreeMap<String, String>,
}

impl Host {
    /// Makes the folder.
    pub(super) fn new(home: PathBuf, namespace: &str, container: &Container) -> Result<Self, BoxError> {
        for folder in ["home", "tmp", "volumes", "tls", "ssh", "gnupg", "gpg-source", "plugins"] {
            fs_err::create_dir_all(home.join(folder))?;
        }
        let mounts = container.volume_mounts.iter().flatten();
        let mounts = mounts.map(|mount| (mount.mount_path.clone(), mount.name.clone())).collect();
        Ok(Self { home, namespace: namespace.to_owned(), environment: BTreeMap::new(), mounts })
    }

    /// Kubeconfig with the token of the pod's ServiceAccount.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    /// Folder of a volume.
    pub(super) fn volume(&self, name: &str) -> PathBuf {
        self.home.join("volumes").join(name)
    }

    /// Forgets the pod.
    pub(super) fn remove(self) {
        // what remains goes with the bed
        drop(fs_err::remove_dir_all(&self.home));
    }

    /// `text`, or, when it is a path below one of the container's mounts, the path of the same file on the host.
    fn relocate(&self, text: &str) -> String {
        let below = |mount: &str| Path::new(text).strip_prefix(mount).ok().map(Path::to_owned);
        let deepest = self.mounts.iter().rev().find_map(|(mount, volume)| Some((below(mount)?, volume)));
        match deepest {
            Some((rest, volume)) => self.volume(volume).join(rest).display().to_string(),
            None => text.to_owned(),
        }
    }

    fn launch(&self, site: &Site, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Launch {
        let mut launch = site.launch(name, program);
        for (name, value) in self.environment.iter().filter(|(name, _)| *name != "PATH") {
            launch = launch.env(name, self.relocate(value));
        }
        launch
            .env("HOME", self.home.join("home"))
            .env("TMPDIR", self.home.join("tmp"))
            .env("KUBECONFIG", self.kubeconfig())
    }
}
