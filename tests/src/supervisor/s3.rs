//! A real S3 server, which verifies signatures.

use std::time::Duration;

use super::Site;
use crate::{
    BoxError,
    facts::{S3, S3_REGION},
    process::{Running, listens},
};

pub(super) async fn start(site: &Site) -> Result<Running, BoxError> {
    // versitygw compares the two names as texts: neither may begin with the other
    let (data, meta) = (site.dir().join("buckets"), site.dir().join("s3-meta"));
    fs_err::create_dir_all(&data)?;
    fs_err::create_dir_all(&meta)?;
    site.launch("versitygw", site.components.built("versitygw", "versitygw"))
        .env("ROOT_ACCESS_KEY", &site.facts.s3_access_key)
        .env("ROOT_SECRET_KEY", &site.facts.s3_secret_key)
        .args(["--port", S3, "--region", S3_REGION, "--quiet", "posix"])
        .arg("--sidecar") // not every file system keeps extended attributes
        .args([meta, data])
        .start()?
        .until(Duration::from_secs(30), || listens(S3))
        .await
}
