"""What if these manifests had been in force: which recorded accesses would have come out differently?

The log is read backwards from its newest entry, a range of places to a read-only transaction, until the days
are over or a limit is reached: never all of a tenant, and never in the transaction that checks the manifests.
Each access is judged at its own instant, with the roles of then, by the labels of its own version; nothing is
opened. Entries that have no place yet (the last moments) are not looked at.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tenure import ids
from tenure.crew import Desk
from tenure.governance.asked import Asked, judge
from tenure.governance.evaluating import questions_of
from tenure.governance.manifests import Manifests
from tenure.governance.pastroles import PastRoles, Source, weakest
from tenure.model.principal import Credential
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Verdict
from tenure.store import log
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Policy, Tenancies

MAX_DAYS = 366
MAX_ENTRIES = 20_000
"""Most entries that one call looks at: some seconds of one thread."""
PAGE = 500
MAX_GROUPS = 200
MAX_EXAMPLES = 3

FIRST = 1
"""The first generation of a log."""
LIMIT, GENERATION = "limit", "generation"


class Key(NamedTuple):
    """What the accesses of a group have in common."""

    roles: tuple[str, ...]
    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    was: bool
    now: bool
    becomes: bool
    rules: tuple[str, ...]


@dataclass(slots=True)
class Group:
    """Accesses of one group: how many, from when to when (microseconds), and some of their entries."""

    count: int = 0
    first_at: int = 0
    last_at: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, asked: Asked, entry: str) -> None:
        """One more."""
        self.first_at = min(self.first_at or asked.at, asked.at)
        self.last_at = max(self.last_at, asked.at)
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES and entry not in self.examples:
            self.examples.append(entry)


@dataclass(slots=True)
class Tally:
    """What was found so far. `first` and `end` are places in the log."""

    end: int = 0
    first: int = 0
    stopped: str | None = None
    accesses: int = 0
    unknown: int = 0
    sources: set[Source] = field(default_factory=set)
    groups: dict[Key, Group] = field(default_factory=dict)

    def as_json(self, days: int) -> dict[str, Any]:
        """`{"days","entries","first","end","stopped","accesses","denied","allowed","unknown",…}`."""
        ordered = sorted(self.groups.items(), key=lambda one: (-one[1].count, one[0]))
        return {
            "days": days,
            "entries": self.end - self.first,
            "first": self.first,
            "end": self.end,
            "stopped": self.stopped,
            "accesses": self.accesses,
            "denied": sum(group.count for key, group in ordered if not key.becomes),
            "allowed": sum(group.count for key, group in ordered if key.becomes),
            "unknown": self.unknown,
            "roles": weakest(self.sources).value,
            "groups": [_shown(key, group) for key, group in ordered[:MAX_GROUPS]],
            "groups_left_out": max(0, len(ordered) - MAX_GROUPS),
        }


class WhatIf:
    """Dry runs that look back, for who may apply."""

    def __init__(self, manifests: Manifests, database: Database, tenancies: Tenancies) -> None:
        self._manifests = manifests
        self._database = database
        self._tenancies = tenancies
        self._turn = asyncio.Semaphore(1)  # it computes for long: the threads of others stay free

    async def apply(
        self, credential: Credential, text: str | bytes, days: int, *, prune: bool = False
    ) -> dict[str, Any]:
        """What `Manifests.apply` answers to a dry run, with `what_if`. Raises as it does.

        About five round trips for each 500 entries, in read-only transactions.
        """
        seen: list[Policy] = []  # the newest counts: a batch may be repeated
        answer = await self._manifests.apply(credential, text, dry_run=True, prune=prune, look=seen.append)
        since = ids.rfc3339(ids.now() - days * 86_400_000_000)
        async with self._turn:
            tally = await asyncio.to_thread(self._compare, credential.tenant_id, seen[-1].engine, since)
        return {**answer, "what_if": tally.as_json(days)}

    def _compare(self, tenant_id: str, becomes: Engine, since: str) -> Tally:
        """Read backwards until `since` (RFC 3339)."""
        tally, past = Tally(), PastRoles()
        generation = self._database.read(tenant_id, lambda tx: _begin(tx, tally))
        going = generation is not None
        while going and tally.first > 0:
            if tally.end - tally.first >= MAX_ENTRIES:
                tally.stopped = LIMIT
                return tally
            going = self._database.read(
                tenant_id,
                lambda tx: self._page(tx, generation or 0, tally, past, becomes, since),
            )
        if going and generation is not None and generation > FIRST:
            tally.stopped = GENERATION  # an earlier generation may have more: it ended with a restore
        return tally

    def _page(
        self, tx: Tx, generation: int, tally: Tally, past: PastRoles, becomes: Engine, since: str
    ) -> bool:
        """The range of places before `tally.first`; whether there may be more of these days before it."""
        present = Desk.reading(tx, self._tenancies).tenancy.policy.engine
        first = max(0, tally.first - PAGE)
        entries = [json.loads(body) for body in log.bodies(tx, generation, first, tally.first - first)]
        tally.first = first
        # Entries of several writers are placed in batches: neighbours may be a little out of order.
        recent = [entry for entry in entries if entry["at"] >= since]
        found = questions_of(tx, recent)
        tally.unknown += found.unknown
        for put in reversed(found.puts):
            asked = put.asked
            if asked.allowed is None:
                tally.unknown += 1
                continue
            roles = past.of(tx, asked)
            tally.sources.add(roles.source)
            tally.accesses += 1
            after = judge(becomes, asked, roles.names)
            if after.allowed != asked.allowed:
                key = _key(asked, roles.names, judge(present, asked, roles.names), after)
                tally.groups.setdefault(key, Group()).add(asked, put.entry)
        return bool(recent)


def _begin(tx: Tx, tally: Tally) -> int | None:
    """Where the log stands; its generation."""
    newest = log.newest(tx)
    if newest is None:
        return None
    tally.end = tally.first = newest.size
    return newest.generation


def _key(asked: Asked, roles: tuple[str, ...], now: Verdict, becomes: Verdict) -> Key:
    return Key(
        roles,
        asked.scope,
        asked.categories,
        asked.purpose,
        asked.action,
        was=bool(asked.allowed),
        now=now.allowed,
        becomes=becomes.allowed,
        rules=becomes.rules,
    )


def _shown(key: Key, group: Group) -> dict[str, Any]:
    return {
        **key._asdict(),
        "roles": list(key.roles),
        "categories": list(key.categories),
        "rules": list(key.rules),
        "count": group.count,
        "first_at": ids.rfc3339(group.first_at),
        "last_at": ids.rfc3339(group.last_at),
        "examples": group.examples,
    }
