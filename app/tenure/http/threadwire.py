"""What callers send about threads. In bodies: names of threads may be personal data, and URLs end in logs."""

from typing import Annotated, Any

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from tenure.http.wire import DEFAULT_PAGE, Body, Cursor, Reference, Text
from tenure.ledger.canonical import MAX_INTEGER
from tenure.model.thread import MAX_CHANNELS, MAX_NAME, MAX_PIECES, MAX_WRITES

MAX_PAGE = 100
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Namespace = Annotated[str, Field(max_length=MAX_NAME)]
ScopeName = Annotated[str, Field(max_length=200)]
Counted = Annotated[StrictInt, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Version = (
    Counted
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | Annotated[StrictStr, Field(max_length=MAX_NAME)]
)


class Piece(Body):
    """A part of a channel's value: `base64` of new bytes, or a slice of it in the parent snapshot.

    There the channel is at version `of`.
    """

    base64: str | None = None
    of: Version | None = None
    start: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
    length: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0

    @model_validator(mode="after")
    def _one(self) -> "Piece":
        if (self.base64 is None) == (self.of is None):
            raise ValueError("either base64, or of with start and length")
        return self


class NewChannel(Body):
    """A channel of a snapshot. Without `pieces` its value is the parent's at the same version."""

    version: Version
    type: Annotated[str, Field(max_length=200)] = ""
    pieces: Annotated[tuple[Piece, ...], Field(max_length=MAX_PIECES)] | None = None


class SnapshotBody(Body):
    """A snapshot: of the ids in `latest` one must be the newest now; an empty list: there is none yet."""

    id: Name
    parent: Name | None = None
    latest: Annotated[tuple[Name, ...], Field(max_length=16)] | None = None
    run: Name | None = None
    state: Annotated[dict[str, Any], Field(default_factory=dict)]
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    channels: Annotated[dict[str, NewChannel], Field(default_factory=dict, max_length=MAX_CHANNELS)]


class _OnThread(Body):
    scope: ScopeName
    thread: Name
    namespace: Namespace = ""


class _Bound(_OnThread):
    categories: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    subjects: Annotated[tuple[Reference, ...], Field(max_length=64)] | None = None


class PutSnapshot(_Bound):
    """A snapshot of a thread, which is bound to people and categories when it is begun."""

    snapshot: SnapshotBody


class NewWrite(Body):
    """One write of a task to a channel. Of an `idx` below 0 the last one counts, of others the first."""

    idx: Counted
    channel: Namespace
    type: Annotated[str, Field(max_length=200)] = ""
    base64: str


class PutWrites(_Bound):
    """What a task wrote, pending on a snapshot that may come later."""

    snapshot: Name
    task: Name
    path: Namespace = ""
    writes: Annotated[tuple[NewWrite, ...], Field(max_length=MAX_WRITES)]


class GetSnapshot(_OnThread):
    """Which snapshot: the newest one, or one by its id."""

    id: Name | None = None


class QuerySnapshots(Body):
    """Which snapshots: `before` are ids that sort before one, `metadata` those with these values."""

    scope: ScopeName
    thread: Name | None = None
    namespace: Namespace | None = None
    before: Name | None = None
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Cursor | None = None


class ThreadName(Body):
    """A thread."""

    scope: ScopeName
    thread: Name


class CopyThread(Body):
    """A thread, and the name of its copy, which must not be there yet."""

    scope: ScopeName
    source: Name
    target: Name


class RunName(Body):
    """A run, in any thread of a scope."""

    scope: ScopeName
    run: Name
