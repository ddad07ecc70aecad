"""A thousand tenants: how long from commit to published receipt, and what they cost while nothing happens."""

import asyncio
import gc
import random
import time
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
import psycopg

from bench.appending import Record
from tenure.bootstrap import Tenure, open_tenure
from tenure.ids import CELL
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings
from tenure.store import tenants as store

_RECORD = Record()


@dataclass
class Latency:
    """From the commit to the receipt, in milliseconds; `span` is how long all of it took, in seconds."""

    load: str
    entries: int
    p50: float
    p99: float
    most: float
    span: float


@dataclass
class Idle:
    """What a running service uses while nobody asks for anything, for each minute; memory in MiB."""

    tenants: int
    cpu_s: float
    transactions: float
    rss: float


class Watch:
    """Times every entry from its commit to the publication of a size that includes it.

    Within a log, the k-th commit counts as published with k entries: two lanes may swap neighbours.
    """

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._waiting: dict[str, deque[float]] = defaultdict(deque)
        self._base: dict[str, int] = {}
        self._done: Counter[str] = Counter()

    def begin(self, tenant_id: str, size: int) -> None:
        """The log has so many entries, all published."""
        self._base[tenant_id] = size

    def committed(self, tenant_id: str, count: int) -> None:
        """Entries became durable now."""
        self._waiting[tenant_id].extend([time.perf_counter()] * count)

    def published(self, tenant_id: str, size: int) -> None:
        """Receipts are given up to this size now."""
        now, waiting = time.perf_counter(), self._waiting[tenant_id]
        while waiting and self._base.get(tenant_id, 0) + self._done[tenant_id] < size:
            self.taken.append(now - waiting.popleft())
            self._done[tenant_id] += 1

    @property
    def left(self) -> int:
        """Entries that are not published."""
        return sum(map(len, self._waiting.values()))


async def run(
    settings: Settings,
    operator_key: str,
    admin_url: str,
    *,
    tenants: int,
    each: int,
    idle_s: float,
    span_s: float,
) -> dict[str, Any]:
    """Idle with the operator alone, then with all tenants; their bursts over a time, then all at once."""
    found: dict[str, Any] = {"idle": [], "latency": []}
    async with open_tenure(settings):
        found["idle"].append(asdict(await _idle(0, admin_url, idle_s)))
    async with open_tenure(settings) as tenure:
        operator = parse_api_key(operator_key)
        for number in range(tenants):
            await tenure.tenants.create(operator, f"tenant {number}")
    began = time.perf_counter()
    async with open_tenure(settings) as tenure:
        found["start_s"] = time.perf_counter() - began
        found["idle"].append(asdict(await _idle(tenants, admin_url, idle_s)))
        database = tenure._database  # noqa: SLF001 - nothing else names all tenants
        names = await asyncio.to_thread(database.read, CELL, store.all_ids)
        names = names[:tenants]
        for load, span in ((f"bursts of {each} over {span_s:.0f} s", span_s), ("all at once", 0.0)):
            found["latency"].append(asdict(await _load(tenure, names, each, load, span)))
        found["idle_after"] = asdict(await _idle(tenants, admin_url, idle_s))
    return found


async def _idle(tenants: int, admin_url: str, seconds: float) -> Idle:
    await asyncio.sleep(2)  # what a start leaves to do
    gc.collect()
    before, used = _transactions(admin_url), time.process_time()
    await asyncio.sleep(seconds)
    used, after = time.process_time() - used, _transactions(admin_url)
    rss = psutil.Process().memory_info().rss / 2**20
    return Idle(tenants, used * 60 / seconds, (after - before) * 60 / seconds, rss)


def _transactions(url: str) -> int:
    """Of all backends of the database. Each transaction of the service is two to five statements."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        found = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(found[0]) if found else 0


async def _load(tenure: Tenure, names: list[str], each: int, load: str, span: float) -> Latency:
    sequencer, batcher = tenure.sequencer, tenure._batcher  # noqa: SLF001 - the parts that are measured
    heads = [await sequencer.run(name) for name in names]
    watch = Watch()
    for name, head in zip(names, heads, strict=True):
        watch.begin(name, head.size)
    published = sequencer.backlog.published

    def seen(tenant_id: str, size: int) -> None:
        published(tenant_id, size)
        watch.published(tenant_id, size)

    def committed(tenant_id: str, count: int) -> None:
        watch.committed(tenant_id, count)
        sequencer.committed(tenant_id, count)

    sequencer.backlog.published = seen
    batcher.on_commit(committed)
    pick = random.Random(1)  # noqa: S311 - the same moments in every run

    async def burst(name: str, after: float) -> None:
        await asyncio.sleep(after)
        await asyncio.gather(*(batcher.submit(name, _RECORD) for _ in range(each)))

    began = time.perf_counter()
    await asyncio.gather(*(burst(name, pick.random() * span) for name in names))
    while watch.left:  # noqa: ASYNC110 - what is measured does not know of us
        await asyncio.sleep(0.02)
    whole = time.perf_counter() - began
    sequencer.backlog.published = published
    batcher.on_commit(sequencer.committed)
    cuts = quantiles(watch.taken, n=100)
    return Latency(load, len(watch.taken), cuts[49] * 1e3, cuts[98] * 1e3, max(watch.taken) * 1e3, whole)


def objects(settings: Settings) -> Path:
    """Where the logs were published."""
    return settings.data_dir / "objects"
