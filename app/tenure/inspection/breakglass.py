"""Elevations to roles for emergencies, against the entries of their steps.

Each step's entry seals the whole row as that step left it, so the newest step says what the row must be: by
whom, for how long, until when, the sealed reason and note among it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.view import View, differing, guarded
from tenure.ledger.entry import Kind
from tenure.model.breakglass import Elevation, State
from tenure.store import inspecting, tables
from tenure.store.inspecting import Row

_B = tables.breakglass
_STEPS = {
    "requested": (0, State.REQUESTED),
    "refused": (1, State.REFUSED),
    "approved": (1, State.ACTIVE),
    "ended": (2, State.ENDED),
    "reviewed": (3, State.REVIEWED),
}
"""An entry's outcome → its place among the steps, and the state that it leaves."""

Entry = dict[str, Any]


def elevations(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each elevation is as its newest step left it."""
    table = tables.entries
    mine = [row["id"] for row in page]
    found = inspecting.where(view.tx, table, breakglass_id=mine, kind=Kind.BREAKGLASS.value)
    names = [f"{row['writer']}-{row['n']}" for row in found]
    view.want(names)
    steps: dict[str, list[Entry]] = {}
    for name in names:
        entry = view.entry(name)
        if entry is not None and entry["outcome"] in _STEPS:
            steps.setdefault(entry["data"]["breakglass"], []).append(entry)
    for row in page:
        yield from guarded(
            view, "breakglass", _B, (row["id"],), _elevation(view, row, steps.get(row["id"], []))
        )


def _elevation(view: View, row: Row, steps: list[Entry]) -> Iterator[Finding]:
    key = (row["id"],)
    # A database that was put back has rows of before the entries that came back into it.
    mine = [one for one in steps if not view.is_put_back(one["writer"], one["n"])]
    returned = [one for one in steps if view.is_put_back(one["writer"], one["n"])]
    if not steps:
        yield view.finding("breakglass", _B, key, "id", "the ledger does not know that it was requested")
        return
    last = max(mine, key=lambda one: (_STEPS[one["outcome"]][0], one["at"]), default=None)
    allowed = [*returned, *([] if last is None else [last])]
    if row["state"] not in {_STEPS[one["outcome"]][1].value for one in allowed}:
        yield view.finding("breakglass", _B, key, "state", "its newest step left it in another state")
    for one in steps:
        if one["outcome"] == "requested":
            said = {name: one["data"][name] for name in ("role", "minutes")}
            yield from differing(view, "breakglass", _B, row, principal_id=one["principal"], **said)
    if view.keys is not None:
        seal = rowseals.of_elevation(view.keys, Elevation(**{name: _plain(row[name]) for name in row}))
        if seal not in {one["data"]["row"] for one in allowed}:
            yield view.finding("breakglass-row", _B, key, "", "it is not as its newest step left it")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column's value
    return bytes(value) if isinstance(value, memoryview) else value
