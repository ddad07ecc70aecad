"""A thousand tenants: how long from commit to published receipt, and what they cost while nothing happens."""

import asyncio
import gc
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any
from unittest.mock import patch

import psutil
from sqlalchemy import Engine, event

from bench.appending import Record
from tenure.bootstrap import Tenure, open_tenure
from tenure.ids import CELL
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings
from tenure.store import tenants as store
from tenure.store.pipeline import Pipeline
from tenure.store.statements import Row, Sent

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
    round_trips: float
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
    *,
    tenants: int,
    each: int,
    idle_s: float,
    span_s: float,
) -> dict[str, Any]:
    """Idle with the operator alone, then with all tenants; their bursts over a time, then all at once."""
    found: dict[str, Any] = {"idle": [], "latency": []}
    async with open_tenure(settings) as tenure:
        await _settled(tenure)
        found["idle"].append(asdict(await _idle(0, idle_s)))
    async with open_tenure(settings) as tenure:
        operator = parse_api_key(operator_key)
        for number in range(tenants):
            await tenure.tenants.create(operator, f"tenant {number}")
    began = time.perf_counter()
    async with open_tenure(settings) as tenure:
        found["start_s"] = time.perf_counter() - began
        await _settled(tenure)
        found["settled_s"] = time.perf_counter() - began
        found["idle"].append(asdict(await _idle(tenants, idle_s)))
        database = tenure._database  # noqa: SLF001 - nothing else names all tenants
        names = await asyncio.to_thread(database.read, CELL, store.all_ids)
        names = names[:tenants]
        for load, span in ((f"bursts of {each} over {span_s:.0f} s", span_s), ("all at once", 0.0)):
            found["latency"].append(asdict(await _load(tenure, names, each, load, span)))
        await _settled(tenure)
        found["idle_after"] = asdict(await _idle(tenants, idle_s))
    return found


async def _settled(tenure: Tenure) -> None:
    """Until nothing has been sequenced or published for two seconds."""
    quiet = 0
    while quiet < 20:
        await asyncio.sleep(0.1)
        busy = tenure.sequencer._under_way or tenure.sequencer.publisher._tasks  # noqa: SLF001 - see above
        quiet = 0 if busy else quiet + 1


async def _idle(tenants: int, seconds: float) -> Idle:
    gc.collect()
    with _trips() as trips:
        used = time.process_time()
        await asyncio.sleep(seconds)
        used = time.process_time() - used
    rss = psutil.Process().memory_info().rss / 2**20
    return Idle(tenants, used * 60 / seconds, len(trips) * 60 / seconds, rss)


@contextmanager
def _trips() -> Iterator[list[None]]:
    """Every round trip of this process to its databases, whichever way it is made."""
    made: list[None] = []

    def count(*_: object) -> None:
        made.append(None)

    real = Pipeline.run

    def run(pipeline: Pipeline, statements: Sequence[Sent]) -> list[list[Row]]:
        count()
        return real(pipeline, statements)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with patch.object(Pipeline, "run", run):
            yield made
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def _load(tenure: Tenure, names: list[str], each: int, load: str, span: float) -> Latency:
    sequencer, batcher = tenure.sequencer, tenure._batcher  # noqa: SLF001 - the parts that are measured
    watch = Watch()
    for name in names:
        head = await sequencer.run(name)
        assert head is not None
        watch.begin(name, head.size)
    published = sequencer.backlog.published

    def seen(tenant_id: str, size: int) -> None:
        published(tenant_id, size)
        watch.published(tenant_id, size)

    def committed(tenant_id: str, count: int) -> None:
        watch.committed(tenant_id, count)
        sequencer.committed(tenant_id, count)

    batcher.on_commit(committed)
    pick = random.Random(1)  # noqa: S311 - the same moments in every run

    async def burst(name: str, after: float) -> None:
        await asyncio.sleep(after)
        await asyncio.gather(*(batcher.submit(name, _RECORD) for _ in range(each)))

    with patch.object(sequencer.backlog, "published", seen):
        began = time.perf_counter()
        await asyncio.gather(*(burst(name, pick.random() * span) for name in names))
        while watch.left:  # noqa: ASYNC110 - what is measured does not know of us
            await asyncio.sleep(0.02)
        whole = time.perf_counter() - began
    batcher.on_commit(sequencer.committed)
    cuts = quantiles(watch.taken, n=100)
    return Latency(load, len(watch.taken), cuts[49] * 1e3, cuts[98] * 1e3, max(watch.taken) * 1e3, whole)
