"""The cells that every case starts from, and copies of them."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest.mock import patch

from support.cell import NOTES, SCOPE, SUPPORT, Cell, blank, furnish
from support.tiering import declare, rule, tier
from tenure.decisions import Opening
from tenure.ledger.canonical import canonical
from tenure.model.lifetime import HOUR_US
from tenure.model.record import Draft, Segment
from tenure.store import packs
from tenure.store.session import Tx

AHEAD_US = 25 * HOUR_US
"""By so much the database's clock is ahead of when the records were written: they are due."""
WARM = "warm"
TALK = "talk"
WORDS = tuple(canonical({"said": f"words of {name}"}) for name in ("one", "two"))
CONTENTS = {f"k{n}": canonical({"said": f"value {n}", "n": n}) for n in range(3)}
_MANY = 12
_RULE = {"hotFor": "1d", "coldFor": "30d", "archiveFor": "60d", "deleteAfter": "91d"}
_database_now = packs.now


class Act(StrEnum):
    """What the job has to do."""

    MOVE = "a pack is made"
    ANEW = "a pack is made anew"


@dataclass(frozen=True)
class Scene:
    """A furnished cell that is never opened again, only copied; the decision that saw its records."""

    cell: Cell
    act: Act
    decision: str

    @classmethod
    def all(cls, folder: Path) -> dict[Act, "Scene"]:
        """Three records and one in segments, which a decision read: due, or in a pack that is mostly dead."""
        stem = asyncio.run(furnish(*blank("sqlite", folder / "stem", None)))
        made = {}
        for act in Act:
            cell = _copied(stem, folder / act.name)
            made[act] = cls(cell, act, asyncio.run(_furnished(cell, act)))
        return made

    def copy(self, folder: Path) -> Cell:
        """A cell of its own below `folder`, with the job."""
        shutil.rmtree(folder, ignore_errors=True)
        return _copied(self.cell, folder, tier_interval_s=3600.0)


def _copied(cell: Cell, folder: Path, **changes: Any) -> Cell:
    for name in ("data", "root"):
        shutil.copytree(cell.settings.data_dir.parent / name, folder / name)
    changes |= {"data_dir": folder / "data", "root_dir": folder / "root"}
    settings = cell.settings.model_copy(update=changes)
    return replace(cell, settings=settings, admin_url=f"sqlite:///{folder / 'data' / 'tenure.db'}")


@contextmanager
def due() -> Iterator[None]:
    """Time has passed, for whoever asks what is due: by the database's clock, whatever the process's says."""
    with patch.object(packs, "now", _later):
        yield


def _later(tx: Tx) -> int:
    return _database_now(tx) + AHEAD_US


async def _furnished(cell: Cell, act: Act) -> str:
    async with cell.opened():
        await declare(cell, rule("talks", scopes=[SCOPE], **_RULE))
        agent = cell.one["agent"]
        decision = str((await cell.tenure.decisions.open(agent, Opening(SUPPORT)))["id"])
        ask = cell.one.ask(decision=decision)
        for key, content in CONTENTS.items():
            await _write(cell, SCOPE, key, Draft(content, (f"customer:{key}",), ("contact",)))
        parts = tuple(Segment(words, (f"customer:{n}",)) for n, words in enumerate(WORDS))
        await _write(cell, SCOPE, TALK, Draft(b"", (), ("contact",), segments=parts))
        await _write(cell, NOTES, WARM, Draft(canonical({"said": "here"}), (), ("contact",)))
        for key in (*CONTENTS, TALK):
            await cell.get(key, ask=ask)
        if act is Act.ANEW:
            for n in range(_MANY):
                await cell.put(f"gone{n}", "x" * 400, "customer:gone")
            with due():
                assert (await tier(cell.tenure))["packs"] == 1
            assert (await cell.erase("customer:gone"))["state"] == "completed"
        await cell.tenure.decisions.seal(agent, decision, "done", None)
        await cell.tenure.sequencer.run(cell.one.id)
    return decision


async def _write(cell: Cell, scope: str, key: str, draft: Draft) -> None:
    await cell.tenure.gateway.write(cell.one.ask(), scope, key, draft)


async def warm(cell: Cell, key: str) -> None:
    """One write and one read of what is in the database."""
    await _write(cell, NOTES, key, Draft(canonical({"said": key}), (), ("contact",)))
    found = await cell.get(WARM, scope=NOTES)
    assert json.loads(found.content or b"")["said"] == "here"
