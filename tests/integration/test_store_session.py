"""The tenant-scoped transaction and its statements, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, select

from support.cell import Cell
from tenure import ids
from tenure.ledger.entry import EntryDraft, Kind
from tenure.store import limits, records, tables
from tenure.store.database import Database
from tenure.store.session import Tx, Writers
from tenure.store.statements import AnyOf, Insert, Select, Update

LISTS = Insert(tables.access_lists)
LISTS_ONCE = Insert(tables.access_lists, ignore_existing=True)
BY_DIGEST = Select(
    select(tables.access_lists.c.digest, tables.access_lists.c.body).where(
        tables.access_lists.c.tenant_id == bindparam("tenant_id"),
        AnyOf(tables.access_lists.c.digest, "digests"),
    )
)
CHANGE = Update(tables.access_lists, key=("tenant_id", "digest"), values=("body",))


@pytest.fixture
def database(place: Cell) -> Iterator[Database]:
    opened = Database(place.settings.database)
    yield opened
    opened.close()


def read(database: Database, tenant: str, *digests: str) -> dict[str, bytes]:
    return database.read(tenant, lambda tx: dict(tx.ask((BY_DIGEST, {"digests": list(digests)}))[0]))  # type: ignore[arg-type]


def put(database: Database, tenant: str, change: Insert | Update, *rows: dict[str, Any]) -> None:
    database.write(tenant, lambda tx: tx.put(change, *rows))


def test_many_rows_go_in_and_any_of_them_come_out(place: Cell, database: Database) -> None:
    rows = [{"digest": f"d{n}", "body": bytes([n, 0, 255])} for n in range(50)]
    put(database, place.one.id, LISTS, *rows)
    assert read(database, place.one.id, "d1", "d49", "absent", "d1") == {
        "d1": b"\x01\x00\xff",
        "d49": b"\x31\x00\xff",
    }
    assert read(database, place.one.id) == {}
    assert read(database, place.two.id, "d1") == {}, "another tenant's"


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
_NASTY = st.sampled_from(
    ["", "NULL", "null", '"', "\\", '\\"', "{a,b}", "a,b", " ", "'", "🦉", "\n", "%s", "$1"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(_TEXT | _NASTY, unique=True, min_size=1, max_size=8), body=st.binary(max_size=64))
def test_any_text_and_any_bytes_survive_the_way_there_and_back(
    place: Cell, database: Database, texts: list[str], body: bytes
) -> None:
    put(database, place.one.id, LISTS_ONCE, *({"digest": one, "body": b""} for one in texts))
    put(database, place.one.id, CHANGE, *({"digest": one, "body": body} for one in texts))
    assert read(database, place.one.id, *texts) == dict.fromkeys(texts, body)


def test_nulls_and_numbers(place: Cell, database: Database) -> None:
    version = {
        "record_id": ids.new_id(),
        "version": 2**40,
        "id": ids.new_id(),
        "scope": "s",
        "labels": "a,b",
        "state": "live",
        "created_at": 2**60,
        "principal_id": ids.new_id(),
        "entry": "e",
    }
    put(database, place.one.id, records.INSERT_VERSION, version, version | {"version": 0, "id": ids.new_id()})
    known = database.read(
        place.one.id, lambda tx: tx.ask((records.KNOWN_VERSIONS, {"ids": [version["id"]]}))[0]
    )
    assert known == [(version["id"], "live", *[None] * 7)]
    stored = place.rows("SELECT version, expires_at, header, created_at FROM versions ORDER BY version")
    assert stored == [(0, None, None, 2**60), (2**40, None, None, 2**60)]


def test_of_several_updates_of_one_row_the_last_one_holds(place: Cell, database: Database) -> None:
    """Two writes to one key in a batch are two updates of its record in one statement."""
    for round_ in range(5):
        digest = f"d{round_}"
        put(database, place.one.id, LISTS, {"digest": digest, "body": b"0"})
        rows = [{"digest": digest, "body": b"%d" % n} for n in range(1, 20)]
        put(database, place.one.id, CHANGE, *rows)
        assert read(database, place.one.id, digest) == {digest: b"19"}


def test_an_insert_that_exists_fails_the_batch_or_is_ignored_as_told(place: Cell, database: Database) -> None:
    row = {"digest": "d", "body": b"first"}
    put(database, place.one.id, LISTS, row)
    put(database, place.one.id, LISTS_ONCE, row | {"body": b"second"}, {"digest": "e", "body": b"new"})
    assert read(database, place.one.id, "d", "e") == {"d": b"first", "e": b"new"}
    with pytest.raises(Exception, match=r"(?i)unique") as clash:
        put(database, place.one.id, LISTS, {"digest": "f", "body": b"other"}, row)
    assert database.is_clash(clash.value)
    assert not database.is_lost(clash.value)
    assert read(database, place.one.id, "f") == {}, "all of it or nothing"
    put(database, place.one.id, LISTS, {"digest": "f", "body": b"after"})
    assert read(database, place.one.id, "f") == {"f": b"after"}


def test_an_exception_undoes_everything(place: Cell, database: Database) -> None:
    def work(tx: Tx) -> None:
        tx.put(LISTS, {"digest": "d", "body": b"1"})
        tx.flush()
        tx.put(LISTS, {"digest": "e", "body": b"1"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(place.one.id, work)
    assert read(database, place.one.id, "d", "e") == {}


def test_a_reading_transaction_cannot_write(place: Cell, database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite's readers are told apart by how they begin, not by what they may do")
    with pytest.raises(Exception, match="read-only"):
        database.read(place.one.id, lambda tx: tx.put(LISTS, {"digest": "d", "body": b"1"}))


def test_as_tenant_goes_on_under_the_others_rows_and_rules(place: Cell, database: Database) -> None:
    def work(tx: Tx) -> tuple[bool, bool]:
        tx.put(LISTS, {"digest": "mine", "body": b"1"})
        tx.as_tenant(place.two.id)
        seen = bool(tx.ask((BY_DIGEST, {"digests": ["mine"]}))[0])
        tx.put(LISTS, {"digest": "theirs", "body": b"2"})
        tx.as_tenant(place.one.id)
        return seen, bool(tx.ask((BY_DIGEST, {"digests": ["mine"]}))[0])

    assert database.write(place.one.id, work) == (False, True)
    assert read(database, place.one.id, "mine", "theirs") == {"mine": b"1"}
    assert read(database, place.two.id, "mine", "theirs") == {"theirs": b"2"}


def test_restoring_a_mark_forgets_only_what_came_after(place: Cell, database: Database) -> None:
    for flushing in (False, True):
        first, second, third = (f"{name}{flushing}" for name in ("a", "b", "c"))

        def work(
            tx: Tx, names: tuple[str, str, str] = (first, second, third), flush: bool = flushing
        ) -> None:
            tx.put(LISTS, {"digest": names[0], "body": b"1"})
            mark = tx.mark()
            if flush:
                tx.flush()
            tx.put(LISTS, {"digest": names[1], "body": b"1"})
            tx.restore(mark)
            tx.put(LISTS, {"digest": names[2], "body": b"1"})

        database.write(place.one.id, work)
        assert sorted(read(database, place.one.id, first, second, third)) == [first, third]


def test_amounts_are_summed_at_the_end_and_taken_back_with_a_mark(place: Cell, database: Database) -> None:
    def stored(tenant: str) -> tuple[int, int]:
        found = database.read(tenant, lambda tx: limits.used(tx.ask((limits.USAGE, {}))[0]))
        return found.versions, found.bytes

    def work(tx: Tx) -> None:
        limits.add(tx, versions=1, size=10)
        mark = tx.mark()
        limits.add(tx, versions=1, size=1000)
        tx.restore(mark)
        tx.flush()  # what is sent early takes no amount along
        limits.add(tx, versions=2, size=20)
        tx.as_tenant(place.two.id)
        limits.add(tx, versions=1, size=1)

    database.write(place.one.id, work)
    assert stored(place.one.id) == (3, 30)
    assert stored(place.two.id) == (1, 1)
    database.write(place.one.id, lambda tx: limits.add(tx, versions=-3, size=-30))
    assert stored(place.one.id) == (0, 0)


def test_a_writers_numbers_advance_with_the_commit_only(place: Cell, database: Database) -> None:
    writers = Writers()

    def appended(fail: bool) -> list[str]:
        with database.connect() as connection:
            tx = Tx(connection, database.wire(connection), place.one.id, writers=writers)
            entries = [tx.append(EntryDraft(kind=Kind.ACCESS, at=ids.now(), outcome="ok")) for _ in range(2)]
            if fail:
                tx.rollback()
            else:
                tx.commit()
            return entries

    first = appended(fail=False)
    assert appended(fail=True) == (second := appended(fail=False))
    assert [int(entry.rpartition("-")[2]) for entry in first + second] == [0, 1, 2, 3]
    writers.drop()
    assert appended(fail=False)[0].endswith("-0")


def test_a_transaction_without_a_writer_makes_no_entry(place: Cell, database: Database) -> None:
    with pytest.raises(LookupError):
        database.write(
            place.one.id,
            lambda tx: tx.append(EntryDraft(kind=Kind.ACCESS, at=0, outcome="ok")),
        )


def test_an_unknown_tenant_does_not_exist(place: Cell, database: Database) -> None:
    assert database.read(place.one.id, lambda tx: tx.exists)
    assert not database.read(ids.new_id(), lambda tx: tx.exists)
    assert place.dialect == database.dialect
