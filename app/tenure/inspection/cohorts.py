"""Cohorts: the leaves that versions share which go together. A row seals itself; its end is an erasure."""

from collections.abc import Iterator, Sequence

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.people import below_sequence
from tenure.inspection.view import SETTLED, View, guarded
from tenure.model.cohorts import Anchor
from tenure.model.names import is_reserved_scope
from tenure.store import inspecting, tables
from tenure.store.cohorts import ENDING, KEPT, OPEN, OVER, Cohort
from tenure.store.inspecting import Row

_T = tables.cohorts


def cohorts(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each cohort as it was begun, and ended by an erasure of it just when its key is gone."""
    named = {row["shred_id"] for row in page} - {None}
    table = tables.shreds
    erasures = {row["id"]: row for row in inspecting.where(view.tx, table, id=named)}
    for row in page:
        found = _cohort(view, row, erasures.get(row["shred_id"]))
        yield from guarded(view, "cohort", _T, (row["id"],), found)


def _cohort(view: View, row: Row, erasure: Row | None) -> Iterator[Finding]:
    key, state = (row["id"],), row["state"]
    cohort = Cohort(**{name: row[name] for name in Cohort._fields})
    if view.keys is not None and row["seal"] != rowseals.of_cohort(view.keys, cohort):
        yield view.finding("cohort", _T, key, "seal", "id, anchor or leaf are not as when it was begun")
    own = is_reserved_scope(Anchor.parse(row["anchor"]).scope)
    yield from below_sequence(view, "cohorts", key, row["leaf"])
    if state not in (OPEN, KEPT, ENDING, OVER):
        yield view.finding("cohort", _T, key, "state", "there is no such state")
    if state in (OPEN, KEPT) and (state == KEPT) != own:
        # One of versions would never be looked at again, and what is in it would stay for ever.
        yield view.finding("cohort", _T, key, "state", "a leaf of its own is kept, one of versions is open")
    if row["shred_id"] is None and state == ENDING:
        yield view.finding("cohort", _T, key, "shred_id", "an erasure is named where there is one")
    if row["shred_id"] is not None:
        yield from _ended(view, row, erasure)
    if view.keys is None or view.erasing:
        return
    if view.is_punctured(row["leaf"]) != (row["shred_id"] is not None):
        yield view.finding("cohort", _T, key, "leaf", "its key lives just until it is erased")
    if state not in (OPEN, KEPT) and inspecting.of_cohort(view.tx, row["leaf"]):
        yield view.finding("cohort", _T, key, "state", "it is over, and somebody may read a version of it")


def _ended(view: View, row: Row, erasure: Row | None) -> Iterator[Finding]:
    key = (row["id"],)
    if erasure is None or (erasure["kind"], erasure["target_id"]) != ("cohort", row["id"]):
        yield view.finding("cohort", _T, key, "shred_id", "it is not an erasure of this cohort")
    elif (erasure["state"] in SETTLED) != (row["state"] == OVER) and not view.erasing:
        yield view.finding("cohort", _T, key, "state", "its erasure says otherwise")
    elif row["state"] in (OPEN, KEPT):
        yield view.finding("cohort", _T, key, "state", "its erasure was asked for")
