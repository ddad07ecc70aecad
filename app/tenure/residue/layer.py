"""One run of bytes, a file or what came out of a container in it, fed in chunks of any size.

A layer keeps as much of the past as the longest thing that may straddle two chunks, and feeds every container
that began in it. What comes out of a container is a layer again. So memory is bounded whatever the size of
the file, and the size of the chunks changes nothing that is found.
"""

from dataclasses import dataclass, field
from typing import Final

from tenure.residue.containers import LOOK_AHEAD, PG_DUMP, Beginning, Kind, Marks
from tenure.residue.inflate import Decompressor, State
from tenure.residue.needles import Needles
from tenure.residue.pgdump import LENGTH, Table, block_length
from tenure.residue.tally import Tally

_EXPANDS: Final = 1.1
"""Text that somebody compressed got smaller by at least this; noise that decodes did not."""
_PROBLEMS: Final = {State.BROKE: "damaged", State.REFUSED: "needs-memory"}
_CERTAIN: Final = ("too-deep", "needs-memory")


@dataclass(frozen=True, slots=True)
class Search:
    """What a scan looks for and looks inside of, built once."""

    needles: Needles
    depth: int
    marks: Marks = field(default_factory=Marks)

    @property
    def reach(self) -> int:
        """Bytes of the past that a window keeps."""
        return max(self.needles.reach, self.marks.reach) + LENGTH


class Layer:
    """Feed it all, then close it. Results go to the tally of the file."""

    def __init__(self, search: Search, tally: Tally, chain: tuple[str, ...] = (), origin: int = 0) -> None:
        """`chain` names the containers around these bytes, `origin` is where the outermost begins."""
        self._search = search
        self._tally = tally
        self._chain = chain
        self._origin = origin
        self._tail = b""
        self._seen = 0
        self._marked = 0  # marks before this offset were looked at
        self._streams: list[Stream] = []
        self._in_pg_dump = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        view = memoryview(chunk)
        self._streams = [stream for stream in self._streams if stream.feed(view)]
        window = self._tail + chunk
        base = self._seen - len(self._tail)
        for hit in self._search.needles.find(window, len(self._tail)):
            self._tally.found(hit.value, (*self._chain, hit.spelling), *self._place(base + hit.start))
        self._begin(window, base, len(window) - LOOK_AHEAD)
        self._seen += len(chunk)
        self._tail = window[-self._search.reach :]

    def close(self) -> None:
        """There is no more."""
        self._begin(self._tail, self._seen - len(self._tail), len(self._tail))
        for stream in self._streams:
            stream.close()
        self._streams = []

    def _begin(self, window: bytes, base: int, end: int) -> None:
        """Open the containers that begin before `end` in the window, and were not looked at before."""
        for kind, start in self._search.marks.find(window):
            if not self._marked <= base + start < base + end:
                continue
            if kind is PG_DUMP:
                self._in_pg_dump = True
            head = window[start : start + LOOK_AHEAD]
            beginning = kind.begins(head) if len(head) >= kind.least else None
            if beginning is not None:
                self._open(kind, beginning, window, base, start)
        self._marked = max(self._marked, base + end)

    def _open(self, kind: Kind, beginning: Beginning, window: bytes, base: int, start: int) -> None:
        chain = (*self._chain, kind.name)
        place = self._place(base + start)
        if kind.open is None or beginning.problem:
            self._tally.gap(beginning.problem, chain, *place)
            return
        if self._tally.full:
            return
        decompressor: Decompressor = kind.open()
        if self._in_pg_dump and (length := block_length(window[max(0, start - LENGTH) : start])):
            decompressor, chain = Table(decompressor, length), (*self._chain, PG_DUMP.name, kind.name)
        child = (
            Layer(self._search, self._tally, chain, place[0]) if self._depth < self._search.depth else None
        )
        stream = Stream(kind, decompressor, child, self._tally, chain, place)
        if stream.feed(memoryview(window)[start:], beginning.skip):
            self._streams.append(stream)

    @property
    def _depth(self) -> int:
        return len(self._chain) - self._chain.count(PG_DUMP.name)

    def _place(self, offset: int) -> tuple[int, int | None]:
        """(offset in the file, offset in these bytes where they are not the file's own)."""
        return (self._origin, offset) if self._chain else (offset, None)


class Stream:
    """A container that began in a layer: decompresses, and feeds the layer that is inside of it."""

    def __init__(
        self,
        kind: Kind,
        decompressor: Decompressor,
        inside: Layer | None,
        tally: Tally,
        chain: tuple[str, ...],
        place: tuple[int, int | None],
    ) -> None:
        """`inside` is None where it lies too deep: then it is only found out whether there is one at all."""
        self._kind = kind
        self._decompressor = decompressor
        self._inside = inside
        self._tally = tally
        self._chain = chain
        self._place = place
        self._skip = 0
        self._given = 0

    def feed(self, data: memoryview, skip: int = 0) -> bool:
        """Take the next bytes of the layer, without the first `skip`. False when the stream is over."""
        self._skip += skip
        used, self._skip = data[self._skip :], max(0, self._skip - len(data))
        for piece in self._decompressor.pieces(used):
            if piece and not self._pass(piece):
                return False
        if self._decompressor.state is State.GOES_ON:
            return True
        self._end(_PROBLEMS.get(self._decompressor.state, ""))
        return False

    def close(self) -> None:
        """The layer ended before the stream did."""
        self._end("cut-short")

    def _pass(self, piece: bytes) -> bool:
        """Hand on what came out. False when that must not go on."""
        if not self._given and not self._tally.opened():
            self._tally.gap("too-many-open", self._chain, *self._place)
            return False
        self._given += len(piece)
        over = not self._tally.expand(len(piece))
        if over or (self._inside is None and self._is_one()):
            self._tally.gap("unpack-limit" if over else "too-deep", self._chain, *self._place)
            self._tally.closed()
            return False
        if self._inside is not None:
            self._inside.feed(piece)
        return True

    def _end(self, problem: str) -> None:
        if self._inside is not None:
            self._inside.close()
        elif not problem and self._given:
            problem = "too-deep"
        if problem and (problem in _CERTAIN or self._is_one()):
            self._tally.gap(problem, self._chain, *self._place)
        if self._given:
            self._tally.closed()

    def _is_one(self) -> bool:
        """Whether this is a container, or only bytes that look like the beginning of one."""
        if self._kind.proof <= 1:
            return self._given >= self._kind.proof
        return self._given >= self._kind.proof and self._given > _EXPANDS * self._decompressor.taken
