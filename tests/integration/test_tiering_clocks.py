"""What is due is told by the database's clock: a process that is days off moves nothing early."""

import pytest

from support.cell import Cell, crash
from support.moody import Moody
from support.tiering import moody, stocked, tier
from tenure import ids
from tenure.errors import Unavailable
from tenure.model.lifetime import HOUR_US
from tenure.store import packs

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
_real, _database_now = ids.now, packs.now


def by_database(patch: pytest.MonkeyPatch, hours: int) -> None:
    patch.setattr(packs, "now", lambda tx: _database_now(tx) + hours * HOUR_US)


@pytest.mark.parametrize("days", [30, -30])
async def test_a_process_whose_clock_is_wrong_dies_in_the_middle(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    async with scaled.opened():
        await stocked(scaled)
    monkeypatch.setattr(ids, "now", lambda: _real() + days * 24 * HOUR_US)
    wrong = await scaled.crashing()
    try:
        assert (await tier(wrong))["packs"] == 0, "they are an hour old, whatever this process thinks"
        by_database(monkeypatch, 25)
        store: Moody = moody(wrong)
        store.mood["keep"] = "after"
        with pytest.raises(Unavailable):
            await tier(wrong)
        await scaled.put("meanwhile", "by a wrong clock", "customer:9")
    finally:
        await crash(wrong)
    monkeypatch.setattr(ids, "now", _real)
    by_database(monkeypatch, 25)
    async with scaled.opened() as tenure:
        moved = await tier(tenure)
        assert (moved["packs"], moved["removed"]) == (1, 1)
        assert [await scaled.value(f"k{n}") for n in range(3)] == [0, 1, 2]
        assert (await scaled.get("k0")).tier == "cold"
        assert await scaled.value("meanwhile") == "by a wrong clock"
        assert scaled.rows("SELECT count(*), min(state) FROM packs") == [(1, "stored")]
        assert (await scaled.audited()).ok
