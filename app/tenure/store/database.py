"""One database, either dialect: engines, connections and the settings that durability rests on."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from tenure.errors import Invalid, Unavailable
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Row, Select
from tenure.store.wire import PostgresWire, SqliteWire, Wire

T = TypeVar("T")
Standing = Literal["bound", "superuser", "owner", "unforced"]


class Clash(Exception):
    """A compare-and-set found that someone else came first: the transaction is repeated with fresh reads."""


class Database:
    """A SQLite file or a PostgreSQL server. Synchronous: callers bring the thread.

    Statements run in the driver's autocommit mode and transactions are begun explicitly, because
    the hot path sends BEGIN together with its first statements (see `wire`).
    """

    def __init__(self, url: str, *, pool_size: int = 8, idle_s: float = 0) -> None:
        """`idle_s`: PostgreSQL ends a transaction that stands still for so long (0: never)."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise _unknown_url from None
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self.engine = _sqlite_engine(parsed.database or "", pool_size)
        elif self.dialect == "postgresql":
            self.engine = _postgres_engine(parsed.set(drivername="postgresql+psycopg"), pool_size, idle_s)
        else:
            raise _unknown_url

    def connect(self) -> Connection:
        """A connection of its own, to be used by one thread at a time."""
        try:
            return self.engine.connect()
        except DBAPIError as failure:
            raise Unavailable("The database cannot be reached; nothing was done.") from failure

    def wire(self, connection: Connection) -> Wire:
        """The driver beneath a connection."""
        driver: Any = connection.connection.driver_connection
        if self.dialect == "sqlite":
            return SqliteWire(driver)
        from tenure.store.pipeline import Pipeline  # noqa: PLC0415 - needs the postgres extra

        # Kept with the connection: it knows what is prepared there.
        return PostgresWire(connection.info.setdefault("pipeline", Pipeline(driver)))

    def read(self, tenant_id: str, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a read-only transaction of one tenant."""
        with self.reading(tenant_id) as tx:
            return fn(tx)

    def reading(self, tenant_id: str) -> AbstractContextManager[Tx]:
        """A read-only transaction of one tenant."""
        return self._transaction(tenant_id, write=False)

    def write(self, tenant_id: str, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a transaction without ledger entries: set-up, sequencing and recovery only."""
        with self._transaction(tenant_id, write=True) as tx:
            return fn(tx)

    def read_each(self, tenant_ids: Sequence[str], question: Select) -> list[list[Row]]:
        """Ask the same of several tenants, each in its own sight; answers in order. Two round trips.

        For looking around in the background: whose turn it is, not what is in there.
        """
        with self.connect() as connection:
            wire = self.wire(connection)
            wire.begin(write=False)
            try:
                found = wire.ask_each(tenant_ids, question)
                wire.commit()
            except BaseException:
                with contextlib.suppress(Exception):
                    wire.rollback()
                raise
            return found

    @contextmanager
    def _transaction(self, tenant_id: str, *, write: bool) -> Iterator[Tx]:
        with self.connect() as connection:
            tx = Tx(connection, self.wire(connection), tenant_id, write=write)
            try:
                yield tx
                tx.commit()
            except BaseException:
                with contextlib.suppress(Exception):  # a dead connection: the server rolls back
                    tx.rollback()
                raise

    def compact(self) -> None:
        """Push purged pages out of SQLite's write-ahead log. PostgreSQL's autovacuum does its own."""
        if self.dialect == "sqlite":
            with self.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def standing(self) -> Standing:
        """Whether row-level security binds the role that connects here. SQLite has neither roles nor it.

        `superuser`: the role is above it, by itself or by a role that it may become. `unforced`: a tenants'
        table has it switched off, not forced, or has no policy. `owner`: the role is bound, but it owns
        tables, or may become who does, and so could switch it off. The first that holds. One round trip.
        """
        if self.dialect == "sqlite":
            return "bound"
        with self.connect() as connection:
            above, unforced, owned = connection.execute(
                _STANDING, {"tables": list(tables.metadata.tables)}
            ).one()
        return "superuser" if above else "unforced" if unforced else "owner" if owned else "bound"

    def is_clash(self, failure: BaseException) -> bool:
        """Whether someone else's commit came first: repeat with fresh reads and it may go through."""
        names = {kind.__name__ for kind in type(_driver_error(failure)).__mro__}
        return isinstance(failure, Clash) or bool(
            names & {"IntegrityError", "SerializationFailure", "DeadlockDetected"}
        )

    def is_ended(self, failure: BaseException) -> bool:
        """Whether a clash was about an entry's number: somebody else has ended the writer (`sequencing`)."""
        told = str(_driver_error(failure))
        return self.is_clash(failure) and ("pk_entries" in told or "entries.writer" in told)

    def is_lost(self, failure: BaseException) -> bool:
        """Whether the connection may have died, so that a commit's fate is unknown."""
        names = {kind.__name__ for kind in type(_driver_error(failure)).__mro__}
        return "OperationalError" in names and not self.is_clash(failure)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


_unknown_url = Invalid(
    "The database URL is not one Tenure can use.",
    field="TENURE_DATABASE_URL",
    rule="a SQLAlchemy URL of SQLite or PostgreSQL",
    remedy="Leave it out for SQLite in the data directory, or give postgresql://user@host/database.",
)


_STANDING = text("""
    SELECT
      (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')),
      coalesce(bool_or(
        NOT (c.relrowsecurity AND c.relforcerowsecurity)
        OR NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
      ), false),
      coalesce(bool_or(pg_has_role(current_user, c.relowner, 'MEMBER')), false)
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
      AND c.relname = ANY(:tables)
""")


def _driver_error(failure: BaseException) -> BaseException:
    return (failure.orig or failure) if isinstance(failure, DBAPIError) else failure


def _sqlite_engine(path: str, pool_size: int) -> Engine:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}", isolation_level="AUTOCOMMIT", pool_size=pool_size, max_overflow=pool_size
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # what is acknowledged survives a power cut
            "busy_timeout=30000",
            "secure_delete=ON",  # purged rows are overwritten, not only unlinked
            "temp_store=MEMORY",  # nothing spills into files that no purge knows of
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgres_engine(url: Any, pool_size: int, idle_s: float) -> Engine:  # noqa: ANN401
    try:
        from psycopg.types.string import TextLoader  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise Invalid(
            "PostgreSQL support is not installed; nothing was opened.",
            field="TENURE_DATABASE_URL",
            rule="psycopg present",
            remedy="Install it: pip install 'tenure[server,postgres]'.",
        ) from None
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=pool_size,
        connect_args={"prepare_threshold": 2},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.adapters.register_loader("uuid", TextLoader)
        connection.execute("SET bytea_output = 'hex'")  # what `pgtext` reads
        connection.execute(f"SET idle_in_transaction_session_timeout = {int(idle_s * 1000)}")

    return engine
