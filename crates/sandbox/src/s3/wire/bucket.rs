//! Buckets on the wire.

use s3s::{
    S3Request,
    dto::*,
    xml::{Deserialize, Deserializer, Serialize, Serializer},
};

use super::{
    Wire,
    access::asker,
    convert::{mode, mode_name, owner, tag_set, tags, time},
};
use crate::s3::{
    refusal::{Refusal, Result},
    store::{DefaultLock, Term, Versioning},
};

pub async fn create_bucket(wire: &Wire, request: S3Request<CreateBucketInput>) -> Result<CreateBucketOutput> {
    let account =
        asker(&request).map(|asker| asker.account.clone()).ok_or_else(|| Refusal::of("AccessDenied"))?;
    let input = request.input;
    let wanted = input.create_bucket_configuration.and_then(|it| it.location_constraint);
    // No constraint means us-east-1, which is where the sandbox is unless told otherwise: then it takes both.
    if let Some(wanted) = wanted.as_ref().map(BucketLocationConstraint::as_str).filter(|it| !it.is_empty())
        && wanted != wire.region
    {
        return Err(Refusal::of("IllegalLocationConstraintException"));
    }
    let lock = input.object_lock_enabled_for_bucket.unwrap_or(false);
    wire.gate.store.create_bucket(&account, &input.bucket, &wire.region, lock)?;
    Ok(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) })
}

pub async fn delete_bucket(wire: &Wire, request: S3Request<DeleteBucketInput>) -> Result<DeleteBucketOutput> {
    wire.gate.store.delete_bucket(&request.input.bucket)?;
    Ok(DeleteBucketOutput::default())
}

pub async fn head_bucket(wire: &Wire, request: S3Request<HeadBucketInput>) -> Result<HeadBucketOutput> {
    let about = wire.gate.store.bucket(&request.input.bucket)?;
    Ok(HeadBucketOutput { bucket_region: Some(about.region), ..Default::default() })
}

pub async fn list_buckets(wire: &Wire, request: S3Request<ListBucketsInput>) -> Result<ListBucketsOutput> {
    let account =
        asker(&request).map(|asker| asker.account.clone()).ok_or_else(|| Refusal::of("AccessDenied"))?;
    let prefix = request.input.prefix.clone().unwrap_or_default();
    let buckets = wire.gate.store.buckets(Some(&account)).into_iter();
    let buckets = buckets.filter(|about| about.name.starts_with(&prefix)).map(|about| Bucket {
        name: Some(about.name),
        creation_date: Some(time(about.made)),
        bucket_region: Some(about.region),
    });
    Ok(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        owner: Some(owner(&account)),
        prefix: request.input.prefix,
        ..Default::default()
    })
}

pub async fn get_bucket_location(
    wire: &Wire,
    request: S3Request<GetBucketLocationInput>,
) -> Result<GetBucketLocationOutput> {
    let region = wire.gate.store.bucket(&request.input.bucket)?.region;
    // The oldest region is said by saying none.
    let constraint = Some(region).filter(|region| region != "us-east-1").map(BucketLocationConstraint::from);
    Ok(GetBucketLocationOutput { location_constraint: constraint })
}

pub async fn get_bucket_versioning(
    wire: &Wire,
    request: S3Request<GetBucketVersioningInput>,
) -> Result<GetBucketVersioningOutput> {
    let status = match wire.gate.store.bucket(&request.input.bucket)?.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(GetBucketVersioningOutput { status, ..Default::default() })
}

pub async fn put_bucket_versioning(
    wire: &Wire,
    request: S3Request<PutBucketVersioningInput>,
) -> Result<PutBucketVersioningOutput> {
    let enabled =
        match request.input.versioning_configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => true,
            Some(BucketVersioningStatus::SUSPENDED) => false,
            _ => return Err(Refusal::of("MalformedXML")),
        };
    wire.gate.store.set_versioning(&request.input.bucket, enabled)?;
    Ok(PutBucketVersioningOutput::default())
}

pub async fn get_bucket_policy(
    wire: &Wire,
    request: S3Request<GetBucketPolicyInput>,
) -> Result<GetBucketPolicyOutput> {
    let policy = wire.gate.store.setting(&request.input.bucket, "policy")?;
    Ok(GetBucketPolicyOutput { policy: Some(policy) })
}

pub async fn put_bucket_policy(
    wire: &Wire,
    request: S3Request<PutBucketPolicyInput>,
) -> Result<PutBucketPolicyOutput> {
    wire.gate.store.set(&request.input.bucket, "policy", Some(request.input.policy))?;
    Ok(PutBucketPolicyOutput::default())
}

pub async fn delete_bucket_policy(
    wire: &Wire,
    request: S3Request<DeleteBucketPolicyInput>,
) -> Result<DeleteBucketPolicyOutput> {
    wire.gate.store.set(&request.input.bucket, "policy", None)?;
    Ok(DeleteBucketPolicyOutput::default())
}

fn write(document: &impl Serialize) -> Result<String> {
    let mut xml = Vec::new();
    let written = document.serialize(&mut Serializer::new(&mut xml)).ok();
    written.and_then(|()| String::from_utf8(xml).ok()).ok_or_else(|| Refusal::of("MalformedXML"))
}

fn read<T: for<'xml> Deserialize<'xml>>(wire: &Wire, bucket: &str, kind: &str) -> Result<T> {
    let text = wire.gate.store.setting(bucket, kind)?;
    T::deserialize(&mut Deserializer::new(text.as_bytes())).map_err(|_| Refusal::of("MalformedXML"))
}

