"""A wire to a server on which things go wrong: answers that break off or are lost, bytes that flip, silence.

Plain TCP on loopback, one thread for each direction. Faults are set while connections stay open.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["cut", "lose", "flip", "silence"]
"""What happens: the next answer ends after `after` bytes; answers are lost once the server gave them; one
byte of the next content that is sent is another; nothing is passed on."""

_METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")


class Wire:
    """Where it begins, and what is wrong with it. `met` counts how often a fault happened."""

    def __init__(self, endpoint: str) -> None:
        there = urlsplit(endpoint)
        self._target = (str(there.hostname), int(there.port or 80))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.fault: Fault | None = None
        self.after = 0
        self.once = False
        """Whether one answer is lost, or every one from now on."""
        self.then: Callable[[], object] = lambda: None
        """Called when an answer is cut, before whoever waits for it can notice."""
        self.met = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End every connection."""
        # Closing alone does not wake a thread that waits in `accept`.
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                self._open += (near, far)
                for pump, source, sink in ((self._sent, near, far), (self._answered, far, near)):
                    threading.Thread(target=self._pump, args=(pump, source, sink), daemon=True).start()

    def _pump(
        self,
        passed: Callable[[bytes], tuple[bytes, bool]],
        source: socket.socket,
        sink: socket.socket,
    ) -> None:
        """Pass on what `passed` makes of each chunk, until it says that this was the last one."""
        with suppress(OSError):
            going = True
            while going and (data := source.recv(1 << 16)):
                data, going = passed(data)
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _sent(self, data: bytes) -> tuple[bytes, bool]:
        if self.fault == "silence":
            self.met += 1
            return b"", True
        if self.fault == "flip" and not data.startswith(_METHODS):
            self.fault = None
            self.met += 1
            return bytes([data[0] ^ 1]) + data[1:], True
        return data, True

    def _answered(self, data: bytes) -> tuple[bytes, bool]:
        if self.fault == "lose" and not data.startswith(b"HTTP/1.1 100"):
            self.met += 1
            self.fault = None if self.once else self.fault
            return b"", False
        if self.fault == "cut":
            front, self.after = data[: self.after], max(self.after - len(data), 0)
            if not self.after:
                self.fault = None
                self.met += 1
                self.then()
                return front, False
        return data, True


@contextmanager
def wire_to(endpoint: str) -> Iterator[Wire]:
    """A wire in front of a server, with nothing wrong yet."""
    wire = Wire(endpoint)
    try:
        yield wire
    finally:
        wire.close()
