"""What LangGraph's official savers have kept: threads, their snapshots, parents first, and pending writes."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from os import environ
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tenure.errors import Invalid, TenureError
from tenure.imports.sources import Database, is_of_driver, library, silent, wanted

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    Saver = BaseCheckpointSaver[Any]
AES_KEY: Final = "LANGGRAPH_AES_KEY"
"""Where LangGraph's EncryptedSerializer has its key, and so has whoever reads what it wrote."""
_BLOCKED = ("msgpack_blocked", "msgpack_method_blocked")


class Snapshot(NamedTuple):
    """One saved state of a thread, by its names."""

    namespace: str
    id: str
    parent: str | None


class Write(NamedTuple):
    """Where a pending write belongs: a task, its place among the task's, and a channel."""

    task_path: str
    task: str
    place: int
    channel: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A source of checkpoints."""

    database: Database
    saver: "Saver"
    has_path: bool
    """Whether writes say their task's path: tables of older versions do not."""

    def count(self) -> int:
        """How many threads there are."""
        return int(self.database.asked("SELECT count(DISTINCT thread_id) FROM checkpoints")[0][0])

    def threads(self) -> Iterator[str]:
        """Their ids, in the database's order."""
        return (row[0] for row in self.database.paged("DISTINCT thread_id", "checkpoints", ["thread_id"]))

    def snapshots(self, thread: str) -> Sequence[Snapshot]:
        """All of a thread, in every namespace, each behind its parent; older ones first otherwise."""
        rows = self.database.asked(
            "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE thread_id = ?",
            thread,
        )
        return parents_first(Snapshot(*row) for row in rows)

    def read(self, thread: str, snapshot: Snapshot) -> "CheckpointTuple":
        """One snapshot with its values and pending writes. Raises Invalid if it cannot be read whole."""
        asked = {
            "thread_id": thread,
            "checkpoint_ns": snapshot.namespace,
            "checkpoint_id": snapshot.id,
        }
        with _whole():
            found = self.saver.get_tuple({"configurable": asked})
        if found is None:
            raise Invalid(
                "A snapshot went while the thread was read; nothing more of it was written.",
                field="snapshot",
                rule="the source stands still",
                remedy="Import when no agent is at work on it, and go on with --resume.",
            )
        return found

    def writes(self, thread: str) -> Mapping[tuple[str, str], Sequence[Write]]:
        """What `read` does not say of the writes pending on a thread's snapshots, by namespace and id.

        In the order in which `read` has them.
        """
        path = "task_path" if self.has_path else "''"
        named = f"SELECT checkpoint_ns, checkpoint_id, {path}, task_id, idx, channel"
        question = f"{named} FROM {_writes(self.database)} WHERE thread_id = ?"
        rows = self.database.asked(question, thread)
        found: dict[tuple[str, str], list[Write]] = {}
        for namespace, snapshot, *write in rows:
            found.setdefault((namespace, snapshot), []).append(Write(*write))
        return {named: sorted(writes) for named, writes in found.items()}


def parents_first(snapshots: Iterable[Snapshot]) -> Sequence[Snapshot]:
    """By id, which grows with time, but never before the parent, whatever ids are like."""
    named = {(one.namespace, one.id): one for one in snapshots}
    done: dict[tuple[str, str], Snapshot] = {}
    for one in sorted(named.values(), key=lambda each: (each.id, each.namespace)):
        way: list[Snapshot] = []
        above: Snapshot | None = one
        while above is not None and (above.namespace, above.id) not in done and above not in way:
            way.append(above)
            above = named.get((above.namespace, above.parent or ""))
        done.update(((each.namespace, each.id), each) for each in reversed(way))
    return tuple(done.values())


def tasks_of(
    found: "CheckpointTuple", writes: Sequence[Write]
) -> Iterator[tuple[str, str, list[tuple[str, Any]]]]:
    """(task, its path, writes as `put_writes` takes them) of a snapshot that was read.

    A task's special writes (errors, interrupts, what resumes it) come by themselves: savers keep the last of
    those and the first of the others. Raises Invalid if more were written meanwhile.
    """
    base = library("langgraph.checkpoint.base")
    pending = found.pending_writes or []
    if [(one.task, one.channel) for one in writes] != [(task, channel) for task, channel, _ in pending]:
        raise Invalid(
            "Writes came to a snapshot while it was read; it was not written.",
            field="snapshot",
            rule="the source stands still",
            remedy="Import when no agent is at work on it, and go on with --resume.",
        )
    both = [
        (one.task, one.task_path, one.channel in base.WRITES_IDX_MAP, (one.channel, value))
        for one, (_, _, value) in zip(writes, pending, strict=True)
    ]
    both.sort(key=lambda each: each[:3])  # stable: a task's writes keep their order
    for (task, path, _), group in groupby(both, key=lambda each: each[:3]):
        yield task, path, [write for _, _, _, write in group]


