"""Runs cases side by side, each in a process of its own."""

import json
import os
import select
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from fault.matrix import cases
from fault.matrix.broken import BREAKAGES
from fault.matrix.cases import Case
from fault.matrix.scene import Scene
from fault.matrix.verdict import Verdict

MOST_S = 240.0


class Slot(NamedTuple):
    """Where one case at a time is played: a folder, and on PostgreSQL a database."""

    folder: Path
    database: str | None


class Played(NamedTuple):
    """A case and what came of it."""

    case: Case
    verdict: Verdict
    seconds: float


class _Running(NamedTuple):
    case: Case
    slot: Slot
    pid: int
    since: float


def slots(scene: Scene, folder: Path, jobs: int) -> list[Slot]:
    """Places to play on."""
    server = scene.server
    return [
        Slot(folder / f"slot{number}", server.new(scene.database) if server else None)
        for number in range(jobs)
    ]


def play(planned: Iterable[Case], scene: Scene, free: list[Slot], keep: Path | None) -> Iterator[Played]:
    """Play cases as slots get free; verdicts in the order in which they come. Failed cells go to `keep`."""
    waiting, free = iter(planned), list(free)
    running: dict[int, _Running] = {}
    case: Case | None = None
    while True:
        while free and (case := next(waiting, None)) is not None:
            slot = free.pop()
            answer, pid = _fork(case, scene, slot)
            running[answer] = _Running(case, slot, pid, time.monotonic())
        if not running:
            return
        for answer in select.select(list(running), [], [], 1.0)[0]:
            one = running.pop(answer)
            yield _ended(answer, one, keep)
            free.append(one.slot)
        for answer, one in list(running.items()):
            if time.monotonic() - one.since > MOST_S:
                os.killpg(one.pid, signal.SIGKILL)  # what it said is read as for any other: nothing
                running[answer] = one._replace(since=time.monotonic())


def _fork(case: Case, scene: Scene, slot: Slot) -> tuple[int, int]:
    assert threading.active_count() == 1, "forking a process with threads"
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.close(here)
            verdict = _judged(case, scene, slot)
            os.write(there, json.dumps(asdict(verdict)).encode())
        finally:
            os._exit(0)
    os.close(there)
    return here, pid


def _judged(case: Case, scene: Scene, slot: Slot) -> Verdict:
    slot.folder.mkdir(parents=True, exist_ok=True)
    log = slot.folder.with_suffix(".log").open("wb")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    try:
        if case.broken:
            BREAKAGES[case.broken].apply()
        return cases.run(case, scene, slot.folder, slot.database)
    except BaseException as failure:  # noqa: BLE001 - whatever it is: the case did not go well
        return Verdict(other=["".join(traceback.format_exception(failure)[-3:])])


def _ended(answer: int, one: _Running, keep: Path | None) -> Played:
    said = b""
    while more := os.read(answer, 1 << 16):
        said += more
    os.close(answer)
    os.waitpid(one.pid, 0)
    verdict = Verdict(**json.loads(said)) if said else Verdict(other=["no verdict: ended or hung"])
    if not verdict.ok and keep is not None:
        name = "".join(letter if letter.isalnum() else "-" for letter in str(one.case))
        shutil.copytree(one.slot.folder, keep / name, dirs_exist_ok=True)
        shutil.copyfile(one.slot.folder.with_suffix(".log"), keep / name / "judge.log")
    return Played(one.case, verdict, time.monotonic() - one.since)