/// Reading, writing and removing a document that is kept as XML.
macro_rules! documents {
    ($($kind:literal {
        $get:ident($get_input:ty) -> $get_output:ident as |$read:ident: $document:ty| $field:ident: $value:expr,
        $put:ident($put_input:ty) -> $put_output:ty as |$written:ident| $wish:expr,
        $delete:ident($delete_input:ty) -> $delete_output:ty,
    })*) => { $(
        #[allow(clippy::needless_update, reason = "some of the outputs have this field alone")]
        pub async fn $get(wire: &Wire, request: S3Request<$get_input>) -> Result<$get_output> {
            let $read: $document = read(wire, &request.input.bucket, $kind)?;
            Ok($get_output { $field: Some($value), ..Default::default() })
        }

        pub async fn $put(wire: &Wire, request: S3Request<$put_input>) -> Result<$put_output> {
            let $written = request.input;
            let document = write($wish)?;
            wire.gate.store.set(&$written.bucket, $kind, Some(document))?;
            Ok(Default::default())
        }

        pub async fn $delete(wire: &Wire, request: S3Request<$delete_input>) -> Result<$delete_output> {
            wire.gate.store.set(&request.input.bucket, $kind, None)?;
            Ok(Default::default())
        }
    )* };
}

documents! {
    "lifecycle" {
        get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
            -> GetBucketLifecycleConfigurationOutput as |it: BucketLifecycleConfiguration| rules: it.rules,
        put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput)
            -> PutBucketLifecycleConfigurationOutput
            as |it| it.lifecycle_configuration.as_ref().ok_or_else(|| Refusal::of("MalformedXML"))?,
        delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput,
    }
    "encryption" {
        get_bucket_encryption(GetBucketEncryptionInput)
            -> GetBucketEncryptionOutput
            as |it: ServerSideEncryptionConfiguration| server_side_encryption_configuration: it,
        put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput
            as |it| &it.server_side_encryption_configuration,
        delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput,
    }
    "public-access-block" {
        get_public_access_block(GetPublicAccessBlockInput)
            -> GetPublicAccessBlockOutput as |it: PublicAccessBlockConfiguration| public_access_block_configuration: it,
        put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput
            as |it| &it.public_access_block_configuration,
        delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput,
    }
    "ownership" {
        get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
            -> GetBucketOwnershipControlsOutput as |it: OwnershipControls| ownership_controls: it,
        put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput
            as |it| &it.ownership_controls,
        delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput,
    }
    "cors" {
        get_bucket_cors(GetBucketCorsInput)
            -> GetBucketCorsOutput as |it: CORSConfiguration| cors_rules: it.cors_rules,
        put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput as |it| &it.cors_configuration,
        delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput,
    }
}

pub async fn get_bucket_tagging(
    wire: &Wire,
    request: S3Request<GetBucketTaggingInput>,
) -> Result<GetBucketTaggingOutput> {
    let tags = wire.gate.store.bucket(&request.input.bucket)?.tags;
    match tags.is_empty() {
        true => Err(Refusal::of("NoSuchTagSet")),
        false => Ok(GetBucketTaggingOutput { tag_set: tag_set(tags) }),
    }
}

pub async fn put_bucket_tagging(
    wire: &Wire,
    request: S3Request<PutBucketTaggingInput>,
) -> Result<PutBucketTaggingOutput> {
    wire.gate.store.tag_bucket(&request.input.bucket, tags(request.input.tagging.tag_set)?)?;
    Ok(PutBucketTaggingOutput::default())
}

pub async fn delete_bucket_tagging(
    wire: &Wire,
    request: S3Request<DeleteBucketTaggingInput>,
) -> Result<DeleteBucketTaggingOutput> {
    wire.gate.store.tag_bucket(&request.input.bucket, Default::default())?;
    Ok(DeleteBucketTaggingOutput::default())
}

pub async fn get_object_lock_configuration(
    wire: &Wire,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> Result<GetObjectLockConfigurationOutput> {
    let about = wire.gate.store.bucket(&request.input.bucket)?;
    if !about.lock {
        return Err(Refusal::of("ObjectLockConfigurationNotFoundError"));
    }
    let rule = about.default_lock.map(|default| {
        let (days, years) = match default.term {
            Term::Days(days) => (Some(days), None),
            Term::Years(years) => (None, Some(years)),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(mode_name(default.mode)));
        ObjectLockRule { default_retention: Some(DefaultRetention { days, mode, years }) }
    });
    let enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
    let configuration = ObjectLockConfiguration { object_lock_enabled: enabled, rule };
    Ok(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) })
}

pub async fn put_object_lock_configuration(
    wire: &Wire,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> Result<PutObjectLockConfigurationOutput> {
    let malformed = || Refusal::of("MalformedXML");
    let configuration = request.input.object_lock_configuration.ok_or_else(malformed)?;
    if configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some("Enabled") {
        return Err(malformed());
    }
    let default = configuration.rule.and_then(|rule| rule.default_retention);
    let default = default.map(|it| {
        let term = match (it.days, it.years) {
            (Some(days), None) => Term::Days(days),
            (None, Some(years)) => Term::Years(years),
            _ => return Err(malformed()),
        };
        Ok(DefaultLock { mode: mode(it.mode.as_ref().ok_or_else(malformed)?.as_str())?, term })
    });
    wire.gate.store.set_lock(&request.input.bucket, default.transpose()?)?;
    Ok(PutObjectLockConfigurationOutput::default())
}
