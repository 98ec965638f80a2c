//! Objects on the wire.

use s3s::{S3Request, dto::*};

use super::{
    Wire,
    access::asker,
    convert::{
        body, claim, conditions, length, mode_name, retention, said_sums, sum_type, tag, tag_set, tags,
        tags_of_header, time, write_sum,
    },
};
use crate::s3::{
    objects::{Copy, Part, Read, Source},
    refusal::{Refusal, Result},
    store::{Meta, Version},
    sums::Kind,
};

/// The metadata of a request that makes an object.
macro_rules! meta_of {
    ($it:expr) => {{
        let headers = [
            ("content-type", $it.content_type.clone()),
            ("cache-control", $it.cache_control.clone()),
            ("content-disposition", $it.content_disposition.clone()),
            // `aws-chunked` is how the bytes travelled, and no property of the object.
            ("content-encoding", $crate::s3::wire::object::encoding($it.content_encoding.as_deref())),
            ("content-language", $it.content_language.clone()),
            ("website-redirect-location", $it.website_redirect_location.clone()),
        ];
        Ok::<_, Refusal>(Meta {
            headers: headers
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            user: $it.metadata.clone().unwrap_or_default().into_iter().collect(),
            tags: tags_of_header($it.tagging.as_deref()),
            hold: $it.object_lock_legal_hold_status.as_ref().is_some_and(|it| it.as_str() == "ON"),
            retention: retention(
                $it.object_lock_mode.as_ref().map(ObjectLockMode::as_str),
                $it.object_lock_retain_until_date.as_ref(),
            )?,
            class: $it.storage_class.as_ref().map(|it| it.as_str().to_owned()).filter(|it| it != "STANDARD"),
        })
    }};
}
pub(super) use meta_of;

pub fn encoding(said: Option<&str>) -> Option<String> {
    let rest: Vec<&str> =
        said?.split(',').map(str::trim).filter(|it| !it.is_empty() && *it != "aws-chunked").collect();
    Some(rest.join(",")).filter(|rest| !rest.is_empty())
}

/// The version as answers name it: not at all where none are kept.
pub fn version_id(id: &str) -> Option<String> {
    Some(id.to_owned()).filter(|id| id != "null")
}

pub async fn put_object(wire: &Wire, mut request: S3Request<PutObjectInput>) -> Result<PutObjectOutput> {
    let content = body(request.input.body.take()).await?;
    let input = &request.input;
    let claim =
        claim(&request, input.content_md5.clone(), said_sums!(input), input.checksum_algorithm.as_ref());
    let when = conditions(input.if_match.clone(), input.if_none_match.clone(), None, None)?;
    let version = wire.gate.store.put(&input.bucket, &input.key, content, meta_of!(input)?, &claim, &when)?;
    let mut output = PutObjectOutput {
        e_tag: Some(tag(&version.tag)),
        version_id: version_id(&version.id),
        checksum_type: Some(sum_type(false)),
        ..Default::default()
    };
    write_sum!(output, &version.sum);
    Ok(output)
}

fn part(range: Option<&Range>, number: Option<i32>) -> Result<Option<Part>> {
    match (range, number) {
        (Some(_), Some(_)) => Err(Refusal::saying(
            "InvalidRequest",
            "Cannot specify both Range header and partNumber query parameter",
        )),
        (Some(Range::Int { first, last }), None) => Ok(Some(Part::Bytes(*first, *last))),
        (Some(Range::Suffix { length }), None) => Ok(Some(Part::Last(*length))),
        (None, Some(number)) => {
            let number = u16::try_from(number).ok().filter(|number| *number > 0);
            let wrong = "Part number must be an integer between 1 and 10000, inclusive";
            number.map(|number| Some(Part::Number(number))).ok_or_else(|| Refusal::argument(wrong))
        }
        (None, None) => Ok(None),
    }
}

