"""The tenant-scoped transaction: the only way to a row."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.sql.expression import Executable

from tenure.ledger.entry import EntryDraft
from tenure.store import tables
from tenure.store.statements import Add, Insert, Params, Row, Select, Update
from tenure.store.wire import PostgresWire, Question, Wire

_STATE = Select(
    select(
        tables.tenant_state.c.principal_epoch,
        tables.tenant_state.c.policy_epoch,
        tables.tenant_state.c.key_epoch,
        tables.tenant_state.c.subject_epoch,
    ).where(tables.tenant_state.c.tenant_id == bindparam("tenant_id"))
)
_INSERT_ENTRY = Insert(tables.entries)
_INSERT_WRITER = Insert(tables.writers)
_INSERT_LIST = Insert(tables.access_lists, ignore_existing=True)

Mark = tuple[dict[Insert | Update, int], dict[str, int], int, int, int]


@dataclass(frozen=True, slots=True)
class Epochs:
    """What a cache must have been built from to be valid in this transaction."""

    principal: int
    policy: int
    keys: int
    subjects: int = 0


class Writers:
    """The gapless counters of one appending thread, one per tenant's log.

    A writer is an incarnation id and the next number. The number advances only when the transaction
    that used it has committed. When nobody can tell whether it did (a connection lost during COMMIT)
    the thread drops its incarnations and goes on under new ones: committed or not, no number is
    missing below the highest.
    """

    def __init__(self, tag: str = "") -> None:
        """`tag`: the first 8 hex digits of every incarnation, by which its process can be told."""
        self._tag = tag
        self._next: dict[str, tuple[str, int]] = {}
        self._last: dict[str, int] = {}

    def peek(self, tenant_id: str) -> tuple[str, int]:
        """(incarnation, next number) of this tenant; 16 hex digits and an integer from 0."""
        if tenant_id not in self._next:
            self._next[tenant_id] = (self._tag + secrets.token_hex(8 - len(self._tag) // 2), 0)
        return self._next[tenant_id]

    def advance(self, tenant_id: str, count: int) -> None:
        """Numbers were used and are durable."""
        writer, n = self.peek(tenant_id)
        self._next[tenant_id] = (writer, n + count)

    def tick(self, tenant_id: str, at: int) -> int:
        """The instant of a writer's next entry: never before its last, whatever the clock does."""
        self._last[tenant_id] = at = max(at, self._last.get(tenant_id, at))
        return at

    def drop(self, tenant_id: str | None = None) -> None:
        """Begin new incarnations, in one log or all: the fate of the last commit is unknown."""
        if tenant_id is None:
            self._next.clear()
        else:
            self._next.pop(tenant_id, None)

    def started(self) -> list[str]:
        """Tenants in whose log this thread has written."""
        return [tenant_id for tenant_id, (_, n) in self._next.items() if n]


