"""What a check sees: one tenant in one transaction, its keys opened for that long, and the anchors outside.

Keys are opened anew for every page and wiped after it: an inspection that takes hours must never be the
process in which an erased person's key lives on.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial, wraps
from typing import Any, NamedTuple

from cryptography.x509 import Certificate
from sqlalchemy import Table

from tenure import ids
from tenure.errors import KeyFailure, Malformed, TenureError, Unverified
from tenure.governance.ground import Ground
from tenure.ids import CELL
from tenure.inspection.findings import Finding, spelled
from tenure.inspection.logkeys import Chain, Trust, chain
from tenure.keyring import TenantKeyring
from tenure.keys.secret import Secret
from tenure.keys.state import TenantKeys
from tenure.ledger.entry import Kind, parse_access_list, parse_entry
from tenure.ledger.keychain import FILE
from tenure.ledger.note import Signer, Verifier
from tenure.publication import published_name
from tenure.store import inspecting, log, shreds, tables
from tenure.store.inspecting import EntryId, Key, Row
from tenure.store.session import Tx
from tenure.store.shreds import Batch

SETTLED = "completed", "awaiting-scan"
SKEW_US = 3_600_000_000
"""How far the clocks of two machines of a cell may be apart, at the very most."""


class Anchors(NamedTuple):
    """What a cell's rows are compared with."""

    ground: Ground
    authorities: tuple[Certificate, ...] = ()
    """Under which time stamps are believed; without any they are only checked in themselves."""


