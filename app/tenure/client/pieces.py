"""Values of channels as pieces: what is new, and what the parent snapshot has already.

A conversation grows at its end, and its serialized form changes a few bytes in front (a count) and grows
behind. So a probe from the old value is looked for in the new one, and the common stretch around it, and the
common end, are not sent again.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, NamedTuple

from tenure.model.thread import Pieces, Reuse, Scalar, Snapshot

_WORTH: Final = 256
"""Bytes that a slice must save: it may be another row to read."""
_SKIP: Final = 16
_PROBE: Final = 32
_NEAR: Final = 256
MOST_PIECES: Final = 16
"""A value of more slices than this is sent whole the next time."""
_MOST_BYTES: Final = 32 << 20
_MOST_THREADS: Final = 512


class Known(NamedTuple):
    """A channel's value in a snapshot that is stored, and of how many slices it consists there."""

    version: Scalar
    value: bytes
    pieces: int


def pieces_of(new: bytes, known: Known | None) -> Pieces:
    """The pieces of a value whose channel had another one in the parent."""
    if known is None or known.pieces >= MOST_PIECES or len(known.value) < _WORTH:
        return (new,)
    old = known.value
    if old == new:
        return (Reuse(known.version, 0, len(old)),)
    at = new.find(old[_SKIP : _SKIP + _PROBE], 0, _SKIP + _PROBE + _NEAR)
    if at < 0:
        return (new,)
    begin = _SKIP
    while begin and at and old[begin - 1] == new[at - 1]:
        begin, at = begin - 1, at - 1
    size = _alike(old, begin, new, at)
    rest_old, rest_new = old[begin + size :], new[at + size :]
    end = _alike(rest_old[::-1], 0, rest_new[::-1], 0)
    end = end if end >= _WORTH else 0
    if size < _WORTH:
        return (new,)
    middle = rest_new[: len(rest_new) - end]
    found = (new[:at], Reuse(known.version, begin, size), middle)
    behind = (Reuse(known.version, len(old) - end, end),) if end else ()
    return tuple(one for one in (*found, *behind) if one)


def _alike(one: bytes, at: int, other: bytes, there: int) -> int:
    """How many bytes from these places on are the same."""
    low, high = 0, min(len(one) - at, len(other) - there)
    if one[at : at + high] == other[there : there + high]:
        return high
    while low < high - 1:
        middle = (low + high) // 2
        if one[at + low : at + middle] == other[there + low : there + middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(slots=True)
class _Thread:
    snapshot: str
    channels: Mapping[str, Known]
    size: int


class Kept:
    """The values of the snapshots that were stored or loaded last: of 512 threads and 32 MiB at most."""

    def __init__(self) -> None:
        self._threads: OrderedDict[tuple[str, str], _Thread] = OrderedDict()
        self._size = 0
        self._turn = Lock()  # graphs may run in many threads; nothing waits in here

    def of(self, thread: str, namespace: str, snapshot: str | None) -> Mapping[str, Known]:
        """What is known of a snapshot."""
        found = self._threads.get((thread, namespace))
        return {} if found is None or found.snapshot != snapshot else found.channels

    def keep(
        self,
        thread: str,
        namespace: str,
        snapshot: str,
        before: Mapping[str, Known],
        made: Mapping[str, tuple[Scalar, bytes]],
        versions: Mapping[str, Scalar],
        pieces: Mapping[str, int],
    ) -> None:
        """A snapshot was stored: what was known of its parent and did not change, and what was made."""
        known = {name: one for name, one in before.items() if versions.get(name) == one.version}
        known |= {
            name: Known(version, value, pieces.get(name, MOST_PIECES))
            for name, (version, value) in made.items()
            if len(value) >= _WORTH
        }
        self._put(thread, namespace, snapshot, known)

    def load(self, found: Snapshot) -> None:
        """A snapshot was loaded."""
        known = {
            name: Known(one.version, one.value, one.pieces)
            for name, one in found.channels.items()
            if len(one.value) >= _WORTH
        }
        self._put(found.thread, found.namespace, found.id, known)

    def forget(self, thread: str) -> None:
        """A thread is gone."""
        with self._turn:
            for key in [one for one in self._threads if one[0] == thread]:
                self._size -= self._threads.pop(key).size

    def clear(self) -> None:
        """All of them may be."""
        with self._turn:
            self._threads.clear()
            self._size = 0

    def _put(self, thread: str, namespace: str, snapshot: str, known: Mapping[str, Known]) -> None:
        size = sum(len(one.value) for one in known.values())
        with self._turn:
            old = self._threads.pop((thread, namespace), None)
            self._size += size - (0 if old is None else old.size)
            if not known:
                return  # a thread of short values takes nobody's place
            self._threads[thread, namespace] = _Thread(snapshot, known, size)
            while self._size > _MOST_BYTES or len(self._threads) > _MOST_THREADS:
                self._size -= self._threads.popitem(last=False)[1].size
