"""Reports over HTTP, on this machine alone unless told otherwise: files are read, nothing else."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from ictsweep.errors import UserError

LOCAL = {"127.0.0.1", "localhost", "::1"}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder. Asked under a strange name on a loopback address, it answers nothing: a
    page elsewhere that points a name of its own at this machine cannot read the reports.
    """

    def do_GET(self) -> None:
        if self._trusted():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._trusted():
            super().do_HEAD()

    def _trusted(self) -> bool:
        address = cast("tuple[str, int]", self.server.server_address)[0]
        name = self.headers.get("Host", "").rsplit(":", 1)[0].strip("[]")
        if address not in LOCAL or name in LOCAL:
            return True
        self.send_error(HTTPStatus.FORBIDDEN, "Ask for 127.0.0.1")
        return False

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """No listings: the reports have a page of their own."""
        self.send_error(HTTPStatus.NOT_FOUND, "Not a report")

    def log_message(self, format: str, *args: object) -> None:
        """Silent: what was looked at is nobody's business."""


@contextmanager
def serving(
    reports: Path, host: str = "127.0.0.1", port: int = 8123
) -> Iterator[ThreadingHTTPServer]:
    """A server of the folder that is ready to `serve_forever`; port 0 takes a free one."""
    if not reports.is_dir():
        raise UserError(
            f"{reports}: no such folder. `ictsweep report STUDY` writes reports there; another "
            "place is named by --reports."
        )
    handler = functools.partial(_Handler, directory=str(reports))
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        what = error.strerror or str(error)
        raise UserError(
            f"--host {host} --port {port}: {what}; choose another port (0 for any free one)"
        ) from error
    with server:
        yield server
