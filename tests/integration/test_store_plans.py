"""How PostgreSQL goes about the hot path's statements before it knows the tables: by their keys."""

import re
from typing import Any

import pytest

from support import contexts
from support.cell import NOTES, Cell
from tenure.store import cohorts, decisions, idempotency, records, subjects, threads
from tenure.store.database import Database
from tenure.store.lookups import LookUp
from tenure.store.session import Tx
from tenure.store.statements import Sent
from tenure.store.wire import PostgresWire

pytestmark = [pytest.mark.anyio, pytest.mark.postgres, pytest.mark.databases("postgresql")]

ID = "00000000-0000-7000-8000-000000000000"


QUESTIONS: list[tuple[LookUp, dict[str, Any]]] = [
    (records.CURRENT, {"keys": ["k"]}),
    (records.BY_ID, {"ids": [ID]}),
    (records.NUMBERED, {"key_index": "k", "numbers": [1, 2]}),
    (records.EVERY, {"keys": ["k"]}),
    (records.KNOWN_VERSIONS, {"ids": [ID]}),
    (threads.TOGETHER, {"roots": ["k"]}),
    (subjects.BY_REF, {"refs": ["r"]}),
    (subjects.SCOPE_LEAVES, {"scopes": ["s"]}),
    (cohorts.BY_ANCHOR, {"anchors": ["a"]}),
    (decisions.STATE, {"ids": [ID]}),
    (idempotency.FIRST_USES, {"principals": [ID], "keys": ["k"]}),
]


async def test_by_keys_without_statistics(cell: Cell) -> None:
    """All of a tenant's rows look cheaper than looking up ten keys then: two or three are expected."""
    await cell.put("k", 1, "customer:1", idempotency_key="once")
    await cell.put("n", 1, scope=NOTES)
    await contexts.opened(cell)
    asked = [one.postgresql({"tenant_id": cell.one.id, **params}) for one, params in QUESTIONS]
    for name in {name for one in asked for name in re.findall(r"FROM (\w+) WHERE", one.sql.decode())}:
        # What PostgreSQL learns by itself at this very moment must not come in between.
        cell.change(f"ALTER TABLE {name} SET (autovacuum_enabled = false)")
        cell.change("DELETE FROM pg_statistic WHERE starelid = CAST(:name AS regclass)", name=name)
        few = "UPDATE pg_class SET reltuples = 500, relpages = 1 WHERE relname = :name"
        assert cell.change(few, name=name) == 1
    database = Database(cell.settings.database)
    plans = [database.write(cell.one.id, lambda tx, one=one: _plan(tx, one)) for one in asked]
    database.close()
    for plan in plans:
        conditions = re.findall(r"Index Cond: (.*)", plan)
        assert conditions, plan
        assert "Seq Scan" not in plan
        assert "Bitmap" not in plan
        for one in conditions:
            assert " AND " in one, f"by an index of the tenant alone:\n{plan}"


async def test_a_plan_does_not_stay_for_ever(place: Cell) -> None:
    """One that reads every version, as it may be chosen while there are next to none, is given up in time."""
    database = Database(place.settings.database)
    asked = records.CURRENT.postgresql({"tenant_id": place.one.id, "keys": ["k"]})

    def ask(tx: Tx) -> None:
        tx.ask((records.CURRENT, {"keys": ["k"]}))

    plans: list[str] = []
    with database.connect() as connection:
        wire = database.wire(connection)
        assert isinstance(wire, PostgresWire)
        settings = ("enable_indexscan", "enable_bitmapscan")
        wire._pipeline.run([Sent(f"SET {name} = off".encode()) for name in settings])
        _transaction(wire, place.one.id, lambda tx: plans.append(_plan(tx, asked)))
        wire._pipeline.run([Sent(f"RESET {name}".encode()) for name in settings])
        _transaction(wire, place.one.id, lambda tx: plans.append(_plan(tx, asked)))
        place.change(_MANY, tenant=place.one.id)
        for _ in range(30):
            _transaction(wire, place.one.id, ask)
        _transaction(wire, place.one.id, lambda tx: plans.append(_plan(tx, asked)))
    database.close()
    first, kept, last = plans
    assert "Seq Scan on versions" in first
    assert kept == first, "nothing tells PostgreSQL to think again"
    assert re.search(r"Index Scan using pk_versions.*\n.*record_id = .* AND \(version = ", last), last


_MANY = f"""
    INSERT INTO versions
      (tenant_id, record_id, version, id, scope, labels, state, created_at, principal_id, entry)
    SELECT CAST(:tenant AS uuid), gen_random_uuid(), 1, gen_random_uuid(), 's', 'c', 'live', 0, '{ID}', 'e'
    FROM generate_series(1, 5000)
"""


def _transaction(wire: Any, tenant: str, work: Any) -> None:
    tx = Tx(None, wire, tenant, write=False)  # type: ignore[arg-type]  # nothing goes through SQLAlchemy here
    work(tx)
    tx.commit()


def _plan(tx: Tx, asked: Sent) -> str:
    """The plan that is kept for a statement on this connection, prepared now if it was not."""
    assert isinstance(tx.wire, PostgresWire)
    pipeline = tx.wire._pipeline  # the plan is the connection's own
    tx.ask()
    pipeline.run([asked])
    name = pipeline._prepared[asked.sql].decode()
    given = ", ".join(f"'{one.decode()}'" for one in asked.params if one is not None)
    explained = Sent(f"EXPLAIN EXECUTE {name}({given})".encode(), (), (bytes.decode,))
    setting = Sent(b"SET LOCAL plan_cache_mode = force_generic_plan")
    return "\n".join(row[0] for row in pipeline.run([setting, explained])[1])
