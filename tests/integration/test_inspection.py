"""Whoever edits the database behind the service's back is found, and what they edited is named."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from structlog.testing import capture_logs

from support.cell import Cell
from support.lived import Undone, live
from tenure import ids
from tenure.governance import celllog
from tenure.groundwork import ground_of
from tenure.ids import CELL, new_id
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.store import tables

pytestmark = pytest.mark.anyio
Edit = Callable[[Connection, Cell], Any]


@pytest.fixture
async def lived(place: Cell) -> AsyncIterator[Cell]:
    async with place.opened():
        await live(place)
        yield place


async def patrolled(cell: Cell) -> list[Finding]:
    """What one whole pass finds."""
    patrol = cell.tenure.patrol
    patrol._walk = None
    assert await asyncio.to_thread(partial(patrol.run, enough=lambda: False))
    return patrol.findings


@pytest.mark.databases("sqlite")
async def test_nothing_is_found_where_nothing_was_edited(lived: Cell) -> None:
    assert await patrolled(lived) == []
    assert lived.tenure.patrol.standing.passes == 1
    await lived.tenure.tenants.shred(lived.operator, lived.two.id)
    await lived.tenure.shredder.run()
    assert await patrolled(lived) == []


async def test_nothing_is_found_while_others_write_and_erase(lived: Cell) -> None:
    """A pass meets pages in the middle of everything; none of that is an alarm."""
    over = asyncio.Event()

    async def busy() -> int:
        number = 0
        while not over.is_set():
            await cell_work(lived, number)
            number += 1
        return number

    work = asyncio.create_task(busy())
    try:
        with capture_logs() as logs:
            for _ in range(2):
                assert await patrolled(lived) == []
    finally:
        over.set()
        assert await work > 0
    assert [one for one in logs if one["event"] == "stored data was changed"] == []


async def cell_work(cell: Cell, number: int) -> None:
    """Some writes, reads and an erasure; now and then another key for the log."""
    if number % 3 == 0:
        await cell.tenure.ledger_keys.rotate(cell.one["admin"])
    person = f"customer:busy-{number}"
    await asyncio.gather(*(cell.put(f"busy-{number}-{one}", one, person) for one in range(3)))
    await cell.get(f"busy-{number}-1")
    await cell.erase(person)


def inspected(cell: Cell, table: str = "") -> list[Finding]:
    """What is found in one tenant's rows and the cell's own, at first sight: nobody else writes.

    Once something of the table is found, if one is named, nothing further is looked at.
    """
    ground, findings = ground_of(cell.settings), list[Finding]()
    try:
        inspector = Inspector(Anchors(ground), again_s=())
        for step in (step for tenant_id in (cell.one.id, CELL) for step in inspector.tenant(tenant_id)):
            findings += step.findings
            if any(one.table == table for one in step.findings):
                break
    finally:
        ground.database.close()
    return findings


# ── one edit at a time ─────────────────────────────────────────────────────────────────────────────
def setting(name: str, column: str, value: Any, **which: Any) -> Edit:
    """Set a column of the first row that is like this. `value` may be a function of the old one."""
    table = tables.metadata.tables[name]

    def edit(connection: Connection, cell: Cell) -> None:
        row = first(connection, cell, name, which)
        new = value(row[column]) if callable(value) else value
        assert new != row[column]
        here = [key == row[key.name] for key in table.primary_key.columns]
        assert connection.execute(update(table).where(*here).values({column: new})).rowcount == 1

    return edit


def deleting(name: str, **which: Any) -> Edit:
    """Delete the first row of a tenant's that is like this."""
    table = tables.metadata.tables[name]

    def edit(connection: Connection, cell: Cell) -> None:
        row = first(connection, cell, name, which)
        here = [key == row[key.name] for key in table.primary_key.columns]
        assert connection.execute(delete(table).where(*here)).rowcount == 1

    return edit


def wider(spec: str) -> str:
    """A grant for every purpose."""
    return spec.replace('"purposes": [', '"purposes": ["*", ')


def a_stranger(connection: Connection, cell: Cell) -> None:
    """An administrator whom nobody created."""
    row = {**first(connection, cell, "principals", {}), "id": new_id(), "name": "stranger"}
    connection.execute(insert(tables.principals).values(row))


def a_key(connection: Connection, cell: Cell) -> None:
    """An API key that nobody gave, to an administrator."""
    row = {**first(connection, cell, "credentials", {}), "id": new_id(), "secret_hash": "1" * 64}
    connection.execute(insert(tables.credentials).values(row))


