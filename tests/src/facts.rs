//! What one bed is: its folder, its addresses and its secrets.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use fs_err::os::unix::fs::OpenOptionsExt;
use serde::{Deserialize, Serialize};

use crate::BoxError;

// The namespace of the bed is its own, so ports are the well-known ones and two beds never meet.

/// The Kubernetes API server.
pub const API: &str = "127.0.0.1:6443";
/// etcd, for clients.
pub const ETCD: &str = "127.0.0.1:2379";
/// Git over HTTP.
pub const GIT: &str = "127.0.0.1:3000";
/// The S3 server.
pub const S3: &str = "127.0.0.1:9000";
/// The DNS server.
pub const DNS: &str = "127.0.0.1:53";
/// The region the S3 server says it is in; signatures must name it.
pub const S3_REGION: &str = "us-east-1";
/// The user of the Git server.
pub const GIT_USER: &str = "platform";
/// The TSIG key that may update the bed's zones.
pub const TSIG_NAME: &str = "platform";
/// A TSIG key the DNS server knows and does not let update anything.
pub const TSIG_STRANGER: &str = "stranger";
/// The name of the program's user in the API server's audit log: whom the kubeconfig for the program signs in.
pub const API_USER: &str = "kubernetes-admin";

/// How the bed's network namespace was made, and so how it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// By a privileged user.
    Root,
    /// Inside a user namespace, where a person is root.
    User,
}

/// Whose Kubernetes API and object store a bed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// The real ones.
    Real,
    /// The sandbox's, with the controllers of workloads; all others on it are real.
    Sandbox,
}

/// What one bed is. Written as `facts.json` (0600) into its folder before anything starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Everything the bed writes is below this folder (0700), and goes away with it.
    pub dir: PathBuf,
    /// How the namespace is entered.
    pub isolation: Isolation,
    /// Whose API server it has.
    pub plane: Plane,
    /// Password of [`GIT_USER`].
    pub git_password: String,
    /// Access key of the S3 server.
    pub s3_access_key: String,
    /// Secret key of the S3 server.
    pub s3_secret_key: String,
    /// Secret of [`TSIG_NAME`], base64, HMAC-SHA256.
    pub tsig_secret: String,
    /// Secret of [`TSIG_STRANGER`], base64, HMAC-SHA256.
    pub tsig_stranger_secret: String,
}

impl Facts {
    /// Facts of a new bed in `dir`, with fresh secrets, and writes them down.
    pub fn create(dir: &Path, isolation: Isolation, plane: Plane) -> Result<Self, BoxError> {
        let facts = Self {
            dir: dir.to_owned(),
            isolation,
            plane,
            git_password: hex(&random::<16>()?),
            s3_access_key: format!("bed{}", hex(&random::<6>()?)),
            s3_secret_key: hex(&random::<20>()?),
            tsig_secret: STANDARD.encode(random::<32>()?),
            tsig_stranger_secret: STANDARD.encode(random::<32>()?),
        };
        write_private(&dir.join("facts.json"), &serde_json::to_vec_pretty(&facts)?)?;
        Ok(facts)
    }

    /// Facts of the bed in `dir`.
    pub fn read(dir: &Path) -> Result<Self, BoxError> {
        Ok(serde_json::from_slice(&fs_err::read(dir.join("facts.json"))?)?)
    }

    /// Kubeconfig of a cluster administrator with a client certificate; the one to hand to the program.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig/admin.conf")
    }

    /// Kubeconfig the harness itself uses, so that its calls are told apart in the audit log.
    pub fn own_kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig/super-admin.conf")
    }

    /// URL of the S3 server.
    pub fn s3_endpoint(&self) -> String {
        format!("http://{S3}")
    }

    /// Base URL of the Git server's repositories.
    pub fn git_url(&self) -> String {
        format!("http://{GIT}")
    }

    /// An AWS credentials file for the S3 server.
    pub fn s3_credentials(&self) -> String {
        format!(
            "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
            self.s3_access_key, self.s3_secret_key
        )
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), BoxError> {
    let mut file =
        fs_err::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], BoxError> {
    let mut bytes = [0; N];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
