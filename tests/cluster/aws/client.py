"""The user's own machine, at which clusters/README.md is followed."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.aws.account import OWNER
from tests.cluster.aws.machines import HOME, Machine
from tests.cluster.aws.transcript import Transcript
from tests.cluster.hosts import Network
from tests.cluster.rays import REPOSITORY

ADDRESS = "198.18.0.9"
README = REPOSITORY / "clusters" / "README.md"


class Client:
    """A machine with this checkout, an empty home and the credentials of an AWS account."""

    def __init__(self, network: Network, transcript: Transcript) -> None:
        self.machine = Machine(network, "client", (ADDRESS,), key="")
        users = self.machine.disk(Path("/etc/passwd"))
        users.write_text(users.read_text().replace(":/root:", f":{HOME}:"))  # as ssh reads `~`
        self._tell = transcript.tell
        self._started: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str) -> None:
        """Put a file into the checkout."""
        self.machine.disk(REPOSITORY / name).write_text(text)

    def write_home(self, name: str, secret: str) -> None:
        """Put a file that nobody else may read into the user's home."""
        path = self.machine.disk(HOME / name)
        path.touch(mode=0o600)
        path.write_text(secret)

    def read(self, path: Path) -> str:
        """A file of the machine."""
        return self.machine.disk(path).read_text()

    def run(self, command: str, seconds: float = 300, code: int | None = 0) -> str:
        """What a command line says; it must end with `code` (None: with any)."""
        began = time.monotonic()
        self._tell(f"$ {command}")
        done = subprocess.run(
            self._words(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=seconds,
        )  # fmt: skip
        self._tell(f"  code {done.returncode} after {time.monotonic() - began:.1f} s")
        assert code in (None, done.returncode), done.stdout
        return done.stdout

    def leave_open(self, command: str) -> Path:
        """Start a command line that does not end by itself; the file with what it says."""
        self._tell(f"$ {command} &")
        log = self.machine.home / f"open-{len(self._started)}.log"
        with log.open("wb") as out:
            self._started.append(
                subprocess.Popen(
                    self._words(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out
                )
            )
        return log

    def _words(self, command: str) -> list[str]:
        env = {
            "HOME": str(HOME), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "LANG": "C.UTF-8", **OWNER,
        }  # fmt: skip
        return self.machine.command("bash", "-c", command, env=env, cwd=REPOSITORY)


def steps(heading: str, block: int = 0) -> list[str]:
    """The command lines of a code block under a heading of clusters/README.md."""
    section = README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    text = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)[block].replace("\\\n", " ")
    lines = [re.sub(r"\s{2,}", " ", line.split(" #")[0].strip()) for line in text.splitlines()]
    return [line for line in lines if line]
