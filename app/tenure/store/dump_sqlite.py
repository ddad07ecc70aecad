"""SQLite's online backup: a reader's snapshot, while the serving process goes on writing."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url

from tenure import durable
from tenure.errors import NotFound, Tampered, Unavailable
from tenure.store.census import Census, census


def dump(url: str, file: Path) -> Census:
    """Copy into a new file, one that stands alone: no write-ahead log beside it."""
    source = _path(url)
    if not source.is_file():
        raise NotFound(
            "There is no database in the data directory; nothing was copied.",
            remedy="Check TENURE_DATA_DIR, or make a cell with 'tenure init'.",
        )
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        # Read-write, because a reader of a write-ahead log takes part in its index; nothing is written.
        with (
            contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as live,
            contextlib.closing(sqlite3.connect(file)) as copy,
        ):
            live.execute("PRAGMA busy_timeout=30000")
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            sound = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as failure:
        raise Unavailable("The database cannot be copied; the backup is unfinished.") from failure
    if sound != "ok":
        raise Tampered(
            "The database is damaged: its copy failed SQLite's own check; the backup is unfinished.",
            rule="quick_check",
            remedy="Restore an earlier backup.",
        )
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.connect() as connection:
        return census(connection)


def load(file: Path, url: str) -> None:
    """Put a copy in place: temporary file, fsync, rename, fsync of the folder."""
    path = _path(url)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in ("-wal", "-shm"):  # of an attempt that was killed: they belong to another file
        Path(f"{path}{left}").unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.restoring")
    descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as to, file.open("rb") as of:
        shutil.copyfileobj(of, to, 1 << 20)
        to.flush()
        os.fsync(to.fileno())
    temporary.replace(path)
    durable.sync(path.parent)


def is_empty(url: str) -> bool:
    """Whether there is no database file, nor a part of one."""
    path = _path(url)
    return not any(Path(f"{path}{part}").exists() for part in ("", "-wal", "-journal"))


def _path(url: str) -> Path:
    return Path(make_url(url).database or "")
