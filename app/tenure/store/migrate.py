"""Schema migrations: Alembic on either database, and the rights of the service's own role."""

import contextlib
from collections.abc import Iterator

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from tenure import resources
from tenure.store.tables import metadata


def upgrade(url: str, *, app_role: str | None = None) -> None:
    """Bring the schema up to this version. `app_role` (PostgreSQL) is granted rows, never tables."""
    with _begin(url) as connection:
        command.upgrade(_config(connection), "head")
        if app_role is not None:
            _grant(connection, app_role)


def downgrade(url: str, revision: str = "base") -> None:
    """Take the schema down to a revision. Data in dropped tables is gone."""
    with _begin(url) as connection:
        command.downgrade(_config(connection), revision)


def check(url: str) -> list[object]:
    """Differences between the migrated schema and `tables`; empty when they agree."""
    with _begin(url) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def role_of(url: str) -> str | None:
    """The role that a URL connects as."""
    return make_url(url).username


@contextlib.contextmanager
def _begin(url: str) -> Iterator[Connection]:
    engine = create_engine(_driver(make_url(url)), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def _driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.folder("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    for table in metadata.sorted_tables:
        connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table.name} TO {quoted}"))
    connection.execute(text(f"GRANT SELECT ON alembic_version TO {quoted}"))
