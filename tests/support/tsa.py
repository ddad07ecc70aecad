"""A time stamping authority on loopback: `openssl ts` behind a small HTTP server."""

import importlib.util
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = authority of tests
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ordering = no
ess_cert_id_alg = sha256
"""


class Tsa:
    """Keys of one authority. `root` is the certificate that it is believed under."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.root = folder, folder / "root.pem"
        self.status = 200
        (folder / "openssl.cnf").write_text(_CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        config = ("-config", "openssl.cnf")
        root = ("-x509", "-days", "30", "-extensions", "ca", "-keyout", "root.key", "-out", "root.pem")
        self._openssl(*new, *config, *root, "-subj", "/CN=root of tests")
        self._openssl(*new, *config, "-keyout", "tsa.key", "-out", "tsa.csr")
        signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30")
        extensions = ("-extfile", "openssl.cnf", "-extensions", "leaf")
        self._openssl("x509", "-req", "-in", "tsa.csr", *signed, *extensions, "-out", "tsa.pem")

    def reply(self, query: bytes) -> bytes:
        """What the authority answers."""
        (self.folder / "query").write_bytes(query)
        asked = ("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-out", "answer")
        self._openssl(*asked, "-signer", "tsa.pem", "-inkey", "tsa.key")
        return (self.folder / "answer").read_bytes()

    def verifies(self, text: bytes, response: bytes) -> bool:
        """What `openssl ts -verify` says of a kept response."""
        (self.folder / "text").write_bytes(text)
        (self.folder / "kept").write_bytes(response)
        asked = ["openssl", "ts", "-verify", "-data", "text", "-in", "kept", "-CAfile", "root.pem"]
        return subprocess.run(asked, cwd=self.folder, capture_output=True, check=False).returncode == 0

    @contextmanager
    def up(self):
        """The URL, while it answers."""
        tsa = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                answer = tsa.reply(query) if tsa.status == 200 else b"no"
                self.send_response(tsa.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
            finally:
                server.shutdown()
                thread.join()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def needed() -> None:
    """Without openssl or the library: skipped, but a failure where everything must run."""
    if shutil.which("openssl") and importlib.util.find_spec("rfc3161_client"):
        return
    if os.environ.get("TENURE_REQUIRE_ALL") == "1":
        pytest.fail("openssl and rfc3161-client are needed")
    pytest.skip("openssl or rfc3161-client is not installed")
