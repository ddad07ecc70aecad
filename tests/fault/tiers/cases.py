"""Which cases there are, and playing them: one process that dies, then one that judges."""

import os
import select
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Any, NamedTuple

from fault.matrix.children import Child
from fault.tiers.dying import NAMING, dying
from fault.tiers.faults import BUCKET, FILES, Fault
from fault.tiers.places import Shelf
from fault.tiers.scene import Act, Scene
from fault.tiers.verdict import Verdict, dead, judging
from support.durable import Step, When
from support.rgw import Bucket, S3Server
from tenure.ids import new_id

PATIENCE_S = 90.0
_BEFORE = ("claim", "move", "give up", NAMING)
"""Steps before whose end there is something half done: a transaction, or a file."""
_SAME = ("give up", "forget")
"""Steps, like the half done ones, that are the database's alone: with a bucket they are not played again."""
Said = tuple[list[dict[str, Any]], int]
Playing = Generator[Child, Said, Any]


class Case(NamedTuple):
    """Killed right before or after a step of the job; without one at the end of it."""

    act: Act
    fault: str
    kill: tuple[Step, When] | None

    def __str__(self) -> str:
        return f"{self.act}, {self.fault}, killed {at(self.kill)}"


def at(kill: tuple[Step, When] | None) -> str:
    """A kill in words."""
    return f"{kill[1]} {kill[0]!s}" if kill else "at the end"


class Stage(NamedTuple):
    """Where cases are played: cells to copy, a folder, and a server for buckets or None for files."""

    scenes: Mapping[Act, Scene]
    folder: Path
    server: S3Server | None
    buckets: dict[Path, Bucket]
    """One for each slot: a fault may be the whole bucket's."""

    @property
    def faults(self) -> Mapping[str, Fault]:
        """What can go wrong there."""
        return BUCKET if self.server else FILES

    def steps(self, act: Act, fault: str, slot: Path) -> Playing:
        """The kills of a case's run, in their order, found by running it without one."""
        _, _, said, _ = yield from self._died(Case(act, fault, None), slot)
        kills: list[tuple[Step, When]] = []
        for line in said:
            if "step" in line:
                step = Step(*line["step"])
                kills += [(step, "before")] if step.name in _BEFORE and not self.server else []
                kills += [(step, "after")] if step.name not in _SAME or not self.server else []
        if not kills:  # a table without cases would say that all is well
            raise AssertionError(f"{act}, {fault}: nothing was done: {_log(slot).read_text()[-600:]}")
        return kills

    def play(self, case: Case, slot: Path) -> Playing:
        """One case: its verdict."""
        cell, shelf, said, status = yield from self._died(case, slot)
        verdict = Verdict(other=dead(said, self.faults[case.fault], reached=case.kill is not None))
        if status != -SIGKILL:
            verdict.other.append(f"the process that was to be killed ended with {status}")
        told, _ = yield Child(judging(cell, self.scenes[case.act], shelf, said), _log(slot))
        if not told:
            verdict.other.append("the cell was not judged: " + _log(slot).read_text()[-600:])
        for line in told:
            for sort, found in line["verdict"].items():
                getattr(verdict, sort).extend(found)
        return verdict

    def _died(self, case: Case, slot: Path) -> Generator[Child, Said, tuple[Any, Shelf, Any, int]]:
        cell = self.scenes[case.act].copy(slot)
        if self.server is not None and slot not in self.buckets:
            self.buckets[slot] = self.server.bucket()
        shelf = Shelf(cell, self.buckets.get(slot), f"{new_id()}/").filled()
        said, status = yield Child(dying(cell, shelf, self.faults[case.fault], case.kill), _log(slot))
        return cell, shelf, said, status


def _log(slot: Path) -> Path:
    return slot.with_suffix(".log")


class _Running(NamedTuple):
    number: int
    slot: Path
    playing: Playing
    child: Child
    since: float


def side_by_side(
    playings: Iterable[Any], folder: Path, jobs: int, keep: Path | None = None
) -> Iterator[tuple[int, Any]]:
    """Play what `playings` make of a slot, so many at a time: (which, what came of it), as they end.

    Processes are forked from here, which has one thread; what is waited for are their ends. A process that
    hangs is killed: its verdict says so.
    """
    waiting, free = enumerate(playings), [folder / f"slot{n}" for n in range(jobs)]
    running: dict[int, _Running] = {}
    while True:
        while free and (following := next(waiting, None)) is not None:
            slot = free.pop()
            playing = following[1](slot)
            _follow(running, _Running(following[0], slot, playing, next(playing), time.monotonic()))
        if not running:
            return
        for descriptor in select.select(list(running), [], [], 1.0)[0]:
            one = running.pop(descriptor)
            os.close(descriptor)
            try:
                child = one.playing.send(one.child.end(PATIENCE_S))
            except StopIteration as over:
                if keep is not None and isinstance(over.value, Verdict) and not over.value.ok:
                    shutil.copytree(one.slot, keep / str(one.number), dirs_exist_ok=True)
                    shutil.copyfile(_log(one.slot), keep / str(one.number) / "processes.log")
                _log(one.slot).unlink(missing_ok=True)
                free.append(one.slot)
                yield one.number, over.value
            else:
                _follow(running, one._replace(child=child, since=time.monotonic()))
        for one in running.values():
            if time.monotonic() - one.since > PATIENCE_S:
                one.child.signal(SIGKILL)


def _follow(running: dict[int, _Running], one: _Running) -> None:
    running[os.pidfd_open(one.child.pid)] = one
