"""From nothing to a finished study on a mocked AWS, as clusters/README.md has it: `ray up` of the
shipped file, a study as a job, a spot machine taken in mid-trial, the report here, `ray down`.

What differs from a real account: machines are namespaces of this one with the image's parts that
count (a user, SSH, sudo, a virtual environment that pip finds complete), they are up at once, they
have one CPU and no GPU (`files.AWS`), and what a role may do is not enforced. The commands are the
README's own, with names put in for its examples.
"""

import re
from pathlib import Path

import pytest

from tests.cluster.aws.client import ADDRESS, steps
from tests.cluster.aws.conftest import World
from tests.cluster.aws.studies import BUCKET, URL
from tests.cluster.hosts import wait_for
from tests.cluster.rays import REPOSITORY
from tests.cluster.studies import trainers

pytestmark = pytest.mark.cluster

HEADING = "AWS: from nothing to a finished study"


def test_from_nothing_to_a_report_and_nothing_left(world: World) -> None:
    account, client, study, transcript = world
    prepare(world)
    client.run(step("ray up"))
    assert len(account.running("head")) == 1
    assert not account.running("worker")

    hand_in(world)
    wait_for(lambda: study.count("measure", 0) >= 1, 300, "trial 0 is measured", look_s=1)
    before = account.running("worker")
    busy = [n for n in before if trainers(account.machines[n])]
    assert len(busy) == 2, "a trial's two workers are on two machines"
    assert not any(trainers(account.machines[n]) for n in account.running("head"))
    transcript.tell(f"AWS takes {busy[1][:6]} back, in the middle of trial 0")
    account.take(busy[1])
    noticed = wait_for(lambda: study.failures(), 180, "the loss is noticed", look_s=1)
    wait_for(lambda: study.count("measure", 0) >= 2, 300, "trial 0 goes on", look_s=1)
    transcript.tell(f"the loss was on record after {noticed:.0f} s, and trial 0 goes on")
    wait_for(lambda: len(account.running("worker")) == 2, 60, "another machine came")
    assert set(account.running("worker")) != set(before)
    wait_for(lambda: study.states() == ["complete", "pruned"], 400, "the study ends", look_s=2)
    print(study.table(), flush=True)
    assert study.failures() == ["preempted"]
    assert [study.count("retry", n) for n in (0, 1)] == [1, 0]
    assert [study.count("launch", n) for n in (0, 1)] == [2, 1]

    said = client.run(step("ictsweep report"))
    page = client.read(REPOSITORY / str(re.search(r"\S+\.html", said)[0]))  # type: ignore[index]
    assert "a machine of the trial vanished" in page
    client.run(step("ray down"))
    nothing_is_left(world)


def prepare(world: World) -> None:
    """All that comes before `ray up`, in the README's order."""
    for command in map(named, steps(HEADING)):
        if command.startswith("ray up"):
            return
        here = f" --ssh-from {ADDRESS}/32" if "prepare-aws" in command else ""
        world.client.run(command + here)


def hand_in(world: World) -> None:
    """The study as a job, through the dashboard's open port."""
    dashboard, submit = map(named, steps(HEADING, block=1))
    world.client.leave_open(dashboard)
    asks = "python -c 'import socket; socket.create_connection((\"127.0.0.1\", 8265), 1)'"
    again = f"for n in $(seq 60); do {asks} 2> /dev/null && break; sleep 1; done"
    world.client.run(again)
    assert "submitted successfully" in world.client.run(submit)


def nothing_is_left(world: World) -> None:
    """No instance, no machine, no process; only the bucket, with the study in it."""
    account, client, *_ = world
    states = {i["InstanceId"]: i["State"]["Name"] for i in account.instances()}
    assert set(states.values()) == {"terminated"}
    wait_for(lambda: not account.machines, 10, "terminated machines lose their power")
    hosts = [host for host in account.network.hosts if host is not client.machine]
    assert all(host.is_off and not host.pids() for host in hosts)
    assert not any(Path(f"/proc/{host.first}").exists() for host in hosts)
    world.transcript.tell(f"left: none of {len(states)} instances, none of {len(hosts)} machines")


def step(beginning: str) -> str:
    """The README's command that begins so."""
    (found,) = [line for line in map(named, steps(HEADING)) if line.startswith(beginning)]
    return found


def named(command: str) -> str:
    """A command of the README with our names for those of its example."""
    command = command.replace("s3://MY-BUCKET/studies/cifar", URL).replace("MY-BUCKET", BUCKET)
    return command.replace("search_spaces/cifar.yaml", "search_spaces/small.yaml")
