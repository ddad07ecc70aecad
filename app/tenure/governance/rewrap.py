"""Before a puncture: what must outlive the person gets one more slot.

What a hold covers gets one for the hold's own leaf. Erasing the person then takes every other way to the
data; the hold's leaf stays, and no key is ever given out for it (`keyring`). It exists so that a court can be
answered, not so that anybody reads on.

What has had its time and is covered by a hold gets the hold's slot in the same way: its cohort takes every
other way to it.

A derived version in a scope whose rule is `keep` gets one for whoever else is behind it, or else for its
scope's leaf: it is read on. When the next of them is erased, the rule of that day decides again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Shredded
from tenure.governance import derived
from tenure.governance.plan import Plan
from tenure.governance.replica import Fence
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.ggm import leaf_number
from tenure.keys.seal import Binding, founding_leaves, header_leaves, open_key
from tenure.sealing import binding_of
from tenure.store import cohorts, erasing, holds, subjects, tenants
from tenure.store.database import Database
from tenure.store.holds import Hold
from tenure.store.records import Place, StoredVersion
from tenure.store.shreds import Kind

_CHUNK = 500
_POLL_S = 0.05


class Whose(NamedTuple):
    """Versions of a person, or of a cohort, by its id."""

    kind: Kind
    target: str


Touched = dict[str, list[Whose]]
"""Tenant → whose versions have a slot more."""


class _Looked(NamedTuple):
    """A chunk of one's versions, and whether any of them has a slot more now."""

    found: list[StoredVersion]
    touched: bool


class _Look(Protocol):
    """Re-wraps what must be of a person's or a cohort's next versions after a place."""

    def __call__(self, desk: Desk, *, target: str, after: Place | None) -> _Looked:
        """At most one chunk."""


async def before_puncture(batcher: Batcher, database: Database, plan: Plan) -> Touched:
    """Re-wrap all that must outlive the batch's people and cohorts. Safe to repeat.

    One transaction for each tenant when there is no hold and no scope that keeps; a person whom no hold can
    cover is not looked at.
    """
    touched: Touched = {}
    for tenant_id, mine in plan.items():
        people, over = (
            [one["target"] for one in mine["erasures"] if one["kind"] == kind]
            for kind in (Kind.SUBJECT, Kind.COHORT)
        )
        looks: list[tuple[Whose, _Look]] = []
        if people or over:
            active: list[Hold] = await batcher.submit(tenant_id, Solo(lambda desk: holds.active(desk.tx)))
            for person in people:
                covering = [hold for hold in active if hold.may_cover(person)]
                looks += (
                    [(Whose(Kind.SUBJECT, person), partial(_hold, covering=covering))] if covering else []
                )
            looks += [
                (Whose(Kind.COHORT, one), partial(_hold_over, hold=hold)) for one in over for hold in active
            ]
        if scopes := derived.keeping(mine["derived"]):
            keep = partial(_keep, scopes=scopes, going=frozenset(mine["leaves"]))
            looks += [(Whose(Kind.SUBJECT, person), keep) for person in people]
        if looks:
            touched[tenant_id] = await _everything(batcher, database, tenant_id, looks)
    return touched


async def _everything(
    batcher: Batcher, database: Database, tenant_id: str, looks: Sequence[tuple[Whose, _Look]]
) -> list[Whose]:
    # Writes that began before the intent may still be on their way in.
    fence = await asyncio.to_thread(Fence, database, 0)
    while any(await asyncio.to_thread(fence.waiting)):  # noqa: ASYNC110 - what is awaited is in the database
        await asyncio.sleep(_POLL_S)
    touched: dict[Whose, None] = {}
    for whose, look in looks:
        after: Place | None = None
        while True:
            work = partial(look, target=whose.target, after=after)
            seen: _Looked = await batcher.submit(tenant_id, Solo(work))
            if seen.touched:
                touched[whose] = None
            if len(seen.found) < _CHUNK:
                break
            after = seen.found[-1].place
    return list(touched)


def _hold(desk: Desk, *, target: str, after: Place | None, covering: Sequence[Hold]) -> _Looked:
    found = erasing.of_subject(desk.tx, target, limit=_CHUNK, after=after, lock=True)
    known = subjects.get(desk.tx, target)
    touched = False
    for stored in found:
        for hold in covering:
            if known is not None and hold.covers(target, stored):
                slotted = _slotted(desk, stored, (hold.leaf,), of=known.leaf)
                if slotted is not None:
                    stored = slotted  # noqa: PLW2901 - with one slot more
                    holds.keep(desk.tx, hold.id, stored.record_id, stored.version)
                    touched = True
    return _Looked(found, touched)


