"""An object store whose requests for packs are counted, in memory: by tenant, UTC day and tier.

Whose pack it is stands in its name. Counted is what was asked for, whether or not it was answered. Not
counted are what the SDK repeats by itself, deletes, which cost nothing, and lists, which are about no one
tenant. What a killed process had counted and nobody took from it is lost.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from tenure import ids
from tenure.cold.objects import NO_TAGS, Objects, Standing
from tenure.cold.packs import FOLDER
from tenure.model.layers import DAY_US
from tenure.model.lifetime import Tier

MOST: Final = 10_000
"""Keys (tenant, day, tier) that are kept at most; what is beyond them is told as `left_out`."""


class Asked(NamedTuple):
    """Requests: puts (of tags, too), gets (of ranges, too), restores; and bytes that were given out."""

    puts: int = 0
    gets: int = 0
    restores: int = 0
    retrieved: int = 0

    def plus(self, other: "Asked") -> "Asked":
        """Both together."""
        return Asked(*map(sum, zip(self, other, strict=True)))


class Key(NamedTuple):
    """Whose requests, on which UTC day, to what: a pack is `cold`; what is asked of an archive, `archive`."""

    tenant_id: str
    day: int
    tier: Tier


class RequestTally:
    """Counts, until they are taken to be written down. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._asked: dict[Key, Asked] = {}
        self._left_out = 0

    def add(self, key: Key, asked: Asked) -> None:
        """Count some more."""
        with self._guard:
            if key in self._asked or len(self._asked) < MOST:
                self._asked[key] = self._asked.get(key, Asked()).plus(asked)
            else:
                self._left_out += asked.puts + asked.gets + asked.restores

    def take(self) -> tuple[dict[Key, Asked], int]:
        """All that was counted since the last time, and how many requests were left out."""
        with self._guard:
            found, self._asked = self._asked, {}
            left_out, self._left_out = self._left_out, 0
        return found, left_out


class Tallied:
    """Another object store, each request for a pack counted. No request more, and no waiting."""

    def __init__(self, base: Objects, tally: RequestTally) -> None:
        self._base = base
        self._tally = tally

    def put(self, name: str, data: bytes) -> None:
        """As the store's own."""
        self._count(name, Asked(puts=1))
        self._base.put(name, data)

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:
        """As the store's own: counted as one request, which it is for a new object."""
        self._count(name, Asked(puts=1))
        return self._base.keep(name, data, tags=tags)

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        """As the store's own: S3 charges it as a put."""
        self._count(name, Asked(puts=1))
        self._base.retag(name, tags)

    def restore(self, name: str) -> None:
        """As the store's own."""
        self._count(name, Asked(restores=1), "archive")
        self._base.restore(name)

    def get(self, name: str) -> bytes | None:
        """As the store's own."""
        return self._got(name, lambda: self._base.get(name))

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """As the store's own."""
        return self._got(name, lambda: self._base.get_range(name, start, length))

    def state(self, name: str) -> Standing | None:
        """As the store's own: S3 charges a look as a get."""
        self._count(name, Asked(gets=1))
        return self._base.state(name)

    def names(self, prefix: str) -> Iterator[str]:
        """As the store's own; not counted."""
        return self._base.names(prefix)

    def delete(self, name: str) -> None:
        """As the store's own; not counted."""
        self._base.delete(name)

    def _got(self, name: str, ask: Callable[[], bytes | None]) -> bytes | None:
        self._count(name, Asked(gets=1))
        found = ask()
        if found:
            self._count(name, Asked(retrieved=len(found)))
        return found

    def _count(self, name: str, asked: Asked, tier: Tier = "cold") -> None:
        folder, _, rest = name.partition("/")
        if folder == FOLDER:
            self._tally.add(Key(rest.partition("/")[0], ids.now() // DAY_US, tier), asked)
