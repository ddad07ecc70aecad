"""Time stamps over checkpoints, as the authority gave them."""

from typing import NamedTuple

from sqlalchemy import select

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Insert

_t = tables.timestamps
_KEEP = Insert(_t, ignore_existing=True)


class Stamped(NamedTuple):
    """The newest stamp of a generation: the checkpoint's size, and when it was kept (microseconds)."""

    size: int
    at: int


def newest(tx: Tx, generation: int) -> Stamped | None:
    """The newest stamp."""
    query = select(_t.c.size, _t.c.at).where(_t.c.tenant_id == tx.tenant_id, _t.c.generation == generation)
    row = tx.execute(query.order_by(_t.c.size.desc()).limit(1)).one_or_none()
    return Stamped(*row) if row else None


def keep(tx: Tx, generation: int, size: int, response: bytes, *, at: int) -> None:
    """Keep a response; one that is there stays. Goes with the commit."""
    tx.put(_KEEP, {"generation": generation, "size": size, "response": response, "at": at})


def response(tx: Tx, generation: int, size: int) -> bytes | None:
    """The kept response over a checkpoint."""
    query = select(_t.c.response).where(
        _t.c.tenant_id == tx.tenant_id, _t.c.generation == generation, _t.c.size == size
    )
    found = tx.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)
