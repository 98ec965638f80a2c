//! Uploads in parts, on the wire.

use s3s::{S3Request, dto::*};

use super::{
    Wire,
    access::asker,
    convert::{
        Encoding, algorithm, body, claim, conditions, count, kind, length, most, owner, retention, said_sums,
        sum_type, tag, tags_of_header, time, write_sum,
    },
    object::{meta_of, source, version_id},
};
use crate::s3::{
    multipart::{Named, Upload},
    objects::Part as Bytes,
    refusal::{Refusal, Result},
    store::Meta,
    sums::Sum,
};

pub async fn create_multipart_upload(
    wire: &Wire,
    request: S3Request<CreateMultipartUploadInput>,
) -> Result<CreateMultipartUploadOutput> {
    let by = asker(&request).map(|asker| asker.account.clone()).unwrap_or_default();
    let input = request.input;
    let sum = kind(input.checksum_algorithm.as_ref());
    let composite = input.checksum_type.as_ref().map(|it| it.as_str() == ChecksumType::COMPOSITE);
    let upload = wire.gate.store.begin(&by, &input.bucket, &input.key, meta_of!(input)?, sum, composite)?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(upload.bucket),
        key: Some(upload.key),
        upload_id: Some(upload.id),
        checksum_algorithm: upload.sum.map(algorithm),
        checksum_type: upload.sum.map(|_| sum_type(upload.composite)),
        ..Default::default()
    })
}

pub async fn upload_part(wire: &Wire, mut request: S3Request<UploadPartInput>) -> Result<UploadPartOutput> {
    let content = body(request.input.body.take()).await?;
    let input = &request.input;
    let claim =
        claim(&request, input.content_md5.clone(), said_sums!(input), input.checksum_algorithm.as_ref());
    let store = &wire.gate.store;
    let part =
        store.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, content, &claim)?;
    let mut output = UploadPartOutput { e_tag: Some(tag(&part.tag)), ..Default::default() };
    write_sum!(output, Some(&part.sum));
    Ok(output)
}

pub async fn upload_part_copy(
    wire: &Wire,
    request: S3Request<UploadPartCopyInput>,
) -> Result<UploadPartCopyOutput> {
    let source = source(wire, &request, &request.input.copy_source)?;
    let input = request.input;
    let when = conditions(
        input.copy_source_if_match.clone(),
        input.copy_source_if_none_match.clone(),
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    )?;
    let wrong = || {
        Refusal::argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )
    };
    let part = match input.copy_source_range.as_deref().map(Range::parse) {
        None => None,
        Some(Ok(Range::Int { first, last: Some(last) })) => Some(Bytes::Bytes(first, Some(last))),
        Some(_) => return Err(wrong()),
    };
    let store = &wire.gate.store;
    let read = store.get(&source.bucket, &source.key, source.version.as_deref(), part, &when);
    let read = read.map_err(|refusal| match refusal.code {
        // A copy has no answer "not modified".
        "NotModified" => Refusal::of("PreconditionFailed"),
        _ => refusal,
    })?;
    let (id, number) = (&input.upload_id, input.part_number);
    let part = store.put_part(&input.bucket, &input.key, id, number, read.content, &Default::default())?;
    let mut result = CopyPartResult {
        e_tag: Some(tag(&part.tag)),
        last_modified: Some(time(part.at)),
        ..Default::default()
    };
    write_sum!(result, Some(&part.sum));
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: source.version,
        ..Default::default()
    })
}

pub async fn complete_multipart_upload(
    wire: &Wire,
    request: S3Request<CompleteMultipartUploadInput>,
) -> Result<CompleteMultipartUploadOutput> {
    let input = request.input;
    let parts = input.multipart_upload.as_ref().and_then(|it| it.parts.clone()).unwrap_or_default();
    let named = parts.into_iter().map(|part| {
        let number = part.part_number.and_then(|number| u16::try_from(number).ok());
        let sum = said_sums!(part).into_iter().next();
        match (number, part.e_tag) {
            (Some(number), Some(tag)) => Ok(Named { number, tag: tag.into_value(), sum }),
            _ => Err(Refusal::of("MalformedXML")),
        }
    });
    let named: Vec<Named> = named.collect::<Result<_>>()?;
    let claimed = said_sums!(input).into_iter().next();
    let when = conditions(input.if_match.clone(), input.if_none_match.clone(), None, None)?;
    let at = (&*input.bucket, &*input.key, &*input.upload_id);
    let version = wire.gate.store.complete(at, &named, claimed, &when)?;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        e_tag: Some(tag(&version.tag)),
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        key: Some(input.key),
        version_id: version_id(&version.id),
        checksum_type: version.sum.as_ref().map(|sum| sum_type(sum.composite)),
        ..Default::default()
    };
    write_sum!(output, &version.sum);
    Ok(output)
}

