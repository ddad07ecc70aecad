"""Leaves are given to one thing only, and taken from the tenant's sequence seldom."""

import asyncio

import pytest

from support.cell import NOTES, Cell
from support.databases import DATABASES
from support.statements import Line, recording
from tenure.leaves import SPARE

pytestmark = pytest.mark.anyio


def taken(lines: list[Line]) -> int:
    return sum("UPDATE leaf_sequences" in line.sql for line in lines)


@pytest.mark.databases("sqlite")
async def test_a_batch_takes_them_at_once_and_keeps_what_it_leaves_over(place: Cell) -> None:
    with recording() as lines:
        async with place.opened():
            await place.put("first", 1, "customer:0", categories=("health",))
            lines.clear()
            await asyncio.gather(*(place.put(f"k{n}", n, f"customer:{n}") for n in range(1, 6)))
            assert taken(lines) == 1, "five people who are new"
            lines.clear()
            for n in range(1, 6):
                await place.put(f"k{n}", n, f"customer:{n}")
            assert taken(lines) == 0


@pytest.mark.databases(*DATABASES)
async def test_no_two_things_have_one_leaf(place: Cell) -> None:
    """Whatever is refused, taken back or left over on the way; through two starts."""
    for start in range(2):
        async with place.opened():
            await asyncio.gather(
                *(place.put(f"s{start}-{n}", n, f"customer:{start}{n % 20}") for n in range(SPARE + 10)),
                *(place.put(f"s{start}-n{n}", n, scope=NOTES) for n in range(5)),
                *(place.put(f"s{start}-x{n}", n, scope="nowhere") for n in range(5)),
                return_exceptions=True,
            )
    leaves = [
        leaf
        for table in ("subjects", "cohorts", "scope_leaves")
        for (leaf,) in place.rows(
            f"SELECT leaf FROM {table} WHERE CAST(tenant_id AS TEXT) = :t",
            t=place.one.id,
        )
    ]
    assert len(leaves) > 40
    assert len(set(leaves)) == len(leaves)
    ((following,),) = place.rows(
        "SELECT next FROM leaf_sequences WHERE CAST(tenant_id AS TEXT) = :t", t=place.one.id
    )
    assert max(leaves) < following
