//! The bucket of a BackupStorageLocation, reached as Velero's plugin for AWS reaches it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::body::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    kube::object::meta,
    play::{Cluster, around::Objects},
    s3::{Asker, Refusal, list::Wanted, objects::Conditions, store::Meta, sums::Claim},
};

/// Folders that a bucket may have; others were made by somebody who is not Velero.
const FOLDERS: &[&str] = &["backups", "restores", "restic", "metadata", "plugins", "kopia"];

/// The Secret that Velero's Deployment mounts, for locations that name none.
const CREDENTIALS: (&str, &str) = ("cloud-credentials", "cloud");

/// An opened bucket.
pub(super) struct Bucket {
    objects: Objects,
    asker: Asker,
    name: String,
    /// Ends with a slash, unless it is empty.
    prefix: String,
}

/// What the plugin says of a refusal.
fn words(operation: &str, refusal: &Refusal) -> String {
    format!(
        "rpc error: code = Unknown desc = operation error S3: {operation}, https response error StatusCode: {}, RequestID: , HostID: , api error {}: {}",
        refusal.status, refusal.code, refusal.message
    )
}

impl Bucket {
    /// Opens the bucket of a location with the location's own credentials, those of Velero, or the cluster's.
    ///
    /// # Errors
    /// In the words of Velero and its plugin.
    pub fn open(cluster: &Cluster, location: &Value) -> Result<Self, String> {
        let spec = &location["spec"];
        let provider = spec["provider"].as_str().unwrap_or_default();
        if !matches!(provider, "aws" | "velero.io/aws") {
            let full =
                if provider.contains('/') { provider.to_owned() } else { format!("velero.io/{provider}") };
            return Err(format!("unable to locate ObjectStore plugin named {full}"));
        }
        let name = spec["objectStorage"]["bucket"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() || name.contains('/') {
            return Err(format!(
                "backup storage location's bucket name \"{name}\" must not contain a '/' (if using a prefix, put it in the 'Prefix' field instead)"
            ));
        }
        let objects = cluster.around.objects.clone();
        let objects =
            objects.ok_or("rpc error: code = Unknown desc = no object store can be reached from here")?;
        let prefix = spec["objectStorage"]["prefix"].as_str().unwrap_or_default().trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let asker = asker(cluster, location, &objects)?;
        Ok(Self { objects, asker, name, prefix })
    }

    fn admit(&self, operation: &str, action: &str, key: Option<&str>) -> Result<(), String> {
        let admitted = self.objects.gate.admit(Some(&self.asker), action, Some(&self.name), key);
        admitted.map_err(|refusal| words(operation, &refusal))
    }

    /// What lies right below a folder: entries without the folder's name, and without slashes.
    ///
    /// # Errors
    /// In the plugin's words.
    pub fn folders(&self, below: &str) -> Result<Vec<String>, String> {
        let operation = "ListObjectsV2";
        self.admit(operation, "s3:ListBucket", None)?;
        let prefix = format!("{}{below}", self.prefix);
        let mut wanted =
            Wanted { prefix: prefix.clone(), delimiter: "/".into(), most: 1000, ..Wanted::default() };
        let mut folders = Vec::new();
        loop {
            let page = self.objects.gate.store.list(&self.name, &wanted);
            let page = page.map_err(|refusal| words(operation, &refusal))?;
            folders
                .extend(page.prefixes.iter().map(|it| it[prefix.len()..].trim_end_matches('/').to_owned()));
            match page.next {
                Some((key, _)) => wanted.after = key,
                None => return Ok(folders),
            }
        }
    }

    /// Whether it can be used: it can be listed, and nobody else uses it.
    ///
    /// # Errors
    /// In the plugin's words, or Velero's.
    pub fn validate(&self) -> Result<(), String> {
        let mut foreign: Vec<String> =
            self.folders("")?.into_iter().filter(|it| !FOLDERS.contains(&it.as_str())).collect();
        match foreign.len() {
            0 => Ok(()),
            count @ 1..=3 => {
                debug_assert_eq!(count, foreign.len());
                Err(format!("Backup store contains invalid top-level directories: [{}]", foreign.join(" ")))
            }
            count => {
                foreign.truncate(3);
                foreign.push("...".into());
                let listed = foreign.join(" ");
                Err(format!("Backup store contains {count} invalid top-level directories: [{listed}]"))
            }
        }
    }

    /// An object's bytes.
    ///
    /// # Errors
    /// In the plugin's words.
    pub fn get(&self, key: &str) -> Result<Bytes, String> {
        let (operation, key) = ("GetObject", format!("{}{key}", self.prefix));
        self.admit(operation, "s3:GetObject", Some(&key))?;
        let read = self.objects.gate.store.get(&self.name, &key, None, None, &Conditions::default());
        read.map(|read| read.content).map_err(|refusal| words(operation, &refusal))
    }

    /// Writes an object; its checksum goes with it, as the plugin's SDK sends it.
    ///
    /// # Errors
    /// In the plugin's words.
    pub fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let (operation, key) = ("PutObject", format!("{}{key}", self.prefix));
        self.admit(operation, "s3:PutObject", Some(&key))?;
        let kind = crate::s3::sums::Kind::CRC32;
        let claim = Claim { sums: vec![(kind, kind.of(&bytes))], ..Claim::default() };
        let store = &self.objects.gate.store;
        let put = store.put(&self.name, &key, bytes.into(), Meta::default(), &claim, &Conditions::default());
        put.map(drop).map_err(|refusal| words(operation, &refusal))
    }

