"""All spellings of all values, found in one pass over a window of bytes.

An Aho-Corasick automaton costs the same for one needle and for thousands (measured: 200 to 450 MB/s, where
an alternation of `re` does 25 to 150 and slows with every needle), and the library works without the
interpreter lock. There are three of them, because three views of the window are searched: as it is, with
ASCII letters in lower case, and without the line ends that wrap base64.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from tenure.residue.spellings import Spelling, spellings
from tenure.residue.values import MIN_BYTES, Value

SQUEEZED: Final = b"\r\n\\"
_GONE: Final = re.compile(b"[" + re.escape(SQUEEZED) + b"]")
_DFA_LIMIT: Final = 200_000
"""Bytes of needles up to which the fastest automaton is built: it takes up to a kilobyte for each."""


class Hit(NamedTuple):
    """A value at `start` (an offset in the window) up to `end`, in a spelling."""

    value: int
    spelling: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Owned:
    """A spelling, and the value (its place in the list) that it is of."""

    value: int
    spelling: Spelling


class Automaton:
    """Many byte strings at once. Matches may overlap."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        found = list(needles)
        small = sum(map(len, found)) <= _DFA_LIMIT
        self._automaton = BytesAhoCorasick(found, implementation=Implementation.DFA if small else None)
        self._any = bool(found)

    def find(self, window: bytes) -> list[tuple[int, int, int]]:
        """(which needle, start, end) of each match."""
        return self._automaton.find_matches_as_indexes(window, overlapping=True) if self._any else []


class Needles:
    """What a scan looks for. `reach` is how many bytes of the past a window must keep."""

    def __init__(self, values: Iterable[Value]) -> None:
        exact: dict[bytes, list[_Owned]] = {}
        folded: dict[bytes, list[_Owned]] = {}
        squeezed: dict[bytes, list[_Owned]] = {}
        for place, value in enumerate(values):
            for one in spellings(value.text):
                if len(one.data) < MIN_BYTES:
                    continue
                view = squeezed if one.squeezed else folded if one.folds else exact
                owners = view.setdefault(one.data.lower() if one.folds else one.data, [])
                if not any(known.value == place for known in owners):
                    owners.append(_Owned(place, one))
        self.count = len(exact) + len(folded) + len(squeezed)
        longest = max((len(data) for view in (exact, folded, squeezed) for data in view), default=0)
        # Wrapped base64 has a line end for every 60 to 76 characters, and a neighbour on either side.
        self.reach = longest + 2 + longest // 16
        self._exact, self._folded, self._squeezed = map(_View, (exact, folded, squeezed))

    def find(self, window: bytes, new: int = 0) -> Iterator[Hit]:
        """The hits that end after `new`: those before were found with the window before."""
        for owned, start, end in self._exact.find(window):
            if end > new:
                yield Hit(owned.value, owned.spelling.name, start, end)
        for owned, start, end in self._folded.find(window.lower()):
            if end > new:
                yield Hit(owned.value, owned.spelling.name, start, end)
        yield from self._find_squeezed(window, new)

    def _find_squeezed(self, window: bytes, new: int) -> Iterator[Hit]:
        squeezed = window.translate(None, SQUEEZED)
        places: Places | None = None
        for owned, start, end in self._squeezed.find(squeezed):
            if not _fits(owned.spelling, squeezed, start, end):
                continue
            if places is None:
                places = Places(window)
            at, last = places.original(start), places.original(end - 1)
            if last + 1 > new:
                yield Hit(owned.value, owned.spelling.name, at, last + 1)


class Places:
    """Where a byte of the squeezed window stands in the window."""

    def __init__(self, window: bytes) -> None:
        gone = (found.start() for found in _GONE.finditer(window))
        # The removed byte number n stands before every squeezed place from (its offset - n) on.
        self._before = [at - n for n, at in enumerate(gone)]

    def original(self, place: int) -> int:
        """The offset in the window of the byte at `place` in the squeezed one."""
        return place + bisect_right(self._before, place)


class _View:
    """One view's automaton, and whose the needles are."""

    def __init__(self, owners: dict[bytes, list[_Owned]]) -> None:
        self._owners = list(owners.values())
        self._automaton = Automaton(owners)

    def find(self, window: bytes) -> Iterator[tuple[_Owned, int, int]]:
        for needle, start, end in self._automaton.find(window):
            for owned in self._owners[needle]:
                yield owned, start, end


def _fits(spelling: Spelling, window: bytes, start: int, end: int) -> bool:
    """Whether the neighbours carry the value's outer bits. Beyond the window they may."""
    if spelling.before and start and window[start - 1] not in spelling.before:
        return False
    return not spelling.after or end >= len(window) or window[end] in spelling.after
