"""Decompressors fed piece by piece, all behind one face. Output comes in pieces of bounded size.

`pieces(data)` takes input and gives what can be decoded of it; afterwards `state` says whether the stream
goes on, ended as it should, broke, or was refused.
"""

import bz2
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from typing import Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE: Final = 256 * 1024
"""Most bytes of output at once."""
PROBE: Final = 64
"""A zlib stream that breaks before it gave this much is taken for noise: two bytes of header mean little."""
_SLICE: Final = 16 * 1024
_WINDOW_LOG: Final = 27
_XZ_MEMORY: Final = 256 * 1024 * 1024


class State(Enum):
    """Where a stream stands."""

    GOES_ON = "goes on"
    ENDED = "ended"
    BROKE = "broke"
    REFUSED = "needs more memory than it gets"


class Decompressor(Protocol):
    """One compressed stream."""

    @property
    def state(self) -> State:
        """Where it stands."""

    @property
    def taken(self) -> int:
        """Bytes of input that belong to the stream, as far as it was decoded."""

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        """Decode the next input."""


class Inflate:
    """Deflate: zlib (`wbits` 15), gzip (31) or bare (-15), RFC 1950 to 1952."""

    def __init__(self, wbits: int) -> None:
        self._z = zlib.decompressobj(wbits)
        self.state = State.GOES_ON
        self.taken = 0

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        """Decode; a stream that breaks still gives all that it can up to there."""
        for at in range(0, len(data), _SLICE):
            part = data[at : at + _SLICE]
            yield from self._slice(bytes(part))
            if self.state is not State.GOES_ON:
                return

    def _slice(self, rest: bytes) -> Iterator[bytes]:
        size = PIECE if self.taken else PROBE
        full = False
        while rest or full:
            # The library drops what it decoded before it met damage: go back and take that in smaller steps.
            before = self._z.copy() if self.taken else None
            try:
                out = self._z.decompress(rest, size)
            except zlib.error:
                if before is not None:
                    yield b"".join(self._salvage(before, rest))
                self.state = State.BROKE
                return
            self.taken += len(rest) - len(self._z.unconsumed_tail) - len(self._z.unused_data)
            yield out
            if self._z.eof:
                self.state = State.ENDED
                return
            full, rest, size = len(out) == size, self._z.unconsumed_tail, PIECE

    def _salvage(self, good: "zlib._Decompress", rest: bytes) -> Iterator[bytes]:
        """What the damaged input still gives: less and less output at once, at last input byte by byte."""
        for size in (4096, PROBE, 1):
            while True:
                tried = good.copy()
                try:
                    out = tried.decompress(rest, size)
                except zlib.error:
                    break
                self.taken += len(rest) - len(tried.unconsumed_tail)
                yield out
                good, rest = tried, tried.unconsumed_tail
        with suppress(zlib.error):
            for at in range(len(rest)):
                yield good.decompress(rest[at : at + 1])


class Blocks:
    """bzip2, xz and Zstandard: the library gives back whole blocks or nothing."""

    def __init__(
        self, decoder: "bz2.BZ2Decompressor | lzma.LZMADecompressor | zstd.ZstdDecompressor"
    ) -> None:
        self._decoder = decoder
        self.state = State.GOES_ON
        self.taken = 0

    def pieces(self, data: memoryview) -> Iterator[bytes]:
        """Decode."""
        rest = data
        try:
            while rest or not self._decoder.needs_input:
                out = self._decoder.decompress(rest[:_SLICE], PIECE)
                self.taken += len(rest[:_SLICE])
                rest = rest[_SLICE:]
                if self._decoder.eof:
                    self.taken -= len(self._decoder.unused_data)
                    self.state = State.ENDED
                yield out
                if self._decoder.eof:
                    return
        except (OSError, EOFError, MemoryError, lzma.LZMAError, zstd.ZstdError) as failure:
            # Neither library has a type or a code for it.
            self.state = State.REFUSED if "emory" in str(failure) else State.BROKE


def bzip2() -> Blocks:
    """A bzip2 stream."""
    return Blocks(bz2.BZ2Decompressor())


def xz() -> Blocks:
    """An xz stream. One that needs more than 256 MiB of memory is refused."""
    return Blocks(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY))


def zstandard() -> Blocks:
    """A Zstandard frame (RFC 8878). One that needs a window of more than 128 MiB is refused."""
    return Blocks(zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}))