/// Reads what a GET or a HEAD asks for.
macro_rules! look {
    ($wire:expr, $it:expr) => {{
        let when = conditions(
            $it.if_match.clone(),
            $it.if_none_match.clone(),
            $it.if_modified_since.as_ref(),
            $it.if_unmodified_since.as_ref(),
        )?;
        let part = part($it.range.as_ref(), $it.part_number)?;
        $wire.gate.store.get(&$it.bucket, &$it.key, $it.version_id.as_deref(), part, &when)
    }};
}

/// Fills in what answers to GET and HEAD have in common.
macro_rules! describe {
    ($output:ident, $read:expr, $it:expr) => {{
        let Read { version, content, range } = &$read;
        let header = |name: &str| version.meta.headers.get(name).cloned();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_length = Some(length(content.len() as u64));
        $output.content_range =
            range.as_ref().map(|it| format!("bytes {}-{}/{}", it.start, it.end - 1, version.size));
        $output.content_type = $it.response_content_type.clone().or(header("content-type"));
        $output.content_type.get_or_insert_with(|| "binary/octet-stream".to_owned());
        $output.cache_control = $it.response_cache_control.clone().or(header("cache-control"));
        $output.content_disposition =
            $it.response_content_disposition.clone().or(header("content-disposition"));
        $output.content_encoding = $it.response_content_encoding.clone().or(header("content-encoding"));
        $output.content_language = $it.response_content_language.clone().or(header("content-language"));
        $output.website_redirect_location = header("website-redirect-location");
        $output.e_tag = Some(tag(&version.tag));
        $output.last_modified = Some(time(version.at));
        $output.metadata = Some(version.meta.user.clone().into_iter().collect());
        $output.version_id = version_id(&version.id);
        $output.storage_class = version.meta.class.clone().map(StorageClass::from);
        $output.parts_count =
            $it.part_number.and(i32::try_from(version.parts.len()).ok()).filter(|it| *it > 0);
        if version.meta.hold {
            $output.object_lock_legal_hold_status = Some(ObjectLockLegalHoldStatus::from_static("ON"));
        }
        if let Some(kept) = &version.meta.retention {
            $output.object_lock_mode = Some(ObjectLockMode::from_static(mode_name(kept.mode)));
            $output.object_lock_retain_until_date = Some(time(kept.until));
        }
        let wanted = $it.checksum_mode.as_ref().is_some_and(|it| it.as_str() == "ENABLED");
        if wanted && range.is_none() {
            write_sum!($output, &version.sum);
            $output.checksum_type = version.sum.as_ref().map(|sum| sum_type(sum.composite));
        }
    }};
}

pub async fn get_object(wire: &Wire, request: S3Request<GetObjectInput>) -> Result<GetObjectOutput> {
    let input = request.input;
    let read = look!(wire, input)?;
    let mut output = GetObjectOutput::default();
    describe!(output, read, input);
    output.tag_count = i32::try_from(read.version.meta.tags.len()).ok().filter(|count| *count > 0);
    output.body = Some(StreamingBlob::from(s3s::Body::from(read.content)));
    Ok(output)
}

pub async fn head_object(wire: &Wire, request: S3Request<HeadObjectInput>) -> Result<HeadObjectOutput> {
    let input = request.input;
    let read = look!(wire, input)?;
    let mut output = HeadObjectOutput::default();
    describe!(output, read, input);
    Ok(output)
}

pub async fn get_object_attributes(
    wire: &Wire,
    request: S3Request<GetObjectAttributesInput>,
) -> Result<GetObjectAttributesOutput> {
    let input = request.input;
    let version = wire.gate.store.head(&input.bucket, &input.key, input.version_id.as_deref())?;
    // They come in one header, or in several.
    let all = || input.object_attributes.iter().flat_map(|it| it.as_str().split(','));
    let wants = |name: &str| all().any(|it| it.trim() == name);
    let mut checksum = Checksum::default();
    write_sum!(checksum, &version.sum);
    checksum.checksum_type = version.sum.as_ref().map(|sum| sum_type(sum.composite));
    let parts = GetObjectAttributesParts {
        total_parts_count: i32::try_from(version.parts.len()).ok(),
        ..Default::default()
    };
    Ok(GetObjectAttributesOutput {
        checksum: wants("Checksum").then_some(checksum),
        e_tag: wants("ETag").then(|| tag(&version.tag)),
        last_modified: Some(time(version.at)),
        object_parts: (wants("ObjectParts") && !version.parts.is_empty()).then_some(parts),
        object_size: wants("ObjectSize").then_some(length(version.size)),
        storage_class: wants("StorageClass")
            .then(|| version.meta.class.clone().unwrap_or_else(|| "STANDARD".to_owned()).into()),
        version_id: version_id(&version.id),
        ..Default::default()
    })
}

