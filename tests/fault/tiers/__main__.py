"""`python -m fault.tiers`: play every case and print the tables. Exits with 1 when anything went wrong."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from fault.tiers import report
from fault.tiers.broken import BREAKAGES, Breakage
from fault.tiers.cases import Case, Stage, side_by_side
from fault.tiers.places import warmed
from fault.tiers.scene import Act, Scene
from fault.tiers.verdict import Verdict
from support.rgw import missing, s3_server


class Kind(StrEnum):
    """The object stores."""

    FILES = "files"
    BUCKET = "bucket"


def main(
    *,
    store: Annotated[list[Kind] | None, typer.Option(help="Leave out the other.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="Leave out the others.")] = None,
    cut: Annotated[int, typer.Option(min=1, help="Of so many cases only one.")] = 1,
    shift: Annotated[int, typer.Option(min=0, help="With --cut: which ones.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cases at a time. Default: two a core.")] = None,
    control: Annotated[bool, typer.Option(help="Tiering broken on purpose is found out, too.")] = True,
    keep: Annotated[Path | None, typer.Option(help="Folder for the cells of failed cases.")] = None,
) -> None:
    """SIGKILL at each step of moving contents to packs, for every fault: tables."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    console = Console(width=None if sys.stdout.isatty() else 170)
    jobs = jobs or 2 * (os.cpu_count() or 1)
    sums: list[report.Played] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-tiers-")))
        scenes = Scene.all(folder / "scenes")
        for kind in store or list(Kind):
            server = None
            if kind is Kind.BUCKET:
                if why := missing():
                    console.print(f"{kind}: left out. {why}", style="dim")
                    continue
                server = stack.enter_context(s3_server(folder / "rgw"))
                os.environ |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_EC2_METADATA_DISABLED": "true"}
                os.environ["AWS_SECRET_ACCESS_KEY"] = server.secret_key
                stack.enter_context(warmed())
            since = time.monotonic()
            stage = Stage(scenes, folder, server, {})
            faults = [one for one in stage.faults if one in (fault or [one])]
            found = _found(stage, faults, jobs)
            steps = {case.kill[0].name for cases in found for case in cases if case.kill}
            console.print(f"{kind}: steps {', '.join(sorted(steps))}", style="dim")
            played = _played(stage, _cut(found, cut, shift), jobs, keep)
            console.print(f"{kind}: {len(played)} cases in {time.monotonic() - since:.0f} s", style="dim")
            report.show(kind, played, console)
            sums += played
        found_out = report.control(_controlled(Stage(scenes, folder, None, {})), console) if control else True
    if not (report.sums(sums, console) and found_out):
        raise typer.Exit(1)


def _found(stage: Stage, faults: Sequence[str], jobs: int) -> list[list[Case]]:
    """All cases of a store: for each act and fault those of its steps."""
    runs = [(act, name) for act in Act for name in faults]
    kills = dict(side_by_side((partial(stage.steps, act, name) for act, name in runs), stage.folder, jobs))
    return [[Case(*run, kill) for kill in kills[number]] for number, run in enumerate(runs)]


def _cut(found: list[list[Case]], every: int, shift: int) -> list[Case]:
    """Every so many of them only, shifted; each fault with others of its steps."""
    return [
        case
        for number, cases in enumerate(found)
        for case in cases[(number + shift) % min(every, len(cases)) :: every]
    ]


def _played(stage: Stage, cases: list[Case], jobs: int, keep: Path | None) -> list[report.Played]:
    verdicts = dict(side_by_side((partial(stage.play, case) for case in cases), stage.folder, jobs, keep))
    return [(case, verdicts[number]) for number, case in enumerate(cases)]


def _controlled(stage: Stage) -> Iterator[tuple[Breakage, Verdict]]:
    for one in BREAKAGES:
        with one.apply:
            ((_, verdict),) = side_by_side([partial(stage.play, one.case)], stage.folder, 1)
        yield one, verdict


if __name__ == "__main__":
    typer.run(main)
