"""The scan: every file under some paths, read once, in bounded memory."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenure.errors import Invalid
from tenure.ids import now
from tenure.mac import hmac_sha256
from tenure.residue.builder import Builder
from tenure.residue.layer import Layer, Search
from tenure.residue.names import Names
from tenure.residue.needles import Needles
from tenure.residue.report import ResidueReport
from tenure.residue.tally import Tally
from tenure.residue.values import Value
from tenure.residue.walk import check_paths, files

CHUNK: Final = 256 * 1024
_SALT_BYTES: Final = 32
_REST_AFTER_S: Final = 0.02
"""A thread that rests does so in naps of tens of milliseconds: shorter ones cost more than they give."""

Progress = Callable[[int, int], None]
"""Called with the files and the bytes read so far."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a scan goes into one file. What lies beyond makes its result incomplete."""

    depth: int = 3
    """Containers inside each other."""
    unpack_bytes: int = 16 * 1024**3
    """Bytes that come out of all containers of one file."""
    chunk: int = CHUNK
    """Bytes read at once. The result does not depend on it."""


class _Stopped(Exception):
    """Somebody asked to stop. Never leaves this module."""


def scan(
    paths: Sequence[Path],
    values: Sequence[Value],
    *,
    limits: Limits | None = None,
    share: float = 1.0,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> ResidueReport:
    """Look for `values` in everything under `paths`. Blocks: call it in a thread of its own.

    It uses at most `share` of one core. When `stop` turns true it ends soon, and the report is incomplete.
    Raises Invalid for a path that is not there or a `share` that is none, before anything is read; what
    cannot be read later is a gap in the report.
    """
    if not 0 < share <= 1:
        raise Invalid(
            "The share of a core is above 0 and at most 1. Nothing was scanned.", field="share", rule="range"
        )
    check_paths(paths)
    started_at, known, asked = now(), tuple(values), limits or Limits()
    needles = Needles(known)
    builder = Builder(Names(needles, known), known)
    reading = _Reading(Search(needles, asked.depth), asked, _breath(share, stop), builder)
    try:
        for path in files(paths, builder):
            reading.file(path)
            if progress is not None:
                progress(builder.files, builder.read_bytes)
    except _Stopped:
        builder.gap(b"", "stopped")
    salt = os.urandom(_SALT_BYTES)
    return ResidueReport(
        files=builder.files,
        read_bytes=builder.read_bytes,
        unpacked_bytes=builder.unpacked_bytes,
        links=builder.links,
        values=len(known),
        findings=tuple(builder.findings),
        incomplete=tuple(builder.gaps),
        more=builder.more,
        commitment=commit(known, salt),
        salt=salt,
        depth=asked.depth,
        unpack_limit=asked.unpack_bytes,
        started_at=started_at,
        finished_at=now(),
    )


def commit(values: Sequence[Value], salt: bytes) -> bytes:
    """The commitment that a report carries: see `ResidueReport`."""
    texts = [value.text.encode() for value in values]
    return hmac_sha256(salt, b"".join(len(text).to_bytes(4) + text for text in texts))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading one file takes."""

    search: Search
    limits: Limits
    breathe: Callable[[], None]
    builder: Builder

    def file(self, path: bytes) -> None:
        """Read it to its end, or as far as the system lets us; both are recorded."""
        tally = Tally(self.limits.unpack_bytes, self.breathe)
        layer = Layer(self.search, tally)
        size = 0
        try:
            with open(path, "rb", buffering=0) as source:  # noqa: PTH123 - a path of bytes
                expected = os.fstat(source.fileno()).st_size
                while chunk := source.read(self.limits.chunk):
                    self.breathe()
                    size += len(chunk)
                    layer.feed(chunk)
            if size < expected:
                self.builder.gap(path, "changed", offset=size)
        except OSError as failure:
            self.builder.unreadable(path, failure)
        finally:
            # Also of a file that broke off, or a scan that stops here: what was found stays found.
            try:
                layer.close()
            finally:
                self.builder.file(path, size, tally)


def _breath(share: float, stop: Callable[[], bool]) -> Callable[[], None]:
    """Called every few milliseconds of work: stops, or rests for as long as the share of a core demands."""
    since = time.monotonic()

    def breathe() -> None:
        nonlocal since
        if stop():
            raise _Stopped
        worked = time.monotonic() - since
        if share < 1 and worked >= _REST_AFTER_S:
            time.sleep(worked * (1 / share - 1))
            since = time.monotonic()

    return breathe
