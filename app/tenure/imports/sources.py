"""Opening what LangGraph's savers and stores wrote, to be read only: a SQLite file or a PostgreSQL database.

Which threads and keys there are is asked in SQL, in the database's order: the libraries list newest first, in
pages by number, between which things with one time stamp may change places; and a saver's list reads every
value at once. What a snapshot *holds* is read by the library that wrote it; items are columns of JSON, which
the library reads in statements that change things, too.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tenure.errors import Invalid, Unavailable, Unsupported

INSTALL: Final = "pip install 'tenure[import]'"
_POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Database:
    """An open source. `asked` gives rows as tuples; parameters are `?` in either dialect."""

    postgres: bool
    connection: Any

    def asked(self, question: str, *given: object) -> Sequence[tuple[Any, ...]]:
        """All rows of a question. Raises Unavailable when the source no longer answers."""
        try:
            if self.postgres:
                found = self.connection.execute(question.replace("?", "%s"), given)
                return [tuple(row.values()) for row in found]
            return self.connection.execute(question, given).fetchall()  # type: ignore[no-any-return]  # sqlite3's
        except Exception as failure:
            if is_of_driver(failure):
                raise silent(failure) from None
            raise

    def paged(
        self, selected: str, table: str, columns: Sequence[str], size: int = 500
    ) -> Iterator[tuple[Any, ...]]:
        """Rows in the order of `columns`, with which they begin: each page goes on behind the last row."""
        ordered, places = ", ".join(columns), ", ".join("?" * len(columns))
        begin = f"SELECT {selected} FROM {table}"  # noqa: S608 - names that the code says, never a value
        end = f"ORDER BY {ordered} LIMIT {size}"
        page = self.asked(f"{begin} {end}")
        while page:
            yield from page
            behind = page[-1][: len(columns)]
            page = self.asked(f"{begin} WHERE ({ordered}) > ({places}) {end}", *behind)

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is such a table with these columns."""
        if self.postgres:
            question = (
                "SELECT column_name::text FROM information_schema.columns"
                " WHERE table_name = ? AND table_schema = ANY(current_schemas(false))"
            )
        else:
            question = "SELECT name FROM pragma_table_info(?)"
        return set(columns) <= {row[0] for row in self.asked(question, table)}


def is_of_driver(failure: Exception) -> bool:
    """Whether it was raised by one of the databases' drivers."""
    return type(failure).__module__.partition(".")[0] in ("psycopg", "sqlite3")


def silent(failure: Exception) -> Unavailable:
    """The source no longer answers. Only the class is told: a driver's message may hold names."""
    return Unavailable(
        f"The source can no longer be read ({type(failure).__name__}).",
        remedy="Check that it is there and free, then go on with --resume.",
    )


def is_postgres(source: str) -> bool:
    """Whether it is the URL of a database, not a file's path."""
    return source.startswith(_POSTGRES)


def name_of(source: str) -> str:
    """What tells one source from another, without a password: the file's name, or host, port and database."""
    if not is_postgres(source):
        return Path(source).name
    try:
        parts = urlsplit(source)
        port = parts.port or 5432
    except ValueError:
        raise _wrong("postgresql://user@host/database") from None
    return f"{parts.hostname}:{port}{parts.path}"


@contextmanager
def opened(source: str) -> Iterator[Database]:
    """The source, until the end of the block. Nothing in it can be changed through it.

    Raises Invalid for what is not there, and Unsupported without the driver.
    """
    if is_postgres(source):
        with _postgres(source) as connection:
            yield Database(postgres=True, connection=connection)
        return
    if not Path(source).is_file():
        raise _wrong("a SQLite file, or postgresql://user@host/database")
    try:
        connection = sqlite3.connect(
            f"{Path(source).resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error:
        raise _wrong("a SQLite file that can be read") from None
    with closing(connection):
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        except sqlite3.Error:
            raise _wrong("a SQLite file that can be read") from None
        yield Database(postgres=False, connection=connection)


@contextmanager
def _postgres(source: str) -> Iterator[Any]:
    psycopg = library("psycopg")
    try:
        connection = psycopg.connect(
            source, autocommit=True, prepare_threshold=0, row_factory=psycopg.rows.dict_row
        )
    except psycopg.Error as failure:
        # The driver's message may hold names and addresses.
        raise Invalid(
            f"The source's database cannot be reached ({type(failure).__name__}). Nothing was imported.",
            field="SOURCE",
            rule="postgresql://user@host/database",
            remedy="Check address, user and password, and that it runs.",
        ) from None
    with closing(connection):
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        yield connection


def library(name: str) -> Any:  # noqa: ANN401 - a module
    """An optional library's module. Raises Unsupported, saying what to install."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise Unsupported(
            "The library that reads this source is not installed. Nothing was imported.",
            field="SOURCE",
            rule="LangGraph's own libraries read what they wrote",
            remedy=f"Install what is missing: {INSTALL}.",
        ) from None


def wanted(database: Database, table: str, *columns: str) -> None:
    """Raises Invalid unless the source has that table: it is something else, or of another version."""
    if not database.has(table, *columns):
        raise _wrong(f"a table {table}, as LangGraph makes it")


def _wrong(rule: str) -> Invalid:
    return Invalid(
        "The source is none that can be imported. Nothing was.",
        field="SOURCE",
        rule=rule,
        remedy="Name the file or the database that LangGraph kept its checkpoints or its store in.",
    )
