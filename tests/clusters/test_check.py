"""Cluster files: the shipped ones are fine, and every planted mistake is told in one clear line."""

from pathlib import Path

import pytest
import yaml

from ictsweep.clusters.check import check, remarks
from ictsweep.clusters.file import read_cluster
from ictsweep.errors import SpecError

ROOT = Path(__file__).parents[2]
FILES = ROOT / "clusters"
SPOT = "    node_config: &worker\n      <<: *machine\n"


def told(file: Path) -> list[str]:
    """What `ictsweep cluster check` says of a file, without its path."""
    given = read_cluster(file)
    return [line.removeprefix(f"{file}:") for line in given.lines(check(given, ROOT))]


def planted(tmp_path: Path, name: str, old: str, new: str) -> list[str]:
    """What is said of a shipped file in which `old`, found once, is replaced."""
    text = (FILES / name).read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
    (tmp_path / name).write_text(text.replace(old, new))
    return told(tmp_path / name)


@pytest.mark.parametrize("name", ["aws.yaml", "onprem.yaml", "rayjob.yaml"])
def test_shipped_files_have_nothing_wrong(name: str) -> None:
    assert told(FILES / name) == []


AWS = [
    # what a slip of the keyboard does
    ("max_workers: 8             #", "max_worker: 8             #",
     "max_worker: unknown key; did you mean max_workers?"),
    ("max_workers: 8             #", "max_workers: eight         #",
     "max_workers: got text 'eight'; expected integer"),
    ("head_node_type: head", "head_node_type: haed", "head_node_type: must be one of head, l4, "),
    ("InstanceType: m7i.xlarge", "InstanceTyp: m7i.xlarge",
     "head.node_config.InstanceTyp: EC2 has no such parameter; did you mean InstanceType?"),
    ("InstanceType: g6.2xlarge", "InstanceType: g6.2xlarg",
     "l4.node_config.InstanceType: got text 'g6.2xlarg'; expected a InstanceType known to"),
    ("VolumeSize: 150", 'VolumeSize: "150"',
     "Ebs.VolumeSize: got text '150'; expected integer (also in l4, l4x4, a10g_on_demand, h100x8)"),
    ("VolumeType: gp3", "VolumeType: gp33", "VolumeType: got text 'gp33'; expected standard, io1,"),
    ("availability_zone: us-west-2a", "availability_zone: us-east-1a",
     "provider.availability_zone: us-east-1a not in region us-west-2"),
    # what costs money

    ("max_workers: 8             #", "max_workers: 800           #",
     "max_workers: is 800; the hard cap on all workers must be 1 to 64"),
    ("    max_workers: 8\n", "", "l4: has no max_workers of its own"),
    ("    min_workers: 0\n    max_workers: 8\n", "    min_workers: 2\n    max_workers: 8\n",
     "l4.min_workers: is 2: billed day and night"),
    ("idle_timeout_minutes: 10 ", "idle_timeout_minutes: 600 ",
     "idle_timeout_minutes: is 600; idle workers must go"),
    ("cache_stopped_nodes: false", "cache_stopped_nodes: true",
     "provider.cache_stopped_nodes: must be false: stopped machines go on billing"),
    ("InstanceInitiatedShutdownBehavior: terminate", "InstanceInitiatedShutdownBehavior: stop",
     "head.node_config.InstanceInitiatedShutdownBehavior: must be terminate"),
    ("DeleteOnTermination: true", "DeleteOnTermination: false",
     "DeleteOnTermination: must be true: the disk outlives its machine"),
    ("        MarketType: spot\n", "        MarketType: capacity-block\n",
     "available_node_types.l4: is on at the on-demand price"),
    ("InstanceInterruptionBehavior: terminate", "InstanceInterruptionBehavior: stop",
     "InstanceInterruptionBehavior: must be terminate"),
    ("    max_workers: 0\n    resources: {}\n    node_config:\n      <<: *worker\n"
     "      InstanceType: g6.12xlarge",
     "    max_workers: 2\n    resources: {}\n    node_config:\n      <<: *worker\n"
     "      InstanceType: g6.12xlarge", "l4x4.max_workers: l4 and l4x4 are on together"),
    ("  - nohup ~/venv/bin/python -m ictsweep.clusters.autostop head", "  - echo head",
     "head_start_ray_commands: never starts ictsweep.clusters.autostop: the head would be billed"),
    ("        - {ResourceType: volume, Tags: [{Key: project, Value: ictsweep}]}\n", "",
     "TagSpecifications: has no 'project' tag for its volumes"),
    # what loses work
    ("resources: {CPU: 0, GPU: 0, driver: 1000}", "resources: {CPU: 4, GPU: 0, driver: 1000}",
     "head.resources.CPU: must be 0"),
    ("resources: {CPU: 0, GPU: 0, driver: 1000}", "resources: {CPU: 0, GPU: 0}",
     "head.resources.driver: is missing: trial drivers would run on spot machines"),
    ("      IamInstanceProfile: {Name: ictsweep-head}\n",
     "      IamInstanceProfile: {Name: ictsweep-head}\n"
     "      InstanceMarketOptions: {MarketType: spot}\n",
     "head.node_config.InstanceMarketOptions: the head must not be spot"),
    ("      IamInstanceProfile: {Name: ictsweep-worker}   #", "      # ",
     "l4.node_config.IamInstanceProfile: is the head's (ictsweep-head), which may start machines"),
    ("      IamInstanceProfile: {Name: ictsweep-head}\n", "",
     "head.node_config.IamInstanceProfile: is missing: without a profile there is no S3"),
    ("  - ~/venv/bin/pip install -q -r ~/app/clusters/requirements.txt\n",
     "  - ~/venv/bin/pip install -q torch ray\n", "setup_commands[1]: installs torch beside"),
    ("-r ~/app/clusters/requirements.txt", "-r ~/app/clusters/missing.txt", "missing.txt: No such"),
    # what lets strangers in
    ("  ssh_user: ubuntu ", "  ssh_private_key: ~/.ssh/mine.pem\n  ssh_user: ubuntu ",
     "head.node_config.KeyName: is missing: with auth.ssh_private_key, EC2 must be told"),
    ("  security_group:\n    GroupName: ictsweep    #", "  # ",
     "provider.security_group: needs GroupName"),
    ("    GroupName: ictsweep    #",
     "    GroupName: ictsweep\n    IpPermissions:\n      - {FromPort: 22, ToPort: 22,"
     " IpProtocol: tcp, IpRanges: [{CidrIp: 0.0.0.0/0}]}\n    #",
     "provider.security_group.IpPermissions[0]: is open to the whole world"),
    ("HttpTokens: required", "HttpTokens: optional",
     "MetadataOptions.HttpTokens: must be required (IMDSv2)"),
    ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0",
     "head_start_ray_commands[1]: opens the dashboard"),
    ("RAY_AUTH_MODE=token ~/venv/bin/ray start --address", "~/venv/bin/ray start --address",
     "worker_start_ray_commands[1]: starts Ray without RAY_AUTH_MODE=token"),
    ('  "~/.ray/auth_token": "~/.ray/auth_token"\n', "",
     "file_mounts: must carry ~/.ray/auth_token"),
    ("ImageId: resolve:ssm:/aws/service/deeplearning", "ImageId: ami-0123456789abcdef0 #",
     "head.node_config.ImageId: ami-0123456789abcdef0 is no AMI"),
    ("ImageId: resolve:ssm:/aws/service/deeplearning", "# ",
     "head.node_config.ImageId: is missing: Ray's default is years old"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), AWS, ids=lambda text: text.strip()[:40])
