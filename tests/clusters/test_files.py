"""What Ray makes of clusters/aws.yaml against a mocked AWS: machines, resources, rules."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

ROOT = Path(__file__).parents[2]
REGION = "us-west-2"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray puts the key that it makes
    with mock_aws():
        yield


@pytest.fixture
def config() -> dict[str, Any]:
    """The file with Ray's defaults filled in, as `ray up` prepares it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(yaml.safe_load((ROOT / "clusters" / "aws.yaml").read_text()))


def test_ray_finds_the_machines_gpus(aws: None, config: dict[str, Any]) -> None:
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    types = AWSNodeProvider.fillout_available_node_types_resources(config)["available_node_types"]
    found = {name: types[name]["resources"] for name in types}
    assert found["head"] == {"CPU": 0, "GPU": 0, "driver": 1000}
    assert {name: found[name]["GPU"] for name in found} == {
        "head": 0, "l4": 1, "l4x4": 4, "a10g_on_demand": 1, "h100x8": 8,
    }  # fmt: skip
    assert found["l4"]["CPU"] == 8
    assert found["l4"]["accelerator_type:L4"] == 1


def test_ray_up_uses_what_was_prepared_and_opens_nothing(
    aws: None, call: Any, config: dict[str, Any]
) -> None:
    """Ray takes the prepared group as it is, makes no role of its own, and the machines that it
    would ask for are accepted.
    """
    from ray.autoscaler._private.aws import config as rays
    from ray.autoscaler._private.aws.utils import resource_cache

    for cached in (resource_cache, rays._get_subnets_or_die):
        cached.cache_clear()
    words = ("--bucket", "b-1", "--region", REGION, "--ssh-from", "203.0.113.7/32")
    assert call("cluster", "prepare-aws", *words)[0] == 0
    ec2, iam = (boto3.client(name, region_name=REGION) for name in ("ec2", "iam"))
    before = ec2.describe_security_groups()["SecurityGroups"]
    roles = len(iam.list_roles()["Roles"])
    ready = rays.bootstrap_aws(copy.deepcopy(config))
    assert ec2.describe_security_groups()["SecurityGroups"] == before
    assert len(iam.list_roles()["Roles"]) == roles
    (ours,) = [group["GroupId"] for group in before if group["GroupName"] == "ictsweep"]
    for name, node in ready["available_node_types"].items():
        asked = dict(node["node_config"], MinCount=1, MaxCount=1)
        assert asked["SecurityGroupIds"] == [ours], name
        asked["SubnetId"] = asked.pop("SubnetIds")[0]
        (made,) = ec2.run_instances(**asked)["Instances"]
        assert {"Key": "project", "Value": "ictsweep"} in made["Tags"]
