"""What AWS refuses, on a mocked AWS: what is said, and that no machine is left over by it."""

import pytest

from tests.cluster.aws.client import README
from tests.cluster.aws.conftest import World
from tests.cluster.aws.studies import URL
from tests.cluster.aws.test_ray_up import nothing_is_left, prepare, step
from tests.cluster.hosts import wait_for

pytestmark = pytest.mark.cluster

NOBODY = "env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED=true"


@pytest.fixture(scope="module")
def prepared(world: World) -> World:
    prepare(world)
    return world


def refused(world: World, operation: str, code: str, command: str) -> str:
    """What a command says to a refusal. It fails, and nothing runs afterwards."""
    with world.account.api.refusing_to(operation, code, "as the test wants"):
        said = world.client.run(command, code=1)
    assert not world.account.running("head")
    return said


def test_without_credentials_nothing_is_started(prepared: World) -> None:
    said = prepared.client.run(f"{NOBODY} {step('ray up')}", code=1)
    assert "credentials" in said
    assert not prepared.account.instances()


@pytest.mark.parametrize(
    ("operation", "code"),
    [("DescribeSubnets", "RequestExpired"), ("RunInstances", "VcpuLimitExceeded"),
     ("RunInstances", "InsufficientInstanceCapacity"),
     ("RunInstances", "UnauthorizedOperation")],
)  # fmt: skip
def test_what_ray_up_is_refused_is_in_the_readme(
    prepared: World, operation: str, code: str
) -> None:
    said = refused(prepared, operation, code, step("ray up"))
    assert code in said
    assert f"`{code}`" in README.read_text()


def test_a_study_says_why_no_machine_comes_and_begins_when_one_does(prepared: World) -> None:
    """And who has lost the SSH key can still end everything."""
    account, client, study, transcript = prepared
    client.run(step("ray up"))
    code = "MaxSpotInstanceCountExceeded"

    def reasons() -> list[str]:
        return [str(e.data.get("refused", "")) for e in study.events() if e.kind == "cluster"]

    with account.api.refusing_to("RunInstances", code, "Max spot instance count exceeded"):
        client.leave_open(step("ray exec"))
        told = wait_for(lambda: any(code in r for r in reasons()), 180, "it is told", look_s=1)
        transcript.tell(f"told after {told:.0f} s: {reasons()[-1]}")
        said = client.run(f"ictsweep status {URL}")
        print(said)
        assert code in said
        assert "ray down" in said
    wait_for(lambda: account.running("worker"), 180, "a machine comes", look_s=1)
    wait_for(lambda: reasons()[-1] == "", 180, "and that is told", look_s=1)
    client.run("rm ~/.ssh/ray-autoscaler_*.pem")
    client.run(step("ray down"))
    nothing_is_left(prepared)
