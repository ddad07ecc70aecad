"""A cell in which something of everything happened: what inspections and selftests look at."""

import asyncio
from typing import Any
from unittest import mock

from sqlalchemy import delete, insert, select

from support import limited
from support.cell import JOINT, NOTES, SCOPE, Cell
from support.notices import dead, told
from support.officers import approved, asked, second_officer, show
from support.travel import HOUR_US
from tenure import ids
from tenure.decisions import Opening
from tenure.governance import evictions
from tenure.ids import CELL
from tenure.jobs.evict import Evict
from tenure.jobs.job import Run
from tenure.model.record import Draft, Segment
from tenure.model.rightsrequest import Kind
from tenure.model.thread import Bound, Channel, NewSnapshot, NewWrites, Write
from tenure.store import tables


async def live(cell: Cell) -> None:
    """Writes, reads, decisions, long access lists, holds and erasures, in an open cell; all published."""
    tenure, tenant = cell.tenure, cell.one
    await tenure.manifests.apply(tenant["admin"], CLOCKS, dry_run=False)
    for number in range(4):
        await cell.put(f"talk-{number}", f"words {number}", f"customer:{number % 3}")
    await rounds(cell)
    for who in ("customer:0", "customer:1"):
        await tenure.events.post(tenant.ask(), SCOPE, "customer.left", who)
    await tenure.ledger_keys.rotate(tenant["admin"])
    filed = (("users", "1", "talks"),)
    await cell.put("talk-1", "more words", "customer:1", expires_at=4_000_000_000_000_000, paths=filed)
    await cell.put("short", "gone soon", "customer:1", categories=("contact", "travel"))
    await tenure.gateway.delete(tenant.ask(), SCOPE, "short")
    await cell.put("note", "about nobody", scope=NOTES)
    await cell.put("both", "a booking", "customer:1", "customer:2", scope=JOINT)
    source = await cell.put("source", "of something", "customer:5")
    await cell.put("derived", "from it", derived_from=(source.version_id,), scope=NOTES)
    other = await cell.put("other", "of something", "customer:6")
    await cell.put("stays", "from the other", derived_from=(other.version_id,), scope=NOTES)
    parts = (
        Segment(b'"hers"', ("customer:0",)),
        Segment(b'"his"', ("customer:1",)),
    )
    draft = Draft(b"", (), ("contact",), segments=parts)
    await tenure.gateway.write(tenant.ask(), SCOPE, "parts", draft)
    decision = await tenure.decisions.open(
        tenant["agent"], Opening("customer-support", "customer:1", {"agent": "bot", "model": "m-1"})
    )
    reads = [cell.get("talk-1", ask=tenant.ask(decision=decision["id"])) for _ in range(70)]
    await asyncio.gather(*reads)
    await tenure.decisions.seal(tenant["agent"], decision["id"], "answered", None)
    await tenure.decisions.open(tenant["agent"], Opening("customer-support"))
    record = (await cell.get("talk-3")).record
    hold = await tenure.holds.place(tenant["dpo"], "record", record, "litigation 7")
    await tenure.holds.place(tenant["dpo"], "scope", NOTES, "audit 2026")
    await emergencies(cell)
    await told(tenure, tenant.id, "bank", "mailer")
    await dead(tenure, tenant.id)
    await agents(cell)
    await limited.some(cell)
    await cases(cell)
    await cell.erase("customer:0")
    await rounds(cell)
    await tenure.ledger_keys.rotate(tenant["admin"])
    await tenure.ledger_keys.rotate(cell.operator)
    await cell.erase("customer:5")
    await over(cell)
    await tenure.holds.release(tenant["dpo"], hold["id"])
    await tenure.shredder.run()
    await cell.put("theirs", 1, "customer:1", tenant=cell.two)
    await rounds(cell)
    if tenure.settings.tsa_url:
        assert await tenure.timestamps.run()
    await cell.put("talk-9", "afterwards", "customer:9")
    await tenure.sequencer.run(tenant.id)


async def agents(cell: Cell) -> None:
    """A thread that goes on, with what is pending on it, and one that is deleted."""
    threads, ask, bound = cell.tenure.threads, cell.one.ask(), Bound(("contact",), ("customer:1",))
    said = {"talk": Channel(1, "text", (b"hello",))}
    for name in ("goes on", "ends"):
        first = NewSnapshot("first", None, said, run="run-1")
        second = NewSnapshot("second", "first", {"talk": Channel(1)}, run="run-2")
        await threads.put(ask, SCOPE, name, "", bound, first)
        pending = (Write(0, "talk", "text", b"more"),)
        await threads.put_writes(ask, SCOPE, name, "", bound, NewWrites("first", "alone", pending))
        await asyncio.gather(
            threads.put_writes(ask, SCOPE, name, "", bound, NewWrites("first", "along", pending)),
            threads.put(ask, SCOPE, name, "", bound, second),
        )
    await threads.delete(ask, SCOPE, "ends")


