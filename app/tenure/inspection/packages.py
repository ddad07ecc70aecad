"""Access packages, against the entry of their newest step: it seals the whole row as that step left it.

A row names that entry itself. One that was put back to an earlier step, entry and all, is as it once was: a
link that was given then opens it again until its time is over, and no further than that.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.people import below_sequence
from tenure.inspection.view import View, guarded
from tenure.ledger.entry import Kind
from tenure.model.access_package import Package
from tenure.model.cohorts import Anchor
from tenure.rights.package.pieces import SCOPE
from tenure.store import inspecting, tables
from tenure.store.cohorts import KEPT
from tenure.store.inspecting import Row

_T = tables.access_packages


def packages(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each package is as its newest step left it."""
    view.want([row["entry"] for row in page])
    leaves = {row["leaf"] for row in page}
    cohorts = {row["leaf"] for row in inspecting.where(view.tx, tables.cohorts, leaf=leaves)}
    for row in page:
        yield from guarded(view, "package", _T, (row["id"],), _package(view, row, cohorts))


def living(view: View) -> Iterator[Finding]:
    """Every leaf that was begun for a package and did not end still has its package: its row is here."""
    if not view.lives:
        return
    kept = inspecting.where(view.tx, tables.cohorts, state=KEPT)
    anchors = [Anchor.parse(row["anchor"]) for row in kept]
    owners = {one.owner for one in anchors if one.scope == SCOPE and one.owner is not None}
    for owner in sorted(owners - inspecting.known_ids(view.tx, _T.c.id, owners)):
        yield view.finding("packages-missing", _T, (owner,), "", "it did not end, and its row is not here")


def _package(view: View, row: Row, cohorts: set[int]) -> Iterator[Finding]:
    key, entry = (row["id"],), view.entry(row["entry"])
    if entry is None or entry["kind"] != Kind.PACKAGE or entry["data"].get("package") != row["id"]:
        yield view.finding("package", _T, key, "entry", "the ledger has no such step of it")
        return
    yield from below_sequence(view, "packages", key, row["leaf"])
    if row["leaf"] not in cohorts:
        yield view.finding("package", _T, key, "leaf", "nothing would end it: its leaf is no cohort's")
    if view.keys is not None:
        seal = rowseals.of_package(view.keys, Package(**{name: _plain(row[name]) for name in row}))
        if seal != entry["data"].get("row"):
            yield view.finding("package-row", _T, key, "", "it is not as its newest step left it")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column's value
    return bytes(value) if isinstance(value, memoryview) else value
