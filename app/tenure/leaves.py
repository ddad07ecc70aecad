"""Leaves for what is new, taken from the tenant's sequence several at a time.

Whoever takes some holds the sequence until the transaction ends, and others wait for that commit. So a
process takes more than it needs now: what a batch leaves over is kept for the next ones. What is lost on the
way is never used, which harms nobody.
"""

from tenure.crew import Desk
from tenure.keys.nodes import leaf_number
from tenure.store import tenants
from tenure.store.database import Clash

SPARE = 32


def of_something(desk: Desk) -> int:
    """A leaf of a cohort or a scope. One round trip in `SPARE` times."""
    kept = desk.tenancy.spare_leaves
    try:
        return kept.popleft()
    except IndexError:
        if not desk.taken:
            _take(desk, SPARE)
            # Kept after the commit only: until then nobody knows whether they were taken.
            desk.tx.after_commit(lambda: kept.extend(desk.taken))
    return desk.taken.pop()


def of_somebody(desk: Desk) -> int:
    """A person's leaf, with the sequence held until the transaction ends: their bucket stays where it is.

    One round trip for all people of a batch who are new. Clash when an erasure moved a bucket since the batch
    asked: this person may be known by another index (`governance.rekey`).
    """
    if desk.keys_now is None or not desk.taken:
        _take(desk, max(1, desk.found.strangers))
    if desk.keys_now != desk.tenancy.epochs.keys:
        raise Clash
    return desk.taken.pop()


def _take(desk: Desk, count: int) -> None:
    epoch, first, desk.keys_now = tenants.take_leaves_for_now(desk.tx, count)
    # The highest is used first: so one that is in use stands right below the sequence, and guards it.
    desk.taken += (leaf_number(epoch, first + place) for place in range(count))
