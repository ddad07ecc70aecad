"""What is known of one file: what was found in it, and where it could not be looked into."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_OPEN: Final = 16
"""Containers that overlap in one file. More is an attack on the scanner, or noise."""

Chain = tuple[str, ...]


@dataclass(slots=True)
class Seen:
    """How often something was seen, and where first: in the file, and in what came out of containers."""

    offset: int
    inner: int | None
    count: int = 0


@dataclass(slots=True)
class Tally:
    """Collected while a file is read. `unpack_limit` is in bytes that come out of all its containers."""

    unpack_limit: int
    breathe: Callable[[], None] = lambda: None
    unpacked: int = 0
    full: bool = False
    hits: dict[tuple[int, Chain], Seen] = field(default_factory=dict)
    gaps: dict[tuple[str, Chain], Seen] = field(default_factory=dict)
    _open: int = 0

    def found(self, value: int, chain: Chain, offset: int, inner: int | None) -> None:
        """A value, by its place in the list, spelled and contained as `chain` says."""
        self.hits.setdefault((value, chain), Seen(offset, inner)).count += 1

    def gap(self, reason: str, chain: Chain, offset: int, inner: int | None) -> None:
        """A container that was not looked into, or not to its end."""
        self.gaps.setdefault((reason, chain), Seen(offset, inner)).count += 1

    def expand(self, size: int) -> bool:
        """Count bytes that came out of a container. False when it was enough."""
        self.breathe()
        self.unpacked += size
        self.full = self.full or self.unpacked > self.unpack_limit
        return not self.full

    def opened(self) -> bool:
        """One container more gives output. False when there are too many at once."""
        if self._open >= MAX_OPEN:
            return False
        self._open += 1
        return True

    def closed(self) -> None:
        """One of those is over."""
        self._open -= 1
