"""Machines for tests: network, process and mount namespaces joined by a bridge.

A host has its own addresses, processes, /dev/shm, /tmp/ray and /etc/hosts, and shares the file
system with the others: that stands for a network file system. All routes are on-link and the
bridge has no uplink: nothing that a host says can leave this machine.

Everything hangs on processes: a namespace lives as long as its first process, that process dies
with the one that made it (by the kernel, even after a SIGKILL of pytest), and links and mounts go
with their namespaces. So there is nothing to clean up, and nothing that can be left behind.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_INIT = """
set -e
ip link set lo up
mkdir -p $home/ray /tmp/ray
printf "127.0.0.1 localhost\\n$address $name\\n" > $home/hosts
mount --bind $home/hosts /etc/hosts
mount --bind $home/ray /tmp/ray
mount -t tmpfs tmpfs /dev/shm
hostname $name
touch $home/up
while true; do sleep 3600 & wait; done
"""
# The first process of a host is a shell in a loop: as process 1 it reaps what others leave.


class Network:
    """A bridge in a network namespace of its own; `add` makes hosts on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: list[Host] = []
        self._bridge = subprocess.Popen(
            [*_TIED, "unshare", "--net", "sh", "-c", f"ip link add br0 address {_MAC} "
             "type bridge && ip link set br0 up && echo up && exec sleep 1000000"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._bridge.stdout is not None
        assert self._bridge.stdout.readline() == b"up\n"
        self._namespace = f"/proc/{self._bridge.pid}/ns/net"

    def add(self, name: str) -> "Host":
        """A new host of that name at the network's next address."""
        host = Host(self.folder / name, name, f"10.77.0.{len(self.hosts) + 1}")
        self.plug(host)
        return host

    def serve(self, address: str) -> None:
        """The bridge answers to an address too: what runs `inside` is reached there."""
        ip = ("nsenter", f"--net={self._namespace}", "ip")
        _do(*ip, "link", "set", "lo", "up")
        _do(*ip, "addr", "add", f"{address}/32", "dev", "br0")
        _do(*ip, "route", "replace", "default", "dev", "br0")

    def plug(self, host: "Host") -> None:
        """Join a host to the bridge."""
        self.hosts.append(host)
        ip = ["nsenter", f"--net={self._namespace}", "ip"]
        veth = f"v{len(self.hosts)}"
        link = [*ip, "link", "add", veth, "type", "veth", "peer", "name", "eth0"]
        _do(*link, "netns", str(host.first))
        _do(*ip, "link", "set", veth, "master", "br0", "up")
        host.connect()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread, and the processes and threads that it starts, say and hear is of this
        network: servers at the bridge's addresses, clients of them.
        """
        with open("/proc/thread-self/ns/net") as ours, open(self._namespace) as theirs:
            _enter(theirs.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def close(self) -> None:
        """End all hosts and the bridge, and wait until they are gone."""
        for host in self.hosts:
            host.kill()
        self._bridge.kill()
        self._bridge.wait()


class Host:
    """A machine of the network. `first` is its first process as seen from outside."""

    def __init__(
        self, home: Path, name: str, address: str, init: str = _INIT, **values: str
    ) -> None:
        """`init` finds `home`, `name`, `address` and `values` as variables, and says that it is
        done with a file `up` in its home.
        """
        home.mkdir(parents=True)
        self.home, self.name, self.address = home, name, address
        told = {"home": str(home), "name": name, "address": address, **values}
        self._process = subprocess.Popen(
            [*_TIED, "unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc",
             "--kill-child=SIGKILL", "bash", "-c", init],
            stdin=subprocess.DEVNULL,
            stdout=(home / "init.log").open("wb"),
            stderr=subprocess.STDOUT,
            env={**os.environ, **told},
        )  # fmt: skip
        wait_for((home / "up").exists, 30, f"{name} comes up: {home}/init.log")
        pid = self._process.pid
        self.first = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        self._namespace = _namespace(self.first)

    def connect(self) -> None:
        """Give the host its address on the bridge. Every address is taken to be on this link."""
        self._ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.join()

    def join(self) -> None:
        """Plug the cable in (again)."""
        self._ip("link", "set", "eth0", "up")
        self._ip("route", "replace", "default", "dev", "eth0", "src", self.address)

    def cut(self) -> None:
        """Pull the cable out: the host lives on and hears nobody."""
        self._ip("link", "set", "eth0", "down")

    @property
    def is_off(self) -> bool:
        """Whether it powered itself off, or was killed."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """The power goes: every process of the host is gone when this returns."""
        self._process.kill()
        self._process.wait()
        wait_for(lambda: not Path(f"/proc/{self.first}").exists(), 10, f"{self.name} dies")

    def command(self, *words: str, env: Mapping[str, str], cwd: Path) -> list[str]:
        """The command line that runs `words` on this host."""
        values = [f"{name}={value}" for name, value in env.items()]
        inside = ["env", "-C", str(cwd), *values, *words]
        return ["nsenter", "-t", str(self.first), "-n", "-m", "-p", "-u", "--", *inside]

    def pids(self) -> set[int]:
        """The processes of the host as seen from outside, its first one not counted."""
        return {pid for pid in _pids() if _namespace(pid) == self._namespace} - {self.first}

    def _ip(self, *words: str) -> None:
        _do("nsenter", "-t", str(self.first), "-n", "ip", *words)


def why_not() -> str | None:
    """Why hosts cannot be made here; None where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are made of namespaces: needs Linux and root"
    try:
        probe = "ip link add br0 type bridge && mount -t tmpfs tmpfs /dev/shm"
        new = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc"]
        done = subprocess.run([*new, "sh", "-c", probe], capture_output=True, text=True)
        subprocess.run(["setpriv", "--version"], check=True, capture_output=True)
    except OSError as error:
        return f"hosts are made of namespaces: {error}"
    return f"namespaces are not permitted here: {done.stderr}" if done.returncode else None


def wait_for(condition, seconds: float, what: str, look_s: float = 0.1) -> float:
    """Wait for a condition; how long it took in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, f"not within {seconds:g} s: {what}"
        time.sleep(look_s)
    return time.monotonic() - began


# By default a bridge takes its address from its hosts, another one whenever a host comes.
_MAC = "02:00:00:00:00:01"
_TIED = ("setpriv", "--pdeathsig", "KILL")  # dies with the thread that started it


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, 0x40000000):  # CLONE_NEWNET; Python has it from 3.12 on
        raise OSError(ctypes.get_errno(), "setns")


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
