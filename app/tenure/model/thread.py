"""Threads: the saved state of an agent's run, snapshot by snapshot, and writes that wait for the next. Pure.

    thread ─┬─ generation 1 ── namespace "" ── snapshots, each with its channels ── pending writes by task
            │              └── namespace "child:…" ── …
            └─ generation 2: after the thread was deleted and begun anew, pruned, or copied to

A channel's value is bytes that a serializer made. Most of a long value is what it was a step before, so it is
stored as *pieces*: bytes that are new, and slices of the same channel's value in the parent snapshot.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from tenure.errors import Invalid, TooLarge
from tenure.model.record import MAX_SUBJECTS, SAFE_INT, check_json, check_metadata, check_subject

MAX_NAME: Final = 1024
MAX_CHANNELS: Final = 4096
MAX_WRITES: Final = 4096
MAX_PIECES: Final = 64
"""Slices that a channel's value is made of, at most: each may be another row to read."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MARK: Final = "\x1f"
"""Begins the sealed key of every record that belongs to a thread: no record's own key has it."""
_GREGORIAN: Final = 0x01B21DD213814000
"""From 1582-10-15 to 1970-01-01 in units of 100 ns (RFC 9562 §5.1)."""

Scalar = str | int | float
"""The version of a channel, as its graph counts."""


class Reuse(NamedTuple):
    """A slice of a channel's value in the parent snapshot, where the channel is at version `of`."""

    of: Scalar
    start: int
    length: int


Pieces = Sequence[bytes | Reuse]


class Channel(NamedTuple):
    """A channel in a new snapshot. `pieces`: None when its value is the parent's at the same version."""

    version: Scalar
    type: str = ""
    pieces: Pieces | None = None


class Bound(NamedTuple):
    """What a thread belongs to: people, and how it is labelled. The same for all of its snapshots.

    `subjects`: None for whomever it was begun with, or nobody when this begins it.
    """

    categories: tuple[str, ...]
    subjects: tuple[str, ...] | None = None

    @property
    def people(self) -> tuple[str, ...]:
        """Whom it names."""
        return self.subjects or ()


class NewSnapshot(NamedTuple):
    """A snapshot to store.

    `latest`: ids of which one must be the newest snapshot of the namespace now; an empty one: there is none
    yet; None: whatever it is. `run`: the run that it belongs to, if it may be deleted by that.
    """

    id: str
    parent: str | None
    channels: Mapping[str, Channel]
    state: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    latest: tuple[str, ...] | None = None
    run: str | None = None


class Write(NamedTuple):
    """What one task wrote to one channel. Of `idx` below 0 the last one counts, of others the first."""

    idx: int
    channel: str
    type: str
    value: bytes


class NewWrites(NamedTuple):
    """What a task wrote, pending on a snapshot until the next one has taken it in."""

    snapshot: str
    task: str
    writes: tuple[Write, ...]
    path: str = ""


class Stored(NamedTuple):
    """A snapshot was stored, now or before. `pieces`: of how many each new channel value consists."""

    id: str
    version: int
    entry: str
    pieces: Mapping[str, int]


class Value(NamedTuple):
    """A channel's value. `pieces`: of how many slices it was put together."""

    version: Scalar
    type: str
    value: bytes
    pieces: int


class Pending(NamedTuple):
    """A write that waits for the next snapshot, in the order (path, task, idx)."""

    path: str
    task: str
    idx: int
    channel: str
    type: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as it is read. `latest`: id of the newest of its namespace now."""

    thread: str
    namespace: str
    id: str
    parent: str | None
    created_at: int
    entry: str
    latest: str
    metadata: Mapping[str, Any]
    state: Mapping[str, Any]
    channels: Mapping[str, Value]
    writes: tuple[Pending, ...]


# ── sealed names ───────────────────────────────────────────────────────────────────────────────────
def root_key(thread: str) -> str:
    """The key of the record whose newest version is the thread's generation."""
    return _MARK.join(("", "thread", thread))


