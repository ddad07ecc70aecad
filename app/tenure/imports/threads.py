"""`tenure import checkpoints`: the threads of one of LangGraph's savers go into a saver here.

    1 survey   every snapshot of a thread is read: can it be, whom does any of them name, where does it go? A
               thread that fails here is refused with nothing of it written
    2 look     a thread of that id here whose newest snapshot the source does not have is another one, or has
               gone its own way since it was imported: refused
    3 write    snapshot by snapshot, parents first, then the writes that were pending on it
    4 journal  each of them. A crash between 3 and 4 leaves one that is looked for before it is written again

Of each thread that is at work one snapshot is held at a time, and the names of the others.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tenure.errors import Conflict, Invalid
from tenure.imports.journal import Journal
from tenure.imports.labels import Labeller, Place
from tenure.imports.report import Outcome, Report
from tenure.imports.run import Run, Shown, Skipped, Unit
from tenure.imports.saved import Saved, Snapshot, Write, tasks_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, CheckpointTuple

    Saver = BaseCheckpointSaver[Any]
    OpenSaver = Callable[[Place], Saver]
THREAD: Final = "/thread_id"
"""What a table of subjects is asked by, unless the mapping says otherwise."""
SNAPSHOTS, WRITES = "snapshots", "pending writes"
_SHOWN: Final = 12


def import_threads(
    source: Saved,
    labeller: Labeller,
    journal: Journal,
    opened: "OpenSaver | None",
    report: Report,
    shown: Shown,
    at_once: int,
) -> None:
    """Write every thread. `opened` gives the saver of a scope and categories; None for a dry run.

    The report is the caller's, who has it even when this is stopped by an error that it raises.
    """
    run = Run(report, shown, source.count(), at_once)
    run.each(
        Unit(
            f"thread {number} ({journal.digest('thread', thread)[:_SHOWN]})",
            _Thread(thread, source, labeller, journal, opened, run).taken,
        )
        for number, thread in enumerate(source.threads(), 1)
    )


@dataclass(frozen=True, slots=True)
class _Thread:
    id: str
    source: Saved
    labeller: Labeller
    journal: Journal
    opened: "OpenSaver | None"
    run: Run

    def taken(self) -> Outcome:
        pending = self.source.writes(self.id)
        writes = {one: pending.get(one[:2], ()) for one in self.source.snapshots(self.id)}
        left = [one for one in writes if not self.journal.has(*self._mark(one, writes[one]))]
        if not left:
            return Outcome.THERE
        versions: dict[Snapshot, ChannelVersions] = {}
        place, subjects = self._survey(writes, versions)
        if self.opened is None:
            self._count(len(left), sum(len(writes[one]) for one in left))
            return Outcome.WRITTEN
        bound = {"thread_id": self.id, "purpose": self.labeller.mapping.purpose, "subject": list(subjects)}
        here = _Here(self.opened(place), bound if subjects else {**bound, "subject": None})
        begun = self._begun(here, writes)
        named = {one[:2]: one for one in writes}
        wrote = 0
        for one in left:
            there = begun and here.has(one)
            parent = None if one.parent is None else named.get((one.namespace, one.parent))
            here.write(self.source.read(self.id, one), one, parent, writes[one], versions, there=there)
            self.journal.add(*self._mark(one, writes[one]))
            self._count(int(not there), len(writes[one]))
            wrote += not there
        return Outcome.WRITTEN if wrote else Outcome.THERE

    def _mark(self, snapshot: Snapshot, writes: Sequence[Write]) -> tuple[str, ...]:
        """With the writes: of a graph that was at work there may be more of them the next time."""
        pending = (f"{one.task}/{one.place}" for one in writes)
        return ("snapshot", self.id, snapshot.namespace, snapshot.id, *pending)

    def _survey(
        self, snapshots: Collection[Snapshot], versions: "dict[Snapshot, ChannelVersions]"
    ) -> tuple[Place, tuple[str, ...]]:
        """Where it goes, as its newest root snapshot says, and everybody whom any snapshot names.

        Keeps of each snapshot which version of each channel it has.
        """
        newest = max(snapshots, key=lambda one: (not one.namespace, one.id))
        document = self._document(self.source.read(self.id, newest))
        skipped = self.labeller.skipped(document)
        if skipped is not None:
            raise Skipped(skipped)

        def documents() -> Iterator[dict[str, Any]]:
            for one in snapshots:
                found = self.source.read(self.id, one)
                versions[one] = found.checkpoint["channel_versions"]
                yield self._document(found)

        return self.labeller.place(document), self.labeller.subjects(documents())

    def _document(self, found: "CheckpointTuple") -> dict[str, Any]:
        return {
            "thread_id": self.id,
            "namespace": found.config["configurable"]["checkpoint_ns"],
            "metadata": found.metadata,
            "values": found.checkpoint["channel_values"],
        }

    def _begun(self, here: "_Here", snapshots: Collection[Snapshot]) -> bool:
        """Whether something of it may be here, so that each snapshot is looked for before it is written."""
        newest = here.newest()
        if newest is not None and newest not in {one[:2] for one in snapshots}:
            raise Conflict(
                "A thread of that id is here already and has gone its own way; nothing was written to it.",
                field="thread_id",
                rule="a thread that is new here, or has no snapshot that the source has not",
                remedy="Import it into another scope, or skip it.",
            )
        begun = newest is not None or self.journal.has("begun", self.id)
        self.journal.add("begun", self.id)
        return begun

    def _count(self, snapshots: int, writes: int) -> None:
        self.run.count(SNAPSHOTS, snapshots)
        self.run.count(WRITES, writes)


@dataclass(frozen=True, slots=True)
class _Here:
    """A thread where it goes."""

    saver: "Saver"
    bound: dict[str, Any]
    """What every call says: the thread, whom it is about, and what for."""
    last: dict[str, str] = field(default_factory=dict)
    """By namespace, the snapshot that was written last."""

    def newest(self) -> tuple[str, str] | None:
        """Namespace and id of its newest snapshot: of the root's, if there is one."""
        found = self.saver.get_tuple(self._config(""))
        found = found or next(iter(self.saver.list(self._config(), limit=1)), None)
        if found is None:
            return None
        named = found.config["configurable"]
        return named["checkpoint_ns"], named["checkpoint_id"]

    def has(self, snapshot: Snapshot) -> bool:
        """Whether it has this snapshot."""
        return self.saver.get_tuple(self._config(snapshot.namespace, snapshot.id)) is not None

    def write(
        self,
        found: "CheckpointTuple",
        snapshot: Snapshot,
        parent: Snapshot | None,
        writes: Sequence[Write],
        versions: "Mapping[Snapshot, ChannelVersions]",
        *,
        there: bool,
    ) -> None:
        """The snapshot, unless it is there, with what is new against its parent; then its pending writes.

        A parent that the source no longer has is none here either.
        """
        before = {} if parent is None else versions[parent]
        new = {name: one for name, one in versions[snapshot].items() if before.get(name) != one}
        try:
            if not there:
                above = self._above(snapshot.namespace, parent)
                self.saver.put(above, found.checkpoint, found.metadata, new)
                self.last[snapshot.namespace] = snapshot.id
            for task, path, made in tasks_of(found, writes):
                self.saver.put_writes(self._config(snapshot.namespace, snapshot.id), made, task, path)
        except (TypeError, ValueError) as failure:
            # A serializer's; what it says may hold what it could not write.
            raise Invalid(
                f"A value of it cannot be written ({type(failure).__name__}).",
                field="snapshot",
                rule="values that LangGraph's serializer writes",
                remedy="Leave that thread out: skip it.",
            ) from None

    def _above(self, namespace: str, parent: Snapshot | None) -> "RunnableConfig":
        """Behind what it is put. Where a thread forks, as LangGraph does it: the parent is loaded first."""
        named = self._config(namespace, None if parent is None else parent.id)
        if parent is None or self.last.get(namespace) == parent.id:
            return named
        loaded = self.saver.get_tuple(named)
        more = {} if loaded is None else loaded.config["configurable"]
        return {"configurable": {**more, **named["configurable"]}}

    def _config(self, namespace: str | None = None, snapshot: str | None = None) -> "RunnableConfig":
        named = {"checkpoint_ns": namespace, "checkpoint_id": snapshot}
        return {
            "configurable": {name: one for name, one in {**self.bound, **named}.items() if one is not None}
        }