def test_a_mistake_for_aws_is_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    lines = planted(tmp_path, "aws.yaml", old, new)
    assert any(says in line for line in lines), lines
    assert all(line.split(":")[0].isdigit() for line in lines), lines


def test_a_key_given_twice_is_told(tmp_path: Path) -> None:
    again = "head_node_type: head\nhead_node_type: l4"
    with pytest.raises(SpecError, match=r"aws.yaml:27:1: head_node_type: given twice, here and at"):
        planted(tmp_path, "aws.yaml", "head_node_type: head", again)


def test_most_mistakes_for_aws_are_told_once(tmp_path: Path) -> None:
    """A mistake in a block that five types merge is one line; two are told where two rules hold."""
    counts = []
    for old, new, _ in AWS:
        counts.append(len(planted(tmp_path, "aws.yaml", old, new)))
    assert counts.count(1) >= len(counts) - 4, counts


def test_the_line_is_that_of_the_value(tmp_path: Path) -> None:
    (line,) = planted(tmp_path, "aws.yaml", "VolumeType: gp3", "VolumeType: gp33")
    row, column = map(int, line.split(":")[:2])
    assert (
        (tmp_path / "aws.yaml").read_text().splitlines()[row - 1][column - 1 :].startswith("gp33")
    )


ONPREM = [
    ("  head_ip: 192.0.2.1 ", "  # head_ip ", "head_ip"),
    ("[192.0.2.2, 192.0.2.3]", "[192.0.2.2, 192.0.2.1]", "worker_ips[1]: 192.0.2.1 is named twice"),
    ("RAY_enable_autoscaler_v2=0 ", "", "head_start_ray_commands: needs RAY_enable_autoscaler"),
    ("  ssh_user: ubuntu\n", "", "auth"),
    ("file_mounts:", "file_mount:", "file_mount: unknown key; did you mean file_mounts?"),
]