def _hold_over(desk: Desk, *, target: str, after: Place | None, hold: Hold) -> _Looked:
    """Of a cohort's versions, those that a hold covers: each of its segments, or those of the person held."""
    cohort = cohorts.get(desk.tx, target)
    person = subjects.get(desk.tx, hold.target) if hold.kind == "subject" else None
    if cohort is None or (hold.kind == "subject" and person is None):
        return _Looked([], touched=False)
    held = None if person is None else person.id
    found = cohorts.live(desk.tx, cohort.leaf, limit=_CHUNK, after=after, subject_id=held, lock=True)
    touched = False
    for stored in found:
        if hold.covers(held or "", stored):
            of = cohort.leaf if person is None else person.leaf
            if _slotted(desk, stored, (hold.leaf,), of=of) is not None:
                holds.keep(desk.tx, hold.id, stored.record_id, stored.version)
                touched = True
    return _Looked(found, touched)


def _keep(
    desk: Desk, *, target: str, after: Place | None, scopes: frozenset[str], going: frozenset[int]
) -> _Looked:
    found = erasing.of_subject(desk.tx, target, limit=_CHUNK, after=after, derived=True, lock=True)
    punctured = desk.tenancy.keys.state.is_punctured
    touched = False
    for stored in found:
        if stored.scope in scopes and stored.header is not None:
            behind = founding_leaves(stored.header) - going - {stored.cohort}
            staying = [leaf for leaf in behind if not punctured(leaf)] or [_scope_leaf(desk, stored.scope)]
            # Whoever else opens it does so for no longer than its cohort.
            mine = () if stored.cohort is None else (stored.cohort,)
            touched |= _slotted(desk, stored, tuple(sorted((*staying, *mine)))) is not None
    return _Looked(found, touched)


def _slotted(
    desk: Desk, stored: StoredVersion, leaves: tuple[int, ...], *, of: int | None = None
) -> StoredVersion | None:
    """A version with a slot more, stored so; of its segments, those that the leaf `of` is needed for.

    None when nothing opens it any more.
    """
    if stored.header is None:
        return None
    keys = desk.tenancy.keys
    binding = binding_of(keys, stored)
    try:
        slotted = stored._replace(header=_with_slot(keys, binding, stored.header, leaves))
    except Shredded:
        return None
    if stored.segments and of is not None:
        sealed = segments.decode(stored.content or b"")
        for place, one in enumerate(sealed):
            if one is not None and of in founding_leaves(one.header):
                with suppress(Shredded):  # gone with somebody else before
                    header = _with_slot(keys, binding.segment(place), one.header, leaves)
                    sealed[place] = one._replace(header=header)
        slotted = slotted._replace(content=segments.encode(sealed))
    if slotted != stored:
        erasing.rewrap(desk.tx, slotted)
    return slotted


def _with_slot(keys: TenantKeyring, binding: Binding, header: bytes, leaves: tuple[int, ...]) -> bytes:
    """The header with a slot more, unless it has that. Shredded when nothing opens it any more."""
    slots = header_leaves(header)
    if leaves in slots:
        return header
    # Not through the keyring: it gives out no key of somebody who is being erased.
    state = keys.state
    opened = open_key(binding, header, state.derive)
    spent = {slot for slot in slots if any(state.is_punctured(leaf) for leaf in slot)}
    more = opened.add_slot(header, {leaf: state.derive(leaf) for leaf in leaves}, spent=spent)
    opened.wipe()
    return more


def _scope_leaf(desk: Desk, scope: str) -> int:
    """The leaf of what is about nobody in a scope; made when nothing there needed it yet."""
    found = desk.tx.ask((subjects.SCOPE_LEAVES, {"scopes": [scope]}))[0]
    if found:
        return int(found[0][1])
    leaf = leaf_number(*tenants.take_leaves(desk.tx, 1))
    desk.tx.put(subjects.INSERT_SCOPE_LEAF, {"scope": scope, "leaf": leaf})
    desk.tx.flush()
    return leaf
