"""Durable ledger entries per second, against what people write instead, on PostgreSQL and through psycopg.

ours         the batcher with its lanes, an operation that appends one access entry; `deferred` places them
             afterwards, `live` sequences, signs and publishes while it appends
plain        a user's audit table: one INSERT per access, a commit each, a connection for each in flight
chain        a hash-chained audit table: lock the tenant's head, hash, INSERT, move the head, commit
rows         as many ready rows as are in flight in one INSERT and commit, again and again: the same columns
             and bytes as ours, prepared beforehand, statements and round trips as ours; nothing is decided,
             encoded, numbered or answered
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from statistics import quantiles
from typing import Any

import psycopg

from bench import inprocess
from bench.cells import Cell
from bench.samples import Results, Sample, Series
from tenure import ids
from tenure.bootstrap import Tenure
from tenure.crew import BatchOperation, Desk, Needs
from tenure.ledger.entry import Access, Action, EntryDraft, Kind
from tenure.store import tables
from tenure.store.pipeline import Pipeline
from tenure.store.statements import Insert, Sent
from tenure.tenancy import Tenancy
from tenure.thawing import Thawed

LEG = "append"
DEFERRED, LIVE = "entries, placed later", "entries, sequenced and published meanwhile"
PLAIN, CHAIN, ROWS = "plain audit INSERT each", "hash chain with a lock", "bare multi-row INSERT"
SCHEMA = """
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant uuid NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), who uuid NOT NULL,
    what text NOT NULL, purpose text NOT NULL, record uuid NOT NULL, version bigint NOT NULL
);
CREATE TABLE chain (
    tenant uuid NOT NULL, n bigint NOT NULL, body bytea NOT NULL, hash bytea NOT NULL, PRIMARY KEY (tenant, n)
);
CREATE TABLE heads (tenant uuid PRIMARY KEY, n bigint NOT NULL, hash bytea NOT NULL);
CREATE TABLE entries (
    tenant_id uuid NOT NULL, writer text COLLATE "C" NOT NULL, n bigint NOT NULL,
    kind text COLLATE "C" NOT NULL, at bigint NOT NULL,
    principal_id uuid, decision_id uuid, breakglass_id uuid, body bytea NOT NULL,
    PRIMARY KEY (tenant_id, writer, n)
);
CREATE INDEX ON entries (tenant_id, decision_id) WHERE decision_id IS NOT NULL;
CREATE INDEX ON entries (tenant_id, breakglass_id, at, writer, n) WHERE breakglass_id IS NOT NULL;
CREATE INDEX ON entries (tenant_id, at) WHERE kind = 'principal.change';
"""
_AUDIT = "INSERT INTO audit (tenant, who, what, purpose, record, version) VALUES (%s, %s, %s, %s, %s, %s)"
_POLICY = "sha256:" + sha256(b"bench").hexdigest()
_BEGIN, _COMMIT = Sent(b"BEGIN"), Sent(b"COMMIT")
WHO, RECORD = ids.new_id(), ids.new_id()


def draft(at: int) -> EntryDraft:
    """What one read of one record leaves in the ledger."""
    access = Access(RECORD, 1, Action.RETURNED, commitment=bytes(32))
    return EntryDraft(
        kind=Kind.ACCESS,
        at=at,
        outcome="allowed",
        principal=WHO,
        policy=_POLICY,
        purpose="customer-support",
        rules=("support",),
        accesses=(access,),
    )


class Record:
    """An operation that is nothing but its entry."""

    solo = False
    thawed: Thawed | None = None

    def needs(self, _tenancy: Tenancy, _needs: Needs) -> None:
        """Nothing is looked up."""

    def perform(self, desk: Desk) -> str:
        """One entry; its id."""
        return desk.tx.append(draft(desk.now))


_RECORD: BatchOperation = Record()
Turn = Callable[[int, float], Sample]


@dataclass
class Ours:
    """Our append path in this process."""

    tenure: Tenure
    tenant_id: str

    async def turn(self, in_flight: int, seconds: float) -> Sample:
        """Closed loops, each waiting until its entry is durable."""
        submit = self.tenure._batcher.submit  # noqa: SLF001 - the part that is measured
        return await inprocess.closed_loop(
            lambda: submit(self.tenant_id, _RECORD), in_flight=in_flight, seconds=seconds
        )


class Connected:
    """A bare contender: a thread and a connection for each in flight."""

    def __init__(self, url: str, tenant_id: str) -> None:
        self._url, self._tenant_id = url, tenant_id

    def turn(self, in_flight: int, seconds: float) -> Sample:
        """Every thread repeats its operation for a time."""
        taken: list[list[float]] = [[] for _ in range(in_flight)]
        begin_together = threading.Barrier(in_flight + 1)

        def work(mine: list[float]) -> None:
            with closing(psycopg.connect(self._url, autocommit=True, prepare_threshold=2)) as connection:
                for _ in range(4):
                    self.once(connection)
                begin_together.wait()
                clock = time.perf_counter
                now = clock()
                end = now + seconds
                while now < end:
                    self.once(connection)
                    then, now = now, clock()
                    mine.append(now - then)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
        for thread in threads:
            thread.start()
        begin_together.wait()
        begin, used = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.join()
        whole, used = time.perf_counter() - begin, time.process_time() - used
        every = [one for mine in taken for one in mine]
        cuts = quantiles(every, n=100)
        return Sample(len(every) / whole, cuts[49] * 1e3, cuts[98] * 1e3, used / len(every) * 1e6)

    def once(self, connection: "psycopg.Connection[Any]") -> None:
        """One durable record."""
        raise NotImplementedError


class Plain(Connected):
    """A row in the audit table."""

    def once(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute(_AUDIT, (self._tenant_id, WHO, "read", "customer-support", RECORD, 1))


class Chain(Connected):
    """A row whose hash covers the one before it."""

    _body = draft(ids.now()).encode("0" * 16, 1)

    def once(self, connection: "psycopg.Connection[Any]") -> None:
        with connection.transaction():
            found = connection.execute(
                "SELECT n, hash FROM heads WHERE tenant = %s FOR UPDATE", (self._tenant_id,)
            ).fetchone()
            assert found is not None
            n, digest = found[0] + 1, sha256(found[1] + self._body).digest()
            connection.execute(
                "INSERT INTO chain VALUES (%s, %s, %s, %s)", (self._tenant_id, n, self._body, digest)
            )
            connection.execute(
                "UPDATE heads SET n = %s, hash = %s WHERE tenant = %s", (n, digest, self._tenant_id)
            )


class Rows:
    """Ready rows, as many as are in flight, in one statement."""

    def __init__(self, url: str, tenant_id: str) -> None:
        self._url, self._tenant_id, self._writers = url, tenant_id, 0

    def turn(self, in_flight: int, seconds: float) -> Sample:
        """One connection, one round trip for each set of rows."""
        insert = Insert(tables.entries)
        self._writers += 1
        writer = f"{self._writers:016x}"
        body = draft(ids.now()).encode(writer, 1_000)
        row = {
            "tenant_id": self._tenant_id,
            "writer": writer,
            "kind": "access",
            "at": ids.now(),
            "body": body,
        }
        row |= {"principal_id": WHO}
        taken: list[float] = []
        with closing(psycopg.connect(self._url, autocommit=True)) as connection:
            pipeline = Pipeline(connection)
            clock = time.perf_counter
            begin, used = clock(), time.process_time()
            now, done, end = begin, 0, begin + seconds
            while now < end:
                rows = [{**row, "n": n} for n in range(done, done + in_flight)]
                pipeline.run([_BEGIN, *insert.postgresql(rows), _COMMIT])
                done += in_flight
                then, now = now, clock()
                taken.append(now - then)
            whole, used = clock() - begin, time.process_time() - used
        cuts = quantiles(taken, n=100)
        return Sample(done / whole, cuts[49] * 1e3, cuts[98] * 1e3, used / done * 1e6)


def prepare(url: str, tenant_id: str) -> None:
    """The contenders' tables."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO heads VALUES (%s, 0, %s)", (tenant_id, bytes(32)))