pub async fn delete_object(wire: &Wire, request: S3Request<DeleteObjectInput>) -> Result<DeleteObjectOutput> {
    let input = request.input;
    let when = conditions(input.if_match, None, None, None)?;
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let gone =
        wire.gate.store.delete(&input.bucket, &input.key, input.version_id.as_deref(), bypass, &when)?;
    Ok(DeleteObjectOutput {
        delete_marker: gone.marker.then_some(true),
        version_id: gone.version,
        ..Default::default()
    })
}

pub async fn delete_objects(
    wire: &Wire,
    request: S3Request<DeleteObjectsInput>,
) -> Result<DeleteObjectsOutput> {
    let asker = asker(&request).cloned();
    let input = request.input;
    let store = &wire.gate.store;
    store.bucket(&input.bucket)?;
    if input.delete.objects.len() > 1000 {
        return Err(Refusal::of("MalformedXML"));
    }
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let quiet = input.delete.quiet.unwrap_or(false);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        let version = object.version_id.as_deref();
        let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        let gone = wire
            .gate
            .admit(asker.as_ref(), action, Some(&input.bucket), Some(&object.key))
            .and_then(|()| store.delete(&input.bucket, &object.key, version, bypass, &Default::default()));
        match gone {
            Ok(_) if quiet => {}
            Ok(gone) => deleted.push(DeletedObject {
                delete_marker: gone.marker.then_some(true),
                delete_marker_version_id: gone.version.filter(|_| gone.marker),
                key: Some(object.key),
                version_id: object.version_id,
            }),
            Err(refusal) => errors.push(Error {
                code: Some(refusal.code.to_owned()),
                key: Some(object.key),
                message: Some(refusal.message),
                version_id: object.version_id,
            }),
        }
    }
    Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() })
}

/// What is copied from, when who asks may read it.
pub fn source<T>(wire: &Wire, request: &S3Request<T>, source: &CopySource) -> Result<Source> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(Refusal::saying("NotImplemented", "Access points are not there"));
    };
    let action = if version_id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    wire.gate.admit(asker(request), action, Some(bucket), Some(key))?;
    Ok(Source {
        bucket: bucket.to_string(),
        key: key.to_string(),
        version: version_id.as_ref().map(ToString::to_string),
        when: Default::default(),
    })
}

pub async fn copy_object(wire: &Wire, request: S3Request<CopyObjectInput>) -> Result<CopyObjectOutput> {
    let mut source = source(wire, &request, &request.input.copy_source)?;
    let input = request.input;
    source.when = conditions(
        input.copy_source_if_match.clone(),
        input.copy_source_if_none_match.clone(),
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    )?;
    let new = meta_of!(input)?;
    let replaces = input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
    let retags = input.tagging_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
    let copy = Copy {
        tags: retags.then(|| new.tags.clone()),
        meta: replaces.then_some(new),
        sum: input.checksum_algorithm.as_ref().and_then(|it| Kind::named(it.as_str())),
    };
    let version: Version = wire.gate.store.copy(&source, &input.bucket, &input.key, copy)?;
    let mut result = CopyObjectResult {
        e_tag: Some(tag(&version.tag)),
        last_modified: Some(time(version.at)),
        checksum_type: Some(sum_type(false)),
        ..Default::default()
    };
    write_sum!(result, &version.sum);
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source.version,
        version_id: version_id(&version.id),
        ..Default::default()
    })
}

