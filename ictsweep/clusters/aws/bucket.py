"""The bucket of datasets and studies: private, in the machines' region."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ictsweep.clusters.aws.account import Account, code_of
from ictsweep.errors import UserError

_PRIVATE = {
    "BlockPublicAcls": True, "IgnorePublicAcls": True,
    "BlockPublicPolicy": True, "RestrictPublicBuckets": True,
}  # fmt: skip
_RULE = "unfinished uploads end"  # parts of an upload that a kill cut off are billed for ever


@dataclass(frozen=True)
class Bucket:
    """A bucket by its name."""

    account: Account
    bucket: str

    @property
    def name(self) -> str:
        """What it is called."""
        return f"bucket {self.bucket}"

    def missing(self) -> list[str]:
        """Existence, no public access, an end to unfinished uploads."""
        if not self._exists():
            return [f"create it in {self.account.region}, private"]
        todo = [] if self._is_private() else ["block public access"]
        return todo if self._ends_uploads() else [*todo, "end unfinished uploads after a week"]

    def make(self) -> None:
        """Create what is missing of it."""
        s3, region = self.account.s3, self.account.region
        if not self._exists():
            # the one region that may not be named
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                s3.create_bucket(Bucket=self.bucket, **({} if region == "us-east-1" else where))
            except ClientError as error:
                if code_of(error) != "BucketAlreadyExists":
                    raise
                raise UserError(_foreign(self.bucket)) from None
        s3.put_public_access_block(
            Bucket=self.bucket, PublicAccessBlockConfiguration=dict(_PRIVATE)
        )
        if not self._ends_uploads():
            rules = [*self._rules(), _lifecycle()]
            s3.put_bucket_lifecycle_configuration(
                Bucket=self.bucket, LifecycleConfiguration={"Rules": rules}
            )

    def remove(self) -> str:
        """Only an empty one goes: studies are not machines."""
        if not self._exists():
            return "is not there"
        if self.account.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=1).get("KeyCount"):
            return (
                "stays: it holds data, and is billed for them. To lose them: "
                f"aws s3 rb --force s3://{self.bucket}"
            )
        self.account.s3.delete_bucket(Bucket=self.bucket)
        return "removed"

    def _exists(self) -> bool:
        try:
            answer = self.account.s3.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchBucket"):
                return False
            if code_of(error) == "403":
                raise UserError(_foreign(self.bucket)) from None
            if code_of(error) in ("301", "PermanentRedirect", "400"):
                raise UserError(_elsewhere(self.bucket, self.account.region)) from None
            raise
        there = answer.get("BucketRegion")
        if there not in (None, self.account.region):
            raise UserError(_elsewhere(self.bucket, self.account.region, there))
        return True

    def _is_private(self) -> bool:
        try:
            answer = self.account.s3.get_public_access_block(Bucket=self.bucket)
        except ClientError as error:
            if code_of(error) == "NoSuchPublicAccessBlockConfiguration":
                return False
            raise
        return answer["PublicAccessBlockConfiguration"] == _PRIVATE

    def _ends_uploads(self) -> bool:
        return any("AbortIncompleteMultipartUpload" in rule for rule in self._rules())

    def _rules(self) -> list[dict[str, Any]]:
        try:
            answer = self.account.s3.get_bucket_lifecycle_configuration(Bucket=self.bucket)
        except ClientError as error:
            if code_of(error) == "NoSuchLifecycleConfiguration":
                return []
            raise
        return answer["Rules"]


def _lifecycle() -> dict[str, Any]:
    return {
        "ID": _RULE, "Status": "Enabled", "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }  # fmt: skip


def _foreign(bucket: str) -> str:
    return (
        f"bucket {bucket}: it belongs to another account, or you may not s3:ListBucket in it. "
        "Names of buckets are shared by the whole world: choose one of your own."
    )


def _elsewhere(bucket: str, region: str, there: str = "another region") -> str:
    return (
        f"bucket {bucket}: it is in {there}, not in {region}. Machines there would pay for every "
        "byte: give that --region, or another bucket."
    )
