"""`TenureSaver`: a LangGraph checkpointer whose threads are governed, sealed, erasable and proven.

    client = tenure.open("./cell", api_key)  # or https://…, postgresql://…; or tenure.open_async
    saver = TenureSaver(client, scope="support.threads", categories=["contact"], purpose="customer-support")
    graph = builder.compile(checkpointer=saver)
    graph.invoke(state, {"configurable": {"thread_id": "1", "subject": "customer:42"}})

A thread is bound to the `subject` (one reference, or a list) with which it is begun. `purpose` in
`configurable` goes before the saver's. With `Client` the async methods work in threads; with `AsyncClient`
they are native, and the others may be called from any thread but the loop's own, as with LangGraph's own
async savers.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from tenure.client.clients import AsyncClient, Client
from tenure.client.operation import Work
from tenure.client.pieces import Kept, pieces_of
from tenure.client.threads import Threads
from tenure.errors import Erased, Invalid, NotFound, Unsupported
from tenure.model.thread import Channel, Scalar, Snapshot, Write

R = TypeVar("R")
_Page = tuple[list[CheckpointTuple], str | None]
"""Some of a list, and the cursor of what follows."""
_LATEST: Final = "__tenure_latest"
"""In the config of a snapshot that is loaded by its id: which one was the newest then, to fork knowingly."""
_ABSENT: Final = "key"
"""The field of a NotFound that says: no such thread or snapshot. Others are the caller's mistakes."""
_OURS: Final = ("subject", "purpose")
_PAGE: Final = 20


