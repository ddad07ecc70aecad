"""Terms: the leaves that versions share which go together. A row seals itself; its end is an erasure."""

from collections.abc import Iterator, Sequence

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.people import below_sequence
from tenure.inspection.view import SETTLED, View, guarded
from tenure.model.terms import Anchor
from tenure.store import inspecting, tables
from tenure.store.inspecting import Row
from tenure.store.terms import ENDING, OPEN, OVER, Term

_T = tables.terms


def terms(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each term as it was begun, and ended by an erasure of it just when its key is gone."""
    named = {row["shred_id"] for row in page} - {None}
    table = tables.shreds
    erasures = {row["id"]: row for row in inspecting.where(view.tx, table, table.c.id.in_(named))}
    for row in page:
        found = _term(view, row, erasures.get(row["shred_id"]))
        yield from guarded(view, "term", _T, (row["id"],), found)


def _term(view: View, row: Row, erasure: Row | None) -> Iterator[Finding]:
    key, state = (row["id"],), row["state"]
    term = Term(**{name: row[name] for name in Term._fields})
    if view.keys is not None and row["seal"] != rowseals.of_term(view.keys, term):
        yield view.finding("term", _T, key, "seal", "id, anchor or leaf are not as when it was begun")
    Anchor.parse(row["anchor"])
    yield from below_sequence(view, "terms", key, row["leaf"])
    if state not in (OPEN, ENDING, OVER):
        yield view.finding("term", _T, key, "state", "there is no such state")
    if row["shred_id"] is None and state == ENDING:
        yield view.finding("term", _T, key, "shred_id", "an erasure is named where there is one")
    if row["shred_id"] is not None:
        yield from _ended(view, row, erasure)
    if view.keys is None or view.erasing:
        return
    if view.is_punctured(row["leaf"]) != (row["shred_id"] is not None):
        yield view.finding("term", _T, key, "leaf", "its key lives just until it is erased")
    if state != OPEN and inspecting.of_term(view.tx, row["leaf"]):
        yield view.finding("term", _T, key, "state", "it is over, and somebody may read a version of it")


def _ended(view: View, row: Row, erasure: Row | None) -> Iterator[Finding]:
    key = (row["id"],)
    if erasure is None or (erasure["kind"], erasure["target_id"]) != ("term", row["id"]):
        yield view.finding("term", _T, key, "shred_id", "it is not an erasure of this term")
    elif (erasure["state"] in SETTLED) != (row["state"] == OVER) and not view.erasing:
        yield view.finding("term", _T, key, "state", "its erasure says otherwise")
    elif row["state"] == OPEN:
        yield view.finding("term", _T, key, "state", "its erasure was asked for")
