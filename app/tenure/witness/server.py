"""The witness over HTTP, for logs and monitors (C2SP tlog-witness). TLS is a proxy's business.

POST /add-checkpoint                200 cosignature · 400 403 404 409 422 as the document says · 411 413
GET  /<sha256 of origin>/checkpoint 200 the last cosigned checkpoint · 404
"""

import re
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tenure.errors import TenureError
from tenure.ledger.witness import CONFLICT, SIZE_TYPE, Refused
from tenure.witness.place import Place

MAX_BODY = 64 << 10
"""Bytes. 63 proof lines are 3 KB; the rest is room for signatures."""

_TEXT = "text/plain; charset=utf-8"
_CHECKPOINT = re.compile(r"/([0-9a-f]{64})/checkpoint")
_SILENCE_S = 10


class WitnessServer(ThreadingHTTPServer):
    """Listens on (host, port). Port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], place: Place) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.place = place


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "tenure-witness"
    sys_version = ""
    timeout = _SILENCE_S
    # Headers and body leave as one write: two would wait for each other's acknowledgement.
    wbufsize = -1

    def do_POST(self) -> None:
        """`add-checkpoint`."""
        if self.path != "/add-checkpoint":
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here. Post to /add-checkpoint.")
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
            return
        if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {MAX_BODY} bytes.")
            return
        raw = self.rfile.read(int(length))
        if len(raw) != int(length):
            self.close_connection = True
            return
        try:
            line = self.server.place.add_checkpoint(raw)
        except Refused as refusal:
            _say(f"refused: {refusal.status} {refusal.rule}")
            if refusal.status == CONFLICT:
                self._answer(refusal.status, f"{refusal.size}\n".encode(), SIZE_TYPE)
            else:
                self._answer(refusal.status, f"{refusal.detail}\n".encode())
        except (TenureError, OSError) as failure:
            _say(f"FAILED, nothing was cosigned: {type(failure).__name__}: {failure}")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "It cannot cosign now. Nothing was cosigned.")
        else:
            self._answer(HTTPStatus.OK, line.encode())

    def do_GET(self) -> None:
        """The last cosigned checkpoint."""
        asked = _CHECKPOINT.fullmatch(self.path)
        found = self.server.place.checkpoint(asked[1]) if asked else None
        if found is None:
            self._answer(HTTPStatus.NOT_FOUND, b"No checkpoint of such a log was cosigned here.\n")
        else:
            self._answer(HTTPStatus.OK, found)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer and close: a body that was not read must not be taken for the next request."""
        self.close_connection = True
        self._answer(status, f"{detail}\n".encode())

    def _answer(self, status: int, body: bytes, media: str = _TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """No line for each request: it would have the caller's address."""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
