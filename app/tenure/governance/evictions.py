"""What has had its time is shredded: the leaf of its cohort goes with the next batch of erasures.

A cohort is over when the rules of today let the last of its versions go (`model.lifetime`): floors and open
floors count as in the answer to "when will it go?". What a hold covers outlives its cohort, and nobody reads
it.
"""

from collections.abc import Callable
from typing import NamedTuple

from tenure import ids, rowseals
from tenure.clocks import clocks_of
from tenure.crew import Desk
from tenure.errors import Unavailable
from tenure.governance.erasures import begun
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.model.cohorts import Anchor, by_write, cohort_gone
from tenure.model.lifetime import Due, lifetime
from tenure.store import clock, cohorts, tenants
from tenure.store.cohorts import Cohort
from tenure.store.records import Place
from tenure.store.session import Tx
from tenure.store.shreds import Kind
from tenure.store.tenants import Epoch

_CHUNK = 500
SKEW_US = 300_000_000
"""How far this process's clock may be from the database's: beyond, it ends nothing."""


class Looked(NamedTuple):
    """A page of cohorts was looked at: the last one, None when there are no more; what ended."""

    last: str | None
    cohorts: int
    versions: int


def look(desk: Desk, *, after: str | None, confirm: Callable[[Tx], None]) -> Looked:
    """End every cohort that is over among the next 500 of the desk's tenant; `confirm` before the first.

    Two statements for a page in which none is over and all counts from the write; five more for each that is.
    """
    tx, now = desk.tx, _now(desk)
    found = cohorts.page(tx, after=after, limit=_CHUNK)
    ended = versions = 0
    for cohort in found:
        anchor = Anchor.parse(cohort.anchor)
        over = due(desk, cohort, anchor, now)
        if over is None:
            continue
        if not ended:
            confirm(tx)
        count = cohorts.count(tx, cohort.leaf)
        _end(desk, cohort, anchor, over, count)
        ended, versions = ended + 1, versions + count
    if ended:
        tenants.raise_epoch(tx, Epoch.KEYS)  # from now on nobody is given the keys of their leaves
    return Looked(found[-1].id if len(found) == _CHUNK else None, ended, versions)


def due(desk: Desk, cohort: Cohort, anchor: Anchor, now: int) -> Due | None:
    """When the last version of a cohort was to go, and by which rule, as the rules are; None: not yet.

    Holds are not looked at: what they cover outlives its cohort. No statement if everything counts from the
    write; else a few for each 500 versions, up to the first that has time left.
    """
    rulebook = desk.tenancy.policy.rulebook
    rules = rulebook.of(anchor.scope, anchor.labels).rules
    if by_write(rules):
        over = cohort_gone(rules, anchor)
        return over if over is not None and over.at <= now else None
    if (anchor.expires or anchor.ends) > now:
        return None  # it may grow still
    last: Due | None = None
    after: Place | None = None
    while page := cohorts.live(desk.tx, cohort.leaf, limit=_CHUNK, after=after):
        clocks = clocks_of(desk.tx, rulebook, page)
        for one in page:
            gone = lifetime(rules, clocks[one.place]).gone
            if gone is None or gone.at > now:
                return None
            last = gone if last is None else max(last, gone)
        after = page[-1].place
    return last


def _end(desk: Desk, cohort: Cohort, anchor: Anchor, over: Due, count: int) -> None:
    """Nothing live in it: it is over. Otherwise its erasure is asked for, on record."""
    tx = desk.tx
    if not count:
        cohorts.move(tx, cohort.id, state=cohorts.OVER)
        return
    rule = {"rule": over.rule, "due": ids.rfc3339(over.at)}
    of = {
        "scope": anchor.scope,
        "categories": anchor.labels.split(","),
        "written_before": ids.rfc3339(anchor.ends),
    }
    shred = begun(tx, Kind.COHORT, cohort.id, by=CELL, at=desk.now, findings={"retention": {**rule, **of}})
    cohorts.move(tx, cohort.id, state=cohorts.ENDING, shred_id=shred.id)
    row = rowseals.of_shred(desk.tenancy.keys, shred)
    data = {"shred": shred.id, "cohort": cohort.id, "versions": count, "row": row, **rule}
    policy = desk.tenancy.policy.digest
    tx.append(EntryDraft(Act.RETENTION_EVICT, desk.now, "requested", policy=policy, data=data))


def _now(desk: Desk) -> int:
    """The instant by which things go: by this process's clock, if the database's agrees with it.

    Raises Unavailable when it does not: a clock that is ahead would end what has time left. SQLite is read by
    this process alone, and has no clock of its own.
    """
    if desk.tx.connection.dialect.name == "sqlite":
        return desk.now
    theirs = clock.read(desk.tx)
    if abs(theirs - desk.now) > SKEW_US:
        raise Unavailable(
            f"This process's clock is {abs(theirs - desk.now) // 1_000_000} s off the database's: nothing "
            "was ended.",
            remedy="Set both machines' clocks by one time source.",
        )
    return min(theirs, desk.now)
