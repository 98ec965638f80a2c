"""Uses an object store as programs do, and stops at the first answer that S3 would not give."""

import datetime
import hashlib
import hmac
import io
import json
import os
import urllib.error
import urllib.request
import ssl
from unittest import mock

import boto3
import botocore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
SECRET = "a-secret-for-a-test"


def client(key="OWNER", secret=SECRET, token=None, **config):
    style = {"addressing_style": "path"}
    retries = {"max_attempts": 1}
    return boto3.client(
        "s3", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token, config=Config(s3=style, retries=retries, **config))


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response
    raise AssertionError(f"{code} was expected, and it went well")


def fetch(url, data=None, method=None, headers=None):
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]) if url.startswith("https") else None
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


s3 = client()


def buckets():
    s3.create_bucket(Bucket="one")
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket="one")
    refused("BucketAlreadyExists", client("STRANGER").create_bucket, Bucket="one")
    refused("InvalidBucketName", s3.create_bucket, Bucket="a..b")
    elsewhere = {"LocationConstraint": "eu-central-1"}
    refused("IllegalLocationConstraintException", s3.create_bucket, Bucket="two", CreateBucketConfiguration=elsewhere)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["one"]
    assert client("STRANGER").list_buckets()["Buckets"] == []
    assert s3.get_bucket_location(Bucket="one")["LocationConstraint"] is None
    s3.head_bucket(Bucket="one")
    refused("404", s3.head_bucket, Bucket="nowhere")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="nowhere")


def objects():
    key = "a b+c/ü=&?#.txt"
    put = s3.put_object(Bucket="one", Key=key, Body=b"hello", ContentType="text/plain", Metadata={"note": "yes"},
                        Tagging="k=v&l=w", CacheControl="no-cache")
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"', put
    got = s3.get_object(Bucket="one", Key=key)
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"hello", "text/plain", {"note": "yes"}), got
    assert (got["CacheControl"], got["TagCount"], got["ContentLength"]) == ("no-cache", 2, 5), got
    assert "VersionId" not in got, got
    assert s3.get_object_tagging(Bucket="one", Key=key)["TagSet"] == [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]
    s3.put_object_tagging(Bucket="one", Key=key, Tagging={"TagSet": [{"Key": "m", "Value": "x"}]})
    s3.delete_object_tagging(Bucket="one", Key=key)
    assert s3.get_object_tagging(Bucket="one", Key=key)["TagSet"] == []
    assert s3.head_object(Bucket="one", Key=key)["ContentLength"] == 5
    assert [it["Key"] for it in s3.list_objects_v2(Bucket="one")["Contents"]] == [key]
    refused("404", s3.head_object, Bucket="one", Key="nothing")
    refused("NoSuchKey", s3.get_object, Bucket="one", Key="nothing")
    refused("KeyTooLongError", s3.put_object, Bucket="one", Key="k" * 1025, Body=b"")
    # Bodies of which the length is not known, and that cannot be read twice, go in chunks.
    s3.upload_fileobj(io.BytesIO(b"x" * 100_000), "one", "streamed")
    assert s3.head_object(Bucket="one", Key="streamed")["ContentLength"] == 100_000
    s3.delete_object(Bucket="one", Key=key)
    s3.delete_object(Bucket="one", Key=key)
    s3.delete_object(Bucket="one", Key="streamed")


