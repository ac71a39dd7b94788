"""How many trials fit, on machines that live and on those that may be started."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ictsweep.launch import room
from ictsweep.launch.machines import Machines, places
from ictsweep.launch.room import promised, slots

ONE_GPU = {"CPU": 1.0, "GPU": 1.0}
CONFIG = {
    "max_workers": 6,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 8, "GPU": 8}, "max_workers": 0},
        "l4": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 5},
        "l4x4": {"resources": {"CPU": 48, "GPU": 4}, "max_workers": 2},
        "off": {"resources": {"CPU": 96, "GPU": 8}, "max_workers": 0},
    },
}


def test_workers_are_never_split_over_machines() -> None:
    machines = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 1.0}, {"CPU": 0.5, "GPU": 4.0}, {}]
    assert places({"CPU": 1.0}, machines) == 4
    assert places({"CPU": 2.0}, machines) == 1
    assert places(ONE_GPU, machines) == 1
    assert places({"CPU": 0.25, "GPU": 0.25}, machines) == 4 + 2


def test_machines_that_may_be_started_count_up_to_the_cap() -> None:
    assert promised(ONE_GPU, CONFIG) == 2 * 4 + 4 * 1  # six machines, the larger ones first
    assert promised({"CPU": 1.0, "GPU": 4.0}, CONFIG) == 2
    assert promised({"CPU": 1.0, "GPU": 8.0}, CONFIG) == 0  # those of type `off` are off
    assert promised(ONE_GPU, {}) == 0


def staying(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], leaving: tuple[str, ...] = ()
) -> None:
    """Ray knows these nodes, of which some are about to be taken."""
    monkeypatch.setattr(room.ray, "nodes", lambda: nodes)
    draining = dict.fromkeys(leaving, 0)
    monkeypatch.setattr(room.cluster_state, "get_draining_nodes", lambda: draining)


class Context:
    """What Ray says of the connection."""

    gcs_address = "10.0.0.1:6379"


@pytest.mark.parametrize(("port", "expected"), [(6379, 6), (51234, 1)])
def test_a_file_of_ray_up_counts_on_its_own_cluster_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int, expected: int
) -> None:
    nodes = [
        {"NodeID": "a", "Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"NodeID": "b", "Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}},
    ]
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setattr(Context, "gcs_address", f"10.0.0.1:{port}")
    staying(monkeypatch, nodes)
    monkeypatch.setattr(room.ray, "get_runtime_context", Context)
    each = Machines(workers=2, cpus_per_worker=1, gpus_per_worker=1)
    assert slots(each, None, tmp_path) == expected
    assert slots(each, None, tmp_path / "nothing") == 1


@pytest.mark.parametrize(
    ("port", "living", "expected"),
    [(6379, {"CPU": 0.0}, True), (51234, {"CPU": 8.0}, False), (51234, {"GPU": 2.0}, True)],
)
def test_gpus_of_machines_that_would_be_started_count(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    port: int,
    living: dict[str, float],
    expected: bool,
) -> None:
    """A cluster of `ray up` is a head without GPUs at first: a study that trained on its machines'
    CPUs would pay for GPUs that idle.
    """
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setattr(Context, "gcs_address", f"10.0.0.1:{port}")
    monkeypatch.setattr(room.ray, "get_runtime_context", Context)
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: living)
    assert room.has_gpus(tmp_path) is expected


def test_machines_that_a_file_keeps_are_awaited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(room.ray, "get_runtime_context", Context)
    monkeypatch.setattr(Context, "gcs_address", "10.0.0.1:6379")
    staying(monkeypatch, [{"NodeID": "a", "Alive": True, "Resources": {"CPU": 0.0}}])
    kept = {"head_node_type": "n", "available_node_types": {"n": {"min_workers": 2}}}
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(kept))
    assert room.awaited(tmp_path) == 2
    assert room.awaited(tmp_path / "nothing") == 0
    monkeypatch.setattr(room.Path, "home", lambda: tmp_path)
    each = Machines(workers=2, cpus_per_worker=1, gpus_per_worker=0)
    assert room.shortage(each).endswith(
        "2 machine(s) of its file have yet to join: see `ray status`"
    )
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(CONFIG))
    assert room.awaited(tmp_path) == 0


@pytest.mark.parametrize(
    ("offered", "taken"), [({"CPU": 4.0, "driver": 100.0}, "driver"), ({"CPU": 4.0}, "memory")]
)
def test_drivers_sit_where_places_are_offered(
    monkeypatch: pytest.MonkeyPatch, offered: dict[str, float], taken: str
) -> None:
    monkeypatch.setattr(room.ray, "cluster_resources", lambda: offered)
    assert list(room.seat()) == [taken]


def test_a_cluster_that_lost_its_machines_has_room_for_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    staying(monkeypatch, [{"NodeID": "a", "Alive": True, "Resources": {"CPU": 1.0}}])
    each = Machines(workers=2, cpus_per_worker=1, gpus_per_worker=0)
    assert slots(each, None, tmp_path) == 0
    assert "2 worker(s) with 1 CPU each; the cluster has room for 1:" in room.shortage(each)


def test_a_machine_that_is_about_to_be_taken_offers_no_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = {"Alive": True, "Resources": {"CPU": 4.0}}
    staying(monkeypatch, [{**node, "NodeID": "a"}, {**node, "NodeID": "b"}], leaving=("b",))
    each = Machines(workers=1, cpus_per_worker=1, gpus_per_worker=0)
    assert slots(each, None, tmp_path) == 4


@pytest.mark.parametrize(
    ("labels", "config", "most", "expected"),
    [
        ({}, {}, 3, 3),
        ({}, {}, 9, 4),
        ({"ray.io/node-group": "l4"}, {}, 9, 9),  # a cluster on Kubernetes, say
        ({"ray.io/node-group": "l4"}, {}, None, 4),
        ({"ray.io/node-group": "l4"}, CONFIG, 9, 6),  # which says how many may be started
        ({"ray.io/node-group": "l4"}, CONFIG, 5, 5),
    ],
)
def test_at_most_so_many_and_on_demand_just_so_many(
    labels: dict[str, str],
    config: dict[str, Any],
    most: int | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    resources = {"CPU": 8.0, "GPU": 4.0}
    staying(monkeypatch, [{"NodeID": "a", "Alive": True, "Resources": resources, "Labels": labels}])
    monkeypatch.setattr(room, "_bootstrap", lambda home: config)
    each = Machines(workers=1, cpus_per_worker=1, gpus_per_worker=1)
    if config:
        each = Machines(workers=2, cpus_per_worker=1, gpus_per_worker=1)
    assert slots(each, most, tmp_path) == expected
