"""What a person gets who asks what is held about them: all of theirs, nothing of others, once, for a while."""

import pytest

from support.cell import Cell
from support.packages import build, fetch, given, link, pieces, tidy

pytestmark = pytest.mark.anyio


async def test_smoke(cell: Cell) -> None:
    await cell.put("a", "first", "customer:1")
    await cell.put("a", "second", "customer:1")
    await cell.put("b", "theirs", "customer:2")
    await cell.put("c", "ours", "customer:1", "customer:2")
    made = await build(cell, "customer:1")
    print(made)
    token = await link(cell, made["package"])
    got = await fetch(cell, token)
    import json
    print(json.dumps(got.data, indent=1))
    print(got.page)
    assert 0
