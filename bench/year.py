"""`python -m bench year`: a year of steady writes, day by day, with retention on and without any.

The clock is moved on, of the process and of the database; everything else is real: an embedded cell, its jobs
`tier` and `evict`, its batches of erasures. What is measured is how much of the database's pages is in use.
The ledger stays and grows, with retention and without: it is shown apart.
"""

import asyncio
import json
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import urandom
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple
from unittest import mock

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, text

from bench import content
from tenure import ids
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure, prepare
from tenure.jobs.evict import Evict
from tenure.jobs.job import Run
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft
from tenure.settings import Settings
from tenure.store import clock

DAY_US = 86_400_000_000
WRITES, READS, BYTES = 6, 2, 256 << 10
HOT, GONE = 30, 60
SETTLED = 75
"""From this day on the database holds a full time of everything."""
SHOWN_EVERY = 15
RULE = {
    "apiVersion": "tenure/v1",
    "kind": "Retention",
    "metadata": {"name": "year"},
    "spec": {"scopes": ["**"], "categories": "*", "hotFor": f"{HOT}d", "coldFor": f"{GONE - HOT}d",
             "deleteAfter": f"{GONE}d"},
}  # fmt: skip


class Sample(NamedTuple):
    """A day's end: bytes of the database in use, of these contents, and bytes of packs."""

    day: int
    used: int
    contents: int
    packs: int


@dataclass
class Days:
    """How far the clock is moved on, in microseconds."""

    ahead: int = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """While it may be moved."""
        now, read = ids.now, clock.read
        with (
            mock.patch.object(ids, "now", lambda: now() + self.ahead),  # noqa: PT008 - another value each time
            mock.patch.object(clock, "read", lambda tx: read(tx) + self.ahead),
        ):
            yield


def run(console: Console, *, days: int) -> dict[str, Any]:
    """Both years, printed as a chart; the raw numbers."""
    raw: dict[str, Any] = {"days": days, "writes": WRITES, "bytes": BYTES, "hot": HOT, "gone": GONE}
    years: dict[str, list[Sample]] = {}
    for name, rules in (("with retention", [RULE]), ("without", [])):
        with tempfile.TemporaryDirectory(prefix="tenure-year-") as folder, console.status(f"a year {name}"):
            years[name] = asyncio.run(_year(Path(folder), rules, days))
        raw[name] = [one._asdict() for one in years[name]]
    show(years, console)
    return raw


async def _year(folder: Path, rules: list[dict[str, Any]], days: int) -> list[Sample]:
    settings, passing = settings_in(folder), Days()
    with passing.passing():
        operator = parse_api_key(prepare(settings) or "")
        async with open_tenure(settings) as tenure:
            ask, _ = await furnished(tenure, operator, rules)
            found = []
            for day in range(1, days + 1):
                await _day(tenure, ask, day)
                passing.ahead += DAY_US
                await tenure.tiering.run(Run("tier"))
                await Evict(tenure.batcher, tenure._database, lambda: None).run(Run("evict"))  # noqa: SLF001 - as its schedule does
                await tenure.shredder.run()
                await tenure.sequencer.run(ask.credential.tenant_id)
                found.append(_measured(settings, day))
    return found


def settings_in(folder: Path) -> Settings:
    """Of an embedded cell in which nothing happens by itself."""
    return Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        log_level="warning",
        cell_jobs=False,
        inspect_interval_s=0,
        shred_interval_s=86_000,
    )


async def furnished(
    tenure: Tenure, operator: Credential, rules: list[dict[str, Any]]
) -> tuple[Ask, Credential]:
    """A tenant with these rules: its agent, and its administrator."""
    made = await tenure.tenants.create(operator, "year")
    admin = parse_api_key(made["admin_key"])
    await tenure.manifests.apply(admin, content.MANIFESTS, dry_run=False)
    if rules:
        await tenure.manifests.apply(admin, json.dumps(rules), dry_run=False)
    agent = await tenure.principals.create(admin, "agent", PrincipalKind.AGENT, ("support-agent",))
    return Ask(parse_api_key(agent["api_key"]), content.PURPOSE), admin


async def _day(tenure: Tenure, ask: Ask, day: int) -> None:
    for n in range(WRITES):
        body = json.dumps({"state": b64encode(urandom(BYTES * 3 // 4)).decode()}).encode()
        draft = Draft(body, (content.person(day * WRITES + n),), (content.CATEGORY,))
        await tenure.gateway.write(ask, content.SCOPE, f"{day}-{n}", draft)
    for n in range(READS):
        await tenure.gateway.read(ask, content.SCOPE, f"{max(1, day - 7 * n)}-{n}")


def _measured(settings: Settings, day: int) -> Sample:
    engine = create_engine(settings.database)
    with engine.connect() as connection:

        def number(sql: str) -> int:
            return int(connection.execute(text(sql)).scalar_one() or 0)

        pages = number("PRAGMA page_count") - number("PRAGMA freelist_count")
        used = pages * number("PRAGMA page_size")
        contents = number("SELECT sum(length(content)) FROM versions")
    engine.dispose()
    packs = sum(
        one.stat().st_size for one in (settings.data_dir / "objects" / "packs").rglob("*") if one.is_file()
    )
    return Sample(day, used, contents, packs)


# ── what is printed ────────────────────────────────────────────────────────────────────────────────
def show(years: dict[str, list[Sample]], console: Console) -> None:
    """A bar for each fortnight, and whether it stayed flat."""
    most = max(one.used for samples in years.values() for one in samples)
    for name, samples in years.items():
        table = Table(
            "day", "in use", "", "contents", "ledger, rows, keys", "in packs", title=f"Database, {name}"
        )
        for one in samples[SHOWN_EVERY - 1 :: SHOWN_EVERY]:
            bar = Bar(most, 0, one.used, width=48)
            table.add_row(
                str(one.day),
                _mb(one.used),
                bar,
                _mb(one.contents),
                _mb(one.used - one.contents),
                _mb(one.packs),
            )
        console.print(table)
        settled = [one.used for one in samples if one.day >= SETTLED]
        if settled:
            level = mean(settled)
            low, high = min(settled) / level - 1, max(settled) / level - 1
            flat = "flat (within 10 %)" if max(-low, high) <= 0.1 else "not flat"
            console.print(f"From day {SETTLED}: {_mb(level)} on average, {low:+.1%} to {high:+.1%}: {flat}\n")


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
