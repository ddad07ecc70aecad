"""`python -m bench agents`: TenureSaver beside LangGraph's own savers, bytes stored, and many agents at once.

Rates are of one run on one server, in rounds in which the contenders take turns; ratios are within a round.
"""

import asyncio
import cProfile
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from rich.console import Console

from bench import content, crowd, inprocess, postgres, profiling, report, running, savers
from bench.samples import Results, Series, Spread
from bench.savers import ENCRYPTED, NONE, OURS, PLAIN, Saver
from tenure.settings import Settings

STEP, GRAPH = "put + put_writes + get_tuple", "ten-node graph, durability=sync"
PROCESSES, AGENTS = 3, 30
_WARM_S = 0.5


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 4.0
    in_flight: tuple[int, ...] = (1, 16)
    crowd_s: float = 60.0


class Target(NamedTuple):
    """A promise: our runs per second against a contender's."""

    leg: str
    contender: str
    least: float


TARGETS = (Target(GRAPH, PLAIN, 1.2), Target(GRAPH, ENCRYPTED, 2.0))
MOST_BYTES = 0.25
FILES = "files: "


def run(plan: Plan, parts: set[str], console: Console) -> dict[str, Any]:
    """Run the parts that were asked for; the raw numbers."""
    raw: dict[str, Any] = {"machine": report.machine(), "plan": asdict(plan)}
    if not savers.encrypts():
        console.print("EncryptedSerializer is left out: it needs pycryptodome, which is not installed.")
    with postgres.server() as server, tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        raw["postgres"] = server.version
        # Each part has a cell of its own, which takes the place of the last one's database.
        if parts & {"step", "graph"}:
            results = asyncio.run(_rates(plan, parts, server, Path(folder, "rates")))
            _show(results, plan, console)
            raw["rates"] = results.as_json()
        if "bytes" in parts:
            raw["bytes"] = _bytes(server, Path(folder, "bytes"))
            _show_bytes(raw["bytes"], console)
        if "crowd" in parts:
            raw["crowd"] = _crowd(plan, server, Path(folder, "crowd"))
            _show_crowd(raw["crowd"], plan, console)
    return raw


async def _rates(plan: Plan, parts: set[str], server: postgres.Server, folder: Path) -> Results:
    results = Results()
    cell = await savers.prepared(server, folder)
    async with savers.opened(server, *cell) as found:
        for leg, operations in _legs(parts, found).items():
            for operation in operations.values():
                await inprocess.closed_loop(operation, in_flight=max(plan.in_flight), seconds=_WARM_S)
            for in_flight in plan.in_flight:
                for _ in range(plan.rounds):
                    for contender, operation in operations.items():
                        server.settle()
                        sample = await inprocess.closed_loop(
                            operation, in_flight=in_flight, seconds=plan.seconds
                        )
                        results.add(Series(leg, contender, in_flight), sample)
    return results


def _legs(parts: set[str], found: Mapping[str, Saver]) -> dict[str, dict[str, running.Operation]]:
    legs: dict[str, dict[str, running.Operation]] = {}
    if "step" in parts:
        legs[STEP] = {name: running.step(saver) for name, saver in found.items()}
    if "graph" in parts:
        legs[GRAPH] = {name: running.ten_nodes(saver) for name, saver in found.items()}
        legs[GRAPH][NONE] = running.ten_nodes(None)
    return legs


# ── bytes ─────────────────────────────────────────────────────────────────────────────────────────
class Sizes(NamedTuple):
    """Bytes on disk, indexes and all, and of the rows alone."""

    disk: int
    rows: int


def _bytes(server: postgres.Server, folder: Path) -> dict[str, dict[str, Sizes]]:
    """What a conversation adds to each table and folder, where there was one: first pages are nobody's."""
    cell = asyncio.run(savers.prepared(server, folder))
    found = {OURS: asyncio.run(_added_by_one(server, OURS, cell))}
    for name in (PLAIN, ENCRYPTED) if savers.encrypts() else (PLAIN,):
        found[name] = asyncio.run(_added_by_one(server, name, None))
    return found


async def _added_by_one(
    server: postgres.Server, name: str, cell: tuple[Settings, str] | None
) -> dict[str, Sizes]:
    folder = None if cell is None else cell[0].data_dir
    async with savers.theirs(server, name) if cell is None else savers.ours(*cell) as saver:
        await running.conversation(saver, "first")
        before = await asyncio.to_thread(_sizes, server, name, folder)
        await running.conversation(saver, "second")
    return _added(before, _sizes(server, name, folder))


