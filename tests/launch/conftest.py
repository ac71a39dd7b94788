"""A Ray of our own for the tests of a module, and where its processes can be found; clusters of
others.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ictsweep.launch.cluster import cluster

Find = Callable[[str], list[int]]
Start = Callable[..., str]

# A cluster that lives until its standard input closes; what programs do before and after it is up.
CLUSTER = """
import sys
import ray
before, after, folder, cpus = sys.argv[1:]
exec(before)
here = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": folder}
ray.init(num_cpus=int(cpus), **here)
exec(after)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def processes() -> Iterator[Find]:
    """The living processes of this module's Ray whose command line has a word in it."""
    mark = uuid.uuid4().hex
    os.environ["ICTSWEEP_TEST_MARK"] = mark

    def found(word: str) -> list[int]:
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                ours = mark.encode() in (path / "environ").read_bytes()
                if ours and word.encode() in (path / "cmdline").read_bytes():
                    pids.append(int(path.name))
            except OSError:
                continue
        return pids

    yield found
    del os.environ["ICTSWEEP_TEST_MARK"]


@pytest.fixture(scope="module")
def one_ray(processes: Find) -> Iterator[Find]:
    """A Ray of our own, as a study on one machine has it; finds its processes."""
    with cluster("local"):
        yield processes


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a cluster of others; its address."""
    running = []

    def cluster(before: str = "", after: str = "", cpus: int = 1) -> str:
        place = tmp_path_factory.mktemp("r", numbered=True)
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, before, after, str(place), str(cpus)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield cluster
    for process in running:
        process.communicate(timeout=60)
