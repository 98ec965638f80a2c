//! Between the store's words and those of the wire.

use std::collections::BTreeMap;

use futures::StreamExt;
use hyper::{HeaderMap, body::Bytes, http::HeaderValue};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3Error, S3ErrorCode, S3Request, TrailingHeaders,
    dto::{self, ETag, ETagCondition, StreamingBlob, TimestampFormat},
};

use crate::s3::{
    list::{MOST, Page},
    objects::Conditions,
    refusal::{Refusal, Result},
    store::{Mode, Retention},
    sums::{Claim, Kind},
};

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let code = S3ErrorCode::from_bytes(refusal.code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
        let mut error = Self::with_message(code, refusal.message);
        error.set_status_code(hyper::StatusCode::from_u16(refusal.status).unwrap_or_default());
        if let Some(marker) = refusal.marker {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
            if let Ok(id) = HeaderValue::from_str(&marker) {
                headers.insert("x-amz-version-id", id);
            }
            error.set_headers(headers);
        }
        error
    }
}

/// A time for the wire.
pub fn time(at: Timestamp) -> dto::Timestamp {
    std::time::SystemTime::from(at).into()
}

/// A time from the wire.
pub fn from_time(at: &dto::Timestamp) -> Result<Timestamp> {
    let mut text = Vec::new();
    let written =
        at.format(TimestampFormat::DateTime, &mut text).ok().and_then(|()| String::from_utf8(text).ok());
    written.and_then(|text| text.parse().ok()).ok_or_else(|| Refusal::argument("a time that cannot be"))
}

pub fn tag(tag: &str) -> ETag {
    ETag::Strong(tag.to_owned())
}

fn condition(condition: Option<ETagCondition>) -> Option<String> {
    condition.map(|it| match it {
        ETagCondition::ETag(tag) => tag.into_value(),
        ETagCondition::Any => "*".to_owned(),
    })
}

pub fn conditions(
    matching: Option<ETagCondition>,
    not_matching: Option<ETagCondition>,
    modified: Option<&dto::Timestamp>,
    unmodified: Option<&dto::Timestamp>,
) -> Result<Conditions> {
    Ok(Conditions {
        matching: condition(matching),
        not_matching: condition(not_matching),
        modified_since: modified.map(from_time).transpose()?,
        unmodified_since: unmodified.map(from_time).transpose()?,
    })
}

/// Tags of the header `x-amz-tagging`.
pub fn tags_of_header(header: Option<&str>) -> BTreeMap<String, String> {
    form_urlencoded::parse(header.unwrap_or_default().as_bytes()).into_owned().collect()
}

