"""Which roles a principal had at an instant, as far as the ledger tells.

recorded  the entry itself names them: denials do
derived   from the entries that change principals
present   neither is there: the roles that the principal has now, which need not be those of then
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from tenure.governance.asked import Asked
from tenure.ids import parse_rfc3339
from tenure.store import log, principals
from tenure.store.session import Tx

MAX_CHANGES = 20_000
"""How many changes of principals are looked through; an older role is not known."""


class Source(StrEnum):
    """How roles are known, the weakest last."""

    RECORDED = "recorded"
    DERIVED = "derived"
    PRESENT = "present"


class Roles(NamedTuple):
    """Sorted roles, and how they are known."""

    names: tuple[str, ...]
    source: Source


class PastRoles:
    """Of every principal of one tenant. One round trip, and one for each that is only present.

    What was read first stays: transactions of the same tenant may follow one another.
    """

    def __init__(self) -> None:
        self._changes: Mapping[str, list[tuple[int, tuple[str, ...]]]] | None = None
        self._present: dict[str, tuple[str, ...]] = {}

    def of(self, tx: Tx, asked: Asked) -> Roles:
        """Of who asked, when it was asked."""
        if asked.roles is not None:
            return Roles(asked.roles, Source.RECORDED)
        return self.at(tx, asked.principal or "", asked.at)

    def at(self, tx: Tx, principal_id: str, at: int) -> Roles:
        """Of a principal at an instant in microseconds."""
        if self._changes is None:
            self._changes = _read(log.principal_changes(tx, limit=MAX_CHANGES))
        for since, names in self._changes.get(principal_id, ()):
            if since <= at:
                return Roles(names, Source.DERIVED)
        if principal_id not in self._present:
            found = principals.get(tx, principal_id) if principal_id else None
            self._present[principal_id] = found.roles if found else ()
        return Roles(self._present[principal_id], Source.PRESENT)


def weakest(sources: set[Source]) -> Source:
    """The least certain of these."""
    order = list(Source)
    return max(sources, key=order.index, default=Source.RECORDED)


def _read(bodies: list[bytes]) -> dict[str, list[tuple[int, tuple[str, ...]]]]:
    """Principal → (since when, roles), the newest first. Entries that change no roles name none."""
    found: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for body in bodies:
        entry = json.loads(body)
        data = entry.get("data", {})
        if "principal" in data and isinstance(data.get("roles"), list):
            change = parse_rfc3339(entry["at"]), tuple(sorted(data["roles"]))
            found.setdefault(data["principal"], []).append(change)
    return found
