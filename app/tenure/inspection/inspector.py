"""A whole inspection, in steps small enough to be done beside everything else.

    tenant    one after the other, the cell first
    section   one table each (`sections`), then the logs as trees (`trees`)
    page      one read-only transaction; keys are opened in it and wiped after it

What a page finds is looked at again a moment later, and only what is there both times is reported: on a
server whose statements do not share a snapshot, a page may otherwise meet half of somebody's commit.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Table

from tenure import ids
from tenure.ids import CELL
from tenure.inspection import trees
from tenure.inspection.findings import Finding
from tenure.inspection.sections import LOGS, SECTIONS, Section
from tenure.inspection.view import Anchors, Pass, View, guarded, viewed
from tenure.store import inspecting, tables, tenants
from tenure.store.inspecting import Key, Row

PAGE = 200
AGAIN_S = 0.3
NOT_CHECKED = (
    "Rows of entries that have no place in the log yet: nothing is signed over them.",
    "What nobody wrote an entry about: names and roles of principals, names of tenants, manifests.",
    "Whether a kept checkpoint between others was deleted: nothing else names it.",
    "Whether the newest entries were cut off with every head outside, where no other row names them: that "
    "is what witnesses and checkpoints in other hands are for.",
)
"""What an inspection does not see, for people."""


class Step(NamedTuple):
    """One piece of work done: of which tenant and section, what it found, and whether that section is over."""

    tenant_id: str
    section: str
    findings: list[Finding]
    over: bool


class Inspector:
    """Inspects a cell. `again_s`: how long after a first look a doubtful page is looked at again."""

    def __init__(
        self, anchors: Anchors, *, again_s: float = AGAIN_S, sections: Sequence[Section] = SECTIONS
    ) -> None:
        self._anchors = anchors
        self._again_s = again_s
        self._sections = sections
        self._purged: Counter[str] = Counter()

    def cell(self) -> Iterator[Step]:
        """Every tenant, from the list as it is at the start."""
        for tenant_id in self.tenant_ids():
            yield from self.tenant(tenant_id)

    def tenant_ids(self) -> list[str]:
        """The cell and its tenants; those that left too, where their ledger was kept."""
        read = self._anchors.ground.database.read
        listed = read(CELL, tenants.all_ids)
        shreds = tables.shreds
        left = read(CELL, lambda tx: inspecting.where(tx, shreds, shreds.c.kind == "tenant"))
        kept = [row["target_id"] for row in left if row["target_id"] not in listed]
        return [CELL, *listed, *dict.fromkeys(kept)]

    def tenant(self, tenant_id: str) -> Iterator[Step]:
        """One tenant, a page at a time. Every section ends with a step that is `over`."""
        over = Pass(tenant_id, ids.now())
        for section in self._sections:
            if section.of_cell and tenant_id != CELL:
                continue
            yield from self._section(over, section)
            over.complete.add(section.name)
        found: list[Finding] = []
        for found in trees.logs(self._anchors, over):
            yield Step(tenant_id, LOGS, found, over=False)
        yield Step(tenant_id, LOGS, [], over=True)

    def _section(self, over: Pass, section: Section) -> Iterator[Step]:
        if section.table is not None and section.check is not None:
            after: Key | None = None
            while page := self._page(over, section.table, after):
                look = partial(self._rows, over, section, after)
                found = self._twice(look)
                over.erased.update(self._purged)
                yield Step(over.tenant_id, section.name, found, over=False)
                after = inspecting.key_of(section.table, page[-1])
        last = self._twice(partial(self._whole, over, section)) if section.whole is not None else []
        yield Step(over.tenant_id, section.name, last, over=True)

    def _page(self, over: Pass, table: Table, after: Key | None) -> list[Row]:
        read = self._anchors.ground.database.read
        return read(over.tenant_id, partial(inspecting.page, table=table, after=after, limit=PAGE))

    def _rows(self, over: Pass, section: Section, after: Key | None) -> list[Finding]:
        table = section.table
        if table is None or section.check is None:
            return []
        with viewed(self._anchors, over) as view:
            page = inspecting.page(view.tx, table, after=after, limit=PAGE)
            key = after or ()
            found = list(guarded(view, section.name, table, key, section.check(view, page))) if page else []
            self._purged = view.purged
            return found

    def _whole(self, over: Pass, section: Section) -> list[Finding]:
        def look(view: View) -> list[Finding]:
            table = section.table if section.table is not None else tables.key_pointer
            assert section.whole is not None  # noqa: S101 - the caller looked
            return list(guarded(view, section.name, table, (), section.whole(view)))

        with viewed(self._anchors, over) as view:
            return look(view)

    def _twice(self, look: Callable[[], list[Finding]]) -> list[Finding]:
        found = look()
        if not found or not self._again_s:
            return found
        time.sleep(self._again_s)
        again = set(look())
        return [one for one in found if one in again]
