"""Which cohort a version that is being written belongs to: found, or begun with a leaf of its own."""

from tenure import ids, leaves, rowseals
from tenure.crew import Desk
from tenure.model.cohorts import Grouping, anchor
from tenure.store import cohorts as store
from tenure.store.cohorts import OPEN, Cohort
from tenure.tenancy import Tenancy

MOST_KNOWN = 20_000


def grouping(tenancy: Tenancy, scope: str, labels: str) -> Grouping:
    """How versions of this scope and these labels are grouped today; worked out once for each policy."""
    found = tenancy.groupings.get((scope, labels))
    if found is None:
        rules = tenancy.policy.rulebook.of(scope, labels).rules
        found = tenancy.groupings[scope, labels] = Grouping.of(rules)
    return found


def foreseen(tenancy: Tenancy, scope: str, labels: str, *, written: int, expires_at: int | None) -> list[str]:
    """The name of the cohort that a write will ask for, if that can be known before and is not known yet."""
    group = grouping(tenancy, scope, labels)
    if group.owner != "nobody":
        return []
    name = anchor(group, scope, labels, written=written, expires_at=expires_at, people=(), record="").name
    return [] if name in tenancy.cohorts else [name]


def cohort_of(
    desk: Desk,
    scope: str,
    labels: str,
    *,
    written: int,
    expires_at: int | None,
    people: list[str],
    record: str,
) -> int:
    """The leaf of the cohort. No round trip for one that this process knows; seldom one for one that is new.

    One further for a cohort of a person or record that it does not know.
    """
    group = grouping(desk.tenancy, scope, labels)
    mine = anchor(group, scope, labels, written=written, expires_at=expires_at, people=people, record=record)
    return leaf_of(desk, mine.name)[0]


def leaf_of(desk: Desk, name: str, *, fresh: bool = False) -> tuple[int, bool]:
    """The leaf of a cohort, by its anchor's name, and whether it is begun here. Trips as of `cohort_of`.

    `fresh`: there can be none yet, so that none is asked for.
    """
    known = desk.tenancy.cohorts
    leaf = desk.found.cohorts.get(name) if fresh else known_leaf(desk, name)
    if name in known:
        return known[name], False
    begun = leaf is None
    wanted = _begin(desk, name) if leaf is None else leaf
    if len(known) >= MOST_KNOWN:
        known.clear()
    desk.tx.after_commit(lambda: known.__setitem__(name, wanted))
    return wanted, begun


def known_leaf(desk: Desk, name: str) -> int | None:
    """The leaf of a cohort; None: there is none yet. A round trip for one that this process does not know."""
    if (leaf := desk.tenancy.cohorts.get(name)) is not None:
        return leaf
    if name not in desk.found.cohorts:
        rows = desk.tx.ask((store.BY_ANCHOR, {"anchors": [name]}))[0]
        desk.found.cohorts[name] = int(rows[0][2]) if rows else None
    return desk.found.cohorts[name]


def _begin(desk: Desk, name: str) -> int:
    leaf = leaves.of_something(desk)
    cohort = Cohort(ids.new_id(), name, leaf, OPEN, None, "")
    cohort = cohort._replace(seal=rowseals.of_cohort(desk.tenancy.keys, cohort))
    desk.tx.put(store.INSERT, cohort._asdict())
    desk.found.add(desk.found.cohorts, name, leaf)
    return leaf