def _writes(database: Database) -> str:
    return "checkpoint_writes" if database.postgres else "writes"


def open_saved(database: Database, classes: Sequence[str]) -> Saved:
    """The saver that wrote it, reading. `classes`: `module:Class` names.

    Raises Invalid for classes that are not there and for a source without checkpoints, Unsupported without
    the library.
    """
    wanted(database, "checkpoints", "thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id")
    serde = _serializer(classes)
    wanted(
        database,
        _writes(database),
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "task_id",
        "idx",
        "channel",
    )
    has_path = database.has(_writes(database), "task_path")
    if database.postgres:
        wanted(database, _writes(database), "task_path")
        postgres = library("langgraph.checkpoint.postgres").PostgresSaver
        return Saved(database, postgres(database.connection, serde=serde), has_path)
    base: Any = library("langgraph.checkpoint.sqlite").SqliteSaver

    class Reading(base):  # type: ignore[misc]  # a class that is known only here
        """Without the tables, columns and modes that the library's own set-up makes."""

        _has_task_path = has_path

        def setup(self) -> None:
            self.is_setup = True

    return Saved(database, Reading(database.connection, serde=serde), has_path)


def _serializer(classes: Sequence[str]) -> Any:  # noqa: ANN401 - LangGraph's serializers have no common type
    """Reads what LangGraph's own types and the named classes made, and nothing else.

    The library's default would import and call whatever the source names. What is not allowed it hands out as
    something else without saying so: `_whole` listens for that.
    """
    jsonplus = library("langgraph.checkpoint.serde.jsonplus")
    allowed = [_class_named(number, name) for number, name in enumerate(classes)]
    modules = [(*module.split("."), name) for module, name in allowed]
    serde = jsonplus.JsonPlusSerializer(
        allowed_msgpack_modules=allowed or None, allowed_json_modules=modules or None
    )
    if AES_KEY not in environ:
        return serde
    encrypted = library("langgraph.checkpoint.serde.encrypted").EncryptedSerializer
    try:
        return encrypted.from_pycryptodome_aes(serde)
    except (ImportError, ValueError):
        raise Invalid(
            f"{AES_KEY} is set but cannot be used. Nothing was imported.",
            field=AES_KEY,
            rule="16, 24 or 32 bytes, and pycryptodome installed",
            remedy="Set the key that the application wrote with, or unset it.",
        ) from None


def _class_named(number: int, name: str) -> tuple[str, str]:
    module, _, called = name.partition(":")
    try:
        if isinstance(getattr(import_module(module), called), type):
            return module, called
    except (ImportError, AttributeError, ValueError):
        pass
    raise Invalid(
        f"classes[{number}] is no class that can be imported here. Nothing was imported.",
        field=f"mapping.classes[{number}]",
        rule="module:Class, importable where the import runs",
        remedy="Run it where the agent's code is installed, or set PYTHONPATH.",
    )


@contextmanager
def _whole() -> Iterator[None]:
    """A value that was not read as what it was is a refusal, not another value that looks like it."""
    blocked: set[str] = set()
    reader = threading.get_ident()

    def listen(event: dict[str, str]) -> None:
        # Other threads read, too, and each of them hears of everything.
        if event["kind"] in _BLOCKED and threading.get_ident() == reader:
            blocked.add(f"{event['module']}:{event['name']}")

    hooks = library("langgraph.checkpoint.serde.event_hooks")
    forget = hooks.register_serde_event_listener(listen)
    try:
        yield
    except TenureError:
        raise
    except Exception as failure:  # noqa: BLE001 - any serializer's, and any class's of the application
        if is_of_driver(failure):
            raise silent(failure) from None
        # What a serializer says may hold what it could not read.
        raise Invalid(
            f"A value of it cannot be read ({type(failure).__name__}).",
            field="snapshot",
            rule="values that LangGraph's serializer reads, pickles not among them",
            remedy=f"If it is encrypted, set {AES_KEY}; if a class is missing, name it under classes.",
        ) from None
    finally:
        forget()
    if blocked:
        names = ", ".join(sorted(blocked))
        raise Invalid(
            f"It holds objects of classes that the mapping does not name: {names}.",
            field="classes",
            rule="the application's classes are named in the mapping",
            remedy="Add them under classes, if you trust the source that far.",
        )
