"""One case: a kill, what happens next, and the verdict on it."""

import asyncio
import shutil
import signal
import sqlite3
import time
import traceback
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from fault.matrix.actors import PATIENCE_S, erasing, left_behind, recovering
from fault.matrix.children import Child
from fault.matrix.scene import Scene
from fault.matrix.verdict import Judge, Verdict
from support.attic import mirror_of
from support.cell import Cell
from support.durable import Step, When

NOT_REACHED = "not reached"
_STOPS = 200
START = Step("nothing yet", 1)
"""Killed right after the request was acknowledged."""


class Next(StrEnum):
    """What happens after the kill, before the cell is started normally."""

    NOTHING = "nothing else"
    RESTORED = "database restored"
    MIRROR_LOST = "mirror lost"
    STALE = "stale replica"
    AGAIN = "crash again"


class Case(NamedTuple):
    """Killed right before or after a step.

    `again`: the recovery is killed too, after so many steps of its own. `broken`: see `fault.matrix.broken`.
    """

    kind: str
    step: Step
    when: When
    next: Next
    again: int = 0
    broken: str = ""

    def __str__(self) -> str:
        after = f"{self.next} at {self.again}" if self.again else str(self.next)
        return f"{self.kind}, killed {self.when} {self.step!s}, {after}"


_LEASE = "commit replicas"


def run(case: Case, scene: Scene, folder: Path, database: str | None) -> Verdict:
    """Play a case on a fresh copy of the scene. In a process of its own, which must have one thread."""
    cell = scene.copy(folder, database)
    judge = Judge(scene, cell)
    with ExitStack() as stack:
        replica = _left_behind(cell, stack) if case.next is Next.STALE else None
        asked = _erase(case, cell, judge)
        if case.next is Next.RESTORED:
            scene.put_back(cell)
        elif case.next is Next.MIRROR_LOST:
            shutil.rmtree(mirror_of(cell))
        elif case.next is Next.AGAIN:
            _recover(case, cell, judge)
            judge.killed(asked)
        try:
            asyncio.run(judge.judge(replica))
        except Exception as failure:  # noqa: BLE001 - one more thing that is wrong, beside what was found
            judge.verdict.other.append("".join(traceback.format_exception(failure)[-3:]))
    return judge.verdict


def steps(scene: Scene, folder: Path, database: str | None) -> list[Step]:
    """The durable steps of an erasure that is left alone. The lease is renewed at any time: no step of it."""
    cell = scene.copy(folder, database)
    said, _ = Child(erasing(cell, None), _log(cell)).end(PATIENCE_S)
    found = [Step(*line["step"]) for line in said if "step" in line]
    return [step for step in found if step.name != _LEASE]


def recovery_steps(scene: Scene, folder: Path, database: str | None) -> int:
    """How many durable steps a start has that finds an erasure just asked for."""
    cell = scene.copy(folder, database)
    _erase(Case("", START, "after", Next.NOTHING), cell, Judge(scene, cell))
    said, _ = Child(recovering(cell, 0), _log(cell)).end(PATIENCE_S)
    return max((line["seen"] for line in said), default=0)


def _erase(case: Case, cell: Cell, judge: Judge) -> dict[str, str]:
    kill = (case.step, case.when)
    said, status = Child(erasing(cell, kill, at_once=case.step == START), _log(cell)).end(PATIENCE_S)
    asked: dict[str, str] = next((line["asked"] for line in said if "asked" in line), {})
    _died(status, judge)
    if case.step != START and not any("reached" in line for line in said):
        judge.verdict.remarks.append(NOT_REACHED)
    judge.killed(asked)
    return asked


def _recover(case: Case, cell: Cell, judge: Judge) -> None:
    said, status = Child(recovering(cell, case.again), _log(cell)).end(PATIENCE_S)
    _died(status, judge)
    if not any("reached" in line for line in said):
        judge.verdict.remarks.append(NOT_REACHED)


def _left_behind(cell: Cell, stack: ExitStack) -> Child:
    """A replica that serves, and stands still from now until it is woken."""
    replica = Child(left_behind(cell), _log(cell))
    stack.callback(replica.kill)
    assert replica.hear(PATIENCE_S), "the replica did not start"
    for _ in range(_STOPS):
        replica.stop()
        if not _in_transaction(cell):
            return replica
        replica.signal(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("the replica is never idle")


def _in_transaction(cell: Cell) -> bool:
    """Whether the one process that has the database open is in the middle of a transaction.

    Stopped there it would hold locks that everybody waits for, as no process that a scheduler pauses should;
    a server ends such sessions (`idle_in_transaction_session_timeout`).
    """
    if cell.dialect == "sqlite":
        database = sqlite3.connect(cell.settings.data_dir / "tenure.db", timeout=0, isolation_level=None)
        with closing(database) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
        return False
    busy = "state <> 'idle' AND datname = current_database() AND pid <> pg_backend_pid()"
    return bool(cell.rows(f"SELECT 1 FROM pg_stat_activity WHERE {busy}"))


def _died(status: int, judge: Judge) -> None:
    if status != -signal.SIGKILL:
        judge.verdict.other.append(f"a process that was to be killed ended with {status}; see its log")


def _log(cell: Cell) -> Path:
    return cell.settings.data_dir.parent / "processes.log"
