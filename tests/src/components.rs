//! Which real components a bed needs, and where they are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Components that `tests/tools/build` makes: folder and binary.
const BUILT: [(&str, &str); 12] = [
    ("etcd", "server"),
    ("kube", "kube-apiserver"),
    ("kube", "kube-controller-manager"),
    ("kube", "kube-scheduler"),
    ("kube", "kubeadm"),
    ("kube", "kubectl"),
    ("kwok", "kwok"),
    ("argocd", "argocd"),
    ("kustomize", "kustomize"),
    ("helm", "helm"),
    ("velero", "velero"),
    ("versitygw", "versitygw"),
];

/// Programs of the system, and the Debian package of each.
const SYSTEM: [(&str, &str); 10] = [
    ("git", "git"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("redis-server", "redis-server"),
    ("named", "bind9"),
    ("rndc", "bind9-utils"),
    ("dig", "bind9-dnsutils"),
    ("faketime", "faketime"),
];

/// Everything a bed is made of, found on this machine.
#[derive(Clone, Debug)]
pub struct Components {
    cache: PathBuf,
}

impl Components {
    /// Looks for every component.
    ///
    /// # Errors
    /// A sentence that names what is missing and the command that brings it.
    pub fn find() -> Result<Self, String> {
        let components = Self { cache: cache() };
        let not_built: Vec<_> = BUILT
            .iter()
            .filter(|(tool, binary)| !components.built(tool, binary).exists())
            .map(|(_, binary)| *binary)
            .chain((!components.velero_plugin().exists()).then_some("velero-plugin-for-aws"))
            .chain((!components.mirror().exists()).then_some("the artifact mirror"))
            .collect();
        if !not_built.is_empty() {
            return Err(format!("not built: {}; run ./dev tools (needs Go)", not_built.join(", ")));
        }
        let not_installed: Vec<_> = SYSTEM.iter().filter(|(program, _)| which(program).is_none()).collect();
        if !not_installed.is_empty() {
            let packages: Vec<_> = not_installed.iter().map(|(_, package)| *package).collect();
            return Err(format!("not installed: {}; run ./dev test", packages.join(", ")));
        }
        Ok(components)
    }

    /// The binary `binary` of the tool in `tests/tools/<tool>`.
    pub fn built(&self, tool: &str, binary: &str) -> PathBuf {
        self.cache.join(tool).join("bin").join(binary)
    }

    /// What a tool brings besides its binary.
    pub fn share(&self, tool: &str) -> PathBuf {
        self.cache.join(tool).join("share")
    }

    /// Velero's plugin for S3.
    pub fn velero_plugin(&self) -> PathBuf {
        self.built("velero-aws", "velero-plugin-for-aws")
    }

    /// The artifacts of the program as a mirror has them, `<mirror>/<host>/<path>`.
    pub fn mirror(&self) -> PathBuf {
        self.cache.join("mirror")
    }

    /// `PATH` with kubectl, helm and kustomize of the bed in front of the system's programs.
    pub fn path(&self) -> String {
        let own = ["kube", "helm", "kustomize"].map(|tool| self.cache.join(tool).join("bin"));
        let own = own.iter().map(|dir| dir.display().to_string());
        own.chain(SYSTEM_PATH.iter().map(|dir| (*dir).to_owned())).collect::<Vec<_>>().join(":")
    }
}

/// Where the system's programs are; servers lie in the sbin folders, which a person's PATH may lack.
const SYSTEM_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The first program of that name in the system's folders.
pub fn which(program: &str) -> Option<PathBuf> {
    SYSTEM_PATH.iter().map(|dir| Path::new(dir).join(program)).find(|path| path.exists())
}

/// Where built components are kept, outside the checkout: `$BED_CACHE`, or `platform-dev/bed` in the cache directory.
fn cache() -> PathBuf {
    if let Some(given) = env::var_os("BED_CACHE") {
        return given.into();
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"))
        .join("platform-dev/bed")
}
