"""A real HTTP server on this machine, as an application: it answers as told and keeps what it got."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Webhook:
    """What it answers, one status after the other, the last again and again; and what it was sent."""

    port: int
    answers: list[int] = field(default_factory=lambda: [200])
    bodies: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, by names in lowercase."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/again"


@contextmanager
def webhook(*answers: int, port: int = 0) -> Iterator[Webhook]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            made.bodies.append(body.decode())
            made.paths.append(self.path)
            status = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    made = Webhook(server.server_address[1], list(answers) or [200])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
