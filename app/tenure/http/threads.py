"""Threads: the saved state of agents' runs, for agents in any language (docs/agents.md)."""

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.types import ASGIApp

from tenure import ids
from tenure.access import Ask
from tenure.http import threadwire as wire
from tenure.http.auth import Call, tenure_of
from tenure.http.paths import check_scope_name
from tenure.http.reply import json_reply
from tenure.http.shapes import threads as shapes
from tenure.http.shapes.base import answers
from tenure.http.turnstile import count_records
from tenure.http.wire import bad_cursor, from_cursor, received, to_cursor
from tenure.model import thread_json
from tenure.model.record import check_json
from tenure.model.thread import Bound, NewSnapshot, NewWrites, Snapshot
from tenure.threads.pages import Wanted

_CURSOR = "snapshots"


@post(
    "/v1/threads/snapshots:put",
    operation_id="putSnapshot",
    status_code=201,
    responses=answers(201, shapes.StoredSnapshot, "Stored, now or before"),
)
async def put_snapshot(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Store a snapshot, if the newest one is still one of `latest`. Again is no harm."""
    data = await received(request, wire.PutSnapshot)
    told = data.snapshot
    channels = {
        name: thread_json.to_channel(
            one.version,
            one.type,
            None if one.pieces is None else [piece.model_dump() for piece in one.pieces],
        )
        for name, one in told.channels.items()
    }
    new = NewSnapshot(told.id, told.parent, channels, told.state, told.metadata, told.latest, told.run)
    bound = Bound(data.categories, data.subjects)
    stored = await tenure_of(request).threads.put(
        ask, check_scope_name(data.scope), data.thread, data.namespace, bound, new
    )
    count_records(request.scope, 1)
    return json_reply(201, thread_json.of_stored(stored))


@post(
    "/v1/threads/writes:put",
    operation_id="putWrites",
    status_code=201,
    responses=answers(201, shapes.StoredSnapshot, "Stored"),
)
async def put_writes(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Store what a task wrote, pending on a snapshot."""
    data = await received(request, wire.PutWrites)
    writes = tuple(thread_json.to_write(one.model_dump()) for one in data.writes)
    stored = await tenure_of(request).threads.put_writes(
        ask,
        check_scope_name(data.scope),
        data.thread,
        data.namespace,
        Bound(data.categories, data.subjects),
        NewWrites(data.snapshot, data.task, writes, data.path),
    )
    count_records(request.scope, 1)
    return json_reply(201, thread_json.of_stored(stored))


@post(
    "/v1/threads/snapshots:get",
    operation_id="getSnapshot",
    status_code=200,
    responses=answers(200, shapes.Snapshot, "The snapshot with its values"),
)
async def get_snapshot(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Load a snapshot with its values, and with what is pending on it."""
    data = await received(request, wire.GetSnapshot)
    found = await tenure_of(request).threads.get(
        ask, check_scope_name(data.scope), data.thread, data.namespace, data.id
    )
    count_records(request.scope, 1)
    return json_reply(200, _shown(found))


@post(
    "/v1/threads/snapshots:query",
    operation_id="querySnapshots",
    status_code=200,
    responses=answers(200, shapes.SnapshotPage, "A page of snapshots"),
)
async def query_snapshots(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Load snapshots, newest first."""
    data = await received(request, wire.QuerySnapshots)
    check_json(data.metadata, "metadata")
    wanted = Wanted(
        thread=data.thread,
        namespace=data.namespace,
        before=data.before,
        metadata=data.metadata,
        limit=data.limit,
        after=None if data.cursor is None else _spot(from_cursor(_CURSOR, data.cursor)),
    )
    page = await tenure_of(request).threads.page(ask, check_scope_name(data.scope), wanted)
    count_records(request.scope, len(page.items))
    following = None if page.next is None else to_cursor(_CURSOR, f"{page.next[0]}.{page.next[1]}")
    items = [_shown(one) for one in page.items]
    return json_reply(200, {"items": items, "next": following, "entry": page.entry})


@post(
    "/v1/threads:delete",
    operation_id="deleteThread",
    status_code=200,
    responses=answers(200, shapes.DeletedThread, "Whether there was one"),
)
async def delete_thread(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Delete a thread for good: its keys are destroyed with the next batch of erasures."""
    data = await received(request, wire.ThreadName)
    deleted = await tenure_of(request).threads.delete(ask, check_scope_name(data.scope), data.thread)
    return json_reply(200, {"deleted": deleted})


@post(
    "/v1/threads:copy",
    operation_id="copyThread",
    status_code=200,
    responses=answers(200, shapes.Snapshots, "How many snapshots were copied"),
)
async def copy_thread(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Copy a thread to one that is not there yet, bound like it."""
    data = await received(request, wire.CopyThread)
    count = await tenure_of(request).threads.copy(ask, check_scope_name(data.scope), data.source, data.target)
    count_records(request.scope, count)
    return json_reply(200, {"snapshots": count})


@post(
    "/v1/threads:prune",
    operation_id="pruneThread",
    status_code=200,
    responses=answers(200, shapes.Snapshots, "How many snapshots went"),
)
async def prune_thread(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Keep only the newest snapshot of each namespace, and what it is built upon."""
    data = await received(request, wire.ThreadName)
    count = await tenure_of(request).threads.prune(ask, check_scope_name(data.scope), data.thread)
    return json_reply(200, {"snapshots": count})


@post(
    "/v1/threads/runs:delete",
    operation_id="deleteRun",
    status_code=200,
    responses=answers(200, shapes.Snapshots, "How many snapshots went"),
)
async def delete_run(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Delete what a run stored, in any thread of a scope."""
    data = await received(request, wire.RunName)
    count = await tenure_of(request).threads.delete_run(ask, check_scope_name(data.scope), data.run)
    return json_reply(200, {"snapshots": count})


def _shown(found: Snapshot) -> dict[str, Any]:
    return {**thread_json.of_snapshot(found), "created_at": ids.rfc3339(found.created_at)}


def _spot(place: str) -> tuple[int, str]:
    at, _, version_id = place.partition(".")
    if not (at.isdecimal() and at.isascii() and ids.is_id(version_id)):
        raise bad_cursor()
    return int(at), version_id


HANDLERS: list[Any] = [
    put_snapshot,
    put_writes,
    get_snapshot,
    query_snapshots,
    delete_thread,
    copy_thread,
    prune_thread,
    delete_run,
]