@pytest.mark.parametrize(("old", "new", "says"), ONPREM, ids=lambda text: text.strip()[:40])
def test_a_mistake_on_premises_is_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    (line,) = planted(tmp_path, "onprem.yaml", old, new)
    assert says in line


def test_example_addresses_are_remarked_on(tmp_path: Path) -> None:
    said = remarks(read_cluster(FILES / "onprem.yaml"), tmp_path)
    assert "192.0.2.3 belong to nobody" in said[0]


def test_what_ray_up_lacks_on_this_machine_is_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = (FILES / "aws.yaml").read_text()
    key = "  ssh_user: ubuntu  \n  ssh_private_key: ~/.ssh/mine.pem\n  #"
    (tmp_path / "aws.yaml").write_text(text.replace("  ssh_user: ubuntu  ", key))
    given = read_cluster(tmp_path / "aws.yaml")
    lacking = [
        "ssh is not on this machine, and `ray up` needs it",
        "rsync is not on this machine, and `ray up` needs it",
        "~/.ssh/mine.pem is not on this machine",
        "~/.ray/auth_token is not on this machine; `ray get-auth-token --generate` makes it",
    ]
    assert remarks(given, tmp_path) == lacking
    for name in ("ssh", "rsync", ".ssh/mine.pem", ".ray/auth_token"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    assert remarks(given, tmp_path) == []


RAYJOB = [
    ("shutdownAfterJobFinishes: true ", "shutdownAfterJobFinish: true ",
     "spec.shutdownAfterJobFinish: KubeRay has no such field; did you mean shutdownAfterJob"),
    ("shutdownAfterJobFinishes: true ", "shutdownAfterJobFinishes: false ",
     "spec.shutdownAfterJobFinishes: must be true, or the cluster outlives its study"),
    ("  activeDeadlineSeconds: 259200 ", "  # ", "spec.activeDeadlineSeconds: is missing"),
    ("        maxReplicas: 8\n", "", "workerGroupSpecs[0].maxReplicas: must be 1 to 64"),
    ('num-cpus: "0"', 'num-cpus: "4"', 'rayStartParams.num-cpus: must be "0"'),
    ('rayVersion: "2.60.0"', 'rayVersion: "2.59.0"', "2.60.0, but rayVersion is 2.59.0"),
    ("backoffLimit: 0", 'backoffLimit: "0"', "spec.backoffLimit: got text '0'; expected int"),
    ("kind: RayJob", "kind: RayService", "kind: got text 'RayService'; expected RayJob"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), RAYJOB, ids=lambda text: text.strip()[:40])
def test_a_mistake_for_kubernetes_is_told(tmp_path: Path, old: str, new: str, says: str) -> None:
    lines = planted(tmp_path, "rayjob.yaml", old, new)
    assert any(says in line for line in lines), lines


def test_the_command_says_it_and_fails(call, tmp_path: Path) -> None:
    code, out, _ = call("cluster", "check", str(FILES / "rayjob.yaml"))
    assert (code, out) == (0, f"{FILES / 'rayjob.yaml'}: nothing wrong\n")
    text = (FILES / "rayjob.yaml").read_text().replace("maxReplicas", "maxReplica")
    (tmp_path / "job.yaml").write_text(text)
    code, _, err = call("cluster", "check", "job.yaml")
    assert code == 2
    assert "job.yaml:43:9: spec.rayClusterSpec.workerGroupSpecs[0].maxReplica: KubeRay has" in err


def test_node_configs_pass_botocores_own_validator() -> None:
    """The second opinion: what Ray will ask EC2 for is valid to boto3 itself."""
    import botocore.session
    import botocore.validate

    model = botocore.session.get_session().get_service_model("ec2")
    shape = model.operation_model("RunInstances").input_shape
    data = yaml.safe_load((FILES / "aws.yaml").read_text())
    for name, node in data["available_node_types"].items():
        asked = {**node["node_config"], "MinCount": 1, "MaxCount": 1}
        report = botocore.validate.ParamValidator().validate(asked, shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
