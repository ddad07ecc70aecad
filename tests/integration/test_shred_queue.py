"""Requests and batches that meet: nobody who was asked for is left waiting for somebody else's request."""

import asyncio
from concurrent.futures import wait
from typing import Any

import pytest

from support.cell import Cell
from support.erasure import assert_certified, root_versions
from tenure.store import shreds

pytestmark = pytest.mark.anyio
_MEANWHILE_S = 1.0


async def test_a_request_in_the_middle_of_an_intent_is_in_the_next_batch(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intent has read who waits and has not committed; then somebody else is asked for."""
    async with scaled.opened() as tenure:
        for n in (1, 2):
            await scaled.put(f"k{n}", n, f"customer:{n}")
        first, person = await scaled.request("customer:1"), await scaled.person("customer:2")
        loop, late = asyncio.get_running_loop(), []
        real = shreds.requested

        def meanwhile(*args: Any) -> Any:
            found = real(*args)
            if not late:
                asking = tenure.subjects.shred(scaled.one["dpo"], person)
                late.append(asyncio.run_coroutine_threadsafe(asking, loop))
                wait(late, timeout=_MEANWHILE_S)  # it may have to wait for this transaction
            return found

        monkeypatch.setattr(shreds, "requested", meanwhile)
        await tenure.shredder.run()
        second = (await asyncio.wrap_future(late[0]))["shred"]
        await tenure.shredder.run()
        for shred in (first, second):
            await assert_certified(scaled, await scaled.erasure(shred))


async def test_what_is_more_than_one_batch_takes_follows_at_once(place: Cell) -> None:
    async with place.opened(shred_batch_size=2) as tenure:
        for n in range(5):
            await place.put(f"k{n}", n, f"customer:{n}")
        asked = [await place.request(f"customer:{n}") for n in range(5)]
        await tenure.shredder.run()
        for shred in asked:
            await assert_certified(place, await place.erasure(shred))
        assert len(root_versions(place)["destroyed"]) == 3, "two, two and one"
