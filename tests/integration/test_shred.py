"""Erasing people: what is gone, what stays, what is certified, and in which order."""

import asyncio
import json
import shutil
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fakes import FakeRootStore
from support.cell import JOINT, NOTES, SCOPE, Cell, crash
from support.databases import DATABASES
from support.erasure import (
    Failing,
    InjectedError,
    assert_certified,
    assert_erased,
    certificates,
    root_versions,
    steps_of,
)
from tenure import groundwork, keyring
from tenure.bootstrap import open_tenure, prepare
from tenure.errors import Erased, KeyFailure, NotFound, Shredded, TenureError
from tenure.keyring import TenantKeyring
from tenure.keys.ggm import PuncturedState
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.store.shreds import Batch

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.mark.databases(*DATABASES)
async def test_the_person_is_gone_and_everyone_else_is_as_before(cell: Cell) -> None:
    for n in range(4):
        await cell.put(f"gone{n}", n, "customer:gone")
        await cell.put(f"stays{n}", n, "customer:stays")
    await cell.put("nobody", "hours", scope=NOTES)
    await cell.put("k", 1, "customer:gone", tenant=cell.two)
    before, theirs = cell.stored(), cell.stored(cell.two)
    state = await cell.erase("customer:gone")
    await assert_erased(cell, *(f"gone{n}" for n in range(4)), certificate=state["certificate"])
    assert [await cell.value(f"stays{n}") for n in range(4)] == [0, 1, 2, 3]
    assert await cell.value("nobody", scope=NOTES) == "hours"
    after = cell.stored()
    assert sum(parts == (None, None, None) for parts in after.values()) == 4
    assert all(after[key] in ((None, None, None), parts) for key, parts in before.items())
    assert cell.stored(cell.two) == theirs
    assert await cell.value("k", tenant=cell.two) == 1
    assert (await cell.audited()).ok


