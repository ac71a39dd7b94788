"""Machines that nobody looks after on a mocked AWS: workers whose head died, workers without work,
a head without a study. All of them end by themselves, and so does their bill.

The shipped file, in a hurry (`files.HASTY`).
"""

import pytest

from tests.cluster.aws.conftest import World
from tests.cluster.aws.files import HASTY, aws_file
from tests.cluster.aws.studies import URL
from tests.cluster.aws.test_ray_up import nothing_is_left, prepare, step
from tests.cluster.hosts import wait_for

pytestmark = pytest.mark.cluster


def test_machines_end_themselves_and_the_study_goes_on(world: World) -> None:
    account, client, study, transcript = world
    client.write("clusters/aws.yaml", aws_file(HASTY))
    prepare(world)
    client.run(step("ray up"))
    client.leave_open(step("ray exec"))
    wait_for(lambda: study.count("measure", 0) >= 1, 300, "trial 0 is measured", look_s=1)
    (head,) = account.running("head")
    assert len(account.running("worker")) == 2
    transcript.tell("the head dies, in the middle of trial 0")
    account.take(head)
    lost = wait_for(lambda: not account.running("worker"), 300, "lost workers go", look_s=1)
    transcript.tell(f"lost workers were gone after {lost:.0f} s")
    nothing_is_left(world)

    client.run(step("ray up"))
    client.run(f"ray exec clusters/aws.yaml 'cd ~/app && ictsweep resume {URL}'", seconds=400)
    print(study.table(), flush=True)
    assert study.states() == ["complete", "pruned"]
    assert account.running("worker")
    idle = wait_for(lambda: not account.running("worker"), 180, "idle workers go", look_s=1)
    assert account.running("head")
    off = wait_for(lambda: not account.running("head"), 180, "the head goes", look_s=1)
    transcript.tell(f"gone: idle workers after {idle:.0f} s, the head {off:.0f} s later")
    nothing_is_left(world)
