"""Corruptions of many rows at once: what somebody does who knows how the ledger is built.

Each scene changes the copy of one tenant as an attacker with the database would: consistently, with every
tile and root made again, up to what needs the log's key. Some have even that.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, update

from tenure.ledger.base64 import to_base64
from tenure.ledger.canonical import canonical
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint
from tenure.ledger.entry import Kind, parse_entry
from tenure.ledger.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hash
from tenure.ledger.note import Signer, sign_note
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, expected_tiles
from tenure.ledger.tree import Tree
from tenure.publication import published_name
from tenure.selftest.bench import Bench
from tenure.selftest.fields import Row
from tenure.store import tables

LEDGER = tuple(sorted(tables.LEDGER))
_E, _P, _W, _G = tables.entries, tables.places, tables.writers, tables.logs
_C, _T, _K = tables.checkpoints, tables.tiles, tables.ledger_keys
_NOT_THE_KEY = bytes(range(32))


class NotHere(Exception):
    """What a scene needs is not in this store."""


class Scene(NamedTuple):
    """A corruption by name. `play` changes the copy of a tenant; `kept` are the tables that it may change."""

    name: str
    play: Callable[["Stage"], None]
    kept: tuple[str, ...] = LEDGER
    of_cell: bool = False


class Stage:
    """One tenant's newest log in the copy, taken apart."""

    def __init__(self, bench: Bench, tenant_id: str) -> None:
        """Raises NotHere when there is no log with entries."""
        self.bench = bench
        self.tenant_id = tenant_id
        logs = bench.rows(tenant_id, _G)
        if not logs or not logs[-1]["size"]:
            raise NotHere("a log with entries")
        self.log = logs[-1]
        self.generation = self.log["generation"]
        self.checkpoints = [row for row in bench.rows(tenant_id, _C) if row["generation"] == self.generation]
        rows = {(row["writer"], row["n"]): row for row in bench.rows(tenant_id, _E)}
        self.runs = [row for row in bench.rows(tenant_id, _P) if row["generation"] == self.generation]
        placed = {
            (run["writer"], run["n"] + at) for run in bench.rows(tenant_id, _P) for at in range(run["count"])
        }
        self.waiting = [row for key, row in rows.items() if key not in placed]
        self.placed = [rows[run["writer"], run["n"] + at] for run in self.runs for at in range(run["count"])]

    @property
    def bodies(self) -> list[bytes]:
        """The entries in their order."""
        return [bytes(row["body"]) for row in self.placed]

    def signer(self) -> Signer:
        """The log's own key."""
        keys = self.bench.ground.keyring.manifest().tenants[self.tenant_id]
        return Signer(self.log["origin"], keys.ledger_seed)

    def do(self, *statements: Any) -> None:  # noqa: ANN401 - Core statements
        """Change the copy."""
        self.bench.write(self.tenant_id, *statements)

    def mine(self, table: Any) -> Any:  # noqa: ANN401 - a condition
        """The tenant's rows."""
        return table.c.tenant_id == self.tenant_id

    def of_log(self, table: Any) -> Any:  # noqa: ANN401 - a condition
        """The rows of the newest log."""
        return self.mine(table) & (table.c.generation == self.generation)

    def rebuild(self, bodies: Sequence[bytes], sign: Callable[[str], str]) -> None:
        """Every tile, the root and the checkpoint for these entries; `sign` makes a note of its body."""
        tree = Tree()
        writes = tree.append(leaf_hash(body) for body in bodies)
        root = tree.root()
        note = sign(Checkpoint(self.log["origin"], len(bodies), root).body)
        tile = {"tenant_id": self.tenant_id, "generation": self.generation}
        point = {**tile, "size": len(bodies), "note": note, "at": self.checkpoints[-1]["at"]}
        self.do(
            delete(_T).where(self.of_log(_T)),
            insert(_T).values([{**tile, "level": one.level, "n": one.n, "data": one.data} for one in writes]),
            delete(_C).where(self.of_log(_C), _C.c.size >= len(bodies)),
            insert(_C).values(point),
            update(_G).where(self.of_log(_G)).values(size=len(bodies), root=root),
        )

    def resigned(self, body: str) -> str:
        """A checkpoint text with the signature of the old one: what can be done without a key."""
        note: str = self.checkpoints[-1]["note"]
        return body + "\n" + note.partition("\n\n")[2]

    def cut(self, size: int) -> None:
        """Everything from place `size` on is gone, as if it had never been."""
        gone = self.placed[size:]
        tree = Tree()
        writes = tree.append(leaf_hash(body) for body in self.bodies[:size])
        tile = {"tenant_id": self.tenant_id, "generation": self.generation}
        rest = [{**tile, "level": one.level, "n": one.n, "data": one.data} for one in writes]
        statements = [
            delete(_P).where(self.of_log(_P)),
            delete(_C).where(self.of_log(_C), _C.c.size > size),
            delete(_K).where(self.of_log(_K), _K.c.size > size),
            delete(_T).where(self.of_log(_T)),
            insert(_T).values(rest),
            update(_G).where(self.of_log(_G)).values(size=size, root=tree.root(), published=size),
        ]
        statements += [
            delete(_E).where(self.mine(_E), _E.c.writer == row["writer"], _E.c.n == row["n"])
            for row in (*gone, *self.waiting)
        ]
        self.do(*statements)
        self.place(self.placed[:size])

    def place(self, rows: Sequence[Row]) -> None:
        """Runs, and each writer's mark, for entries at places from 0."""
        runs: list[dict[str, Any]] = []
        ends: dict[str, Row] = {}
        for idx, row in enumerate(rows):
            ends[row["writer"]] = row
            if runs and (runs[-1]["writer"], runs[-1]["n"] + runs[-1]["count"]) == (row["writer"], row["n"]):
                runs[-1]["count"] += 1
            else:
                here = {"tenant_id": self.tenant_id, "generation": self.generation, "idx": idx}
                runs.append({**here, "writer": row["writer"], "n": row["n"], "count": 1})
        marks = [
            {"tenant_id": self.tenant_id, "writer": writer, "next": row["n"] + 1}
            for writer, row in ends.items()
            if row["kind"] != Kind.WRITER_END
        ]
        self.do(insert(_P).values(runs), delete(_W).where(self.mine(_W)))
        if marks:
            self.do(insert(_W).values(marks))

    def unplace(self, size: int) -> None:
        """The log as it was before its entries from place `size` on were sequenced: they wait."""
        waiting = self.placed[size:]
        self.cut(size)
        self.do(insert(_E).values([{"tenant_id": self.tenant_id, **row} for row in waiting]))
        there = {row["writer"] for row in self.bench.rows(self.tenant_id, _W)}
        placed = {row["writer"]: row["n"] + 1 for row in self.placed[:size]}
        new = {row["writer"] for row in waiting} - there
        if new:
            marks = [{"tenant_id": self.tenant_id, "writer": one, "next": placed.get(one, 0)} for one in new]
            self.do(insert(_W).values(marks))

    def hide_heads(self, *, published: bool) -> None:
        """The mirrored heads are gone, and with `published` what was published too."""
        for name in ("heads", "offered"):
            self.bench.heads.show(f"{name}/{self.tenant_id}", None)
        if published:
            base = published_name(self.tenant_id, self.generation)
            for name in list(self.bench.objects.names(base)):
                self.bench.objects.show(name, None)

    def show(self, name: str, data: bytes | None) -> None:
        """Let what is published of this log look like this; None: gone. NotHere when it was not there."""
        full = f"{published_name(self.tenant_id, self.generation)}/{name}"
        if self.bench.objects.get(full) is None:
            raise NotHere(f"a published {name}")
        self.bench.objects.show(full, data)

    def earlier(self) -> int:
        """The size of a checkpoint near the middle, below the newest."""
        sizes = [row["size"] for row in self.checkpoints[:-1]]
        if not sizes:
            raise NotHere("an earlier checkpoint")
        return int(sizes[len(sizes) // 2])


# ── entries ────────────────────────────────────────────────────────────────────────────────────────
def _edited(stage: Stage, at: int) -> bytes:
    """Another entry for this place, well-formed: its outcome is another."""
    entry = parse_entry(stage.bodies[at])
    return canonical({**entry, "outcome": "denied" if entry["outcome"] != "denied" else "ok"})


def _replace_body(stage: Stage, at: int, body: bytes) -> None:
    row = stage.placed[at]
    here = (stage.mine(_E), _E.c.writer == row["writer"], _E.c.n == row["n"])
    stage.do(update(_E).where(*here).values(body=body))


def _forward(stage: Stage, sign: Callable[[str], str]) -> None:
    at = len(stage.placed) // 2
    body = _edited(stage, at)
    _replace_body(stage, at, body)
    bodies = stage.bodies
    stage.rebuild([*bodies[:at], body, *bodies[at + 1 :]], sign)


def _recomputed(stage: Stage) -> None:
    _forward(stage, stage.resigned)


def _recomputed_other_key(stage: Stage) -> None:
    _forward(stage, lambda body: sign_note(body, [Signer(stage.log["origin"], _NOT_THE_KEY)]))


def _fork(stage: Stage) -> None:
    _forward(stage, lambda body: sign_note(body, [stage.signer()]))


def _wrong_key(stage: Stage) -> None:
    other = Signer(stage.log["origin"], _NOT_THE_KEY)
    for row in stage.checkpoints:
        note = sign_note(peek_checkpoint(row["note"]).body, [other])
        stage.do(update(_C).where(stage.of_log(_C), _C.c.size == row["size"]).values(note=note))


def _dropped(stage: Stage) -> None:
    row = stage.placed[len(stage.placed) // 2]
    stage.do(delete(_E).where(stage.mine(_E), _E.c.writer == row["writer"], _E.c.n == row["n"]))


def _dropped_closed(stage: Stage) -> None:
    at = len(stage.placed) // 2
    row, rest = stage.placed[at], [*stage.placed[:at], *stage.placed[at + 1 :]]
    stage.do(
        delete(_E).where(stage.mine(_E), _E.c.writer == row["writer"], _E.c.n == row["n"]),
        delete(_P).where(stage.of_log(_P)),
    )
    stage.place(rest)
    stage.rebuild([bytes(one["body"]) for one in rest], stage.resigned)


def _swapped(stage: Stage) -> None:
    """Two entries of one writer stand in each other's place; all is made again, even signed by the key."""
    pairs = [
        at
        for at in range(1, len(stage.placed) - 1)
        if stage.placed[at]["writer"] == stage.placed[at + 1]["writer"]
    ]
    if not pairs:
        raise NotHere("two entries of one writer in a row")
    at = pairs[len(pairs) // 2]
    order = list(stage.placed)
    order[at], order[at + 1] = order[at + 1], order[at]
    stage.do(delete(_P).where(stage.of_log(_P)))
    stage.place(order)
    stage.rebuild([bytes(one["body"]) for one in order], lambda body: sign_note(body, [stage.signer()]))


def _removed_waiting(stage: Stage) -> None:
    """Before it had its place, an entry of a writer that goes on is taken away: nothing signed covers it."""
    size = stage.earlier()
    waiting = stage.placed[size:]
    for at, row in enumerate(waiting):
        if any(one["writer"] == row["writer"] and one["n"] > row["n"] for one in waiting[at + 1 :]):
            stage.unplace(size)
            stage.hide_heads(published=True)
            stage.do(delete(_E).where(stage.mine(_E), _E.c.writer == row["writer"], _E.c.n == row["n"]))
            return
    raise NotHere("a writer with two entries after an earlier checkpoint")


# ── tails ──────────────────────────────────────────────────────────────────────────────────────────
def _rollback(stage: Stage) -> None:
    stage.cut(stage.earlier())


def _tail(stage: Stage) -> None:
    stage.cut(stage.earlier())
    stage.hide_heads(published=False)


def _tail_and_heads(stage: Stage) -> None:
    stage.cut(stage.earlier())
    stage.hide_heads(published=True)


# ── tiles ──────────────────────────────────────────────────────────────────────────────────────────
def _lost_tile(stage: Stage) -> None:
    stage.do(delete(_T).where(stage.of_log(_T), _T.c.level == 0, _T.c.n == 0))


def _blank_hashes(stage: Stage) -> None:
    width = min(WIDTH, len(stage.placed))
    stage.do(
        update(_T).where(stage.of_log(_T), _T.c.level == 0, _T.c.n == 0).values(data=bytes(HASH_SIZE * width))
    )


def _blank_root(stage: Stage) -> None:
    stage.do(update(_G).where(stage.of_log(_G)).values(root=b""))


def _empty_root(stage: Stage) -> None:
    stage.do(update(_G).where(stage.of_log(_G)).values(root=EMPTY_ROOT))


# ── what is published ──────────────────────────────────────────────────────────────────────────────
def _published(stage: Stage, tile: TileId) -> str:
    name = f"{published_name(stage.tenant_id, stage.generation)}/{tile.path}"
    if stage.bench.objects.get(name) is None:
        raise NotHere("a published tile")
    return name


def _published_size(stage: Stage) -> int:
    size = int(stage.log["published"])
    if not size:
        raise NotHere("a published checkpoint")
    return size


def _published_lost(stage: Stage) -> None:
    size = _published_size(stage)
    stage.bench.objects.show(_published(stage, TileId(ENTRIES, 0, min(WIDTH, size))), None)


def _published_partial(stage: Stage) -> None:
    partial = [tile for tile in expected_tiles(_published_size(stage)) if tile.width < WIDTH]
    if not partial:
        raise NotHere("a partial tile")
    stage.bench.objects.show(_published(stage, partial[0]), None)


def _published_flipped(stage: Stage) -> None:
    name = _published(stage, TileId(ENTRIES, 0, min(WIDTH, _published_size(stage))))
    data = bytearray(stage.bench.objects.get(name) or b"")
    data[len(data) // 2] ^= 1
    stage.bench.objects.show(name, bytes(data))


def _published_fork(stage: Stage) -> None:
    """Another head of the same size, signed by the log's own key, was published."""
    name = f"{published_name(stage.tenant_id, stage.generation)}/checkpoint"
    body = Checkpoint(stage.log["origin"], _published_size(stage), bytes(range(HASH_SIZE))).body
    stage.bench.objects.show(name, sign_note(body, [stage.signer()]).encode())


# ── certificates ───────────────────────────────────────────────────────────────────────────────────
def _certificate_other_key(stage: Stage) -> None:
    table = tables.certificates
    rows = stage.bench.rows(stage.tenant_id, table)
    if not rows:
        raise NotHere("a certificate")
    envelope = rows[0]["envelope"]
    signature = to_base64(Signer("another", _NOT_THE_KEY).sign_bytes(envelope.encode()))
    start = envelope.index('"sig":"') + len('"sig":"')
    forged = envelope[:start] + signature + envelope[envelope.index('"', start) :]
    stage.bench.heads.show(f"certificates/{rows[0]['shred_id']}", None)
    stage.do(update(table).where(stage.mine(table), table.c.id == rows[0]["id"]).values(envelope=forged))


# ── everything ─────────────────────────────────────────────────────────────────────────────────────
_ALL = tuple(table.name for table in tables.metadata.sorted_tables)


def _delete_all(stage: Stage, names: Sequence[str]) -> None:
    chosen = [tables.metadata.tables[name] for name in names]
    stage.do(*(delete(table).where(stage.mine(table)) for table in chosen))


def _no_ledger(stage: Stage) -> None:
    _delete_all(stage, LEDGER)
    stage.hide_heads(published=True)


def _nothing(stage: Stage) -> None:
    _delete_all(stage, _ALL)
    stage.hide_heads(published=True)


SCENES = (
    Scene("an entry edited; tiles, root and checkpoint made again, not signed again", _recomputed),
    Scene("the same, signed by another key", _recomputed_other_key),
    Scene("fork: the same, signed by the log's own key", _fork),
    Scene("every checkpoint signed by another key", _wrong_key),
    Scene("a middle entry dropped", _dropped),
    Scene("a middle entry dropped and the gap closed, all made again", _dropped_closed),
    Scene("two entries of a writer swapped, all made again and signed by the log's own key", _swapped),
    Scene("a writer's entry removed before it had its place, heads outside removed", _removed_waiting),
    Scene("rollback: set back to an earlier checkpoint", _rollback),
    Scene("tail cut, mirrored head removed", _tail),
    Scene("tail cut, mirrored and published heads removed", _tail_and_heads),
    Scene("a tile lost", _lost_tile),
    Scene("a tile's hashes blank", _blank_hashes),
    Scene("the root blank", _blank_root),
    Scene("the root of the empty tree", _empty_root),
    Scene("published: a bundle lost", _published_lost),
    Scene("published: a partial tile lost", _published_partial),
    Scene("published: a byte of a bundle flipped", _published_flipped),
    Scene("published: a fork of the same size, signed by the log's own key", _published_fork),
    Scene(
        "a certificate signed by another key, the mirror's copy removed",
        _certificate_other_key,
        ("certificates",),
    ),
    Scene("the whole ledger deleted, heads outside removed", _no_ledger),
    Scene("every row of the tenant deleted, heads outside removed", _nothing, _ALL),
    Scene("every row of the cell deleted", _nothing, _ALL, of_cell=True),
)
