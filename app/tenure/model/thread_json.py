"""Threads as JSON, in both directions: what the HTTP API takes and gives. Pure."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from tenure.errors import Invalid
from tenure.model.thread import (
    Bound,
    Channel,
    NewSnapshot,
    NewWrites,
    Pending,
    Reuse,
    Snapshot,
    Stored,
    Value,
    Write,
)

Json = dict[str, Any]


def of_bound(bound: Bound) -> Json:
    """`{"categories","subjects"}`."""
    return {
        "categories": list(bound.categories),
        "subjects": None if bound.subjects is None else list(bound.subjects),
    }


def of_new_snapshot(new: NewSnapshot) -> Json:
    """A snapshot to store."""
    return {
        "id": new.id,
        "parent": new.parent,
        "latest": None if new.latest is None else list(new.latest),
        "run": new.run,
        "state": dict(new.state),
        "metadata": dict(new.metadata),
        "channels": {name: _of_channel(one) for name, one in new.channels.items()},
    }


def _of_channel(one: Channel) -> Json:
    if one.pieces is None:
        return {"version": one.version}
    pieces: list[Json] = [
        piece._asdict() if isinstance(piece, Reuse) else {"base64": _text(piece)} for piece in one.pieces
    ]
    return {"version": one.version, "type": one.type, "pieces": pieces}


def to_channel(version: Any, kind: str, pieces: Sequence[Mapping[str, Any]] | None) -> Channel:  # noqa: ANN401 - any JSON
    """A channel as it was sent. Invalid for bytes that are no Base64 (RFC 4648 §4)."""
    if pieces is None:
        return Channel(version)
    return Channel(version, kind, tuple(_piece(one) for one in pieces))


def _piece(one: Mapping[str, Any]) -> bytes | Reuse:
    if one.get("base64") is not None:
        return to_bytes(one["base64"], "channels.pieces.base64")
    return Reuse(one["of"], one["start"], one["length"])


def of_new_writes(new: NewWrites) -> Json:
    """Pending writes to store."""
    return {
        "snapshot": new.snapshot,
        "task": new.task,
        "path": new.path,
        "writes": [
            {"idx": one.idx, "channel": one.channel, "type": one.type, "base64": _text(one.value)}
            for one in new.writes
        ],
    }


def to_write(one: Mapping[str, Any]) -> Write:
    """A write as it was sent."""
    return Write(one["idx"], one["channel"], one["type"], to_bytes(one["base64"], "writes.base64"))


def of_stored(stored: Stored) -> Json:
    """What a writer gets back."""
    return {**stored._asdict(), "pieces": dict(stored.pieces)}


def to_stored(told: Mapping[str, Any]) -> Stored:
    """The same, read."""
    return Stored(told["id"], told["version"], told["entry"], told["pieces"])


def of_snapshot(one: Snapshot) -> Json:
    """A snapshot as its reader gets it; but for `created_at`, in microseconds."""
    return {
        "thread": one.thread,
        "namespace": one.namespace,
        "id": one.id,
        "parent": one.parent,
        "created_at": one.created_at,
        "entry": one.entry,
        "latest": one.latest,
        "metadata": dict(one.metadata),
        "state": dict(one.state),
        "channels": {
            name: {
                "version": value.version,
                "type": value.type,
                "base64": _text(value.value),
                "pieces": value.pieces,
            }
            for name, value in one.channels.items()
        },
        "writes": [
            {
                "path": write.path,
                "task": write.task,
                "idx": write.idx,
                "channel": write.channel,
                "type": write.type,
                "base64": _text(write.value),
            }
            for write in one.writes
        ],
    }


def to_snapshot(told: Mapping[str, Any], created_at: int) -> Snapshot:
    """The same, read. `created_at` in microseconds."""
    return Snapshot(
        thread=told["thread"],
        namespace=told["namespace"],
        id=told["id"],
        parent=told["parent"],
        created_at=created_at,
        entry=told["entry"],
        latest=told["latest"],
        metadata=told["metadata"],
        state=told["state"],
        channels={
            name: Value(one["version"], one["type"], base64.b64decode(one["base64"]), one["pieces"])
            for name, one in told["channels"].items()
        },
        writes=tuple(
            Pending(
                one["path"],
                one["task"],
                one["idx"],
                one["channel"],
                one["type"],
                base64.b64decode(one["base64"]),
            )
            for one in told["writes"]
        ),
    )


def to_bytes(text: str, field: str) -> bytes:
    """Bytes that were sent as Base64. Invalid for what is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(
            "Some bytes cannot be read; nothing was stored.",
            field=field,
            rule="Base64 with padding (RFC 4648 §4)",
            remedy="Encode the bytes again.",
        ) from None


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
