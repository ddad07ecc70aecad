"""Python processes that start at once: forked off one that has imported everything already.

Starting Python and importing Tenure takes a second, and a test that kills a process at one of a dozen points
needs a dozen of them. The parent, one for each process that runs tests, does nothing but fork: a child has
its own arguments, environment and streams, and everything of Tenure as it is right after the import.

`python nursery.py FD ABSENT MODULE…` is that parent, which imports these modules; those that are named in
ABSENT are not to be had there, nor in a child. Each message on the socket brings what to run and four
descriptors: the child's standard streams, and one where a line says its process id and another how it ended.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO

TESTS = Path(__file__).parents[1]
PATH = os.pathsep.join((str(TESTS.parent / "app"), str(TESTS)))
_BORN = (
    *("tenure.bootstrap", "tenure.safekeeping", "tenure.governance.restore", "tenure.store.pipeline"),
    *("tenure.cli.entry", "tenure.cli.doctor", "tenure.cli.keeping", "tenure.cli.embedded"),
    *("tenure.http.app", "tenure.main", "psycopg.types.string", "sqlalchemy.dialects.postgresql.psycopg"),
)
"""What a child has imported."""
_MOST = 1 << 20


class Child:
    """A process that was forked."""

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """How it ended: its exit code, or the signal's number below zero. TimeoutError, in seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise TimeoutError(f"the process goes on after {timeout} s")
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def kill(self) -> None:
        """As the kernel would."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens if it ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(
    program: Path | str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    knows: tuple[str, ...] = (),
    absent: str | None = None,
) -> Child:
    """Run a script, or a program's text, with arguments. Streams that are left out lead nowhere.

    `knows`: modules beside Tenure's that the child finds imported. `absent`: top modules that seem not to be
    installed, which makes `knows` all that it finds imported, and warnings errors.
    """
    request = {
        "script" if isinstance(program, Path) else "code": str(program),
        "arguments": arguments,
        "env": dict(os.environ if env is None else env),
    }
    status, told = os.pipe()
    nowhere = os.open(os.devnull, os.O_RDWR)
    streams = [nowhere if one is None else one for one in (stdin, stdout, stderr)]
    try:
        socket.send_fds(_parent(knows, absent), [json.dumps(request).encode()], [*streams, told])
    finally:
        os.close(told)
        os.close(nowhere)
    return Child(status)


def run(
    program: Path | str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    knows: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[bytes]:
    """The same to its end, with what it said on either stream."""
    with tempfile.TemporaryFile() as out:
        said = out.fileno()
        code = start(program, *arguments, env=env, stdout=said, stderr=said, knows=knows).wait()
        out.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read())


@contextmanager
def talking(program: Path | str, *arguments: str) -> Iterator[tuple[TextIO, TextIO]]:
    """A child that is told lines and says some: (to tell, to hear). It ends when nothing more is told."""
    (ear, told), (heard, mouth) = os.pipe(), os.pipe()
    child = start(program, *arguments, stdin=ear, stdout=mouth)
    os.close(ear)
    os.close(mouth)
    try:
        with os.fdopen(told, "w", buffering=1) as tells, os.fdopen(heard) as hears:
            yield tells, hears
    finally:
        child.wait(30)


@cache
def _parent(knows: tuple[str, ...], absent: str | None) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [
            *(sys.executable, *(() if absent is None else ("-W", "error"))),
            *(__file__, str(theirs.fileno()), absent or ""),
            *(*(_BORN if absent is None else ()), *knows),
        ],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": PATH},
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# ── the parent ─────────────────────────────────────────────────────────────────────────────────────
class _Absent:
    """Finds none of some modules, whatever is installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(requests: socket.socket, absent: Sequence[str], knows: Sequence[str]) -> None:
    """Fork for every request. Between the parent and the child is one who waits for it."""
    sys.meta_path.insert(0, _Absent(absent))
    for name in knows:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who waited need nobody to wait for them
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _MOST, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child = os.fork()
            if child == 0:
                _become(descriptors)
                _run(**json.loads(message))
                return
            status = descriptors[3]
            os.write(status, b"%d\n" % child)
            for one in descriptors[:3]:
                os.close(one)
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            os._exit(0)
        for one in descriptors:
            os.close(one)


def _become(descriptors: Sequence[int]) -> None:
    for number, one in enumerate(descriptors[:3]):
        os.dup2(one, number)
    for one in descriptors:
        os.close(one)


def _run(
    arguments: list[str], env: dict[str, str], script: str | None = None, code: str | None = None
) -> None:
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [script or "-c", *arguments]
    if script is not None:
        runpy.run_path(script, run_name="__main__")
    else:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(code or "", names)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2].split(), sys.argv[3:])
