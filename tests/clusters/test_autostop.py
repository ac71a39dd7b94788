"""When a machine powers itself off, and when it does not."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ictsweep.clusters.autostop import (
    Patience,
    head_is_busy,
    token_of,
    watch,
    worker_is_busy,
)


def test_patience_is_over_after_its_limit_without_work_alone() -> None:
    patience = Patience(60, now=0)
    assert not patience.is_over(False, 59)
    assert not patience.is_over(True, 61)
    assert not patience.is_over(False, 120)
    assert patience.is_over(False, 121)


class Dashboard(BaseHTTPRequestHandler):
    """Answers as Ray's job server does, to those who have the token."""

    jobs: str = "[]"

    def do_GET(self) -> None:
        ok = self.headers["Authorization"] == "Bearer secret" and self.path == "/api/jobs/"
        self.send_response(200 if ok else 401)
        self.end_headers()
        self.wfile.write(self.jobs.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def dashboard() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/jobs/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("states", "busy"),
    [([], False), (["SUCCEEDED", "FAILED", "STOPPED"], False), (["SUCCEEDED", "RUNNING"], True),
     (["PENDING"], True)],
)  # fmt: skip
def test_a_head_with_a_living_job_is_busy(
    dashboard: str, monkeypatch: pytest.MonkeyPatch, states: list[str], busy: bool
) -> None:
    monkeypatch.setattr(Dashboard, "jobs", json.dumps([{"status": s} for s in states]))
    assert head_is_busy(dashboard, "secret") == busy


def test_a_dashboard_that_does_not_say_proves_nothing(
    dashboard: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert head_is_busy(dashboard, "wrong")
    assert "Ray's jobs could not be asked for: HTTP Error 401" in caplog.text
    monkeypatch.setattr(Dashboard, "jobs", "<html>starting</html>")
    assert head_is_busy(dashboard, "secret")


def test_a_head_without_ray_is_idle() -> None:
    assert not head_is_busy("http://127.0.0.1:9/api/jobs/")


def test_a_worker_is_busy_while_its_raylet_lives(tmp_path: Path) -> None:
    for pid, name in ((1, "systemd"), (70, "raylet")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    assert worker_is_busy(tmp_path)
    (tmp_path / "70" / "comm").write_text("raylets\n")
    assert not worker_is_busy(tmp_path)


def test_the_token_is_rays_own(tmp_path: Path) -> None:
    assert token_of(tmp_path) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("abc\n")
    assert token_of(tmp_path) == "abc"


def test_watching_ends_with_powering_off(caplog: pytest.LogCaptureFixture) -> None:
    work = iter([True, True, False, False, False, False, False, False, False, False])
    done: list[str] = []
    caplog.set_level("INFO")
    watch(lambda: next(work), 0.002, lambda: done.append("off"))
    assert done == ["off"]
    assert next(work) is False  # it looked again while there was work, and did not wait for ever
    assert "idle for 0.002 minutes: powering off" in caplog.text


def test_the_machine_is_powered_off_by_the_system(tmp_path: Path) -> None:
    """The module as nodes start it, with a `sudo` that only says what it was asked."""
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    sudo.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "ictsweep.clusters.autostop", "head", "--idle-minutes", "0.01"]
    done = subprocess.run(words, env=env, cwd=root, timeout=30, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == "shutdown -h now\n"