def lists():
    keys = [f"d{n % 3}/k{n:02}" for n in range(20)] + ["plain"]
    for key in keys:
        s3.put_object(Bucket="one", Key=key, Body=b"")
    for operation in ["list_objects", "list_objects_v2"]:
        pages = s3.get_paginator(operation).paginate(Bucket="one", PaginationConfig={"PageSize": 3})
        pages = list(pages)
        assert len(pages) == 7, pages
        assert [it["Key"] for page in pages for it in page["Contents"]] == sorted(keys)
        pages = s3.get_paginator(operation).paginate(Bucket="one", Delimiter="/", PaginationConfig={"PageSize": 1})
        pages = list(pages)
        prefixes = [it["Prefix"] for page in pages for it in page.get("CommonPrefixes", [])]
        assert prefixes == ["d0/", "d1/", "d2/"], pages
        assert [it["Key"] for page in pages for it in page.get("Contents", [])] == ["plain"], pages
    some = s3.list_objects_v2(Bucket="one", Prefix="d1/", StartAfter="d1/k10")
    assert [it["Key"] for it in some["Contents"]] == ["d1/k13", "d1/k16", "d1/k19"], some
    refused("InvalidArgument", s3.list_objects_v2, Bucket="one", ContinuationToken="!")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket="one")
    gone = s3.delete_objects(Bucket="one", Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(gone["Deleted"]) == len(keys) and "Errors" not in gone, gone
    assert s3.list_objects_v2(Bucket="one")["KeyCount"] == 0


def versions():
    s3.create_bucket(Bucket="versioned")
    assert "Status" not in s3.get_bucket_versioning(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="versioned")["Status"] == "Enabled"
    ids = [s3.put_object(Bucket="versioned", Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
    assert len(set(ids)) == 3
    assert s3.get_object(Bucket="versioned", Key="k", VersionId=ids[0])["Body"].read() == b"0"
    marker = s3.delete_object(Bucket="versioned", Key="k")
    assert marker["DeleteMarker"] is True
    missing = refused("NoSuchKey", s3.get_object, Bucket="versioned", Key="k")
    assert missing["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true", missing
    refused("MethodNotAllowed", s3.get_object, Bucket="versioned", Key="k", VersionId=marker["VersionId"])
    refused("NoSuchVersion", s3.get_object, Bucket="versioned", Key="k", VersionId="0" * 32)
    assert "Contents" not in s3.list_objects_v2(Bucket="versioned")
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket="versioned", PaginationConfig={"PageSize": 1}))
    assert len(pages) == 4, pages
    listed = [it["VersionId"] for page in pages for it in page.get("Versions", [])]
    assert listed == ids[::-1], listed
    assert [it["IsLatest"] for page in pages for it in page.get("DeleteMarkers", [])] == [True]
    assert s3.delete_object(Bucket="versioned", Key="k", VersionId=marker["VersionId"])["DeleteMarker"] is True
    assert s3.get_object(Bucket="versioned", Key="k")["VersionId"] == ids[2]
    every = [{"Key": "k", "VersionId": version} for version in ids]
    assert len(s3.delete_objects(Bucket="versioned", Delete={"Objects": every})["Deleted"]) == 3
    s3.delete_bucket(Bucket="versioned")


def multipart():
    size = 5 * 1024 * 1024
    config = TransferConfig(multipart_threshold=size, multipart_chunksize=size)
    content = os.urandom(2 * size + 10)
    s3.upload_fileobj(io.BytesIO(content), "one", "big", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    head = s3.head_object(Bucket="one", Key="big", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"') and head["Metadata"] == {"a": "b"}, head
    # Uploads in parts are joined with a checksum of the whole, or with one of the parts' checksums.
    assert head["ChecksumType"] == "FULL_OBJECT" or head["ChecksumCRC32"].endswith("-3"), head
    back = io.BytesIO()
    s3.download_fileobj("one", "big", back)
    assert back.getvalue() == content
    assert s3.get_object(Bucket="one", Key="big", PartNumber=3)["ContentLength"] == 10

    upload = s3.create_multipart_upload(Bucket="one", Key="slow", ChecksumAlgorithm="SHA256")["UploadId"]
    assert [it["UploadId"] for it in s3.list_multipart_uploads(Bucket="one")["Uploads"]] == [upload]
    part = s3.upload_part(Bucket="one", Key="slow", UploadId=upload, PartNumber=2, Body=b"x", ChecksumAlgorithm="SHA256")
    copied = s3.upload_part_copy(Bucket="one", Key="slow", UploadId=upload, PartNumber=3,
                                 CopySource={"Bucket": "one", "Key": "big"}, CopySourceRange="bytes=0-4")
    assert copied["CopyPartResult"]["ETag"], copied
    parts = s3.list_parts(Bucket="one", Key="slow", UploadId=upload)["Parts"]
    assert [(it["PartNumber"], it["Size"]) for it in parts] == [(2, 1), (3, 5)], parts
    named = [{"PartNumber": 2, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]
    complete = lambda parts: s3.complete_multipart_upload(
        Bucket="one", Key="slow", UploadId=upload, MultipartUpload={"Parts": parts})
    refused("InvalidPart", complete, [{"PartNumber": 1, "ETag": part["ETag"]}])
    refused("InvalidPartOrder", complete, [{"PartNumber": it["PartNumber"], "ETag": it["ETag"]} for it in parts[::-1]])
    refused("EntityTooSmall", complete, [
        {"PartNumber": it["PartNumber"], "ETag": it["ETag"], "ChecksumSHA256": it["ChecksumSHA256"]} for it in parts])
    done = complete(named)
    assert done["ChecksumSHA256"].endswith("-1") and done["ETag"].endswith('-1"'), done
    refused("NoSuchUpload", complete, named)
    upload = s3.create_multipart_upload(Bucket="one", Key="never")["UploadId"]
    s3.abort_multipart_upload(Bucket="one", Key="never", UploadId=upload)
    refused("NoSuchUpload", s3.list_parts, Bucket="one", Key="never", UploadId=upload)
    for key in ["big", "slow"]:
        s3.delete_object(Bucket="one", Key=key)


def copies():
    s3.put_object(Bucket="one", Key="from", Body=b"copied", Metadata={"a": "b"}, Tagging="t=1")
    s3.copy_object(Bucket="one", Key="to ü", CopySource={"Bucket": "one", "Key": "from"})
    got = s3.get_object(Bucket="one", Key="to ü")
    assert (got["Body"].read(), got["Metadata"], got["TagCount"]) == (b"copied", {"a": "b"}, 1), got
    refused("InvalidRequest", s3.copy_object, Bucket="one", Key="from", CopySource="one/from")
    s3.copy_object(Bucket="one", Key="from", CopySource="one/from", MetadataDirective="REPLACE", Metadata={"c": "d"})
    assert s3.head_object(Bucket="one", Key="from")["Metadata"] == {"c": "d"}
    refused("NoSuchKey", s3.copy_object, Bucket="one", Key="x", CopySource="one/nothing")
    refused("PreconditionFailed", s3.copy_object, Bucket="one", Key="x", CopySource="one/from", CopySourceIfMatch='"no"')
    refused("AccessDenied", client("STRANGER").copy_object, Bucket="one", Key="x", CopySource="one/from")
    s3.delete_objects(Bucket="one", Delete={"Objects": [{"Key": "from"}, {"Key": "to ü"}], "Quiet": True})


def conditions_and_ranges():
    tag = s3.put_object(Bucket="one", Key="k", Body=b"0123456789", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", s3.put_object, Bucket="one", Key="k", Body=b"", IfNoneMatch="*")
    refused("PreconditionFailed", s3.put_object, Bucket="one", Key="k", Body=b"", IfMatch='"other"')
    refused("304", s3.get_object, Bucket="one", Key="k", IfNoneMatch=tag)
    refused("PreconditionFailed", s3.get_object, Bucket="one", Key="k", IfMatch='"other"')
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
    refused("304", s3.get_object, Bucket="one", Key="k", IfModifiedSince=later)
    got = s3.get_object(Bucket="one", Key="k", Range="bytes=2-4")
    assert (got["Body"].read(), got["ContentRange"]) == (b"234", "bytes 2-4/10"), got
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket="one", Key="k", Range="bytes=-3")["Body"].read() == b"789"
    assert s3.get_object(Bucket="one", Key="k", Range="bytes=8-")["Body"].read() == b"89"
    refused("InvalidRange", s3.get_object, Bucket="one", Key="k", Range="bytes=10-")
    s3.delete_object(Bucket="one", Key="k")


def locks():
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    assert s3.get_bucket_versioning(Bucket="locked")["Status"] == "Enabled"
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"] == configuration
    version = s3.put_object(Bucket="locked", Key="k", Body=b"x")["VersionId"]
    assert s3.get_object_retention(Bucket="locked", Key="k")["Retention"]["Mode"] == "GOVERNANCE"
    which = {"Bucket": "locked", "Key": "k", "VersionId": version}
    refused("AccessDenied", s3.delete_object, **which)
    s3.delete_object(**which, BypassGovernanceRetention=True)
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    which["VersionId"] = s3.put_object(Bucket="locked", Key="k", Body=b"y", ObjectLockMode="COMPLIANCE",
                                       ObjectLockRetainUntilDate=until)["VersionId"]
    refused("AccessDenied", s3.delete_object, **which, BypassGovernanceRetention=True)
    failed = s3.delete_objects(Bucket="locked", Delete={"Objects": [{"Key": "k", "VersionId": which["VersionId"]}]})
    assert failed["Errors"][0]["Code"] == "AccessDenied", failed
    s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**which)["LegalHold"] == {"Status": "ON"}
    refused("InvalidBucketState", s3.put_bucket_versioning, Bucket="locked", VersioningConfiguration={"Status": "Suspended"})
    refused("ObjectLockConfigurationNotFoundError", s3.get_object_lock_configuration, Bucket="one")
    refused("InvalidRequest", s3.put_object, Bucket="one", Key="k", Body=b"", ObjectLockLegalHoldStatus="ON")


def settings():
    rules = [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 7}}]
    refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket="one")
    s3.put_bucket_lifecycle_configuration(Bucket="one", LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket="one")["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket="one")
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket="one", PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket="one")["PublicAccessBlockConfiguration"] == block
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket="one", ServerSideEncryptionConfiguration=encryption)
    kept = s3.get_bucket_encryption(Bucket="one")["ServerSideEncryptionConfiguration"]["Rules"]
    assert kept[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, kept
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket="one")
    tags = [{"Key": "owner", "Value": "me"}]
    s3.put_bucket_tagging(Bucket="one", Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket="one")["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket="one")
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="one")
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket="one", Policy="nonsense")


