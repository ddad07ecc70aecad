"""A witness on loopback, in this process or as one of its own that can be killed."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from tenure.witness.place import Place
from tenure.witness.server import WitnessServer

# Kills itself at the write of the new head: "before" it is on disk, or "after", when no answer has left.
_DYING = """
import os, signal, sys
from tenure import durable
real, when = durable.write, sys.argv.pop(1)
def write(path, data, **more):
    if path.name == "checkpoint" and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, data, **more)
    if path.name == "checkpoint" and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
durable.write = write
from tenure.cli.entry import main
main()
"""


@contextmanager
def serving(place: Place):
    """The base URL of a witness in this process."""
    with WitnessServer(("127.0.0.1", 0), place) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def process(directory: Path, dying: str = "never"):
    """(base URL, process) of `tenure witness`."""
    command = [sys.executable, "-c", _DYING, dying, "witness", "--dir", directory, "--listen", "127.0.0.1:0"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as running:
        try:
            assert running.stdout.readline().startswith("witness ")
            yield running.stdout.readline().split()[-1].rstrip("/"), running
        finally:
            running.kill()
