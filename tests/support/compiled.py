"""Statements are compiled once for each kind of database, not once for each engine.

A service has one engine. Tests open thousands of cells, each with an engine of its own, whose statements are
the same: compiling them again was a tenth of what the suite costs.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

_KEPT = 5_000
_CACHE: LRUCache[Any, Any] = LRUCache(_KEPT)


def share() -> None:
    """From now on, in this process. What is compiled is kept by dialect, too: two of a kind are one."""
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        dialect.__eq__ = lambda one, other: type(one) is type(other)  # type: ignore[method-assign]
        dialect.__hash__ = lambda one: hash(type(one))  # type: ignore[method-assign]

    @event.listens_for(Engine, "engine_connect")
    def _given(connection: Connection) -> None:
        connection.execution_options(compiled_cache=_CACHE)
