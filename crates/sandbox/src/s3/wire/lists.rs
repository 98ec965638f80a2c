//! Lists on the wire.

use base64::{Engine, engine::general_purpose::STANDARD};
use s3s::{S3Request, dto::*};

use super::{
    Wire,
    convert::{Encoding, algorithm, count, length, most, owner, sum_type, tag, time},
};
use crate::s3::{
    list::Wanted,
    refusal::{Refusal, Result},
    store::Version,
};

fn object(version: Version, encoding: &Encoding, whose: Option<&str>) -> Object {
    Object {
        checksum_algorithm: version.sum.as_ref().map(|sum| vec![algorithm(sum.kind)]),
        checksum_type: version.sum.as_ref().map(|sum| sum_type(sum.composite)),
        e_tag: Some(tag(&version.tag)),
        key: Some(encoding.write(&version.key)),
        last_modified: Some(time(version.at)),
        owner: whose.map(owner),
        size: Some(length(version.size)),
        storage_class: Some(version.meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
        ..Default::default()
    }
}

pub async fn list_objects(wire: &Wire, request: S3Request<ListObjectsInput>) -> Result<ListObjectsOutput> {
    let input = request.input;
    let encoding = Encoding(input.encoding_type.clone());
    let about = wire.gate.store.bucket(&input.bucket)?;
    let wanted = Wanted {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: input.marker.clone().unwrap_or_default(),
        after_version: None,
        most: most(input.max_keys)?,
    };
    let page = wire.gate.store.list(&input.bucket, &wanted)?;
    let write = |text: Option<String>| text.map(|text| encoding.write(&text));
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: write(Some(wanted.prefix)),
        marker: write(Some(wanted.after)),
        max_keys: Some(count(wanted.most)),
        is_truncated: Some(page.next.is_some()),
        common_prefixes: encoding.prefixes(&page),
        // Without a delimiter the next page starts after the last key, and S3 does not repeat it.
        next_marker: page
            .next
            .as_ref()
            .filter(|_| input.delimiter.is_some())
            .map(|(key, _)| encoding.write(key)),
        contents: Some(
            page.versions.into_iter().map(|(it, _)| object(it, &encoding, Some(&about.owner))).collect(),
        ),
        delimiter: write(input.delimiter),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

pub async fn list_objects_v2(
    wire: &Wire,
    request: S3Request<ListObjectsV2Input>,
) -> Result<ListObjectsV2Output> {
    let input = request.input;
    let encoding = Encoding(input.encoding_type.clone());
    let about = wire.gate.store.bucket(&input.bucket)?;
    let wrong = || Refusal::argument("The continuation token provided is incorrect");
    let token = |token: &String| STANDARD.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
    let continued = input.continuation_token.as_ref().map(|it| token(it).ok_or_else(wrong)).transpose()?;
    let wanted = Wanted {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: continued.or(input.start_after.clone()).unwrap_or_default(),
        after_version: None,
        most: most(input.max_keys)?,
    };
    let page = wire.gate.store.list(&input.bucket, &wanted)?;
    let whose = input.fetch_owner.unwrap_or(false).then_some(&*about.owner);
    let write = |text: Option<String>| text.map(|text| encoding.write(&text));
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: write(Some(wanted.prefix)),
        max_keys: Some(count(wanted.most)),
        key_count: Some(count(page.versions.len() + page.prefixes.len())),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(|(key, _)| STANDARD.encode(key)),
        common_prefixes: encoding.prefixes(&page),
        contents: Some(page.versions.into_iter().map(|(it, _)| object(it, &encoding, whose)).collect()),
        delimiter: write(input.delimiter),
        encoding_type: input.encoding_type,
        start_after: write(input.start_after),
        ..Default::default()
    })
}

pub async fn list_object_versions(
    wire: &Wire,
    request: S3Request<ListObjectVersionsInput>,
) -> Result<ListObjectVersionsOutput> {
    let input = request.input;
    let encoding = Encoding(input.encoding_type.clone());
    let about = wire.gate.store.bucket(&input.bucket)?;
    if input.version_id_marker.is_some() && input.key_marker.is_none() {
        return Err(Refusal::argument("A version-id marker cannot be specified without a key marker."));
    }
    let wanted = Wanted {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: input.key_marker.clone().unwrap_or_default(),
        after_version: input.version_id_marker.clone().filter(|it| !it.is_empty()),
        most: most(input.max_keys)?,
    };
    let page = wire.gate.store.versions(&input.bucket, &wanted)?;
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    let prefixes = encoding.prefixes(&page);
    for (version, newest) in page.versions {
        if version.marker {
            markers.push(DeleteMarkerEntry {
                is_latest: Some(newest),
                key: Some(encoding.write(&version.key)),
                last_modified: Some(time(version.at)),
                owner: Some(owner(&about.owner)),
                version_id: Some(version.id),
            });
        } else {
            versions.push(ObjectVersion {
                checksum_algorithm: version.sum.as_ref().map(|sum| vec![algorithm(sum.kind)]),
                checksum_type: version.sum.as_ref().map(|sum| sum_type(sum.composite)),
                e_tag: Some(tag(&version.tag)),
                is_latest: Some(newest),
                key: Some(encoding.write(&version.key)),
                last_modified: Some(time(version.at)),
                owner: Some(owner(&about.owner)),
                size: Some(length(version.size)),
                storage_class: Some(version.meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
                version_id: Some(version.id),
                ..Default::default()
            });
        }
    }
    let write = |text: Option<String>| text.map(|text| encoding.write(&text));
    let (next_key, next_version) = page.next.unzip();
    Ok(ListObjectVersionsOutput {
        common_prefixes: prefixes,
        delete_markers: Some(markers),
        delimiter: write(input.delimiter),
        encoding_type: input.encoding_type,
        is_truncated: Some(next_key.is_some()),
        key_marker: write(Some(wanted.after)),
        max_keys: Some(count(wanted.most)),
        name: Some(input.bucket),
        next_key_marker: write(next_key),
        next_version_id_marker: next_version.flatten(),
        prefix: write(Some(wanted.prefix)),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        versions: Some(versions),
        ..Default::default()
    })
}