pub fn tags(set: Vec<dto::Tag>) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for tag in set {
        let (key, value) = (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        if tags.insert(key, value).is_some() {
            return Err(Refusal::saying("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

pub fn tag_set(tags: BTreeMap<String, String>) -> Vec<dto::Tag> {
    tags.into_iter().map(|(key, value)| dto::Tag { key: Some(key), value: Some(value) }).collect()
}

pub fn mode(text: &str) -> Result<Mode> {
    match text {
        "GOVERNANCE" => Ok(Mode::Governance),
        "COMPLIANCE" => Ok(Mode::Compliance),
        _ => Err(Refusal::argument("Unknown wormMode directive.")),
    }
}

pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Governance => "GOVERNANCE",
        Mode::Compliance => "COMPLIANCE",
    }
}

/// A retention of which both halves, or neither, are said.
pub fn retention(said: Option<&str>, until: Option<&dto::Timestamp>) -> Result<Option<Retention>> {
    match (said, until) {
        (None, None) => Ok(None),
        (Some(said), Some(until)) => Ok(Some(Retention { mode: mode(said)?, until: from_time(until)? })),
        _ => Err(Refusal::argument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        )),
    }
}

/// The checksums of a request, in the order of [`Kind::ALL`].
macro_rules! said_sums {
    ($it:expr) => {
        $crate::s3::wire::convert::paired([
            $it.checksum_crc32.clone(),
            $it.checksum_crc32c.clone(),
            $it.checksum_crc64nvme.clone(),
            $it.checksum_sha1.clone(),
            $it.checksum_sha256.clone(),
        ])
    };
}

/// Writes a checksum where an answer of that kind has it.
macro_rules! write_sum {
    ($it:expr, $sum:expr) => {
        if let Some(sum) = $sum {
            let value = Some(sum.value.clone());
            match sum.kind {
                $crate::s3::sums::Kind::CRC32 => $it.checksum_crc32 = value,
                $crate::s3::sums::Kind::CRC32C => $it.checksum_crc32c = value,
                $crate::s3::sums::Kind::CRC64NVME => $it.checksum_crc64nvme = value,
                $crate::s3::sums::Kind::SHA1 => $it.checksum_sha1 = value,
                $crate::s3::sums::Kind::SHA256 => $it.checksum_sha256 = value,
            }
        }
    };
}

pub(super) use {said_sums, write_sum};

pub fn paired(values: [Option<String>; 5]) -> Vec<(Kind, String)> {
    Kind::ALL.into_iter().zip(values).filter_map(|(kind, value)| Some((kind, value?))).collect()
}

pub fn sum_type(composite: bool) -> dto::ChecksumType {
    dto::ChecksumType::from_static(if composite {
        dto::ChecksumType::COMPOSITE
    } else {
        dto::ChecksumType::FULL_OBJECT
    })
}

pub fn algorithm(kind: Kind) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(kind.name())
}

pub fn kind(algorithm: Option<&dto::ChecksumAlgorithm>) -> Option<Kind> {
    algorithm.and_then(|it| Kind::named(it.as_str()))
}

/// The bytes of a request. Only with the last of them is its signature known to be right.
pub async fn body(stream: Option<StreamingBlob>) -> Result<Bytes> {
    let Some(mut stream) = stream else { return Ok(Bytes::new()) };
    let mut chunks: Vec<Bytes> = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk.map_err(|error| {
            let said = format!("{error:?}");
            if said.contains("SignatureMismatch") {
                Refusal::of("SignatureDoesNotMatch")
            } else if said.contains("ChecksumMismatch") {
                Refusal::of("XAmzContentSHA256Mismatch")
            } else {
                Refusal::of("IncompleteBody")
            }
        })?);
    }
    Ok(match chunks.len() {
        1 => chunks.remove(0),
        _ => chunks.concat().into(),
    })
}

/// Checksums that came after the bytes.
pub fn trailing_sums(trailers: Option<&TrailingHeaders>) -> Vec<(Kind, String)> {
    let read = |headers: &HeaderMap| {
        let value =
            |kind: Kind| headers.get(format!("x-amz-checksum-{}", kind.name().to_lowercase()))?.to_str().ok();
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, value(kind)?.to_owned()))).collect()
    };
    trailers.and_then(|trailers| trailers.read(read)).unwrap_or_default()
}

/// What a request says of its bytes, once they are read.
pub fn claim<T>(
    request: &S3Request<T>,
    md5: Option<String>,
    mut sums: Vec<(Kind, String)>,
    wanted: Option<&dto::ChecksumAlgorithm>,
) -> Claim {
    for (kind, value) in trailing_sums(request.trailing_headers.as_ref()) {
        if !sums.iter().any(|(known, _)| *known == kind) {
            sums.push((kind, value));
        }
    }
    Claim { md5, sums, wanted: kind(wanted) }
}

/// What is left as it is when keys are written as in URLs. `+` is not: clients read it as a space.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// How keys are written in lists.
#[derive(Clone)]
pub struct Encoding(pub Option<dto::EncodingType>);

impl Encoding {
    pub fn write(&self, key: &str) -> String {
        match &self.0 {
            Some(it) if it.as_str() == dto::EncodingType::URL => utf8_percent_encode(key, KEY).to_string(),
            _ => key.to_owned(),
        }
    }

    pub fn prefixes(&self, page: &Page) -> Option<Vec<dto::CommonPrefix>> {
        let all = page.prefixes.iter().map(|it| dto::CommonPrefix { prefix: Some(self.write(it)) });
        Some(all.collect()).filter(|all: &Vec<_>| !all.is_empty())
    }
}

/// How many entries a page shall have.
pub fn most(asked: Option<i32>) -> Result<usize> {
    match asked {
        None => Ok(MOST),
        Some(asked) => usize::try_from(asked)
            .map_err(|_| Refusal::argument("Argument maxKeys must be an integer between 0 and 2147483647")),
    }
}

#[expect(clippy::cast_possible_wrap, reason = "what lies in memory is far smaller than 2^63")]
pub fn length(size: u64) -> i64 {
    size as i64
}

/// A count as the wire has it.
pub fn count(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

pub fn owner(account: &str) -> dto::Owner {
    dto::Owner { display_name: None, id: Some(account.to_owned()) }
}
