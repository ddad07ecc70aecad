"""LangGraph's own conformance suite for savers, with every capability: on both databases, and over HTTP.

Over HTTP on one of them: what the wire does to a call is above the store, what the store does below it.
"""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.report import ProgressCallbacks

from support.cell import NOTES, Cell
from support.sites import async_client_of, client_of
from tenure.client.langgraph import TenureSaver

TESTS = 81
"""In langgraph-checkpoint-conformance 0.0.2."""


async def passes(saver: TenureSaver) -> None:
    results: list[tuple[str, bool, str | None]] = []

    @checkpointer_test(name="TenureSaver")
    async def factory() -> AsyncIterator[TenureSaver]:
        yield saver

    seen = ProgressCallbacks(
        on_test_result=lambda _capability, name, passed, error: results.append((name, passed, error))
    )
    report = await validate(factory, progress=seen)
    failed = [f"{name}\n{error}" for name, passed, error in results if not passed]
    assert not failed, "\n".join(failed)
    assert report.passed_all()
    assert len(results) == TESTS


@pytest.mark.anyio
async def test_every_capability_awaited(place: Cell) -> None:
    async with async_client_of(place, "in process") as client:
        await passes(TenureSaver(client, scope=NOTES, categories=["contact"]))


@pytest.mark.anyio
async def test_every_capability_over_http(embedded: Cell) -> None:
    async with async_client_of(embedded, "over HTTP") as client:
        await passes(TenureSaver(client, scope=NOTES, categories=["contact"]))


@pytest.mark.anyio
async def test_every_capability_of_a_client_that_blocks(embedded: Cell) -> None:
    with client_of(embedded, "in process") as client:
        await passes(TenureSaver(client, scope=NOTES, categories=["contact"]))
