"""Entries and the rules of then, fetched so that what was asked can be judged again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tenure.errors import NotFound, TenureError
from tenure.governance.asked import ACCESSES, Asked, Place, places_of, questions
from tenure.ledger.entry import parse_access_list
from tenure.policy.bundle import load_bundle
from tenure.policy.engine import Engine
from tenure.store import log, manifests, records
from tenure.store.session import Tx

CURRENT = "current"
MAX_ENTRIES = 2_000
"""Most entries of one decision that are fetched for one answer, from its first on."""


class Put(NamedTuple):
    """A question with the entry that it stands in: its id, and the digest of its bundle."""

    entry: str
    policy: str
    rules: tuple[str, ...]
    asked: Asked


class Found(NamedTuple):
    """Questions in the order of their entries, and how many accesses can no longer be judged."""

    puts: list[Put]
    unknown: int


def first_of(parsed: Sequence[dict[str, Any]], accesses: int) -> Sequence[dict[str, Any]]:
    """The first entries, up to the one with which there are so many accesses."""
    for place, entry in enumerate(parsed):
        if accesses <= 0:
            return parsed[:place]
        accesses -= entry.get("accesses_count", len(entry.get("accesses", ())))
    return parsed


def questions_of(tx: Tx, parsed: Sequence[dict[str, Any]]) -> Found:
    """What these entries asked of policy. Two round trips, and one more for each 500 versions."""
    entries = [entry for entry in parsed if entry["kind"] in ACCESSES]
    digests = [entry["accesses_sha256"] for entry in entries if "accesses_sha256" in entry]
    lists = log.access_lists_of(tx, digests) if digests else {}
    unknown = 0
    pairs: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for entry in entries:
        if "accesses_sha256" not in entry:
            pairs.append((entry, entry.get("accesses", [])))
        elif entry["accesses_sha256"] in lists:
            pairs.append((entry, parse_access_list(bytes(lists[entry["accesses_sha256"]]), entry)))
        else:  # it went with a database that was restored (ADR 15)
            unknown += entry["accesses_count"]
    places: set[Place] = set()
    for entry, accesses in pairs:
        places |= places_of(entry, accesses)
    stored = records.labels_at(tx, places)
    labels = {place: (scope, tuple(names.split(","))) for place, (scope, names) in stored.items()}
    puts: list[Put] = []
    for entry, accesses in pairs:
        found, lost = questions(entry, accesses, labels)
        unknown += lost
        about = f"{entry['writer']}-{entry['n']}", entry.get("policy", ""), tuple(entry.get("rules", ()))
        puts += [Put(*about, asked) for asked in found]
    return Found(puts, unknown)


class Engines:
    """Engines by the digest of their bundle, each built once. A round trip for each but the present one."""

    def __init__(self, tx: Tx, digest: str, engine: Engine) -> None:
        self._tx = tx
        self.present = digest
        self._known: dict[str, Engine | None] = {digest: engine}

    def under(self, digest: str) -> Engine | None:
        """The engine that decided under a digest; None if its bundle is not kept any more, or is damaged."""
        if digest not in self._known:
            body = manifests.bundle(self._tx, digest)
            try:
                loaded = None if body is None else load_bundle(bytes(body), digest)
            except TenureError:
                loaded = None
            self._known[digest] = None if loaded is None else loaded.engine(self._tx.tenant_id)
        return self._known[digest]

    def named(self, policy: str) -> tuple[str, Engine]:
        """Digest and engine of `current` or a digest. NotFound when there is no such bundle."""
        digest = self.present if policy == CURRENT else policy
        engine = self.under(digest)
        if engine is None:
            raise NotFound(
                "There is no such policy bundle; nothing was evaluated.",
                field="policy",
                rule="current, or `policy` of an entry",
                remedy="Give `current`, or a digest that an entry of this tenant names.",
            )
        return digest, engine
