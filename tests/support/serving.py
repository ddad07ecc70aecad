"""The server as a process of its own: forked off one that has imported it."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support import nursery
from tenure.tls import authorities

_PATIENCE_S = 60.0


@contextmanager
def served(settings: dict[str, object], log: Path) -> Iterator[tuple[nursery.Child, httpx.Client]]:
    """A server on a free port that is ready, by settings' names; killed at the end if it still runs."""
    port = free_port()
    given = settings | {"port": port}
    env = {**os.environ, **{f"TENURE_{name.upper()}": str(value) for name, value in given.items()}}
    program = "from tenure.main import run; from tenure.settings import Settings; run(Settings())"
    with log.open("ab") as out:
        process = nursery.start(program, env=env, stdout=out.fileno(), stderr=out.fileno())
    try:
        place = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=place, timeout=30, verify=authorities()) as client:
            if not ready(client, port):
                pytest.fail(log.read_text())
            yield process, client
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ready(client: httpx.Client, port: int) -> bool:
    """Wait until a server says that it is; whether it did. A socket is asked first, which costs nothing."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0 and client.get("/health/ready").status_code == 200:
                return True
        time.sleep(0.02)
    return False
