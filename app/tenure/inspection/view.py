"""What a check sees: one tenant in one transaction, its keys opened for that long, and the anchors outside.

Keys are opened anew for every page and wiped after it: an inspection that takes hours must never be the
process in which an erased person's key lives on.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, NamedTuple

from sqlalchemy import Table

from tenure import ids
from tenure.cold.objects import Objects
from tenure.errors import KeyFailure, TenureError, Unverified
from tenure.governance.ground import Ground
from tenure.ids import CELL
from tenure.inspection.findings import Finding, spelled
from tenure.keyring import TenantKeyring
from tenure.keys.secret import Secret
from tenure.keys.state import TenantKeys
from tenure.ledger.entry import Kind, parse_access_list, parse_entry
from tenure.ledger.note import Signer, Verifier
from tenure.store import inspecting, ledgerkeys, log, shreds, tables
from tenure.store.inspecting import EntryId, Key, Row
from tenure.store.session import Tx
from tenure.store.shreds import Batch

SETTLED = "completed", "awaiting-scan"


class Anchors(NamedTuple):
    """What a cell's rows are compared with: its ground, and the object tier."""

    ground: Ground
    objects: Objects


@dataclass
class Pass:
    """One pass over one tenant: what later sections need of earlier ones. No key, nothing personal."""

    tenant_id: str
    started: int
    asked: dict[str, str] = field(default_factory=dict)
    """Erasure or hold → the entry by which it was asked for or placed, as far as entries were looked at."""
    erased: Counter[str] = field(default_factory=Counter)
    """Erasure → how many versions say that they were purged by it."""
    complete: set[str] = field(default_factory=set)
    """Sections that saw every row."""
    plans: list[Batch] | None = None
    taken_back: list[tuple[int, int, int]] | None = None
    """Generation and places (from, to) that a restored database took back from its published log."""


