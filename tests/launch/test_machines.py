"""How many trials find room, and what is said when not even one does (numbers: no Ray)."""

import pytest

from ictsweep.launch.machines import Machines, lack, places


def each(**changes: object) -> Machines:
    fields = {"workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0.0, **changes}
    return Machines(**fields)  # type: ignore[arg-type]


BIG = {"CPU": 16.0, "GPU": 4.0, "accelerator_type:A100": 1.0, "memory": 1e9}
SMALL = {"CPU": 4.0, "GPU": 1.0, "accelerator_type:L4": 1.0}
BARE = {"CPU": 8.0}


@pytest.mark.parametrize(
    ("wanted", "nodes", "expected"),
    [
        (each(), [BARE], 8),
        (each(workers=3), [BARE], 2),
        (each(workers=3), [BARE, SMALL], 4),  # a trial's workers may live on two nodes
        (each(cpus_per_worker=3), [BARE, SMALL], 3),  # a worker may not
        (each(gpus_per_worker=1.0), [BIG, SMALL, BARE], 5),
        (each(gpus_per_worker=1.0, accelerator_type="A100"), [BIG, SMALL], 4),
        (each(workers=2, gpus_per_worker=1.0, accelerator_type="L4"), [BIG, SMALL], 0),
        *[(each(gpus_per_worker=1 / n), [{"CPU": 99.0, "GPU": 1.0}], n) for n in range(1, 11)],
        *[
            (each(gpus_per_worker=n / 10), [{"CPU": 99.0, "GPU": 3.0}], 30 // n)
            for n in (1, 2, 3, 5)
        ],
        (each(), [], 0),
    ],
)
def test_trials_that_fit(wanted: Machines, nodes: list[dict[str, float]], expected: int) -> None:
    assert places(wanted.needs(), nodes) // wanted.workers == expected


@pytest.mark.parametrize(
    ("wanted", "nodes", "says"),
    [
        (
            each(workers=2, gpus_per_worker=1.0), [BARE],
            "a trial needs 2 GPU(s), and Ray sees none on this cluster: check that `nvidia-smi` "
            "works on its nodes and that they were started with it working, or train on CPUs with "
            "`resources: {gpus_per_worker: 0}`",
        ),
        (
            each(gpus_per_worker=1.0, accelerator_type="H100"), [BIG, SMALL],
            "resources.accelerator_type: no node has H100; the cluster has A100, L4. Ray's names "
            "are like A100, H100, L4; without this key any GPU will do",
        ),
        (
            each(gpus_per_worker=1.0, accelerator_type="H100"), [{"CPU": 4.0, "GPU": 1.0}],
            "resources.accelerator_type: no node has H100; the cluster names none. Ray's names "
            "are like A100, H100, L4; without this key any GPU will do",
        ),
        (
            each(cpus_per_worker=12), [BARE, SMALL],
            "a trial needs 1 worker(s) with 12 CPU each; the cluster has room for 0 (no node has "
            "more than 8 CPU): lower `resources` or give the study a larger cluster",
        ),
        (
            each(workers=6, gpus_per_worker=1.0), [BIG, SMALL],
            "a trial needs 6 worker(s) with 1 CPU and 1 GPU each; the cluster has room for 5: "
            "lower `resources` or give the study a larger cluster",
        ),
    ],
)  # fmt: skip
def test_a_trial_that_can_never_fit_says_what_is_missing(
    wanted: Machines, nodes: list[dict[str, float]], says: str
) -> None:
    assert lack(wanted, nodes) == says