async def run(
    tenure: Tenure, cell: Cell, url: str, *, rounds: int, seconds: float, in_flight: Sequence[int]
) -> Results:
    """All contenders in turn, round after round, every other one backwards."""
    tenant_id = cell.ask.credential.tenant_id
    ours = Ours(tenure, tenant_id)
    bare: dict[str, Connected | Rows] = {
        PLAIN: Plain(url, tenant_id),
        CHAIN: Chain(url, tenant_id),
        ROWS: Rows(url, tenant_id),
    }
    committed = tenure.sequencer.committed
    results = Results()

    async def turn(name: str, many: int, length: float) -> Sample:
        if name in bare:
            return await asyncio.to_thread(bare[name].turn, many, length)
        if name == LIVE:
            return await ours.turn(many, length)
        # What it would sequence waits until the turn is over.
        batcher = tenure._batcher  # noqa: SLF001 - see above
        batcher.on_commit(lambda _tenant_id, _count: None)
        try:
            return await ours.turn(many, length)
        finally:
            batcher.on_commit(committed)
            await tenure.sequencer.run(tenant_id)

    names = [DEFERRED, LIVE, *bare]
    for name in names:
        await turn(name, max(in_flight), 0.5)
    await tenure.sequencer.run(tenant_id)
    for number in range(rounds):
        for many in in_flight:
            for name in names[:: -1 if number % 2 else 1]:
                results.add(Series(LEG, name, many), await turn(name, many, seconds))
                await tenure.sequencer.run(tenant_id)
    return results
