"""The ledger of a working cell: everything in it once, in order, provable, never going back."""

import asyncio
import hashlib
import hmac
import json
from base64 import b64decode
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell, crash
from support.databases import DATABASES
from tenure import ids
from tenure.bootstrap import open_tenure
from tenure.client.source import DirSource
from tenure.decisions import Opening
from tenure.errors import Denied, NotFound, NotYet
from tenure.ledger.audit import audit
from tenure.ledger.note import Verifier
from tenure.ledger.receipt import verify_receipt
from tenure.ledger.tile import TileId
from tenure.listing import Query
from tenure.sequencer import Sequencer, Shelves
from tenure.store.log import Search

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def _mixed(cell: Cell, rounds: int) -> int:
    """Mixed operations; how many entries they must have made."""
    made = 0
    for n in range(rounds):
        await asyncio.gather(
            cell.put(f"k{n}", n, f"customer:{n % 7}"),
            cell.put("shared", n, "customer:1"),
            cell.get("shared"),
            cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(limit=3)),
            cell.tenure.gateway.history(cell.one.ask(), SCOPE, "shared"),
        )
        for refused, error in (
            (cell.get("none"), NotFound),
            (cell.get("shared", ask=cell.one.ask("dpo")), Denied),
        ):
            with pytest.raises(error):
                await refused
        made += 7
    return made


@pytest.mark.databases(*DATABASES)
async def test_every_operation_is_in_the_log_exactly_once(cell: Cell) -> None:
    await cell.put("shared", 0, "customer:1")
    before = len(cell.entries())
    made = await _mixed(cell, 40)
    report = await cell.audited()
    assert report.ok, report.failures
    entries = cell.entries()
    assert len(entries) == before + made
    assert sorted(entry["_at"] for entry in entries) == [(1, n) for n in range(len(entries))]
    assert report.entries == len(entries)
    assert len({entry["nonce"] for entry in entries}) == len(entries)


@pytest.mark.databases(*DATABASES)
async def test_a_log_of_several_tiles(cell: Cell) -> None:
    """Past 256 and 512 entries, published at odd sizes: full tiles, partial tiles, upper tiles."""
    await cell.put("k", 1, "customer:1")
    verifier = await cell.verifier()
    seen: list[str] = []
    for burst in (1, 200, 54, 3, 300, 1):
        await asyncio.gather(*(cell.get("k") for _ in range(burst)))
        await cell.tenure.sequencer.run(cell.one.id)
        seen.append((cell.published() / "checkpoint").read_text())
        assert audit(DirSource(cell.published()), [verifier], earlier=seen).ok
    served = cell.tenure.ledger
    auditor = cell.one["auditor"]
    for path in cell.published().rglob("*"):
        name = path.relative_to(cell.published()).as_posix()
        if path.is_file() and name.startswith("tile/"):
            assert await served.tile(auditor, name) == path.read_bytes()
    for absent in (
        TileId(0, 99, 256).path,
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/9/000",
        "tile/0/0",
        "",
    ):
        with pytest.raises(NotFound):
            await served.tile(auditor, absent)


