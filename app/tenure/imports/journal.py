"""What an import has written so far, so that one that was killed goes on where it was.

A SQLite file beside the mapping. It holds keyed digests and nothing else: no thread id, no key, no name. The
key of the digests is drawn for each journal and kept in it, so digests of two imports have nothing in common;
but who has the file can test a guess with it. It is therefore readable by its owner only, and best removed
once the import is over.

Crash order: something is journaled *after* the service acknowledged it. A crash between leaves something
written that the journal does not know; every importer asks the service before it writes such a thing again.
Commits are not flushed to the disk one by one: a machine that loses power loses the last of them, and that is
the same case.
"""

import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tenure.errors import Conflict, Invalid

_FORM: Final = b"tenure-import/1"
_DIGEST: Final = 16
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE done (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Journal:
    """Digests of what is done. One process at a time has a journal's file; its threads share it."""

    def __init__(self, database: sqlite3.Connection, key: bytes, made: Path | None) -> None:
        """`made`: the file, if this process began it."""
        self._database = database
        self._key = key
        self._made = made
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, path: Path, about: tuple[str, ...], *, resume: bool) -> "Journal":
        """A new journal, or the one that is there. `about`: what the import is of, from where to where.

        Raises Conflict when one is there and it is not to go on, when it is another import's, or when a
        process is at work with it; Invalid for a file that is no journal or cannot be made.
        """
        there = path.exists()
        if there and not resume:
            raise Conflict(
                "There is a journal of an earlier import. Nothing was imported.",
                field="--journal",
                rule="one journal, one import",
                remedy=f"Go on with it: --resume. Or begin anew: remove {path.name} first.",
            )
        try:
            if not there:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
        except (OSError, sqlite3.Error):
            raise _unusable(path, "cannot be made or opened") from None
        try:
            return cls._open(database, path, about, made=None if there else path)
        except BaseException:
            database.close()
            raise

    @classmethod
    def dry(cls, path: Path, about: tuple[str, ...], *, resume: bool) -> "Journal":
        """For a run that must leave no trace; what the file says is known if it is to go on.

        SQLite's own temporary database: in memory while it is small, then in a file that has no name.
        """
        database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        if resume and path.exists():
            with closing(sqlite3.connect(path, timeout=0.5)) as kept, suppress(sqlite3.Error):
                kept.backup(database)
        return cls._open(database, path, about)

    @classmethod
    def _open(
        cls, database: sqlite3.Connection, path: Path, about: tuple[str, ...], *, made: Path | None = None
    ) -> "Journal":
        try:
            # Held until the end of the process, however that comes.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                key = secrets.token_bytes(32)
                facts = [("form", _FORM), ("key", key), ("about", _digest(key, "about", *about))]
                database.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
                database.executemany("INSERT INTO about VALUES (?, ?)", facts)
                database.execute("COMMIT")
            known = dict(database.execute("SELECT name, value FROM about"))
        except sqlite3.OperationalError as failure:
            if "locked" in str(failure):
                raise Conflict(
                    "An import is at work with this journal. Nothing was imported.",
                    field="--journal",
                    rule="one process per journal",
                    remedy="Wait for it, or stop it and go on with --resume.",
                ) from None
            raise _unusable(path, "cannot be read or written") from None
        except sqlite3.Error:
            raise _unusable(path, "is no journal") from None
        if known.get("form") != _FORM:
            raise _unusable(path, "is no journal of this version")
        if known["about"] != _digest(known["key"], "about", *about):
            raise Conflict(
                "The journal is of an import from elsewhere, or to elsewhere. Nothing was imported.",
                field="--journal",
                rule="one journal, one import",
                remedy="Name another file with --journal.",
            )
        return cls(database, known["key"], made)

    def digest(self, *parts: str | bytes) -> str:
        """A keyed digest in hex, for places in reports and for idempotency keys: it tells nothing."""
        return _digest(self._key, *parts).hex()

    def has(self, *parts: str | bytes) -> bool:
        """Whether this was done."""
        question = "SELECT 1 FROM done WHERE digest = ?"
        with self._lock:
            return self._database.execute(question, (_digest(self._key, *parts),)).fetchone() is not None

    def add(self, *parts: str | bytes) -> None:
        """This is done: call it after the service has said so."""
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO done VALUES (?)", (_digest(self._key, *parts),))

    def close(self) -> None:
        """Let the next process have it. One that has come to nothing goes: there is nothing to go on with."""
        empty = self._database.execute("SELECT count(*) FROM done").fetchone()[0] == 0
        self._database.close()
        if empty and self._made is not None:
            self._made.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _digest(key: bytes, *parts: str | bytes) -> bytes:
    """Of parts with their lengths: `("a", "bc")` is not `("ab", "c")`."""
    made = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        raw = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        made.update(len(raw).to_bytes(8, "big") + raw)
    return made.digest()[:_DIGEST]


def _unusable(path: Path, what: str) -> Invalid:
    return Invalid(
        f"The journal {path.name} {what}. Nothing was imported.",
        field="--journal",
        rule="a file that `tenure import` made, in a folder that can be written to",
        remedy="Name another file with --journal.",
    )
