"""A real S3 API on 127.0.0.1: moto's server, with what a test needs to make its life hard. The
rest of moto's AWS is there too.

Requests are answered one at a time, as S3 answers conditional writes of one key; moto by itself
looks at the condition and writes in two steps. Faults are answered over HTTP, before moto sees the
request (`refusing`), after it did what was asked (`losing`), or in the middle of what it sends
(`breaking`): the client cannot tell them from S3's.
"""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from wsgiref.handlers import format_date_time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "studies"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
_EC2 = (
    "<?xml version='1.0'?><Response><Errors><Error><Code>{code}</Code><Message>{words}</Message>"
    "</Error></Errors><RequestID>0</RequestID></Response>"
)

Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]
Rule = Callable[[str, str], bool]  # (method, path) -> whether it is meant
Fault = tuple[Rule, Callable[[Environ], Answer]]


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None: ...

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_date_time(self.server.now().timestamp())  # type: ignore[attr-defined]


class Server:
    """The server, its faults and its clock."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._http: BaseWSGIServer | None = None
        self.host, self.port = host, port
        self.ahead = timedelta(0)
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def now(self) -> datetime:
        """The server's time."""
        return datetime.now(UTC) + self.ahead

    def start(self) -> None:
        """Listen (again, on the same port): objects are as they were."""
        self._http = make_server(
            self.host, self.port, self._answer, threaded=True, request_handler=_Quiet
        )
        self._http.now = self.now  # type: ignore[attr-defined]
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """No connection is taken while the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def refusing(self, rule: Rule, status: int = 503, code: str = "SlowDown") -> Iterator[None]:
        """The requests that `rule` means are refused, undone."""
        with self._with((rule, lambda _: _refused(status, code))):
            yield

    @contextmanager
    def refusing_to(self, operation: str, code: str, words: str) -> Iterator[None]:
        """EC2 refuses an operation, undone."""

        def judge(environ: Environ) -> Answer:
            asked = parse_qs(environ["wsgi.input"].getvalue().decode()).get("Action")
            return _refused(400, code, words, _EC2) if asked == [operation] else self._ask(environ)

        with self._with((lambda method, path: method == "POST" and path == "/", judge)):
            yield

    @contextmanager
    def losing(self, rule: Rule) -> Iterator[None]:
        """The requests that `rule` means are done, and answered as if the server had failed."""

        def lose(environ: Environ) -> Answer:
            self._ask(environ)
            return _refused(500, "InternalError")

        with self._with((rule, lose)):
            yield

    @contextmanager
    def breaking(self, rule: Rule) -> Iterator[None]:
        """Half of what `rule` means is sent; then the connection breaks."""

        def broken(environ: Environ) -> Answer:
            status, headers, body = self._ask(environ)
            return status, headers, _half(b"".join(body))

        with self._with((rule, broken)):
            yield

    @contextmanager
    def forgetful(self) -> Iterator[None]:
        """A server that does not know conditional writes, and ignores them."""

        def without(environ: Environ) -> Answer:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
            return self._ask(environ)

        with self._with((lambda method, _: method == "PUT", without)):
            yield

    @contextmanager
    def _with(self, fault: "Fault") -> Iterator[None]:
        self.faults.append(fault)
        try:
            yield
        finally:
            self.faults.remove(fault)

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        environ["wsgi.input"] = io.BytesIO(
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        )
        with self._lock:
            self.seen.append((method, path))
            fault = next((answer for rule, answer in self.faults if rule(method, path)), self._ask)
            status, headers, body = fault(environ)
        start(status, headers)
        return body

    def _ask(self, environ: Environ) -> Answer:
        """moto's answer."""
        heard: list[Any] = []
        body = list(self._app(environ, lambda *words: heard.append(words)))
        status, headers, *_ = heard[-1]
        return status, headers, body


def _refused(
    status: int, code: str, words: str = "as the test wants", template: str = _ERROR
) -> Answer:
    body = template.format(code=code, words=words).encode()
    return f"{status} Refused", [("Content-Type", "application/xml")], [body]


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionAbortedError("as the test wants")


def once(rule: Rule, times: int = 1) -> Rule:
    """The first `times` requests that `rule` means."""
    left = [times]

    def first(method: str, path: str) -> bool:
        if left[0] and rule(method, path):
            left[0] -= 1
            return True
        return False

    return first


def writes(part: str) -> Rule:
    """Writing an object whose key holds `part`."""
    return lambda method, path: method == "PUT" and part in path


def reads(part: str) -> Rule:
    """Reading an object whose key holds `part`."""
    return lambda method, path: method == "GET" and part in path
