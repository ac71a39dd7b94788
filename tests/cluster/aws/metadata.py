"""The metadata service of EC2's machines (IMDSv2), as far as credentials and regions go.

Only who shows a token is answered. What a machine is told are credentials of its own instance
profile's role; a machine without a profile is told nothing.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ADDRESS = "169.254.169.254"
_TOKEN = "a-token-of-the-metadata-service"
_ROLES = "iam/security-credentials"
_HEADER = "X-aws-ec2-metadata-token"
Credentials = Mapping[str, str]
Roles = dict[str, tuple[str, Credentials]]


class Metadata:
    """The service, on this thread's network. `roles`: the role of the machine at an address, and
    its credentials.
    """

    def __init__(
        self, region: str, host: str = ADDRESS, port: int = 80, roles: Roles | None = None
    ) -> None:
        known: Roles = {} if roles is None else roles
        self.roles = known

        class Answers(_Answers):
            def told(self, path: str) -> str | None:
                if path == "placement/region":
                    return region
                if not path.startswith(_ROLES) or self.client_address[0] not in known:
                    return None
                role, credentials = known[self.client_address[0]]
                return json.dumps(credentials) if path.removeprefix(_ROLES).strip("/") else role

        self._server = _Server((host, port), Answers)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def written(key: Mapping[str, object]) -> Credentials:
    """What STS says of a session, as the metadata service writes it."""
    until = key["Expiration"]
    assert isinstance(until, datetime)
    return {
        "Code": "Success", "Type": "AWS-HMAC",
        "LastUpdated": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "AccessKeyId": str(key["AccessKeyId"]), "SecretAccessKey": str(key["SecretAccessKey"]),
        "Token": str(key["SessionToken"]), "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked did not wait for the answer."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def told(self, path: str) -> str | None:
        """What is said of a path of the metadata."""
        raise NotImplementedError

    def do_PUT(self) -> None:
        self._answer(200, _TOKEN)

    def do_GET(self) -> None:
        if self.headers[_HEADER] != _TOKEN:
            self._answer(401, "")
            return
        said = self.told(self.path.removeprefix("/latest/meta-data/").strip("/"))
        self._answer(404 if said is None else 200, said or "")

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
