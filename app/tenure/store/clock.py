"""The database's clock: leases are counted by it, so that no two machines need to agree on the time."""

from typing import Any

from sqlalchemy import ColumnElement, literal_column, select

from tenure.store.session import Tx

SECOND = 1_000_000
_CLOCK = {
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
}


def read(tx: Tx) -> int:
    """The present instant in microseconds. One round trip."""
    return int(tx.execute(select(now(tx))).scalar_one())


def now(tx: Tx) -> ColumnElement[Any]:
    """The present instant in microseconds, for use inside a statement."""
    return literal_column(_CLOCK[tx.connection.dialect.name])
