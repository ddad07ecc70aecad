"""Everything that a cell ever stored, kept as an attacker would: from copies, at any number of moments.

A copy of the embedded store is opened as its files lie: the database alone, and then with every prefix of
its write-ahead log that ends with a commit, so that a state which a later commit replaced is found as well.
"""

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from support.cell import Cell
from tenure.keys import segments
from tenure.keys.seal import Binding

Rows = Callable[[str], Iterable[Sequence[Any]]]

_QUERIES = {
    "manifests": "SELECT blob FROM key_manifests",
    "shards": "SELECT CAST(tenant_id AS TEXT), depth, prefix, seq, blob FROM key_shards",
    "versions": "SELECT CAST(tenant_id AS TEXT), scope, CAST(record_id AS TEXT), version, header, head,"
    " content, segments FROM versions WHERE header IS NOT NULL",
    "references": "SELECT CAST(tenant_id AS TEXT), CAST(id AS TEXT), ref_header, sealed_ref"
    " FROM subjects WHERE ref_header IS NOT NULL",
}
_WAL_HEAD, _FRAME_HEAD = 32, struct.Struct(">6I")
_MANIFEST, _SHARD = b"TNSM\x01", b"TNSS\x01"


class Address(NamedTuple):
    """Where a shard belongs; its associated data covers this."""

    tenant: str
    depth: int
    prefix: int
    seq: int


class SealedShard(NamedTuple):
    """A sealed L2 shard; without an address when it lay in a file that a crash left half named."""

    address: Address | None
    blob: bytes


class SealedText(NamedTuple):
    """A sealed version, or a subject's sealed reference: a header and its named parts."""

    binding: Binding
    header: bytes
    parts: tuple[tuple[str, bytes], ...]


@dataclass
class Attic:
    """Stored blobs, each once however often it was seen."""

    manifests: set[bytes] = field(default_factory=set)
    shards: set[SealedShard] = field(default_factory=set)
    texts: set[SealedText] = field(default_factory=set)

    def __or__(self, other: "Attic") -> "Attic":
        return Attic(self.manifests | other.manifests, self.shards | other.shards, self.texts | other.texts)

    def keep_rows(self, rows: Rows) -> None:
        """Keep what a database holds; `rows` runs a query with every right."""
        self.manifests |= {bytes(blob) for (blob,) in rows(_QUERIES["manifests"])}
        self.shards |= {SealedShard(Address(*at), bytes(blob)) for *at, blob in rows(_QUERIES["shards"])}
        for *address, header, head, content, parts in rows(_QUERIES["versions"]):
            binding = Binding(*address)
            whole = (
                (("head", bytes(head)),) if parts else (("head", bytes(head)), ("content", bytes(content)))
            )
            self.texts.add(SealedText(binding, bytes(header), whole))
            for place, one in enumerate(segments.decode(bytes(content)) if parts else []):
                if one is not None:
                    sealed = (("head", one.head), ("content", one.content))
                    self.texts.add(SealedText(binding.segment(place), one.header, sealed))
        for tenant, subject, header, reference in rows(_QUERIES["references"]):
            binding = Binding(tenant, "tenure.subjects", subject, 0)
            self.texts.add(SealedText(binding, bytes(header), (("ref", bytes(reference)),)))

    def keep_sqlite(self, database: Path) -> None:
        """Keep every state that the files of a SQLite database hold. Works on copies: nothing is touched."""
        with tempfile.TemporaryDirectory() as folder:
            for copy in _states(database, Path(folder)):
                # A copy made while the database is written to may be torn; the next one is not.
                with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(copy)) as connection:
                    self.keep_rows(connection.execute)

    def keep_mirror(self, folder: Path) -> None:
        """Keep the key states of a mirror."""
        for path in folder.rglob("*"):
            if not path.is_file():
                continue
            blob = path.read_bytes()
            if blob.startswith(_MANIFEST):
                self.manifests.add(blob)
            elif blob.startswith(_SHARD):
                self.shards.add(SealedShard(_address(path), blob))

    def keep(self, cell: Cell) -> None:
        """Keep all that a cell that nobody changes just now has stored."""
        if cell.dialect == "sqlite":
            self.keep_sqlite(cell.settings.data_dir / "tenure.db")
        else:
            self.keep_rows(cell.rows)
        self.keep_mirror(mirror_of(cell))


def mirror_of(cell: Cell) -> Path:
    """The folder of a cell's mirror."""
    return cell.settings.root_dir / "mirror"


def _address(path: Path) -> Address | None:
    """Of a mirrored shard, `shards/TENANT/DEPTH-PREFIX-SEQ-DIGEST`; None for a temporary file."""
    if path.name.startswith("."):
        return None
    depth, prefix, seq, _ = path.name.split("-")
    return Address(path.parent.name, int(depth), int(prefix, 16), int(seq))


def newest_copy(database: Path, folder: Path) -> Path:
    """A copy of a SQLite database with its write-ahead log: opening it leaves the original as it lies."""
    copy = folder / "copy.db"
    shutil.copyfile(database, copy)
    wal = database.with_name(f"{database.name}-wal")
    if wal.exists():
        shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
    return copy


def _states(database: Path, folder: Path) -> Iterator[Path]:
    """Copies of a SQLite database as of each commit in its write-ahead log, the oldest first."""
    copy, wal = folder / "copy.db", database.with_name(f"{database.name}-wal")
    log = wal.read_bytes() if wal.exists() else b""
    for end in (0, *_commits(log)):
        for left in folder.iterdir():
            left.unlink()
        shutil.copyfile(database, copy)
        if end:
            copy.with_name(f"{copy.name}-wal").write_bytes(log[:end])
        yield copy


def _commits(log: bytes) -> Iterator[int]:
    """Where each commit in a write-ahead log ends (SQLite documentation, "WAL-mode File Format")."""
    if len(log) < _WAL_HEAD:
        return
    page, salts = int.from_bytes(log[8:12]), log[16:24]
    size = _FRAME_HEAD.size + page
    for at in range(_WAL_HEAD, len(log) - size + 1, size):
        if log[at + 8 : at + 16] != salts:
            return  # left from before the log was begun anew
        if int.from_bytes(log[at + 4 : at + 8]):
            yield at + size
