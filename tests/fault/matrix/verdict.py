"""What must hold of a case: nobody came back, nobody else was lost, nothing was certified too early."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fault.matrix.actors import PATIENCE_S, RUNNING, request, settled
from fault.matrix.children import Child
from fault.matrix.scene import (
    COMPLAINT,
    DEAD,
    DYING,
    GONE,
    HERS,
    HIS,
    KEPT,
    MADE,
    SUMMARY,
    SURVIVING,
    TENANTS,
    Piece,
    Scene,
    tenant,
    words,
)
from support.attic import Attic, Rows, mirror_of, newest_copy
from support.cell import NOTES, Cell
from support.oracle import Oracle
from tenure.errors import Erased, TenureError
from tenure.keys import segments
from tenure.keys.segments import MAGIC
from tenure.ledger.certificate import verify_certificate
from tenure.ledger.note import Verifier
from tenure.rootstore.files import FilesRootStore

ASKED_AGAIN = "asked again"
_GOING = {HERS.content, MADE[SUMMARY]}
_STAYING = {HIS.content, MADE[COMPLAINT]}
"""Of records that change with the erasure: what must be gone, and what must be there."""


@dataclass
class Verdict:
    """What was found wrong, by kind; and remarks about how the case went."""

    resurrections: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.resurrections or self.lost or self.early or self.other)


def contents(pieces: Sequence[Piece]) -> set[bytes]:
    """The sealed contents of some records."""
    return {text for piece in pieces for text in piece.stored}


def keys_of(cell: Cell) -> Path:
    """The folder of the root keys."""
    return cell.settings.root_dir / "keys"


class Judge:
    """Watches one case."""

    def __init__(self, scene: Scene, cell: Cell) -> None:
        self._scene = scene
        self._cell = cell
        self._attic = scene.attic
        self._asked: Mapping[str, str] = {}
        self._journalled = False
        self.verdict = Verdict()

    # ── when a process was killed ────────────────────────────────────────────────────────────────
    def killed(self, asked: Mapping[str, str]) -> None:
        """Keep what lies there, undisturbed. With a certificate anywhere, the old root is gone already."""
        self._asked = asked
        self._attic = self._attic | _kept(self._cell)
        self._journalled = self._journalled or any(
            shred.encode() in path.read_bytes()
            for shred in asked.values()
            for path in mirror_of(self._cell).rglob("*")
            if path.is_file() and not path.name.startswith(".")  # not what was only begun to be written
        )
        with _undisturbed(self._cell) as rows:
            listed = {row[0] for row in rows("SELECT CAST(shred_id AS TEXT) FROM certificates")}
        mirrored = {path.name for path in (mirror_of(self._cell) / "certificates").glob("*")}
        if not (listed | mirrored) & set(asked.values()):
            return
        if self._scene.root in self._live_roots():
            self.verdict.early.append("a certificate exists while the old root key lives")
        if (contents(DYING) | _GOING) & Oracle(self._attic, keys_of(self._cell)).reads("content"):
            self.verdict.early.append("a certificate exists while stored bytes and live keys give the person")

    def _live_roots(self) -> set[int]:
        return {one.version for one in FilesRootStore(keys_of(self._cell)).list() if one.state == "live"}

    # ── afterwards ───────────────────────────────────────────────────────────────────────────────
    async def judge(self, replica: Child | None) -> None:
        """Start normally, let everything finish, then look."""
        cell = self._cell
        async with cell.opened(**RUNNING):
            known = await self._from_the_first_moment()
            with contextlib.suppress(TimeoutError):
                await settled(cell)
            if not known:
                self._asked = await request(cell)
                self.verdict.remarks.append(ASKED_AGAIN)
                await cell.tenure.shredder.run()
                await settled(cell)
            if replica is not None:
                await self._woken(replica)
            await self._erased()
            await self._surviving()
            await self._goes_on()
            await self._certified()
        await asyncio.to_thread(self._oracle)

    async def _from_the_first_moment(self) -> bool:
        """Whether the cell still knows of the erasure. Only a restore before the journal may forget it."""
        known = True
        for piece in DYING:
            for version in range(1, len(piece.values) + 1):
                if (value := await self._read(piece, version)) is None:
                    continue
                known = False
                if self._journalled:
                    self.verdict.resurrections.append(f"served after the start: {value}")
        stored = {row[0] for row in self._cell.rows("SELECT CAST(id AS TEXT) FROM shreds")}
        forgotten = set(self._asked.values()) - stored
        if bool(forgotten) == known:
            self.verdict.other.append("the cell half knows of the erasure")
        return known

    async def _read(self, piece: Piece, version: int | None = None, erasure: str | None = None) -> str | None:
        """A value, or None when it answers as erased: by the certificate of `erasure`, if that is given."""
        which = {} if version is None else {"version": version}
        try:
            read = await self._cell.value(
                piece.key, scope=piece.scope, tenant=tenant(self._cell, piece.tenant), **which
            )
        except Erased as gone:
            if erasure is not None and (gone.shred, bool(gone.certificate)) != (erasure, True):
                self.verdict.other.append(f"{piece.tenant}/{piece.key} does not name its certificate")
            return None
        return str(read)

    async def _woken(self, replica: Child) -> None:
        said = await asyncio.to_thread(_wake, replica)
        for what, value in said["read"].items():
            piece = next(one for one in (*DYING, *SURVIVING) if f"{one.tenant}/{one.key}" in what)
            if piece in DYING and not value.startswith("refused"):
                self.verdict.resurrections.append(f"a replica that was left behind served {what}")
        if json.loads(HERS.content) in said["words"]:
            self.verdict.resurrections.append("a replica that was left behind served a segment")
        survivors = {f"{one.tenant}/{one.key}/1": one.values[0] for one in SURVIVING}
        if said["wrote"] and not survivors.items() <= said["read"].items():
            self.verdict.lost.append(f"a replica that works does not read everyone: {said['read']}")
        if said["swapped"]:
            self.verdict.resurrections.append("a stale writer moved the pointer")
        if said["wrote"] and await self._cell.value("late") != "written by the replica":
            self.verdict.lost.append("what the replica wrote")

    async def _erased(self) -> None:
        for piece in (*DYING, *DEAD):
            shred = self._asked[piece.tenant] if piece in DYING else None
            for version in (None, *range(1, len(piece.values) + 1)):
                value = await self._read(piece, version, shred)
                if value is not None:
                    self.verdict.resurrections.append(f"{piece.tenant}/{piece.key} reads {value!r}")
        await self._made()
        hers, his = await words(self._cell)
        if hers is not None:
            self.verdict.resurrections.append(f"the segment reads {hers!r}")
        if his != json.loads(HIS.content):
            self.verdict.lost.append(f"the other's segment reads {his!r}")
        for name in TENANTS:
            found = await self._cell.tenure.subjects.lookup(tenant(self._cell, name)["dpo"], GONE)
            if found["items"]:
                self.verdict.resurrections.append(f"{name} finds the person by reference")

    async def _made(self) -> None:
        """What was derived from what died: gone, or kept by its scope."""
        try:
            value = await self._cell.value(SUMMARY, scope=NOTES)
            self.verdict.resurrections.append(f"the summary reads {value!r}")
        except Erased:
            pass
        try:
            value = (await self._cell.get(COMPLAINT, scope=KEPT)).content
        except TenureError as failure:
            value = repr(failure).encode()
        if value != MADE[COMPLAINT]:
            self.verdict.lost.append(f"what its scope keeps reads {value!r}")

    async def _surviving(self) -> None:
        for piece in SURVIVING:
            for version, value in enumerate(piece.values, 1):
                try:
                    read = await self._read(piece, version)
                except TenureError as failure:
                    read = f"{type(failure).__name__}: {failure}"
                if read != value:
                    self.verdict.lost.append(f"{piece.tenant}/{piece.key} reads {read!r}")
        for name in TENANTS:
            stored = self._cell.stored(tenant(self._cell, name))
            if not self._scene.survivors[name].items() <= stored.items():
                self.verdict.lost.append(f"{name}: stored bytes of a survivor changed")
            kept = {at[0] for at, parts in stored.items() if any(parts)} - self._late()
            unpurged = kept - {at[0] for at in self._scene.survivors[name]}
            left = [one for at, parts in stored.items() if at[0] in unpurged for one in _sealed(parts)]
            if len(left) != len(unpurged) or len(left) != len(_STAYING) * (name == "one"):
                self.verdict.other.append(f"{name}: ciphertext of the erased was not purged")

    def _late(self) -> set[str]:
        """Records that did not exist before the erasure."""
        with _undisturbed(self._scene.cell) as rows:
            old = {row[0] for row in rows("SELECT CAST(id AS TEXT) FROM records")}
        return {row[0] for row in self._cell.rows("SELECT CAST(id AS TEXT) FROM records")} - old

    async def _certified(self) -> None:
        """One certificate for each erasure, issued after the old root was destroyed, mirrored as it is."""
        cell, wrong = self._cell, self.verdict.other
        listed = cell.rows("SELECT CAST(shred_id AS TEXT), CAST(id AS TEXT), envelope FROM certificates")
        if len(listed) != len(DEAD) + len(TENANTS):
            wrong.append(f"{len(listed)} certificates")
        if len(self._live_roots()) != 1 or self._scene.root in self._live_roots():
            self.verdict.early.append(f"certified, and root versions {self._live_roots()} live")
            return
        destroyed = FilesRootStore(keys_of(cell)).destroy(self._scene.root, "is destroyed already")
        for name, shred in self._asked.items():
            mine = [(certificate, envelope) for of, certificate, envelope in listed if of == shred]
            if len(mine) != 1:
                wrong.append(f"{name} has {len(mine)} certificates")
                continue
            report = verify_certificate(mine[0][1], _verifiers(cell, name))
            if not report.ok:
                wrong.append(f"{name}'s certificate does not verify: {report.failures}")
                continue
            issued = datetime.fromisoformat(report.certificate["issued_at"])
            if issued.timestamp() * 1_000_000 < destroyed.irrecoverable_at:
                self.verdict.early.append(f"{name}'s certificate is older than the destruction")
            copy = mirror_of(cell) / "certificates" / shred
            if not copy.exists() or mine[0][0] not in copy.read_text():
                wrong.append(f"the mirror lacks {name}'s certificate")

    async def _goes_on(self) -> None:
        """The cell works: somebody new, and a log that verifies."""
        await self._cell.put("later", "somebody new", "customer:new")
        if await self._cell.value("later") != "somebody new":
            self.verdict.lost.append("what was written afterwards")
        for name in TENANTS:
            report = await self._cell.audited(tenant(self._cell, name))
            if not report.ok:
                self.verdict.other.append(f"{name}'s log: {report.failures}")

    def _oracle(self) -> None:
        final = _kept(self._cell)
        everything = Oracle(self._attic | final, keys_of(self._cell)).reads("content")
        if found := everything & (contents((*DYING, *DEAD)) | _GOING):
            self.verdict.resurrections.append(f"the oracle opens {sorted(found)}")
        if missing := (contents(SURVIVING) | _STAYING) - everything:
            self.verdict.lost.append(f"the oracle does not open {sorted(missing)}")
        mirrored = Attic(texts=final.texts)
        mirrored.keep_mirror(mirror_of(self._cell))
        if missing := contents(SURVIVING) - Oracle(mirrored, keys_of(self._cell)).reads("content"):
            self.verdict.lost.append(f"the mirror alone would not give {sorted(missing)}")


def _sealed(parts: Sequence[bytes | None]) -> list[object]:
    """Each ciphertext that is left of a version: its segments', or its own."""
    content = parts[-1] or b""
    return [one for one in segments.decode(content) if one] if content.startswith(MAGIC) else [content]


def _verifiers(cell: Cell, name: str) -> list[Verifier]:
    """The published key of each generation of a log: a certificate from before a restore is by an old one."""
    log = cell.published(tenant(cell, name)).parent
    return [Verifier.parse(path.read_text().strip()) for path in log.glob("*/vkey")]


def _wake(replica: Child) -> dict[str, Any]:
    replica.wake()
    said = replica.hear(PATIENCE_S)
    assert said is not None, "the replica ended without a word"
    return said


def _kept(cell: Cell) -> Attic:
    attic = Attic()
    attic.keep(cell)
    return attic


@contextmanager
def _undisturbed(cell: Cell) -> Iterator[Rows]:
    """Query a database that a crash left, without being the one who opens it first."""
    if cell.dialect != "sqlite":
        yield cell.rows
        return
    with TemporaryDirectory() as folder:
        copy = newest_copy(cell.settings.data_dir / "tenure.db", Path(folder))
        with closing(sqlite3.connect(copy)) as connection:
            yield connection.execute
