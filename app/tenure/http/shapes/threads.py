"""Threads as they are answered."""

from typing import Any

from tenure.http.shapes.base import Shape, Time


class StoredSnapshot(Shape):
    """A snapshot or what is pending on one was stored. `pieces`: of how many each new value consists."""

    id: str
    version: int
    entry: str
    pieces: dict[str, int]


class ChannelValue(Shape):
    """A channel's value, put together from `pieces` slices."""

    version: str | int | float
    type: str
    base64: str
    pieces: int


class PendingWrite(Shape):
    """A write that waits for the next snapshot."""

    path: str
    task: str
    idx: int
    channel: str
    type: str
    base64: str


class Snapshot(Shape):
    """A snapshot. `latest`: the id of the newest one; empty in lists. `writes` by (path, task, idx)."""

    thread: str
    namespace: str
    id: str
    parent: str | None
    created_at: Time
    entry: str
    latest: str
    metadata: dict[str, Any]
    state: dict[str, Any]
    channels: dict[str, ChannelValue]
    writes: list[PendingWrite]


class SnapshotPage(Shape):
    """Snapshots, newest first. `entry` is the access itself."""

    items: list[Snapshot]
    next: str | None
    entry: str


class DeletedThread(Shape):
    """Whether there was such a thread."""

    deleted: bool


class Snapshots(Shape):
    """How many snapshots it was about."""

    snapshots: int
