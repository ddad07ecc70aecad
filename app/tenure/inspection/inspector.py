"""A whole inspection, in steps small enough to be done beside everything else.

    tenant    one after the other, the cell first
    section   one table each (`sections`), then the logs as trees (`trees`)
    page      one read-only transaction; keys are opened in it and wiped after it

What a page finds is looked at again a moment later, and only what is there each time is reported: on a server
whose statements do not share a snapshot, a page may otherwise meet half of somebody's commit.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from tenure import ids
from tenure.ids import CELL
from tenure.inspection import trees
from tenure.inspection.findings import Finding
from tenure.inspection.sections import SECTIONS, TREES, Section
from tenure.inspection.view import Anchors, Pass, guarded, viewed
from tenure.store import inspecting, tables, tenants
from tenure.store.inspecting import Key

AGAIN_S = 0.3, 1.0
"""How long after one look at a doubtful page there is the next. On a slow disk a commit takes its time."""
NOT_CHECKED = (
    "Rows of entries that have no place in the log yet: nothing is signed over them.",
    "What no entry binds: names of principals and tenants, and who an issuer's subject is here.",
    "Whether an event of a person was deleted: rules of retention then wait for it, and delete nothing.",
    "Whether a kept checkpoint between others was deleted, where the cell's log never took it in.",
    "Whether the last opening of a round of the cell's log was deleted, if its tree would do with one less.",
    "Time stamps' signatures, where no TENURE_TSA_CERTS says whom to believe: only what they are over.",
    "Contents in packs: each read compares them with their digest, opens them and makes its commitment.",
    "Whether the newest entries were cut off with all heads outside, where no row names them: ask witnesses.",
)
"""What an inspection does not see, for people."""


class Step(NamedTuple):
    """One piece of work: of which tenant and section, what it found, and whether that section is over."""

    tenant_id: str
    section: str
    findings: list[Finding]
    over: bool


class Inspector:
    """Inspects a cell. `again_s`: after which times a doubtful page is looked at again; () for never."""

    def __init__(
        self, anchors: Anchors, *, again_s: Sequence[float] = AGAIN_S, sections: Sequence[Section] = SECTIONS
    ) -> None:
        self._anchors = anchors
        self._again_s = again_s
        self._sections = sections
        self._purged: Counter[str] = Counter()
        self._last: Key | None = None

    def cell(self) -> Iterator[Step]:
        """Every tenant, from the list as it is at the start."""
        for tenant_id in self.tenant_ids():
            yield from self.tenant(tenant_id)

    def tenant_ids(self) -> list[str]:
        """The cell and its tenants; those that left too, where their ledger was kept."""
        read = self._anchors.ground.database.read
        listed = read(CELL, tenants.all_ids)
        shreds = tables.shreds
        left = read(CELL, lambda tx: inspecting.where(tx, shreds, kind="tenant"))
        kept = [row["target_id"] for row in left if row["target_id"] not in listed]
        return [CELL, *listed, *dict.fromkeys(kept)]

    def tenant(self, tenant_id: str) -> Iterator[Step]:
        """One tenant, a page at a time. Every section ends with a step that is `over`."""
        over = Pass(tenant_id, ids.now())
        for section in self._chosen(over):
            yield from self._section(over, section)
            over.complete.add(section.name)
        yield from self._logs(over)

    def _chosen(self, over: Pass) -> list[Section]:
        """Of a tenant that left there is only its ledger, where that was kept; the rest is being purged."""
        mine = [one for one in self._sections if not one.of_cell or over.tenant_id == CELL]
        with viewed(self._anchors, over) as view:
            if view.lives:
                return mine
            if view.handed_over:
                return []
        return [one for one in mine if one.table is not None and one.table.name in tables.LEDGER]

    def table(self, tenant_id: str, name: str) -> Iterator[Step]:
        """Only the sections over one table, without what they know from others."""
        over = Pass(tenant_id, ids.now())
        for section in self._sections:
            if section.table is not None and section.table.name == name:
                yield from self._section(over, section)

    def _logs(self, over: Pass) -> Iterator[Step]:
        with viewed(self._anchors, over) as view:
            gone = not view.lives and view.handed_over
        for found in () if gone else trees.logs(self._anchors, over):
            yield Step(over.tenant_id, TREES, found, over=False)
        yield Step(over.tenant_id, TREES, [], over=True)

    def _section(self, over: Pass, section: Section) -> Iterator[Step]:
        after: Key | None = None
        while section.check is not None:
            found = self._surely(partial(self._rows, over, section, after))
            if self._last is None:
                break
            after = self._last
            over.erased.update(self._purged)
            yield Step(over.tenant_id, section.name, found, over=False)
        last = self._surely(partial(self._whole, over, section)) if section.whole is not None else []
        yield Step(over.tenant_id, section.name, last, over=True)

    def _rows(self, over: Pass, section: Section, after: Key | None) -> list[Finding]:
        """Look at the page behind a key; `_last` is the key of its last row, None when there is no row."""
        table = section.table
        if table is None or section.check is None:
            return []
        with viewed(self._anchors, over) as view:
            page = inspecting.page(view.tx, table, after=after, limit=section.rows)
            self._last = inspecting.key_of(table, page[-1]) if page else None
            key = after or ()
            found = list(guarded(view, section.name, table, key, section.check(view, page))) if page else []
            self._purged = view.purged
            return found

    def _whole(self, over: Pass, section: Section) -> list[Finding]:
        assert section.whole is not None  # noqa: S101 - the caller looked
        table = section.table if section.table is not None else tables.key_pointer
        with viewed(self._anchors, over) as view:
            return list(guarded(view, section.name, table, (), section.whole(view)))

    def _surely(self, look: Callable[[], list[Finding]]) -> list[Finding]:
        found = look()
        for pause in self._again_s:
            if not found:
                break
            time.sleep(pause)
            again = set(look())
            found = [one for one in found if one in again]
        return found
