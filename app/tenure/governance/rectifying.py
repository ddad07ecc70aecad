"""What a rectification marks (GDPR Art. 16): the version that was wrong, and all that was derived from it.

The old version is kept and not read any more, by number or as of a past time; its record's history says
since when. What was derived from it, however far down, is stale: it is read as ever and says since when,
until a newer version of its record is written. Where its scope has a webhook, the application is asked to
derive it again (`rederive`). What is derived later from either is stale from the beginning (`writing`).

One entry of kind `rectification` names all of these versions: the old one as `withheld`, stale ones as
`listed`; inspections compare every mark with it.
"""

from typing import Final, NamedTuple

from tenure.crew import Desk
from tenure.errors import Invalid
from tenure.governance.derived import REDERIVE
from tenure.governance.service import Seat
from tenure.governance.subjectlimits import record
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.record import Written
from tenure.store import rectifying as store
from tenure.store import rederivations
from tenure.store.records import StoredVersion
from tenure.store.rectifying import Derived

MOST_STALE: Final = 10_000
"""Versions that one rectification marks as stale, the nearest first."""
_AT_ONCE: Final = 500
_HOUR: Final = 3_600_000_000


class Rectified(NamedTuple):
    """How many versions became stale, and how many of these an application is asked to derive again.

    `complete`: false when there are more than `MOST_STALE`. `entry`: None when it was done before.
    """

    stale: int
    asked: int
    complete: bool
    entry: str | None


def rectified(where: Seat | Desk, old: StoredVersion, new: Written, request_id: str) -> Rectified:
    """Mark what a newer version of the same record corrects; effective with the commit.

    A few round trips, and two for each 500 versions that were derived. Done again it changes nothing. Raises
    Invalid unless `new` is a newer version of the record of `old`.
    """
    desk = where.desk if isinstance(where, Seat) else where
    if old.record_id != new.record or old.version >= new.version:
        raise Invalid(
            "What corrects a version is not a newer one of the same record; nothing was marked.",
            field="version",
            rule="a newer version of the same record",
            remedy="Write the corrected version first, and name it.",
        )
    if not store.restrict(desk.tx, old.place, at=desk.now):
        return Rectified(0, 0, complete=True, entry=None)
    found, complete = _descendants(desk, old.version_id, new)
    stale = [one for one in found if one.state == "live" and one.stale_since is None]
    again = [one for one in stale if _is_asked_for(desk, one)]
    store.mark_stale(desk.tx, [one.place for one in stale], at=desk.now)
    entry = record(
        where,
        Kind.RECTIFICATION,
        "ok",
        {"request": request_id, "stale": len(stale), "asked": len(again), "complete": complete},
        accesses=[
            Access(old.record_id, old.version, Action.WITHHELD),
            *(Access(one.record_id, one.version, Action.LISTED) for one in stale),
        ],
    )
    rederivations.create(desk.tx, [_asked(desk, one, request_id) for one in again])
    return Rectified(len(stale), len(again), complete, entry)


def _descendants(desk: Desk, version_id: str, new: Written) -> tuple[list[Derived], bool]:
    """What was derived from a version, nearest first, and whether that is all. Not what corrects it."""
    seen, front = {version_id, new.version_id}, [version_id]
    found: list[Derived] = []
    while front:
        children = store.derived_from(desk.tx, front[:_AT_ONCE])
        front = front[_AT_ONCE:]
        fresh = [one for one in children if one.version_id not in seen]
        seen.update(one.version_id for one in fresh)
        found += fresh
        front += [one.version_id for one in fresh]
        if len(found) > MOST_STALE:
            return found[:MOST_STALE], False
    return found, True


def _is_asked_for(desk: Desk, one: Derived) -> bool:
    """Only what its record shows now is derived again, where somebody can be asked."""
    spec = desk.tenancy.policy.configuration.scopes.get(one.scope)
    rule = None if spec is None else spec.on_derived.on_erasure
    return rule == REDERIVE and one.is_current(desk.now)


def _asked(desk: Desk, one: Derived, request_id: str) -> rederivations.Rederivation:
    hours = desk.tenancy.policy.configuration.scopes[one.scope].on_derived.within_hours or 0
    return rederivations.begun(
        shred_id=request_id,
        scope=one.scope,
        record_id=one.record_id,
        version=one.version,
        version_id=one.version_id,
        at=desk.now,
        deadline=desk.now + hours * _HOUR,
        cause=rederivations.RECTIFICATION,
    )