async def over(cell: Cell) -> None:
    """Something has had its time: its cohort ends, hours later by the clock of retention alone."""
    soon = ids.now() + HOUR_US
    await cell.put("brief", "for an hour", "customer:7", expires_at=soon)
    with mock.patch.object(evictions, "_now", lambda desk: desk.now + 3 * HOUR_US):
        await Evict(cell.tenure.batcher, cell.tenure._database, lambda: None).run(Run("evict"))
    await cell.tenure.shredder.run()


CLOCKS = """
apiVersion: tenure/v1
kind: Retention
metadata: {name: used}
spec: {scopes: [support.conversations], categories: [travel, contact], clock: access, deleteAfter: 3650d}
---
apiVersion: tenure/v1
kind: Retention
metadata: {name: left}
spec:
  scopes: ["support.**"]
  categories: [contact]
  clock: event
  event: customer.left
  deleteAfter: 3650d
"""
EMERGENCY = """
apiVersion: tenure/v1
kind: Role
metadata: {name: rescuer}
spec:
  description: Sees everything that support has, when lives are at stake
  breakGlass: {maxMinutes: 60, approverRoles: [dpo, support-lead], reviewWithinHours: 24}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: support-lead}
spec: {description: Leads support}
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: rescue}
spec:
  roles: [rescuer]
  scopes: ["support.**"]
  categories: ["*"]
  purposes: [customer-support]
  actions: [read, list]
  effect: allow
"""


async def cases(cell: Cell) -> None:
    """Rights requests: one taken back, two carried out, of which one made a package, one that waits."""
    await second_officer(cell)
    await cell.tenure.requests.withdraw(
        cell.one["dpo"], await asked(cell, Kind.PORTABILITY, details="no more")
    )
    made = await approved(cell, Kind.CONSENT_WITHDRAWAL, "customer:3", purposes=("marketing",))
    await cell.tenure.rights.run()
    assert (await show(cell, made))["certificate"]
    await asked(cell, Kind.ACCESS)
    made = await approved(cell, Kind.ACCESS)
    await cell.tenure.rights.run()
    await cell.tenure.requests.link(cell.one["dpo"], made)


async def emergencies(cell: Cell) -> None:
    """Elevations in several states; under one of them something was read."""
    tenure, tenant = cell.tenure, cell.one
    await tenure.manifests.apply(tenant["admin"], EMERGENCY, dry_run=False)
    made = [await tenure.breakglass.request(tenant["clerk"], "rescuer", 5, f"case {n}") for n in range(4)]
    first, second, third, _ = (one["id"] for one in made)
    await tenure.breakglass.approve(tenant["dpo"], first)
    await cell.get("talk-3", ask=tenant.ask("clerk"))
    await tenure.breakglass.end(tenant["clerk"], first)
    await tenure.breakglass.review(tenant["dpo"], first, "justified", "asked both of them")
    await tenure.breakglass.refuse(tenant["dpo"], second)
    await tenure.breakglass.approve(tenant["dpo"], third)


async def rounds(cell: Cell) -> None:
    """Publish everybody's log, and let the cell's take them in."""
    for tenant_id in (cell.one.id, cell.two.id):
        await cell.tenure.sequencer.run(tenant_id)
    await cell.tenure.cell_log.round()
    await cell.tenure.sequencer.run(CELL)


class Undone:
    """Whatever is changed in a cell's tables inside it, is as it was afterwards."""

    def __init__(self, cell: Cell, *names: str) -> None:
        self._cell = cell
        self._tables = [tables.metadata.tables[name] for name in names]
        self._before: list[list[dict[str, Any]]] = []

    def __enter__(self) -> None:
        with self._cell.raw() as connection:
            found = [connection.execute(select(table)).mappings() for table in self._tables]
            self._before = [[dict(row) for row in rows] for rows in found]

    def __exit__(self, *_: object) -> None:
        with self._cell.raw() as connection:
            for table, rows in zip(self._tables, self._before, strict=True):
                connection.execute(delete(table))
                if rows:
                    connection.execute(insert(table), rows)
