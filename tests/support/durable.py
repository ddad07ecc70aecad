"""Every durable effect of this process, as it happens: what a crash can fall between.

Found at the places that all of them go through, so that it stays true when the code above is changed: a file
that appears or goes (rename, link, unlink), a database transaction that commits changes, a statement that
changes something by itself, the emptying of the write-ahead log. Effects are named for what they touch, with
ids and numbers left out: `commit key_batches shreds`, `mirror/journal/*`, `unlink keys/*.key`.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

from sqlalchemy import Engine, event

from tenure.store.database import Database
from tenure.store.wire import PostgresWire, SqliteWire, Wire

When = Literal["before", "after"]

_CHANGED = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")
_ID = re.compile(r"[0-9a-f-]{8,}|[0-9]+")
_EVERYWHERE = frozenset({"entries", "writers", "tenant_state", "access_lists"})
"""Tables that name a commit only when it changes nothing else."""


class Step(NamedTuple):
    """The `nth` durable effect of this name, from 1."""

    name: str
    nth: int

    def __str__(self) -> str:
        return self.name if self.nth == 1 else f"{self.name} #{self.nth}"


Witness = Callable[[Step, When], None]


@contextmanager
def witnessed(witness: Witness, *folders: Path) -> Iterator[None]:
    """Call `witness` right before and right after each durable effect, in the thread that has it.

    Files count below `folders` only, and not when they are temporary (their name begins with a dot).
    """
    watch = _Watch(witness, [folder.resolve() for folder in folders])
    real = {name: getattr(os, name) for name in ("replace", "rename", "link", "unlink", "remove")}
    event.listen(Engine, "before_cursor_execute", watch.statement_before)
    event.listen(Engine, "after_cursor_execute", watch.statement_after)
    patches = [patch.object(os, name, watch.file(real[name], name)) for name in real]
    patches += [
        patch.object(wire, name, getattr(watch, name)(getattr(wire, name)))
        for wire in (SqliteWire, PostgresWire)
        for name in ("begin", "ask", "put", "commit", "rollback")
    ]
    patches.append(patch.object(Database, "compact", watch.compact(Database.compact)))
    try:
        for one in patches:
            one.start()
        yield
    finally:
        for one in patches:
            one.stop()
        event.remove(Engine, "before_cursor_execute", watch.statement_before)
        event.remove(Engine, "after_cursor_execute", watch.statement_after)


class _Mine(threading.local):
    """What this thread is doing."""

    writing: Wire | None = None
    changed: set[str]
    alone: Step | None = None
    witnessing = False

    def __init__(self) -> None:
        self.changed = set()


class _Watch:
    """Wraps the places where something becomes durable."""

    def __init__(self, witness: Witness, folders: list[Path]) -> None:
        self._witness = witness
        self._folders = folders
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._mine = _Mine()

    # ── files ────────────────────────────────────────────────────────────────────────────────────
    def file(self, real: Callable[..., Any], how: str) -> Callable[..., Any]:
        gone = how in {"unlink", "remove"}

        @wraps(real)
        def effect(path: Any, *args: Any, **kw: Any) -> Any:
            name = self._file_name(Path(path if gone else args[0]))
            if name is None or kw.get("dir_fd") is not None:
                return real(path, *args, **kw)
            return self._around(f"unlink {name}" if gone else name, real, path, *args, **kw)

        return effect

    def _file_name(self, path: Path) -> str | None:
        """The place below its folder, without ids and numbers; None when it does not count."""
        if path.name.startswith("."):
            return None
        absolute = path.absolute()
        for folder in self._folders:
            if absolute.is_relative_to(folder):
                parts = [_ID.sub("*", part) for part in absolute.relative_to(folder).parts]
                return re.sub(r"\*(/\*)+", "*", "/".join(parts))
        return None

    # ── transactions ─────────────────────────────────────────────────────────────────────────────
    def begin(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def begin(wire: Wire, *, write: bool) -> None:
            if write:
                self._mine.writing, self._mine.changed = wire, set()
            real(wire, write=write)

        return begin

    def ask(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def ask(wire: Wire, questions: Any) -> Any:
            self._mine.changed |= set(filter(None, (_table_of(asked.sqlite) for asked, _ in questions)))
            return real(wire, questions)

        return ask

    def put(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def put(wire: Wire, changes: Any) -> None:
            self._mine.changed |= set(filter(None, (_table_of(change.sqlite) for change, _ in changes)))
            real(wire, changes)

        return put

    def commit(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def commit(wire: Wire) -> None:
            if self._mine.writing is not wire:
                return real(wire)
            changed, self._mine.writing = self._mine.changed, None
            if not changed:
                return real(wire)
            return self._around(f"commit {' '.join(_telling(changed))}", real, wire)

        return commit

    def rollback(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def rollback(wire: Wire) -> None:
            if self._mine.writing is wire:
                self._mine.writing = None
            real(wire)

        return rollback

    def compact(self, real: Callable[..., None]) -> Callable[..., None]:
        @wraps(real)
        def compact(database: Database) -> None:
            if database.dialect == "sqlite":
                self._around("empty the write-ahead log", real, database)
            else:
                real(database)

        return compact

    def statement_before(self, _conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        table = _table_of(statement)
        if table is None:
            return
        if self._mine.writing is not None:
            self._mine.changed.add(table)
        else:  # the driver is in autocommit mode: this changes by itself
            self._mine.alone = self._begin(f"change {table}")

    def statement_after(self, *_: Any) -> None:
        step, self._mine.alone = self._mine.alone, None
        self._tell(step, "after")

    # ── telling ──────────────────────────────────────────────────────────────────────────────────
    def _around(self, name: str, real: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        step = self._begin(name)
        done = real(*args, **kw)
        self._tell(step, "after")
        return done

    def _begin(self, name: str) -> Step | None:
        if self._mine.witnessing:  # the witness's own doing
            return None
        with self._lock:
            self._seen[name] += 1
            step = Step(name, self._seen[name])
        self._tell(step, "before")
        return step

    def _tell(self, step: Step | None, when: When) -> None:
        if step is None:
            return
        self._mine.witnessing = True
        try:
            self._witness(step, when)
        finally:
            self._mine.witnessing = False


def _table_of(statement: str) -> str | None:
    found = _CHANGED.match(statement)
    return found[1] if found else None


def _telling(changed: set[str]) -> list[str]:
    return sorted(changed - _EVERYWHERE or changed)
