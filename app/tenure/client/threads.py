"""Threads, as both clients have them: the saved state of an agent's run (docs/agents.md).

A cell in this process is asked directly; there is no HTTP in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tenure import ids
from tenure.client.calls import Calls
from tenure.client.operation import Work, operation
from tenure.client.steps import Ask, performed
from tenure.model import thread_json
from tenure.model.thread import Bound, Channel, NewSnapshot, NewWrites, Snapshot, Stored, Write

_PATH: Final = "/v1/threads"


@dataclass(frozen=True, slots=True)
class Snapshots:
    """A page of snapshots, newest first. `next`: the cursor of the page after it."""

    items: tuple[Snapshot, ...]
    next: str | None


class Threads(Calls):
    """Snapshots of threads and what is pending on them, under the client's purpose."""

    @operation
    def put_snapshot(
        self,
        scope: str,
        thread: str,
        snapshot: str,
        *,
        categories: Sequence[str],
        subjects: Sequence[str] | None = None,
        namespace: str = "",
        parent: str | None = None,
        latest: Sequence[str] | None = None,
        channels: Mapping[str, Channel],
        state: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run: str | None = None,
    ) -> Work[Stored]:
        """Store a snapshot. Again with the same id is no harm while it is the newest.

        `categories`, `subjects`: what the thread is bound to when it is begun, and the same ever after; None
        for whomever it was begun with.
        `latest`: ids of which one must be the newest snapshot now, empty for none yet; None: whatever it is.

        Raises Stale (another runner was first, or the thread was deleted), Conflict (bound otherwise),
        Denied, Erased, NotFound (the scope), Invalid, QuotaExceeded.
        """
        bound = Bound(tuple(categories), None if subjects is None else tuple(subjects))
        expected = None if latest is None else tuple(latest)
        new = NewSnapshot(snapshot, parent, channels, state or {}, metadata or {}, expected, run)
        if self.direct is not None:
            stored: Stored = yield from performed(Ask("put", (scope, thread, namespace, bound, new)))
            return stored
        body = {"scope": scope, "thread": thread, "namespace": namespace, **thread_json.of_bound(bound)}
        body["snapshot"] = thread_json.of_new_snapshot(new)
        return thread_json.to_stored((yield from self._posted("/snapshots:put", body)))

    @operation
    def put_writes(
        self,
        scope: str,
        thread: str,
        snapshot: str,
        task: str,
        writes: Sequence[Write],
        *,
        categories: Sequence[str],
        subjects: Sequence[str] | None = None,
        namespace: str = "",
        path: str = "",
    ) -> Work[Stored]:
        """Store what a task wrote, pending on a snapshot that may come later. Raises as `put_snapshot`."""
        bound = Bound(tuple(categories), None if subjects is None else tuple(subjects))
        new = NewWrites(snapshot, task, tuple(writes), path)
        if self.direct is not None:
            asked = Ask("put_writes", (scope, thread, namespace, bound, new))
            stored: Stored = yield from performed(asked)
            return stored
        body = {"scope": scope, "thread": thread, "namespace": namespace, **thread_json.of_bound(bound)}
        body |= thread_json.of_new_writes(new)
        return thread_json.to_stored((yield from self._posted("/writes:put", body)))

    @operation
    def get_snapshot(
        self, scope: str, thread: str, *, namespace: str = "", snapshot: str | None = None
    ) -> Work[Snapshot]:
        """The newest snapshot, or one by its id. Raises NotFound, Erased, Denied."""
        if self.direct is not None:
            found: Snapshot = yield from performed(Ask("get", (scope, thread, namespace, snapshot)))
            return found
        body = {"scope": scope, "thread": thread, "namespace": namespace, "id": snapshot}
        return _read((yield from self._posted("/snapshots:get", body)))

    @operation
    def list_snapshots(
        self,
        scope: str,
        thread: str | None = None,
        *,
        namespace: str | None = None,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Work[Snapshots]:
        """A page of snapshots: of a thread or all, of a namespace or all. Raises Denied, NotFound (scope).

        `before`: only ids that sort before it. `metadata`: only those with these values.
        """
        body = {
            "scope": scope,
            "thread": thread,
            "namespace": namespace,
            "before": before,
            "metadata": dict(metadata or {}),
            "limit": limit,
            "cursor": cursor,
        }
        told = yield from self._posted("/snapshots:query", body)
        return Snapshots(tuple(map(_read, told["items"])), told["next"])

    @operation
    def delete_thread(self, scope: str, thread: str) -> Work[bool]:
        """Delete a thread; its keys go with it. Whether there was one. Raises Denied."""
        return bool((yield from self._posted(":delete", {"scope": scope, "thread": thread}))["deleted"])

    @operation
    def copy_thread(self, scope: str, source: str, target: str) -> Work[int]:
        """Copy a thread to one that is not there. How many snapshots. Raises Conflict, Denied."""
        body = {"scope": scope, "source": source, "target": target}
        return int((yield from self._posted(":copy", body, repeats=False))["snapshots"])

    @operation
    def prune_thread(self, scope: str, thread: str) -> Work[int]:
        """Keep the newest snapshot of each namespace. How many went. Raises Denied."""
        return int((yield from self._posted(":prune", {"scope": scope, "thread": thread}))["snapshots"])

    @operation
    def delete_run(self, scope: str, run: str) -> Work[int]:
        """Delete what a run stored in any thread of a scope. How many snapshots. Raises Denied."""
        return int((yield from self._posted("/runs:delete", {"scope": scope, "run": run}))["snapshots"])

    def _posted(self, path: str, body: Mapping[str, Any], *, repeats: bool = True) -> Work[Any]:
        given = {name: value for name, value in body.items() if value is not None}
        return (yield from self._asked("POST", _PATH + path, given, repeats=repeats))


def _read(told: Mapping[str, Any]) -> Snapshot:
    return thread_json.to_snapshot(told, ids.parse_rfc3339(told["created_at"]))
