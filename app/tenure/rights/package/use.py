"""Who was given the person's data, for what, and in which decisions: told by the ledger's entries.

All entries of the tenant are looked at once, in pages: which versions an entry is about stands in the entry.
A thousand entries take some 20 ms of a thread; nobody waits for it but the package.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tenure import ids
from tenure.crew import Desk
from tenure.ids import rfc3339
from tenure.ledger.entry import Action, Kind, parse_access_list
from tenure.model.decision import Decision
from tenure.rights.package.gather import STAFF, Segments, shown
from tenure.store import belongings, inspecting, log, tables
from tenure.store.inspecting import Key, Row
from tenure.store.session import Tx

PAGE: Final = 2_000
NOT_YOURS: Final = "may be about somebody else"
_READS: Final = frozenset({Kind.ACCESS.value, Kind.WRITE.value})
Json = dict[str, Any]


@dataclass(slots=True)
class Given:
    """What somebody was given for one purpose: how often, first and last (microseconds)."""

    times: int = 0
    first: int = 0
    last: int = 0

    def add(self, times: int, at: int) -> None:
        """Once more."""
        self.first = at if not self.times else min(self.first, at)
        self.last = max(self.last, at)
        self.times += times


@dataclass(slots=True)
class Use:
    """What the entries say so far."""

    mine: Segments
    given: dict[tuple[str, str], Given] = field(default_factory=dict)
    """(principal, purpose) → what was given out."""
    decisions: Counter[str] = field(default_factory=Counter)
    """Decision → how many accesses to what is the person's were for it."""
    _records: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._records = frozenset(record for record, _ in self.mine)

    def look(self, tx: Tx, after: Key | None) -> Key | None:
        """Take in the next page of entries; where it ends, None when there are no more. Two round trips."""
        page = inspecting.page(tx, tables.entries, after=after, limit=PAGE)
        told = [
            (row, json.loads(bytes(row["body"])))
            for row in page
            if row["kind"] in _READS and b'"accesses' in bytes(row["body"])
        ]
        digests = [entry["accesses_sha256"] for _, entry in told if "accesses_sha256" in entry]
        lists = log.access_lists_of(tx, digests) if digests else {}
        for row, entry in told:
            members = entry.get("accesses")
            if members is None:
                separate = lists.get(entry["accesses_sha256"])
                members = [] if separate is None else parse_access_list(bytes(separate), entry)
            self._take(row, entry, members)
        return inspecting.key_of(tables.entries, page[-1]) if len(page) == PAGE else None

    def _take(self, row: Row, entry: Json, members: Iterable[Json]) -> None:
        times = sum(self._is_mine(one) for one in members if one["record"] in self._records)
        if not times:
            return
        by = (str(entry.get("principal", ids.CELL)), str(entry.get("purpose", "")))
        self.given.setdefault(by, Given()).add(times, row["at"])
        if (decision := entry.get("decision")) is not None:
            self.decisions[decision] += times

    def _is_mine(self, access: Json) -> bool:
        place = access["record"], access["version"]
        if access["action"] != Action.RETURNED or place not in self.mine:
            return False
        segments = self.mine[place]
        return segments is None or access.get("segment") in segments


def recipients(desk: Desk, use: Use) -> list[Json]:
    """Who was given what is the person's, and for which purposes; people of the house together, as staff."""
    together: dict[str, dict[str, Given]] = {}
    for (principal, purpose), one in sorted(use.given.items()):
        known = together.setdefault(shown(desk, principal), {}).setdefault(purpose, Given())
        known.add(one.times, one.first)
        known.last = max(known.last, one.last)
    return [
        {
            "name": name,
            "kind": "staff" if name == STAFF else "system",
            "purposes": [
                {
                    "purpose": purpose,
                    "times": one.times,
                    "first": rfc3339(one.first),
                    "last": rfc3339(one.last),
                }
                for purpose, one in sorted(purposes.items())
            ],
        }
        for name, purposes in sorted(together.items())
    ]


def decisions(desk: Desk, use: Use, subject_id: str) -> list[Json]:
    """Decisions that name the person as subject; and others that used what is theirs: no outcome of these."""
    found = belongings.decisions(desk.tx, subject_id, sorted(use.decisions))
    return [_decision(desk, one, use.decisions[one.id], subject_id) for one in found]


def _decision(desk: Desk, one: Decision, times: int, subject_id: str) -> Json:
    about_you = one.subject_id == subject_id
    item: Json = {
        "decision": one.id,
        "opened_at": rfc3339(one.opened_at),
        "purpose": one.purpose,
        "made_by": shown(desk, one.principal_id),
        "about_you": about_you,
        "times": times,
    }
    if one.sealed_at is not None:
        item["decided_at"] = rfc3339(one.sealed_at)
    # What was decided about somebody else is theirs (Art. 15(4)). One that names nobody may be just that: an
    # agent that compares several people names none of them, and its outcome may say who it was.
    if one.outcome is not None:
        item |= {"outcome": one.outcome} if about_you else {"outcome_not_given": NOT_YOURS}
    return item | {name: one.facts[name] for name in ("agent", "model") if name in one.facts}
