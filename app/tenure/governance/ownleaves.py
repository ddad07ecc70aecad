"""Leaves of their own, for what is sealed beside records: a case, a package. Ended by whoever began them.

Such a leaf is the cohort of nobody's versions, so all that holds for cohorts holds for it: its end is an
erasure with the next batch, no backup brings it back, and it is inspected like any.
"""

from tenure import ids, rowseals
from tenure.crew import Desk
from tenure.governance.erasures import begun
from tenure.keys.ggm import leaf_number
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.model.cohorts import Anchor
from tenure.store import cohorts as store
from tenure.store import tenants
from tenure.store.cohorts import ENDING, KEPT, Cohort
from tenure.store.shreds import Kind, Shred
from tenure.store.tenants import Epoch


def begin(desk: Desk, scope: str, owner_id: str) -> int:
    """A leaf for one thing, `owner_id`, of a service scope such as `tenure.requests`. Three round trips."""
    leaf = leaf_number(*tenants.take_leaves(desk.tx, 1))
    name = Anchor(scope, "", desk.now, desk.now + 1, None, owner_id).name
    cohort = Cohort(ids.new_id(), name, leaf, KEPT, None, "")
    desk.tx.put(store.INSERT, cohort._replace(seal=rowseals.of_cohort(desk.tenancy.keys, cohort))._asdict())
    return leaf


def end(desk: Desk, leaf: int, *, by: str) -> Shred | None:
    """Ask for the erasure of such a leaf: from now on nobody is given its key. None: it was asked for before.

    `by`: the principal, or `ids.CELL` for the service itself. On record in the same transaction.
    """
    tx = desk.tx
    found = [one for one in store.by_leaves(tx, [leaf]) if one.state == KEPT]
    if not found:
        return None
    shred = begun(tx, Kind.COHORT, found[0].id, by=by, at=desk.now, findings={})
    store.move(tx, found[0].id, state=ENDING, shred_id=shred.id)
    data = {
        "shred": shred.id,
        "cohort": found[0].id,
        "versions": 0,
        "row": rowseals.of_shred(desk.tenancy.keys, shred),
    }
    principal = None if by == ids.CELL else by
    tx.append(EntryDraft(Act.SHRED, desk.now, "requested", principal=principal, data=data))
    tenants.raise_epoch(tx, Epoch.KEYS)
    return shred