def _sizes(server: postgres.Server, name: str, folder: Path | None) -> dict[str, Sizes]:
    """(bytes on disk with indexes, bytes of rows) of each table; files by the folder they are in."""
    sizes: dict[str, Sizes] = {}
    with psycopg.connect(server.url(savers.DATABASES[name]), autocommit=True) as connection:
        connection.execute("VACUUM FULL")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables.fetchall():
            sized = sql.SQL(
                "SELECT pg_total_relation_size({}), (SELECT coalesce(sum(pg_column_size(t.*)), 0) FROM {} t)"
            )
            row = connection.execute(sized.format(sql.Literal(table), sql.Identifier(table))).fetchone()
            assert row is not None
            sizes[table] = Sizes(int(row[0]), int(row[1]))
    for path in () if folder is None else folder.rglob("*"):
        if path.is_file():
            kind = FILES + "/".join(path.relative_to(folder).parts[:2] if folder else ())
            size = path.stat().st_size
            before = sizes.get(kind, Sizes(0, 0))
            sizes[kind] = Sizes(before.disk + size, before.rows + size)
    return sizes


def _added(before: Mapping[str, Sizes], after: Mapping[str, Sizes]) -> dict[str, Sizes]:
    nothing = Sizes(0, 0)
    return {
        name: Sizes(one.disk - before.get(name, nothing).disk, one.rows - before.get(name, nothing).rows)
        for name, one in after.items()
    }


