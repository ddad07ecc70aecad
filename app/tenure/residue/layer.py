"""One run of bytes, a file or what came out of a container in it, fed in chunks of any size.

A layer keeps as much of the past as the longest thing that may straddle two chunks, and feeds every container
that began in it. What comes out of a container is a layer again. So memory is bounded whatever the size of
the file, and the size of the chunks changes nothing that is found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tenure.residue.containers import LOOK_AHEAD, PG_DUMP, Beginning, Kind, Marks
from tenure.residue.held import Held
from tenure.residue.inflate import Decompressor
from tenure.residue.needles import Needles
from tenure.residue.pgdump import LENGTH, Table, block_length
from tenure.residue.stream import Stream
from tenure.residue.tally import Chain, Tally


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

    def __init__(
        self,
        search: Search,
        tally: Tally,
        chain: Chain = (),
        origin: int = 0,
        gap: Callable[[str, Chain, int, int | None], None] | None = None,
    ) -> None:
        """`chain` names the containers around these bytes, `origin` is where the outermost begins.

        `gap` hears of what is not looked into in here; without it, the tally does.
        """
        self._search = search
        self._tally = tally
        self._chain = chain
        self._origin = origin
        self._tail = b""
        self._seen = 0
        self._marked = 0  # marks before this offset were looked at
        self._open: list[tuple[Stream, Layer | None]] = []
        self._held = Held(gap or tally.gap)
        self._in_pg_dump = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        view = memoryview(chunk)
        self._open = [one for one in self._open if self._goes_on(one, view)]
        window = self._tail + chunk
        base = self._seen - len(self._tail)
        for hit in self._search.needles.find(window, len(self._tail)):
            self._tally.found(hit.value, (*self._chain, hit.spelling), *self._place(base + hit.start))
        self._look(window, base, len(window) - LOOK_AHEAD)
        self._seen += len(chunk)
        self._tail = window[-self._search.reach :]
        self._held.settle([stream.begin for stream, _ in self._open])

    def close(self) -> None:
        """There is no more."""
        self._look(self._tail, self._seen - len(self._tail), len(self._tail))
        for stream, inside in self._open:
            if inside is not None:
                inside.close()
            stream.close()
        self._open = []
        self._held.settle([])

    def _goes_on(self, one: tuple[Stream, "Layer | None"], data: memoryview, skip: int = 0) -> bool:
        """Feed a stream. When it is over, so is the layer inside of it."""
        stream, inside = one
        if stream.feed(data, skip):
            return True
        if inside is not None:
            inside.close()
        if stream.end is not None:
            self._held.whole(stream.begin, stream.end)
        return False

    def _look(self, window: bytes, base: int, end: int) -> None:
        """Open the containers that begin before `end` in the window, and were not looked at before."""
        for kind, start in self._search.marks.find(window):
            if not self._marked - base <= start < end:
                continue
            self._in_pg_dump = self._in_pg_dump or kind is PG_DUMP
            head = window[start : start + LOOK_AHEAD]
            beginning = kind.begins(head) if len(head) >= kind.least else None
            if beginning is not None:
                self._begin(kind, beginning, window, base, start)
        self._marked = max(self._marked, base + end)

    def _begin(self, kind: Kind, beginning: Beginning, window: bytes, base: int, start: int) -> None:
        chain, begin = (*self._chain, kind.name), base + start
        if kind.open is None or beginning.problem or self._tally.full:
            self._held.gap(begin, beginning.problem or "unpack-limit", chain, *self._place(begin))
            return
        decompressor: Decompressor = kind.open()
        if self._in_pg_dump and (length := block_length(window[max(0, start - LENGTH) : start])):
            decompressor, chain = Table(decompressor, length), (*self._chain, PG_DUMP.name, kind.name)
        inside: Layer | None = None
        if self._depth < self._search.depth:
            # What is not looked into in there matters only if this container is one: see `held.py`.
            inside = Layer(
                self._search, self._tally, chain, self._place(begin)[0], partial(self._held.gap, begin)
            )
        stream = Stream(
            kind,
            decompressor,
            begin,
            self._tally,
            lambda reason: self._held.gap(begin, reason, chain, *self._place(begin)),
            inside.feed if inside is not None else None,
        )
        if self._goes_on((stream, inside), memoryview(window)[start:], beginning.skip):
            self._open.append((stream, inside))

    @property
    def _depth(self) -> int:
        return len(self._chain) - self._chain.count(PG_DUMP.name)

    def _place(self, offset: int) -> tuple[int, int | None]:
        """(offset in the file, offset in these bytes where they are not the file's own)."""
        return (self._origin, offset) if self._chain else (offset, None)
