"""What head and workers may do: no more than they need (pure)."""

import json
from collections.abc import Mapping
from typing import Any

HEAD, WORKER = "ictsweep-head", "ictsweep-worker"
TAG = {"project": "ictsweep"}
Statement = Mapping[str, Any]

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def worker_policy(bucket: str) -> dict[str, Any]:
    """Read and write the bucket's objects."""
    return _document(_storage(bucket))


def head_policy(bucket: str, account: str) -> dict[str, Any]:
    """The same, and start workers with the workers' role, and end machines of this project."""
    return _document([*_storage(bucket), *_machines(account)])


def _storage(bucket: str) -> list[Statement]:
    place = f"arn:aws:s3:::{bucket}"
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], place),
        _allow(
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            f"{place}/*",
        ),
    ]


def _machines(account: str) -> list[Statement]:
    ours = {"StringEquals": {f"ec2:ResourceTag/{k}": v for k, v in TAG.items()}}
    new = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    image = "arn:aws:ssm:*::parameter/aws/service/deeplearning/*"
    return [
        _allow(["ec2:RunInstances", "ec2:Describe*"], "*"),
        _allow(["ec2:CreateTags"], "*", new),
        _allow(["ec2:CreateTags", "ec2:TerminateInstances"], "*", ours),
        _allow(["iam:PassRole"], f"arn:aws:iam::{account}:role/{WORKER}", to_ec2),
        _allow(["ssm:GetParameters"], image),
    ]


def _allow(actions: list[str], resource: str, condition: Statement | None = None) -> Statement:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return statement if condition is None else {**statement, "Condition": condition}


def _document(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
