"""After the certificate nothing ever stored gives the person back; and the search would have found them.

Database (with its write-ahead log), mirror and objects are kept at every durable step of an erasure.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.attic import Attic, mirror_of
from support.cell import JOINT, Cell
from support.durable import Step, When, witnessed
from support.erasure import assert_certified
from support.oracle import Oracle

pytestmark = pytest.mark.anyio

GONE, STAYS, BOTH, THEIRS = "what the leaver told us", "what the stayer told us", "what both said", "theirs"
REFERENCE = b"customer:gone"


@dataclass
class Collector:
    """Keeps everything at every durable step."""

    cell: Cell
    attic: Attic = field(default_factory=Attic)
    steps: list[str] = field(default_factory=list)
    files: set[bytes] = field(default_factory=set)

    def keep(self) -> None:
        self.attic.keep(self.cell)
        for folder in (self.cell.settings.data_dir, mirror_of(self.cell)):
            self.files |= {path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def witness(self, step: Step, when: When) -> None:
        self.steps.append(f"{when} {step}")
        self.keep()


@pytest.fixture
def aside(place: Cell, tmp_path: Path) -> Iterator[Path]:
    """Where a copy of the root keys is kept: what the operator promises not to have."""
    return tmp_path / "aside"


def _stored(*values: str) -> set[bytes]:
    return {json.dumps({"v": value}).encode() for value in values}


async def _furnish(cell: Cell) -> None:
    await cell.put("gone", "an earlier version", "customer:gone")
    await cell.put("gone", GONE, "customer:gone")
    await cell.put("stays", STAYS, "customer:stays")
    await cell.put("both", BOTH, "customer:gone", "customer:stays", scope=JOINT)
    await cell.put("shared", "dies with either", "customer:gone", "customer:stays")
    await cell.put("theirs", THEIRS, "customer:other", tenant=cell.two)


async def test_nothing_that_was_ever_stored_gives_the_person_back(place: Cell, aside: Path) -> None:
    kept = Collector(place)
    async with place.opened():
        await _furnish(place)
        keys = place.settings.root_dir / "keys"
        await asyncio.to_thread(kept.keep)
        shutil.copytree(keys, aside)
        before = Oracle(kept.attic, keys)
        assert _stored(GONE, STAYS, BOTH, THEIRS) < before.reads("content"), (
            "the control: it opens before the erasure"
        )
        assert REFERENCE in before.reads("ref")

        with witnessed(kept.witness, place.settings.root_dir, place.settings.data_dir):
            state = await place.erase("customer:gone")
        await assert_certified(place, state)
        await asyncio.to_thread(kept.keep)

    assert len(kept.steps) > 20, kept.steps
    after = Oracle(kept.attic, keys)
    assert after.reads("content") == _stored(STAYS, BOTH, THEIRS), "everybody else, and nobody who was erased"
    assert REFERENCE not in after.reads("ref")
    attacker = Oracle(kept.attic, keys, aside)
    assert attacker.reads("content") == before.reads("content"), "the control: only the old root key is gone"
    assert REFERENCE in attacker.reads("ref")
    for plain in (GONE, STAYS, BOTH, THEIRS, "customer:gone"):
        assert not any(plain.encode() in one for one in kept.files), "nothing lies in the clear"


async def test_a_root_key_that_was_only_said_to_be_gone_is_found_out(place: Cell, aside: Path) -> None:
    """The same search with one old key file put back into the live directory."""
    kept = Collector(place)
    async with place.opened():
        await _furnish(place)
        await asyncio.to_thread(kept.keep)
        keys = place.settings.root_dir / "keys"
        (old,) = keys.glob("*.key")
        shutil.copytree(keys, aside)
        await place.erase("customer:gone")
        assert not _stored(GONE) & Oracle(kept.attic, keys).reads("content")
    shutil.copy(aside / old.name, keys / old.name)
    (keys / old.name).with_suffix(".destroyed").unlink()
    assert _stored(GONE) < Oracle(kept.attic, keys).reads("content")
