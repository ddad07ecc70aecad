"""What is fetched from others: whole, short, from where it was asked, or not at all."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tenure.outbound import NoAnswer, fetch

GONE = threading.Event()
"""Set when somebody who was sent byte after byte has hung up."""


@contextmanager
def served() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def drip(self) -> None:
            """A header that never ends, and never keeps anybody waiting for its next byte."""
            try:
                while True:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                GONE.set()

        def do_GET(self) -> None:
            if self.path == "/drips":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                self.drip()
                return
            self.send_response({"/moved": 302, "/gone": 404, "/none": 204}.get(self.path, 200))
            body = b"" if self.path in ("/moved", "/none") else b"x" * 100
            if self.path == "/moved":
                self.send_header("Location", "/here")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_only_a_whole_answer_of_200_counts() -> None:
    with served() as url:
        assert fetch(f"{url}/here", most_bytes=100, within_s=10) == b"x" * 100
        for path, most in (("here", 99), ("moved", 100), ("gone", 100), ("none", 100)):
            with pytest.raises(NoAnswer):
                fetch(f"{url}/{path}", most_bytes=most, within_s=10)


def test_who_drips_is_left_when_the_time_of_the_whole_call_is_over() -> None:
    GONE.clear()
    with served() as url:
        with pytest.raises(NoAnswer):
            fetch(f"{url}/drips", most_bytes=100, within_s=0.5)
        assert GONE.wait(30), "the connection is closed, not forgotten"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "file:///etc/hostname", "http://["])
def test_what_cannot_be_asked_does_not_answer(url: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        fetch(url, most_bytes=100, within_s=10)
    assert str(caught.value) == "", "nothing of where or what ends in a log"
