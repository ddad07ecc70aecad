"""The register of processing (GDPR Art. 30): what manifests declare, and who used what for what lately.

Use comes from the newest entries of the log, at most so many: a register is asked for now and then, and no
count is kept for it on the way of every read. It says how far back it looked.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from tenure import ids
from tenure.governance.service import Seat, Service
from tenure.ids import rfc3339
from tenure.ledger.entry import Action, Kind
from tenure.model.configuration import Configuration
from tenure.model.layers import DAY_US
from tenure.model.principal import Credential
from tenure.model.register import declared, merged
from tenure.store import log, principals, records
from tenure.store import storage as stored
from tenure.store.database import Database
from tenure.store.log import Search
from tenure.store.session import Tx

SCOPE: Final = "tenure.register"
MAX_DAYS: Final = 366
ENTRIES: Final = 2_000
"""Of the log, the newest: so many are looked at."""
VERSIONS: Final = 5_000
"""Different versions whose labels are looked up."""
LISTS: Final = 4 << 20
"""Bytes of separate access lists that are read."""
PEOPLE: Final = 200
"""Callers whose names are looked up."""
_USES: Final = frozenset({Kind.ACCESS, Kind.WRITE, Kind.DELETE})
_VERBS: Final = {
    Action.RETURNED: "read",
    Action.WRITTEN: "write",
    Action.DELETED: "delete",
    Action.LISTED: "list",
}
_CUT: Final = (
    "Use is told from the newest entries of the log only, from {since} on: there were more in these days."
)
_NEWEST: Final = "What was done in the last moments and is not in the log yet is left out."
_UNCOUNTED: Final = "What is stored was not counted yet: the job 'storage' does it once a day."

Use = tuple[str, str, str, str, str]
"""Principal, purpose, scope, category, verb."""


class Standing(NamedTuple):
    """What the first transaction finds."""

    configuration: Configuration
    policy: str
    samples: list[stored.Sample]
    now: int


class Seen(NamedTuple):
    """What the log shows: how often each use was made, from when on, and whether that is all."""

    uses: Counter[Use]
    names: dict[str, str]
    since: int
    complete: bool


class Register:
    """For officers, auditors and administrators. Reading it makes no entry: it has no content of people."""

    def __init__(self, service: Service, database: Database) -> None:
        self._service = service
        self._database = database

    async def get(self, credential: Credential, days: int) -> dict[str, Any]:
        """The register now: `declared` of the manifests, with `at`, `policy`, `stored`, `use` and `notes`.

        `use`: `{"since","days","complete","items":[{"principal","name","purpose","scope","category","action",
        "times"}]}` of the last `days`; a version with two categories counts for each. Two short transactions.
        """
        found = await self._service.run(credential, SCOPE, "read", _standing)
        since = max(0, found.now - days * DAY_US)
        seen = await asyncio.to_thread(self._database.read, credential.tenant_id, lambda tx: _seen(tx, since))
        notes = [_NEWEST] if seen.complete else [_CUT.format(since=rfc3339(seen.since)), _NEWEST]
        notes += [] if found.samples else [_UNCOUNTED]
        use = {
            "since": rfc3339(seen.since),
            "days": days,
            "complete": seen.complete,
            "items": [
                {
                    "principal": who,
                    "name": seen.names.get(who),
                    "purpose": purpose,
                    "scope": scope,
                    "category": category,
                    "action": verb,
                    "times": times,
                }
                for (who, purpose, scope, category, verb), times in sorted(seen.uses.items())
            ],
        }
        return {
            "at": rfc3339(found.now),
            "policy": found.policy,
            **merged(declared(found.configuration), use),
            "stored": [
                {"scope": one.scope, "tier": one.tier, "versions": one.versions, "bytes": one.bytes}
                for one in found.samples
                if one.scope != stored.ALL
            ],
            "notes": notes,
        }


def _standing(seat: Seat) -> Standing:
    policy = seat.desk.tenancy.policy
    return Standing(policy.configuration, policy.digest, stored.newest(seat.desk.tx), ids.now())


def _seen(tx: Tx, since: int) -> Seen:
    """1 the newest entries, 2 their accesses, 3 what those versions are, 4 who the callers are."""
    current = log.newest(tx)
    if current is None:
        return Seen(Counter(), {}, since, complete=True)
    first = max(0, current.size - ENTRIES)
    placed = log.search(tx, current.generation, Search(), after=first - 1, limit=ENTRIES)
    bodies = [json.loads(one.body) for one in placed]
    oldest = ids.parse_rfc3339(bodies[0]["at"]) if bodies else since
    # An earlier generation of the log may have more: it ended where a restore lost entries.
    complete = (first == 0 and current.generation == _first_generation(tx)) or oldest < since
    wanted = [one for one in bodies if one["kind"] in _USES and ids.parse_rfc3339(one["at"]) >= since]
    lists, all_lists = _lists(tx, wanted)
    accesses = [
        (entry, one) for entry in wanted for one in _accesses(entry, lists) if Action(one["action"]) in _VERBS
    ]
    places = list(dict.fromkeys((one["record"], one["version"]) for _, one in reversed(accesses)))
    labels = records.labels_at(tx, places[:VERSIONS])
    uses: Counter[Use] = Counter()
    for entry, one in accesses:
        scope, categories = labels.get((one["record"], one["version"]), ("", ""))
        for category in filter(None, categories.split(",")):
            verb = _VERBS[Action(one["action"])]
            uses[entry.get("principal", ""), entry.get("purpose", ""), scope, category, verb] += 1
    return Seen(
        uses,
        principals.names(tx, sorted({use[0] for use in uses if use[0]})[:PEOPLE]),
        since if complete else oldest,
        complete=complete and all_lists and len(places) <= VERSIONS,
    )


def _first_generation(tx: Tx) -> int:
    return min(one.generation for one in log.generations(tx))


def _lists(tx: Tx, entries: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """The separate access lists of the newest entries, as many as are read; and whether that is all."""
    digests = list(
        dict.fromkeys(one["accesses_sha256"] for one in reversed(entries) if "accesses_sha256" in one)
    )
    sizes = log.access_list_sizes(tx, digests) if digests else {}
    taken, room = [], LISTS
    for digest in digests:
        room -= sizes.get(digest, 0)
        if room < 0:
            break
        taken.append(digest)
    found = log.access_lists_of(tx, taken) if taken else {}
    return {digest: json.loads(body) for digest, body in found.items()}, len(found) == len(digests)


def _accesses(entry: dict[str, Any], lists: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from entry.get("accesses") or lists.get(entry.get("accesses_sha256", ""), ())
