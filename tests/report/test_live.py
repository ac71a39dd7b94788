"""Reports that follow a study, over HTTP, and that survive a kill."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ictsweep.errors import UserError
from ictsweep.report import build
from ictsweep.report.serve import serving
from ictsweep.report.watch import watch
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, write_study
from tests.report.many import write_many
from tests.report.reading import data_of


def test_watching_writes_again_when_the_log_grows_and_ends_with_it(tmp_path: Path) -> None:
    whole = write_study(tmp_path / "whole", script=Script(pictures=False))
    folder = write_study(tmp_path / "s", script=Script(pictures=False), until=40)
    pages = watch(folder, tmp_path / "reports", every_s=0.01)
    page = next(pages)
    early = len(data_of(page.read_text())["trials"])
    assert 'data-stamp=""' not in page.read_text()
    log = folder.path / "events.jsonl"
    log.write_bytes((whole.path / "events.jsonl").read_bytes())
    assert next(pages) == page
    assert len(data_of(page.read_text())["trials"]) > early
    assert 'data-stamp=""' in page.read_text()  # finished: nobody looks for a newer one
    assert list(pages) == []


def test_a_study_without_an_event_has_a_page(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", script=Script(pictures=False))
    (folder.path / "events.jsonl").unlink()
    page = next(watch(folder, tmp_path / "reports"))
    assert data_of(page.read_text())["trials"] == []


class Enough(Exception):
    """The watch has slept often enough."""


def test_watching_leaves_a_quiet_study_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(tmp_path / "s", script=Script(pictures=False), until=40)
    naps = iter(range(3))

    def sleep(seconds: float) -> None:
        assert seconds == 5.0
        if next(naps, None) is None:
            raise Enough

    monkeypatch.setattr("ictsweep.report.watch.time.sleep", sleep)
    pages = watch(folder, tmp_path / "reports", every_s=5.0)
    next(pages)
    with pytest.raises(Enough):  # three looks later, still nothing to write
        next(pages)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    (tmp_path / "reports" / "inner").mkdir(parents=True)
    (tmp_path / "reports" / "index.html").write_text("<p>studies</p>")
    (tmp_path / "secret").write_text("no")
    with serving(tmp_path / "reports", port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield str(server.server_address[0]), int(server.server_address[1])
        server.shutdown()


def _asked(address: tuple[str, int], path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_reports_are_served_to_this_machine_alone(address: tuple[str, int]) -> None:
    assert address[0] == "127.0.0.1"
    assert _asked(address, "/") == (200, b"<p>studies</p>")
    assert _asked(address, "/index.html", f"localhost:{address[1]}")[0] == 200
    assert _asked(address, "/", "elsewhere.example")[0] == 403
    assert _asked(address, "/../secret")[0] == 404
    assert _asked(address, "/%2e%2e/secret")[0] == 404
    assert _asked(address, "/inner/")[0] == 404  # no listings


def test_nothing_to_serve_and_a_port_in_use(tmp_path: Path, address: tuple[str, int]) -> None:
    with pytest.raises(UserError, match="no such folder"), serving(tmp_path / "none"):
        pass
    with (
        pytest.raises(UserError, match="choose another port"),
        serving(tmp_path / "reports", port=address[1]),
    ):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from ictsweep import files
from ictsweep.report import build

real, n = os.fdopen, 0

def fdopen(*arguments):
    global n
    n += 1
    file = real(*arguments)
    if n == int(sys.argv[3]):
        file.write(b"<half of a page")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return file

files.os.fdopen = fdopen
build(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_kill_in_mid_write_leaves_the_old_report(tmp_path: Path, write: int) -> None:
    """kill -9 inside each of the files that a report writes."""
    reports = tmp_path / "reports"
    early = write_study(tmp_path / "a", script=Script(pictures=False), until=40)
    page = build(early.path, reports)
    before = {p: p.read_bytes() for p in reports.rglob("*") if p.is_file()}
    late = write_study(tmp_path / "b", script=Script(pictures=False))
    command = [sys.executable, "-c", KILLED, str(late.path), str(reports), str(write)]
    done = subprocess.run(command, env={**os.environ}, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    whole = build(late.path, tmp_path / "other")
    after = {whole.parent.parent / p.relative_to(reports): p.read_bytes() for p in before}
    for path, text in after.items():
        old = before[reports / path.relative_to(tmp_path / "other")]
        assert text in (old, path.read_bytes()), path  # old or new, never half
    assert data_of(page.read_text())["trials"]
    assert build(late.path, reports).read_bytes() == whole.read_bytes()


def test_a_kill_while_a_large_report_is_made(tmp_path: Path) -> None:
    """At any moment: the page that was there stays until the new one is whole."""
    reports = tmp_path / "reports"
    page = build(write_many(tmp_path / "a", 20).path, reports)
    before = page.read_bytes()
    large: StudyFolder = write_many(tmp_path / "b", 300)
    program = (
        "import sys; from pathlib import Path; from ictsweep.report import build; "
        "print('begun', flush=True); build(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(large.path), str(reports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert page.read_bytes() == before
