//! Keys and permissions, at the door.

use std::sync::{Arc, OnceLock};

use hyper::{HeaderMap, header, http::Extensions};
use jiff::SignedDuration;
use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    path::S3Path,
};
use secrecy::ExposeSecret;

use crate::{
    cloud::door::Broken,
    kube::object::Now,
    parts::faults::{Faults, Point, Refuses, Struck},
    s3::{
        gate::Gate,
        keys::{Asker, Keys},
        refusal::{Refusal, Result},
    },
};

/// How far a request's clock may be off: what S3 allows.
const SKEW: i64 = 15 * 60;

/// Gives signatures the secrets to be checked with.
pub struct Secrets(pub Arc<dyn Keys>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        let key = self.0.find(id).ok_or_else(|| Refusal::of("InvalidAccessKeyId"))?;
        Ok(SecretKey::from(key.secret.expose_secret()))
    }
}

/// Asks the gate, once the signature is known to be right.
pub struct Access {
    pub gate: Gate,
    pub now: Now,
    /// What goes wrong on purpose.
    pub faults: Option<Faults>,
}

/// What goes wrong at a request, told to whoever carries its answer.
#[derive(Clone, Default)]
pub struct Fate(Arc<OnceLock<Struck>>);

impl Fate {
    /// How the answer ends instead of arriving, when it does.
    pub fn broken(&self, success: bool) -> Option<Broken> {
        let struck = self.0.get()?;
        match () {
            () if struck.resets_before() || struck.resets_after() => Some(Broken::Reset),
            () if struck.loses_reply() && success => Some(Broken::Silence),
            () => None,
        }
    }

    fn is(extensions: &Extensions, struck: &Struck) {
        if let Some(Self(fate)) = extensions.get() {
            let _once = fate.set(struck.clone());
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let struck = self.struck(cx);
        if !struck.latency().is_zero() {
            tokio::time::sleep(struck.latency()).await;
        }
        Fate::is(cx.extensions_mut(), &struck);
        if struck.resets_before() {
            return Err(S3Error::new(S3ErrorCode::InternalError));
        }
        if let Some(refuses) = struck.refusal() {
            return Err(refused(&refuses));
        }
        self.admit(cx, struck.skew()).map_err(S3Error::from)
    }
}

/// A refusal that a fault asks for, in the words of S3.
fn refused(refuses: &Refuses<'_>) -> S3Error {
    let (code, status, message) = match refuses {
        Refuses::Throttled { .. } => ("SlowDown", 503, "Please reduce your request rate."),
        Refuses::Error { status, code, message } => {
            let own = match status {
                403 => "AccessDenied",
                404 => "NoSuchKey",
                503 => "ServiceUnavailable",
                _ => "InternalError",
            };
            let words = "We encountered an internal error. Please try again.";
            (code.unwrap_or(own), *status, message.unwrap_or(words))
        }
        Refuses::Capacity | Refuses::Quota => {
            ("ServiceUnavailable", 503, "Service is unable to handle request.")
        }
        Refuses::Expired => ("ExpiredToken", 400, "The provided token has expired."),
    };
    let named = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(named, message.to_owned());
    error.set_status_code(hyper::StatusCode::from_u16(status).unwrap_or_default());
    if let Refuses::Throttled { retry_after_s } = refuses {
        error.set_headers(HeaderMap::from_iter([(header::RETRY_AFTER, (*retry_after_s).into())]));
    }
    error
}

impl Access {
    /// What goes wrong at a request: `PutObject` of `bucket/key`.
    fn struck(&self, cx: &S3AccessContext<'_>) -> Struck {
        let Some(faults) = &self.faults else { return Struck::default() };
        let target = match cx.s3_path() {
            S3Path::Root => String::new(),
            S3Path::Bucket { bucket } => bucket.to_string(),
            S3Path::Object { bucket, key } => format!("{bucket}/{key}"),
        };
        faults.next(&Point { service: "s3", operation: cx.s3_op().name(), target: &target })
    }

