"""What is held about a person, a page of versions at a time: opened, put on record, ready for the package.

Each page is a transaction of its own, with an entry that names everything that was opened in it. The pages
of one gathering stop at the instant at which it began: what is written meanwhile is not in the package.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from tenure.clocks import clocks_of
from tenure.crew import Desk
from tenure.ids import rfc3339
from tenure.keys.seal import Binding, open_key
from tenure.ledger.entry import Access, EntryDraft, Kind
from tenure.model.access_package import Package
from tenure.model.principal import PrincipalKind
from tenure.rights.package.sharing import Mine
from tenure.rights.package.versions import Giving, Known, given
from tenure.sealing import REF, SUBJECTS_SCOPE, erased
from tenure.store import belongings, erasing, events, principals, records, subjects
from tenure.store.records import LABELLED, Place, StoredVersion
from tenure.thawing import require, warm

PAGE: Final = 100
STAFF: Final = "staff"
"""Employees are no recipients, and their names are not the person's data (CJEU C-579/21, Pankki S)."""
Segments = dict[Place, frozenset[int] | None]
"""Which versions go with the person; of those in segments, which of these are the person's."""


class Person(NamedTuple):
    """Whom a package is for."""

    id: str
    reference: str
    since: int
    mine: Mine


class Page(NamedTuple):
    """What a page has: items for the package, whose segments are whose, where it ends; None: that was all."""

    items: list[dict[str, Any]]
    segments: Segments
    labels: set[tuple[str, str]]
    last: Place | None


def person(desk: Desk, subject_id: str) -> Person:
    """Open a person's reference. Raises Erased once an erasure of them began."""
    found = belongings.reference(desk.tx, subject_id)
    if found is None or found.state != "active" or found.header is None:
        known = subjects.get(desk.tx, subject_id)
        raise erased(desk.tx, known.shred_id if known else None)
    binding = Binding(desk.tx.tenant_id, SUBJECTS_SCOPE, subject_id, 0)
    opened = open_key(binding, found.header, desk.tenancy.keys.leaf_key)
    reference = opened.open(REF, found.part or b"").decode()
    opened.wipe()
    return Person(subject_id, reference, found.created_at, Mine(found.leaf, belongings.scope_leaves(desk.tx)))


def page(desk: Desk, package: Package, whose: Person, *, until: int, after: Place | None) -> Page:
    """The next versions. Seven statements, and what archived clocks and erased segments take besides.

    Raises Cold for contents in packs, Erased when the person is erased meanwhile.
    """
    tx = desk.tx
    if (now := subjects.get(tx, whose.id)) is None or now.state != "active":
        raise erased(tx, now.shred_id if now else None)
    stored = erasing.of_subject(tx, whose.id, limit=PAGE, after=after)
    last = stored[-1].place if len(stored) == PAGE else None
    stored = [one for one in stored if one.created_at <= until]
    giving = Giving(desk, whose.mine, whose.reference, secrets.token_bytes(16))
    wanted = [one for one in stored if giving.wants(one)]
    require(tx.tenant_id, wanted, desk.thawed)
    places = [one.place for one in stored]
    relations = belongings.relations(tx, whose.id, places)
    names = written_by(desk, stored)
    deleted = _deleted(desk, {one.record_id for one in stored}, until)
    clocks = clocks_of(tx, desk.tenancy.policy.rulebook, stored)
    found = Page([], {}, {(one.scope, one.labels) for one in stored}, last)
    accesses: list[Access] = []
    here = {one.place for one in wanted}
    for one in stored:
        known = Known(
            relations.get(one.place, LABELLED),
            names[one.place],
            deleted.get(one.record_id),
            clocks[one.place],
        )
        whole = warm(tx.tenant_id, one, desk.thawed) if one.place in here else one
        made = given(giving, whole, known)
        found.items.append(made.item)
        found.segments[one.place] = made.segments
        accesses += made.accesses
    if accesses:
        data = {"package": package.id, "request": package.request_id}
        tx.append(
            EntryDraft(
                kind=Kind.PACKAGE,
                at=desk.now,
                nonce=giving.nonce,
                policy=desk.tenancy.policy.digest,
                outcome="gathered",
                accesses=accesses,
                data=data,
            )
        )
    return found


def written_by(desk: Desk, stored: Sequence[StoredVersion]) -> dict[Place, str]:
    """Who wrote these versions, in words that may leave the house."""
    found = belongings.writers(desk.tx, [one.place for one in stored])
    said = {one: shown(desk, one) for one in set(found.values())}
    return {place: said[one] for place, one in found.items()}


def shown(desk: Desk, principal_id: str) -> str:
    """A caller as the person is told of it: an agent or a service by its name, people as staff."""
    principal = principals.get(desk.tx, principal_id)
    if principal is None:
        return "unknown"
    if principal.kind is PrincipalKind.PERSON:
        return STAFF
    return f"{principal.kind.value} {principal.name}"


def happened(desk: Desk, subject_id: str) -> list[dict[str, str]]:
    """Events of the person."""
    return [
        {"scope": one.scope, "event": one.name, "at": rfc3339(one.at)}
        for one in events.of_people(desk.tx, [subject_id])
    ]


def _deleted(desk: Desk, record_ids: Collection[str], until: int) -> dict[str, int]:
    """Record → when it was deleted, of those that are. One statement."""
    if not record_ids:
        return {}
    return {
        one.record_id: one.created_at
        for one in records.newest(desk.tx, record_ids)
        if one.state == "deleted" and one.created_at <= until
    }
