"""The inspection that never ends: a little at a time, beside everything else, and an alarm for what it finds.

Each run goes on where the last ended, for at most `BUDGET_S`. What was found stays on record, in metrics and
for whoever asks, until a later pass over the same section does not find it again. Of several processes of a
cell one does it: the first of those that live.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog

from tenure import ids
from tenure.governance.replica import Replica
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import Inspector, Step
from tenure.store import replicas
from tenure.store.database import Database

BUDGET_S = 0.5
"""How long one run works before it leaves the rest to the next."""
_log = structlog.get_logger(__name__)


class Standing(NamedTuple):
    """How far it is. Instants in microseconds; `passed_at` is when every tenant had been seen, last time."""

    steps: int
    passes: int
    ran_at: int | None
    passed_at: int | None
    failed_at: int | None


class Patrol:
    """Walks over a cell for ever. `run` is called by a schedule, in a thread, one at a time."""

    def __init__(self, inspector: Inspector, database: Database, replica: Replica) -> None:
        self._inspector = inspector
        self._database = database
        self._replica = replica
        self._walk: Iterator[Step] | None = None
        self._open: dict[tuple[str, str], set[Finding]] = {}
        self._fresh: set[Finding] = set()
        self.standing = Standing(0, 0, None, None, None)

    @property
    def findings(self) -> list[Finding]:
        """What is not as it was written, as far as is known now."""
        return sorted(one for found in self._open.values() for one in found)

    def counts(self) -> dict[tuple[str, str], int]:
        """(check, table) → how many rows."""
        return dict(Counter((one.check, one.table) for one in self.findings))

    def run(self, *, enough: Callable[[], bool] | None = None) -> bool:
        """Go on until it is `enough`, by default after `BUDGET_S`; True when a pass came to its end.

        Nothing is done while another process of the cell does it.
        """
        if not self._is_mine():
            self._walk = None
            self._fresh.clear()
            return False
        until = time.monotonic() + BUDGET_S
        stop = enough or (lambda: time.monotonic() >= until)
        walk = self._walk if self._walk is not None else self._inspector.cell()
        self._walk = None  # whatever breaks below, the next run begins a new pass
        try:
            while (step := self._next(walk)) is not None:
                self._take(step)
                if stop():
                    self._walk = walk
                    break
        except BaseException:
            self.standing = self.standing._replace(failed_at=ids.now())
            self._fresh.clear()
            raise
        finally:
            self.standing = self.standing._replace(ran_at=ids.now())
        if self._walk is not None:
            return False
        self.standing = self.standing._replace(passes=self.standing.passes + 1, passed_at=ids.now())
        return True

    def _next(self, walk: Iterator[Step]) -> Step | None:
        """One step; the fence of an erasure waits for it, because it opens keys."""
        with self._replica.at_work:
            return next(walk, None)

    def _take(self, step: Step) -> None:
        self.standing = self.standing._replace(steps=self.standing.steps + 1)
        known = self._open.get((step.tenant_id, step.section), set())
        for finding in step.findings:
            self._fresh.add(finding)
            if finding not in known:
                # On record at once: the rest of the section may take hours.
                known = self._open.setdefault((step.tenant_id, step.section), set())
                known.add(finding)
                _raise(finding)
        if step.over:
            for finding in sorted(known - self._fresh):
                _log.warning("found no longer", **_named(finding))
            self._open.pop((step.tenant_id, step.section), None)
            if self._fresh:
                self._open[step.tenant_id, step.section] = set(self._fresh)
            self._fresh.clear()

    def _is_mine(self) -> bool:
        if self._database.dialect == "sqlite":
            return True  # one process has the file
        alive = [one.id for one in self._database.read(CELL, replicas.every) if one.live]
        return bool(alive) and alive[0] == self._replica.id


def _raise(finding: Finding) -> None:
    _log.error("stored data was changed", detail=finding.detail, **_named(finding))


def _named(finding: Finding) -> dict[str, str]:
    """Opaque ids and names of columns."""
    return {
        "check": finding.check,
        "tenant": finding.tenant,
        "table": finding.table,
        "row": finding.where,
        "column": finding.column,
    }