@dataclass(slots=True)
class Tx:
    """One transaction of one tenant. Changes are collected and sent with the commit.

    Round trips on PostgreSQL: one for the first `ask` (with BEGIN, the tenant setting and the
    epochs), one for each further `ask`, one for `commit` with everything that was `put`.
    """

    connection: Connection
    wire: Wire
    tenant_id: str
    write: bool = True
    writers: Writers | None = None
    appended: dict[str, int] = field(default_factory=dict)
    _changes: dict[Insert | Update, list[Params]] = field(default_factory=dict)
    _amounts: list[tuple[Add, Params]] = field(default_factory=list)
    _epochs: Epochs | None = None
    _asked: bool = False
    _flushes: int = 0
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire.begin(write=self.write)
        self.wire.tenant(self.tenant_id)

    @property
    def exists(self) -> bool:
        """Whether there is such a tenant."""
        self.ask()
        return self._epochs is not None

    @property
    def epochs(self) -> Epochs:
        """This tenant's epochs as this transaction sees them."""
        self.ask()
        if self._epochs is None:
            raise LookupError("no such tenant")
        return self._epochs

    def ask(self, *questions: Question) -> list[list[Row]]:
        """Run hot-path selects in one round trip. `tenant_id` is filled in for each."""
        scoped: list[Question] = [
            (question, {"tenant_id": self.tenant_id, **params}) for question, params in questions
        ]
        if self._asked:
            return self.wire.ask(scoped) if scoped else []
        self._asked = True
        state, *answers = self.wire.ask([(_STATE, {"tenant_id": self.tenant_id}), *scoped])
        self._epochs = Epochs(*state[0]) if state else None
        return answers

    def look(self, *questions: Question) -> list[list[Row]]:
        """`ask`, together with what was `put` so far: the answers know of it. Still one round trip."""
        if self._changes:
            self.send()
        return self.ask(*questions)

    def put(self, change: Insert | Update, *rows: Mapping[str, Any]) -> None:
        """Collect rows for the commit. `tenant_id` is filled in for each."""
        scoped = ({"tenant_id": self.tenant_id, **row} for row in rows)
        self._changes.setdefault(change, []).extend(scoped)

    def add(self, change: Add, row: Mapping[str, Any]) -> None:
        """Collect an amount for the very end of the transaction, whatever is sent before.

        Whoever adds to the same row meanwhile waits for this commit, which waits for nothing more: two of
        them cannot wait for each other.
        """
        self._amounts.append((change, {"tenant_id": self.tenant_id, **row}))

    def append(self, draft: EntryDraft) -> str:
        """Add a ledger entry, and its access list if that is separate; the entry's id is `<writer>-<n>`."""
        if self.writers is None:
            raise LookupError("this transaction has no writer: entries go through a lane")
        writer, first = self.writers.peek(self.tenant_id)
        number = first + self.appended.get(self.tenant_id, 0)
        at = self.writers.tick(self.tenant_id, draft.at)
        body, separate = (draft if at == draft.at else replace(draft, at=at)).written(writer, number)
        if number == 0:
            self.put(_INSERT_WRITER, {"writer": writer, "next": 0})
        # As `put` does it, without a copy of the row: there is one for every access.
        self._changes.setdefault(_INSERT_ENTRY, []).append(
            {
                "tenant_id": self.tenant_id,
                "writer": writer,
                "n": number,
                "kind": draft.kind._value_,
                "at": at,
                "principal_id": draft.principal,
                "decision_id": draft.decision,
                "breakglass_id": draft.data.get("breakglass"),
                "body": body,
            }
        )
        if separate is not None:
            self.put(_INSERT_LIST, {"digest": separate[0], "body": separate[1]})
        self.appended[self.tenant_id] = self.appended.get(self.tenant_id, 0) + 1
        return f"{writer}-{number}"

    def mark(self) -> "Mark":
        """Where the collected changes stand now."""
        lengths = {change: len(rows) for change, rows in self._changes.items()}
        return lengths, dict(self.appended), self._flushes, len(self._afterwards), len(self._amounts)

    def restore(self, mark: "Mark") -> None:
        """Forget what was collected since `mark`. Raises when an entry was already sent since."""
        lengths, appended, flushes, afterwards, amounts = mark
        del self._afterwards[afterwards:]
        del self._amounts[amounts:]
        if flushes != self._flushes:
            if appended != self.appended:
                raise LookupError("an entry was flushed and cannot be taken back")
            lengths = {}
        self.appended = dict(appended)
        for change, rows in self._changes.items():
            del rows[lengths.get(change, 0) :]

    def execute(
        self, statement: Executable, params: Sequence[Params] | Params | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement through SQLAlchemy, for everything that is not the hot path."""
        self.flush()
        return self.connection.execute(statement, params)

    def send(self) -> None:
        """Let what was `put` so far go with the next `ask`, which sees it. No round trip of its own."""
        self.ask()
        self._send()

    def flush(self) -> None:
        """Send what was `put` so far, so that later statements see it."""
        self.ask()
        self._send()
        if isinstance(self.wire, PostgresWire):
            self.wire.flush()

    def as_tenant(self, tenant_id: str) -> None:
        """Go on as another tenant in the same transaction: for the cell's own work only. No round trip."""
        self._settle()
        self._send()
        self.tenant_id = tenant_id
        self._epochs, self._asked = None, False
        self.wire.tenant(tenant_id)

    def commit(self) -> None:
        """Send every change with the commit. After it the writer's numbers are used up."""
        self._send()
        self._settle()
        self._send()
        self.wire.commit()
        if self.writers is not None:
            for tenant_id, count in self.appended.items():
                self.writers.advance(tenant_id, count)
        for act in self._afterwards:
            act()

    def after_commit(self, act: Callable[[], None]) -> None:
        """Have something done once everything is durable: for what caches may believe from then on."""
        self._afterwards.append(act)

    def rollback(self) -> None:
        """Undo everything."""
        self.wire.rollback()

    def _settle(self) -> None:
        """The amounts become changes, to be sent next."""
        for change, row in self._amounts:
            self._changes.setdefault(change, []).append(row)
        self._amounts = []

    def _send(self) -> None:
        changes, self._changes = self._changes, {}
        # Rows are there before they are moved: a batch may create a record and change it again.
        ordered = sorted(changes.items(), key=lambda change: isinstance(change[0], Update))
        pending = [(change, rows) for change, rows in ordered if rows]
        if pending:
            self._flushes += 1
            self.wire.put(pending)
