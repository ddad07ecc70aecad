"""Where the time of a governed operation goes: cProfile in the lanes' threads and on the event loop.

Times are CPU time of the thread, so that neither waiting nor a busy machine is in them. The profiler slows
what it watches, small calls most: compare the lines with each other, and take rates from the benchmark.
"""

import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import cells, inprocess, postgres, report
from tenure.batcher import Lane
from tenure.bootstrap import open_tenure
from tenure.crew import GatewayCrew
from tenure.store.session import Tx


class Watch:
    """Profiles each lane in its own thread and notes the sizes of batches."""

    def __init__(self) -> None:
        self.on = False
        self.batches: list[int] = []
        self.profiles: list[cProfile.Profile] = []
        self.solo = 0
        self.cpu = self.wall = self.commit = 0.0

    def install(self) -> None:
        """Wrap what every batch goes through. For this process only: the service has no hook for it."""
        run, perform, commit = Lane._transaction, GatewayCrew.perform, Tx.commit  # noqa: SLF001

        def transaction(lane: Lane, tenant_id: str, operations: Sequence[Any]) -> list[Any]:
            if not self.on:
                return run(lane, tenant_id, operations)
            profiler = getattr(lane, "bench_profiler", None)
            if profiler is None:
                profiler = lane.bench_profiler = cProfile.Profile(time.thread_time)  # type: ignore[attr-defined]  # ours
                self.profiles.append(profiler)
            wall, cpu = time.perf_counter(), time.thread_time()
            profiler.enable()
            try:
                return run(lane, tenant_id, operations)
            finally:
                profiler.disable()
                self.wall += time.perf_counter() - wall
                self.cpu += time.thread_time() - cpu

        def performing(crew: GatewayCrew, tx: Tx, operations: Sequence[Any]) -> list[Any]:
            if self.on:
                if operations[0].solo:
                    self.solo += 1
                else:
                    self.batches.append(len(operations))
            return perform(crew, tx, operations)

        def committing(tx: Tx) -> None:
            begin = time.perf_counter()
            commit(tx)
            self.commit += (time.perf_counter() - begin) * self.on

        Lane._transaction, GatewayCrew.perform, Tx.commit = transaction, performing, committing  # type: ignore[assignment,method-assign] # noqa: SLF001


def profile(what: str, *, database: str, in_flight: int, seconds: float, top: int) -> None:
    """Print the hottest functions of one operation."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-bench-")))
        urls = {}
        if database == "postgres":
            server = stack.enter_context(postgres.server())
            server.create("tenure_bench")
            urls = {
                "database_url": server.url("tenure_bench", postgres.APP_ROLE),
                "migration_url": server.url("tenure_bench"),
            }
        asyncio.run(_profile(what, database, folder, urls, (in_flight, seconds, top)))


async def _profile(
    what: str, database: str, folder: Path, urls: dict[str, str], amount: tuple[int, float, int]
) -> None:
    in_flight, seconds, top = amount
    console = Console()
    cell = await cells.make(database, folder, **urls)
    watch = Watch()
    watch.install()
    async with open_tenure(cell.settings) as tenure:
        operation = inprocess.operations(tenure, cell, "p")[what]
        plain = await inprocess.closed_loop(operation, in_flight=in_flight, seconds=seconds)
        loop_profile = cProfile.Profile(time.thread_time)
        watch.on = True
        loop_profile.enable()
        slowed = await inprocess.closed_loop(operation, in_flight=in_flight, seconds=seconds)
        loop_profile.disable()
        watch.on = False
    done = sum(watch.batches)
    size = done / max(1, len(watch.batches))
    console.print(
        f"{report.governed(what, database)}, {in_flight} in flight: {plain.rate:,.0f}/s; "
        f"under the profiler {slowed.rate:,.0f}/s.\n"
        f"{len(watch.batches)} batches of {size:.1f} on average, largest {max(watch.batches)}; "
        f"{watch.solo} transactions of the sequencer.\n"
        f"Lanes, µs for each operation: {watch.wall / done * 1e6:.0f} under way, "
        f"{watch.cpu / done * 1e6:.0f} of it computing, {watch.commit / done * 1e6:.0f} in commit."
    )
    for title, profiles in (("lanes", watch.profiles), ("event loop", [loop_profile])):
        show(console, title, profiles, done, top)


def show(console: Console, title: str, profiles: list[cProfile.Profile], done: int, top: int) -> None:
    """The hottest functions of some profiles together."""
    stats = pstats.Stats(profiles[0])
    for one in profiles[1:]:
        stats.add(one)
    console.print(f"\n{title}: calls and µs for each operation (own, with callees)")
    entries: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = stats.stats  # type: ignore[attr-defined]
    for (file, line, name), (_, calls, own, whole, _) in sorted(entries.items(), key=lambda e: -e[1][2])[
        :top
    ]:
        place = "/".join(Path(file).parts[-2:]) + f":{line}" if line else ""
        console.print(
            f"{calls / done:8.2f} {own / done * 1e6:8.1f} {whole / done * 1e6:8.1f}  {name} {place}",
            highlight=False,
            soft_wrap=True,
        )
