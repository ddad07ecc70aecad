"""The negative table: whatever is done to a real published log, `tenure audit` fails and names it.

Under the key that was pinned before, with a checkpoint kept from before: as an auditor comes back.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from support.cell import Cell
from support.lived import live
from tenure.cli.entry import app
from tenure.groundwork import ground_of
from tenure.ledger.canonical import canonical
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.note import Signer, sign_note
from tenure.ledger.tile import (
    ENTRIES,
    WIDTH,
    TileId,
    decode_bundle,
    encode_bundle,
    expected_bundles,
    expected_tiles,
)
from tenure.ledger.tree import Tree
from tenure.store import tables

pytestmark = pytest.mark.anyio
ANOTHER = bytes(range(32))


class Log(NamedTuple):
    """A published log in a folder of its own, its pinned key, its signer, and a checkpoint of half of it."""

    folder: Path
    vkey: str
    signer: Signer
    earlier: Path

    def entries(self) -> list[bytes]:
        return [
            entry
            for bundle in expected_bundles(self.size)
            for entry in decode_bundle((self.folder / bundle.path).read_bytes())
        ]

    @property
    def size(self) -> int:
        return int((self.folder / "checkpoint").read_text().splitlines()[1])

    def publish(self, entries: list[bytes], signer: Signer) -> None:
        """These entries instead, everything made again and signed."""
        shutil.rmtree(self.folder / "tile")
        tree = Tree()
        tiles = {(one.level, one.n): one.data for one in tree.append(map(leaf_hash, entries))}
        for tile in expected_tiles(len(entries)):
            self.put(tile, tiles[tile.level, tile.n][: tile.width * 32])
        for bundle in expected_bundles(len(entries)):
            start = bundle.n * WIDTH
            self.put(bundle, encode_bundle(entries[start : start + bundle.width]))
        body = Checkpoint(self.signer.name, len(entries), tree.root()).body
        (self.folder / "checkpoint").write_text(sign_note(body, [signer]))

    def put(self, tile: TileId, data: bytes) -> None:
        path = self.folder / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def bundle(self) -> Path:
        return self.folder / TileId(ENTRIES, 0, min(WIDTH, self.size)).path

    def audit(self) -> tuple[int, dict[str, Any]]:
        arguments = ["audit", str(self.folder), "--vkey", self.vkey, "--earlier", str(self.earlier), "--json"]
        found = CliRunner().invoke(app, arguments)
        return found.exit_code, json.loads(found.stdout)


@pytest.fixture(scope="module")
def published() -> dict[str, Log]:
    """The log that every harm is done to a copy of; the first test makes it."""
    return {}


@pytest.fixture
async def log(
    embedded: Cell, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, published: dict[str, Log]
) -> Log:
    """A copy of it; the checkpoint from before is for reading only."""
    if "log" not in published:
        published["log"] = await _published(embedded, tmp_path_factory.mktemp("published"))
    made = published["log"]
    shutil.copytree(made.folder, tmp_path / "log")
    return made._replace(folder=tmp_path / "log")


async def _published(embedded: Cell, folder: Path) -> Log:
    """As a cell published it in which something of everything happened."""
    async with embedded.opened():
        await live(embedded)
        kept = embedded.published() / "checkpoint"
        (folder / "earlier").write_bytes(kept.read_bytes())
        await embedded.put("later", 1, "customer:1")
        await embedded.put("later", 2, "customer:1")
        await embedded.tenure.sequencer.run(embedded.one.id)
        signer = signer_of(embedded)
    shutil.copytree(embedded.published(), folder / "log")
    return Log(folder / "log", signer.vkey, signer, folder / "earlier")


def signer_of(cell: Cell) -> Signer:
    ground = ground_of(cell.settings)
    try:
        keys = ground.keyring.manifest().tenants[cell.one.id]
        return Signer(f"{cell.settings.ledger_origin}/{cell.one.id}/1", keys.ledger_seed)
    finally:
        ground.database.close()


def numbered(entry: bytes, n: int) -> bytes:
    return canonical({**json.loads(entry), "n": n})


def of_one_writer(entries: list[bytes]) -> list[int]:
    """Places of the entries of the writer that has most."""
    writers = [json.loads(entry)["writer"] for entry in entries]
    most = max(set(writers), key=writers.count)
    return [at for at, writer in enumerate(writers) if writer == most]


def flipped_byte(log: Log) -> None:
    data = bytearray(log.bundle().read_bytes())
    data[len(data) // 2] ^= 1
    log.bundle().write_bytes(data)


def truncated_tail(log: Log) -> None:
    last = list(expected_bundles(log.size))[-1]
    entries = decode_bundle((log.folder / last.path).read_bytes())
    (log.folder / last.path).write_bytes(encode_bundle(entries[:-2]))


def dropped_middle(log: Log) -> None:
    entries = log.entries()
    at = of_one_writer(entries)[3]
    log.publish([*entries[:at], *entries[at + 1 :]], log.signer)


def gap(log: Log) -> None:
    entries = log.entries()
    at = of_one_writer(entries)[-1]
    entries[at] = numbered(entries[at], json.loads(entries[at])["n"] + 5)
    log.publish(entries, log.signer)


def reordered(log: Log) -> None:
    entries = log.entries()
    one, two = of_one_writer(entries)[-2:]
    entries[one], entries[two] = entries[two], entries[one]
    log.publish(entries, log.signer)


def fork(log: Log) -> None:
    """Of the same size, with another past, signed by the log's own key."""
    entries = log.entries()
    entries[2] = canonical({**json.loads(entries[2]), "outcome": "forged"})
    log.publish(entries, log.signer)


