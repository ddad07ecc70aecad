"""Threads, for every surface: the same calls over HTTP and in process."""

from collections.abc import Callable
from typing import Any

from tenure.access import Ask, check_scope_name
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.model.thread import (
    Bound,
    NewSnapshot,
    NewWrites,
    Snapshot,
    Stored,
    check_bound,
    check_name,
    check_snapshot,
    check_writes,
    root_key,
)
from tenure.threads import ending, rewriting
from tenure.threads.getting import GetSnapshot
from tenure.threads.pages import Page, Wanted, page
from tenure.threads.putting import PutSnapshot, PutWrites


class Threads:
    """Governed access to the saved state of agents' runs."""

    def __init__(self, batcher: Batcher, requested: Callable[[], None]) -> None:
        """`requested`: wakes the next batch of erasures."""
        self._batcher = batcher
        self._requested = requested

    async def put(
        self, ask: Ask, scope: str, thread: str, namespace: str, bound: Bound, new: NewSnapshot
    ) -> Stored:
        """Store a snapshot. Two round trips; a few more for a thread that is new, one more after a fork.

        Raises Stale when another was stored meanwhile or the thread was deleted, Conflict when it is bound
        otherwise, Denied (recorded), NotFound (scope), Erased, Invalid.
        """
        _check(scope, thread, namespace, bound)
        check_snapshot(new)
        operation = PutSnapshot(ask, scope, thread, namespace, bound=_sorted(bound), new=new)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def put_writes(
        self, ask: Ask, scope: str, thread: str, namespace: str, bound: Bound, new: NewWrites
    ) -> Stored:
        """Store what a task wrote, pending on a snapshot that may come later. Two round trips.

        Raises as `put`.
        """
        _check(scope, thread, namespace, bound)
        check_writes(new)
        operation = PutWrites(ask, scope, thread, namespace, bound=_sorted(bound), new=new)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def get(
        self, ask: Ask, scope: str, thread: str, namespace: str = "", snapshot: str | None = None
    ) -> Snapshot:
        """The newest snapshot, or one by its id, with its pending writes. Three round trips, four by id.

        Raises NotFound, Erased, Denied (recorded).
        """
        _check(scope, thread, namespace)
        if snapshot is not None:
            check_name(snapshot, "id")
        operation = GetSnapshot(ask, scope, thread, namespace, snapshot=snapshot)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def page(self, ask: Ask, scope: str, wanted: Wanted) -> Page:
        """Snapshots, newest first. Raises Denied (recorded), NotFound (scope)."""
        check_scope_name(scope)
        for name, field in ((wanted.thread, "thread"), (wanted.before, "before")):
            if name is not None:
                check_name(name, field)

        def work(desk: Desk) -> Any:  # noqa: ANN401 - a page, or a denial that is raised after the commit
            index = None
            if wanted.thread is not None:
                index = desk.tenancy.keys.blind_index("record", scope, root_key(wanted.thread))
            return page(desk, ask, scope, index, wanted)

        return await self._alone(ask, work)  # type: ignore[no-any-return]

    async def delete(self, ask: Ask, scope: str, thread: str) -> bool:
        """Delete a thread for good. Whether there was one. Raises Denied (recorded)."""
        _check(scope, thread)
        return bool(await self._ending(ask, lambda desk: ending.delete(desk, ask, scope, thread)))

    async def copy(self, ask: Ask, scope: str, source: str, target: str) -> int:
        """Copy a thread to one that is not there: how many snapshots. Raises Conflict, Denied (recorded)."""
        _check(scope, source)
        _check(scope, target)
        return int(await self._alone(ask, lambda desk: rewriting.copy(desk, ask, scope, source, target)))

    async def prune(self, ask: Ask, scope: str, thread: str) -> int:
        """Keep only what is newest in each namespace: how many snapshots went. Raises Denied (recorded)."""
        _check(scope, thread)
        return int(await self._ending(ask, lambda desk: rewriting.prune(desk, ask, scope, thread)))

    async def delete_run(self, ask: Ask, scope: str, run: str) -> int:
        """Delete what a run stored in any thread of a scope: how many snapshots. Raises Denied (recorded)."""
        check_scope_name(scope)
        check_name(run, "run")
        return int(await self._ending(ask, lambda desk: rewriting.delete_run(desk, ask, scope, run)))

    async def _ending(self, ask: Ask, work: Callable[[Desk], Any]) -> Any:  # noqa: ANN401 - as `work` answers
        done = await self._alone(ask, work)
        if done:
            self._requested()
        return done

    async def _alone(self, ask: Ask, work: Callable[[Desk], Any]) -> Any:  # noqa: ANN401 - as `work` answers
        return await self._batcher.submit(ask.credential.tenant_id, Solo(work, ask.needs))


def _check(scope: str, thread: str, namespace: str = "", bound: Bound | None = None) -> None:
    check_scope_name(scope)
    check_name(thread, "thread")
    check_name(namespace, "namespace", empty=True)
    if bound is not None:
        check_bound(bound)


def _sorted(bound: Bound) -> Bound:
    if len(bound.categories) <= 1 and len(bound.people) <= 1:
        return bound  # in order, and nobody twice
    people = None if bound.subjects is None else tuple(dict.fromkeys(bound.subjects))
    return Bound(tuple(sorted(set(bound.categories))), people)