pub async fn abort_multipart_upload(
    wire: &Wire,
    request: S3Request<AbortMultipartUploadInput>,
) -> Result<AbortMultipartUploadOutput> {
    let input = request.input;
    wire.gate.store.abort(&input.bucket, &input.key, &input.upload_id)?;
    Ok(AbortMultipartUploadOutput::default())
}

pub async fn list_parts(wire: &Wire, request: S3Request<ListPartsInput>) -> Result<ListPartsOutput> {
    let input = request.input;
    let upload = wire.gate.store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let after = input.part_number_marker.unwrap_or(0);
    let most = most(input.max_parts)?.min(1000);
    let mut rest = upload.parts.iter().filter(|(number, _)| i32::from(**number) > after);
    let mut parts = Vec::new();
    for (number, part) in rest.by_ref().take(most) {
        let mut listed = Part {
            part_number: Some(i32::from(*number)),
            e_tag: Some(tag(&part.tag)),
            size: Some(length(part.size)),
            last_modified: Some(time(part.at)),
            ..Default::default()
        };
        let kept: Option<&Sum> = upload.sum.map(|_| &part.sum);
        write_sum!(listed, kept);
        parts.push(listed);
    }
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(rest.next().is_some()),
        max_parts: Some(count(most)),
        part_number_marker: Some(after),
        next_part_number_marker: Some(parts.last().and_then(|part| part.part_number).unwrap_or(after)),
        parts: Some(parts),
        owner: Some(owner(&upload.by)),
        initiator: Some(Initiator { display_name: None, id: Some(upload.by) }),
        storage_class: Some(upload.meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
        checksum_algorithm: upload.sum.map(algorithm),
        checksum_type: upload.sum.map(|_| sum_type(upload.composite)),
        ..Default::default()
    })
}

pub async fn list_multipart_uploads(
    wire: &Wire,
    request: S3Request<ListMultipartUploadsInput>,
) -> Result<ListMultipartUploadsOutput> {
    let input = request.input;
    let encoding = Encoding(input.encoding_type.clone());
    let (prefix, delimiter) =
        (input.prefix.clone().unwrap_or_default(), input.delimiter.clone().unwrap_or_default());
    let most = most(input.max_uploads)?.min(1000);
    let after = input.key_marker.clone().unwrap_or_default();
    let after_id = input.upload_id_marker.clone().unwrap_or_default();
    let mut past = false;
    let later = |upload: &Upload| {
        // Uploads of one key are in the order of their age: those after the named one.
        if upload.key == after && !after_id.is_empty() {
            let later = past;
            past |= upload.id == after_id;
            return later;
        }
        upload.key > after
    };
    let all = wire.gate.store.uploads(&input.bucket)?;
    let mut prefixes: Vec<String> = Vec::new();
    let mut uploads: Vec<MultipartUpload> = Vec::new();
    let mut last = None;
    let mut truncated = false;
    for upload in all.into_iter().filter(later).filter(|upload| upload.key.starts_with(&prefix)) {
        let rest = &upload.key[prefix.len()..];
        let common = rest.find(&*delimiter).filter(|_| !delimiter.is_empty());
        let common = common.map(|at| upload.key[..prefix.len() + at + delimiter.len()].to_owned());
        if common.as_ref().is_some_and(|it| prefixes.last() == Some(it) || *it == after) {
            continue;
        }
        if uploads.len() + prefixes.len() == most {
            truncated = true;
            break;
        }
        if let Some(common) = common {
            last = Some((common.clone(), String::new()));
            prefixes.push(common);
            continue;
        }
        last = Some((upload.key.clone(), upload.id.clone()));
        uploads.push(MultipartUpload {
            key: Some(encoding.write(&upload.key)),
            upload_id: Some(upload.id),
            initiated: Some(time(upload.since)),
            owner: Some(owner(&upload.by)),
            initiator: Some(Initiator { display_name: None, id: Some(upload.by) }),
            storage_class: Some(upload.meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
            checksum_algorithm: upload.sum.map(algorithm),
            checksum_type: upload.sum.map(|_| sum_type(upload.composite)),
        });
    }
    let (next_key, next_id) = last.filter(|_| truncated).unzip();
    let page = crate::s3::list::Page { prefixes, ..Default::default() };
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: encoding.prefixes(&page),
        delimiter: input.delimiter.map(|it| encoding.write(&it)),
        encoding_type: input.encoding_type,
        is_truncated: Some(truncated),
        key_marker: Some(encoding.write(&after)),
        max_uploads: Some(count(most)),
        next_key_marker: next_key.map(|it| encoding.write(&it)),
        next_upload_id_marker: next_id.filter(|it| !it.is_empty()),
        prefix: Some(encoding.write(&prefix)),
        upload_id_marker: Some(after_id),
        uploads: Some(uploads),
        ..Default::default()
    })
}
