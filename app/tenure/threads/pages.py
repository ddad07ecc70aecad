"""Snapshots, newest first: of a namespace, of a thread, of all threads of a scope."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tenure import filing
from tenure.access import Ask, Caller
from tenure.crew import Desk
from tenure.errors import Denied, Erased
from tenure.ledger.entry import Access, Action, Kind
from tenure.listing import Query, split
from tenure.model.thread import ALL_THREADS, Snapshot, snapshots_key, thread_path
from tenure.reading import withheld
from tenure.sealing import labels_of, open_head, unseal
from tenure.store import threads as store
from tenure.store.records import CURRENT, StoredVersion
from tenure.store.threads import Spot
from tenure.threads.getting import Loader
from tenure.threads.reading import Facts, facts_of
from tenure.withholding import kept_back

MAX_SCANNED: Final = 1000
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which snapshots: of a `thread` or of all, of a `namespace` or of all.

    `before`: only ids that sort before this one. `metadata`: only those that have these values.
    """

    thread: str | None = None
    namespace: str | None = None
    before: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limit: int = 50
    after: tuple[int, str] | None = None


class Page(NamedTuple):
    """A page of snapshots; `next` leads on."""

    items: list[Snapshot]
    next: Spot | None
    entry: str


class _Found(NamedTuple):
    stored: StoredVersion
    facts: Facts
    generation: int


def page(desk: Desk, ask: Ask, scope: str, root_index: str | None, wanted: Wanted) -> Page | Denied:
    """One page, and one entry for it. A few statements for each 100 snapshots that were looked at.

    Of all threads those are left out that policy does not show, or a person's right; of one it is a denial.

    Looks at 1 000 at most: then the page may be short, and `next` leads on.
    """
    caller = Caller.at(desk, ask)
    caller.check_scope(scope)
    nonce = secrets.token_bytes(16)
    if not caller.sees_any("read", scope):
        spec = desk.tenancy.policy.configuration.scopes[scope]
        return caller.refuse(Kind.ACCESS, caller.decide("read", scope, tuple(spec.categories)), nonce=nonce)
    labels, path = _where(caller, scope, root_index, wanted)
    if isinstance(labels, Denied):
        return labels
    found, after = _collect(caller, filing.index_of(desk.tenancy.keys, scope, path), labels, wanted)
    loaded = Loader(caller, scope, None, nonce).load(found) if found else None
    entry = caller.record(Kind.ACCESS, "ok", *(loaded.accesses if loaded else ()), nonce=nonce)
    items = [] if loaded is None else [loaded.snapshot(place, "", entry) for place in range(len(found))]
    return Page(items, after, entry)


def _where(
    caller: Caller, scope: str, root_index: str | None, wanted: Wanted
) -> tuple[list[str] | Denied, tuple[str, ...]]:
    """Label sets that may be read, and where to look."""
    if wanted.thread is None or root_index is None:
        return split(caller, scope, Query(include_content=True))[0], ALL_THREADS
    rows = caller.desk.tx.ask((CURRENT, {"keys": [root_index]}))[0]
    root = StoredVersion(*rows[0]) if rows else None
    if root is None or root.state != "live":
        return [], ALL_THREADS
    verdict = caller.decide("read", scope, labels_of(root))
    if not verdict.allowed:
        denied = Access(root.record_id, root.version, Action.DENIED)
        return caller.refuse(Kind.ACCESS, verdict, denied, nonce=secrets.token_bytes(16)), ()
    kept = withheld(caller, root, nonce=secrets.token_bytes(16))
    if kept is not None:
        return kept, ()
    return [root.labels], thread_path(wanted.thread, root.latest)


def _collect(
    caller: Caller, path_index: str, labels: list[str], wanted: Wanted
) -> tuple[list[_Found], Spot | None]:
    found: list[_Found] = []
    spot = None if wanted.after is None else Spot(*wanted.after)
    scanned = 0
    while labels and scanned < MAX_SCANNED:
        size = (
            _AT_ONCE if wanted.metadata or wanted.before or wanted.namespace is not None else wanted.limit + 1
        )
        rows = store.page(caller.desk.tx, path_index, labels, before=spot, limit=size)
        for stored in rows:
            if len(found) == wanted.limit:
                return found, spot
            spot, scanned = Spot(stored.created_at, stored.version_id), scanned + 1
            one = None if kept_back(caller, stored) else _matching(caller.desk, stored, wanted)
            if one is not None:
                found.append(one)
        if len(rows) < size:
            return found, None
    return found, spot if labels else None


def _matching(desk: Desk, stored: StoredVersion, wanted: Wanted) -> _Found | None:
    """A snapshot that is wanted; None for one that is not, for writes, and for what is being erased."""
    try:
        head = open_head(desk.tenancy.keys, unseal(desk.tx, desk.tenancy.keys, stored), stored)
    except Erased:
        return None
    if "channels" not in head.metadata:
        return None
    facts = facts_of(head)
    generation = int(head.key.split("\x1f")[2])
    if head.key != snapshots_key(facts.thread, generation, facts.namespace) or not _fits(facts, wanted):
        return None
    return _Found(stored, facts, generation)


def _fits(facts: Facts, wanted: Wanted) -> bool:
    """Whether it is one of those that are wanted."""
    if wanted.namespace not in (None, facts.namespace):
        return False
    if wanted.before is not None and facts.id >= wanted.before:
        return False
    return all(
        name in facts.metadata and facts.metadata[name] == value for name, value in wanted.metadata.items()
    )
