"""The generations of a tenant's configuration: what each changed, who made it, and its bundle's digest."""

import json
from typing import NamedTuple

from sqlalchemy import func, insert, select

from tenure.store import tables
from tenure.store.session import Tx

_c = tables.configurations


class Generation(NamedTuple):
    """One generation. `changes` are [kind, name, change]; `restored` is the one whose content came back."""

    generation: int
    at: int
    principal_id: str
    entry: str
    digest: str
    changes: list[list[str]]
    restored: int | None


def add(tx: Tx, generation: Generation) -> None:
    """A new generation."""
    row = generation._asdict() | {"changes": json.dumps(generation.changes)}
    tx.execute(insert(_c).values(tenant_id=tx.tenant_id, **row))


def newest(tx: Tx) -> int:
    """The number of the generation in force; 0 when there is none."""
    query = select(func.max(_c.c.generation)).where(_c.c.tenant_id == tx.tenant_id)
    return int(tx.execute(query).scalar_one() or 0)


def get(tx: Tx, number: int) -> Generation | None:
    """One generation."""
    found = page(tx, before=number + 1, limit=1)
    return found[0] if found and found[0].generation == number else None


def page(tx: Tx, *, before: int | None, limit: int) -> list[Generation]:
    """Generations below a number, newest first."""
    columns = [_c.c[name] for name in Generation._fields]
    query = select(*columns).where(_c.c.tenant_id == tx.tenant_id)
    if before is not None:
        query = query.where(_c.c.generation < before)
    rows = tx.execute(query.order_by(_c.c.generation.desc()).limit(limit))
    return [of_row(dict(row)) for row in rows.mappings()]


def of_row(row: dict[str, object]) -> Generation:
    """A generation from its columns."""
    values = {name: row[name] for name in Generation._fields}
    return Generation(**{**values, "changes": json.loads(str(row["changes"]))})