class TenureSaver(BaseCheckpointSaver[Any]):
    """Every method of `BaseCheckpointSaver`, blocking and awaited."""

    def __init__(
        self,
        client: Client | AsyncClient,
        *,
        scope: str,
        categories: Sequence[str],
        purpose: str | None = None,
        subjects: Sequence[str] = (),
        serde: SerializerProtocol | None = None,
    ) -> None:
        """`subjects`: whom threads are about whose config names nobody; empty: whomever they were begun with.

        A thread that is begun with nobody needs a scope that permits it.

        `purpose`: unless the client's own will do.
        """
        super().__init__(serde=serde)
        self._client = client if purpose is None else client.for_purpose(purpose)
        self._scope = scope
        self._categories = tuple(categories)
        self._subjects = tuple(subjects)
        self._kept = Kept()
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            if isinstance(client, AsyncClient):
                raise Unsupported(
                    "A saver of an AsyncClient is made where its loop runs; nothing was made.",
                    field="client",
                    rule="Client, or AsyncClient in its running loop",
                    remedy="Make the saver inside `async with tenure.open_async(…)`.",
                ) from None

    # ── storing ────────────────────────────────────────────────────────────────────────────────────
    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint as a snapshot.

        Raises Stale when another runner of the thread was first, or it was deleted: load, and go on there.
        """
        return self._run(config, self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return await self._arun(config, self._put(config, checkpoint, metadata, new_versions))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Work[RunnableConfig]:
        where = config["configurable"]
        thread, namespace = _thread(config), where.get("checkpoint_ns", "")
        parent = where.get("checkpoint_id")
        told: Any = get_serializable_checkpoint_metadata(config, metadata)  # made for this call
        for name in _OURS:
            told.pop(name, None)
        before = self._kept.of(thread, namespace, parent)
        versions: Mapping[str, Scalar] = checkpoint["channel_versions"]
        channels = {name: Channel(version) for name, version in versions.items() if name not in new_versions}
        made: dict[str, tuple[Scalar, bytes]] = {}
        for name, value in checkpoint["channel_values"].items():
            if parent is None or name in new_versions or name not in versions:
                version, (kind, data) = versions.get(name, 0), self.serde.dumps_typed(value)
                channels[name] = Channel(version, kind, pieces_of(data, before.get(name)))
                made[name] = version, data
        run = told.get("run_id")
        stored = yield from Threads.put_snapshot.steps(
            self._bound(config),
            self._scope,
            thread,
            checkpoint["id"],
            categories=self._categories,
            subjects=self._people(config),
            namespace=namespace,
            parent=parent,
            latest=_expected(parent, where.get(_LATEST), told),
            channels=channels,
            state={name: one for name, one in checkpoint.items() if name != "channel_values"},
            metadata=told,
            run=None if run is None else str(run),
        )
        self._kept.keep(thread, namespace, checkpoint["id"], before, made, versions, stored.pieces)
        return {
            "configurable": {
                "thread_id": thread,
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint["id"],
            }
        }

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, pending on the config's checkpoint. Raises as `put`."""
        self._run(config, self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        await self._arun(config, self._put_writes(config, writes, task_id, task_path))

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Work[None]:
        where = config["configurable"]
        yield from Threads.put_writes.steps(
            self._bound(config),
            self._scope,
            _thread(config),
            where["checkpoint_id"],
            task_id,
            [
                Write(WRITES_IDX_MAP.get(channel, place), channel, *self.serde.dumps_typed(value))
                for place, (channel, value) in enumerate(writes)
            ],
            categories=self._categories,
            subjects=self._people(config),
            namespace=where.get("checkpoint_ns", ""),
            path=task_path,
        )

    # ── loading ────────────────────────────────────────────────────────────────────────────────────
    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The config's checkpoint, or the newest of its namespace; None when there is none.

        Raises Erased for a thread of somebody who was erased, NotFound when the scope or the decision is not
        there. LangGraph waits for this before a run's first node: what is refused here runs nothing.
        """
        return self._run(config, self._get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._arun(config, self._get(config))

    def _get(self, config: RunnableConfig) -> Work[CheckpointTuple | None]:
        where = config["configurable"]
        thread, namespace = _thread(config), where.get("checkpoint_ns", "")
        wanted = where.get("checkpoint_id")
        try:
            found = yield from Threads.get_snapshot.steps(
                self._bound(config), self._scope, thread, namespace=namespace, snapshot=wanted
            )
        except NotFound as failure:
            if failure.field != _ABSENT:
                raise
            return None
        self._kept.load(found)
        loaded = self._tuple(found)
        if wanted is not None and found.latest != found.id:
            loaded.config["configurable"][_LATEST] = found.latest
        return loaded

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own word
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first: of the config's thread and namespace, or of all where it names none."""
        cursor, left = None, limit
        while left is None or left > 0:
            items, cursor = self._run(config, self._page(config, filter, before, left, cursor))
            yield from items
            left = None if left is None else left - len(items)
            if cursor is None:
                return

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own word
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        cursor, left = None, limit
        while left is None or left > 0:
            items, cursor = await self._arun(config, self._page(config, filter, before, left, cursor))
            for one in items:
                yield one
            left = None if left is None else left - len(items)
            if cursor is None:
                return

    def _page(
        self,
        config: RunnableConfig | None,
        wanted: Mapping[str, Any] | None,
        before: RunnableConfig | None,
        left: int | None,
        cursor: str | None,
    ) -> Work[_Page]:
        where = {} if config is None else config["configurable"]
        if (only := where.get("checkpoint_id")) is not None and config is not None:
            try:
                one = yield from self._get(config)
            except Erased:
                one = None  # as in every list
            if one is None or not _fits(one, wanted or {}) or (before is not None and only >= _id(before)):
                return [], None
            return [one], None
        page = yield from Threads.list_snapshots.steps(
            self._bound(config),
            self._scope,
            where.get("thread_id"),
            namespace=where.get("checkpoint_ns"),
            before=None if before is None else _id(before),
            metadata=wanted,
            limit=_PAGE if left is None else min(_PAGE, left),
            cursor=cursor,
        )
        return [self._tuple(one) for one in page.items], page.next

    def _tuple(self, found: Snapshot) -> CheckpointTuple:
        values = {name: self.serde.loads_typed((one.type, one.value)) for name, one in found.channels.items()}
        checkpoint: Any = {**found.state, "channel_values": values}

        def config_of(snapshot: str) -> RunnableConfig:
            return {
                "configurable": {
                    "thread_id": found.thread,
                    "checkpoint_ns": found.namespace,
                    "checkpoint_id": snapshot,
                }
            }

        metadata: Any = dict(found.metadata)
        return CheckpointTuple(
            config_of(found.id),
            checkpoint,
            metadata,
            None if found.parent is None else config_of(found.parent),
            [(one.task, one.channel, self.serde.loads_typed((one.type, one.value))) for one in found.writes],
        )

    # ── deleting, copying ──────────────────────────────────────────────────────────────────────────
    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread; its keys are destroyed, in restored backups too. What comes late is refused."""
        self._run(None, self._deleted([thread_id]))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._arun(None, self._deleted([thread_id]))

    def _deleted(self, threads: Sequence[str]) -> Work[None]:
        for thread in threads:
            yield from Threads.delete_thread.steps(self._client, self._scope, str(thread))
            self._kept.forget(str(thread))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, with what is pending on them, in every thread of the scope."""
        self._run(None, self._deleted_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._arun(None, self._deleted_runs(run_ids))

    def _deleted_runs(self, run_ids: Sequence[str]) -> Work[None]:
        for run in run_ids:
            yield from Threads.delete_run.steps(self._client, self._scope, str(run))
        self._kept.clear()

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and what is pending. Conflict when the target is there already."""
        self._run(None, self._copied(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._arun(None, self._copied(source_thread_id, target_thread_id))

    def _copied(self, source: str, target: str) -> Work[None]:
        yield from Threads.copy_thread.steps(self._client, self._scope, str(source), str(target))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`keep_latest`: the newest of each namespace and what its delta channels need stays; or `delete`."""
        self._run(None, self._pruned(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await self._arun(None, self._pruned(thread_ids, strategy))

    def _pruned(self, thread_ids: Sequence[str], strategy: str) -> Work[None]:
        if strategy == "delete":
            yield from self._deleted(thread_ids)
            return
        if strategy != "keep_latest":
            raise Invalid(
                "There is no such strategy; nothing was deleted.",
                field="strategy",
                rule="keep_latest or delete",
            )
        for thread in thread_ids:
            yield from Threads.prune_thread.steps(self._client, self._scope, str(thread))
            self._kept.forget(str(thread))

    def get_next_version(self, current: Scalar | None, channel: None) -> Scalar:
        """One more; in the spelling of LangGraph's own savers where a thread came from one of them."""
        del channel
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{0:016}"
        return 1 if current is None else current + 1

    # ── how ────────────────────────────────────────────────────────────────────────────────────────
    def _people(self, config: RunnableConfig) -> tuple[str, ...] | None:
        """Whom the config names, else the saver; None: whomever the thread was begun with."""
        subject = config["configurable"].get("subject")
        if subject is None:
            return self._subjects or None
        return (subject,) if isinstance(subject, str) else tuple(subject)

    def _bound(self, config: RunnableConfig | None) -> Any:  # noqa: ANN401 - either kind of client
        purpose = None if config is None else config["configurable"].get("purpose")
        if purpose is None or purpose == self._client.bound.purpose:
            return self._client
        return self._client.for_purpose(purpose)

    def _run(self, config: RunnableConfig | None, work: Work[R]) -> R:
        client = self._bound(config)
        if isinstance(client, Client):
            return client.drive(work)
        loop = self._loop
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if loop is None or here is loop:
            work.close()
            raise Unsupported(
                "This would block the loop that it waits for; nothing was done.",
                rule="awaited methods on the loop of an AsyncClient",
                remedy="Use ainvoke, aget_state and the like, or a saver of a Client.",
            )
        return asyncio.run_coroutine_threadsafe(client.drive(work), loop).result()  # type: ignore[no-any-return]  # of either kind of client

    def _arun(self, config: RunnableConfig | None, work: Work[R]) -> Awaitable[R]:
        client = self._bound(config)
        if isinstance(client, Client):
            return asyncio.to_thread(client.drive, work)
        return client.drive(work)  # type: ignore[no-any-return]  # of either kind of client


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _fits(one: CheckpointTuple, wanted: Mapping[str, Any]) -> bool:
    return all(one.metadata.get(name) == value for name, value in wanted.items())


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])


def _expected(parent: str | None, forked: str | None, told: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Which snapshots may be the newest: the parent; of a fork, the one that was when it was loaded.

    A run that found nothing begins at step -1, and expects nothing.
    """
    if parent is None:
        step = told.get("step")
        return () if isinstance(step, int) and step < 0 else None
    return (parent,) if forked is None else (parent, forked)
