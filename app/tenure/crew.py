"""The gateway's side of a batch: gather what operations need, ask once, perform each in turn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, TypeVar

from tenure import ids
from tenure.elevation import elevated
from tenure.errors import KeyFailure, TenureError
from tenure.model.limits import Usage
from tenure.model.principal import Credential, Principal
from tenure.store import cohorts, decisions, idempotency, limits, records, subjects, threads
from tenure.store.database import Clash
from tenure.store.records import Source, StoredVersion
from tenure.store.session import Tx
from tenure.store.statements import Params, Select
from tenure.store.subjects import StoredSubject
from tenure.tenancy import Tenancies, Tenancy, authenticate, keep_policy
from tenure.thawing import Thawed

_ATTEMPTS = 3
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Needs:
    """What operations must look up before they can be performed; merged over a batch."""

    records: list[str] = field(default_factory=list)
    """Key indexes: each record with its current version."""
    subjects: list[str] = field(default_factory=list)
    """Reference indexes."""
    scopes: list[str] = field(default_factory=list)
    """Scopes whose own leaf is needed, for data about nobody."""
    decisions: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    """Version ids named as sources of derived data."""
    first_uses: list[tuple[str, str]] = field(default_factory=list)
    """(principal id, key hash) of idempotency keys."""
    cohorts: list[str] = field(default_factory=list)
    """Names of anchors of cohorts."""
    usage: bool = False
    """How much the tenant stores."""
    threads: list[str] = field(default_factory=list)
    """Key indexes of roots of threads in which something is stored."""


@dataclass(slots=True)
class Found:
    """The answers, kept up to date as the batch's operations add to them."""

    records: dict[str, StoredVersion] = field(default_factory=dict)
    subjects: dict[str, StoredSubject] = field(default_factory=dict)
    scopes: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, tuple[str, str, int | None]] = field(default_factory=dict)
    """id → (principal id, purpose, sealed at)."""
    versions: dict[str, Source] = field(default_factory=dict)
    first_uses: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(principal id, key hash) → (payload hash, result)."""
    cohorts: dict[str, int | None] = field(default_factory=dict)
    """Name of an anchor → the leaf of its cohort; None: there is none yet."""
    asked: set[str] = field(default_factory=set)
    """Key indexes that were asked for: a record that is not among `records` is not there."""
    strangers: int = 0
    """How many of the people that were asked for are not known."""
    usage: Usage | None = None
    """What is stored, with what the batch's operations have added so far."""
    _added: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)

    def add(self, answers: dict[K, V], name: K, value: V) -> None:
        """Let the rest of the batch see what an operation adds; undone if that operation fails."""
        self._added.append((answers, name, answers.get(name)))
        answers[name] = value

    def stored(self, usage: Usage) -> None:
        """So much was stored when the batch asked."""
        self.usage = usage

    def keep(self) -> None:
        """What was added so far belongs to operations that succeeded."""
        self._added.clear()

    def undo(self) -> None:
        """Take back what was added since `keep`."""
        while self._added:
            answers, name, before = self._added.pop()
            if before is None:
                del answers[name]
            else:
                answers[name] = before


@dataclass(slots=True)
class Desk:
    """Where one operation is performed: its transaction, its tenant, what was found, the instant."""

    tx: Tx
    tenancy: Tenancy
    found: Found
    now: int
    thawed: Thawed | None = None
    """Contents out of packs that were fetched for the operation that is performed."""
    taken: list[int] = field(default_factory=list)
    """Leaves that this transaction has taken and not used yet (`leaves`)."""
    keys_now: int | None = None
    """The key epoch as of then; None when it has taken none."""

    @classmethod
    def reading(cls, tx: Tx, tenancies: Tenancies) -> "Desk":
        """A desk in a read-only transaction, for what is neither content nor change."""
        return cls(tx, tenancies.current(tx), Found(), ids.now())

    def principal(self, credential: Credential) -> Principal:
        """Step 1 of every flow: who is calling, with the roles that count at this desk's instant."""
        principal = authenticate(self.tx, self.tenancy, credential, self.now)
        emergencies = self.tenancy.policy.configuration.emergency_roles
        return elevated(self.tx, self.tenancy.running, emergencies, principal, self.now)


class BatchOperation(Protocol):
    """An operation that shares a batch: says what it needs, then works on what was found."""

    solo: bool
    thawed: Thawed | None

    def needs(self, tenancy: Tenancy, needs: Needs, /) -> None:
        """Add to the batch's needs. Called again when the tenancy turned out to be stale."""

    def perform(self, desk: Desk) -> Any:  # noqa: ANN401
        """Do it.

        Return the outcome, or raise to leave nothing behind. A returned exception is raised to the caller
        after the commit: its evidence is kept.
        """


@dataclass(slots=True)
class Solo:
    """An operation in a transaction of its own, free to run statements of its own."""

    work: Callable[[Desk], Any]
    wants: Callable[[Needs], None] | None = None
    solo: bool = True
    thawed: Thawed | None = None

    def needs(self, _tenancy: Tenancy, needs: Needs) -> None:
        """Nothing in advance, unless told."""
        if self.wants is not None:
            self.wants(needs)

    def perform(self, desk: Desk) -> Any:  # noqa: ANN401
        """Run the work."""
        return self.work(desk)