def snapshots_key(thread: str, generation: int, namespace: str) -> str:
    """The key of the record whose versions are the snapshots of one namespace."""
    return _MARK.join(("", "snapshots", str(generation), thread, namespace))


def writes_key(thread: str, generation: int, namespace: str, snapshot: str) -> str:
    """The key of the record whose versions are the writes pending on one snapshot."""
    return _MARK.join(("", "writes", str(generation), thread, namespace, snapshot))


def thread_path(thread: str, generation: int) -> tuple[str, ...]:
    """Where the records of a thread's generation are filed; beginnings of it lead to more."""
    return (f"{_MARK}threads", thread, str(generation))


ALL_THREADS: Final = (f"{_MARK}threads",)


def run_path(run: str) -> tuple[str, ...]:
    """Where the records are filed in which a run stored snapshots."""
    return (f"{_MARK}runs", run)


# ── checks ─────────────────────────────────────────────────────────────────────────────────────────
def check_name(name: object, field_name: str, *, empty: bool = False) -> None:
    """A thread's, namespace's, snapshot's or task's name: text without control characters."""
    if not isinstance(name, str) or len(name) > MAX_NAME or not (name or empty):
        raise _no_name(field_name, empty=empty)
    if name.isprintable():
        return  # as almost every name: it has neither control characters nor lone surrogates
    if _CONTROL.search(name):
        raise _no_name(field_name, empty=empty)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Invalid(
            "A name is not Unicode text; nothing was done.", field=field_name, rule="no lone surrogates"
        ) from None


def _no_name(field_name: str, *, empty: bool) -> Invalid:
    return Invalid(
        "A name cannot be used; nothing was done.",
        field=field_name,
        rule=f"{0 if empty else 1} to {MAX_NAME} characters of text without control characters",
        remedy="Use a shorter or plainer name.",
    )


def check_bound(bound: Bound) -> None:
    """Categories and people: how many there may be, and that each may be one."""
    for one in bound.categories:
        check_name(one, "categories")
    if len(bound.people) > MAX_SUBJECTS:
        raise _too_many("subjects", MAX_SUBJECTS)
    for place, one in enumerate(bound.people):
        check_subject(one, f"subjects[{place}]")


def check_snapshot(new: NewSnapshot) -> None:
    """What is wrong with a snapshot by itself."""
    check_name(new.id, "id")
    if new.parent is not None:
        check_name(new.parent, "parent")
    for one in new.latest or ():
        check_name(one, "latest")
    if new.run is not None:
        check_name(new.run, "run")
    if len(new.channels) > MAX_CHANNELS:
        raise _too_many("channels", MAX_CHANNELS)
    for name, channel in new.channels.items():
        check_name(name, "channels", empty=True)
        _check_channel(channel)
    check_json(new.state, "snapshot.state")
    check_metadata(new.metadata)


def _check_channel(channel: Channel) -> None:
    version, kind, pieces = channel
    if type(version) is not int or not -SAFE_INT <= version <= SAFE_INT:
        _check_version(version)
    if kind != "":  # as of a channel whose value stays
        check_name(kind, "channels.type", empty=True)
    if not pieces:
        return
    if len(pieces) > MAX_PIECES:
        raise _too_many("channels.pieces", MAX_PIECES)
    for one in pieces:
        if isinstance(one, Reuse):
            if type(one.start) is not int or type(one.length) is not int:
                raise _wrong("channels.pieces", "whole numbers for start and length")
        elif not isinstance(one, bytes):
            raise _wrong("channels.pieces", "bytes, or slices of the parent's value")


def _check_version(version: object) -> None:
    if isinstance(version, str):
        check_name(version, "channels.version", empty=True)
    elif isinstance(version, bool) or not isinstance(version, int | float) or not abs(version) <= SAFE_INT:
        raise _wrong("channels.version", "a number that JSON carries, or text")


