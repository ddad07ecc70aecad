"""The tables in an archive of `pg_dump --format=custom`: one compressed stream each, cut into blocks.

A block is its length and that many bytes; a length of zero ends the table. A length is a sign byte and four
bytes, least significant first (PostgreSQL's own source: `WriteInt` in `pg_backup_archiver.c`).
"""

from collections.abc import Iterator
from typing import Final

from tenure.residue.inflate import Decompressor, State

LENGTH: Final = 5
_MOST: Final = 16 * 1024 * 1024


def block_length(written: bytes) -> int:
    """The length of the block that follows these five bytes; 0 when they can be none."""
    length = int.from_bytes(written[1:], "little")
    return length if len(written) == LENGTH and written[0] == 0 and length <= _MOST else 0


class Table:
    """The blocks of one table, joined, and decompressed by another."""

    def __init__(self, inner: Decompressor, length: int) -> None:
        """`length` is that of the first block, which the data begins with."""
        self._inner = inner
        self._left = length
        self._written = b""
        self._lengths = 0
        self._torn = False

    @property
    def state(self) -> State:
        """Where the compressed stream stands."""
        return State.BROKE if self._torn else self._inner.state

    @property
    def taken(self) -> int:
        """Compressed bytes, and the lengths between them."""
        return self._inner.taken + LENGTH * self._lengths

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        """Decode the next blocks."""
        while data and self.state is State.GOES_ON:
            if not self._left:
                need = LENGTH - len(self._written)
                self._written += bytes(data[:need])
                data = data[need:]
                if len(self._written) < LENGTH:
                    return
                self._left, self._written = block_length(self._written), b""
                self._lengths += 1
                if not self._left:
                    self._torn = True
                    return
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            yield from self._inner.pieces(part)
