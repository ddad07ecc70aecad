"""`python -m bench`: measure, print, keep. `python -m bench profile read|write` says where the time goes."""

import logging
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console

from bench import agents as running
from bench import cold as freezing
from bench import ledger as proving
from bench import legs, limiting, postgres, profiling, report
from bench import packs as packing
from bench import policy as deciding
from bench import shredding as erasing
from bench import year as living
from bench.samples import Results

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Leg(StrEnum):
    """What can be measured alone."""

    HTTP = "http"
    INPROCESS = "inprocess"
    TRIPS = "trips"


class What(StrEnum):
    """What can be profiled."""

    READ = "read"
    WRITE = "write"
    OVERWRITE = "overwrite"


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    quick: Annotated[bool, typer.Option(help="Two short rounds: a look, not a result.")] = False,
    only: Annotated[list[Leg] | None, typer.Option(help="Leave out the other legs.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="Of one contender's turn in a round.")] = 3.0,
    in_flight: Annotated[list[int] | None, typer.Option(min=1, help="Default: 1, 16 and 64.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """Governed reads and writes against bare servers, both databases, 1, 16 and 64 in flight."""
    if context.invoked_subcommand is not None:
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    facts: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
    }
    path = json or Path(__file__).parent / "results" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    rounds, seconds = (2, 1.0) if quick else (rounds, seconds)
    plan = legs.Plan(rounds, seconds, in_flight=tuple(in_flight or legs.Plan.in_flight))
    results = Results()
    with postgres.server() as server, legs.stage(plan, server, results, console) as stage:
        facts |= {"postgres": server.version, "rounds": plan.rounds, "seconds": plan.seconds}
        for name in only or list(Leg):
            legs.ALL[name](stage)
    report.show(results, console)
    report.keep(results, facts, path)
    console.print(f"Raw numbers: {path}")


@app.command()
def profile(
    what: What,
    *,
    database: Annotated[str, typer.Option(help="sqlite or postgres")] = "sqlite",
    in_flight: Annotated[int, typer.Option(min=1)] = 64,
    seconds: Annotated[float, typer.Option(min=0.5)] = 4.0,
    top: Annotated[int, typer.Option(min=1)] = 35,
) -> None:
    """The hottest functions of the lane thread and of the event loop, in µs for each operation."""
    logging.getLogger().setLevel(logging.WARNING)
    profiling.profile(what, database=database, in_flight=in_flight, seconds=seconds, top=top)


@app.command()
def shredding(
    *,
    database: Annotated[str, typer.Option(help="sqlite or postgres")] = "sqlite",
    rounds: Annotated[int, typer.Option(min=1, help="People erased of each size.")] = 3,
    size: Annotated[list[int] | None, typer.Option(min=1, help="Default: 10, 1,000 and 100,000.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """Erasing people with few and many records, and the key state of a million people."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    logging.getLogger().setLevel(logging.WARNING)
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        if database == "postgres":
            server = stack.enter_context(postgres.server())
            server.create("tenure_bench")
            urls = {
                "database_url": server.url("tenure_bench", postgres.APP_ROLE),
                "migration_url": server.url("tenure_bench"),
            }
        raw = erasing.run(
            database=database, urls=urls, rounds=rounds, sizes=tuple(size or erasing.SIZES), console=console
        )
    if json is not None:
        json.write_text(dumps({"machine": report.machine(), **raw}, indent=1) + "\n")


@app.command()
def limits() -> None:
    """What rate limits cost each request, in µs of CPU time."""
    limiting.run(Console(width=None if sys.stdout.isatty() else 120))


@app.command()
def cold() -> None:
    """Erasing people whose contents lie in packs, beside people whose are in the database."""
    logging.getLogger().setLevel(logging.WARNING)
    freezing.run(Console(width=None if sys.stdout.isatty() else 120))


@app.command()
def year(
    *,
    days: Annotated[int, typer.Option(min=30)] = 365,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """A simulated year of steady writes: the size of the database with retention and without."""
    logging.getLogger().setLevel(logging.WARNING)
    raw = living.run(Console(width=None if sys.stdout.isatty() else 120), days=days)
    if json is not None:
        json.write_text(dumps({"machine": report.machine(), **raw}, indent=1) + "\n")


class Part(StrEnum):
    """What of the ledger can be measured alone."""

    APPEND = "append"
    TENANTS = "tenants"
    AUDIT = "audit"


@app.command()
def ledger(
    *,
    quick: Annotated[bool, typer.Option(help="Short rounds, few tenants: a look, not a result.")] = False,
    only: Annotated[list[Part] | None, typer.Option(help="Leave out the other parts.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """What proving costs: appends against audit tables, a thousand tenants, an audit against Go's."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    logging.getLogger().setLevel(logging.WARNING)
    plan = proving.Plan.quick() if quick else proving.Plan()
    raw = proving.run(plan, set(only or Part), console)
    path = json or Path(__file__).parent / "results" / f"ledger-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    proving.keep(raw, path)
    console.print(f"Raw numbers: {path}")


@app.command()
def policy(
    *,
    quick: Annotated[bool, typer.Option(help="Short rounds, few tenants: a look, not a result.")] = False,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """What a decision costs by rules and tenants, memory, and how soon a change holds on every replica."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    logging.getLogger().setLevel(logging.WARNING)
    raw = deciding.run(console, quick=quick)
    path = json or Path(__file__).parent / "results" / f"policy-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    proving.keep(raw, path)
    console.print(f"Raw numbers: {path}")


@app.command()
def packs(
    *,
    quick: Annotated[bool, typer.Option(help="Few rounds: a look, not a result.")] = False,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """Packing and unpacking, and a read out of a pack against a bare read of the same bytes."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    logging.getLogger().setLevel(logging.WARNING)
    raw = packing.run(console, quick=quick)
    path = json or Path(__file__).parent / "results" / f"packs-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    proving.keep(raw, path)
    console.print(f"Raw numbers: {path}")


class Agents(StrEnum):
    """What of agents' saved state can be measured alone."""

    STEP = "step"
    GRAPH = "graph"
    BYTES = "bytes"
    CROWD = "crowd"


@app.command()
def agents(
    *,
    quick: Annotated[bool, typer.Option(help="Short rounds: a look, not a result.")] = False,
    only: Annotated[list[Agents] | None, typer.Option(help="Leave out the other parts.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long 30 agents run at once.")] = 60.0,
    profile: Annotated[bool, typer.Option(help="Instead: where the time of a graph's run goes.")] = False,
    in_flight: Annotated[int, typer.Option(min=1, help="Of the profile.")] = 1,
    top: Annotated[int, typer.Option(min=1, help="Of the profile.")] = 40,
    json: Annotated[Path | None, typer.Option(help="Where the raw numbers go.")] = None,
) -> None:
    """TenureSaver against LangGraph's own on one server, bytes stored, and 30 agents at once."""
    console = Console(width=None if sys.stdout.isatty() else 130)
    logging.getLogger().setLevel(logging.WARNING)
    if profile:
        running.profile(console, in_flight=in_flight, seconds=4.0, top=top)
        return
    plan = running.Plan(2, 1.0, crowd_s=min(seconds, 10.0)) if quick else running.Plan(crowd_s=seconds)
    raw = running.run(plan, {str(part) for part in only or list(Agents)}, console)
    path = json or Path(__file__).parent / "results" / f"agents-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    proving.keep(raw, path)
    console.print(f"Raw numbers: {path}")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    app()
