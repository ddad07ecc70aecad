"""Whoever can write the database still cannot make one thing read as another."""

from typing import NamedTuple

import pytest
from sqlalchemy import text

from support.cell import Cell
from support.databases import DATABASES
from tenure.errors import KeyFailure, NotFound, Tampered

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def _fails(cell: Cell, key: str, **how: object) -> None:
    with pytest.raises(KeyFailure):
        await cell.get(key, **how)  # type: ignore[arg-type]


class Pair(NamedTuple):
    """An open cell and the ids of the records under the keys `a` (two versions) and `b` (one)."""

    cell: Cell
    a: str
    b: str


@pytest.fixture(params=["cold", "warm"])
async def pair(cell: Cell, request: pytest.FixtureRequest) -> Pair:
    """Two records of one person, read before or not: keys that are kept must not blur what they open."""
    await cell.put("a", "A", "customer:1")
    a = await cell.put("a", "A2", "customer:1")
    b = await cell.put("b", "B", "customer:1")
    if request.param == "warm":
        for key, version in (("a", 1), ("a", 2), ("b", 1)):
            await cell.get(key, version=version)
    return Pair(cell, a.record, b.record)


async def test_parts_swapped_between_two_records(pair: Pair) -> None:
    cell, a, b = pair
    parts = cell.stored()
    _give(cell, a, 2, parts[b, 1])
    _give(cell, b, 1, parts[a, 2])
    await _fails(cell, "a")
    await _fails(cell, "b")
    assert await cell.value("a", version=1) == "A"


async def test_parts_swapped_between_two_versions(pair: Pair) -> None:
    cell, a, _ = pair
    parts = cell.stored()
    _give(cell, a, 2, parts[a, 1])
    _give(cell, a, 1, parts[a, 2])
    await _fails(cell, "a")
    await _fails(cell, "a", version=1)


async def test_content_alone_swapped(pair: Pair) -> None:
    cell, a, b = pair
    parts = cell.stored()
    _give(cell, a, 2, (*parts[a, 2][:2], parts[b, 1][2]))
    await _fails(cell, "a")


async def test_content_and_head_exchanged(pair: Pair) -> None:
    cell, a, _ = pair
    header, head, content = cell.stored()[a, 2]
    _give(cell, a, 2, (header, content, head))
    await _fails(cell, "a")


@pytest.mark.databases(*DATABASES)
async def test_whole_rows_exchanged_between_two_records(pair: Pair) -> None:
    """The rows keep their version ids and everything sealed; only whose they are has changed."""
    cell, a, b = pair
    whose = "record_id = (SELECT id FROM records WHERE CAST(id AS TEXT) = :{})"
    row = "CAST(record_id AS TEXT) = :{} AND version = {}"
    moves = [
        f"UPDATE versions SET version = 1000 WHERE {row.format('b', 1)}",
        f"UPDATE versions SET {whose.format('b')}, version = 1 WHERE {row.format('a', 2)}",
        f"UPDATE versions SET {whose.format('a')}, version = 2 WHERE {row.format('b', 1000)}",
    ]
    with cell.raw() as connection:
        for sql in moves:
            connection.execute(text(sql), {"a": a, "b": b})
    await _fails(cell, "a")
    await _fails(cell, "b")


async def test_a_record_index_pointed_at_another_record(pair: Pair) -> None:
    """Exchanging two records' blind indexes must not serve one under the other's key."""
    cell, a, b = pair
    indexes = dict(cell.rows("SELECT CAST(id AS TEXT), key_index FROM records"))
    move = "UPDATE records SET key_index = :i WHERE CAST(id AS TEXT) = :r"
    for record, index in ((a, "parked"), (b, indexes[a]), (a, indexes[b])):
        cell.change(move, r=record, i=index)
    for key, wrong in (("a", "B"), ("b", "A2")):
        try:
            read = await cell.get(key)
        except (KeyFailure, NotFound):
            continue
        assert read.key == key, f"asked for {key!r}, was given {wrong!r} of another record"


async def test_a_row_copied_to_another_tenant(pair: Pair) -> None:
    cell, a, _ = pair
    await cell.put("a", "theirs", "customer:1", tenant=cell.two)
    theirs = (await cell.get("a", tenant=cell.two)).record
    _give(cell, theirs, 1, cell.stored()[a, 1])
    await _fails(cell, "a", tenant=cell.two)


async def test_a_row_copied_to_another_tenant_with_all_its_ids(cell: Cell) -> None:
    written = await cell.put("a", "A", "customer:1")
    await cell.put("a", "theirs", "customer:1", tenant=cell.two)
    theirs = "(SELECT id FROM tenants WHERE CAST(id AS TEXT) = :two)"
    mine = "(SELECT record_id FROM versions WHERE CAST(record_id AS TEXT) = :a)"
    moved = [
        f"UPDATE versions SET tenant_id = {theirs} WHERE CAST(record_id AS TEXT) = :a",
        f"UPDATE records SET id = {mine} WHERE CAST(tenant_id AS TEXT) = :two",
    ]
    assert cell.change(*moved, a=written.record, two=cell.two.id) == 1
    await _fails(cell, "a", tenant=cell.two)


@pytest.mark.databases(*DATABASES)
async def test_one_flipped_bit_anywhere(cell: Cell) -> None:
    await cell.put("a", "A", "customer:1")
    a = (await cell.get("a")).record
    whole = cell.stored()[a, 1]
    for part in range(3):
        for place in (0, 8, len(whole[part] or b"") // 2, -1):
            damaged = bytearray(whole[part] or b"")
            damaged[place] ^= 1
            _give(cell, a, 1, (*whole[:part], bytes(damaged), *whole[part + 1 :]))
            await _fails(cell, "a")
    _give(cell, a, 1, whole)
    assert await cell.value("a") == "A"


async def test_labels_taken_off_a_row(cell: Cell) -> None:
    """Labels lie beside the seal; what the database says about them must not widen who reads."""
    await cell.put("ill", "secret", "customer:1", categories=("health",))
    clerk = cell.one.ask("clerk")
    cell.change("UPDATE versions SET labels = 'contact'", "UPDATE records SET labels = 'contact'")
    with pytest.raises((Tampered, KeyFailure)):
        await cell.get("ill", ask=clerk)


def _give(cell: Cell, record: str, version: int, parts: tuple[bytes | None, ...]) -> None:
    touched = cell.change(
        "UPDATE versions SET header = :h, head = :d, content = :c"
        " WHERE CAST(record_id AS TEXT) = :r AND version = :v",
        r=record,
        v=version,
        h=parts[0],
        d=parts[1],
        c=parts[2],
    )
    assert touched == 1
