"""One selftest: copy, look whether the copy is clean, corrupt it thing by thing, look again each time.

1 copy      the database of one instant into a scratch place
2 control   everything is checked on the untouched copy, and must hold: else a failure means nothing
3 fields    each column of sampled rows, each in every way (`fields`)
4 scenes    what an attacker does who knows how it is built (`scenes`)
5 control   once more: every corruption was taken back
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Table

from tenure import ids
from tenure.errors import TenureError
from tenure.ids import CELL
from tenure.inspection.celllog import is_whole
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import NOT_CHECKED, Inspector
from tenure.inspection.sections import SECTIONS, Section
from tenure.inspection.view import Pass, viewed
from tenure.ledger.audit import audit
from tenure.ledger.certificate import verify_certificate
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.receipt import build_receipt, verify_receipt
from tenure.ledger.tree import inclusion
from tenure.model.access_package import State
from tenure.publication import published_name
from tenure.selftest.bench import Bench, Refused
from tenure.selftest.fields import LEFT_OUT, TABLES, Row, changes, exemption
from tenure.selftest.key_scenes import KEY_SCENES
from tenure.selftest.scenes import SCENES, NotHere, Scene, Stage
from tenure.store import inspecting, log, tables
from tenure.store.session import Tx

FORMAT = "tenure/selftest-report/v1"
MOST_ENTRIES = 20_000
"""Tenants with longer ledgers are copied and checked, not corrupted, unless all are asked for."""
SAMPLED_TENANTS = 2
DATABASE = "the database itself"
Progress = Callable[[str, int, int], None]
"""Called with (what is done, how far, of how much)."""


class Tried(NamedTuple):
    """One corruption: of which table and column (or the scene), and who noticed it."""

    table: str
    column: str
    where: str
    how: str
    noticed: tuple[str, ...]
    exempt: str = ""
    """Why nobody has to notice it; empty when somebody must."""

    @property
    def missed(self) -> bool:
        """Nobody noticed it, and somebody must."""
        return not self.noticed and not self.exempt


@dataclass
class Outcome:
    """What a selftest found. `dirty`: findings on the untouched copy, or on it after all was taken back."""

    seed: int
    tenants: tuple[str, ...] = ()
    rows: int | None = None
    dirty: list[Finding] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[Tried]:
        """Corruptions that nobody noticed."""
        return [one for one in self.tried if one.missed]

    @property
    def ok(self) -> bool:
        """The copy was clean, something was tried, and all of it was noticed."""
        return not self.dirty and bool(self.tried) and not self.missed

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "format": FORMAT,
            "ok": self.ok,
            "seed": self.seed,
            "tenants": list(self.tenants),
            "rows_per_table": self.rows,
            "control": [one._asdict() for one in self.dirty],
            "tried": len(self.tried),
            "noticed": sum(bool(one.noticed) for one in self.tried),
            "not_covered": sum(not one.noticed and bool(one.exempt) for one in self.tried),
            "unnoticed": [one._asdict() for one in self.missed],
            "corruptions": [one._asdict() for one in self.tried],
            "not_tried": self.not_tried,
            "not_checked": list(NOT_CHECKED),
        }


class Selftest:
    """Runs on a bench. `rows` sampled per table and tenant, None for all; `seed` makes it repeatable.

    `names` are the tables to corrupt, `sections` the checks that look, `scenes` what is played besides.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        rows: int | None,
        seed: int,
        progress: Progress = lambda *_: None,
        names: Sequence[str] = TABLES,
        sections: Sequence[Section] = SECTIONS,
        scenes: Sequence[Scene] = (*SCENES, *KEY_SCENES),
    ) -> None:
        self._bench = bench
        self._names = names
        self._sections = sections
        self._played = scenes
        self._rows = rows
        self._random = random.Random(seed)  # noqa: S311 - a sample
        self._progress = progress
        self.outcome = Outcome(seed, rows=rows)

    def run(self) -> Outcome:
        """Steps 2 to 5."""
        out = self.outcome
        out.dirty = self.control()
        if out.dirty:
            return out
        chosen = self._choose()
        out.tenants = tuple(chosen)
        self._fields(chosen)
        self._scenes(chosen)
        out.dirty = self.control()
        return out

    # ── the checks ───────────────────────────────────────────────────────────────────────────────
    def control(self) -> list[Finding]:
        """Everything that is checked at all, on the copy as it is."""
        inspector = self._inspector()
        tenant_ids = inspector.tenant_ids()
        found: list[Finding] = []
        for at, tenant_id in enumerate(tenant_ids):
            self._progress("looking at the copy", at, len(tenant_ids))
            found += [one for step in inspector.tenant(tenant_id) for one in step.findings]
            found += self._offline(tenant_id)
        if not inspector.tenant_ids()[1:] and not found:
            self.outcome.not_tried.append("there is no tenant in this cell: only its own log was looked at")
        return found

    def _inspector(self) -> Inspector:
        return Inspector(self._bench.anchors, again_s=(), sections=self._sections)

    def _noticed(self, tenant_id: str, table: str | None) -> tuple[str, ...]:
        """Which checks find something: those over the table first, everything else if they do not."""
        if table is not None and (found := _first(self._inspector().table(tenant_id, table))):
            return found
        for one in dict.fromkeys((tenant_id, CELL)):
            if found := _first(self._inspector().tenant(one)):
                return found
        found = tuple(dict.fromkeys(one.check for one in self._offline(tenant_id)))
        return found or _first(self._everybody(tenant_id))

    def _all_who_notice(self, tenant_id: str) -> tuple[str, ...]:
        steps = [step for one in dict.fromkeys((tenant_id, CELL)) for step in self._inspector().tenant(one)]
        found = [one for step in steps for one in step.findings] + self._offline(tenant_id)
        return tuple(dict.fromkeys(one.check for one in found))

    def _everybody(self, but: str) -> Iterator[Any]:
        """The other tenants: a row may have been moved to one."""
        for one in self.outcome.tenants:
            if one not in (but, CELL):
                yield from self._inspector().tenant(one)

    def _offline(self, tenant_id: str) -> list[Finding]:
        """What somebody with the published folder, a receipt and a certificate finds out."""
        try:
            return list(self._by_strangers(tenant_id))
        except (TenureError, ValueError, KeyError, TypeError, IndexError) as failure:
            return [Finding("offline", tenant_id, "logs", "", "", type(failure).__name__)]

    def _by_strangers(self, tenant_id: str) -> Iterator[Finding]:
        bench = self._bench
        current = bench.database.read(tenant_id, log.newest)
        if current is None:
            return
        with viewed(bench.anchors, Pass(tenant_id, ids.now())) as view:
            if view.live_key is None:
                return
            keys = view.log_keys(current.generation, current.origin)
        if current.published:
            base = published_name(tenant_id, current.generation)
            report = audit(lambda path: bench.objects.get(f"{base}/{path}"), keys)
            for failure in report.failures:
                yield Finding(
                    f"audit of what is published:{failure.check}", tenant_id, "objects", base, "", ""
                )
        for name, text in bench.database.read(tenant_id, partial(_receipts, current=current)):
            for failure in verify_receipt(text, keys).failures:
                yield Finding(f"receipt:{failure.check}", tenant_id, "entries", name, "", failure.detail)
        for row in bench.database.read(
            tenant_id, lambda tx: inspecting.where(tx, tables.certificates, limit=3)
        ):
            for failure in verify_certificate(row["envelope"], keys).failures:
                if failure.check != "unknown-key":  # of an earlier generation of the log
                    yield Finding(
                        f"certificate:{failure.check}", tenant_id, "certificates", row["id"], "", ""
                    )

    # ── what is corrupted ────────────────────────────────────────────────────────────────────────
    def _choose(self) -> list[str]:
        """The cell, and the tenants with the most different things to corrupt."""
        listed = self._inspector().tenant_ids()[1:]
        if self._rows is None:
            return [CELL, *listed]
        ranked: list[tuple[int, str]] = []
        for tenant_id in listed:
            counts = self._bench.database.read(tenant_id, _counts)
            if 0 < counts["entries"] <= MOST_ENTRIES:
                ranked.append((sum(bool(count) for count in counts.values()), tenant_id))
        chosen = [tenant_id for _, tenant_id in sorted(ranked, reverse=True)[:SAMPLED_TENANTS]]
        if left := len(listed) - len(chosen):
            self.outcome.not_tried.append(f"{left} other tenants: checked whole, not corrupted (--all does)")
        return [CELL, *chosen]

    def _fields(self, chosen: Sequence[str]) -> None:
        for name, why in LEFT_OUT.items():
            self.outcome.not_tried.append(f"table {name}: {why}")
        work = [(tenant_id, name) for name in self._names for tenant_id in chosen]
        seen: set[str] = set()
        for at, (tenant_id, name) in enumerate(work):
            self._progress(f"corrupting {name}", at, len(work))
            table = tables.metadata.tables[name]
            rows = self._bench.rows(tenant_id, table)
            if rows:
                seen.add(name)
            for row in self._sample(rows):
                other = self._random.choice(rows) if len(rows) > 1 else None
                self._row(tenant_id, table, row, other, chosen)
        for name in self._names:
            if name not in seen:
                self.outcome.not_tried.append(f"table {name}: it has no rows here")

    def _sample(self, rows: list[Row]) -> list[Row]:
        return (
            rows if self._rows is None or len(rows) <= self._rows else self._random.sample(rows, self._rows)
        )

    def _row(self, tenant_id: str, table: Table, row: Row, other: Row | None, chosen: Sequence[str]) -> None:
        kinds = self._bench.database.read(tenant_id, partial(_kinds, table=table, row=row))
        if table.name == "key_shards" and not self._lives(tenant_id, row):
            kinds |= {"stale"}
        elsewhere = next((one for one in reversed(chosen) if one != tenant_id), None)
        where = "/".join(str(part) for part in inspecting.key_of(table, row))
        for change in changes(table.name, row, other, elsewhere, self._random):
            try:
                with self._bench.changed(tenant_id, table, row, change):
                    noticed = self._noticed(tenant_id, table.name)
            except Refused:
                noticed = (DATABASE,)
            exempt = exemption(table.name, change, kinds) or ""
            self.outcome.tried.append(
                Tried(table.name, change.column, where, change.how, noticed, "" if noticed else exempt)
            )

    def _lives(self, tenant_id: str, row: Row) -> bool:
        """Whether the live key state names a shard."""
        keys = self._bench.ground.keyring.manifest().tenants.get(tenant_id)
        live = {(ref.depth, ref.prefix, ref.seq) for ref in keys.shards} if keys is not None else set()
        return (row["depth"], row["prefix"], row["seq"]) in live

    def _scenes(self, chosen: Sequence[str]) -> None:
        for at, scene in enumerate(self._played):
            self._progress("playing scenes", at, len(self._played))
            self._scene(scene, [CELL] if scene.of_cell else [one for one in chosen if one != CELL])

    def _scene(self, scene: Scene, tenant_ids: Sequence[str]) -> None:
        """On the first tenant that has what it needs."""
        lacking: list[str] = []
        for tenant_id in tenant_ids:
            with self._bench.kept(tenant_id, scene.kept):
                try:
                    scene.play(Stage(self._bench, tenant_id))
                except NotHere as reason:
                    lacking.append(str(reason))
                    continue
                noticed = self._all_who_notice(tenant_id)
            self.outcome.tried.append(Tried("ledger", "", tenant_id, scene.name, noticed))
            return
        self.outcome.not_tried.append(
            f"scene “{scene.name}”: it needs {lacking[0] if lacking else 'a tenant'}"
        )