async def test_root_rotates_and_only_the_new_one_lives(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    assert root_versions(cell) == {"key": [1], "destroyed": []}
    certified = await assert_certified(cell, await cell.erase("customer:1"))
    assert root_versions(cell) == {"key": [2], "destroyed": [1]}
    named = certified["keys"]["root_versions_destroyed"]
    assert [one["version"] for one in named] == [1]
    await cell.put("k", 1, "customer:2")
    await cell.erase("customer:2")
    assert root_versions(cell) == {"key": [3], "destroyed": [1, 2]}


@pytest.mark.databases(*DATABASES)
async def test_steps_are_in_order_and_the_purge_is_on_record(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    state = await cell.erase("customer:1")
    certified = await assert_certified(cell, state)
    order = ["requested", "intent", "verified", "punctured", "fenced", "destroyed", "completed"]
    assert [step for step in steps_of(certified) if step in order] == order
    assert state["steps"]
    times = [step["at"] for step in certified["steps"]]
    assert times == sorted(times)
    assert certified["issued_at"] >= times[-1]
    await cell.tenure.sequencer.run(cell.one.id)
    purge = next(entry for entry in cell.entries() if entry["kind"] == "purge")
    assert f"{purge['writer']}-{purge['n']}" == certified["entry"]
    assert purge["data"]["certificate"] == state["certificate"]
    assert "customer:1" not in json.dumps(certified)


@pytest.mark.databases(*DATABASES)
async def test_from_the_request_on_nothing_is_read_or_written(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.put("k2", 1, "customer:1", "customer:2")
    shred = await cell.request("customer:1")
    await assert_erased(cell, "k", "k2", certificate=None)
    for act in (lambda: cell.put("k", 2, "customer:1"), lambda: cell.put("n", 2, "customer:3", "customer:1")):
        with pytest.raises(Erased) as gone:
            await act()
        assert gone.value.shred == shred
    assert await cell.request("customer:1") == shred, "asking twice is asking once"
    assert (await cell.erasure(shred))["state"] == "requested"
    await cell.tenure.shredder.run()
    state = await cell.erasure(shred)
    await assert_erased(cell, "k", "k2", certificate=state["certificate"])


@pytest.mark.databases(*DATABASES)
async def test_a_returning_person_is_a_new_person(cell: Cell) -> None:
    await cell.put("k", "old", "customer:1")
    old = await cell.person("customer:1")
    state = await cell.erase("customer:1")
    assert (await cell.tenure.subjects.lookup(cell.one["dpo"], "customer:1"))["items"] == []
    await cell.put("k", "new", "customer:1")
    assert await cell.person("customer:1") != old
    leaves = [row[0] for row in cell.rows("SELECT leaf FROM subjects")]
    assert len(set(leaves)) == 2
    assert await cell.value("k") == "new"
    with pytest.raises(Erased) as gone:
        await cell.get("k", version=1)
    assert gone.value.certificate == state["certificate"]
    await assert_certified(cell, await cell.erase("customer:1"))
    with pytest.raises(Erased):
        await cell.get("k")


@pytest.mark.databases(*DATABASES)
async def test_any_of_several_people_takes_the_record_along(cell: Cell) -> None:
    await cell.put("both", 1, "customer:1", "customer:2")
    await cell.put("hers", 2, "customer:2")
    state = await cell.erase("customer:1")
    await assert_erased(cell, "both", certificate=state["certificate"])
    assert await cell.value("hers") == 2


@pytest.mark.databases(*DATABASES)
async def test_all_of_several_people_must_go_first(cell: Cell) -> None:
    await cell.put("trip", "booked", "customer:1", "customer:2", scope=JOINT)
    state = await cell.erase("customer:1")
    certified = await assert_certified(cell, state)
    assert state["irrecoverable_at"] == certified["irrecoverable_at"]
    assert certified["stores"]["database"] == {
        "versions_purged": 0,
        "versions_kept_for_others": 1,
        "versions_kept_for_holds": 0,
        "segments_purged_from_kept_versions": 0,
    }
    assert await cell.value("trip", scope=JOINT) == "booked"
    state = await cell.erase("customer:2")
    certified = await assert_certified(cell, state)
    assert certified["stores"]["database"] == {
        "versions_purged": 1,
        "versions_kept_for_others": 0,
        "versions_kept_for_holds": 0,
        "segments_purged_from_kept_versions": 0,
    }
    with pytest.raises(Erased) as gone:
        await cell.get("trip", scope=JOINT)
    assert gone.value.certificate == state["certificate"]


@pytest.mark.databases(*DATABASES)
async def test_one_batch_over_two_tenants(cell: Cell) -> None:
    shreds: list[tuple[str, Any]] = []
    for tenant in (cell.one, cell.two):
        for n in range(3):
            await cell.put(f"k{n}", n, f"customer:{n}", tenant=tenant)
        shreds += [(await cell.request(f"customer:{n}", tenant), tenant) for n in range(2)]
    await cell.tenure.shredder.run()
    assert root_versions(cell) == {"key": [2], "destroyed": [1]}, "one batch, one rotation"
    for shred, tenant in shreds:
        await assert_certified(cell, await cell.erasure(shred, tenant), tenant)
    for tenant in (cell.one, cell.two):
        for n in range(2):
            with pytest.raises(Erased):
                await cell.get(f"k{n}", tenant=tenant)
        assert await cell.value("k2", tenant=tenant) == 2
        assert (await cell.audited(tenant)).ok


@pytest.mark.databases(*DATABASES)
async def test_a_person_with_nothing_held(cell: Cell) -> None:
    from tenure.decisions import Opening

    await cell.tenure.decisions.open(cell.one["agent"], Opening("customer-support", "customer:quiet"))
    await assert_certified(cell, await cell.erase("customer:quiet"))


@pytest.mark.databases(*DATABASES)
async def test_a_deleted_record_is_purged_with_its_person(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    await cell.erase("customer:1")
    with pytest.raises(Erased):
        await cell.get("k", version=1)
    with pytest.raises((Erased, NotFound)):
        await cell.get("k")
    assert [parts for parts in cell.stored().values() if any(parts)] == []


async def test_the_service_erases_by_itself_at_its_interval(place: Cell) -> None:
    for interval in (0.0, 0.05):
        async with place.opened(shred_interval_s=interval):
            await place.put("k", 1, f"customer:{interval}")
            shred = await place.request(f"customer:{interval}")
            for _ in range(200):
                state = await place.erasure(shred)
                if state["state"] == "completed":
                    break
                await asyncio.sleep(0.05)
            await assert_certified(place, state)


@pytest.mark.databases(*DATABASES)
async def test_after_a_restart_it_is_still_so(place: Cell) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.put("k2", 2, "customer:2")
        state = await place.erase("customer:1")
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        await assert_erased(place, "k", certificate=state["certificate"])
        assert await place.value("k2") == 2
        assert await place.erasure(state["shred"]) == state


# ── others go on working ──────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_reading_and_writing_about_others_goes_on_meanwhile(cell: Cell) -> None:
    for n in range(3):
        await cell.put(f"gone{n}", n, f"customer:gone{n}")
    await cell.put("k", "stays", "customer:stays")
    stop = asyncio.Event()
    failures: list[BaseException] = []

    async def busy(worker: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            try:
                await cell.put(f"w{worker}-{n % 5}", n, "customer:stays")
                await cell.value(f"w{worker}-{n % 5}")
                await cell.value("k")
            except TenureError as failure:
                failures.append(failure)

    workers = [asyncio.create_task(busy(worker)) for worker in range(4)]
    for n in range(3):
        await assert_certified(cell, await cell.erase(f"customer:gone{n}"))
    stop.set()
    await asyncio.gather(*workers)
    assert failures == []
    assert await cell.value("k") == "stays"
    assert (await cell.audited()).ok


@pytest.mark.parametrize("moment", ["get", "__setitem__"])
def test_cached_keys_are_never_handed_out_overwritten(moment: str) -> None:
    """Two lanes share a tenant's keys: one forgetting them must not give the other zeros to seal with."""
    state = PuncturedState.fresh(b"s" * 32)
    keys = TenantKeyring("t", state, 1, frozenset(), {})
    right = bytes(state.derive(5000))
    keys.leaf_key(5000)
    cache = type("Interrupted", (dict,), {moment: _interrupted(moment, keys)})
    if moment == "get":
        keys._leaves = cache(keys._leaves)
    else:
        keys._leaves = cache()
    try:
        assert keys.leaf_key(5000) == right
    except KeyFailure:
        assert keys.wiped, "a batch that meets this begins anew with the live keys"


def _interrupted(name: str, keys: TenantKeyring) -> Any:
    """A dict's method after which, as if in another thread, all cached keys are wiped."""
    real = getattr(dict, name)

    def method(self: dict[int, Any], *args: Any) -> Any:
        found = real(self, *args)
        keys.wipe()
        return found

    return method


def test_indexes_that_name_people_go_with_the_keys_and_are_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyring, "MAX_INDEXES", 3)
    keys = TenantKeyring("t", PuncturedState.fresh(b"s" * 32), 1, frozenset(), {})
    for number in range(8):
        person = f"customer:{number}"
        assert keys.known_index("subject", person) == keys.known_index("subject", person)
        assert keys.known_index("subject", person) == keys.blind_index("subject", person)
        assert len(keys._indexes) <= 3
    keys.wipe()
    assert not keys._indexes
    with pytest.raises(KeyFailure):
        keys.known_index("subject", "customer:7")
    assert not keys._indexes


def test_an_erasing_person_has_no_key_whatever_is_cached() -> None:
    state = PuncturedState.fresh(b"s" * 32)
    keys = TenantKeyring("t", state, 1, frozenset({5000}), {})
    with pytest.raises(Shredded):
        keys.leaf_key(5000)


async def test_a_root_destroyed_with_another_batch_is_made_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt failed after it made its root; then an older batch destroys all roots that are not live."""
    await cell.put("k", 1, "customer:1")
    await cell.put("stays", "kept", "customer:2")
    shred = await cell.request("customer:1")
    shredder = cell.tenure.shredder
    with monkeypatch.context() as patched:
        Failing("mirror.put_manifest", 1, "before").into(cell.tenure, patched)
        with pytest.raises(InjectedError):
            await shredder.run()
    term = await shredder._term()
    assert term is not None
    assert (
        len(await shredder._destroy(Batch("00000000-0000-7000-8000-000000000000", {}, "swapped"), term)) == 1
    )
    await shredder.run()
    await assert_certified(cell, await cell.erasure(shred))
    assert await cell.value("stays") == "kept"


# ── what fails is repeated, what lies is not certified ────────────────────────────────────────────
@pytest.mark.parametrize(
    "method", ["roots.create", "mirror.put_manifest", "roots.destroy", "database.compact"]
)
@pytest.mark.databases(*DATABASES)
async def test_what_failed_once_is_done_by_the_next_run(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.put("k2", 2, "customer:2")
    shred = await cell.request("customer:1")
    Failing(method, 1, "before").into(cell.tenure, monkeypatch)
    with pytest.raises(InjectedError):
        await cell.tenure.shredder.run()
    await cell.tenure.shredder.run()
    state = await cell.erasure(shred)
    await assert_certified(cell, state)
    await assert_erased(cell, "k", certificate=state["certificate"])
    assert await cell.value("k2") == 2
    assert len(root_versions(cell)["key"]) == 1


async def test_a_root_store_that_lies_gets_no_certificate(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = FakeRootStore(lies=True)
    cell = await _on_fake_roots(embedded, monkeypatch, lying)
    tenure = await cell.crashing()
    try:
        await cell.put("k", 1, "customer:1")
        await cell.put("k2", 2, "customer:2")
        shred = await cell.request("customer:1")
        for _ in range(2):
            with pytest.raises(TenureError):
                await tenure.shredder.run()
        state = await cell.erasure(shred)
        assert state["state"] != "completed"
        assert "certificate" not in state
        assert certificates(cell) == []
        await assert_erased(cell, "k", certificate=None)
        assert await cell.value("k2") == 2
        lying.lies = False
        await tenure.shredder.run()
        assert (await cell.erasure(shred))["state"] == "completed"
    finally:
        await crash(tenure)


async def test_a_lying_root_store_does_not_keep_the_service_from_starting(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else's context is hostage to one unfinished erasure."""
    cell = await _on_fake_roots(embedded, monkeypatch, FakeRootStore(lies=True))
    tenure = await cell.crashing()
    await cell.put("k", 1, "customer:1")
    await cell.put("k2", 2, "customer:2")
    await cell.request("customer:1")
    with pytest.raises(TenureError):
        await tenure.shredder.run()
    await crash(tenure)
    tenure = await cell.crashing()
    try:
        assert await cell.value("k2") == 2
        await assert_erased(cell, "k", certificate=None)
        assert certificates(cell) == []
    finally:
        await crash(tenure)


async def _on_fake_roots(embedded: Cell, monkeypatch: pytest.MonkeyPatch, roots: FakeRootStore) -> Cell:
    """A new cell in an empty place, whose root keys a fake keeps."""
    from support.cell import furnish

    folder = embedded.settings.data_dir.parent / "fake"
    monkeypatch.setattr(groundwork, "open_root_stores", lambda *_: roots)
    given = embedded.settings.model_copy(update={"data_dir": folder / "data", "root_dir": folder / "root"})
    return await furnish(given, f"sqlite:///{folder / 'data' / 'tenure.db'}")


async def test_the_mirror_lost_while_running_is_made_whole_before_a_root_dies(cell: Cell) -> None:
    """After it only the mirror has what a restore needs: of everybody, not only of who was touched."""
    await cell.put("k", 1, "customer:1")
    await cell.put("k", 2, "customer:2", tenant=cell.two)
    shutil.rmtree(cell.settings.root_dir / "mirror" / "shards")
    shutil.rmtree(cell.settings.root_dir / "mirror" / "manifests")
    await assert_certified(cell, await cell.erase("customer:1"))
    kept = {
        path.parent.name
        for path in (cell.settings.root_dir / "mirror" / "shards").rglob("*-*")
        if path.is_file()
    }
    assert kept >= {cell.one.id, cell.two.id}


# ── more than one process ─────────────────────────────────────────────────────────────────────────
async def test_two_processes_erase_at_the_same_time(scaled: Cell) -> None:
    async with AsyncExitStack() as stack:
        pair = [await stack.enter_async_context(open_tenure(scaled.settings)) for _ in range(2)]
        scaled._tenure = pair[0]
        for n in range(3):
            await scaled.put(f"k{n}", n, f"customer:{n}")
        shreds = []
        for n, tenure in enumerate(pair):
            scaled._tenure = tenure
            shreds.append(await scaled.request(f"customer:{n}"))
        await asyncio.gather(*(tenure.shredder.run() for tenure in pair), return_exceptions=True)
        for tenure in pair:
            for _ in range(3):
                await tenure.shredder.run()
        for shred in shreds:
            await assert_certified(scaled, await scaled.erasure(shred))
        for tenure in pair:
            scaled._tenure = tenure
            assert await scaled.value("k2") == 2
            with pytest.raises(Erased):
                await scaled.get("k0")
    async with scaled.opened() as tenure:
        assert not tenure.recovered.restored
        assert await scaled.value("k2") == 2


async def test_who_was_prepared_twice_is_one_cell(embedded: Cell) -> None:
    assert prepare(embedded.settings) is None
    async with embedded.opened():
        made = await embedded.tenure.principals.create(
            embedded.one["admin"], "new", PrincipalKind.PERSON, ("auditor",)
        )
        assert parse_api_key(made["api_key"]).tenant_id == embedded.one.id
        assert (await embedded.tenure.gateway.query(embedded.one.ask(), SCOPE, Query())).items == []