class View:
    """A tenant as of one transaction."""

    def __init__(self, tx: Tx, anchors: Anchors, over: Pass) -> None:
        self.tx = tx
        self.anchors = anchors
        self.over = over
        self.tenant_id = tx.tenant_id
        self._keys: TenantKeyring | bool | None = False
        self._entries: dict[EntryId, dict[str, Any] | None] = {}
        self._leaves: dict[int, Secret] = {}
        self._verifiers: dict[str, Verifier] = {}
        self._before: dict[str, list[Verifier]] = {}
        self.purged: Counter[str] = Counter()
        """Erasure → versions on this page that say they were purged by it."""
        self._unfinished: bool | None = None
        self._reread = False

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────
    @property
    def keys(self) -> TenantKeyring | None:
        """The tenant's opened keys; None when they do not open, which the section on keys reports."""
        if self._keys is False:
            try:
                self._keys = self.anchors.ground.keyring.tenant(self.tx)
            except TenureError:
                self._keys = None
        return self._keys  # type: ignore[return-value]  # False was replaced above

    @property
    def lives(self) -> bool:
        """Whether the tenant has keys: one that left has none, and its ledger may be all that is kept."""
        return self._living is None or self.tenant_id in self._living

    @property
    def restored(self) -> bool:
        """Whether this database was ever put back: then it may lack what others remember."""
        return self.anchors.ground.mirror.leaf_epoch() > 0

    def taken_back(self, wanted: Collection[EntryId]) -> set[EntryId]:
        """Of entries, those that a restored database took back from its published log (ADR 15).

        What they made went with the database that was; it may be missing, or have been made again since.
        """
        if not wanted or not self.restored:
            return set()
        if self.over.taken_back is None:
            self.over.taken_back = inspecting.taken_back(self.tx)
        if not self.over.taken_back:
            return set()
        numbers: dict[str, list[int]] = {}
        for writer, n in wanted:
            numbers.setdefault(writer, []).append(n)
        runs = inspecting.runs(self.tx, {one: (min(have), max(have)) for one, have in numbers.items()})
        return {
            (run["writer"], n)
            for run in runs
            for n in numbers[run["writer"]]
            if run["n"] <= n < run["n"] + run["count"]
            for generation, first, end in self.over.taken_back
            if generation == run["generation"] and first <= run["idx"] + n - run["n"] < end
        }

    @property
    def handed_over(self) -> bool:
        """Whether the tenant left with its ledger: then nothing of it is here."""
        table = tables.shreds
        mine = (table.c.kind == "tenant", table.c.target_id == self.tenant_id)
        found = self.anchors.ground.database.read(CELL, lambda tx: inspecting.where(tx, table, *mine))
        return any(json.loads(row["findings"]).get("ledger") == "hand-over" for row in found)

    def leaf_key(self, leaf: int) -> Secret:
        """A leaf's key, those of holds too. Shredded when it was punctured, KeyFailure without keys."""
        if self.keys is None:
            raise KeyFailure("The keys of this tenant do not open.")
        if leaf not in self._leaves:
            self._leaves[leaf] = self.keys.state.derive(leaf)
        return self._leaves[leaf]

    def is_punctured(self, leaf: int) -> bool:
        """Whether nobody derives a leaf's key any more."""
        return self.keys is not None and self.keys.state.is_punctured(leaf)

    def wipe(self) -> None:
        """Give up the opened keys."""
        if isinstance(self._keys, TenantKeyring):
            self._keys.wipe()
        self._leaves.clear()

    def verifier(self, origin: str) -> Verifier | None:
        """The key of one of the tenant's logs, from the key state; None when it is not at hand."""
        keys = None if self._living is None else self._living.get(self.tenant_id)
        if keys is None:
            return None
        if origin not in self._verifiers:
            self._verifiers[origin] = Verifier.parse(Signer(origin, keys.ledger_seed).vkey)
        return self._verifiers[origin]

    def verifiers(self, origin: str) -> tuple[Verifier, ...]:
        """The same, and the keys before it that are on record: what they signed stays signed. None: empty."""
        present = self.verifier(origin)
        if present is None:
            return ()
        if origin not in self._before:
            generations = [generation for generation, name in log.origins(self.tx) if name == origin]
            self._before[origin] = [
                Verifier.parse(vkey) for one in generations for vkey in ledgerkeys.vkeys(self.tx, one)
            ]
        return tuple(dict.fromkeys((present, *self._before[origin])))

    @cached_property
    def _living(self) -> Mapping[str, TenantKeys] | None:
        """Whoever has keys; None when that cannot be told, which the section on keys reports."""
        try:
            return self.anchors.ground.keyring.manifest().tenants
        except TenureError:
            return None

    # ── the ledger ───────────────────────────────────────────────────────────────────────────────
    def want(self, names: Iterable[str | None]) -> None:
        """Fetch entries by their ids, one statement for all of them."""
        wanted = {parts for name in names if (parts := entry_id(name)) is not None} - self._entries.keys()
        found = inspecting.entries(self.tx, wanted)
        self._entries.update({one: _parsed(found.get(one)) for one in wanted})

    def entry(self, name: str | None) -> dict[str, Any] | None:
        """An entry by its id; None when it is not there, or is none."""
        parts = entry_id(name)
        if parts is None:
            return None
        if parts not in self._entries:
            self.want([name])
        return self._entries[parts]

    def accesses(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        """The accesses of an entry, from its separate list where it has one. Unverified without that."""
        if "accesses_sha256" not in entry:
            return list(entry.get("accesses", ()))
        return parse_access_list(log.access_list(self.tx, entry["accesses_sha256"]) or b"", entry)

    def asked(self, kind: Kind, row_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Erasures (`shred`) or holds (`hold.place`) → the entry by which each was asked for.

        From what this pass has seen of the entries; whoever is not in that is looked for in all of them.
        """
        known = {row_id: self.over.asked[row_id] for row_id in row_ids if row_id in self.over.asked}
        self.want(known.values())
        found = {row_id: entry for row_id, name in known.items() if (entry := self.entry(name)) is not None}
        if len(found) < len(row_ids):
            for body in inspecting.acts(self.tx, kind):
                with suppress(Unverified):  # the section on entries says so
                    entry = parse_entry(body)
                    if (row_id := asked_for(entry)) in row_ids:
                        found[str(row_id)] = entry
        return found

    def happened(self, entry: dict[str, Any], at: int) -> bool:
        """Whether a row's instant is that of the entry which made it.

        A writer's entries are never before its last, whatever its clock does: where that made an entry
        later, the row may be earlier.
        """
        entered = ids.parse_rfc3339(entry["at"])
        if at >= entered or entry["n"] == 0:
            return at == entered
        before = self.entry(f"{entry['writer']}-{entry['n'] - 1}")
        return before is not None and bool(before["at"] == entry["at"])

    # ── erasures ─────────────────────────────────────────────────────────────────────────────────
    @property
    def erasing(self) -> bool:
        """Whether an erasure of this tenant is under way: then rows may be in between."""
        if self._unfinished is None:
            table = tables.shreds
            self._unfinished = bool(
                inspecting.where(self.tx, table, table.c.state.not_in(SETTLED), limit=1)
            ) or any(one.state != shreds.DONE and self.tenant_id in one.plan for one in self.plans())
        return self._unfinished

    def plans(self, *, fresh: bool = False) -> list[Batch]:
        """Every batch of erasures of the cell, oldest first; kept for the pass unless it must be `fresh`."""
        if self.over.plans is None or (fresh and not self._reread):
            self._reread = True
            read = self.anchors.ground.database.read
            found = [
                one
                for finished in (False, True)
                for one in read(CELL, lambda tx, done=finished: shreds.batches(tx, finished=done))  # type: ignore[misc]
            ]
            self.over.plans = sorted(found, key=lambda one: one.op_id)
        return self.over.plans

    # ── saying what is wrong ─────────────────────────────────────────────────────────────────────
    def finding(self, check: str, table: Table | str, key: Key, column: str, detail: str) -> Finding:
        """A finding about a row of this tenant."""
        name = table if isinstance(table, str) else table.name
        return Finding(check, self.tenant_id, name, spelled(key), column, detail)


Check = Callable[[View, Sequence[Row]], Iterator[Finding]]
Look = Callable[[View, Row], Iterator[Finding]]


def each(check: str, table: Table) -> Callable[[Look], Check]:
    """A section's check out of a look at one row. A row that cannot even be read is a finding by itself."""

    def make(look: Look) -> Check:
        @wraps(look)
        def over(view: View, page: Sequence[Row]) -> Iterator[Finding]:
            for row in page:
                yield from guarded(view, check, table, inspecting.key_of(table, row), look(view, row))

        return over

    return make


def guarded(view: View, check: str, table: Table, key: Key, found: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings; whatever breaks on the way is one more."""
    try:
        yield from found
    except (TenureError, Unverified) as failure:
        why = failure.detail
        yield view.finding(check, table, key, "", f"it cannot be checked: {why}")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as failure:
        yield view.finding(check, table, key, "", f"it cannot be read ({type(failure).__name__})")


def differing(view: View, check: str, table: Table, row: Row, **expected: Any) -> Iterator[Finding]:  # noqa: ANN401
    """A finding for each column that has not the value it must have."""
    for column, value in expected.items():
        found = row[column]
        if isinstance(found, memoryview):
            found = bytes(found)
        if found != value or type(found) is not type(value):
            key = inspecting.key_of(table, row)
            yield view.finding(check, table, key, column, "is not what it must be by all that refers to it")


def asked_for(entry: dict[str, Any]) -> str | None:
    """The hold or erasure that an entry places or asks for."""
    data = entry.get("data", {})
    if entry["kind"] == Kind.HOLD_PLACE:
        return data.get("hold")  # type: ignore[no-any-return]
    if entry["kind"] == Kind.SHRED and entry["outcome"] == "requested":
        return data.get("shred")  # type: ignore[no-any-return]
    return None


def entry_id(name: str | None) -> EntryId | None:
    """(writer, n) of an entry's id; None for anything else."""
    writer, _, n = (name or "").rpartition("-")
    return (writer, int(n)) if writer and n.isascii() and n.isdecimal() and len(n) < 19 else None  # noqa: PLR2004 - BIGINT


@contextmanager
def viewed(anchors: Anchors, over: Pass) -> Iterator[View]:
    """A tenant in one read-only transaction; the keys that it opened are wiped at the end."""
    database = anchors.ground.database
    with database.reading(over.tenant_id) as tx:
        view = View(tx, anchors, over)
        try:
            yield view
        finally:
            view.wipe()


def _parsed(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    try:
        return parse_entry(bytes(row["body"]))
    except Unverified:
        return None
