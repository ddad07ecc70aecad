"""A log's published copy and the database's, compared with what was signed, each mended from the other.

    1 anchor    the newest published checkpoint that the log's own key signed, from whoever has it
    2 list      what lies in the object tier, in bulk
    3 judge     tiles from the signed root downwards, entries by their tiles: which copy fits
    4 mend      what is missing or differs is written from the copy that fits; what no copy fits is named
    5 head      checkpoint, key and mirrored head, unless newer ones are there

Nothing is signed, and nothing that fits the signed root is written over. A pass may compare a part of the
bundles only, so that a job gets through a large log in turns; what is missing is found everywhere each time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DBAPIError

from tenure import ids
from tenure.errors import Conflict, Tampered, TenureError, Unverified
from tenure.governance.catchup import is_behind, returned
from tenure.governance.ground import Ground
from tenure.ids import CELL
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.cosignature import merge
from tenure.ledger.fitting import Bodies, Copy, Fitting, decoded, expected_names
from tenure.ledger.keychain import FILE, follow
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.note import Verifier
from tenure.ledger.tile import (
    ENTRIES,
    WIDTH,
    TileId,
    decode_bundle,
    encode_bundle,
    expected_bundles,
    expected_tiles,
)
from tenure.publication import Shelf, archive_name, put_checkpoint, put_head, put_key
from tenure.store import ledgerkeys, log, sequencing, tenants
from tenure.store.log import Log
from tenure.store.session import Tx

_log = structlog.get_logger(__name__)


class Part(NamedTuple):
    """Which bundles a pass compares by content, with their tiles: so many from `first` on, None for all."""

    first: int = 0
    bundles: int | None = None

    def __contains__(self, n: object) -> bool:
        if not isinstance(n, int):
            return False
        return n >= self.first and (self.bundles is None or n < self.first + self.bundles)


ALL = Part()


@dataclass
class Mended:
    """What a pass over one generation of a log found. Names are tlog-tiles paths, without their base."""

    tenant_id: str
    generation: int
    size: int = 0
    """Entries under the signed checkpoint that all was compared with."""
    compared: int = 0
    """Objects that were read."""
    missing: list[str] = field(default_factory=list)
    """Were not in the object tier, and are now."""
    changed: list[str] = field(default_factory=list)
    """Differed from what was signed in the object tier, and do not any more."""
    database: list[str] = field(default_factory=list)
    """Differed from what was signed in the database, and do not any more."""
    beyond: list[str] = field(default_factory=list)
    """Fit the signed root nowhere, or could not be mended. Nothing was written there."""
    next: int = 0
    """The bundle that the next part begins with; 0 when this one came to the end."""

    @property
    def well(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.missing or self.changed or self.database or self.beyond)

    def counts(self) -> dict[str, int]:
        """For metrics."""
        names = ("missing", "changed", "database", "beyond")
        return {"compared": self.compared, **{name: len(getattr(self, name)) for name in names}}


def mend_all(ground: Ground, tenant_id: str | None = None) -> list[Mended]:
    """Every log of a tenant, or of the whole cell, whole. Conflict when the database was restored."""
    living = ground.keyring.manifest().tenants
    every = [CELL, *ground.database.read(CELL, tenants.all_ids)]
    wanted = [one for one in every if one in living and tenant_id in (None, one)]
    return [one for each in wanted for one in mend(ground, each)]


def mend(ground: Ground, tenant_id: str, part: Part = ALL) -> list[Mended]:
    """One tenant's logs, every generation: the newest in `part`, those that ended whole with the first part.

    Safe beside a running service and to repeat. Conflict when the database is behind what is published: it is
    recovered by a start of the cell, not by this. Unavailable when the object tier does not answer.
    """
    if is_behind(ground, tenant_id):
        raise Conflict(
            "The database is older than what is published of its log; nothing was mended.",
            rule="a cell that has recovered",
            remedy="Start the cell (or run 'tenure doctor'): it recovers at start. Then repeat this.",
        )
    found = []
    logs = ground.database.read(tenant_id, log.generations)
    for one in logs:
        newest = one == logs[-1]
        if newest or not part.first:
            found.append(_Pass(ground, tenant_id, one, newest=newest).run(part if newest else ALL))
            _tell(found[-1])
    return found


def _tell(found: Mended) -> None:
    about = {"tenant": found.tenant_id, "generation": found.generation}
    for what, names in (("missing", found.missing), ("changed", found.changed), ("database", found.database)):
        if names:
            _log.warning("a published log was mended", what=what, count=len(names), first=names[0], **about)
    if found.beyond:
        names = found.beyond
        _log.error("a published log cannot be mended", count=len(names), first=names[0], **about)


class _Pass:
    """One generation of one log."""

    def __init__(self, ground: Ground, tenant_id: str, current: Log, *, newest: bool) -> None:
        self._database = ground.database
        self._tenant_id = tenant_id
        self._log = current
        self._newest = newest
        named = ground.database.read(
            tenant_id, partial(ledgerkeys.vkeys, generation=current.generation, upto=current.size)
        )
        vkeys = named or [ground.keyring.signer(tenant_id, current.origin).vkey]
        self._shelf = Shelf(
            ground.objects, ground.mirror, tenant_id, current.generation, vkeys[0], tuple(vkeys[1:])
        )
        self._found = Mended(tenant_id, current.generation)

    def run(self, part: Part) -> Mended:
        """Steps 1 to 5."""
        anchor = self._anchor()
        if anchor is None:
            return self._found
        head, note = anchor
        self._found.size = head.size
        if head.size:
            self._mend(head, part)
        self._mend_stored_head(head, note)
        self._database.read(self._tenant_id, partial(self._mend_head, head=head, note=note))
        return self._found

    # ── what was signed ──────────────────────────────────────────────────────────────────────────
    def _anchor(self) -> tuple[Checkpoint, str] | None:
        """Step 1. None when nothing was published yet, or when nothing signed is left."""
        notes = [self._database.read(self._tenant_id, self._stored_note)]
        mirrored = self._shelf.mirror.head(self._tenant_id)
        if mirrored is not None and int(mirrored["generation"]) == self._log.generation:
            notes.append(str(mirrored["checkpoint"]))
        notes.append((self._shelf.get("checkpoint") or b"").decode("utf-8", "replace"))
        signed = [(self._shelf.signed(note.encode()), note) for note in notes if note]
        heads = [(head, note) for head, note in signed if head is not None and head.size <= self._log.size]
        if not heads:
            if self._log.published or mirrored is not None:
                self._found.beyond.append("checkpoint")
            return None
        most = max(head.size for head, _ in heads)
        newest = [(head, note) for head, note in heads if head.size == most]
        if len({head.root for head, _ in newest}) > 1:
            self._found.beyond.append("checkpoint")  # a fork that the log's key signed
            return None
        return newest[0]

    def _stored_note(self, tx: Tx) -> str | None:
        return log.checkpoint(tx, self._log.generation, newest_upto=self._log.published)

    # ── tiles and bundles ────────────────────────────────────────────────────────────────────────
    def _mend(self, head: Checkpoint, part: Part) -> None:
        """Steps 2 to 4."""
        base = f"{self._shelf.base}/"
        there = {name.removeprefix(base) for name in self._shelf.objects.names(self._shelf.base)}
        fitting = Fitting(head.size, head.root, (self._stored(), self._published()))
        if not fitting.rooted:
            self._found.beyond.append("checkpoint")
            return
        for tile in expected_tiles(head.size):
            names = self._names(tile, there)
            if tile.level or tile.n in part or any(name.path not in there for name in names):
                self._mend_tile(fitting, tile, names, there)
        for bundle in expected_bundles(head.size):
            names = self._names(bundle, there)
            if bundle.n in part or any(name.path not in there for name in names):
                self._mend_bundle(fitting, bundle, names, there)
        end = part.first + part.bundles if part.bundles is not None else 0
        self._found.next = end if end * WIDTH < head.size else 0

    def _names(self, tile: TileId, there: set[str]) -> list[TileId]:
        """This tile, and its narrower forms for the sizes whose published checkpoints are kept."""
        if tile.width == WIDTH:
            return [tile]
        sizes = (
            int(name.rpartition("/")[2])
            for name in there
            if name.startswith("checkpoints/") and name.rpartition("/")[2].isdecimal()
        )
        return list(expected_names([tile], sizes))

    def _mend_tile(self, fitting: Fitting, tile: TileId, names: list[TileId], there: set[str]) -> None:
        data = fitting.tile(tile.level, tile.n)
        if data is None:
            self._found.beyond.append(tile.path)
            return
        stored = self._stored().tile(tile.level, tile.n, tile.width)
        if stored != data:
            self._write(
                tile.path, lambda tx: log.mend_tile(tx, self._log.generation, tile.level, tile.n, data)
            )
        for name in names:
            self._mend_object(name.path, data[: name.width * HASH_SIZE], there)

    def _mend_bundle(self, fitting: Fitting, bundle: TileId, names: list[TileId], there: set[str]) -> None:
        hashes = fitting.tile(0, bundle.n)
        entries = fitting.entries(bundle.n, hashes) if hashes is not None else [None]
        bodies = [body for body in entries if body is not None]
        if len(bodies) < len(entries):
            self._found.beyond.append(bundle.path)
            return
        stored = self._stored().entries(bundle.n, bundle.width)
        wrong = [place for place, body in enumerate(bodies) if stored[place] != body]
        if wrong:
            self._write(bundle.path, partial(self._mend_entries, bundle=bundle, bodies=bodies, wrong=wrong))
        for name in names:
            self._mend_object(name.path, encode_bundle(bodies[: name.width]), there)

    def _mend_entries(self, tx: Tx, bundle: TileId, bodies: list[bytes], wrong: list[int]) -> None:
        first, generation = bundle.n * WIDTH, self._log.generation
        for place in wrong:
            log.mend_entry(tx, generation, first + place, returned(bodies[place]))
        now = log.placed(tx, generation, first, bundle.width)
        if [now.get(first + place) for place in range(bundle.width)] != bodies:
            raise Tampered("Entries of the log do not stand at their places in the database.")

    def _mend_object(self, name: str, data: bytes, there: set[str]) -> None:
        """Step 4 in the object tier. A content that differs is replaced: it is not what was signed."""
        full = f"{self._shelf.base}/{name}"
        if name not in there and self._shelf.objects.keep(full, data):
            self._found.missing.append(name)
            return
        self._found.compared += 1
        if self._shelf.objects.get(full) != data:
            self._shelf.objects.put(full, data)
            self._found.changed.append(name)

    def _write(self, name: str, work: Callable[[Tx], None]) -> None:
        """Step 4 in the database: one transaction under the log's lock."""

        def locked(tx: Tx) -> None:
            sequencing.wait_for_turn(tx)
            work(tx)

        try:
            self._database.write(self._tenant_id, locked)
        except (TenureError, DBAPIError):
            self._found.beyond.append(name)
        else:
            self._found.database.append(name)

    # ── the head ─────────────────────────────────────────────────────────────────────────────────
    def _mend_stored_head(self, head: Checkpoint, note: str) -> None:
        """The database's checkpoint of this size, and the root that the next one is signed upon."""

        def fits(tx: Tx) -> bool:
            kept = log.checkpoint(tx, self._log.generation, size=head.size)
            roots = {one.root for one in log.generations(tx) if one == self._log and one.size == head.size}
            return bool(kept) and self._shelf.signed((kept or "").encode()) == head and roots <= {head.root}

        if not self._database.read(self._tenant_id, fits):
            generation = self._log.generation
            self._write(
                "checkpoint", lambda tx: log.mend_head(tx, generation, head.size, head.root, note, ids.now())
            )

    def _mend_head(self, tx: Tx, head: Checkpoint, note: str) -> None:
        """Step 5, while nobody else publishes this log's head."""
        sequencing.lock_head(tx)
        raw = self._shelf.get("checkpoint")
        there = self._shelf.signed(raw) if raw is not None else None
        if there is not None and there.size > head.size:
            return
        if there is not None and there.size == head.size and there != head:
            self._found.beyond.append("checkpoint")  # a fork that the log's key signed
            return
        if there == head and raw is not None:
            note = merge(raw.decode(), note)
        self._judge_head("checkpoint", raw, well=there == head)
        key = self._shelf.get("vkey")
        self._judge_head("vkey", key, well=key == f"{self._shelf.vkey}\n".encode())
        self._mend_rotations(tx, head)
        name = archive_name(head.size)
        kept = self._shelf.get(name)
        self._judge_head(name, kept, well=kept is not None and self._shelf.signed(kept) == head)
        wrong = {*self._found.missing, *self._found.changed}
        if "vkey" in wrong:
            put_key(self._shelf)
        if {"checkpoint", name} & wrong:
            put_checkpoint(self._shelf, head.size, note)
        if self._newest:
            if self._shelf.mirror.head(self._tenant_id) is None:
                self._found.missing.append("mirrored head")
            put_head(self._shelf, self._log._replace(size=head.size, root=head.root), note)

    def _mend_rotations(self, tx: Tx, head: Checkpoint) -> None:
        """The proofs of the key's changes, where there were any. A chain that knows of more of them stays."""
        chain = ledgerkeys.rotations(tx, self._log.generation, head.size)
        known = self._changes(chain)
        if known == 0:
            return
        if known is None:
            self._found.beyond.append(FILE)
            return
        raw = self._shelf.get(FILE)
        shown = self._changes((raw or b"").decode("utf-8", "replace"))
        well = shown is not None and shown >= known
        self._judge_head(FILE, raw, well=well)
        if not well:
            self._shelf.objects.put(f"{self._shelf.base}/{FILE}", chain.encode())

    def _changes(self, chain: str) -> int | None:
        """How many changes of the key a chain proves, from the first one on; None when it does not hold."""
        first = self._shelf.earlier[-1] if self._shelf.earlier else self._shelf.vkey
        try:
            return len(follow(chain, [Verifier.parse(first)]))
        except Unverified:
            return None

    def _judge_head(self, name: str, raw: bytes | None, *, well: bool) -> None:
        self._found.compared += 1
        if not well:
            (self._found.missing if raw is None else self._found.changed).append(name)

    # ── the two copies ───────────────────────────────────────────────────────────────────────────
    def _stored(self) -> Copy:
        """The database's."""
        generation = self._log.generation

        def tile(level: int, n: int, width: int) -> bytes | None:
            data = self._database.read(
                self._tenant_id, partial(log.tile, generation=generation, level=level, n=n)
            )
            return None if data is None else bytes(data[: width * HASH_SIZE])

        def entries(n: int, width: int) -> list[bytes | None]:
            found = self._database.read(
                self._tenant_id, partial(log.placed, generation=generation, first=n * WIDTH, count=width)
            )
            return [found.get(n * WIDTH + place) for place in range(width)]

        return Copy(tile, entries)

    def _published(self) -> Copy:
        """The object tier's. A full tile or bundle stands for the partial ones before it."""

        def read(tile: TileId) -> bytes | None:
            raw = self._shelf.get(tile.path)
            return self._shelf.get(tile.full.path) if raw is None and tile.width < WIDTH else raw

        def tile(level: int, n: int, width: int) -> bytes | None:
            raw = read(TileId(level, n, width))
            return None if raw is None else raw[: width * HASH_SIZE]

        def entries(n: int, width: int) -> Bodies:
            return decoded(read(TileId(ENTRIES, n, width)), width, decode_bundle)

        return Copy(tile, entries)
