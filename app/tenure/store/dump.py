"""One database as one file, and back: the online backup of SQLite, `pg_dump` of PostgreSQL.

Both copies are of one instant and are taken while others write.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tenure.errors import Invalid
from tenure.store import dump_postgres, dump_sqlite
from tenure.store.census import Census

SQLITE, POSTGRESQL = "sqlite", "postgresql"
FILES = {SQLITE: "database.sqlite", POSTGRESQL: "database.pgdump"}
"""Name of the file by dialect."""


class Target(NamedTuple):
    """A database to dump or to fill, and the folder of PostgreSQL's programs ("" for PATH)."""

    url: str
    pg_bin: str = ""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`. Invalid for anything else."""
        try:
            name = make_url(self.url).get_backend_name()
        except ArgumentError:
            name = ""
        if name not in FILES:
            raise Invalid(
                "The database URL is not one Tenure can use; nothing was done.",
                field="TENURE_DATABASE_URL",
                rule="a SQLAlchemy URL of SQLite or PostgreSQL",
            )
        return name


def dump(source: Target, file: Path) -> Census:
    """Copy the database of one instant into a new file (mode 0600); what the copy says of itself.

    NotFound when there is no database, Conflict when the role does not see every row, Unavailable when
    it cannot be read or a program is missing.
    """
    if source.dialect == SQLITE:
        return dump_sqlite.dump(source.url, file)
    return dump_postgres.dump(source.url, source.pg_bin, file)


def load(file: Path, target: Target, *, again: bool) -> None:
    """Fill an empty database from a file, whole or not at all. `again` replaces what an attempt left."""
    if target.dialect == SQLITE:
        dump_sqlite.load(file, target.url)
    else:
        dump_postgres.load(file, target.url, target.pg_bin, again=again)


def is_empty(target: Target) -> bool:
    """Whether there is no table, or no file at all."""
    if target.dialect == SQLITE:
        return dump_sqlite.is_empty(target.url)
    return dump_postgres.is_empty(target.url)


@contextmanager
def scratch(like: Target, folder: Path, given: str) -> Iterator[Target]:
    """An empty database for one drill, gone afterwards.

    SQLite: a file in `folder`. PostgreSQL: a database that is made and dropped beside `like`, or the `given`
    one, which is emptied at the end. Conflict when the role may not make databases.
    """
    if like.dialect == SQLITE:
        yield Target(f"sqlite:///{folder / 'tenure.db'}")
        return
    with dump_postgres.scratch(like.url, given) as url:
        yield Target(url, like.pg_bin)
