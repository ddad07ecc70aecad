"""A served log for verifiers that send no credentials: a local relay that adds one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@contextmanager
def relayed(server: httpx.Client, token: str) -> Iterator[str]:
    """The base URL of `/v1/ledger` of a server, as the holder of an API key sees it."""

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.get(f"/v1/ledger{self.path}", headers={"Authorization": f"Bearer {token}"})
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{relay.server_port}"
        finally:
            relay.shutdown()
            thread.join()
