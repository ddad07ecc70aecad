"""The legs of a run. Within a leg the contenders take turns, round after round."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from rich.console import Console

from bench import bare, cells, content, inprocess, load, report, servers, trips
from bench.cells import Cell
from bench.postgres import APP_ROLE, Server
from bench.samples import Results, Series
from tenure.bootstrap import open_tenure

Turn = Callable[[int, float, str], None]
"""(in flight, seconds, tag): one round of one contender."""

_COUNTED = 200
_BODIES = 64


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 3.0
    warm_up: float = 1.0
    in_flight: tuple[int, ...] = (1, 16, 64)


@dataclass(frozen=True)
class Stage:
    """What the legs have in common: where it happens and where it is noted."""

    plan: Plan
    postgres: Server
    cells: tuple[Cell, ...]
    results: Results
    console: Console


@contextmanager
def stage(plan: Plan, server: Server, results: Results, console: Console) -> Iterator[Stage]:
    """Both databases with the same data. The service's role owns nothing on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        console.print("Preparing the data…")
        server.create("tenure_bench")
        made = (
            asyncio.run(cells.make("sqlite", Path(folder))),
            asyncio.run(
                cells.make(
                    "postgres",
                    Path(folder),
                    database_url=server.url("tenure_bench", APP_ROLE),
                    migration_url=server.url("tenure_bench"),
                )
            ),
        )
        server.settle()
        yield Stage(plan, server, made, results, console)


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────
def http(on: Stage) -> None:
    """Every contender as a server process of its own, under wrk."""
    if not load.available():
        on.console.print("The HTTP leg needs wrk (Debian: apt-get install wrk); it was left out.")
        return
    on.postgres.create("tenure_bench_bare")
    url = on.postgres.url("tenure_bench_bare")
    asyncio.run(bare.fill(url))
    contenders: dict[str, Turn] = {}
    with ExitStack() as running:
        for name, requests in _bare_requests().items():
            port = servers.free_port()
            process_id = running.enter_context(servers.running(["-m", "bench.bare", str(port), url], port))
            contenders[name] = _contender(on, name, (port, process_id), requests)
        for cell in on.cells:
            port = servers.free_port()
            environment = {**cell.environment, "TENURE_PORT": str(port)}
            serving = servers.running(["-m", "tenure.main"], port, environment=environment)
            process_id = running.enter_context(serving)
            for what, requests in _governed_requests(cell).items():
                name = report.governed(what, cell.name)
                contenders[name] = _contender(on, name, (port, process_id), requests)
        _take_turns(on, contenders)


def _bare_requests() -> dict[str, load.Requests]:
    json_body = {"Content-Type": "application/json"}
    bodies = [content.body(number) for number in range(_BODIES)]
    return {
        report.READ: load.Requests("GET", "/rows/", "k", content.KEYS),
        report.AUDITED: load.Requests("GET", "/audited/", "k", content.KEYS),
        report.WRITE: load.Requests("PUT", "/rows/", "n", 0, json_body, bodies),
    }


def _governed_requests(cell: Cell) -> dict[str, load.Requests]:
    path = f"/v1/scopes/{content.SCOPE}/records/"
    bodies = [content.body(number) for number in range(_BODIES)]
    return {
        "read": load.Requests("GET", path, "k", content.KEYS, cell.headers),
        "write": load.Requests("PUT", path, "n", 0, cell.headers, bodies),
        "overwrite": load.Requests("PUT", path, "o", content.OVERWRITTEN, cell.headers, bodies),
    }


def _contender(on: Stage, name: str, address: tuple[int, int], requests: load.Requests) -> Turn:
    def turn(in_flight: int, seconds: float, tag: str) -> None:
        sample = load.run(address, requests, connections=in_flight, seconds=seconds, tag=tag)
        if not tag.startswith("warm"):
            on.results.add(Series(report.HTTP, name, in_flight), sample)

    return turn


def _take_turns(on: Stage, contenders: dict[str, Turn]) -> None:
    plan = on.plan
    for name, turn in contenders.items():
        turn(max(plan.in_flight), plan.warm_up, "warm")
        on.console.print(f"  warm: {name}", style="dim")
    for number in range(plan.rounds):
        for in_flight in plan.in_flight:
            # Every other round runs backwards, so that nobody always comes after the same neighbour.
            order = list(contenders.values())[:: -1 if number % 2 else 1]
            for turn in order:
                turn(in_flight, plan.seconds, f"r{number}-{in_flight}")
        on.console.print(f"  http: round {number + 1} of {plan.rounds}", style="dim")
        on.postgres.settle()


# ── in process ────────────────────────────────────────────────────────────────────────────────────
def in_process(on: Stage) -> None:
    """The gateway called by tasks of this process."""
    asyncio.run(_in_process(on))


async def _in_process(on: Stage) -> None:
    plan = on.plan
    async with AsyncExitStack() as opened:
        turns: dict[str, inprocess.Operation] = {}
        for cell in on.cells:
            tenure = await opened.enter_async_context(open_tenure(cell.settings))
            for what, operation in inprocess.operations(tenure, cell, "i").items():
                turns[report.governed(what, cell.name)] = operation
        for operation in turns.values():
            await inprocess.closed_loop(operation, in_flight=16, seconds=plan.warm_up)
        for number in range(plan.rounds):
            for in_flight in plan.in_flight:
                for name, operation in list(turns.items())[:: -1 if number % 2 else 1]:
                    sample = await inprocess.closed_loop(operation, in_flight=in_flight, seconds=plan.seconds)
                    on.results.add(Series(report.IN_PROCESS, name, in_flight), sample)
            on.console.print(f"  in process: round {number + 1} of {plan.rounds}", style="dim")
            on.postgres.settle()


# ── round trips ───────────────────────────────────────────────────────────────────────────────────
def round_trips(on: Stage) -> None:
    """One operation at a time through a relay that counts."""
    asyncio.run(_round_trips(on))


async def _round_trips(on: Stage) -> None:
    cell = next(cell for cell in on.cells if cell.name == "postgres")
    parts = conninfo_to_dict(on.postgres.uri)
    folder, port = str(parts.get("host", "")), int(parts.get("port") or 5432)
    if not folder.startswith("/"):
        on.console.print("Counting round trips needs a server on a unix socket; it was left out.")
        return
    with tempfile.TemporaryDirectory(prefix="tenure-relay-") as here:
        async with trips.relay(folder, port, Path(here)) as relay:
            url = cell.settings.database_url.replace(folder, here)
            async with open_tenure(cell.settings.model_copy(update={"database_url": url})) as tenure:
                for what, operation in inprocess.operations(tenure, cell, "t").items():
                    counted: Counter[int] = Counter()
                    for number in range(-_COUNTED // 4, _COUNTED):
                        # The sequencer's own round trips fall between operations, or now and then into one.
                        before = relay.count
                        await operation()
                        if number >= 0:
                            counted[relay.count - before] += 1
                    on.results.trips[f"governed {what}"] = trips.summary(counted)


ALL: dict[str, Callable[[Stage], None]] = {"http": http, "inprocess": in_process, "trips": round_trips}