def first(connection: Connection, cell: Cell, name: str, which: dict[str, Any]) -> Any:
    table = tables.metadata.tables[name]
    own = CELL if name.startswith(("key_p", "key_m", "key_b", "cell_")) else cell.one.id
    conditions = [table.c[column] == value for column, value in which.items()]
    query = select(table).where(table.c.tenant_id == own, *conditions)
    if name == "record_paths":  # what leads to a record that is gone leads to nothing
        living = select(tables.records.c.id).where(tables.records.c.state == "live")
        query = query.where(table.c.record_id.in_(living))
    if name == "versions":
        query = query.order_by(table.c.record_id, table.c.version)
    row = connection.execute(query.limit(1)).mappings().first()
    assert row is not None, (name, which)
    return row


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def more(number: int) -> int:
    return number + 1


def shorter(text: str) -> str:
    return text[:-1]


EDITS: dict[str, tuple[Edit, str]] = {
    "entries.body": (setting("entries", "body", flipped, kind="access"), "entries"),
    "entries.kind": (setting("entries", "kind", "access", kind="write"), "entries"),
    "entries.at": (setting("entries", "at", more, kind="write"), "entries"),
    "entries.principal_id": (setting("entries", "principal_id", None, kind="write"), "entries"),
    "entries.decision_id": (setting("entries", "decision_id", None, kind="decision.seal"), "entries"),
    "entries.breakglass_id": (setting("entries", "breakglass_id", None, kind="breakglass"), "entries"),
    "entries deleted": (deleting("entries", kind="write"), "entries"),
    "places.idx": (setting("places", "idx", lambda idx: idx + 100_000, idx=0), "places"),
    "places.count": (setting("places", "count", more), "places"),
    "places.n": (setting("places", "n", lambda n: n + 100_000), "places"),
    "writers.next": (setting("writers", "next", more), "writers"),
    "writers deleted": (deleting("writers"), "writers"),
    "access_lists.body": (setting("access_lists", "body", flipped), "access_lists"),
    "access_lists deleted": (deleting("access_lists"), "access_lists"),
    "logs.root": (setting("logs", "root", flipped), "logs"),
    "logs.size": (setting("logs", "size", more), "logs"),
    "logs.origin": (setting("logs", "origin", shorter), "logs"),
    "logs.published": (setting("logs", "published", 0), "logs"),
    "logs deleted": (deleting("logs"), "logs"),
    "checkpoints.note": (setting("checkpoints", "note", shorter), "checkpoints"),
    "tiles.data": (setting("tiles", "data", flipped, level=0), "tiles"),
    "tiles deleted": (deleting("tiles", level=0), "tiles"),
    "ledger_keys.vkey": (setting("ledger_keys", "vkey", shorter, idx=0), "ledger_keys"),
    "ledger_keys.size": (setting("ledger_keys", "size", more), "ledger_keys"),
    "ledger_keys.idx": (setting("ledger_keys", "idx", more), "ledger_keys"),
    "ledger_keys deleted": (deleting("ledger_keys", idx=0), "ledger_keys"),
    "cell_queue.root": (setting("cell_queue", "root", flipped), "cell_queue"),
    "cell_queue.size": (setting("cell_queue", "size", more), "cell_queue"),
    "cell_queue deleted": (deleting("cell_queue"), "cell_queue"),
    "cell_checkpoints.salt": (setting("cell_checkpoints", "salt", flipped), "cell_checkpoints"),
    "cell_checkpoints.place": (setting("cell_checkpoints", "place", more), "cell_checkpoints"),
    "cell_checkpoints.n": (setting("cell_checkpoints", "n", more), "cell_checkpoints"),
    "cell_checkpoints deleted": (deleting("cell_checkpoints"), "cell_checkpoints"),
    "records.latest": (setting("records", "latest", more), "records"),
    "records.key_index": (setting("records", "key_index", shorter, state="live"), "records"),
    "records.labels": (setting("records", "labels", "health", state="live"), "records"),
    "records deleted": (deleting("records"), "records"),
    "versions.labels": (setting("versions", "labels", "travel", state="live"), "versions"),
    "versions.labels, erased": (setting("versions", "labels", "travel", state="erased"), "versions"),
    "versions.state": (setting("versions", "state", "live", state="erased"), "versions"),
    "versions.created_at": (setting("versions", "created_at", more), "versions"),
    "versions.expires_at": (setting("versions", "expires_at", 1), "versions"),
    "versions.id": (setting("versions", "id", "01a22188-0000-7000-8000-000000000000"), "versions"),
    "versions.principal_id": (
        setting("versions", "principal_id", "01a22188-0000-7000-8000-000000000000"),
        "versions",
    ),
    "versions.entry": (setting("versions", "entry", shorter), "versions"),
    "versions.header": (setting("versions", "header", flipped, state="live"), "versions"),
    "versions.head": (setting("versions", "head", flipped, state="live"), "versions"),
    "versions.content": (setting("versions", "content", flipped, state="held"), "versions"),
    "versions.segments": (setting("versions", "segments", None, segments=2), "versions"),
    "versions deleted": (deleting("versions", state="erased"), "versions"),
    "version_subjects.derived": (setting("version_subjects", "derived", more), "version_subjects"),
    "record_paths.path_index": (setting("record_paths", "path_index", shorter), "record_paths"),
    "record_paths.record_id": (setting("record_paths", "record_id", ids.new_id()), "record_paths"),
    "record_paths.seal": (setting("record_paths", "seal", shorter), "record_paths"),
    "record_paths deleted": (deleting("record_paths"), "record_paths"),
    "version_subjects deleted": (deleting("version_subjects"), "version_subjects"),
    "label_sets deleted": (deleting("label_sets"), "label_sets"),
    "subjects.leaf": (setting("subjects", "leaf", lambda leaf: leaf + 1000, state="active"), "subjects"),
    "subjects.ref_index": (setting("subjects", "ref_index", shorter, state="active"), "subjects"),
    "subjects.bucket": (
        setting("subjects", "bucket", lambda old: (old + 1) % 4096, state="active"),
        "subjects",
    ),
    "subjects.state": (setting("subjects", "state", "active", state="erased"), "subjects"),
    "bucket_leaves.leaf": (setting("bucket_leaves", "leaf", more), "bucket_leaves"),
    "scope_leaves.leaf": (setting("scope_leaves", "leaf", more), "scope_leaves"),
    "leaf_sequences.next": (setting("leaf_sequences", "next", 4098), "leaf_sequences"),
    "holds.ground": (setting("holds", "ground", "another", state="active"), "holds"),
    "holds.released_at": (setting("holds", "released_at", more, state="released"), "holds"),
    "held_versions deleted": (deleting("held_versions"), "held_versions"),
    "breakglass.state": (setting("breakglass", "state", "active", state="reviewed"), "breakglass"),
    "breakglass.ends_at": (setting("breakglass", "ends_at", more, state="active"), "breakglass"),
    "breakglass.role": (setting("breakglass", "role", "clerk", state="active"), "breakglass"),
    "breakglass.decided_by": (
        setting("breakglass", "decided_by", "01a22188-0000-7000-8000-000000000000", state="refused"),
        "breakglass",
    ),
    "breakglass.sealed_reason": (setting("breakglass", "sealed_reason", flipped), "breakglass"),
    "breakglass deleted": (deleting("breakglass", state="reviewed"), "breakglass"),
    "notices.state": (setting("notices", "state", "sent", state="dead"), "notices"),
    "notices.recipient": (setting("notices", "recipient", "other", state="queued"), "notices"),
    "notices.body": (setting("notices", "body", flipped, state="queued"), "notices"),
    "notices.give_up_at": (setting("notices", "give_up_at", more), "notices"),
    "decisions.facts": (setting("decisions", "facts", "{}", outcome="answered"), "decisions"),
    "decisions.subject_id": (setting("decisions", "subject_id", None, outcome="answered"), "decisions"),
    "decisions.outcome": (setting("decisions", "outcome", "refused", outcome="answered"), "decisions"),
    "decisions deleted": (deleting("decisions"), "decisions"),
    "shreds.findings": (
        setting("shreds", "findings", lambda old: old.replace('"purged": ', '"purged": 1'), kind="subject"),
        "shreds",
    ),
    "shreds.state": (setting("shreds", "state", "purged"), "shreds"),
    "shreds.requested_at": (setting("shreds", "requested_at", more), "shreds"),
    "certificates.envelope": (setting("certificates", "envelope", shorter), "certificates"),
    "certificates.created_at": (setting("certificates", "created_at", more), "certificates"),
    "certificates deleted": (deleting("certificates"), "certificates"),
    "policy_bundles.body": (setting("policy_bundles", "body", flipped), "policy_bundles"),
    "configurations.changes": (
        setting("configurations", "changes", lambda old: old.replace("created", "changed")),
        "configurations",
    ),
    "configurations.digest": (setting("configurations", "digest", shorter), "configurations"),
    "configurations.restored": (setting("configurations", "restored", 1), "configurations"),
    "configurations.at": (setting("configurations", "at", more), "configurations"),
    "configurations deleted": (deleting("configurations"), "configurations"),
    "manifests.spec": (
        setting(
            "manifests", "spec", lambda old: old.replace('"purposes": [', '"purposes": ["*", '), kind="Grant"
        ),
        "manifests",
    ),
    "manifests.generation": (setting("manifests", "generation", more), "manifests"),
    "manifests deleted": (deleting("manifests", kind="Grant"), "manifests"),
    "principals.roles": (
        setting("principals", "roles", '["support-agent", "dpo"]', roles='["support-agent"]'),
        "principals",
    ),
    "principals.kind": (setting("principals", "kind", "person", kind="agent"), "principals"),
    "principals.disabled_at": (setting("principals", "disabled_at", 1), "principals"),
    "principals of nobody's making": (a_stranger, "principals"),
    "credentials.secret_hash": (setting("credentials", "secret_hash", "0" * 64), "credentials"),
    "credentials.expires_at": (setting("credentials", "expires_at", 1), "credentials"),
    "credentials.revoked_at": (setting("credentials", "revoked_at", 1), "credentials"),
    "credentials of nobody's making": (a_key, "credentials"),
    "key_pointer.digest": (setting("key_pointer", "digest", flipped), "key_pointer"),
    "key_manifests.blob": (setting("key_manifests", "blob", flipped), "key_manifests"),
    "key_batches.plan": (setting("key_batches", "plan", "{}"), "key_batches"),
    "key_shards.blob": (setting("key_shards", "blob", flipped), "key_shards"),
}


