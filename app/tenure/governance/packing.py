"""What goes into the next pack, and what may become of those that are there. Reads only.

due       scopes and label sets that rules send to packs by the write, with their class
next      the oldest versions of a scope that are due and share a class, up to the size of a pack
judged    whether a pack may still be deleted by its bucket, by the rules and holds of today
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from typing import Final, NamedTuple

from tenure.cold.classes import RetentionClass
from tenure.cold.pack import Front, Member, Packed, digest_of, encode
from tenure.governance.packclasses import KEEP, Ahead, ahead
from tenure.ids import new_id
from tenure.keys import segments
from tenure.keys.seal import header_leaves
from tenure.model.cohorts import by_write, late_hours
from tenure.model.lifetime import HOUR_US, Clocks, lifetime
from tenure.model.rulebook import Rulebook
from tenure.store import holds, packs, subjects
from tenure.store.holds import Hold
from tenure.store.packs import Candidate, Content, Inmate, Moved, StoredPack
from tenure.store.records import Place
from tenure.store.session import Tx
from tenure.tenancy import Policy
from tenure.thawing import part

DAY_US: Final = 24 * HOUR_US
MOST: Final = 2000
"""How many versions a pack takes at most: they are moved in one transaction. As many are looked at."""


class Due(NamedTuple):
    """A label set whose versions go to packs, so many hours after they were written."""

    scope: str
    labels: str
    ahead: Ahead


class Planned(NamedTuple):
    """A pack that was made and not put yet, and under which rules and holds its class was chosen."""

    packed: Packed
    judged: str

    @property
    def places(self) -> list[Place]:
        """Which versions are in it."""
        return [(one.record, one.number) for one in self.packed.places]

    def row(self, at: int) -> StoredPack:
        """Its row before it is put."""
        front, packed = self.packed.front, self.packed
        return StoredPack(
            id=front.pack,
            retention_class=front.retention_class,
            tag=front.retention_class,
            size=len(packed.data),
            members=len(packed.places),
            sha256=packed.sha256,
            dead=0,
            dead_bytes=0,
            state=packs.WRITING,
            judged=self.judged,
            planned_at=at,
            put_at=None,
        )


def fingerprint(policy: Policy, active: Sequence[Hold]) -> str:
    """Of everything that a class depends on: manifests and holds."""
    said = json.dumps([policy.digest, sorted(one.id for one in active)])
    return sha256(said.encode()).hexdigest()


def due(tx: Tx, rulebook: Rulebook) -> list[list[Due]]:
    """What goes to packs in this tenant, scope by scope. One statement."""
    found = []
    for scope, labels in packs.label_sets(tx):
        if (coming := ahead(rulebook.of(scope, labels).rules)) is not None:
            found.append(Due(scope, labels, coming))
    return [list(group) for _, group in groupby(found, key=lambda one: one.scope)]


def next_pack(tx: Tx, policy: Policy, of_scope: Sequence[Due], *, budget: int) -> Planned | None:
    """A pack of versions of one scope that are due; None when there is none.

    `budget`: bytes of content at most, unless one version alone has more. A statement for each label set and
    five more.
    """
    now, active = packs.now(tx), holds.active(tx)
    chosen: dict[RetentionClass, list[Candidate]] = {}
    for one in of_scope:
        until = now - one.ahead.hot_hours * HOUR_US
        found = packs.candidates(tx, one.scope, one.labels, until=until, limit=MOST)
        kept = held(tx, active, found)
        for candidate in found:
            class_ = KEEP if candidate.place in kept else one.ahead.retention_class
            chosen.setdefault(class_, []).append(candidate)
        if any(sum(one.size for one in some) >= budget for some in chosen.values()):
            break
    if not chosen:
        return None
    class_, candidates = max(chosen.items(), key=lambda item: sum(one.size for one in item[1]))
    found_contents = packs.contents(tx, _within(candidates, budget))
    if not found_contents:
        return None
    front = Front(tx.tenant_id, new_id(), class_.name)
    packed = encode(front, map(_member, found_contents))
    return Planned(packed, fingerprint(policy, active))


def _within(candidates: Sequence[Candidate], budget: int) -> list[Place]:
    places: list[Place] = []
    size = 0
    for one in candidates:
        if places and (size + one.size > budget or len(places) == MOST):
            break
        places.append(one.place)
        size += one.size
    return places


def _member(one: Content) -> Member:
    """A content as it is packed: itself, or what its segments say. Headers and heads stay in the row."""
    parts = {part(None): one.content}
    if one.segments:
        kept = segments.decode(one.content)
        # A member has a part at least: of one whose segments are all gone there is an empty one.
        parts = {part(place): each.content for place, each in enumerate(kept) if each} or {part(None): b""}
    return Member(one.record_id, one.version, parts)


def remade(
    tenant_id: str, old: StoredPack, members: Sequence[Member], inmates: Sequence[Inmate]
) -> Planned | None:
    """A pack of those of another's members that are alive, of its class by its tag; None when none is.

    Its days count anew: it goes later than the old one would have, never earlier.
    """
    alive = {(one.record_id, one.version) for one in inmates}
    kept = [one for one in members if (one.record, one.number) in alive]
    if not kept:
        return None
    return Planned(encode(Front(tenant_id, new_id(), old.tag), kept), old.judged)


def still_as_packed(tx: Tx, planned: Planned) -> list[Moved]:
    """Of the pack's versions those that may be moved: as they were packed. Locked until the end.

    What was purged or cut meanwhile is passed over; the next pack takes what is left of it.
    """
    places = {(one.record, one.number): one for one in planned.packed.places}
    moved = []
    for one in packs.contents(tx, places, lock=True):
        place, left = places[one.record_id, one.version], None
        if digest_of(_member(one)) != place.sha256:
            continue
        if one.segments:
            kept = segments.decode(one.content)
            left = segments.encode(each and each._replace(content=b"") for each in kept)
        moved.append(Moved(*place, left))
    return moved


def held(tx: Tx, active: Sequence[Hold], some: Sequence[Candidate] | Sequence[Inmate]) -> set[Place]:
    """Which of these a hold keeps. One statement, when there is any hold."""
    kept = {(one.record_id, one.version) for one in some if one.state == "held"}
    if not active or not some:
        return kept
    leaves = {
        (one.record_id, one.version): {leaf for slot in header_leaves(one.header) for leaf in slot}
        for one in some
    }
    people = {one.leaf: one.id for one in subjects.by_leaves(tx, sorted(set().union(*leaves.values())))}
    for one in some:
        place = (one.record_id, one.version)
        mine = [people[leaf] for leaf in leaves[place] if leaf in people] or [""]
        if any(hold.covers(person, one) for hold in active for person in mine):
            kept.add(place)
    return kept


def must_stay(tx: Tx, rulebook: Rulebook, pack: StoredPack, active: Sequence[Hold]) -> bool:
    """Whether a pack must not go, or not be archived, as its tag says. Two statements.

    A version in it is held, or its rules end it later than the bucket would, or by a clock that the bucket
    does not know.
    """
    inmates = packs.inmates(tx, pack.id)
    if held(tx, active, inmates):
        return True
    days = RetentionClass.parse(pack.tag).expire_after_days
    if days is None:
        return False
    gone_at = pack.planned_at + days * DAY_US
    for one in inmates:
        rules = rulebook.of(one.scope, one.labels).rules
        if not by_write(rules):
            return True
        end = lifetime(rules, Clocks(one.created_at, expires_at=one.expires_at)).gone
        if end is None or end.at + late_hours(rules) * HOUR_US > gone_at:
            return True
    return False
