"""The driver's side of a transaction: begin, ask, put, commit, counted in round trips.

Two implementations of one small protocol. PostgreSQL goes through pipeline mode, so BEGIN, the tenant
setting and every question of a phase are one round trip, and all writes with COMMIT are another. SQLite has
no network; its statements just run.
"""

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tenure.store.statements import Insert, Params, Row, Select, Sent, Update, sqlite_params

if TYPE_CHECKING:
    from tenure.store.pipeline import Pipeline

Question = tuple[Select, Params]
Change = tuple[Insert | Update, Sequence[Params]]


class Wire(Protocol):
    """What a transaction needs from a driver. Not safe for use by two threads at once."""

    def begin(self, *, write: bool) -> None:
        """Start a transaction; may wait until the first `ask` to tell the server."""

    def tenant(self, tenant_id: str) -> None:
        """Make row-level security show this tenant's rows only, until the transaction ends."""

    def ask(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Run selects; one round trip however many."""

    def ask_each(self, tenant_ids: Sequence[str], question: Select) -> list[list[Row]]:
        """Ask the same of several tenants, each in its own sight; one round trip. None of them stays set."""

    def put(self, changes: Sequence[Change]) -> None:
        """Run inserts and updates; sent with the next `ask` or `commit`."""

    def commit(self) -> None:
        """Make it durable; together with every pending `put`, one round trip."""

    def rollback(self) -> None:
        """Undo everything since `begin`."""


class SqliteWire:
    """The standard library's driver; `BEGIN IMMEDIATE` for writers, so that reads before writes hold."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, *, write: bool) -> None:
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def tenant(self, tenant_id: str) -> None:
        """Nothing to set: SQLite has no row-level security; every statement carries the tenant."""

    def ask(self, questions: Sequence[Question]) -> list[list[Row]]:
        execute = self._connection.execute
        return [execute(select.sqlite, sqlite_params(params)).fetchall() for select, params in questions]

    def ask_each(self, tenant_ids: Sequence[str], question: Select) -> list[list[Row]]:
        return self.ask([(question, {"tenant_id": tenant_id}) for tenant_id in tenant_ids])

    def put(self, changes: Sequence[Change]) -> None:
        for change, rows in changes:
            self._connection.executemany(change.sqlite, change.rows(rows))

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class PostgresWire:
    """libpq's pipeline mode; what is `put` waits for the next round trip."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self._pending: list[Sent] = []

    def begin(self, *, write: bool) -> None:
        self._pending = [_BEGIN if write else _BEGIN_READ_ONLY]

    def tenant(self, tenant_id: str) -> None:
        self._pending.append(Sent(_SET_TENANT, (tenant_id.encode(),)))

    def ask(self, questions: Sequence[Question]) -> list[list[Row]]:
        asked = [select.postgresql(params) for select, params in questions]
        return self._send(asked)

    def ask_each(self, tenant_ids: Sequence[str], question: Select) -> list[list[Row]]:
        each: list[Sent] = []
        for tenant_id in tenant_ids:
            each.append(Sent(_SET_TENANT, (tenant_id.encode(),)))
            each.append(question.postgresql({"tenant_id": tenant_id}))
        return self._send([*each, Sent(_SET_TENANT, (b"",))])[1:-1:2]

    def put(self, changes: Sequence[Change]) -> None:
        for change, rows in changes:
            self._pending += change.postgresql(rows)

    def commit(self) -> None:
        self._send([_COMMIT])

    def rollback(self) -> None:
        self._pending = []
        self._send([_ROLLBACK])

    def flush(self) -> None:
        """Send what is pending now, for callers that go on through SQLAlchemy."""
        if self._pending:
            self._send([])

    def _send(self, statements: list[Sent]) -> list[list[Row]]:
        pending, self._pending = self._pending, []
        return self._pipeline.run([*pending, *statements])[len(pending) :]


_BEGIN, _BEGIN_READ_ONLY = Sent(b"BEGIN"), Sent(b"BEGIN READ ONLY")
_COMMIT, _ROLLBACK = Sent(b"COMMIT"), Sent(b"ROLLBACK")
_SET_TENANT = b"SELECT set_config('tenure.tenant', $1, true)"