pub async fn get_object_tagging(
    wire: &Wire,
    request: S3Request<GetObjectTaggingInput>,
) -> Result<GetObjectTaggingOutput> {
    let input = request.input;
    let version = wire.gate.store.head(&input.bucket, &input.key, input.version_id.as_deref())?;
    Ok(GetObjectTaggingOutput { version_id: version_id(&version.id), tag_set: tag_set(version.meta.tags) })
}

pub async fn put_object_tagging(
    wire: &Wire,
    request: S3Request<PutObjectTaggingInput>,
) -> Result<PutObjectTaggingOutput> {
    let input = request.input;
    let tags = tags(input.tagging.tag_set)?;
    let version = wire.gate.store.tag(&input.bucket, &input.key, input.version_id.as_deref(), tags)?;
    Ok(PutObjectTaggingOutput { version_id: version_id(&version.id) })
}

pub async fn delete_object_tagging(
    wire: &Wire,
    request: S3Request<DeleteObjectTaggingInput>,
) -> Result<DeleteObjectTaggingOutput> {
    let input = request.input;
    let version =
        wire.gate.store.tag(&input.bucket, &input.key, input.version_id.as_deref(), Default::default())?;
    Ok(DeleteObjectTaggingOutput { version_id: version_id(&version.id) })
}

pub async fn get_object_retention(
    wire: &Wire,
    request: S3Request<GetObjectRetentionInput>,
) -> Result<GetObjectRetentionOutput> {
    let input = request.input;
    let version = wire.gate.store.head(&input.bucket, &input.key, input.version_id.as_deref())?;
    let kept = version.meta.retention.ok_or_else(|| Refusal::of("NoSuchObjectLockConfiguration"))?;
    let mode = Some(ObjectLockRetentionMode::from_static(mode_name(kept.mode)));
    let retention = ObjectLockRetention { mode, retain_until_date: Some(time(kept.until)) };
    Ok(GetObjectRetentionOutput { retention: Some(retention) })
}

pub async fn put_object_retention(
    wire: &Wire,
    request: S3Request<PutObjectRetentionInput>,
) -> Result<PutObjectRetentionOutput> {
    let input = request.input;
    let wish = input.retention.unwrap_or_default();
    let wish =
        retention(wish.mode.as_ref().map(ObjectLockRetentionMode::as_str), wish.retain_until_date.as_ref())?;
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    wire.gate.store.retain(&input.bucket, &input.key, input.version_id.as_deref(), wish, bypass)?;
    Ok(PutObjectRetentionOutput::default())
}

pub async fn get_object_legal_hold(
    wire: &Wire,
    request: S3Request<GetObjectLegalHoldInput>,
) -> Result<GetObjectLegalHoldOutput> {
    let input = request.input;
    if !wire.gate.store.bucket(&input.bucket)?.lock {
        return Err(Refusal::saying("InvalidRequest", "Bucket is missing Object Lock Configuration"));
    }
    let version = wire.gate.store.head(&input.bucket, &input.key, input.version_id.as_deref())?;
    let status = ObjectLockLegalHoldStatus::from_static(if version.meta.hold { "ON" } else { "OFF" });
    Ok(GetObjectLegalHoldOutput { legal_hold: Some(ObjectLockLegalHold { status: Some(status) }) })
}

pub async fn put_object_legal_hold(
    wire: &Wire,
    request: S3Request<PutObjectLegalHoldInput>,
) -> Result<PutObjectLegalHoldOutput> {
    let input = request.input;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(|| Refusal::of("MalformedXML"))?;
    let hold = match status.as_str() {
        "ON" => true,
        "OFF" => false,
        _ => return Err(Refusal::of("MalformedXML")),
    };
    wire.gate.store.hold(&input.bucket, &input.key, input.version_id.as_deref(), hold)?;
    Ok(PutObjectLegalHoldOutput::default())
}
