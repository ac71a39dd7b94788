"""The AWS account that is prepared, and what its refusals mean."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from ictsweep.errors import UserError
from ictsweep.problems import did_you_mean

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_INVALID = ("InvalidClientTokenId", "SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId")
_PERMISSIONS = {  # where a permission is not called as its operation is
    "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}  # fmt: skip
_SERVICES = {
    "iam": ("Role", "InstanceProfile"), "s3": ("Bucket", "PublicAccess", "Object"),
    "sts": ("CallerIdentity",),
}  # fmt: skip


@dataclass(frozen=True)
class Account:
    """Clients of the services that preparing needs, in one region."""

    number: str
    region: str
    ec2: Any
    iam: Any
    s3: Any


def open_account(region: str) -> Account:
    """The account of the caller's credentials; UserError when there is no way in."""
    session = boto3.Session()
    regions = session.get_available_regions("ec2")
    if region not in regions:
        raise UserError(f"{region}: no region of AWS{did_you_mean(region, regions)}")
    with told():
        number = session.client("sts", region_name=region).get_caller_identity()["Account"]
        clients = [session.client(name, region_name=region) for name in ("ec2", "iam", "s3")]
    return Account(number, region, *clients)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """AWS's refusals as messages that say what to do."""
    try:
        yield
    except ClientError as error:
        raise UserError(_of_client(error)) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise UserError(
            f"no AWS credentials: {error}. Log in (`aws configure`, `aws sso login`) or set "
            "AWS_PROFILE; nothing was made."
        ) from error
    except BotoCoreError as error:
        raise UserError(f"AWS could not be asked: {error}") from error


def code_of(error: ClientError) -> str:
    """AWS's name of what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def permission(operation: str) -> str:
    """The IAM permission that an operation needs."""
    if operation in _PERMISSIONS:
        return _PERMISSIONS[operation]
    owners = [s for s, words in _SERVICES.items() if any(word in operation for word in words)]
    return f"{owners[0] if owners else 'ec2'}:{operation}"


def own_address() -> str:
    """The public IPv4 address from which AWS sees this machine, as a network of one address."""
    try:
        with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=10) as answer:
            return f"{answer.read().decode().strip()}/32"
    except OSError as error:
        raise UserError(
            f"your public address could not be found ({error}): give it with "
            "--ssh-from 203.0.113.7/32"
        ) from None


def _of_client(error: ClientError) -> str:
    code, operation = code_of(error), error.operation_name
    said = error.response.get("Error", {}).get("Message", "")
    if code in _DENIED:
        return (
            f"you may not {permission(operation)} ({said or code}): have it allowed, or let "
            "someone who may prepare the account. What was made before stays, free of charge."
        )
    if code in _EXPIRED:
        return f"your AWS credentials have expired ({said}): log in again; nothing is lost"
    if code in _INVALID:
        return f"AWS does not know your credentials ({said}): `aws sts get-caller-identity` tests"
    return f"AWS refused {permission(operation)}: {code}: {said}"