class GatewayCrew:
    """Performs batches for the gateway and for governance."""

    def __init__(self, tenancies: Tenancies) -> None:
        self._tenancies = tenancies

    def perform(self, tx: Tx, operations: Sequence[BatchOperation]) -> list[Any]:
        """Outcomes in order. One round trip with warm caches, before the caller's commit.

        Clash when the keys were given up under way: everything again, with today's.
        """
        tenancy = self._tenancies.cached(tx.tenant_id)
        if tenancy is None or tenancy.keys.wiped:
            tenancy = self._tenancies.current(tx)
        carriers = _carriers(operations)
        asking = [one for place, one in enumerate(operations) if place not in carriers]
        try:
            tenancy, found = self._gather(tx, tenancy, asking)
            keep_policy(tx, tenancy)
            desk = Desk(tx, tenancy, found, ids.now())
            if operations[0].solo:
                desk.thawed = operations[0].thawed
                return [operations[0].perform(desk)]
            return self._all(desk, operations, carriers)
        except KeyFailure:
            if tenancy.keys.wiped:
                raise Clash from None
            raise

    def _gather(
        self, tx: Tx, tenancy: Tenancy, operations: Sequence[BatchOperation]
    ) -> tuple[Tenancy, Found]:
        for _ in range(_ATTEMPTS):
            needs = Needs()
            for operation in operations:
                operation.needs(tenancy, needs)
            found = _ask(tx, needs)
            current = self._tenancies.current(tx)
            if current is tenancy:
                break
            tenancy = current  # keys or rules moved since: ask again with today's indexes
        return tenancy, found

    def _all(self, desk: Desk, operations: Sequence[Any], carriers: Mapping[int, int]) -> list[Any]:
        """Each in turn; what another one may carry along waits for it, and is done alone if it did not."""
        outcomes: list[Any] = [None] * len(operations)
        for place, carrier in carriers.items():
            operations[carrier].take_along(operations[place])
        for place, operation in enumerate(operations):
            if place not in carriers:
                outcomes[place] = self._one(desk, operation)
        for place, carrier in carriers.items():
            operation = operations[place]
            carried = operation.carried(operations[carrier], outcomes[carrier])
            outcomes[place] = self._one(desk, operation) if carried is None else carried
        return outcomes

    def _one(self, desk: Desk, operation: BatchOperation) -> Any:  # noqa: ANN401
        mark = desk.tx.mark()
        desk.found.keep()
        desk.thawed = operation.thawed
        try:
            return operation.perform(desk)
        except TenureError as refusal:
            if desk.tenancy.keys.wiped:
                raise Clash from refusal
            desk.tx.restore(mark)
            desk.found.undo()
            return refusal


def _carriers(operations: Sequence[Any]) -> dict[int, int]:
    """Place of an operation → that of the one which may carry it along, and asks for all it needs."""
    found: dict[int, int] = {}
    for place, operation in enumerate(operations):
        may = getattr(operation, "carried_by", None)
        if may is not None:
            # The nearest first: what goes together was mostly asked for together.
            others = chain(range(place + 1, len(operations)), range(place - 1, -1, -1))
            carrier = next((one for one in others if may(operations[one], later=one > place)), None)
            if carrier is not None:
                found[place] = carrier
    return found


Reader = Callable[[Sequence[tuple[Any, ...]]], None]


def _ask(tx: Tx, needs: Needs) -> Found:
    found = Found()
    asked = list(_questions(needs, found))
    for (_, _, read), rows in zip(asked, tx.ask(*((one, params) for one, params, _ in asked)), strict=True):
        read(rows)
    found.strangers = len(set(needs.subjects).difference(found.subjects))
    return found


def _questions(needs: Needs, found: Found) -> Iterator[tuple[Select, Params, Reader]]:
    """What is asked, and who takes the answer."""
    if needs.threads:
        yield threads.TOGETHER, {"roots": needs.threads}, lambda _rows: None
    if needs.records:
        found.asked.update(needs.records)
        yield (
            records.CURRENT,
            {"keys": needs.records},
            lambda rows: found.records.update((row[0], StoredVersion(*row)) for row in rows),
        )
    if needs.subjects:
        yield (
            subjects.BY_REF,
            {"refs": needs.subjects},
            lambda rows: found.subjects.update((row[0], StoredSubject(*row)) for row in rows),
        )
    if needs.scopes:
        yield subjects.SCOPE_LEAVES, {"scopes": needs.scopes}, found.scopes.update
    if needs.decisions:
        yield (
            decisions.STATE,
            {"ids": needs.decisions},
            lambda rows: found.decisions.update((row[0], (row[1], row[2], row[3])) for row in rows),
        )
    if needs.versions:
        yield (
            records.KNOWN_VERSIONS,
            {"ids": needs.versions},
            lambda rows: found.versions.update((row[0], Source(*row)) for row in rows),
        )
    if needs.first_uses:
        params = {"principals": [p for p, _ in needs.first_uses], "keys": [k for _, k in needs.first_uses]}
        yield (
            idempotency.FIRST_USES,
            params,
            lambda rows: found.first_uses.update(((row[0], row[1]), (row[2], row[3])) for row in rows),
        )
    if needs.cohorts:
        found.cohorts.update(dict.fromkeys(needs.cohorts))
        yield (
            cohorts.BY_ANCHOR,
            {"anchors": needs.cohorts},
            lambda rows: found.cohorts.update((row[1], int(row[2])) for row in rows),
        )
    if needs.usage:
        yield limits.USAGE, {}, lambda rows: found.stored(limits.used(rows))
