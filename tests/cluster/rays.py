"""Ray on the hosts of a network, started as an administrator starts it: `ray start` on each."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from tests.cluster.hosts import Host, Network

PORT = 6379
REPOSITORY = Path(__file__).parents[2]
_BINARIES = Path(sys.executable).parent


class Rays:
    """A Ray cluster over hosts. `home` is the user's home folder, the same on all of them, and in
    it Ray's token, without which nobody gets in.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.home = network.folder / "home"
        (self.home / ".ray").mkdir(parents=True)
        (self.home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
        self.head = network.add("head")

    @property
    def address(self) -> str:
        """What `--address` takes."""
        return f"{self.head.address}:{PORT}"

    def start_head(self, cpus: int) -> None:
        """Ray's head on the first host, with so many CPUs for trials and places for drivers."""
        ports = ("--head", f"--port={PORT}", "--dashboard-host=127.0.0.1")
        places = f"--resources={json.dumps({'driver': 100})}"
        self._start(self.head, *ports, f"--num-cpus={cpus}", places)

    def join(self, host: Host, cpus: int = 1) -> None:
        """A host becomes a node of the cluster."""
        self._start(host, f"--address={self.address}", f"--num-cpus={cpus}")

    def run(self, host: Host, *words: str, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        """A user's command on a host; what it says goes to `log`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                host.command(*words, env=self._env(), cwd=cwd),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def _start(self, host: Host, *options: str) -> None:
        log = host.home / "ray-start.log"
        memory = ("--object-store-memory=100000000", f"--node-ip-address={host.address}")
        ray = str(_BINARIES / "ray")
        starting = self.run(host, ray, "start", *options, *memory, cwd=self.home, log=log)
        assert starting.wait(120) == 0, log.read_text()

    def _env(self) -> dict[str, str]:
        return {
            "PATH": f"{_BINARIES}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",  # a node that joins does not look for the token by itself
        }
