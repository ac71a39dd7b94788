"""The hosts themselves: they reach each other and nobody else, and nothing of them is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.hosts import Host, wait_for
from tests.cluster.rays import REPOSITORY, Rays

pytestmark = pytest.mark.cluster

REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"
LISTEN = """
import socket
server = socket.create_server(("", 7000))
while True:
    server.accept()
"""
MAKER = """
import sys, time
from pathlib import Path
from tests.cluster.hosts import Network
network = Network(Path(sys.argv[1]))
host = network.add("orphan")
print(host.first, flush=True)
time.sleep(1000)
"""


def reaches(host: Host, address: str, port: int) -> bool:
    words = (sys.executable, "-c", REACH, address, str(port))
    command = host.command(*words, env={}, cwd=Path("/"))
    return subprocess.run(command, capture_output=True).returncode == 0


def test_hosts_reach_each_other_and_nobody_else(made: Callable[[str], Rays]) -> None:
    network = made("reach").network
    head, other = network.hosts[0], network.add("other")
    listening = head.command(sys.executable, "-c", LISTEN, env={}, cwd=Path("/"))
    server = subprocess.Popen(listening)
    wait_for(lambda: reaches(other, head.address, 7000), 10, "the host listens")
    outside = [
        line.split()[3].split("/")[0]
        for line in subprocess.check_output(["ip", "-o", "-4", "addr"], text=True).splitlines()
    ]
    assert outside, "this machine has an address of its own"
    for address in (*outside, "192.0.2.1"):
        if not address.startswith("127."):
            assert not reaches(other, address, 22), f"a way out to {address}"
    other.cut()
    assert not reaches(other, head.address, 7000)
    other.join()
    wait_for(lambda: reaches(other, head.address, 7000), 10, "the cable is in again")
    assert server.pid not in other.pids()
    head.kill()
    assert server.wait(10) == -signal.SIGKILL
    assert not head.pids()


def test_hosts_do_not_outlive_a_killed_maker(tmp_path: Path, made: Callable[[str], Rays]) -> None:
    """SIGKILL of the process that made them, as of a pytest that ran out of time: processes,
    namespaces and mounts go by themselves.
    """
    mounts = Path("/proc/mounts").read_text()
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert maker.stdout is not None
    first = Path("/proc") / maker.stdout.readline().strip()
    assert first.exists()
    maker.kill()
    maker.wait()
    wait_for(lambda: not first.exists(), 10, "the host is gone")
    assert Path("/proc/mounts").read_text() == mounts
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
