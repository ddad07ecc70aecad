"""The job that ends packages: whose term is over, whose person is gone; and pieces that belong to none.

    1 rows    of each tenant that has packages: ended in a transaction each, then their pieces removed
    2 pieces  folders that no row names: of an attempt that died, or of an end that did. Names are listed
              before rows are read, and a row names its folder before the first piece is put: none that is
              being written is taken for one

Safe to repeat, and to stop after any step.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.objects import Objects
from tenure.crew import Desk, Solo
from tenure.errors import TenureError, Unavailable
from tenure.ids import CELL
from tenure.model.access_package import Package
from tenure.rights.package import pieces, steps
from tenure.store import access_packages as store
from tenure.store import subjects, tenants
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.turn import GivenUp, Turn

_PAGE: Final = 200
_STRIDE: Final = 500
_log = structlog.get_logger(__name__)


class Ending:
    """Ends packages, and tidies up."""

    def __init__(
        self, batcher: Batcher, database: Database, objects: Objects, requested: Callable[[], None]
    ) -> None:
        """`requested` wakes the next batch of erasures."""
        self._batcher = batcher
        self._database = database
        self._objects = objects
        self._requested = requested

    async def run(self, turn: Turn) -> Mapping[str, int]:
        """How many packages ended, and how many pieces of no package were removed.

        When the object store cannot be used the run ends: Unavailable. Any other failure is one tenant's; the
        others' go on, and it is raised at the end.
        """
        counts: Counter[str] = Counter(ended=0, orphans=0)
        failed: TenureError | None = None
        there = await turn.in_thread(self._folders)
        concerned = await turn.in_thread(self._concerned)
        for tenant_id in sorted({*there, *concerned}):
            turn.check()
            try:
                if tenant_id in concerned:
                    counts["ended"] += await self._end(turn, tenant_id)
                counts["orphans"] += await self._sweep(turn, tenant_id, there.get(tenant_id, set()))
            except Unavailable:
                raise
            except TenureError as failure:
                _log.error("a tenant's packages could not be looked at", tenant=tenant_id, error=failure.kind)
                failed = failure
        if failed is not None:
            raise failed
        return counts

    async def _end(self, turn: Turn, tenant_id: str) -> int:
        after, ended = "", 0
        while True:
            page = partial(_due, after=after, now=ids.now())
            due, last = await turn.in_thread(self._database.read, tenant_id, page)
            for one in due:
                turn.check()
                ended += await self._one(turn, tenant_id, one)
            if last is None:
                break
            after = last
        if ended:
            self._requested()
        return ended

    async def _one(self, turn: Turn, tenant_id: str, package_id: str) -> int:
        def work(desk: Desk) -> Package | GivenUp | None:
            try:
                turn.confirm(desk.tx)
            except GivenUp as over:
                return over  # nothing was done; raised to the run after the commit
            found = store.get(desk.tx, package_id, lock=True)
            if found is None or not _is_due(desk.tx, found, desk.now):
                return None
            steps.end(desk, found)
            return found

        before = await self._batcher.submit(tenant_id, Solo(work))
        if before is not None and before.folder is not None:
            await turn.in_thread(pieces.drop, self._objects, tenant_id, before.folder)
        return int(before is not None)

    async def _sweep(self, turn: Turn, tenant_id: str, there: set[str]) -> int:
        if not there:
            return 0
        named = await turn.in_thread(self._database.read, tenant_id, store.folders)
        removed = 0
        for folder in sorted(there - named):
            turn.check()
            removed += await turn.in_thread(pieces.drop, self._objects, tenant_id, folder)
        return removed

    # ── blocking ─────────────────────────────────────────────────────────────────────────────────
    def _folders(self) -> dict[str, set[str]]:
        """Tenant → the folders that have pieces, as the object store lists them."""
        found: dict[str, set[str]] = {}
        for name in self._objects.names(pieces.FOLDER):
            tenant_id, _, rest = name.removeprefix(f"{pieces.FOLDER}/").partition("/")
            found.setdefault(tenant_id, set()).add(rest.partition("/")[0])
        return found

    def _concerned(self) -> set[str]:
        """Tenants that have packages. Two round trips for each 500 tenants."""
        all_ids = self._database.read(CELL, tenants.all_ids)
        found = set()
        for first in range(0, len(all_ids), _STRIDE):
            some = all_ids[first : first + _STRIDE]
            rows = self._database.read_each(some, store.ANY)
            found |= {tenant_id for tenant_id, has in zip(some, rows, strict=True) if has}
        return found


def _due(tx: Tx, *, after: str, now: int) -> tuple[list[str], str | None]:
    """Packages of a page that are to end, and where the page ends."""
    page = store.open_ones(tx, after=after, limit=_PAGE)
    due = [one.id for one in page if _is_due(tx, one, now)]
    return due, page[-1].id if len(page) == _PAGE else None


def _is_due(tx: Tx, package: Package, now: int) -> bool:
    if package.over(now):
        return package.state != "expired"
    person = subjects.get(tx, package.subject_id)
    return person is None or person.state != "active"
