"""Erasing: how long until the keys are dead, whatever a person had; and what the key state weighs.

Measured is the time from the request to the swap (the point of no return) and to `destroyed` (the old root
key is gone, by the provider's word). The purge runs after that, in proportion to the records; it is shown as
well.
"""

import asyncio
import random
import secrets
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from bench import cells, content, report
from bench.cells import Cell
from bench.samples import Spread
from tenure import ids
from tenure.bootstrap import Tenure, open_tenure, prepare
from tenure.cold.files import FileObjects
from tenure.cold.mirror import Mirror
from tenure.governance.keychange import Staged, mirror_state, mirrored_state, seal_state, stage, swap
from tenure.ids import CELL
from tenure.keys.blind import FIRST_FREE
from tenure.keys.ggm import leaf_number
from tenure.keys.state import CellManifest, new_tenant, next_state, seal_manifest, verify_narrowing
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft
from tenure.rootstore.files import FilesRootStore
from tenure.settings import Settings
from tenure.store import keystate
from tenure.store.database import Database
from tenure.store.session import Tx

SIZES = (10, 1_000, 100_000)
MOST_RATIO = 1.5
SUBJECTS, ERASED, BATCH = 1_000_000, 10_000, 100
MOST_MB, MOST_MS = 5.0, 90.0
"""What "a few MB" and "tens of milliseconds" are taken for."""
_SWAP, _DESTROYED, _DONE = "punctured", "destroyed", "completed"
_NEVER_S = 86_000.0
_BYTES = b'{"text":"' + b"x" * 200 + b'"}'


class Erasure(NamedTuple):
    """One person's erasure: milliseconds from the request."""

    swapped: float
    destroyed: float
    purged: float


# ── one person's records ─────────────────────────────────────────────────────────────────────────
async def erasures(
    folder: Path, urls: dict[str, str], rounds: int, sizes: tuple[int, ...], console: Console
) -> dict[int, list[Erasure]]:
    """Erase people with few and with many records in turn, all of them in one cell."""
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        shred_interval_s=_NEVER_S,
        log_level="warning",
        **urls,  # type: ignore[arg-type]
    )
    operator = parse_api_key(prepare(settings) or "")
    found: dict[int, list[Erasure]] = {size: [] for size in sizes}
    async with open_tenure(settings) as tenure:
        cell, officer = await _furnished(tenure, operator, settings)
        # One more of the smallest, first and not counted: it pays for what only the first erasure does.
        people = [("warm", sizes[0]), *((str(n), size) for n in range(rounds) for size in sizes)]
        for name, size in people:
            await _fill(tenure, cell, name, size)
        console.print(f"  {sum(size for _, size in people):,} records are there", style="dim")
        for name, size in people:
            erasure = await _erase(tenure, officer, _person(name, size))
            if name != "warm":
                found[size].append(erasure)
                console.print(f"  {size:>7,} records: {erasure.swapped:.0f} ms to the swap", style="dim")
    return found


async def _furnished(tenure: Tenure, operator: Credential, settings: Settings) -> tuple[Cell, Credential]:
    made = await tenure.tenants.create(operator, "bench")
    admin = parse_api_key(made["admin_key"])
    await tenure.manifests.apply(admin, content.MANIFESTS, dry_run=False)
    agent = await tenure.principals.create(admin, "agent", PrincipalKind.AGENT, ("support-agent",))
    officer = await tenure.principals.create(admin, "dpo", PrincipalKind.PERSON, ("dpo",))
    return Cell("shredding", settings, agent["api_key"]), parse_api_key(officer["api_key"])


async def _fill(tenure: Tenure, cell: Cell, name: str, size: int) -> None:
    draft = Draft(_BYTES, (_person(name, size),), (content.CATEGORY,))
    await cells.each(
        range(size),
        lambda n: tenure.gateway.write(cell.ask, content.SCOPE, f"{name}-{size}-{n}", draft),
    )


async def _erase(tenure: Tenure, officer: Credential, person: str) -> Erasure:
    known = await tenure.subjects.lookup(officer, person)
    asked = ids.now()
    shred = (await tenure.subjects.shred(officer, known["items"][0]["id"]))["shred"]
    await tenure.shredder.run()
    state = await tenure.erasures.state(officer, shred)
    steps = state["steps"]
    return Erasure(*((ids.parse_rfc3339(steps[step]) - asked) / 1e3 for step in (_SWAP, _DESTROYED, _DONE)))


def _person(name: str, size: int) -> str:
    return f"customer:{name}-{size}"


# ── the key state of a million ───────────────────────────────────────────────────────────────────
class Weight(NamedTuple):
    """The key state of one tenant, and what a batch of erasures costs: milliseconds."""

    megabytes: float
    shards: int
    fill_s: float
    compute: list[float]
    durable: list[float]
    verified: list[float]