async def test_each_edit_is_found_and_named(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of the row is named, and nothing is left on record once it is put right."""
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)  # nobody else writes
    async with place.opened():
        await live(place)
        await _each_edit(place)


async def _each_edit(lived: Cell) -> None:
    assert await patrolled(lived) == []
    unnoticed = []
    # What looks is the same on both databases, and `test_selftest` goes over all fields: each has its share.
    edits = [one for at, one in enumerate(EDITS.items()) if (at % 6 == 0) == (lived.dialect == "postgresql")]
    for name, (edit, table) in edits:
        with Undone(lived, name.replace(" ", ".").partition(".")[0]):
            with lived.raw() as connection:
                edit(connection, lived)
            found = await asyncio.to_thread(inspected, lived, table)
        if table not in {one.table for one in found}:
            unnoticed.append((name, [one.line() for one in found]))
    assert unnoticed == []
    assert await patrolled(lived) == []


@pytest.mark.databases("sqlite")
async def test_a_patrol_goes_on_where_it_ended_and_takes_back_its_alarm(lived: Cell) -> None:
    await lived.tenure.cell_log.round()
    patrol = lived.tenure.patrol
    entry = setting("entries", "at", more, kind="write")
    with Undone(lived, "entries"), capture_logs() as logs:
        with lived.raw() as connection:
            entry(connection, lived)
        runs = 0
        while not await asyncio.to_thread(partial(patrol.run, enough=lambda: True)):
            runs += 1
        assert runs == patrol.standing.steps > 50, "one step each"
        assert [(one.check, one.table, one.column) for one in patrol.findings] == [("entry", "entries", "at")]
        assert patrol.counts() == {("entry", "entries"): 1}
        assert await patrolled(lived)
    [alarm] = [one for one in logs if one["log_level"] == "error"]
    assert (alarm["event"], alarm["table"], alarm["column"]) == ("stored data was changed", "entries", "at")
    assert await patrolled(lived) == []
    assert patrol.counts() == {}


async def test_one_process_of_a_cell_does_it(scaled: Cell) -> None:
    """The others leave it alone, and go on when it is gone."""
    async with scaled.opened() as one, scaled.opened() as other:
        ran = [
            await asyncio.to_thread(partial(each.patrol.run, enough=lambda: False)) for each in (one, other)
        ]
        assert ran == [True, False]
        assert other.patrol.standing.steps == 0
