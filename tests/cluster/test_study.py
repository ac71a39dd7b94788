"""A study on a cluster of three hosts: two-worker trials across two of them, hosts lost on the way.

The file system that the hosts share stands for a network file system.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cluster.hosts import wait_for
from tests.cluster.rays import Rays
from tests.cluster.studies import Study, drivers, trainers

pytestmark = pytest.mark.cluster

LEFT = """
import json, ray
from ray.util import placement_group_table
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
groups = [g for g in placement_group_table().values() if g["state"] != "REMOVED"]
total, free = ray.cluster_resources(), ray.available_resources()
busy = {k: total[k] - free.get(k, 0) for k in ("CPU", "GPU") if total.get(k, 0) > free.get(k, 0)}
print(json.dumps([len(groups), busy]))
"""


BUSY = """
from pathlib import Path
from ictsweep.clusters.autostop import head_is_busy, token_of
print(head_is_busy(token=token_of(Path.home())))
"""


def said(rays: Rays, program: str) -> str:
    """The last line that a Python program says on the head."""
    log = rays.home / "said.log"
    log.unlink(missing_ok=True)
    asked = rays.run(rays.head, sys.executable, "-c", program, cwd=rays.home, log=log)
    assert asked.wait(90) == 0, log.read_text()
    return log.read_text().splitlines()[-1]


def nothing_is_left(study: Study) -> None:
    """No placement group, no busy CPU, no training process (on a cut-off host neither), and a head
    that would power itself off before long.
    """
    rays = study.rays
    wait_for(lambda: said(rays, LEFT) == "[0, {}]", 60, "placement groups and CPUs are free")
    wait_for(lambda: not any(map(trainers, rays.network.hosts)), 60, "trainers are gone")
    wait_for(lambda: said(rays, BUSY) == "False", 60, "the head is idle")


def finish(study: Study, driver: subprocess.Popen[bytes]) -> Study:
    """Wait for the study's end, see that it leaves nothing on its cluster, and end that too."""
    code = driver.wait(400)
    print(study.table(), flush=True)
    assert code == 0, study.screen.read_text()
    nothing_is_left(study)
    study.rays.network.close()
    return study


def in_mid_trial(study: Study, trial: int) -> None:
    """Wait until a trial has measured something and trains on."""
    wait_for(lambda: study.count("measure", trial) >= 1, 300, f"trial {trial} is measured")


@pytest.fixture(scope="module")
def alone(made: Callable[[str], Rays]) -> Study:
    """The study on one host of two CPUs, uninterrupted."""
    rays = made("alone")
    rays.start_head(cpus=2)
    study = Study(rays)
    return finish(study, study.start("run", "space.yaml"))


@pytest.fixture(scope="module")
def killed(made: Callable[[str], Rays]) -> Study:
    """The study on three hosts, the head taking part in the work; one loses its power in the middle
    of trial 0.
    """
    rays = made("killed")
    rays.start_head(cpus=1)
    hosts = [rays.network.add("one"), rays.network.add("two")]
    for host in hosts:
        rays.join(host)
    study = Study(rays)
    driver = study.start("run", "space.yaml", "--address", rays.address)
    in_mid_trial(study, 0)
    places = [host for host in rays.network.hosts if trainers(host)]
    assert len(places) == 2, "a trial's two workers are on two hosts"
    next(host for host in places if host in hosts).kill()
    resumed = wait_for(lambda: study.count("launch", 0) == 2, 180, "the trial starts again")
    print(f"started again {resumed:.1f} s after the loss")
    return finish(study, driver)


@pytest.fixture(scope="module")
def cut(made: Callable[[str], Rays]) -> Study:
    """The study as a Ray job on three hosts, the head without work. In the middle of trial 0 one
    host is cut off: there is no room for a trial, until a fourth joins.
    """
    rays = made("cut")
    rays.start_head(cpus=0)
    one, two = rays.network.add("one"), rays.network.add("two")
    rays.join(one)
    rays.join(two)
    study = Study(rays)
    driver = study.submit("run", "space.yaml")
    in_mid_trial(study, 0)
    assert said(rays, BUSY) == "True"
    assert drivers(rays.head)
    assert not drivers(one) | drivers(two)
    two.cut()
    noticed = wait_for(lambda: study.failures(), 180, "the loss is noticed")
    rays.join(rays.network.add("three"))
    resumed = wait_for(lambda: study.count("launch", 0) == 2, 180, "the trial starts again")
    print(f"noticed after {noticed:.1f} s, started again {resumed:.1f} s after a host joined")
    return finish(study, driver)


def test_a_host_that_is_lost_is_made_up_for(killed: Study) -> None:
    assert [killed.count("launch", n) for n in (0, 1)] == [2, 1]
    assert [killed.count("fail", n) for n in (0, 1)] == [1, 0]
    assert [killed.count("retry", n) for n in (0, 1)] == [1, 0]
    assert killed.states()[0] == "complete"
    assert killed.states()[1] in ("complete", "pruned")


def test_a_job_outlives_a_cut_cable_and_goes_on_when_a_host_joins(cut: Study) -> None:
    assert cut.count("fail", 0) == cut.count("retry", 0) == 1
    assert [e.data["slots"] for e in cut.events() if e.kind == "cluster"] == [0, 1]


def test_decisions_are_those_of_one_host(alone: Study, killed: Study, cut: Study) -> None:
    assert killed.decisions() == alone.decisions()
    assert cut.decisions() == alone.decisions()
