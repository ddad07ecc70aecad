"""Cells whose root key is with a key service or in a token: moving it there, and providers that lie."""

import asyncio
import json
from typing import Any

import pytest

from support.cell import Cell, crash
from support.erasure import (
    Failing,
    InjectedError,
    assert_certified,
    assert_erased,
    certificates,
    root_versions,
)
from support.softhsm import PIN, SoftHsm
from support.strictkms import REGION, StrictKms
from tenure.errors import Conflict, KeyFailure, RootLost
from tenure.governance import shred
from tenure.rootstore.files import GUARANTEE as OF_FILES
from tenure.rootstore.kms import GUARANTEES as OF_KMS

pytestmark = pytest.mark.anyio

IMPORTED = f"aws-kms:imported?region={REGION}&cell=main"
GENERATED = f"aws-kms:generated?region={REGION}&cell=main&days=7"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> StrictKms:
    """AWS, as far as cells can see."""
    strict = StrictKms()
    client = strict.client()
    monkeypatch.setattr("boto3.client", lambda *_, **__: client)
    monkeypatch.setattr("tenure.rootstore.kms_calls._PATIENCE", (0.0,))
    return strict


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shred, "_POLL_S", 0.01)


async def furnished(cell: Cell) -> dict[tuple[str, int], tuple[bytes | None, ...]]:
    for n in range(3):
        await cell.put(f"stays{n}", n, f"customer:{n}")
    await cell.put("theirs", "kept", "customer:1", tenant=cell.two)
    await cell.put("gone", "gone", "customer:gone")
    return cell.stored()


async def assert_survivors(cell: Cell, before: dict[tuple[str, int], tuple[bytes | None, ...]]) -> None:
    """Everyone but `customer:gone` reads as before, and lies in the database byte for byte as before."""
    assert [await cell.value(f"stays{n}") for n in range(3)] == [0, 1, 2]
    assert await cell.value("theirs", tenant=cell.two) == "kept"
    left = {key: parts for key, parts in cell.stored().items() if any(parts)}
    assert left.items() <= before.items()
    assert len(left) >= 3


# ── rotation ───────────────────────────────────────────────────────────────────────────────────────
async def test_a_rotation_renews_the_root_and_touches_no_data(cell: Cell) -> None:
    before = await furnished(cell)
    status = await cell.tenure.root_keys.status(cell.operator)
    assert (status["live"], status["opens"], status["under_way"]) == (1, True, False)
    assert (status["provider"], status["guarantee"], status["previous"]) == ("files", OF_FILES, None)
    status = await cell.tenure.root_keys.rotate(cell.operator)
    assert (status["live"], status["opens"]) == (2, True)
    assert [(one["version"], one["state"]) for one in status["versions"]] == [(1, "destroyed"), (2, "live")]
    assert root_versions(cell) == {"key": [2], "destroyed": [1]}
    assert cell.stored() == before
    await assert_survivors(cell, before)
    assert certificates(cell) == []
    await assert_certified(cell, await cell.erase("customer:gone"))
    await assert_survivors(cell, before)


