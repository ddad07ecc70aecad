"""What is printed and kept: rates, ratios within a round, round trips, whether each target was reached."""

import json
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from bench.samples import Results, Sample, Series, Spread

HTTP, IN_PROCESS = "http", "in process"
READ, AUDITED, WRITE = "bare read (a)", "bare read + audit (b)", "bare write + audit (w)"


class Target(NamedTuple):
    """A promise about speed. With `other` it is a quotient, else a rate per second."""

    text: str
    one: Series
    other: Series | None
    least: float

    def measured(self, results: Results) -> Spread | None:
        """The number that the promise is about; None when this run did not measure it."""
        return results.rate(self.one) if self.other is None else results.ratio(self.one, self.other)


def governed(what: str, database: str) -> str:
    """A governed contender's name."""
    return f"governed {what}, {database}"


def _http(what: str) -> Series:
    return Series(HTTP, governed(what, "postgres"), 16)


TARGETS = (
    Target(
        "HTTP read / bare read with audit (b), 16 connections", _http("read"), Series(HTTP, AUDITED, 16), 0.8
    ),
    Target("HTTP read / bare read (a), 16 connections", _http("read"), Series(HTTP, READ, 16), 0.45),
    Target("HTTP write / bare write (w), 16 connections", _http("write"), Series(HTTP, WRITE, 16), 0.7),
    Target(
        "HTTP overwrite / bare write (w), 16 connections", _http("overwrite"), Series(HTTP, WRITE, 16), 0.7
    ),
    Target(
        "in-process reads per second, SQLite, 64 in flight",
        Series(IN_PROCESS, governed("read", "sqlite"), 64),
        None,
        5000,
    ),
)
MOST_TRIPS = 2
_BARE = {"read": (AUDITED, READ), "write": (WRITE,), "overwrite": (WRITE,)}


def show(results: Results, console: Console) -> None:
    """Everything measured, then the targets."""
    for leg in dict.fromkeys(series.leg for series in results.rounds):
        console.print(_rates(results, leg))
    if any(series.leg == HTTP for series in results.rounds):
        console.print(_ratios(results))
    if results.trips:
        console.print(_trips(results))
    console.print(_targets(results))


def _rates(results: Results, leg: str) -> Table:
    table = titled(
        f"{leg}: operations per second over the rounds; latencies (ms) and CPU of the median round"
    )
    for heading in ("contender", "in flight", "per second", "spread", "p50", "p99", "cpu µs"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    last = ""
    for series, samples in sorted(
        results.rounds.items(), key=lambda item: (item[0].contender, item[0].in_flight)
    ):
        if series.leg != leg:
            continue
        rate = results.rate(series)
        assert rate is not None
        middle = typical(samples, rate)
        table.add_row(
            series.contender if series.contender != last else "",
            str(series.in_flight),
            f"{rate.mid:,.0f}",
            f"{rate.low:,.0f}-{rate.high:,.0f}",
            f"{middle.p50:.2f}",
            f"{middle.p99:.2f}",
            f"{middle.cpu:.0f}",
        )
        last = series.contender
    return table


def _ratios(results: Results) -> Table:
    table = titled("http: governed / bare, within each round")
    for heading in ("governed", "bare", "in flight", "ratio", "spread"):
        table.add_column(heading, justify="left" if heading in {"governed", "bare"} else "right")
    for series in sorted(results.rounds, key=lambda one: (one.contender, one.in_flight)):
        what = series.contender.removeprefix("governed ").split(",")[0]
        for bare in _BARE.get(what, ()) if series.leg == HTTP else ():
            ratio = results.ratio(series, Series(HTTP, bare, series.in_flight))
            if ratio is not None:
                spread = f"{ratio.low:.2f}-{ratio.high:.2f}"
                table.add_row(series.contender, bare, str(series.in_flight), f"{ratio.mid:.2f}", spread)
    return table


def _trips(results: Results) -> Table:
    table = titled("Round trips to PostgreSQL with warm caches, counted on the wire, one at a time")
    for heading in ("operation", "usual", "all (trips: times)", f"at most {MOST_TRIPS}"):
        table.add_column(heading)
    for name, found in results.trips.items():
        seen = ", ".join(f"{trips}: {times}" for trips, times in found["seen"].items())
        table.add_row(name, str(found["usual"]), seen, reached(held=found["usual"] <= MOST_TRIPS))
    return table


def _targets(results: Results) -> Table:
    table = titled("Targets")
    for heading in ("target", "at least", "measured", "spread", ""):
        table.add_column(heading, justify="left" if heading in {"target", ""} else "right")
    for target in TARGETS:
        found = target.measured(results)
        form = ",.0f" if target.other is None else ".2f"
        if found is None:
            table.add_row(target.text, f"{target.least:{form}}", "", "", "not measured")
            continue
        spread = f"{found.low:{form}}-{found.high:{form}}"
        outcome = reached(held=found.mid >= target.least)
        table.add_row(target.text, f"{target.least:{form}}", f"{found.mid:{form}}", spread, outcome)
    return table


def typical(samples: list[Sample], rate: Spread) -> Sample:
    """The round whose rate is nearest to the median."""
    return min(samples, key=lambda sample: abs(sample.rate - rate.mid))


def titled(title: str) -> Table:
    """A table of the benchmark's look."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def reached(*, held: bool) -> str:
    """What a target came to."""
    return "reached" if held else "NOT reached"


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy it was before."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


def keep(results: Results, facts: dict[str, Any], path: Path) -> None:
    """Write the file: facts, raw rounds, and what the targets came to."""
    targets = []
    for target in TARGETS:
        found = target.measured(results)
        targets.append(
            {
                "target": target.text,
                "least": target.least,
                "measured": found._asdict() if found else None,
                "reached": found.mid >= target.least if found else None,
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, **results.as_json(), "targets": targets}, indent=1) + "\n")
