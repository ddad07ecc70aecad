"""Everything of a tenant, table by table and version by version: for searches, never for the hot path."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, literal, select, tuple_

from tenure.store import tables
from tenure.store.session import Tx

TABLES: Sequence[Table] = tables.metadata.sorted_tables
Key = tuple[Any, ...]


def rows(tx: Tx, table: Table, after: Key | None, limit: int) -> tuple[dict[str, list[Any]], Key | None]:
    """A page of the tenant's rows by primary key: column → cells, and the last key; None after the end."""
    key = list(table.primary_key.columns)
    query = select(table).where(table.c.tenant_id == tx.tenant_id).order_by(*key).limit(limit)
    if after is not None:
        last = tuple_(*(literal(value, column.type) for value, column in zip(after, key, strict=True)))
        query = query.where(tuple_(*key) > last)
    found = tx.execute(query).all()
    if not found:
        return {}, None
    cells = {column.name: [row[n] for row in found] for n, column in enumerate(table.c)}
    return cells, tuple(cells[column.name][-1] for column in key)
