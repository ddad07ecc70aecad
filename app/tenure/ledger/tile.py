"""Tiles and entry bundles of C2SP tlog-tiles: coordinates, paths, contents.

A tile is up to 256 consecutive hashes of one level: level 0 holds leaf hashes, level L the hashes of full
tiles of level L - 1. A bundle is the raw entries below one level-0 tile.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tenure.errors import Malformed
from tenure.ledger.merkle import HASH_SIZE

WIDTH = 256
"""Hashes in a full tile, entries in a full bundle."""
ENTRIES = -1
"""The level that stands for entry bundles."""
MAX_LEVEL = 63
MAX_ENTRY = 0xFFFF
"""Longest entry in bytes: a bundle gives its length in an unsigned 16-bit number."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TileId(NamedTuple):
    """One tile or bundle: its level (`ENTRIES` for bundles), index within the level, and width 1…256."""

    level: int
    n: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` (tlog-tiles, "Merkle Tree" and "Log entries")."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_groups(self.n)}{partial}"

    @property
    def full(self) -> "TileId":
        """The same tile once it is complete."""
        return self._replace(width=WIDTH)

    @classmethod
    def parse(cls, path: str) -> "TileId":
        """Read a path. Raises `Malformed` for every spelling that is not the one `path` gives."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise _bad_path()
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        width = int(match["width"] or WIDTH)
        tile = cls(level, int(re.sub("[x/]", "", match["n"])), width)
        if level > MAX_LEVEL or width > WIDTH or tile.path != path:
            raise _bad_path()
        return tile


def tile_width(level: int, n: int, size: int) -> int:
    """How wide this tile is in a tree of `size` leaves: 0…256. For `ENTRIES` as for level 0."""
    hashes = size >> (8 * max(level, 0))
    return max(0, min(WIDTH, hashes - n * WIDTH))


def expected_tiles(size: int) -> Iterator[TileId]:
    """Every tile of hashes that a log of this size serves, level by level, partial ones last in theirs."""
    for level in range(MAX_LEVEL + 1):
        hashes = size >> (8 * level)
        if not hashes:
            return
        yield from _row(level, hashes)


def expected_bundles(size: int) -> Iterator[TileId]:
    """Every entry bundle that a log of this size serves, in order."""
    return _row(ENTRIES, size)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each after its length (u16, big-endian). Raises OverflowError for one over 65 535 bytes."""
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises `Malformed` when the lengths do not fill the data exactly."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if at > end:
            raise Malformed(
                "An entry bundle ends inside an entry. It was not read. Fetch it again.", rule="bundle-format"
            )
        entries.append(data[start:at])
    return entries


def split_tile(data: bytes) -> list[bytes]:
    """The hashes of a tile. Raises `Malformed` when it is not 1…256 whole hashes."""
    if not data or len(data) % HASH_SIZE or len(data) > WIDTH * HASH_SIZE:
        raise Malformed(
            "A tile is not 1 to 256 whole hashes. It was not read. Fetch it again.", rule="tile-format"
        )
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def _row(level: int, count: int) -> Iterator[TileId]:
    full, rest = divmod(count, WIDTH)
    for n in range(full):
        yield TileId(level, n)
    if rest:
        yield TileId(level, full, rest)


def _groups(n: int) -> str:
    """1234067 → x001/x234/067."""
    text = f"{n % 1000:03d}"
    while n := n // 1000:
        text = f"x{n % 1000:03d}/{text}"
    return text


def _bad_path() -> Malformed:
    return Malformed(
        "That is not the path of a tile or an entry bundle. Nothing was read. See C2SP tlog-tiles.",
        rule="tile-path",
    )
