import hashlib
import http.server
import resource
import threading
from pathlib import Path

import pytest

from ictsweep.errors import UserError
from ictsweep.evaluation import weights
from ictsweep.evaluation.feature_config import INCEPTION, INCEPTION_PORT
from ictsweep.evaluation.weights import Published, fetch, fetch_inception, published
from ictsweep.progress import Progress

CONTENT = bytes(range(256)) * 20_000  # 5 MB


class Shelf(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path names how: /whole, /ranges, /cut, /page, /missing."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = self._start()
        body = b"<html>log in first</html>" if self.path == "/page" else CONTENT[start:]
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def _start(self):
        wanted = self.headers.get("Range")
        ranges = self.path in ("/ranges", "/cut")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and ranges else 0

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def file_at(server, how):
    return Published(
        name="weights.pt",
        url=f"http://127.0.0.1:{server.server_port}/{how}",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def refusal(file, to, source=None):
    with pytest.raises(UserError) as caught:
        list(fetch(file, to, source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download(server, tmp_path):
    seen = list(fetch(file_at(server, "whole"), tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b" / "weights.pt").read_bytes() == CONTENT
    assert names(tmp_path / "a" / "b") == ["weights.pt"]
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1] == Progress(len(CONTENT), len(CONTENT), "bytes")
    assert len(seen) >= 4


@pytest.mark.parametrize("how", ["ranges", "whole"])
def test_a_cut_download_goes_on(server, tmp_path, how):
    """Where the server knows ranges, where it ended; elsewhere from the start; the same bytes."""
    file = file_at(server, how)
    steps = fetch(file, tmp_path)
    next(steps), next(steps)
    steps.close()
    assert names(tmp_path) == [".weights.pt.part"]
    have = (tmp_path / ".weights.pt.part").stat().st_size
    assert 0 < have < len(CONTENT)
    seen = list(fetch(file, tmp_path))
    assert server.asked[-1] == f"bytes={have}-"
    assert (seen[0].done > have) == (how == "ranges")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_an_answer_that_ends_early_is_told_and_goes_on(server, tmp_path):
    message = refusal(file_at(server, "cut"), tmp_path)
    assert "the answer ended at 2560000 of 5120000 bytes" in message or "broke off" in message
    list(fetch(file_at(server, "ranges"), tmp_path))
    assert server.asked[-1] == "bytes=2560000-"
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server, tmp_path):
    """Killed between the last byte and the rename."""
    (tmp_path / ".weights.pt.part").write_bytes(CONTENT)
    list(fetch(file_at(server, "ranges"), tmp_path))
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_damaged_part_is_told_and_removed(server, tmp_path):
    (tmp_path / ".weights.pt.part").write_bytes(b"x" * 1000)
    assert "expected" in refusal(file_at(server, "ranges"), tmp_path)
    assert names(tmp_path) == []
    list(fetch(file_at(server, "ranges"), tmp_path))
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_page_in_the_files_stead(server, tmp_path):
    message = refusal(file_at(server, "page"), tmp_path)
    assert "is a page of words, not the published weights.pt" in message
    assert names(tmp_path) == []


def test_a_missing_page(server, tmp_path):
    assert "could not be fetched (404 Not Found)" in refusal(file_at(server, "missing"), tmp_path)


def test_no_network_says_what_to_put_where(tmp_path):
    file = Published(name="weights.pt", url="http://127.0.0.1:9/w", sha256="0" * 64)
    message = refusal(file, tmp_path / "to")
    assert message.startswith("http://127.0.0.1:9/w could not be fetched (")
    assert message.endswith(f"or copy that file to {tmp_path / 'to' / 'weights.pt'}")


def test_a_local_copy(server, tmp_path):
    (tmp_path / "mine").write_bytes(CONTENT)
    asked = len(server.asked)
    seen = list(fetch(file_at(server, "whole"), tmp_path / "to", tmp_path / "mine"))
    assert (tmp_path / "to" / "weights.pt").read_bytes() == CONTENT
    assert seen[-1] == Progress(len(CONTENT), len(CONTENT), "bytes")
    assert len(server.asked) == asked
    again = list(fetch(file_at(server, "whole"), tmp_path / "to", tmp_path / "no such file"))
    assert again == [Progress(len(CONTENT), len(CONTENT), "bytes")]


@pytest.mark.parametrize("content", [CONTENT[:-1], b"<html>", b""])
def test_a_local_copy_of_something_else(server, tmp_path, content):
    (tmp_path / "mine").write_bytes(content)
    message = refusal(file_at(server, "whole"), tmp_path / "to", tmp_path / "mine")
    assert message.startswith(f"{tmp_path / 'mine'} is ")
    assert file_at(server, "whole").sha256 in message
    assert names(tmp_path / "to") == []
    assert (tmp_path / "mine").read_bytes() == content


def test_a_local_copy_that_is_not_there(server, tmp_path):
    message = refusal(file_at(server, "whole"), tmp_path / "to", tmp_path / "none")
    assert message == f"there is no file {tmp_path / 'none'} to take weights.pt from"


def test_another_content_in_the_place_is_left_there(server, tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"mine")
    assert "move it away, then again" in refusal(file_at(server, "whole"), tmp_path)
    assert (tmp_path / "weights.pt").read_bytes() == b"mine"


def test_one_process_at_a_time(server, tmp_path):
    steps = fetch(file_at(server, "whole"), tmp_path)
    next(steps)
    assert "another process is fetching" in refusal(file_at(server, "whole"), tmp_path)
    assert len(list(steps)) >= 3
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_another_process_finishes_just_before(server, tmp_path, monkeypatch):
    honest = weights._alone

    def late(part):
        (tmp_path / "weights.pt").write_bytes(CONTENT)
        return honest(part)

    monkeypatch.setattr(weights, "_alone", late)
    asked = len(server.asked)
    assert list(fetch(file_at(server, "whole"), tmp_path))[-1].done == len(CONTENT)
    assert len(server.asked) == asked
    assert names(tmp_path) == ["weights.pt"]


def test_a_disk_that_is_full(server, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        message = refusal(file_at(server, "ranges"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message == f"{tmp_path}/.weights.pt.part could not be written or read (File too large)"
    list(fetch(file_at(server, "ranges"), tmp_path))
    assert server.asked[-1] == "bytes=1000000-"
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_folder_that_cannot_be(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "could not be written" in refusal(file_at(server, "whole"), tmp_path / "file" / "to")


def test_inceptions_files():
    """The hash in the port's name is its own; the modes of one network share its file."""
    assert published("clean") == published("legacy_tensorflow")
    assert published("clean").name == INCEPTION
    port = published("legacy_pytorch")
    assert port.name == INCEPTION_PORT
    assert Path(port.name).stem.endswith(port.sha256[:8])


def test_inception_from_a_local_file(tmp_path):
    (tmp_path / "mine").write_bytes(CONTENT)
    with pytest.raises(UserError, match=f"{published('clean').sha256}"):
        list(fetch_inception("clean", tmp_path / "to", tmp_path / "mine"))
