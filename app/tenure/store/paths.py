"""Which records are filed under a path: by blind index of the path (`tenure.filing`)."""

from typing import NamedTuple

from sqlalchemy import bindparam, select

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_t = tables.record_paths


class Filed(NamedTuple):
    """A record is filed here. `seal`: keyed digest of the other two."""

    path_index: str
    record_id: str
    seal: str = ""


INSERT = Insert(_t, ignore_existing=True)
RECORDS = Select(
    select(_t.c.record_id)
    .where(_t.c.tenant_id == bindparam("tenant_id"), _t.c.path_index == bindparam("path_index"))
    .order_by(_t.c.record_id)
)
"""The ids of records under one path, in the order in which they were made."""


def under(tx: Tx, path_index: str) -> list[str]:
    """The ids of the records that are filed under a path, oldest first. One statement, by index."""
    return [row[0] for row in tx.ask((RECORDS, {"path_index": path_index}))[0]]
