"""What a database says of itself, over all tenants: for backups and drills.

Wants a connection that row-level security does not bind. Nothing here is about a person.
"""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from tenure.ids import CELL
from tenure.store import revision, tables
from tenure.store.keystate import Pointer


class LogHead(NamedTuple):
    """Where the newest generation of one tenant's log stands."""

    tenant_id: str
    generation: int
    origin: str
    size: int
    root: bytes


class Census(NamedTuple):
    """A copy's place in history. `revision` is the schema's, `pointer` names the live key state."""

    revision: str | None
    pointer: Pointer | None
    leaf_epoch: int
    logs: tuple[LogHead, ...]


def census(connection: Connection) -> Census:
    """Read it, in the connection's transaction. Of a database without a schema all is empty."""
    version = revision.current(connection)
    if version is None:
        return Census(None, None, 0, ())
    pointers, epochs, logs = tables.key_pointer, tables.leaf_sequences, tables.logs
    found = connection.execute(
        select(pointers.c.seq, pointers.c.digest).where(pointers.c.tenant_id == CELL)
    ).one_or_none()
    epoch = connection.execute(select(func.max(epochs.c.epoch))).scalar_one()
    rows = connection.execute(
        select(logs.c.tenant_id, logs.c.generation, logs.c.origin, logs.c.size, logs.c.root).order_by(
            logs.c.tenant_id, logs.c.generation
        )
    )
    newest = {row.tenant_id: LogHead(*row) for row in rows}
    return Census(
        version,
        Pointer(found.seq, found.digest) if found else None,
        epoch or 0,
        tuple(newest.values()),
    )
