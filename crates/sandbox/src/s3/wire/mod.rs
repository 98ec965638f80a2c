//! The store as the crate `s3s` wants it: that crate reads requests, checks signatures and writes answers.

mod access;
mod bucket;
mod convert;
mod lists;
mod object;
mod upload;

use s3s::{S3, S3Request, S3Response, S3Result, dto::*};

use super::{gate::Gate, refusal::Refusal};

pub(super) use access::{Access, Fate, Secrets};

/// A store on the wire.
#[derive(Clone)]
pub(super) struct Wire {
    pub gate: Gate,
    /// Where it is: buckets are made here.
    pub region: String,
}

/// The operations, each with the room that does it. What was done outlives the process before the answer goes out.
macro_rules! operations {
    ($($room:ident::$name:ident($input:ty) -> $output:ty;)*) => {
        #[async_trait::async_trait]
        impl S3 for Wire {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                let output = $room::$name(self, request).await?;
                let unkept = |error: crate::keep::NotKept| Refusal {
                    status: 500,
                    ..Refusal::saying("InternalError", error.to_string())
                };
                self.gate.store.kept().await.map_err(unkept)?;
                Ok(S3Response::new(output))
            })*
        }
    };
}

operations! {
    bucket::create_bucket(CreateBucketInput) -> CreateBucketOutput;
    bucket::delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    bucket::head_bucket(HeadBucketInput) -> HeadBucketOutput;
    bucket::list_buckets(ListBucketsInput) -> ListBucketsOutput;
    bucket::get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    bucket::get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    bucket::put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput;
    bucket::get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput;
    bucket::put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput;
    bucket::delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput;
    bucket::get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput;
    bucket::put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput;
    bucket::delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput;
    bucket::get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput;
    bucket::put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput;
    bucket::delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput;
    bucket::get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput;
    bucket::put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput;
    bucket::delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput;
    bucket::get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput;
    bucket::put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput;
    bucket::delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput;
    bucket::get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput;
    bucket::put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput;
    bucket::delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput;
    bucket::get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput;
    bucket::put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput;
    bucket::delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput;
    bucket::get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput;
    bucket::put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput;
    object::put_object(PutObjectInput) -> PutObjectOutput;
    object::get_object(GetObjectInput) -> GetObjectOutput;
    object::head_object(HeadObjectInput) -> HeadObjectOutput;
    object::get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput;
    object::delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    object::delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    object::copy_object(CopyObjectInput) -> CopyObjectOutput;
    object::get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    object::put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput;
    object::delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput;
    object::get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput;
    object::put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput;
    object::get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput;
    object::put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput;
    lists::list_objects(ListObjectsInput) -> ListObjectsOutput;
    lists::list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    lists::list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    upload::create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    upload::upload_part(UploadPartInput) -> UploadPartOutput;
    upload::upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
    upload::complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    upload::abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    upload::list_parts(ListPartsInput) -> ListPartsOutput;
    upload::list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
}