def _first(steps: Iterator[Any]) -> tuple[str, ...]:
    """The checks of the first step that finds something."""
    for step in steps:
        if step.findings:
            return tuple(dict.fromkeys(one.check for one in step.findings))
    return ()


def _counts(tx: Tx) -> dict[str, int]:
    return {name: inspecting.count(tx, tables.metadata.tables[name]) for name in TABLES}


def _receipts(tx: Tx, current: log.Log) -> list[tuple[str, str]]:
    """Receipts for the first and the last entry of a log."""
    note = log.checkpoint(tx, current.generation, size=current.size)
    if note is None:
        return []
    found = []
    for idx in sorted({0, current.size - 1}):
        [body] = log.bodies(tx, current.generation, idx, 1)
        proof = inclusion(
            idx, current.size, lambda level, n: log.tile(tx, current.generation, level, n) or b""
        )
        found.append((str(idx), build_receipt(bytes(body), idx, proof, note)))
    return found


def _kinds(tx: Tx, table: Table, row: Row) -> frozenset[str]:
    """What a row is, as far as exemptions ask."""
    kinds: set[str] = set()
    if table.name == "checkpoints":
        logs = {one["generation"]: one for one in inspecting.where(tx, tables.logs)}
        if row["size"] not in (logs[row["generation"]]["size"], logs[row["generation"]]["published"]):
            kinds.add("inner")
    if table.name == "entries":
        placed = inspecting.runs(tx, {row["writer"]: (row["n"], row["n"])})
        kinds |= set() if placed else {"waiting"}
    if table.name == "version_subjects" and not _stands(tx, row["record_id"], row["version"]):
        kinds.add("of erased")
    if table.name == "lineage":
        versions = tables.versions
        child = inspecting.where(tx, versions, id=row["child_id"])
        kinds |= {"of erased"} if not child or child[0]["header"] is None else set()
    if table.name == "records":
        versions = tables.versions
        whole = inspecting.where(tx, versions, record_id=row["id"])
        kinds |= set() if any(one["header"] is not None for one in whole) else {"of erased"}
    if table.name == "record_paths":
        gone = inspecting.where(tx, tables.versions, limit=1, record_id=row["record_id"], state="erased")
        kinds |= {"of erased"} if gone else set()
    if table.name == "subjects":
        linked = _alike(tx, tables.version_subjects, subject_id=row["id"])
        kinds |= set() if linked or row["state"] != "active" else {"alone"}
    if table.name == "key_manifests":
        kinds |= {"stale"} if row["seq"] != _live_seq(tx) else set()
    return frozenset(kinds | _proof_kinds(tx, table, row))


