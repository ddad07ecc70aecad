"""Places of entries: every committed entry gets exactly one, in writing order, and is found by it again."""

from collections.abc import Iterator

import pytest

from support.cell import Cell
from tenure.ledger.entry import EntryDraft, Kind
from tenure.store import log
from tenure.store.database import Database
from tenure.store.log import Pending, Placed, Search
from tenure.store.session import Tx, Writers

T0 = 1_800_000_000_000_000
GENERATION = 7


@pytest.fixture
def database(place: Cell) -> Iterator[Database]:
    opened = Database(place.settings.database)
    yield opened
    opened.close()


@pytest.fixture
def tenant(place: Cell, database: Database) -> str:
    """A tenant whose earlier entries are all behind it."""
    database.write(place.one.id, log.leave_behind)
    return place.one.id


def append(database: Database, tenant: str, writers: Writers, *kinds: Kind, at: int) -> None:
    """One batch of a writer, at `at` seconds."""

    def work(tx: Tx) -> None:
        tx.writers = writers
        for kind in kinds:
            tx.append(EntryDraft(kind=kind, at=T0 + at * 1_000_000, outcome="ok"))

    database.write(tenant, work)


def sequence(database: Database, tenant: str, first: int, limit: int) -> list[Pending]:
    def work(tx: Tx) -> list[Pending]:
        waiting = log.pending(tx, limit)
        log.place(tx, GENERATION, first, waiting)
        return waiting

    return database.write(tenant, work)  # type: ignore[no-any-return]


def found(database: Database, tenant: str, after: int = -1, limit: int = 99, **by: str) -> list[Placed]:
    wanted = Search(**by)  # type: ignore[arg-type]
    return database.read(tenant, lambda tx: log.search(tx, GENERATION, wanted, after=after, limit=limit))


@pytest.fixture
def sequenced(database: Database, tenant: str) -> list[Pending]:
    """Three writers' batches, interleaved in time, sequenced five at a time."""
    one, two, three = Writers(), Writers(), Writers()
    for at in range(4):
        append(database, tenant, one, Kind.ACCESS, Kind.ACCESS, at=3 * at)
        append(database, tenant, two, Kind.WRITE, at=3 * at + 1)
    append(database, tenant, three, Kind.ACCESS, at=5)
    append(database, tenant, two, Kind.WRITER_END, at=99)
    taken: list[Pending] = []
    while round_ := sequence(database, tenant, len(taken), 5):
        taken += round_
    assert len(taken) == 14
    return taken


def test_entries_are_placed_in_time_and_each_writers_in_order(
    database: Database, tenant: str, sequenced: list[Pending]
) -> None:
    placed = found(database, tenant)

    assert [(one.writer, one.n, one.body) for one in placed] == [
        (one.writer, one.n, one.body) for one in sequenced
    ]
    assert [one.idx for one in placed] == list(range(14))
    for writer in {one.writer for one in placed}:
        assert [one.n for one in placed if one.writer == writer] == list(
            range(sum(one.writer == writer for one in placed))
        )
    kinds = "".join(one.kind[0] for one in sequenced)
    assert kinds == "aawaawa" + "aawaaww", "by instant: the third writer's came in between"
    assert sequence(database, tenant, 14, 5) == []


def test_any_window_of_places_gives_its_entries(
    database: Database, tenant: str, sequenced: list[Pending]
) -> None:
    bodies = [one.body for one in sequenced]
    for first in range(15):
        for count in range(16 - first):
            got = database.read(tenant, lambda tx, a=first, n=count: log.bodies(tx, GENERATION, a, n))
            assert got == bodies[first : first + count]
        rest = found(database, tenant, after=first - 1)
        assert [one.body for one in rest] == bodies[first:]
    assert [one.idx for one in found(database, tenant, after=2, limit=4)] == [3, 4, 5, 6]
    writes = found(database, tenant, kind=Kind.WRITE.value)
    assert [one.body for one in writes] == [one.body for one in sequenced if one.kind == Kind.WRITE]


def test_an_entry_knows_its_place_and_one_that_waits_has_none(
    database: Database, tenant: str, sequenced: list[Pending]
) -> None:
    for idx, one in enumerate(sequenced):
        placed = database.read(tenant, lambda tx, e=one: log.entry(tx, e.writer, e.n))
        assert placed == Placed(GENERATION, idx, one.writer, one.n, one.body)

    late = Writers()
    append(database, tenant, late, Kind.ACCESS, at=100)
    writer, _ = late.peek(tenant)
    waiting = database.read(tenant, lambda tx: log.entry(tx, writer, 0))
    assert waiting is not None
    assert (waiting.generation, waiting.idx) == (None, None)
    assert database.read(tenant, lambda tx: log.entry(tx, "0" * 16, 0)) is None


def test_a_writer_that_ended_is_not_asked_for_again(
    place: Cell, database: Database, tenant: str, sequenced: list[Pending]
) -> None:
    marks = place.rows("SELECT writer FROM writers WHERE CAST(tenant_id AS TEXT) = :t", t=tenant)

    ended = next(one.writer for one in sequenced if one.kind == Kind.WRITER_END)
    left = {one.writer for one in sequenced} - {ended}
    assert {row[0] for row in marks} >= left
    assert ended not in {row[0] for row in marks}


def test_what_a_generation_left_behind_is_never_placed(database: Database, tenant: str) -> None:
    writers = Writers()
    append(database, tenant, writers, Kind.ACCESS, Kind.WRITE, at=1)
    database.write(tenant, log.leave_behind)
    assert sequence(database, tenant, 0, 9) == []

    append(database, tenant, writers, Kind.DELETE, at=2)
    assert [one.kind for one in sequence(database, tenant, 0, 9)] == [Kind.DELETE]


def test_another_tenants_entries_are_not_seen(place: Cell, database: Database, tenant: str) -> None:
    database.write(place.two.id, log.leave_behind)
    append(database, place.two.id, Writers(), Kind.ACCESS, at=1)
    assert database.read(tenant, lambda tx: log.pending(tx, 9)) == []
    assert len(sequence(database, place.two.id, 0, 9)) == 1
    assert found(database, tenant) == []