@dataclass
class Pass:
    """One pass over one tenant: what later sections need of earlier ones. No key, nothing personal."""

    tenant_id: str
    started: int
    asked: dict[str, str] = field(default_factory=dict)
    """Erasure or hold → the entry by which it was asked for or placed, as far as entries were looked at."""
    steps: dict[str, int] = field(default_factory=dict)
    """Rights request → its newest step that an entry knows of, as far as entries were looked at."""
    erased: Counter[str] = field(default_factory=Counter)
    """Erasure → how many versions say that they were purged by it."""
    complete: set[str] = field(default_factory=set)
    """Sections that saw every row."""
    published: dict[int, bytes | None] = field(default_factory=dict)
    """Generation → the public key that was published beside it, where that was asked."""
    marks: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    """(record, version, action) → entries of rectifications that mark it so."""
    plans: list[Batch] | None = None
    put_back: dict[str, list[tuple[int, int]]] | None = None
    """Writer → numbers (first, end) of entries that came back without the rows that they made."""


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

    @cached_property
    def restored(self) -> bool:
        """Whether this database was ever put back: then it may lack what others remember. Asks the mirror."""
        return self.anchors.ground.mirror.leaf_epoch() > 0

    @property
    def handed_over(self) -> bool:
        """Whether the tenant left with its ledger: then nothing of it is here."""
        table = tables.shreds
        found = self.anchors.ground.database.read(
            CELL, lambda tx: inspecting.where(tx, table, kind="tenant", target_id=self.tenant_id)
        )
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

    @property
    def live_key(self) -> bytes | None:
        """The public key of the tenant's logs, of the key state; None when that is not at hand."""
        keys = None if self._living is None else self._living.get(self.tenant_id)
        return None if keys is None else Signer("log", keys.ledger_seed).verifier.public

    @cached_property
    def chains(self) -> dict[int, Chain]:
        """Generation → its proven keys, newest generation first (`inspection.logkeys`).

        The newest one's last key is the live one. One that ended, ended with that, or with one that a later
        generation proves, or with the one that was published beside it: a database that was put back ended
        logs whose key was changed after the copy.
        """
        found: dict[int, Chain] = {}
        known = [] if self.live_key is None else [self.live_key]
        for row in reversed(inspecting.where(self.tx, tables.logs)):
            generation, origin, ended = row["generation"], row["origin"], bool(found)
            beside = self._published_key(generation) if ended or not known else None
            publics = dict.fromkeys([*known, *([] if beside is None else [beside])])
            keys = [Verifier(origin, public) for public in publics]
            trust = Trust(keys, partial(self.rotations, generation)) if ended else Trust(keys)
            found[generation] = chain(self.tx, generation, origin, trust)
            known += [one.key.public for one in found[generation].keys]
        return found

    def log_keys(self, generation: int, origin: str) -> tuple[Verifier, ...]:
        """Every key that may have signed a head of this log, newest first: proven ones, and the live one."""
        proven = self.chains[generation].keys if generation in self.chains else ()
        live = [] if self.live_key is None or proven else [Verifier(origin, self.live_key)]
        return (*(one.key for one in proven), *live)

    def signers(self, origin: str) -> dict[Verifier, int | None]:
        """Every proven key of the tenant under an origin, newest first, and when it was replaced, if it was.

        For what no size says when it was signed. Empty when the key state is not at hand.
        """
        if self.live_key is None:
            return {}
        found: dict[Verifier, int | None] = {Verifier(origin, self.live_key): None}
        for one in (one for proven in self.chains.values() for one in proven.keys):
            found.setdefault(Verifier(origin, one.key.public), one.until)
        return found

    def rotations(self, generation: int) -> str:
        """The published proofs of a log's changes of key; empty without any."""
        name = f"{published_name(self.tenant_id, generation)}/{FILE}"
        return (self.anchors.ground.objects.get(name) or b"").decode("utf-8", "replace")

    def _published_key(self, generation: int) -> bytes | None:
        """What was published beside a log as its key; asked once in a pass."""
        if generation not in self.over.published:
            raw = self.anchors.ground.objects.get(f"{published_name(self.tenant_id, generation)}/vkey")
            with suppress(Malformed):
                self.over.published[generation] = None
                text = (raw or b"").decode("utf-8", "replace")
                self.over.published[generation] = Verifier.parse(text).public
        return self.over.published[generation]

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
            for body in inspecting.acts(self.tx, *(_ASKING if kind == Kind.SHRED else (kind,))):
                with suppress(Unverified):  # the section on entries says so
                    entry = parse_entry(body)
                    if (row_id := asked_for(entry)) in row_ids:
                        found[str(row_id)] = entry
        return found

    def is_put_back(self, writer: str, n: int) -> bool:
        """Whether an entry came back from the published log into a database that had been put back.

        What it says was made then is gone with the lost database, unless an erasure or a hold was done again.
        """
        if not self.restored:
            return False
        if self.over.put_back is None:
            self.over.put_back = self._put_back()
        return any(first <= n < end for first, end in self.over.put_back.get(writer, ()))

    def _put_back(self) -> dict[str, list[tuple[int, int]]]:
        """By the entries that say so (`governance.catchup`), which stand in the log themselves."""
        found: dict[str, list[tuple[int, int]]] = {}
        newest = log.newest(self.tx)
        for body in inspecting.acts(self.tx, Kind.RESTORE):
            with suppress(Unverified):  # the section on entries says so
                entry = parse_entry(body)
                placed = log.entry(self.tx, entry["writer"], entry["n"])
                if entry["outcome"] != "brought-up" or placed is None or newest is None:
                    continue
                generation = placed.generation or newest.generation  # it gets its place in a moment
                first, end = entry["data"]["from_size"], entry["data"]["to_size"]
                for run in inspecting.runs_between(self.tx, generation, first, end):
                    skipped, left = max(0, first - run["idx"]), max(0, run["idx"] + run["count"] - end)
                    numbers = (run["n"] + skipped, run["n"] + run["count"] - left)
                    found.setdefault(run["writer"], []).append(numbers)
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
            self._unfinished = bool(inspecting.where(self.tx, table, limit=1, but={"state": SETTLED})) or any(
                one.state != shreds.DONE and self.tenant_id in one.plan for one in self.plans()
            )
        return self._unfinished

    def plans(self, *, fresh: bool = False) -> list[Batch]:
        """Every batch of erasures of the cell, oldest first; kept for the pass unless it must be `fresh`."""
        if self.over.plans is None or (fresh and not self._reread):
            self._reread = True
            read = self.anchors.ground.database.read
            found = [
                one
                for finished in (False, True)
                for one in read(CELL, partial(shreds.batches, finished=finished))
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


def differing(view: View, check: str, table: Table, row: Row, **expected: Any) -> Iterator[Finding]:  # noqa: ANN401 - any value
    """A finding for each column that has not the value it must have."""
    for column, value in expected.items():
        found = row[column]
        if isinstance(found, memoryview):
            found = bytes(found)
        if found != value or type(found) is not type(value):
            key = inspecting.key_of(table, row)
            yield view.finding(check, table, key, column, "is not what it must be by all that refers to it")


_ASKING = (Kind.SHRED, Kind.RETENTION_EVICT)


def asked_for(entry: dict[str, Any]) -> str | None:
    """The hold or erasure that an entry places or asks for."""
    data = entry.get("data", {})
    if entry["kind"] == Kind.HOLD_PLACE:
        return data.get("hold")  # type: ignore[no-any-return]
    if entry["kind"] in _ASKING and entry["outcome"] == "requested":
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
