"""Several processes of one cell: a paused one that wakes up later serves nobody who was erased meanwhile."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support import nursery
from support.cell import BRIEF_S, SCOPE, Cell
from support.erasure import assert_certified, assert_erased, root_versions
from tenure.errors import Unavailable
from tenure.store import replicas
from tenure.store.shreds import Batch

pytestmark = pytest.mark.anyio
SCRIPT = Path(__file__).parents[1] / "support" / "neighbour.py"


class Neighbour:
    """Another process of the cell."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        given = {
            "settings": json.loads(cell.settings.model_dump_json()) | {"replica_lease_s": BRIEF_S},
            "agent": cell.one.keys["agent"],
            "scope": SCOPE,
            "key": "k",
        }
        (folder / "neighbour.json").write_text(json.dumps(given))
        (ear, told), (heard, mouth) = os.pipe(), os.pipe()
        self._process = nursery.start(SCRIPT, str(folder / "neighbour.json"), stdin=ear, stdout=mouth)
        os.close(ear)
        os.close(mouth)
        self._told, self._heard = os.fdopen(told, "w"), os.fdopen(heard)

    def tell(self, line: str) -> None:
        self._told.write(line + "\n")
        self._told.flush()

    async def says(self) -> dict[str, Any]:
        """Its next word, whatever else is printed."""
        while True:
            line = await asyncio.to_thread(self._heard.readline)
            assert line, "the neighbour ended"
            with contextlib.suppress(ValueError):
                return dict(json.loads(line))

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    async def stopped(self) -> None:
        """Until it has stopped itself."""

        def wait() -> None:
            while Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2][0] != "T":
                time.sleep(0.02)

        await asyncio.to_thread(wait)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._told, self._heard):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.asynccontextmanager
async def two(scaled: Cell, tmp_path: Path) -> AsyncIterator[tuple[Cell, Neighbour]]:
    """A running cell and a second process of it that has read, and cached, what will be erased."""
    async with scaled.opened():
        await scaled.put("k", "secret", "customer:1")
        await scaled.put("stays", "kept", "customer:2")
        neighbour = Neighbour(scaled, tmp_path)
        try:
            assert await neighbour.says() == {"value": "secret"}
            yield scaled, neighbour
        finally:
            neighbour.end()


async def test_a_living_process_acknowledges_before_the_certificate(scaled: Cell, tmp_path: Path) -> None:
    async with two(scaled, tmp_path) as (cell, neighbour):
        state = await cell.erase("customer:1")
        await assert_certified(cell, state)
        live = cell.tenure.shredder._ground.keyring.live().pointer.seq
        known = cell.tenure._database.read("00000000-0000-0000-0000-000000000000", replicas.every)
        assert [(one.seq, one.live) for one in known] == [(live, True)] * 2
        neighbour.tell("read")
        assert await neighbour.says() == {"refused": "erased"}


@pytest.mark.parametrize("where", ["idle", "stop", "stop-late"])
async def test_a_paused_process_serves_nobody_when_it_wakes(scaled: Cell, tmp_path: Path, where: str) -> None:
    async with two(scaled, tmp_path) as (cell, neighbour):
        if where == "idle":
            neighbour.signal(signal.SIGSTOP)
        else:
            neighbour.tell(where)
            neighbour.tell("read")
        await neighbour.stopped()
        state = await cell.erase("customer:1")
        await assert_certified(cell, state)
        assert "fencing" in state["steps"], "it was waited for"
        neighbour.signal(signal.SIGCONT)
        if where == "idle":
            neighbour.tell("read")
        # Until it has a lease again it refuses everything; then it knows.
        while (said := await neighbour.says()) == {"refused": "unavailable"}:
            neighbour.tell("read")
        assert said == {"refused": "erased"}
        await assert_erased(cell, "k", certificate=state["certificate"])
        assert await cell.value("stays") == "kept"


async def test_a_coordinator_that_was_taken_over_from_changes_nothing(scaled: Cell, tmp_path: Path) -> None:
    async with two(scaled, tmp_path) as (cell, neighbour):
        shred = await cell.request("customer:1")
        neighbour.tell("stop-swap")
        neighbour.tell("shred")
        await neighbour.stopped()
        assert not await cell.tenure.shredder.run(), "somebody else is at it"
        await cell.tenure.shredder.resume()
        state = await cell.erasure(shred)
        await assert_certified(cell, state)
        before = root_versions(cell)["key"]
        neighbour.signal(signal.SIGCONT)
        assert await neighbour.says() == {"refused": "conflict"}
        assert root_versions(cell)["key"] == before, "the live root is as it was"
        assert await cell.value("stays") == "kept"
        await assert_certified(cell, await cell.erase("customer:2"))


async def test_no_coordinator_swaps_to_a_root_that_its_successor_destroyed(
    scaled: Cell, tmp_path: Path
) -> None:
    """The successor finishes an older batch: the pointer stays where the first one expects it to be."""
    async with two(scaled, tmp_path) as (cell, neighbour):
        shred = await cell.request("customer:1")
        neighbour.tell("stop-swap")
        neighbour.tell("shred")
        await neighbour.stopped()
        shredder = cell.tenure.shredder
        await asyncio.sleep(BRIEF_S + 0.5)
        term = await shredder._term()
        assert term is not None
        destroyed = await shredder._destroy(
            Batch("00000000-0000-7000-8000-000000000000", {}, "swapped"), term
        )
        assert len(destroyed) == 1, "what the first one is about to make live"
        neighbour.signal(signal.SIGCONT)
        assert await neighbour.says() == {"refused": "conflict"}
        assert await cell.value("stays") == "kept"
        await shredder.run()
        await assert_certified(cell, await cell.erasure(shred))


async def test_two_coordinators_at_once_erase_everybody_once(scaled: Cell) -> None:
    async with scaled.opened() as first:
        for n in range(6):
            await scaled.put(f"k{n}", n, f"customer:{n}")
        await scaled.put("stays", "kept", "customer:stays")
        async with scaled.opened() as second:
            shreds = [await scaled.request(f"customer:{n}") for n in range(6)]
            ran = await asyncio.gather(*(one.shredder.run() for one in (first, second) * 3))
            assert any(ran)
            states = [await scaled.erasure(shred) for shred in shreds]
        certificates = {(await assert_certified(scaled, state))["id"] for state in states}
        assert len(certificates) == 6
        assert scaled.rows("SELECT count(*) FROM certificates") == [(6,)]
        assert await scaled.value("stays") == "kept"
        assert len(root_versions(scaled)["key"]) == 1


async def test_without_its_lease_a_process_hands_nothing_out(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scaled.opened() as tenure:
        await scaled.put("k", "secret", "customer:1")
        monkeypatch.setattr(tenure._replica, "lasts", lambda: False)
        with pytest.raises(Unavailable):
            await scaled.get("k")
        monkeypatch.undo()
        assert await scaled.value("k") == "secret"
