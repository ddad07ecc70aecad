"""An erasure interrupted anywhere ends completed, and never certified before the old keys are dead.

Every durable step is made to fail once, without and with having been done; then the process is gone.
"""

import pytest

from support.cell import Cell, crash
from support.erasure import (
    Failing,
    InjectedError,
    When,
    assert_certified,
    assert_erased,
    certificates,
    root_versions,
)

pytestmark = pytest.mark.anyio

# `shredder._inside` is every transaction: 1 unfinished batches, 2 intent, 3 swap, then fence, purge, close.
STEPS = [
    *(("shredder._inside", call) for call in range(1, 11)),
    ("mirror.put_intent", 1),
    ("roots.create", 1),
    ("roots.seal", 1),
    ("mirror.put_shard", 1),
    ("mirror.put_shard", 2),
    ("mirror.put_manifest", 1),
    ("mirror.put_pointer", 1),
    ("roots.destroy", 1),
    ("mirror.put_certificate", 1),
    ("mirror.put_certificate", 2),
    ("database.compact", 1),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("method", "call"), STEPS, ids=[f"{method}-{call}" for method, call in STEPS])
async def test_interrupted_anywhere(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch, method: str, call: int, when: When
) -> None:
    await _interrupted(embedded, monkeypatch, Failing(method, call, when))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("method", "call"), [("shredder._inside", 3), ("mirror.put_pointer", 1), ("roots.destroy", 1)]
)
async def test_interrupted_on_postgresql(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch, method: str, call: int, when: When
) -> None:
    await _interrupted(scaled, monkeypatch, Failing(method, call, when))


async def _interrupted(cell: Cell, monkeypatch: pytest.MonkeyPatch, failing: Failing) -> None:
    tenure = await cell.crashing()
    for tenant in (cell.one, cell.two):
        await cell.put("gone", 1, "customer:gone", tenant=tenant)
        await cell.put("stays", "kept", "customer:stays", tenant=tenant)
    before = cell.stored()
    shreds = [(tenant, await cell.request("customer:gone", tenant)) for tenant in (cell.one, cell.two)]
    with monkeypatch.context() as patched:
        failing.into(tenure, patched)
        try:
            await tenure.shredder.run()
            failed = False
        except InjectedError:
            failed = True
    await crash(tenure)
    assert failed or failing.seen < failing.call, "the failure was swallowed"
    if not failed:
        pytest.skip("an erasure has fewer of these")
    if certificates(cell):
        assert len(root_versions(cell)["key"]) == 1, "certified while an old root key lives"

    async with cell.opened() as tenure:
        assert not tenure.recovered.restored, "a crash is no restore"
        for tenant, shred in shreds:
            state = await cell.erasure(shred, tenant)
            await assert_certified(cell, state, tenant)
            await assert_erased(cell, "gone", certificate=state["certificate"], tenant=tenant)
            assert await cell.value("stays", tenant=tenant) == "kept"
            kept = (cell.settings.root_dir / "mirror" / "certificates" / shred).read_text()
            assert state["certificate"] in kept, "a restored database would not know it"
        survivors = {key: parts for key, parts in cell.stored().items() if any(parts)}
        assert len(survivors) == 1
        assert survivors.items() <= before.items(), "byte for byte"
        versions = root_versions(cell)
        assert len(versions["key"]) == 1
        assert len(certificates(cell)) == 2
        await assert_certified(cell, await cell.erase("customer:stays"))
        assert (await cell.audited()).ok
