"""`python -m bench policy`: decisions by rules and tenants, memory, how soon a change holds everywhere."""

from statistics import median
from typing import Any

from rich.console import Console

from bench import deciding, report, spreading

SIZES = (50, 500, 5_000)
TENANTS = (1, 1_000)
CACHED_US = 10.0
SPREAD_MS = 1_000.0


def run(console: Console, *, quick: bool) -> dict[str, Any]:
    """Measure and print; the raw numbers."""
    rounds, seconds = (2, 0.5) if quick else (5, 2.0)
    tenants = (1, 50) if quick else TENANTS
    raw: dict[str, Any] = {"machine": report.machine()}
    raw["decisions"] = deciding.run(SIZES, tenants, rounds, seconds)
    show_decisions(raw["decisions"], console)
    raw["spread"] = spreading.run(changes=5 if quick else 20)
    show_spread(raw["spread"], console)
    return raw


def show_decisions(found: list[dict[str, Any]], console: Console) -> None:
    """Rates, ratios and memory."""
    table = report.titled("Decisions per second of CPU in one process; memory (KiB) for each tenant")
    for heading in (
        "rules",
        "tenants",
        "built (CPU ms)",
        "memory",
        "cached",
        "µs each",
        "uncached",
        "plain Casbin",
        "uncached / plain",
    ):
        table.add_column(heading, justify="right")
    for one in found:
        plain = one["plain"]
        table.add_row(
            f"{one['rules']:,}",
            f"{one['tenants']:,}",
            f"{one['build_ms']:.1f}",
            f"{one['kib']:,.0f}" if one["tenants"] > 1 else "",
            f"{one['cached']:,.0f}",
            f"{1e6 / one['cached']:.2f}",
            f"{one['uncached']:,.0f}",
            f"{plain:,.0f}" if plain else "",
            f"{one['uncached'] / plain:.1f}" if plain else "",
        )
    console.print(table)
    slowest = max(1e6 / one["cached"] for one in found)
    held = report.reached(held=slowest < CACHED_US)
    console.print(f"A cached decision costs less than {CACHED_US:.0f} µs: {slowest:.2f} at most, {held}.")


def show_spread(found: dict[str, Any], console: Console) -> None:
    """Delays and stale answers."""
    delays = found["first_effect_ms"]
    held = report.reached(held=delays[-1] <= SPREAD_MS and not found["stale"])
    console.print(
        f"{found['changes']} changes of policy, {found['replicas']} processes: first answer under the new "
        f"rules after {median(delays):.0f} ms (median), {delays[-1]:.0f} ms (longest), 1 s wanted; of "
        f"{found['asked_after_a_change']:,} reads that began after a change was answered "
        f"{found['stale']} were decided under the old rules, 0 wanted: {held}."
    )
    if found["other_statuses"]:
        console.print(f"Other answers were seen: {found['other_statuses']}.")
