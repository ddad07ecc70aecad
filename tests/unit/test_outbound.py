"""What is fetched from others: whole, short, from where it was asked, or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tenure.outbound import NoAnswer, fetch


@contextmanager
def served() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "file:///etc/hostname", "http://["])
def test_what_cannot_be_asked_does_not_answer(url: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        fetch(url, most_bytes=100, within_s=10)
    assert str(caught.value) == "", "nothing of where or what ends in a log"
