"""Preparing an account, against moto's AWS: what it makes, that it repeats, repairs and undoes."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from ictsweep.clusters.aws.account import permission
from ictsweep.clusters.aws.policies import head_policy, worker_policy

REGION = "us-west-2"
HOME = "203.0.113.7/32"
PREPARE = ("cluster", "prepare-aws", "--bucket", "my-studies", "--region", REGION)
MINE = (*PREPARE, "--ssh-from", HOME)


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


def client(name: str) -> Any:
    return boto3.client(name, region_name=REGION)


def group() -> dict[str, Any]:
    filters = [{"Name": "group-name", "Values": ["ictsweep"]}]
    (found,) = client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return found


def world() -> str:
    """All that preparing may touch, as text."""
    iam, groups = client("iam"), client("ec2").describe_security_groups()["SecurityGroups"]
    profiles = iam.list_instance_profiles()["InstanceProfiles"]
    buckets = [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]
    roles = iam.list_roles()["Roles"]
    return json.dumps([roles, profiles, buckets, groups], default=str, sort_keys=True)


def test_it_makes_what_the_cluster_file_names(call) -> None:
    code, out, _ = call(*MINE)
    assert code == 0
    assert out.count("done: ") == 5
    blocked = client("s3").get_public_access_block(Bucket="my-studies")
    assert all(blocked["PublicAccessBlockConfiguration"].values())
    where = client("s3").get_bucket_location(Bucket="my-studies")["LocationConstraint"]
    assert where == REGION
    for name in ("ictsweep-head", "ictsweep-worker"):
        profile = client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        assert [role["RoleName"] for role in profile["Roles"]] == [name]
    ssh = [r for r in group()["IpPermissions"] if r.get("FromPort") == 22]
    assert [r["IpRanges"] for r in ssh] == [[{"CidrIp": HOME}]]
    inner = [r for r in group()["IpPermissions"] if r["IpProtocol"] == "-1"]
    assert [p["GroupId"] for r in inner for p in r["UserIdGroupPairs"]] == [group()["GroupId"]]


def test_again_it_changes_nothing_and_says_so(call) -> None:
    call(*MINE)
    before = world()
    code, out, err = call(*MINE)
    assert (code, err) == (0, "")
    assert out.count(": as it should be\n") == 5
    assert world() == before


def test_a_dry_run_says_and_does_nothing(call) -> None:
    before = world()
    code, out, _ = call(*MINE, "--dry-run")
    assert code == 0
    assert "bucket my-studies: would create it in us-west-2, private" in out
    assert f"security group ictsweep: would create it, SSH from {HOME} alone" in out
    assert out.count("would ") == 5
    assert world() == before


def test_what_was_opened_since_is_closed(call) -> None:
    """A world-open SSH port as Ray's own group has it, a public bucket, a policy written over."""
    call(*MINE)
    client("ec2").authorize_security_group_ingress(
        GroupId=group()["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    client("s3").delete_public_access_block(Bucket="my-studies")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    client("iam").put_role_policy(
        RoleName="ictsweep-worker", PolicyName="ictsweep",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )  # fmt: skip
    code, out, _ = call(*MINE)
    assert code == 0
    assert "security group ictsweep: done: close tcp 22 from 0.0.0.0/0" in out
    assert "bucket my-studies: done: block public access" in out
    assert "role ictsweep-worker: done: write what it may do" in out
    ssh = [r for r in group()["IpPermissions"] if r.get("FromPort") == 22]
    assert [r["IpRanges"] for r in ssh] == [[{"CidrIp": HOME}]]


def test_removing_leaves_nothing_but_data(call) -> None:
    before = world()
    call(*MINE)
    code, out, _ = call(*PREPARE, "--remove", "--dry-run")
    assert (code, out.count("would be removed")) == (0, 5)
    client("s3").put_object(Bucket="my-studies", Key="studies/a/study.yaml", Body=b"x")
    code, out, _ = call(*PREPARE, "--remove")
    assert code == 0
    assert "bucket my-studies: stays: it holds data" in out
    client("s3").delete_object(Bucket="my-studies", Key="studies/a/study.yaml")
    code, out, _ = call(*PREPARE, "--remove")
    assert "bucket my-studies: removed" in out
    assert "role ictsweep-head: is not there" in out
    (spot,) = client("iam").list_roles(PathPrefix="/aws-service-role/")["Roles"]
    client("iam").delete_role(RoleName=spot["RoleName"])  # AWS's own: it stays
    assert world() == before


def test_removing_is_refused_while_machines_are_billed(call) -> None:
    call(*MINE)
    tags = [{"Key": "project", "Value": "ictsweep"}]
    client("ec2").run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g6.2xlarge",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )  # fmt: skip
    code, _, err = call(*PREPARE, "--remove")
    assert code == 2
    assert "1 machine(s) of this project run in us-west-2 and are billed: i-" in err
    assert "`ray down -y clusters/aws.yaml` ends them" in err


def test_removing_in_another_region_than_the_buckets_removes_nothing(call) -> None:
    """Roles belong to all regions: machines of the bucket's may count on them."""
    call(*MINE)
    before = world()
    code, _, err = call(*PREPARE[:-1], "eu-west-1", "--remove")
    assert code == 2
    assert "bucket my-studies: it is in us-west-2, not in eu-west-1" in err
    assert world() == before


def test_a_bucket_elsewhere_is_refused(call) -> None:
    boto3.client("s3", region_name="eu-west-1").create_bucket(
        Bucket="my-studies", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    code, _, err = call(*MINE)
    assert code == 2
    assert "bucket my-studies: it is in eu-west-1, not in us-west-2" in err


def test_a_region_with_a_typo_is_refused(call) -> None:
    code, _, err = call(*PREPARE[:-1], "us-west-22", "--ssh-from", HOME)
    assert code == 2
    assert "us-west-22: no region of AWS; did you mean us-west-2?" in err


@pytest.mark.parametrize(
    ("network", "says"),
    [("0.0.0.0/0", "that is the whole world"), ("203.0.113.7/24", "has host bits set"),
     ("home", "does not appear to be an IPv4 or IPv6 network")],
)  # fmt: skip
def test_who_may_log_in_is_a_network(call, network: str, says: str) -> None:
    code, _, err = call(*PREPARE, "--ssh-from", network)
    assert code == 2
    assert says in err


def test_no_credentials_are_told(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code, _, err = call(*MINE)
    assert code == 2
    assert "no AWS credentials" in err
    assert "nothing was made" in err


def refusing(monkeypatch: pytest.MonkeyPatch, operation: str, code: str, says: str) -> None:
    """AWS refuses one operation."""
    from botocore.client import BaseClient

    real = BaseClient._make_api_call

    def call(self: Any, name: str, arguments: Any) -> Any:
        if name == operation:
            raise ClientError({"Error": {"Code": code, "Message": says}}, name)
        return real(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


@pytest.mark.parametrize(
    ("operation", "code", "says"),
    [
        ("CreateRole", "AccessDenied", "you may not iam:CreateRole (no)"),
        ("CreateSecurityGroup", "UnauthorizedOperation", "you may not ec2:CreateSecurityGroup"),
        ("PutPublicAccessBlock", "AccessDenied", "you may not s3:PutBucketPublicAccessBlock"),
        ("GetCallerIdentity", "ExpiredToken", "your AWS credentials have expired"),
        ("GetCallerIdentity", "InvalidClientTokenId", "AWS does not know your credentials"),
        ("CreateBucket", "BucketAlreadyExists", "it belongs to another account"),
        ("HeadBucket", "403", "it belongs to another account"),
        ("CreateRole", "LimitExceeded", "AWS refused iam:CreateRole: LimitExceeded: no"),
    ],
)
def test_refusals_name_the_permission(
    call, monkeypatch: pytest.MonkeyPatch, operation: str, code: str, says: str
) -> None:
    refusing(monkeypatch, operation, code, "no")
    status, _, err = call(*MINE)
    assert status == 2
    assert says in err
    assert "Traceback" not in err


def test_after_a_refusal_the_rest_is_made_by_the_same_command(call) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        refusing(monkeypatch, "CreateInstanceProfile", "AccessDenied", "no")
        assert call(*MINE)[0] == 2
    code, out, _ = call(*MINE)
    assert code == 0
    assert "bucket my-studies: as it should be" in out
    assert "role ictsweep-worker: done: give it to machines" in out


def test_permissions_are_called_as_iam_calls_them() -> None:
    assert permission("HeadBucket") == "s3:ListBucket"
    assert permission("AddRoleToInstanceProfile") == "iam:AddRoleToInstanceProfile"
    assert permission("RunInstances") == "ec2:RunInstances"


def test_workers_may_do_less_than_the_head() -> None:
    def actions(policy: dict[str, Any]) -> set[str]:
        return {action for statement in policy["Statement"] for action in statement["Action"]}

    worker, head = worker_policy("b"), head_policy("b", "1" * 12)
    assert all(action.startswith("s3:") for action in actions(worker))
    assert actions(worker) < actions(head)
    for statement in head["Statement"]:
        changes = {"ec2:TerminateInstances", "iam:PassRole"} & set(statement["Action"])
        assert not changes or "Condition" in statement
    assert not any(a.endswith("*") and "Describe" not in a for a in actions(head))


def test_motos_iam_lets_a_worker_read_its_bucket_and_start_nothing() -> None:
    """The policy as written, judged by moto's own reading of IAM."""
    where = {"LocationConstraint": REGION}
    for name in ("my-studies", "others"):
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    iam = client("iam")
    iam.create_user(UserName="w")
    document = json.dumps(worker_policy("my-studies"))
    iam.put_user_policy(UserName="w", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="w")["AccessKey"]
    worker = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)

    @set_initial_no_auth_action_count(0)
    def as_worker() -> None:
        worker.client("s3").put_object(Bucket="my-studies", Key="a", Body=b"1")
        with pytest.raises(ClientError, match=r"Access ?Denied"):
            worker.client("s3").put_object(Bucket="others", Key="a", Body=b"1")
        with pytest.raises(ClientError, match="not authorized"):
            worker.client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"])

    as_worker()
