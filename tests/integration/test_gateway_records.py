"""Records as an agent uses them: put, get, versions, the past, deletion, conditions, expiry, repetition."""

import asyncio

import pytest

from support.cell import NOTES, SCOPE, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.errors import Invalid, KeyReused, NotFound, Stale
from tenure.writing import Condition

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.mark.databases(*DATABASES)
async def test_what_was_written_is_read_with_all_its_parts(cell: Cell) -> None:
    written = await cell.put(
        "ticket/1", "hällo 🦉", "customer:42", categories=("travel", "contact"), metadata={"n": [1, None]}
    )
    read = await cell.get("ticket/1")
    assert (read.record, read.version, read.version_id) == (written.record, 1, written.version_id)
    assert (read.key, read.scope, read.created_at) == ("ticket/1", SCOPE, written.created_at)
    assert read.subjects == ("customer:42",)
    assert read.categories == ("contact", "travel")
    assert read.metadata == {"n": [1, None]}
    assert await cell.value("ticket/1") == "hällo 🦉"
    assert read.entry != written.entry
    assert read.commitment != written.commitment, "equal content must never link two entries"


async def test_every_version_stays_as_it_was(cell: Cell) -> None:
    for number in (1, 2, 3):
        assert (await cell.put("k", number, "customer:1")).version == number
    assert await cell.value("k") == 3
    assert [await cell.value("k", version=number) for number in (1, 2, 3)] == [1, 2, 3]
    for absent in (0, 4, -1):
        with pytest.raises(NotFound):
            await cell.get("k", version=absent)


@pytest.mark.databases(*DATABASES)
async def test_as_of_gives_what_was_current_then(cell: Cell) -> None:
    before = ids.now()
    first = await cell.put("k", "old", "customer:1")
    second = await cell.put("k", "new", "customer:1")
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    assert await cell.value("k", as_of=first.created_at) == "old"
    assert await cell.value("k", as_of=second.created_at - 1) == "old"
    assert await cell.value("k", as_of=second.created_at) == "new"
    for gone in (before - 1, ids.now() + 1):
        with pytest.raises(NotFound):
            await cell.get("k", as_of=gone)


