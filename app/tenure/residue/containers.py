"""What can be looked inside of, by the bytes that it begins with, wherever those stand.

Tar needs nothing: its members lie in it as they are. Neither do stored zip members, or a database's pages.
Formats that are known and cannot be opened are known here too: a scan that met one is not complete.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tenure.residue.inflate import PROBE, Decompressor, Inflate, bzip2, xz, zstandard
from tenure.residue.needles import Automaton

Opener = Callable[[], Decompressor]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a container's stream begins, counted from its mark; or why it cannot be opened."""

    skip: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A container format. `begins` looks at the first bytes, from a mark on; None: it is none."""

    name: str
    marks: tuple[bytes, ...]
    open: Opener | None
    begins: Callable[[bytes], Beginning | None] = lambda _: Beginning()
    least: int = 0
    """Bytes that `begins` needs to see. It sees `LOOK_AHEAD` where there are so many."""
    proof: int = 0
    """Bytes of output that tell a damaged container from other bytes that happen to bear its mark."""


# Compression method 8, window 2^8 to 2^15, no preset dictionary, and the check of RFC 1950 §2.2.
_ZLIB: Final = tuple(
    struct.pack(">H", mark)
    for mark in range(0x0800, 0x7900)
    if mark >> 8 & 0x0F == 0x08 and mark % 31 == 0 and not mark & 0x20  # noqa: PLR2004
)
_RESERVED_GZIP_FLAGS: Final = 0xE0

_ZIP: Final = struct.Struct("<4sHHH4sIIIHH")  # APPNOTE 4.3.7
_ZIP_VERSIONS: Final = 63
_ZIP_NAME: Final = 4096
_DEFLATED: Final = 8
# The others are seen without us: 0 as it is; bzip2 (12), Zstandard (93) and xz (95) by their own marks.
_UNKNOWN_METHODS: Final = (*range(1, 8), 9, 10, 14, 18, 19, 94, 96, 97, 98, 99)


def _zlib(head: bytes) -> Beginning | None:
    """Try: two bytes of mark stand everywhere by chance, and few of them are followed by deflate blocks."""
    try:
        zlib.decompressobj().decompress(head, PROBE)
    except zlib.error:
        return None
    return Beginning()


def _gzip(head: bytes) -> Beginning | None:
    """RFC 1952 §2.3.1: reserved flags are zero."""
    return None if head[3] & _RESERVED_GZIP_FLAGS else Beginning()


def _zip_member(head: bytes) -> Beginning | None:
    _, version, flags, method, _, _, _, _, name, extra = _ZIP.unpack(head[: _ZIP.size])
    if version & 0xFF > _ZIP_VERSIONS or name > _ZIP_NAME:
        return None
    if flags & 1:
        return Beginning(problem="encrypted")
    if method == _DEFLATED:
        return Beginning(skip=_ZIP.size + name + extra)
    return Beginning(problem="unknown-method") if method in _UNKNOWN_METHODS else None


def _lz4(head: bytes) -> Beginning | None:
    """Version 01, no reserved bits, a block size of 4 to 7."""
    fits = head[4] & 0xC2 == 0x40 and head[5] & 0x8F == 0 and head[5] >> 4 >= 4  # noqa: PLR2004
    return Beginning(problem="unknown-format") if fits else None


def _unknown(_: bytes) -> Beginning:
    return Beginning(problem="unknown-format")


KINDS: Final = (
    Kind("zlib", _ZLIB, partial(Inflate, 15), _zlib, proof=2048),
    Kind("gzip", (b"\x1f\x8b\x08",), partial(Inflate, 31), _gzip, least=4, proof=1),
    Kind("zip", (b"PK\x03\x04",), partial(Inflate, -15), _zip_member, least=_ZIP.size),
    Kind("zstd", (b"\x28\xb5\x2f\xfd",), zstandard, proof=1),
    Kind("bzip2", tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)), bzip2),
    Kind("xz", (b"\xfd7zXZ\x00",), xz),
    Kind("lz4", (b"\x04\x22\x4d\x18",), None, _lz4, least=6),
    Kind("7z", (b"7z\xbc\xaf\x27\x1c",), None, _unknown),
    Kind("rar", (b"Rar!\x1a\x07",), None, _unknown),
    Kind("lzop", (b"\x89LZO\x00\r\n\x1a\n",), None, _unknown),
    Kind("snappy", (b"\xff\x06\x00\x00sNaPpY",), None, _unknown),
)
PG_DUMP: Final = Kind("pg_dump", (b"PGDMP",), None, lambda _: None)
"""An archive of pg_dump. Its compressed tables are cut into blocks: see `pgdump.py`."""

_MARKS: Final = [(mark, kind) for kind in (*KINDS, PG_DUMP) for mark in kind.marks]
_LONGEST: Final = max(len(mark) for mark, _ in _MARKS)
LOOK_AHEAD: Final = max(kind.least for kind in KINDS)
"""Bytes from a mark on that may be needed to tell whether a container begins there."""


class Marks:
    """Finds where containers may begin."""

    reach = _LONGEST + LOOK_AHEAD
    """Bytes of the past that a window must keep."""

    def __init__(self) -> None:
        self._automaton = Automaton([mark for mark, _ in _MARKS])

    def find(self, window: bytes) -> list[tuple[Kind, int]]:
        """(what, where in the window) of every mark in it, in order."""
        return [(_MARKS[which][1], start) for which, start, _ in self._automaton.find(window)]