def _proof_kinds(tx: Tx, table: Table, row: Row) -> set[str]:
    """The same, of keys, of what has a key of its own, and of the cell's log."""
    if table.name == "access_packages":
        return {"ended"} if row["state"] == State.EXPIRED else set()
    if table.name == "ledger_keys":
        return {"only"} if len(_alike(tx, table, generation=row["generation"])) == 1 else set()
    if table.name == "cell_queue":
        return set() if inspecting.newest_taken(tx, row["id"]) else {"first"}
    return _of_round(tx, table, row) if table.name == "cell_checkpoints" else set()


def _alike(tx: Tx, table: Table, **columns: Any) -> list[Row]:  # noqa: ANN401 - values of columns
    return inspecting.where(tx, table, **columns)


def _of_round(tx: Tx, table: Table, row: Row) -> set[str]:
    """What an opening of the cell's log is."""
    mine = _alike(tx, table, writer=row["writer"], n=row["n"])
    last = row["place"] == len(mine) - 1
    height = len(row["path"]) // HASH_SIZE
    gone = not inspecting.known_ids(tx, tables.tenants.c.id, [row["id"]])
    return ({"last"} if last and is_whole(len(mine) - 1, {height}) else set()) | (
        {"of one who left"} if gone else set()
    )


def _stands(tx: Tx, record_id: str, version: int) -> bool:
    found = inspecting.versions(tx, [(record_id, version)])
    return any(one["header"] is not None for one in found.values())


def _live_seq(tx: Tx) -> int | None:
    rows = inspecting.where(tx, tables.key_pointer)
    return rows[0]["seq"] if rows else None
