"""Notices to recipients, against the entries of their states.

A row names the entry of its present state, and that entry seals the row. So nobody makes a notice `sent` that
was never sent, or turns it to another recipient. Attempts on the way are in no entry.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.view import View, differing, guarded
from tenure.ledger.entry import Kind
from tenure.model.notices import Notice
from tenure.store import tables
from tenure.store.inspecting import Row

_N = tables.notices


def notices(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each notice is as the entry that it names says."""
    view.want(row["entry"] for row in page)
    for row in page:
        yield from guarded(view, "notice", _N, (row["id"],), _notice(view, row))


def _notice(view: View, row: Row) -> Iterator[Finding]:
    entry = view.entry(row["entry"])
    if entry is None or entry["kind"] != Kind.NOTICE:
        yield view.finding("notice", _N, (row["id"],), "entry", "no such entry is about a notice")
        return
    data = entry["data"]
    yield from differing(
        view,
        "notice",
        _N,
        row,
        id=data["notice"],
        request_id=data["request"],
        recipient=data["recipient"],
        event=data["event"],
        state=entry["outcome"],
    )
    notice = Notice(**{name: _plain(row[name]) for name in Notice._fields})
    if view.keys is not None and data["row"] != rowseals.of_notice(view.keys, notice):
        yield view.finding("notice-row", _N, (row["id"],), "", "it is not as its entry left it")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column's value
    return bytes(value) if isinstance(value, memoryview) else value
