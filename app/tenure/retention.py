"""When will it go, and why is it still here: a version's lifetime, for whoever may read the version.

Nothing is opened. It is an access like any other, on record as `listed` before it is answered.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tenure.access import Caller
from tenure.clocks import clocks_of
from tenure.errors import Denied, Erased, NotFound
from tenure.keys.seal import header_leaves
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.cohorts import Anchor, by_write, cohort_gone
from tenure.model.lifetime import Due, Lifetime, lifetime
from tenure.policy import rights
from tenure.reading import Read, is_current, not_found, withheld
from tenure.sealing import WITHDRAWN, erased
from tenure.store import cohorts, holds, subjects
from tenure.store.records import StoredVersion

HOLDS_SCOPE = "tenure.holds"


class Retained(NamedTuple):
    """A version, what its lifetime is as of `now` (microseconds), and the entry of having asked.

    `sees_holds`: whether the caller may know which holds there are, and not only that it is held. `cohort`:
    what it goes with; None for a version from before there were any. `cohort_gone`: when all of that
    goes, unless it counts from accesses or events.
    """

    record: str
    version: int
    scope: str
    key: str
    now: int
    lifetime: Lifetime
    lies: str
    """Where its content is now: `hot`, `cold`."""
    sees_holds: bool
    cohort: Anchor | None
    cohort_gone: Due | None
    entry: str


@dataclass(slots=True)
class Explain(Read):
    """The lifetime of one version. In a transaction of its own: holds are looked up."""

    solo: bool = True

    def answer(  # type: ignore[override]  # another answer to the same question
        self, caller: Caller, stored: StoredVersion, nonce: bytes
    ) -> Retained | Denied | NotFound | Erased:
        """What the rules of today say of it. Three to five statements more than a read."""
        desk = caller.desk
        seen = Access(record=stored.record_id, version=stored.version, action=Action.LISTED)
        if stored.state in WITHDRAWN:
            caller.record(Kind.ACCESS, "erased", seen._replace(action=Action.WITHHELD), nonce=nonce)
            return erased(desk.tx, stored.shred_id)
        if not is_current(stored, desk.now):
            caller.record(Kind.ACCESS, "not-found", nonce=nonce)
            return not_found()
        if (kept := withheld(caller, stored, nonce=nonce)) is not None:
            return kept
        rulebook = desk.tenancy.policy.rulebook
        rules = rulebook.of(stored.scope, stored.labels).rules
        clocks = clocks_of(desk.tx, rulebook, [stored])[stored.place]
        verdict = rights.decide_service(desk.tenancy.policy.engine, caller.principal, HOLDS_SCOPE, "read")
        found = cohorts.by_leaves(desk.tx, [stored.cohort]) if stored.cohort is not None else []
        cohort = Anchor.parse(found[0].anchor) if found else None
        return Retained(
            record=stored.record_id,
            version=stored.version,
            scope=stored.scope,
            key=self.key,
            now=desk.now,
            lifetime=lifetime(rules, clocks, held_by(caller, stored)),
            lies=stored.tier,
            sees_holds=verdict.allowed,
            cohort=cohort,
            cohort_gone=cohort_gone(rules, cohort) if cohort is not None and by_write(rules) else None,
            entry=caller.record(Kind.ACCESS, "ok", seen, nonce=nonce),
        )


def held_by(caller: Caller, stored: StoredVersion) -> list[str]:
    """The ids of the holds that cover a version, or anybody whom it is about."""
    tx = caller.desk.tx
    active = holds.active(tx)
    if not active:
        return []
    leaves = {leaf for slot in header_leaves(stored.header or b"") for leaf in slot}
    people = [one.id for one in subjects.by_leaves(tx, sorted(leaves))]
    return [hold.id for hold in active if any(hold.covers(one, stored) for one in people or [""])]
