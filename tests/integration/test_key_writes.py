"""Meeting people writes no key state: their leaves are numbers, and the state already covers every number."""

from collections import Counter

import pytest

from support.cell import NOTES, Cell
from support.durable import Step, When, witnessed

pytestmark = pytest.mark.anyio

PEOPLE = 40
KEY_STATE = ("key_", "keys/", "mirror/manifests", "mirror/shards", "mirror/pointer", "mirror/journal")


async def _written(cell: Cell, people: range) -> Counter[str]:
    """What became durable while new people were written about, two to a record and alone."""
    seen: Counter[str] = Counter()

    def witness(step: Step, when: When) -> None:
        seen[step.name] += when == "after"

    with witnessed(witness, cell.settings.data_dir, cell.settings.root_dir):
        for number in people:
            await cell.put(f"k{number}", number, f"customer:{number}")
            await cell.put(f"two{number}", number, f"customer:{number}", f"customer:with-{number}")
            await cell.put(f"none{number}", number, scope=NOTES)
        await cell.tenure.sequencer.run(cell.one.id)
    return seen


def _of_keys(seen: Counter[str]) -> dict[str, int]:
    return {name: times for name, times in seen.items() if any(part in name for part in KEY_STATE)}


async def test_new_people_write_no_key_state(cell: Cell) -> None:
    tables = ("key_manifests", "key_shards", "key_pointer", "key_batches")
    before = [cell.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]
    seen = await _written(cell, range(PEOPLE))
    met = cell.rows("SELECT count(DISTINCT leaf) FROM subjects")[0][0]
    assert met == 2 * PEOPLE, "everyone has a leaf of their own"
    assert sum(times for name, times in seen.items() if "subjects" in name) >= PEOPLE, "writes were watched"
    assert not _of_keys(seen)
    assert [cell.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables] == before


async def test_an_erasure_does_write_key_state(cell: Cell) -> None:
    """The control: the same count sees the writes of an erasure."""
    await cell.put("gone", 1, "customer:gone")
    seen: Counter[str] = Counter()
    with witnessed(lambda step, _when: seen.update([step.name]), cell.settings.root_dir):
        await cell.erase("customer:gone")
    found = " ".join(_of_keys(seen))
    for part in ("key_manifests", "key_shards", "key_pointer", "keys/", "mirror/manifests", "mirror/shards"):
        assert part in found
