"""Server processes on loopback: start, wait until they answer, stop."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

_START_S = 30.0
_STOP_S = 20.0


@contextmanager
def running(
    arguments: Sequence[str], port: int, *, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """One process of this interpreter that serves on `port`; terminated at the end. Its process id."""
    process = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **(environment or {})})
    try:
        _wait(process, port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def computed(process_id: int) -> float:
    """Seconds of CPU that a process has used so far."""
    used = psutil.Process(process_id).cpu_times()
    return float(used.user + used.system)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended at start with status {process.returncode}.")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                return
        except urllib.error.HTTPError as answer:
            if answer.code == 404:  # the bare servers have no probe: an answer is enough
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("The server did not answer in time.")