    fn admit(&self, cx: &mut S3AccessContext<'_>, skew: SignedDuration) -> Result<()> {
        let asker = match cx.credentials() {
            Some(credentials) => {
                let query = |name: &str| parameter(cx.uri().query().unwrap_or_default(), name);
                let header = |name: &str| Some(cx.headers().get(name)?.to_str().ok()?.to_owned());
                let dated = header("x-amz-date").filter(|_| cx.headers().contains_key("authorization"));
                match (dated, query("X-Amz-Date")) {
                    (Some(date), _) => self.in_time(&date, SKEW, skew)?,
                    (None, Some(date)) => self.in_time(&date, signed_for(query("X-Amz-Expires")), skew)?,
                    // Signatures of version 2 say the time in other ways, and S3 has given them up.
                    (None, None) => return Err(old_signature()),
                }
                let key = self.gate.keys.find(&credentials.access_key);
                let key = key.ok_or_else(|| Refusal::of("InvalidAccessKeyId"))?;
                let token = header("x-amz-security-token").or_else(|| query("X-Amz-Security-Token"));
                Some(key.admit((self.now)(), token.as_deref())?)
            }
            None => None,
        };
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(&**bucket), None),
            S3Path::Object { bucket, key } => (Some(&**bucket), Some(&**key)),
        };
        let query = cx.uri().query().unwrap_or_default();
        let versioned = parameter(query, "versionId").is_some();
        for action in actions(cx.s3_op().name(), versioned) {
            self.gate.admit(asker.as_ref(), &action, bucket, key)?;
        }
        let bypass = cx.headers().get("x-amz-bypass-governance-retention");
        if bypass.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"true")) {
            self.gate.admit(asker.as_ref(), "s3:BypassGovernanceRetention", bucket, key)?;
        }
        if let Some(asker) = asker {
            cx.extensions_mut().insert(asker);
        }
        Ok(())
    }

    /// Refuses a request of another time.
    fn in_time(&self, date: &str, after: i64, skew: SignedDuration) -> Result<()> {
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date)
            .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| Refusal::saying("InvalidRequest", "invalid header: x-amz-date"))?;
        let age = (self.now)().as_second() + skew.as_secs() - at.timestamp().as_second();
        if age < -SKEW || (age > after && after == SKEW) {
            return Err(Refusal::of("RequestTimeTooSkewed"));
        }
        if age > after {
            return Err(Refusal::saying("AccessDenied", "Request has expired"));
        }
        Ok(())
    }
}

fn signed_for(expires: Option<String>) -> i64 {
    // A week is the most that S3 lets a URL be good for; a number that is none is good for nothing.
    expires.and_then(|it| it.parse().ok()).map_or(0, |it: i64| it.clamp(0, 604_800))
}

fn old_signature() -> Refusal {
    Refusal::saying(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What one must be allowed for an operation, in the words of policies.
fn actions(operation: &str, versioned: bool) -> Vec<String> {
    let action = match operation {
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "ListBuckets" => "ListAllMyBuckets",
        "ListObjectVersions" => "ListBucketVersions",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "CopyObject" => "PutObject",
        "GetObject" | "HeadObject" | "GetObjectAttributes" if versioned => "GetObjectVersion",
        "HeadObject" | "GetObjectAttributes" => "GetObject",
        "DeleteObject" if versioned => "DeleteObjectVersion",
        // Each object is asked for by itself, when its key is known.
        "DeleteObjects" => return Vec::new(),
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "PutLifecycleConfiguration",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "PutEncryptionConfiguration",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "PutBucketPublicAccessBlock",
        "DeleteBucketOwnershipControls" => "PutBucketOwnershipControls",
        "GetBucketCors" => "GetBucketCORS",
        "PutBucketCors" | "DeleteBucketCors" => "PutBucketCORS",
        "DeleteBucketTagging" => "PutBucketTagging",
        "GetObjectLockConfiguration" => "GetBucketObjectLockConfiguration",
        "PutObjectLockConfiguration" => "PutBucketObjectLockConfiguration",
        same => same,
    };
    vec![format!("s3:{action}")]
}

/// Who a request comes from, as the door has found out.
pub fn asker<T>(request: &S3Request<T>) -> Option<&Asker> {
    request.extensions.get::<Asker>()
}