async def test_a_rotation_is_on_record_in_the_cells_own_ledger(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        await tenure.root_keys.rotate(embedded.operator)
        kinds = [
            json.loads(bytes(row[0]))["kind"]
            for row in embedded.rows("SELECT body FROM entries ORDER BY writer, n")
        ]
        assert "root.rotate" in kinds


async def test_a_status_says_that_the_root_store_does_not_open(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        (embedded.settings.root_dir / "keys" / "root-000000000001.key").rename(
            embedded.settings.root_dir / "mislaid"
        )
        status = await tenure.root_keys.status(embedded.operator)
        assert (status["opens"], status["failure"]) == (False, "root-lost")


async def test_two_who_ask_at_once_get_one_rotation(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        found = await asyncio.gather(*(tenure.root_keys.rotate(embedded.operator) for _ in range(3)))
        assert {one["live"] for one in found} == {2}


# ── moving ─────────────────────────────────────────────────────────────────────────────────────────
async def test_the_root_key_moves_from_files_to_kms(embedded: Cell, kms: StrictKms) -> None:
    async with embedded.opened():
        before = await furnished(embedded)
    async with embedded.opened(root_store=IMPORTED, root_store_previous="files:") as tenure:
        await assert_survivors(embedded, before)
        status = await tenure.root_keys.rotate(embedded.operator, moving=True)
        assert (status["live"], status["opens"]) == (2, True)
        assert [(one["version"], one["provider"], one["state"]) for one in status["versions"]] == [
            (1, "files", "destroyed"),
            (2, "aws-kms:imported", "live"),
        ]
        assert root_versions(embedded) == {"key": [], "destroyed": [1]}
        await assert_survivors(embedded, before)
    async with embedded.opened(root_store=IMPORTED) as tenure:
        assert not tenure.recovered.restored
        await assert_survivors(embedded, before)
        state = await embedded.erase("customer:gone")
        certified = await assert_certified(embedded, state)
        await assert_erased(embedded, "gone", certificate=state["certificate"])
        await assert_survivors(embedded, before)
        assert certified["keys"]["provider"] == "aws-kms:imported"
        assert certified["keys"]["guarantee"] == OF_KMS["imported"]
        (destroyed,) = certified["keys"]["root_versions_destroyed"]
        assert destroyed["version"] == 2
        assert destroyed["evidence"]["key"].startswith("arn:aws:kms:")
        assert (await embedded.audited()).ok
    assert [key.material for key in kms.keys.values() if key.tags["tenure:version"] == "2"] == [None]


async def test_who_is_erased_in_a_hand_over_reads_both_guarantees(embedded: Cell, kms: StrictKms) -> None:
    async with embedded.opened():
        await furnished(embedded)
    async with embedded.opened(root_store=IMPORTED, root_store_previous="files:"):
        certified = await assert_certified(embedded, await embedded.erase("customer:gone"))
        assert OF_FILES in certified["keys"]["guarantee"]
        assert OF_KMS["imported"] in certified["keys"]["guarantee"]
        (destroyed,) = certified["keys"]["root_versions_destroyed"]
        assert destroyed["evidence"]["provider"] == "files", "what was destroyed was a file"


async def test_back_to_files_numbers_go_on_rising(embedded: Cell, kms: StrictKms) -> None:
    async with embedded.opened():
        before = await furnished(embedded)
    moves = [
        {"root_store": IMPORTED, "root_store_previous": "files:"},
        {"root_store_previous": IMPORTED},
        {"root_store": GENERATED, "root_store_previous": "files:"},
    ]
    for number, move in enumerate(moves, start=2):
        async with embedded.opened(**move) as tenure:
            assert (await tenure.root_keys.rotate(embedded.operator, moving=True))["live"] == number
    async with embedded.opened(root_store=GENERATED):
        await assert_survivors(embedded, before)


async def test_without_the_previous_store_nothing_opens_and_nothing_is_lost(
    embedded: Cell, kms: StrictKms
) -> None:
    with pytest.raises(RootLost):
        async with embedded.opened(root_store=IMPORTED):
            pass
    async with embedded.opened():
        assert (await embedded.tenure.root_keys.status(embedded.operator))["opens"]


async def test_there_is_nothing_to_move_without_a_second_store(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        with pytest.raises(Conflict) as refused:
            await tenure.root_keys.rotate(embedded.operator, moving=True)
        assert refused.value.field == "TENURE_ROOT_STORE_PREVIOUS"
        assert root_versions(embedded) == {"key": [1], "destroyed": []}


MOMENTS = [
    ("roots.create", 1),
    ("roots.seal", 1),
    ("mirror.put_manifest", 1),
    ("mirror.put_pointer", 1),
    ("roots.destroy", 1),
    ("database.compact", 1),
    *(("shredder._inside", call) for call in range(1, 5)),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("method", "call"), MOMENTS, ids=[f"{name}-{call}" for name, call in MOMENTS])
async def test_a_move_interrupted_anywhere_is_finished_later(
    embedded: Cell,
    kms: StrictKms,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
    when: Any,
) -> None:
    move = {"root_store": IMPORTED, "root_store_previous": "files:"}
    tenure = await embedded.crashing(**move)
    before = await furnished(embedded)
    with monkeypatch.context() as patched:
        Failing(method, call, when).into(tenure, patched)
        with pytest.raises(InjectedError):
            await tenure.shredder.rotate()
    await crash(tenure)
    async with embedded.opened(**move) as tenure:
        await assert_survivors(embedded, before)
        await tenure.root_keys.rotate(embedded.operator, moving=True)
        assert root_versions(embedded)["key"] == []
    async with embedded.opened(root_store=IMPORTED) as tenure:
        await assert_survivors(embedded, before)
        status = await tenure.root_keys.status(embedded.operator)
        assert [one["state"] for one in status["versions"]].count("live") == 1
        await assert_certified(embedded, await embedded.erase("customer:gone"))
    alive = [key for key in kms.keys.values() if key.material]
    assert len(alive) == 1


# ── providers ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_kms_that_lies_gets_no_certificate(embedded: Cell, kms: StrictKms) -> None:
    """It reports the material as deleted, and goes on decrypting with it."""
    move = {"root_store": IMPORTED, "root_store_previous": "files:"}
    async with embedded.opened(**move) as tenure:
        await tenure.root_keys.rotate(embedded.operator, moving=True)
    kms.lies = True
    tenure = await embedded.crashing(root_store=IMPORTED)
    try:
        await embedded.put("k", 1, "customer:1")
        await embedded.put("k2", 2, "customer:2")
        asked = await embedded.request("customer:1")
        for _ in range(2):
            with pytest.raises(KeyFailure, match="still works"):
                await tenure.shredder.run()
        assert certificates(embedded) == []
        assert (await embedded.erasure(asked))["state"] != "completed"
        await assert_erased(embedded, "k", certificate=None)
        assert await embedded.value("k2") == 2
    finally:
        await crash(tenure)


@pytest.mark.usefixtures("impatient")
async def test_a_generated_key_is_certified_only_when_aws_has_deleted_it(
    embedded: Cell, kms: StrictKms
) -> None:
    async with embedded.opened(root_store=GENERATED, root_store_previous="files:") as tenure:
        await tenure.root_keys.rotate(embedded.operator, moving=True)
    async with embedded.opened(root_store=GENERATED) as tenure:
        await embedded.put("k", 1, "customer:1")
        asked = await embedded.request("customer:1")
        erasing = asyncio.create_task(tenure.shredder.run())
        await _until(lambda: any(key.state == "PendingDeletion" for key in kms.keys.values()))
        for days in (3, 3.9):
            await asyncio.sleep(0.1)
            assert not erasing.done()
            assert certificates(embedded) == []
            assert "certificate" not in await embedded.erasure(asked)
            await assert_erased(embedded, "k", certificate=None)
            kms.pass_days(days)
        kms.pass_days(0.2)
        await asyncio.wait_for(erasing, 20)
        certified = await assert_certified(embedded, await embedded.erasure(asked))
        assert certified["keys"]["guarantee"] == OF_KMS["generated"]
        (destroyed,) = certified["keys"]["root_versions_destroyed"]
        assert destroyed["version"] == 2
        assert destroyed["irrecoverable_at"] > destroyed["unusable_at"]


async def _until(done: Any) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


@pytest.mark.softhsm
async def test_a_cell_on_a_token_erases_for_real(embedded: Cell, softhsm: SoftHsm) -> None:
    async with embedded.opened():
        before = await furnished(embedded)
    async with embedded.opened(root_store=softhsm.url, root_store_previous="files:") as tenure:
        await tenure.root_keys.rotate(embedded.operator, moving=True)
    assert root_versions(embedded) == {"key": [], "destroyed": [1]}
    async with embedded.opened(root_store=softhsm.url) as tenure:
        await assert_survivors(embedded, before)
        certified = await assert_certified(embedded, await embedded.erase("customer:gone"))
        assert certified["keys"]["provider"] == "pkcs11"
        (destroyed,) = certified["keys"]["root_versions_destroyed"]
        assert destroyed["evidence"]["token"] == softhsm.label
        assert PIN not in json.dumps(certified)
        await assert_survivors(embedded, before)
    assert [(one.version, one.state) for one in softhsm.store().list()] == [(2, "destroyed"), (3, "live")]