def check_writes(new: NewWrites) -> None:
    """What is wrong with writes by themselves."""
    check_name(new.snapshot, "snapshot")
    check_name(new.task, "task")
    check_name(new.path, "path", empty=True)
    if len(new.writes) > MAX_WRITES:
        raise _too_many("writes", MAX_WRITES)
    for one in new.writes:
        check_name(one.channel, "writes.channel", empty=True)
        check_name(one.type, "writes.type", empty=True)
        if type(one.idx) is not int or abs(one.idx) > SAFE_INT:
            raise _wrong("writes.idx", "a whole number that JSON carries")
        if not isinstance(one.value, bytes):
            raise _wrong("writes.value", "bytes")


def _wrong(field_name: str, rule: str) -> Invalid:
    return Invalid("A value cannot be stored; nothing was stored.", field=field_name, rule=rule)


def _too_many(field_name: str, most: int) -> TooLarge:
    return TooLarge("There are too many; nothing was stored.", field=field_name, rule=f"at most {most}")


# ── values ─────────────────────────────────────────────────────────────────────────────────────────
Slice = list[int]
"""[number of the version, place of the part in it, start, length]: where some of a value lies."""


def place(
    pieces: Pieces, version: int, parts: list[bytes], before: tuple[Scalar, list[Slice]] | None
) -> list[Slice]:
    """Where the pieces of a value lie: new bytes in `parts` of this version, the rest where they lie already.

    `before`: the channel in the parent. Invalid when a slice is of another version of it, or beyond its end.
    """
    placed: list[Slice] = []
    for piece in pieces:
        if isinstance(piece, Reuse):
            if before is None or before[0] != piece.of:
                raise Invalid(
                    "A value reuses what the parent snapshot has not; nothing was stored.",
                    field="channels.pieces.of",
                    rule="the version of the channel in the parent snapshot",
                    remedy="Send the whole value.",
                )
            placed += cut(before[1], piece.start, piece.length)
        elif piece:
            placed.append([version, len(parts), 0, len(piece)])
            parts.append(piece)
    if len(placed) > MAX_PIECES:
        raise _too_many("channels.pieces", MAX_PIECES)
    return placed


def cut(slices: Sequence[Slice], start: int, length: int) -> list[Slice]:
    """A slice of what lies in slices. Invalid when some of it is not in there."""
    if start < 0 or length < 0:
        raise _beyond()
    found: list[Slice] = []
    wanted = length
    for number, part, offset, size in slices:
        if wanted and start < size:
            taken = min(size - start, wanted)
            found.append([number, part, offset + start, taken])
            wanted -= taken
            start = 0
        else:
            start = max(start - size, 0)
    if wanted:
        raise _beyond()
    return found


def _beyond() -> Invalid:
    return Invalid(
        "A value reuses more than the parent snapshot has; nothing was stored.",
        field="channels.pieces",
        rule="within the value",
        remedy="Send the whole value.",
    )


def resolve(found: Mapping[tuple[str, int], tuple[int, Pending]], one: Pending, at: int) -> bool:
    """Whether a write counts beside what was found of its task and index: first or, below 0, last wins."""
    kept = found.get((one.task, one.idx))
    return kept is None or (at > kept[0]) == (one.idx < 0)


def made_at(snapshot: str) -> int | None:
    """When an id was made, in microseconds, if it says so: UUIDs of versions 1, 6 and 7 (RFC 9562 §5)."""
    try:
        found = UUID(snapshot)
    except ValueError:
        return None
    if found.version == 7:  # noqa: PLR2004 - the version's own number
        return (found.int >> 80) * 1000
    if found.version == 6:  # noqa: PLR2004 - likewise
        ticks = (found.int >> 80) << 12 | (found.int >> 64) & 0xFFF
        return (ticks - _GREGORIAN) // 10
    if found.version == 1:
        return (found.time - _GREGORIAN) // 10
    return None
