"""Processes to be killed: forked while this one has a single thread, so nothing is imported twice."""

import asyncio
import contextlib
import json
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

Say = Callable[..., None]


class Child:
    """A forked process that says JSON lines and may be told some."""

    def __init__(self, work: Callable[[Say, "Ear"], Coroutine[Any, Any, None]], log: Path) -> None:
        """Run `work` on an event loop of its own; the process ends with it, without any closing."""
        assert threading.active_count() == 1, "forking a process with threads"
        here, there = os.pipe()
        hears, tells = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(here)
            os.close(tells)
            _be(work, there, Ear(hears), log)
        os.close(there)
        os.close(hears)
        self._said = Ear(here)
        self._tells = tells
        self._ended = False

    def hear(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line; None at the end of what it said. TimeoutError."""
        return self._said.line(timeout_s)

    def tell(self, **what: Any) -> None:
        """Say something to it."""
        os.write(self._tells, (json.dumps(what) + "\n").encode())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Make it stand still; it does when this returns."""
        self.signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def wake(self) -> None:
        """Let a stopped process go on, and tell it so."""
        self.signal(signal.SIGCONT)
        self.tell(awake=True)

    def end(self, timeout_s: float) -> tuple[list[dict[str, Any]], int]:
        """All that it still says until it ends, and how it ended (negative: the signal)."""
        said = []
        try:
            while (line := self.hear(timeout_s)) is not None:
                said.append(line)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            raise
        finally:
            self.close()
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return said, os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Make sure that it is gone."""
        if not self._ended:
            self.signal(signal.SIGKILL)
            self.end(10)

    def close(self) -> None:
        """Close this side's pipes."""
        self._said.close()
        with contextlib.suppress(OSError):
            os.close(self._tells)


class Ear:
    """Reads lines from a pipe, waiting no longer than told."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def fileno(self) -> int:
        return self._descriptor

    def line(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line, None at the end. TimeoutError."""
        until = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._descriptor], [], [], max(until - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"nothing was said for {timeout_s} s")
            more = os.read(self._descriptor, 1 << 16)
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _be(work: Callable[[Say, Ear], Coroutine[Any, Any, None]], descriptor: int, ear: Ear, log: Path) -> None:
    """What the child does. Does not return."""
    status = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)

        def say(**what: Any) -> None:
            os.write(descriptor, (json.dumps(what) + "\n").encode())  # in one write: whole, or not said

        asyncio.run(work(say, ear))
        status = 0
    except BaseException:  # noqa: BLE001 - reported in the log; a forked child must not unwind further
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)
