"""`python -m bench ledger`: what proving costs. Appending, a thousand tenants, and an audit, each printed."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import appending, auditing, postgres, report, tenants
from bench.appending import CHAIN, DEFERRED, LEG, LIVE, PLAIN, ROWS
from bench.cells import Cell
from bench.samples import Results, Series, Spread
from tenure.bootstrap import open_tenure, prepare
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings


class Target(NamedTuple):
    """A promise: ours against a contender, from so many in flight on."""

    contender: str
    least: float
    from_: int


TARGETS = (Target(PLAIN, 2.0, 16), Target(CHAIN, 5.0, 16), Target(ROWS, 0.5, 16))


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 3.0
    in_flight: tuple[int, ...] = (1, 16, 64)
    tenants: int = 1000
    each: int = 100
    idle_s: float = 30.0
    span_s: float = 60.0
    entries: int = 100_000
    audits: int = 3

    @classmethod
    def quick(cls) -> "Plan":
        """A look, not a result."""
        return cls(2, 0.7, (1, 16, 64), 100, 50, 3.0, 5.0, 20_000, 1)


def run(plan: Plan, parts: set[str], console: Console) -> dict[str, Any]:
    """Run the parts that were asked for; the raw numbers."""
    raw: dict[str, Any] = {"machine": report.machine(), "plan": plan.__dict__}
    with postgres.server() as server, tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        raw["postgres"] = server.version
        if "append" in parts:
            results = asyncio.run(_append(plan, server, Path(folder)))
            _show_rates(results, plan, console)
            raw["append"] = results.as_json()
        if "tenants" in parts:
            raw["tenants"] = _tenants(plan, server, Path(folder))
            _show_tenants(raw["tenants"], console)
    if "audit" in parts:
        with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
            raw["audit"] = auditing.run(Path(folder), size=plan.entries, rounds=plan.audits)
            _show_audit(raw["audit"], console)
    return raw


def settings_for(server: postgres.Server, name: str, folder: Path) -> Settings:
    """A cell of its own on the server, as the service's role that owns nothing."""
    database = f"tenure_bench_{name}"
    server.create(database)
    return Settings(
        data_dir=folder / name / "data",
        root_dir=folder / name / "root",
        database_url=server.url(database, postgres.APP_ROLE),
        migration_url=server.url(database),
        log_level="warning",
    )


async def _append(plan: Plan, server: postgres.Server, folder: Path) -> Results:
    settings = settings_for(server, "append", folder)
    operator = prepare(settings) or ""
    server.create("tenure_bench_plain")
    url = server.url("tenure_bench_plain")
    async with open_tenure(settings) as tenure:
        made = await tenure.tenants.create(parse_api_key(operator), "bench")
        cell = Cell("postgres", settings, made["admin_key"])
        appending.prepare(url, made["id"])
        server.settle()
        return await appending.run(
            tenure, cell, url, rounds=plan.rounds, seconds=plan.seconds, in_flight=plan.in_flight
        )


def _tenants(plan: Plan, server: postgres.Server, folder: Path) -> dict[str, Any]:
    settings = settings_for(server, "tenants", folder)
    operator = prepare(settings) or ""
    return asyncio.run(
        tenants.run(
            settings,
            operator,
            tenants=plan.tenants,
            each=plan.each,
            idle_s=plan.idle_s,
            span_s=plan.span_s,
        )
    )


# ── printing ──────────────────────────────────────────────────────────────────────────────────────
def _show_rates(results: Results, plan: Plan, console: Console) -> None:
    table = report.titled("Durable entries per second on PostgreSQL; latency (ms), CPU of this process (µs)")
    for heading in ("contender", "in flight", "per second", "spread", "p50", "p99", "cpu"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for name in (DEFERRED, LIVE, PLAIN, CHAIN, ROWS):
        for many in plan.in_flight:
            series = Series(LEG, name, many)
            rate = results.rate(series)
            assert rate is not None
            typical = report.typical(results.rounds[series], rate)
            table.add_row(
                name if many == plan.in_flight[0] else "",
                str(many),
                f"{rate.mid:,.0f}",
                f"{rate.low:,.0f}-{rate.high:,.0f}",
                f"{typical.p50:.2f}",
                f"{typical.p99:.2f}",
                f"{typical.cpu:.0f}",
            )
    console.print(table)
    console.print(_ratios(results, plan))


def _ratios(results: Results, plan: Plan) -> Table:
    table = report.titled("Ours / theirs, within each round")
    for heading in ("ours", "theirs", "in flight", "ratio", "spread", "at least", ""):
        table.add_column(heading, justify="left" if heading in {"ours", "theirs", ""} else "right")
    for mine in (DEFERRED, LIVE):
        for target in TARGETS:
            for many in plan.in_flight:
                ratio = results.ratio(Series(LEG, mine, many), Series(LEG, target.contender, many))
                assert ratio is not None
                counts = mine == DEFERRED and many >= target.from_
                table.add_row(
                    mine,
                    target.contender,
                    str(many),
                    f"{ratio.mid:.2f}",
                    f"{ratio.low:.2f}-{ratio.high:.2f}",
                    f"{target.least}" if counts else "",
                    report.reached(held=ratio.mid >= target.least) if counts else "",
                )
    return table


def _show_tenants(found: dict[str, Any], console: Console) -> None:
    table = report.titled("From commit to published receipt (ms)")
    for heading in ("load", "entries", "p50", "p99", "longest", "took (s)"):
        table.add_column(heading, justify="left" if heading == "load" else "right")
    for one in found["latency"]:
        times = [f"{one[name]:,.0f}" for name in ("p50", "p99", "most")]
        table.add_row(one["load"], f"{one['entries']:,}", *times, f"{one['span']:.1f}")
    console.print(table)
    table = report.titled("Idle, for each minute")
    for heading in ("tenants", "CPU (s)", "round trips", "memory (MiB)"):
        table.add_column(heading, justify="right")
    for name, one in (
        *((f"{one['tenants']:,}", one) for one in found["idle"]),
        ("after", found["idle_after"]),
    ):
        table.add_row(name, f"{one['cpu_s']:.2f}", f"{one['round_trips']:,.0f}", f"{one['rss']:,.0f}")
    console.print(table)
    console.print(
        f"A start with all tenants took {found['start_s']:.1f} s;"
        f" what had been left was published after {found['settled_s']:.1f} s."
    )


def _show_audit(found: dict[str, Any], console: Console) -> None:
    ours = Spread.of(found["ours_s"])
    console.print(f"Audit of {found['entries']:,} entries: tenure audit {ours.mid:.2f} s", end="")
    if found["foreign_s"]:
        theirs = Spread.of(found["foreign_s"])
        console.print(f", Go's x/mod/sumdb {theirs.mid:.2f} s: {ours.mid / theirs.mid:.1f} times it.")
    else:
        console.print("; Go's verifier was left out (golang-go golang-golang-x-mod-dev).")


def keep(raw: dict[str, Any], path: Path) -> None:
    """Write the raw numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw, indent=1) + "\n")
