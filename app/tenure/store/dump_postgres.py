"""PostgreSQL: `pg_dump` and `pg_restore`, and databases for drills.

How to connect, the password too, goes to the programs in their environment, never on the command line.

Row-level security is forced on the owner, so a dump needs a role with BYPASSRLS; without one `pg_dump`
refuses, rather than leave rows out. Filling a database needs no such role: in a dump the security is
switched on after the rows.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from tenure.errors import Conflict, Invalid, TenureError, Unavailable
from tenure.store.census import Census, census

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SCRATCH = "tenure_drill_"
"""How the names of databases for drills begin."""
_SEES_ALL = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_TABLES = text(
    "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
    " AND relnamespace = current_schema()::regnamespace"
)
_REASON = 200


def dump(url: str, pg_bin: str, file: Path) -> Census:
    """Dump into a new file, of the snapshot that the census is read from."""
    program = _program("pg_dump", pg_bin)
    with _connected(url) as connection:
        if not connection.execute(_SEES_ALL).scalar_one():
            raise Conflict(
                "The role does not see every tenant's rows, so nothing was dumped.",
                field="TENURE_BACKUP_URL",
                rule="a role with BYPASSRLS",
                remedy="Make one as deploy/postgres.sql does, and give its URL as TENURE_BACKUP_URL.",
            )
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        taken = census(connection)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            # What is sealed does not compress: the lowest level, for ledger and configuration.
            options = ("--format=custom", "--compress=1", "--no-password", f"--snapshot={snapshot}")
            _run(program, options, url, out.fileno())
        connection.exec_driver_sql("COMMIT")
    return taken


def load(file: Path, url: str, pg_bin: str, *, again: bool) -> None:
    """Fill an empty database in one transaction. Owner is whoever connects; rights are given afterwards."""
    options = ["--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", "--no-password"]
    if again:
        options += ["--clean", "--if-exists"]
    # Only to make it connect: where to is in the environment, as everything else.
    options += ["--dbname=", str(file)]
    _run(_program("pg_restore", pg_bin), options, url, subprocess.DEVNULL)


def is_empty(url: str) -> bool:
    """Whether there is no table or view."""
    with _connected(url) as connection:
        return not connection.execute(_TABLES).scalar_one()


@contextmanager
def scratch(url: str, given: str) -> Iterator[str]:
    """A database of its own, beside the one of `url`; or `given`, which must be empty and is emptied."""
    if given:
        if not is_empty(given):
            raise Conflict(
                "The scratch database is not empty; nothing was restored.",
                field="--scratch-url",
                rule="an empty database",
                remedy="Give one that holds nothing: it is emptied after the drill.",
            )
        try:
            yield given
        finally:
            _empty(given)
        return
    name = SCRATCH + secrets.token_hex(6)
    with _connected(url) as connection:
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        except DBAPIError as failure:
            raise Conflict(
                "The role may not make a scratch database; nothing was restored.",
                field="TENURE_BACKUP_URL",
                rule="a role with CREATEDB",
                remedy="Allow it, or give an empty database with --scratch-url.",
            ) from failure
        try:
            connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            yield make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            _drop(connection, name)


def _drop(connection: Connection, name: str) -> None:
    """Drop a scratch database, whoever is still connected to it.

    FORCE is refused while autovacuum is in there: its worker is nobody's whom this role may end. A plain DROP
    ends it, and waits some seconds for everybody else.
    """
    try:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except DBAPIError:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _empty(url: str) -> None:
    with _connected(url) as connection:
        names = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        ).scalars()
        for name in list(names):
            quoted = connection.dialect.identifier_preparer.quote(name)
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted} CASCADE")


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        connection = engine.connect()
    except DBAPIError as failure:
        raise Unavailable("The database cannot be reached; nothing was done.") from failure
    with connection:
        yield connection


def _driver(url: str) -> "URL":
    return make_url(url).set(drivername="postgresql+psycopg")


def _program(name: str, folder: str) -> str:
    found = shutil.which(name, path=folder or None)
    if found is None:
        raise Invalid(
            f"{name} was not found; nothing was done.",
            field="TENURE_PG_BIN",
            rule="the folder of PostgreSQL's programs, not older than the server",
            remedy="Install PostgreSQL's client programs, or name their folder.",
        )
    return found


def _run(program: str, options: Sequence[str], url: str, out: int) -> None:
    done = subprocess.run(  # noqa: S603 - our program, our options
        [program, *options], env=_environment(url), stdout=out, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise _failed(Path(program).name, done.stderr.decode("utf-8", "replace"))


def _environment(url: str) -> dict[str, str]:
    """The environment of libpq for a URL (PostgreSQL manual, "Environment Variables")."""
    from psycopg import pq  # noqa: PLC0415 - an extra of its own

    names = {one.keyword.decode(): one.envvar.decode() for one in pq.Conninfo.get_defaults() if one.envvar}
    parsed = _driver(url)
    given = parsed.get_dialect()().create_connect_args(parsed)[1]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise Invalid(
            f"The database URL has a parameter that pg_dump cannot be given: {unknown[0]}; nothing was done.",
            field="TENURE_BACKUP_URL",
            rule="parameters of libpq that have an environment variable",
        )
    return {**os.environ, **{names[key]: str(value) for key, value in given.items()}}


def _failed(program: str, said: str) -> TenureError:
    """The first complaint only: later lines may quote rows."""
    lines = [line.partition("error: ")[2] for line in said.splitlines() if "error: " in line]
    reason = next((line for line in lines if line), "it gave no reason").strip()[:_REASON]
    if "version mismatch" in reason:
        return Invalid(
            f"{program} is older than the server; nothing usable was made.",
            field="TENURE_PG_BIN",
            rule="programs not older than the server",
            remedy="Name the folder of the server's own version.",
        )
    return Unavailable(f"{program} failed, and nothing usable was made: {reason}.")