async def test_the_published_checkpoint_never_goes_back(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow publisher that read an older size must not overwrite what a faster one has published."""
    await cell.put("k", 1, "customer:1")
    sequencer, tenant = cell.tenure.sequencer, cell.one.id
    await sequencer.run(tenant)
    first_is_in, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    another = Sequencer(  # as another process of the cell has
        cell.tenure._batcher,
        cell.tenure._database,
        sequencer._keyring,
        Shelves(sequencer.objects, cell.tenure.shredder._ground.mirror),
    )
    real = another.publisher._put_files

    def slow(tenant_id: str) -> object:
        found = real(tenant_id)
        loop.call_soon_threadsafe(first_is_in.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(20)
        return found

    monkeypatch.setattr(another.publisher, "_put_files", slow)
    await cell.get("k")
    late = asyncio.create_task(another.run(tenant))
    await asyncio.wait_for(first_is_in.wait(), 20)
    await asyncio.gather(*(cell.get("k") for _ in range(5)))
    await sequencer.run(tenant)
    newest = _size(cell.published() / "checkpoint")
    go_on.set()
    await late
    another.close()
    await sequencer.publish(tenant)
    assert _size(cell.published() / "checkpoint") == newest
    head = json.loads((cell.settings.root_dir / "mirror" / "heads" / tenant).read_text())
    assert head["size"] == newest, "a restore to an older state would go unnoticed"


def _size(checkpoint: Path) -> int:
    return int(checkpoint.read_text().splitlines()[1])


@pytest.mark.databases(*DATABASES)
async def test_checkpoints_only_grow_while_a_cell_works(cell: Cell) -> None:
    sizes = []
    await cell.put("k", 1, "customer:1")
    for _ in range(30):
        await asyncio.gather(*(cell.get("k") for _ in range(3)))
        try:
            sizes.append(int((await cell.tenure.ledger.checkpoint(cell.one["auditor"])).splitlines()[1]))
        except NotYet:
            continue
        await asyncio.sleep(0.01)
    assert sizes == sorted(sizes)


async def test_a_clock_that_steps_back_does_not_disorder_a_writer(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cell.put("k", 1, "customer:1")
    true_now = ids.now
    for back in range(1, 6):
        monkeypatch.setattr(ids, "now", lambda back=back: true_now() - back * 3_000_000)
        await cell.get("k")
    report = await cell.audited()
    assert report.ok, report.failures


async def test_after_a_close_and_a_start_every_writer_has_its_end(place: Cell) -> None:
    for _ in range(3):
        async with place.opened():
            await asyncio.gather(*(place.put(f"k{n}", n, "customer:1") for n in range(10)))
            verifier = await place.verifier()
    async with place.opened():
        report = await place.audited()
        assert report.ok, report.failures
        assert report.kinds["writer.end"] == report.writers
    assert verifier.name == (await _name(place))


async def _name(place: Cell) -> str:
    async with place.opened():
        return (await place.verifier()).name


async def test_what_was_acknowledged_is_published_by_closing(place: Cell) -> None:
    async with place.opened():
        written = [await place.put(f"k{n}", n, "customer:1") for n in range(5)]
        verifier = await place.verifier()
    source = DirSource(place.published())
    assert audit(source, [verifier]).ok
    published = b"".join(
        path.read_bytes() for path in (place.published() / "tile").rglob("*") if path.is_file()
    )
    for one in written:
        writer, _, n = one.entry.rpartition("-")
        assert b'"n":%d,' % int(n) in published
        assert writer.encode() in published


@pytest.mark.databases(*DATABASES)
async def test_a_crashed_writer_leaves_no_gap(place: Cell) -> None:
    for _ in range(3):
        tenure = await place.crashing()
        await asyncio.gather(*(place.put(f"k{n}", n, "customer:1") for n in range(10)))
        await crash(tenure)
    async with place.opened():
        report = await place.audited()
        assert report.ok, report.failures
        assert report.kinds["write"] == 30
        assert (await place.get("k3")).version == 3


async def test_two_processes_publish_one_log(scaled: Cell) -> None:
    async with AsyncExitStack() as stack:
        pair = [await stack.enter_async_context(open_tenure(scaled.settings)) for _ in range(2)]
        scaled._tenure = pair[0]
        await scaled.put("k", 1, "customer:1")
        for _ in range(10):
            await asyncio.gather(
                *(tenure.gateway.read(scaled.one.ask(), SCOPE, "k") for tenure in pair for _ in range(5)),
                *(tenure.sequencer.run(scaled.one.id) for tenure in pair),
            )
        report = await scaled.audited()
        assert report.ok, report.failures
        assert report.kinds["access"] == 100


# ── reading it back ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_entries_are_found_by_what_they_are(cell: Cell) -> None:
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    await cell.put("k", 1, "customer:1", ask=cell.one.ask(decision=decision["id"]))
    await cell.get("k")
    await cell.tenure.sequencer.run(cell.one.id)
    ledger, auditor = cell.tenure.ledger, cell.one["auditor"]
    every: list[int] = []
    cursor = None
    while True:
        page = await ledger.entries(auditor, Search(), cursor=cursor, limit=4)
        every += [item["index"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert every == list(range(len(cell.entries())))
    found = await ledger.entries(auditor, Search(decision_id=decision["id"]), cursor=None, limit=50)
    assert [item["entry"]["kind"] for item in found["items"]] == ["decision.open", "write"]
    kinds = await ledger.entries(auditor, Search(kind="write"), cursor=None, limit=50)
    assert len(kinds["items"]) == 1
    assert (await ledger.entries(cell.two["auditor"], Search(kind="write"), cursor=None, limit=50))[
        "items"
    ] == []


async def test_entries_hold_nothing_personal(cell: Cell) -> None:
    secret = "canary-7a1e"
    await cell.put(secret, secret, f"customer:{secret}", metadata={"m": secret}, idempotency_key=secret)
    await cell.get(secret)
    await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(subject=f"customer:{secret}", prefix=secret))
    await cell.erase(f"customer:{secret}")
    whole = json.dumps(cell.entries())
    assert secret not in whole
    for guess in (secret, f"customer:{secret}", json.dumps({"v": secret})):
        assert hashlib.sha256(guess.encode()).hexdigest() not in whole


# ── decisions and receipts ────────────────────────────────────────────────────────────────────────
async def _decide(cell: Cell, reads: int = 2) -> tuple[str, Verifier]:
    """A sealed decision that read some records."""
    for n in range(reads):
        await cell.put(f"k{n}", f"value {n}", f"customer:{n}")
    opened = await cell.tenure.decisions.open(
        cell.one["agent"], Opening(SUPPORT, "customer:0", {"model": "m-1"})
    )
    ask = cell.one.ask(decision=opened["id"])
    for n in range(reads):
        await cell.get(f"k{n}", ask=ask)
    sealed = await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "refund-approved", "a" * 64)
    assert sealed["accesses"] == reads
    await cell.tenure.sequencer.run(cell.one.id)
    return opened["id"], await cell.verifier()


async def test_a_receipt_verifies_and_covers_every_access(cell: Cell) -> None:
    decision, verifier = await _decide(cell)
    report = verify_receipt(await cell.tenure.decisions.receipt(cell.one["agent"], decision), [verifier])
    assert report.ok, report.failures
    assert [access["action"] for access in report.accesses] == ["returned", "returned"]
    assert report.entry["outcome"] == "refund-approved"
    other = await cell.verifier(cell.two)
    assert not verify_receipt(await cell.tenure.decisions.receipt(cell.one["agent"], decision), [other]).ok


async def test_openings_open_the_commitments_of_the_receipt(cell: Cell) -> None:
    """Recomputed here from `03-ledger.md`: HMAC-SHA256 over length-prefixed parts, salt from the opening."""
    decision, verifier = await _decide(cell)
    receipt = verify_receipt(await cell.tenure.decisions.receipt(cell.one["agent"], decision), [verifier])
    openings = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    assert [item["content"]["v"] for item in openings["items"]] == ["value 0", "value 1"]
    committed = {access["record"]: b64decode(access["commitment"]).hex() for access in receipt.accesses}
    nonces = {access["record"]: access["entry"] for access in receipt.accesses}
    for item in openings["items"]:
        assert committed[item["record"]] == item["commitment"]
        assert nonces[item["record"]] == item["entry_nonce"]
        assert len(b64decode(item["salt"])) == 32
    salts = {item["salt"] for item in openings["items"]}
    assert len(salts) == 2
    assert hmac.compare_digest(*sorted(salts)[:1] * 2)


async def test_the_context_of_a_decision_is_what_it_saw_then(cell: Cell) -> None:
    decision, _ = await _decide(cell)
    await cell.put("k0", "changed", "customer:0")
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k1")
    context = await cell.tenure.decisions.context(cell.one.ask(), decision)
    assert [item["content"]["v"] for item in context["items"]] == ["value 0", "value 1"]
    await cell.erase("customer:0")
    context = await cell.tenure.decisions.context(cell.one.ask(), decision)
    assert context["items"][0]["state"] == "erased"
    assert "content" not in context["items"][0]
    assert context["items"][1]["content"]["v"] == "value 1"
    openings = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    assert "salt" not in openings["items"][0]


@pytest.mark.databases(*DATABASES)
async def test_a_receipt_outlives_the_erasure(cell: Cell) -> None:
    decision, verifier = await _decide(cell)
    await cell.erase("customer:0")
    assert verify_receipt(await cell.tenure.decisions.receipt(cell.one["agent"], decision), [verifier]).ok


@pytest.mark.databases(*DATABASES)
async def test_a_decision_of_very_many_accesses(cell: Cell) -> None:
    """Above 64 accesses the list lies apart; decision, context and receipt still cover all of it."""
    await asyncio.gather(*(cell.put(f"k{n}", n, "customer:1", scope=NOTES) for n in range(80)))
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    ask = cell.one.ask(decision=opened["id"])
    await cell.tenure.gateway.query(ask, NOTES, Query(limit=80, include_content=True))
    await cell.get("k1", scope=NOTES, ask=ask)
    sealed = await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    assert sealed["accesses"] == 81
    await cell.tenure.sequencer.run(cell.one.id)
    shown = await cell.tenure.decisions.get(cell.one["auditor"], opened["id"])
    assert len(shown["accesses"]) == 81
    context = await cell.tenure.decisions.context(cell.one.ask(), opened["id"])
    assert sorted(item["content"]["v"] for item in context["items"]) == sorted([*range(80), 1])
    receipt = await cell.tenure.decisions.receipt(cell.one["agent"], opened["id"])
    report = verify_receipt(receipt, [await cell.verifier()])
    assert report.ok, report.failures
    assert len(report.accesses) == 81, "the receipt brings the separate list along"


@pytest.mark.databases(*DATABASES)
async def test_accesses_race_with_the_seal(cell: Cell) -> None:
    """An access is in the seal or refused; there is no third way."""
    await cell.put("k", 1, "customer:1")
    for _ in range(5):
        opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
        ask = cell.one.ask(decision=opened["id"])
        reads = [cell.get("k", ask=ask) for _ in range(12)]
        seal = cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
        results = await asyncio.gather(*reads[:6], seal, *reads[6:], return_exceptions=True)
        sealed = results.pop(6)
        assert isinstance(sealed, dict), sealed
        done = sum(not isinstance(result, BaseException) for result in results)
        assert sealed["accesses"] == done
