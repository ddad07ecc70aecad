"""`python -m fault.matrix`: play every case and print the table. Exits with 1 when anything went wrong."""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from fault.matrix import cases, plan, report, stage
from fault.matrix.broken import BREAKAGES
from fault.matrix.scene import Scene
from fault.matrix.stage import Played
from support.postgres import server

_TELL_EVERY_S = 10.0


class Kind(StrEnum):
    """The databases."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def main(
    *,
    database: Annotated[list[Kind] | None, typer.Option(help="Leave out the other.")] = None,
    cut: Annotated[
        int,
        typer.Option(min=0, help="Of so many steps only one, with the follow-ups in turn. 0: everything."),
    ] = 0,
    shift: Annotated[int, typer.Option(min=0, help="With --cut: which ones.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Crashes of each recovery.")] = 3,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Cases at a time; they mostly wait. Default: two for each core.")
    ] = None,
    only: Annotated[str, typer.Option(help="Only cases whose description has this in it.")] = "",
    broken: Annotated[
        bool, typer.Option(help="The control, too: a service broken on purpose is found out.")
    ] = False,
    steps: Annotated[bool, typer.Option(help="Name the durable steps, too.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Folder for the cells of failed cases.")] = None,
) -> None:
    """SIGKILL after each durable step of an erasure, and what may follow: a table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    console = Console(width=None if sys.stdout.isatty() else 150)
    jobs = jobs or min(2 * (os.cpu_count() or 1), 8)
    played: list[Played] = []
    well = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-matrix-")))
        for kind in database or list(Kind):
            postgres = stack.enter_context(server()) if kind is Kind.POSTGRESQL else None
            scene = Scene.made(kind, folder / kind, postgres)
            places = stage.slots(scene, folder / kind, jobs)
            found = plan.steady(*(cases.steps(scene, *places[0]) for _ in range(2)))
            if steps:
                console.print(*found, sep="\n", markup=False, highlight=False)
            if broken:
                controls = [one.case(kind) for one in BREAKAGES.values()]
                well &= report.control(stage.play(controls, scene, places, keep), console)
            recovery = cases.recovery_steps(scene, *places[0])
            if cut:
                planned = plan.cut(kind, found, recovery, cut, shift)
            else:
                planned = plan.whole(kind, found, recovery, samples)
            planned = [case for case in planned if only in str(case)]
            mine = _play(stage.play(planned, scene, places, keep), kind, planned, console)
            report.show(kind, mine, console)
            played += mine
    if not (report.sums(played, console) and well):
        raise typer.Exit(1)


def _play(
    coming: "stage.Iterator[Played]", kind: str, planned: list[cases.Case], console: Console
) -> list[Played]:
    since = told = time.monotonic()
    played: list[Played] = []
    for one in coming:
        played.append(one)
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            failed = sum(not each.verdict.ok for each in played)
            console.print(f"  {kind}: {len(played)} of {len(planned)} cases, {failed} failed", style="dim")
    console.print(f"{kind}: {len(planned)} cases in {time.monotonic() - since:.0f} s", style="dim")
    return sorted(played, key=lambda one: planned.index(one.case))


if __name__ == "__main__":
    typer.run(main)