@pytest.mark.databases(*DATABASES)
async def test_versions_are_ordered_in_time_even_when_the_clock_stands_still(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = ids.now()
    monkeypatch.setattr(ids, "now", lambda: now)
    for number in range(5):
        await cell.put("k", number, "customer:1")
    history = await cell.tenure.gateway.history(cell.one.ask(), SCOPE, "k")
    times = [line.created_at for line in reversed(history.items)]
    assert times == sorted(set(times))
    assert [await cell.value("k", as_of=at) for at in times] == [0, 1, 2, 3, 4]


@pytest.mark.databases(*DATABASES)
async def test_history_newest_first_and_in_pages(cell: Cell) -> None:
    for number in range(5):
        await cell.put("k", number, "customer:1")
    ask = cell.one.ask()
    first = await cell.tenure.gateway.history(ask, SCOPE, "k", limit=2)
    assert [line.version for line in first.items] == [5, 4]
    second = await cell.tenure.gateway.history(ask, SCOPE, "k", before=first.next, limit=2)
    assert [line.version for line in second.items] == [3, 2]
    last = await cell.tenure.gateway.history(ask, SCOPE, "k", before=second.next, limit=2)
    assert ([line.version for line in last.items], last.next) == ([1], None)


@pytest.mark.databases(*DATABASES)
async def test_delete_is_a_version_and_the_past_stays(cell: Cell) -> None:
    await cell.put("k", "kept", "customer:1")
    gone = await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    assert gone.version == 2
    with pytest.raises(NotFound):
        await cell.get("k")
    with pytest.raises(NotFound):
        await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    assert await cell.value("k", version=1) == "kept"
    assert (await cell.put("k", "again", "customer:1")).version == 3
    assert await cell.value("k") == "again"


@pytest.mark.databases(*DATABASES)
async def test_any_text_is_a_key(cell: Cell, subtests: pytest.Subtests) -> None:
    keys = ("a", "ключ/🦉", "x" * 512, "a b%2Fc?d#e", "..", "'; DROP TABLE records; --")
    for key in keys:
        await cell.put(key, key, "customer:1")
    for key in keys:
        with subtests.test(key=key[:30]):
            assert await cell.value(key) == key
            assert (await cell.get(key)).key == key


async def test_one_key_in_two_scopes_is_two_records(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.put("k", 2, "customer:1", scope=NOTES)
    assert (await cell.value("k"), await cell.value("k", scope=NOTES)) == (1, 2)


async def test_data_about_nobody(cell: Cell) -> None:
    await cell.put("opening-hours", "9 to 5", scope=NOTES)
    await cell.put("address", "Main St", scope=NOTES)
    read = await cell.get("opening-hours", scope=NOTES)
    assert read.subjects == ()
    assert await cell.value("address", scope=NOTES) == "Main St"


# ── conditions ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_if_absent_creates_once(cell: Cell) -> None:
    absent = Condition(if_absent=True)
    await cell.put("k", 1, "customer:1", condition=absent)
    with pytest.raises(Stale):
        await cell.put("k", 2, "customer:1", condition=absent)
    assert await cell.value("k") == 1
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    assert (await cell.put("k", 3, "customer:1", condition=absent)).version == 3


async def test_if_match_holds_only_for_the_current_version(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    assert (await cell.put("k", 2, "customer:1", condition=Condition(if_match=1))).version == 2
    for stale in (1, 3, 0):
        with pytest.raises(Stale):
            await cell.put("k", 9, "customer:1", condition=Condition(if_match=stale))
        with pytest.raises(Stale):
            await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k", condition=Condition(if_match=stale))
    assert await cell.value("k") == 2
    with pytest.raises(Stale):
        await cell.put("never", 1, "customer:1", condition=Condition(if_match=1))


@pytest.mark.databases(*DATABASES)
async def test_of_many_writers_with_one_if_match_one_wins(cell: Cell) -> None:
    await cell.put("k", "start", "customer:1")
    tries = [cell.put("k", n, "customer:1", condition=Condition(if_match=1)) for n in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert all(isinstance(result, Stale) for result in results if isinstance(result, BaseException))
    assert (await cell.get("k")).version == 2


# ── expiry ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_an_expired_version_reads_as_absent(cell: Cell) -> None:
    await cell.put("gone", 1, "customer:1", expires_at=ids.now() - 1)
    await cell.put("there", 1, "customer:1", expires_at=ids.now() + 60_000_000)
    with pytest.raises(NotFound):
        await cell.get("gone")
    with pytest.raises(NotFound):
        await cell.get("gone", version=1)
    assert (await cell.get("there")).expires_at is not None
    # What reads as absent may be created.
    assert (await cell.put("gone", 2, "customer:1", condition=Condition(if_absent=True))).version == 2


# ── repetition ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_the_same_request_twice_writes_once(cell: Cell) -> None:
    first = await cell.put("k", 1, "customer:1", idempotency_key="once")
    again = await cell.put("k", 1, "customer:1", idempotency_key="once")
    assert again == first
    assert (await cell.get("k")).version == 1
    await cell.put("k", 2, "customer:1")
    assert await cell.put("k", 1, "customer:1", idempotency_key="once") == first
    assert await cell.value("k") == 2


async def test_an_idempotency_key_stands_for_one_request(cell: Cell, subtests: pytest.Subtests) -> None:
    given = {"key": "k", "value": 1, "subjects": ("customer:1",)}
    await _put(cell, given)
    changes: list[dict[str, object]] = [
        {"value": 2},
        {"key": "other"},
        {"subjects": ("customer:2",)},
        {"scope": NOTES},
        {"categories": ("travel",)},
        {"metadata": {"a": 1}},
        {"condition": Condition(if_match=1)},
    ]
    for change in changes:
        with subtests.test(change=change):
            with pytest.raises(KeyReused):
                await _put(cell, given | change)
            assert (await cell.get("k")).version == 1


async def _put(cell: Cell, given: dict[str, object]) -> None:
    rest = {name: value for name, value in given.items() if name not in ("key", "value", "subjects")}
    await cell.put(given["key"], given["value"], *given["subjects"], idempotency_key="once", **rest)  # type: ignore[arg-type, misc]


async def test_an_idempotency_key_is_its_principals_own(cell: Cell) -> None:
    first = await cell.put("a", 1, "customer:1", idempotency_key="once")
    other = await cell.put("b", 2, "customer:1", idempotency_key="once", ask=cell.one.ask("clerk"))
    assert first.record != other.record
    elsewhere = await cell.put("a", 1, "customer:1", idempotency_key="once", tenant=cell.two)
    assert elsewhere.record != first.record


@pytest.mark.databases(*DATABASES)
async def test_repeated_at_the_same_moment_it_writes_once(cell: Cell) -> None:
    results = await asyncio.gather(
        *(cell.put("k", 1, "customer:1", idempotency_key="once") for _ in range(20))
    )
    assert len(set(results)) == 1
    assert (await cell.get("k")).version == 1


@pytest.mark.databases(*DATABASES)
async def test_a_replay_is_answered_after_a_restart(place: Cell) -> None:
    async with place.opened():
        first = await place.put("k", 1, "customer:1", idempotency_key="once")
    async with place.opened():
        assert await place.put("k", 1, "customer:1", idempotency_key="once") == first


async def test_idempotency_rows_confirm_no_guess(cell: Cell) -> None:
    """The same request elsewhere must leave another hash: an unkeyed one lets anybody test a guess."""
    for tenant in (cell.one, cell.two):
        await cell.put("k", "a guessable secret", "customer:1", idempotency_key="once", tenant=tenant)
    hashes = [row[0] for row in cell.rows("SELECT payload_hash FROM idempotency")]
    assert len(hashes) == 2
    assert len(set(hashes)) == 2


# ── derived data ──────────────────────────────────────────────────────────────────────────────────
async def test_derived_data_names_live_sources(cell: Cell) -> None:
    source = await cell.put("source", 1, "customer:1")
    await cell.put("derived", 2, "customer:1", derived_from=(source.version_id,))
    assert (await cell.get("derived")).derived_from == (source.version_id,)
    foreign = await cell.put("source", 1, "customer:1", tenant=cell.two)
    for wrong in (ids.new_id(), foreign.version_id):
        with pytest.raises(Invalid) as refused:
            await cell.put("derived", 3, "customer:1", derived_from=(source.version_id, wrong))
        assert refused.value.field == "derived_from[1]"
    assert (await cell.get("derived")).version == 1