def weigh(folder: Path, rounds: int) -> Weight:
    """One tenant's state with a hundredth of a million erased, then batches of a hundred more."""
    rng = random.Random(1)  # noqa: S311 - the same leaves in every run
    leaves = rng.sample(range(FIRST_FREE, FIRST_FREE + SUBJECTS), ERASED + rounds * BATCH)
    settings = Settings(data_dir=folder / "data", root_dir=folder / "root")
    prepare(settings)
    database = Database(settings.database)
    roots = FilesRootStore(settings.root_dir / "keys")
    mirror = Mirror(FileObjects(settings.root_dir / "mirror"))
    version = roots.list()[-1].version

    tenant = ids.new_id()
    new = new_tenant(CellManifest(1, {}), tenant, secrets.token_bytes(32), secrets.token_bytes(32))
    begin = time.perf_counter()
    new = next_state(new.manifest, new.states, {tenant: _numbers(leaves[:ERASED])})
    filled = time.perf_counter() - begin
    first = seal_state(new, roots, version)
    database.write(CELL, partial(_put, first))
    mirror_state(mirror, first)
    size = new.states[tenant].size_bytes + len(seal_manifest(new.manifest, roots, version))
    weight = Weight(size / 1e6, len(new.states[tenant].shards), filled, [], [], [])

    for gone in _batches(leaves[ERASED:]):
        before = new.states[tenant]
        begin = time.perf_counter()
        new = next_state(new.manifest, new.states, {tenant: _numbers(gone)})
        staged = seal_state(new, roots, version)
        computed = time.perf_counter()
        mirror_state(mirror, staged)
        database.write(CELL, partial(_put, staged))
        durable = time.perf_counter()
        read_back = mirrored_state(mirror, staged.manifest, tenant)
        verify_narrowing(before, read_back, _numbers(gone), ())
        verified = time.perf_counter()
        weight.compute.append((computed - begin) * 1e3)
        weight.durable.append((durable - computed) * 1e3)
        weight.verified.append((verified - durable) * 1e3)
    database.close()
    return weight


def _put(staged: Staged, tx: Tx) -> None:
    stage(tx, staged)
    swap(tx, keystate.pointer(tx), staged)


def _numbers(sequences: list[int]) -> list[int]:
    return [leaf_number(0, sequence) for sequence in sequences]


def _batches(sequences: list[int]) -> Iterator[list[int]]:
    return (sequences[at : at + BATCH] for at in range(0, len(sequences), BATCH))


# ── what is printed ──────────────────────────────────────────────────────────────────────────────
def show_erasures(found: dict[int, list[Erasure]], database: str, console: Console) -> None:
    """Times and, round by round, their ratio to the person with the fewest records."""
    table = report.titled(f"Erasing a person, {database}: milliseconds from the request, median and spread")
    for heading in (
        "records",
        "to the swap",
        "ratio",
        "to destroyed",
        "ratio",
        "to purged",
        f"≤ {MOST_RATIO}",
    ):
        table.add_column(heading, justify="right")
    base = next(iter(found.values()))
    for size, rounds in found.items():
        ratios = {
            name: Spread.of([getattr(a, name) / getattr(b, name) for a, b in zip(rounds, base, strict=True)])
            for name in ("swapped", "destroyed")
        }
        times = {name: Spread.of([getattr(one, name) for one in rounds]) for name in Erasure._fields}
        held = max(ratio.mid for ratio in ratios.values()) <= MOST_RATIO
        table.add_row(
            f"{size:,}",
            _spread(times["swapped"]),
            f"{ratios['swapped'].mid:.2f}",
            _spread(times["destroyed"]),
            f"{ratios['destroyed'].mid:.2f}",
            _spread(times["purged"]),
            report.reached(held=held),
        )
    console.print(table)


def show_weight(weight: Weight, console: Console) -> None:
    """Size, and the cost of a batch in its parts."""
    whole = [sum(parts) for parts in zip(weight.compute, weight.durable, weight.verified, strict=True)]
    table = report.titled(f"Key state of {SUBJECTS:,} subjects, {ERASED:,} of them erased, SQLite")
    for heading in ("what", "measured", "target", ""):
        table.add_column(heading, justify="left" if heading in {"what", ""} else "right")
    light, fast = weight.megabytes <= MOST_MB, Spread.of(whole).mid <= MOST_MS
    table.add_row(
        "shards and cell manifest",
        f"{weight.megabytes:.2f} MB",
        f"≤ {MOST_MB:.0f} MB",
        report.reached(held=light),
    )
    table.add_row("shards", str(weight.shards))
    table.add_row(
        f"a batch of {BATCH} more",
        f"{_spread(Spread.of(whole))} ms",
        f"≤ {MOST_MS:.0f} ms",
        report.reached(held=fast),
    )
    for name, parts in (
        ("puncture and seal", weight.compute),
        ("mirror and database, durable", weight.durable),
        ("read back and verify every node", weight.verified),
    ):
        table.add_row(f"  {name}", f"{_spread(Spread.of(parts))} ms")
    table.add_row(f"all {ERASED:,} in one batch, computing", f"{weight.fill_s * 1e3:,.0f} ms")
    console.print(table)


def _spread(one: Spread) -> str:
    return f"{one.mid:,.1f} ({one.low:,.1f}-{one.high:,.1f})"


def run(
    *, database: str, urls: dict[str, str], rounds: int, sizes: tuple[int, ...], console: Console
) -> dict[str, Any]:
    """Both parts; the raw numbers."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        weight = weigh(Path(folder, "weight"), rounds * 2)
        show_weight(weight, console)
        found = asyncio.run(erasures(Path(folder, "erasures"), urls, rounds, sizes, console))
    show_erasures(found, database, console)
    raw = {str(size): [one._asdict() for one in rounds_] for size, rounds_ in found.items()}
    return {"database": database, "erasures_ms": raw, "key_state": weight._asdict()}