def rollback(log: Log) -> None:
    size = int(log.earlier.read_text().splitlines()[1])
    log.publish(log.entries()[: size - 1], log.signer)


def wrong_key(log: Log) -> None:
    log.publish(log.entries(), Signer(log.signer.name, ANOTHER))


def edited_unsigned(log: Log) -> None:
    """Everything made again but the signature."""
    note = (log.folder / "checkpoint").read_text()
    fork(log)
    body = (log.folder / "checkpoint").read_text().partition("\n\n")[0]
    (log.folder / "checkpoint").write_text(f"{body}\n\n{note.partition(chr(10) * 2)[2]}")


def lost_tile(log: Log) -> None:
    (log.folder / TileId(0, 0, min(WIDTH, log.size)).path).unlink()


def missing_partial(log: Log) -> None:
    tile = [one for one in expected_tiles(log.size) if one.width < WIDTH][-1]
    (log.folder / tile.path).unlink()


def lost_bundle(log: Log) -> None:
    log.bundle().unlink()


def everything_deleted(log: Log) -> None:
    shutil.rmtree(log.folder)
    log.folder.mkdir()


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (flipped_byte, "entry-flipped"),
        (truncated_tail, "truncated"),
        (dropped_middle, "writer-gap"),
        (dropped_middle, "fork"),
        (gap, "writer-gap"),
        (reordered, "writer-order"),
        (fork, "fork"),
        (rollback, "rollback"),
        (wrong_key, "unknown-key"),
        (edited_unsigned, "bad-signature"),
        (lost_tile, "tile-missing"),
        (missing_partial, "tile-missing"),
        (lost_bundle, "truncated"),
        (everything_deleted, "checkpoint-missing"),
    ],
)
async def test_each_is_named(log: Log, harm: Callable[[Log], None], name: str) -> None:
    code, report = log.audit()
    assert (code, report["failures"]) == (0, []), "an untouched log passes"
    harm(log)
    code, report = log.audit()
    assert code == 1
    assert name in {failure["check"] for failure in report["failures"]}
    assert report["not_checked"], "what was not looked at is said, always"


async def test_an_edited_row_is_named_once_the_log_is_served_from_it(embedded: Cell) -> None:
    """Somebody with the database edits an entry: whoever reads the log from the service finds it."""
    async with embedded.opened():
        await live(embedded)
        vkey = (await embedded.verifier()).vkey
    with embedded.raw() as connection:
        table = tables.entries
        mine = (table.c.tenant_id == embedded.one.id, table.c.kind == "access")
        row = connection.execute(select(table).where(*mine).limit(1)).mappings().one()
        body = canonical({**json.loads(bytes(row["body"])), "outcome": "forged"})
        here = (table.c.writer == row["writer"], table.c.n == row["n"], table.c.tenant_id == row["tenant_id"])
        connection.execute(update(table).where(*here).values(body=body))
        # Its log is published once more, from the database.
        logs = tables.logs
        connection.execute(update(logs).where(logs.c.tenant_id == embedded.one.id).values(published=0))
    async with embedded.opened():
        await embedded.tenure.sequencer.run(embedded.one.id)
    found = CliRunner().invoke(app, ["audit", str(embedded.published()), "--vkey", vkey, "--json"])
    assert found.exit_code == 1
    assert {one["check"] for one in json.loads(found.stdout)["failures"]} == {"entry-flipped"}
