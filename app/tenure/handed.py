"""What this process itself has just placed, from the sequencer to the publisher.

A round need not read back what the sequencer beside it has just written. It is given after the commit, joined
to what is still here of that log, and taken when it reaches back to the beginning of the bundle in which the
published part ends. Whatever else there is, is read from the database, as after a start: what another process
placed, a change of the key, which is never given, and what was too much to keep. A round that read the end of
a bundle gives it, too, so that the next one need not. Entries name nobody: an erasure has nothing to do here.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tenure.ledger.tile import WIDTH
from tenure.store.log import Log

MOST_BYTES: Final = 16 << 20
"""Entries and tiles of all logs together; those of the log that grew longest ago go first."""

Tiles = Mapping[tuple[int, int], bytes]


class Grown(NamedTuple):
    """A log behind one turn of the sequencer, or several without a gap. Never changed."""

    log: Log
    note: str
    """The checkpoint of this size."""
    vkeys: tuple[str, ...]
    """The keys that signed this generation, newest first."""
    first: int
    """The place of the first of `bodies`."""
    bodies: Sequence[bytes]
    tiles: Tiles
    """(level, n) → the whole present content of every tile that changed."""
    shown: str = ""
    """The checkpoint that this process published last, if any."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing that publishing it needs."""
        return self.first <= self.log.published // WIDTH * WIDTH and self.log.published < self.log.size

    def behind(self, before: "Grown") -> "Grown":
        """Both as one; this one alone where something is between them."""
        if before.log.generation != self.log.generation or before.log.size < self.first:
            return self
        lacking = max(self.first - before.first, 0)
        return self._replace(
            first=self.first - lacking,
            bodies=[*before.bodies[:lacking], *self.bodies],
            tiles={**before.tiles, **self.tiles},
            shown=self.shown or before.shown,
        ).published(before.log.published)

    def published(self, size: int) -> "Grown":
        """Without what no further round needs once `size` is published: full bundles and tiles below it."""
        size = max(size, self.log.published)
        first = max(self.first, size // WIDTH * WIDTH)
        tiles = {
            (level, n): data for (level, n), data in self.tiles.items() if (n + 1) * WIDTH << 8 * level > size
        }
        bodies = self.bodies[first - self.first :]
        return self._replace(log=self.log._replace(published=size), first=first, bodies=bodies, tiles=tiles)

    @property
    def weight(self) -> int:
        """Bytes."""
        return sum(map(len, self.bodies)) + sum(map(len, self.tiles.values()))


class Handed:
    """What was given and may be taken, a piece for each log. Its methods may be called from any thread."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._pieces: OrderedDict[str, tuple[Grown, int]] = OrderedDict()
        self._bytes = 0

    def give(self, tenant_id: str, grown: Grown) -> None:
        """Committed by the sequencer, or read by a round: which may be of less than was given meanwhile."""
        with self._guard:
            kept = self._drop(tenant_id)
            if kept is not None and (kept.log.generation, kept.log.size) > (
                grown.log.generation,
                grown.log.size,
            ):
                kept, grown = grown, kept
            self._keep(tenant_id, grown.behind(kept) if kept else grown)

    def take(self, tenant_id: str) -> Grown | None:
        """All that a round needs; None: it has to read. It stays, for the next one builds on it."""
        with self._guard:
            found = self._pieces.get(tenant_id)
            return found[0] if found and found[0].is_whole else None

    def published(self, tenant_id: str, generation: int, size: int, note: str) -> None:
        """A round is over: this checkpoint of this size is published."""
        with self._guard:
            kept = self._drop(tenant_id)
            if kept is not None and kept.log.generation == generation:
                kept = kept.published(size)._replace(shown=note)
            if kept is not None:
                self._keep(tenant_id, kept)

    def forget(self, tenant_id: str) -> None:
        """The tenant is gone."""
        with self._guard:
            self._drop(tenant_id)

    def _keep(self, tenant_id: str, grown: Grown) -> None:
        self._pieces[tenant_id] = grown, (weight := grown.weight)
        self._bytes += weight
        while self._bytes > self._most:
            self._drop(next(iter(self._pieces)))

    def _drop(self, tenant_id: str) -> Grown | None:
        grown, weight = self._pieces.pop(tenant_id, (None, 0))
        self._bytes -= weight
        return grown
