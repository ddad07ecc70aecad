"""The server as a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest


@contextmanager
def served(settings: dict[str, object], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A server on a free port that is ready, by settings' names; killed at the end if it still runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = settings | {"port": port}
    env = {**os.environ, **{f"TENURE_{name.upper()}": str(value) for name, value in given.items()}}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tenure.main"], env=env, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for _ in range(600):
                try:
                    if client.get("/health/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
            else:
                pytest.fail(log.read_text())
            yield process, client
    finally:
        process.kill()
        process.wait()