def checksums():
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        put = s3.put_object(Bucket="one", Key="k", Body=b"x", ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket="one", Key="k", ChecksumMode="ENABLED")
        assert put[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"], (put, head)
    refused("BadDigest", s3.put_object, Bucket="one", Key="k", Body=b"x", ChecksumCRC32="AAAAAA==")
    refused("BadDigest", s3.put_object, Bucket="one", Key="k", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    attributes = s3.get_object_attributes(Bucket="one", Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum"])
    assert attributes["ObjectSize"] == 1 and attributes["Checksum"]["ChecksumSHA256"], attributes
    s3.delete_object(Bucket="one", Key="k")


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def chunked(spoil):
    """An upload in two chunks of which each is signed, as older SDKs send them."""
    host = ENDPOINT.split("//")[1]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    chunks = [b"a" * 65536, b"end", b""]
    headers = {
        "content-encoding": "aws-chunked",
        "host": host,
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-date": now,
        "x-amz-decoded-content-length": str(sum(map(len, chunks))),
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"PUT\n/one/chunked\n\n{lines}\n{names}\n{headers['x-amz-content-sha256']}"
    key = sign(("AWS4" + SECRET).encode(), now[:8])
    for part in ["us-east-1", "s3", "aws4_request"]:
        key = sign(key, part)
    digest = lambda data: hashlib.sha256(data).hexdigest()
    signature = sign(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest(canonical.encode())}").hex()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=OWNER/{scope}, SignedHeaders={names}, Signature={signature}"
    body = b""
    for chunk in chunks:
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{now}\n{scope}\n{signature}\n{digest(b'')}\n{digest(chunk)}"
        signature = sign(key, text).hex()
        body += f"{len(chunk):x};chunk-signature={signature}\r\n".encode() + chunk + b"\r\n"
    return fetch(f"{ENDPOINT}/one/chunked", spoil(body), "PUT", headers)


def signed_chunks():
    assert chunked(lambda body: body)[0] == 200
    got = s3.get_object(Bucket="one", Key="chunked")
    assert got["Body"].read() == b"a" * 65536 + b"end" and "ContentEncoding" not in got, got
    s3.delete_object(Bucket="one", Key="chunked")
    status, said = chunked(lambda body: body.replace(b"end", b"END"))
    assert status == 403 and b"SignatureDoesNotMatch" in said, (status, said)
    refused("404", s3.head_object, Bucket="one", Key="chunked")


def at(offset):
    now = datetime.datetime.now(datetime.timezone.utc) + offset
    return mock.patch("botocore.auth.get_current_datetime", lambda *args, **kwargs: now.replace(tzinfo=None))


def presigned():
    v4 = client(signature_version="s3v4")
    put = v4.generate_presigned_url("put_object", Params={"Bucket": "one", "Key": "p q"}, ExpiresIn=60)
    assert fetch(put, b"hello", "PUT") == (200, b"")
    get = v4.generate_presigned_url("get_object", Params={"Bucket": "one", "Key": "p q"}, ExpiresIn=60)
    assert fetch(get) == (200, b"hello")
    status, said = fetch(get.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))
    assert status == 403 and b"SignatureDoesNotMatch" in said, said
    with at(datetime.timedelta(seconds=-120)):
        get = v4.generate_presigned_url("get_object", Params={"Bucket": "one", "Key": "p q"}, ExpiresIn=60)
    status, said = fetch(get)
    assert status == 403 and b"Request has expired" in said, said
    s3.delete_object(Bucket="one", Key="p q")


def clocks():
    for offset in [-20, 20]:
        with at(datetime.timedelta(minutes=offset)):
            refused("RequestTimeTooSkewed", s3.list_buckets)
    with at(datetime.timedelta(minutes=-10)):
        s3.list_buckets()


def credentials():
    refused("SignatureDoesNotMatch", client(secret="wrong").list_buckets)
    refused("SignatureDoesNotMatch", client(secret="wrong").put_object, Bucket="one", Key="k", Body=b"x")
    refused("InvalidAccessKeyId", client("NOBODY").list_buckets)
    refused("InvalidAccessKeyId", client("TEMPORARY").list_buckets)
    refused("InvalidToken", client("TEMPORARY", token="other").list_buckets)
    refused("ExpiredToken", client("EXPIRED", token="a-token-for-a-test").list_buckets)
    client("TEMPORARY", token="a-token-for-a-test").list_buckets()


def permissions():
    stranger, nobody = client("STRANGER"), client(signature_version=botocore.UNSIGNED)
    s3.put_object(Bucket="one", Key="k", Body=b"x")
    refused("AccessDenied", stranger.get_object, Bucket="one", Key="k")
    refused("AccessDenied", nobody.get_object, Bucket="one", Key="k")
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"}, "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::one/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket="one", Policy=policy)
    assert json.loads(s3.get_bucket_policy(Bucket="one")["Policy"]) == json.loads(policy)
    stranger.get_object(Bucket="one", Key="k")
    refused("AccessDenied", stranger.put_object, Bucket="one", Key="k", Body=b"")
    refused("AccessDenied", nobody.get_object, Bucket="one", Key="k")
    s3.delete_bucket_policy(Bucket="one")
    s3.delete_object(Bucket="one", Key="k")
    s3.delete_bucket(Bucket="one")


for case in [buckets, objects, lists, versions, multipart, copies, conditions_and_ranges, locks, settings, checksums,
             signed_chunks, presigned, clocks, credentials, permissions]:
    case()
    print(case.__name__.replace("_", " "), flush=True)
