"""Real servers for tests of mirrors: PostgreSQL and optuna-dashboard, on this machine alone."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, text

PASSWORD = "p{ss}/w@rd:%"  # what a URL, and Optuna's template of one, may stumble over


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def postgres_binaries() -> Path | None:
    """The folder with initdb and pg_ctl; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if (p / "initdb").exists() and (p / "pg_ctl").exists()), None)


class Postgres:
    """A PostgreSQL server of its own; it refuses to run as root, so root starts it as nobody."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._home = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._as: dict[str, Any] = {"cwd": self._home}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._home, nobody.pw_uid, nobody.pw_gid)
            self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        secret = self._home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._do(
            "initdb", "-U", "owner", "--pwfile", str(secret), "-A", "scram-sha-256", "--no-sync",
            "-E", "UTF8", "--locale=C",
        )  # fmt: skip
        self.port = free_port()

    def url(self, schema: str = "public") -> URL:
        """The SQLAlchemy URL of one of its schemas."""
        return URL.create(
            "postgresql+psycopg", "owner", PASSWORD, "127.0.0.1", self.port, "postgres",
            query={"options": f"-csearch_path={schema}"},
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self._home} -c fsync=off"
        self._do("pg_ctl", "-l", str(self._home / "log"), "-w", "-o", options, "start")

    def kill(self) -> None:
        """End it as a crash does: no connection is told, nothing is finished."""
        self._do("pg_ctl", "-m", "immediate", "-w", "stop")

    def schema(self, name: str) -> URL:
        """A new, empty schema: as good as a database, and made at once."""
        engine = create_engine(self.url())
        with engine.begin() as connection:
            connection.execute(text(f'CREATE SCHEMA "{name}"'))
        engine.dispose()
        return self.url(name)

    def remove(self) -> None:
        """Stop it for good."""
        if (self._home / "data" / "postmaster.pid").exists():
            self.kill()
        shutil.rmtree(self._home)

    def _do(self, name: str, *words: str) -> None:
        command = [str(self._binaries / name), "-D", str(self._home / "data"), *words]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **self._as
        )
        assert done.returncode == 0, done.stderr


class Dashboard:
    """optuna-dashboard on a storage, asked through the interface that its page uses."""

    def __init__(self, url: URL, log: Path) -> None:
        text = url.render_as_string(hide_password=False)
        text = text.replace("{", "{{").replace("}", "}}")  # to Optuna a URL is a template
        self.port = free_port()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from optuna_dashboard._cli import main; main()", text,
                 "--host", "127.0.0.1", "--port", str(self.port)],
                stdout=out, stderr=out,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def get(self, path: str) -> Any:
        """The JSON that it answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/{path}") as answer:
            return json.load(answer)

    def trials(self, study: str) -> Sequence[dict[str, Any]]:
        """A study's trials as its page lists them."""
        (number,) = [
            s["study_id"] for s in self.get("studies")["study_summaries"]
            if s["study_name"] == study
        ]  # fmt: skip
        return self.get(f"studies/{number}?after=0")["trials"]

    def stop(self) -> None:
        """End its process."""
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            self.get("meta")
        except OSError:
            return False
        return True
