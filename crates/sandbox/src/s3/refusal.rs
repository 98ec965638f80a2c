//! Why a request is refused, in the words of S3.

use std::fmt;

/// A refusal: a code that programs know, the HTTP status that goes with it, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// `NoSuchKey`, …
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// For people.
    pub message: String,
    /// A delete marker stands where the object is looked for.
    pub marker: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.code, self.message)
    }
}

/// Codes with their status and sentence, as "Error responses" of the S3 API reference lists them.
const KNOWN: &[(&str, u16, &str)] = &[
    ("AccessDenied", 403, "Access Denied"),
    ("BadDigest", 400, "The Content-MD5 you specified did not match what we received."),
    (
        "BucketAlreadyExists",
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
    ),
    (
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    ("BucketNotEmpty", 409, "The bucket you tried to delete is not empty"),
    ("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size"),
    ("ExpiredToken", 400, "The provided token has expired."),
    (
        "IllegalLocationConstraintException",
        400,
        "The specified location constraint is incompatible for the region specific endpoint this request was sent to.",
    ),
    (
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    ("InvalidBucketName", 400, "The specified bucket is not valid."),
    (
        "InvalidBucketState",
        409,
        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
    ),
    (
        "InvalidPart",
        400,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    ),
    (
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    ("InvalidRange", 416, "The requested range is not satisfiable"),
    ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    ("KeyTooLongError", 400, "Your key is too long"),
    (
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("MethodNotAllowed", 405, "The specified method is not allowed against this resource."),
    ("NoSuchBucket", 404, "The specified bucket does not exist"),
    ("NoSuchBucketPolicy", 404, "The bucket policy does not exist"),
    ("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"),
    ("NoSuchKey", 404, "The specified key does not exist."),
    ("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"),
    ("NoSuchObjectLockConfiguration", 404, "The specified object does not have a ObjectLock configuration"),
    ("NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found"),
    ("NoSuchTagSet", 404, "The TagSet does not exist"),
    (
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    ),
    ("NoSuchVersion", 404, "The specified version does not exist."),
    ("NotModified", 304, "Not Modified"),
    ("ObjectLockConfigurationNotFoundError", 404, "Object Lock configuration does not exist for this bucket"),
    ("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found"),
    ("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold"),
    (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    ),
    (
        "ServerSideEncryptionConfigurationNotFoundError",
        404,
        "The server side encryption configuration was not found",
    ),
    (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    (
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
];

impl Refusal {
    /// A refusal with the usual sentence of its code.
    pub fn of(code: &'static str) -> Self {
        let known = KNOWN.iter().find(|(known, ..)| *known == code);
        let (status, message) = known.map_or((400, code), |(_, status, message)| (*status, *message));
        Self { code, status, message: message.to_owned(), marker: None }
    }

    /// A refusal with a sentence of its own.
    pub fn saying(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::of(code) }
    }

    /// An argument that cannot be.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::saying("InvalidArgument", message)
    }
}

/// What may be refused.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;