    /// Removes everything in a folder.
    ///
    /// # Errors
    /// In the plugin's words.
    pub fn remove(&self, folder: &str) -> Result<(), String> {
        self.admit("ListObjectsV2", "s3:ListBucket", None)?;
        let wanted = Wanted { prefix: format!("{}{folder}", self.prefix), most: 1000, ..Wanted::default() };
        let store = &self.objects.gate.store;
        loop {
            let page = store.list(&self.name, &wanted).map_err(|refusal| words("ListObjectsV2", &refusal))?;
            for (version, _) in &page.versions {
                self.admit("DeleteObject", "s3:DeleteObject", Some(&version.key))?;
                let gone = store.delete(&self.name, &version.key, None, false, &Conditions::default());
                gone.map_err(|refusal| words("DeleteObject", &refusal))?;
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}

fn asker(cluster: &Cluster, location: &Value, objects: &Objects) -> Result<Asker, String> {
    let namespace = meta(location, "namespace");
    let own = &location["spec"]["credential"];
    let (name, key) = match own["name"].as_str() {
        Some(name) => (name, own["key"].as_str().unwrap_or_default()),
        None => CREDENTIALS,
    };
    let secret = cluster.get(&Cluster::key("/secrets", namespace, name));
    let secret = match (secret, own.is_object(), &objects.own) {
        (Some(secret), ..) => secret,
        (None, true, _) => {
            return Err(format!(
                "unable to get credentials: unable to get key for secret: Secret \"{name}\" not found"
            ));
        }
        (None, false, Some(identity)) => return Ok(identity.clone()),
        (None, false, None) => {
            return Err("rpc error: code = Unknown desc = operation error S3: ListObjectsV2, get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found".into());
        }
    };
    let file = secret["data"][key].as_str().and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
    let file = String::from_utf8_lossy(&file);
    let wanted = location["spec"]["config"]["profile"].as_str().unwrap_or("default");
    let profile = profile(&file, wanted);
    let field = |name: &str| profile.get(name).copied().unwrap_or_default();
    let id = field("aws_access_key_id");
    if id.is_empty() {
        return Err(format!(
            "rpc error: code = Unknown desc = failed to get shared config profile, {wanted}"
        ));
    }
    let token = profile.get("aws_session_token").copied();
    let signed = objects.gate.sign_in(id, &SecretString::from(field("aws_secret_access_key")), token);
    signed.map_err(|refusal| words("ListObjectsV2", &refusal))
}

/// A profile of an AWS credentials file.
fn profile<'a>(file: &'a str, wanted: &str) -> BTreeMap<&'a str, &'a str> {
    let mut within = false;
    let mut fields = BTreeMap::new();
    for line in file.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            within = name.trim() == wanted;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| within) {
            fields.insert(name.trim(), value.trim());
        }
    }
    fields
}