# ── many agents ───────────────────────────────────────────────────────────────────────────────────
def _crowd(plan: Plan, server: postgres.Server, folder: Path) -> dict[str, Any]:
    settings, api_key = asyncio.run(savers.prepared(server, folder))
    base: Any = {
        "target": settings.database_url,
        "settings": savers.given(settings),
        "api_key": api_key,
        "scope": content.SCOPE,
        "category": content.CATEGORY,
        "purpose": content.PURPOSE,
        "seconds": plan.crowd_s,
    }
    processes = []
    for number in range(PROCESSES):
        path = folder / f"share-{number}.json"
        path.write_text(json.dumps(base | {"agents": list(range(number, AGENTS, PROCESSES))}))
        command = [sys.executable, str(crowd.__file__), str(path)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    reports = [json.loads(one.communicate()[0].splitlines()[-1]) for one in processes]
    total = crowd.summed(reports)
    runs = crowd.acknowledged(total)
    counted = asyncio.run(crowd.counted(base, set(runs)))
    return {**total, "lost_updates": sum(abs(counted[thread] - runs[thread]) for thread in runs)}


# ── printing ──────────────────────────────────────────────────────────────────────────────────────
def _show(results: Results, plan: Plan, console: Console) -> None:
    for leg in dict.fromkeys(series.leg for series in results.rounds):
        table = report.titled(f"{leg}: per second over the rounds; latency (ms), CPU of this process (µs)")
        headings = ("contender", "in flight", "per second", "spread", "p50", "p99", "cpu", "ours / theirs")
        for heading in headings:
            table.add_column(heading, justify="left" if heading == "contender" else "right")
        for series, samples in results.rounds.items():
            if series.leg != leg:
                continue
            rate = results.rate(series)
            assert rate is not None
            typical = report.typical(samples, rate)
            ratio = results.ratio(Series(leg, OURS, series.in_flight), series)
            table.add_row(
                series.contender,
                str(series.in_flight),
                f"{rate.mid:,.1f}",
                f"{rate.low:,.1f}-{rate.high:,.1f}",
                f"{typical.p50:.2f}",
                f"{typical.p99:.2f}",
                f"{typical.cpu:,.0f}",
                _ratio(ratio),
            )
        console.print(table)
    table = report.titled("Targets: our runs per second against theirs, within each round")
    for heading in ("what", "against", "in flight", "at least", "measured", ""):
        table.add_column(heading, justify="left" if heading in {"what", "against", ""} else "right")
    for target in TARGETS:
        for in_flight in plan.in_flight:
            ratio = results.ratio(
                Series(target.leg, OURS, in_flight), Series(target.leg, target.contender, in_flight)
            )
            outcome = "not measured" if ratio is None else report.reached(held=ratio.mid >= target.least)
            row = (
                target.leg,
                target.contender,
                str(in_flight),
                f"{target.least:.1f}",
                _ratio(ratio),
                outcome,
            )
            table.add_row(*row)
    console.print(table)


def _ratio(found: Spread | None) -> str:
    return "" if found is None else f"{found.mid:.2f} ({found.low:.2f}-{found.high:.2f})"


def _show_bytes(sizes: Mapping[str, Mapping[str, Sizes]], console: Console) -> None:
    turns = f"{running.TURNS} turns of {running.TURN_BYTES} bytes"
    table = report.titled(f"What a conversation of {turns} adds, kB (VACUUM FULL before and after)")
    for heading in ("saver", "on disk", "rows alone", "ours / theirs: on disk", "rows"):
        table.add_column(heading, justify="left" if heading == "saver" else "right")
    totals = {name: _total(parts) for name, parts in sizes.items()}
    mine = totals[OURS]
    for name, total in totals.items():
        quotients = (f"{mine.disk / total.disk:.3f}", f"{mine.rows / total.rows:.3f}")
        table.add_row(name, f"{total.disk / 1024:,.0f}", f"{total.rows / 1024:,.0f}", *quotients)
        for part, one in sorted(sizes[name].items(), key=lambda item: -item[1].disk):
            if one.disk > total.disk / 100:
                table.add_row(f"  {part}", f"{one.disk / 1024:,.0f}", f"{one.rows / 1024:,.0f}")
    console.print(table)
    held = mine.disk <= totals[PLAIN].disk * MOST_BYTES
    console.print(
        f"Tables at most {MOST_BYTES} of theirs on disk: {report.reached(held=held)}."
        " Files are beside them: the published ledger, which they have no counterpart of.\n"
    )


def _total(parts: Mapping[str, Sizes]) -> Sizes:
    """Of the tables."""
    tables = [one for name, one in parts.items() if not name.startswith(FILES)]
    return Sizes(sum(one.disk for one in tables), sum(one.rows for one in tables))


def _show_crowd(found: Mapping[str, Any], plan: Plan, console: Console) -> None:
    runs, shared = sum(found["runs"].values()), {k: v for k, v in found["runs"].items() if "#" in k}
    console.print(
        f"{AGENTS} agents in {PROCESSES} processes for {plan.crowd_s:.0f} s: {runs:,} runs acknowledged"
        f" ({runs / plan.crowd_s:.0f}/s), the longest took {found['longest_s']:.2f} s.\n"
        f"Two on one thread: {', '.join(str(one) for one in shared.values())} runs,"
        f" {sum(found['lost'].values())} conflicts. Updates lost: {found['lost_updates']}."
        f" Errors that are no conflict: {found['errors'] or 'none'}."
    )


# ── where the time goes ───────────────────────────────────────────────────────────────────────────
def profile(console: Console, *, in_flight: int, seconds: float, top: int) -> None:
    """The hottest functions of a ten-node graph with our saver, in µs for each run."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres.server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-bench-")))
        asyncio.run(_profile(server, folder, console, (in_flight, seconds, top)))


async def _profile(
    server: postgres.Server, folder: Path, console: Console, amount: tuple[int, float, int]
) -> None:
    in_flight, seconds, top = amount
    cell = await savers.prepared(server, folder)
    watch = profiling.Watch()
    watch.install()
    async with savers.ours(*cell) as saver:
        operation = running.ten_nodes(saver)
        await inprocess.closed_loop(operation, in_flight=in_flight, seconds=_WARM_S)
        plain = await inprocess.closed_loop(operation, in_flight=in_flight, seconds=seconds)
        loop_profile = cProfile.Profile(time.thread_time)
        watch.on = True
        loop_profile.enable()
        begin = time.perf_counter()
        slowed = await inprocess.closed_loop(operation, in_flight=in_flight, seconds=seconds)
        took = time.perf_counter() - begin
        loop_profile.disable()
        watch.on = False
    runs = round(slowed.rate * took)
    calls = sum(watch.batches)
    console.print(
        f"{GRAPH}, {in_flight} in flight: {plain.rate:,.1f}/s ({plain.cpu:,.0f} µs of CPU a run);"
        f" under the profiler {slowed.rate:,.1f}/s.\n"
        f"{calls / runs:.1f} operations of the cell a run, in {len(watch.batches) / runs:.1f} batches of"
        f" {calls / len(watch.batches):.1f}; {watch.solo} transactions of the sequencer.\n"
        f"Lanes, µs a run: {watch.wall / runs * 1e6:,.0f} under way, {watch.cpu / runs * 1e6:,.0f} of it"
        f" computing, {watch.commit / runs * 1e6:,.0f} in commit."
    )
    for title, profiles in (("lanes", watch.profiles), ("event loop", [loop_profile])):
        profiling.show(console, title, profiles, runs, top)
