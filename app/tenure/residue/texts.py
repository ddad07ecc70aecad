"""The same search, over texts that are handed to it: rows of a database, opened contents, objects."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tenure.ids import now, rfc3339
from tenure.residue.layer import Layer, Search
from tenure.residue.needles import Needles
from tenure.residue.report import NOT_SHOWN, Verdict
from tenure.residue.scan import Limits, commit
from tenure.residue.tally import Tally
from tenure.residue.values import Value

MOST: Final = 1000
"""Findings that are listed. Beyond, they are counted."""
MOST_PLACES: Final = 200
"""Places that are kept with what a search is about."""
PLACES: Final = ("found", "found_complete")
"""Members of `places`: no certificate has them."""
_SALT_BYTES: Final = 32


class Found(NamedTuple):
    """One value in one place, spelled in one way, however often. `where` names the place; never the value."""

    where: dict[str, Any]
    line: int
    encoding: str
    times: int


@dataclass
class TextScan:
    """A search in progress. Feed it with `look`; it never keeps a text."""

    values: tuple[Value, ...]
    limits: Limits = field(default_factory=Limits)
    looked: dict[str, int] = field(default_factory=dict)
    """What was looked at, by kind."""
    read_bytes: int = 0
    found: list[Found] = field(default_factory=list)
    findings: int = 0
    incomplete: dict[str, int] = field(default_factory=dict)
    started_at: int = field(default_factory=now)

    def __post_init__(self) -> None:
        self._search = Search(Needles(self.values), self.limits.depth)
        self._seen: set[int] = set()
        self._salt = os.urandom(_SALT_BYTES)

    def look(self, kind: str, where: dict[str, Any], chunks: Iterable[bytes], *, items: int = 1) -> None:
        """Search one text, given in pieces; `kind` and `items` say what was looked at, `where` names it."""
        self.looked[kind] = self.looked.get(kind, 0) + items
        tally = Tally(self.limits.unpack_bytes)
        layer = Layer(self._search, tally)
        for chunk in chunks:
            self.read_bytes += len(chunk)
            layer.feed(chunk)
        layer.close()
        for (place, chain), seen in tally.hits.items():
            self._seen.add(place)
            self.findings += seen.count
            if len(self.found) < MOST:
                self.found.append(Found(where, self.values[place].line, ">".join(chain), seen.count))
        for (reason, _), seen in tally.gaps.items():
            self.gap(reason, seen.count)

    def gap(self, reason: str, count: int = 1) -> None:
        """Something could not be looked at."""
        self.incomplete[reason] = self.incomplete.get(reason, 0) + count

    @property
    def verdict(self) -> Verdict:
        """Clean only when nothing was found and everything could be looked at."""
        if self.findings:
            return "residue"
        return "incomplete" if self.incomplete else "clean"

    def summary(self) -> dict[str, Any]:
        """What a certificate may carry: counts and limits. No places, no salt."""
        return {
            "verdict": self.verdict,
            "looked_at": dict(sorted(self.looked.items())),
            "bytes": self.read_bytes,
            "values": len(self.values),
            "values_found": len(self._seen),
            "findings": self.findings,
            "incomplete": dict(sorted(self.incomplete.items())),
            "values_commitment": commit(self.values, self._salt).hex(),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(now()),
            "does_not_show": list(NOT_SHOWN),
        }

    def places(self) -> dict[str, Any]:
        """For who is to look there, on record: opaque ids, and the names of scopes, tables and objects.

        `{"found":[{…where,"count"}],"found_complete"}`, each place once.
        """
        counts: dict[tuple[tuple[str, Any], ...], int] = {}
        for one in self.found:
            where = tuple(one.where.items())
            counts[where] = counts.get(where, 0) + one.times
        named = [{**dict(where), "count": count} for where, count in counts.items()]
        complete = len(named) <= MOST_PLACES and len(self.found) < MOST
        return dict(zip(PLACES, (named[:MOST_PLACES], complete), strict=True))

    def details(self) -> dict[str, Any]:
        """For the person who gave the values: also where, and the salt of the commitment."""
        return {
            "values_salt": self._salt.hex(),
            "found": [
                {**one.where, "value": one.line, "encoding": one.encoding, "count": one.times}
                for one in self.found
            ],
        }


def joined(cells: Sequence[Any]) -> bytes:
    """The cells of a column as one text; what is neither text nor bytes as Python writes it."""
    return b"\x00".join(
        bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode()
        for one in cells
        if one is not None
    )
