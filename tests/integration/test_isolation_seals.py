"""What is sealed opens in its own place only: not in another tenant's row, record, version, scope or segment.

Two ways to see it, on real rows of both databases. Columns are copied from row to row, one by one and
together, and the copy is read as anybody would: a border that rested on conditions in SQL would let it
through. And with the *right* key in hand every part of the binding is changed alone: it is the associated
data that refuses, not a missing key.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from sqlalchemy import LargeBinary, Table, select, update

from support.cell import SCOPE, Cell, Tenant
from support.databases import DATABASES
from support.lived import EMERGENCY, Undone
from support.notices import recipient, told
from support.webhook import webhook
from tenure.errors import KeyFailure, Tampered
from tenure.groundwork import ground_of
from tenure.ids import CELL
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.blind import FIRST_FREE
from tenure.keys.seal import Binding, open_key
from tenure.keys.state import open_manifest, open_shard
from tenure.model.record import Draft, Segment
from tenure.sealing import CONTENT, HEAD, REF, SUBJECTS_SCOPE, Note, open_note
from tenure.store import tables

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

SEALED = {
    "access_packages": ("header",),
    "breakglass": ("header", "sealed_reason", "note_header", "sealed_note"),
    "rights_requests": ("header", "sealed"),
    "notices": ("header", "body"),
    "versions": ("header", "head", "content"),
    "subjects": ("ref_header", "sealed_ref"),
    "key_shards": ("blob",),
}
"""Columns that hold ciphertext; the tests below copy every one of them, or test_access_package does."""
NOT_SEALED = {
    "access_lists.body": "the ledger's: opaque ids, named by their digest",
    "cell_checkpoints.path": "the ledger's: hashes",
    "packs.sha256": "a digest of ciphertext",
    "versions.pack_sha256": "a digest of ciphertext",
    "cell_checkpoints.salt": "the ledger's: opens a place in the cell's log",
    "cell_queue.root": "the ledger's: a hash",
    "entries.body": "the ledger's: opaque ids, under a signed tree",
    "key_manifests.blob": "sealed to the root key, one for the whole cell; its pointer has its digest",
    "key_manifests.digest": "a hash",
    "key_pointer.digest": "a hash",
    "logs.root": "a hash",
    "policy_bundles.body": "administrators' words, named by their digest",
    "tiles.data": "hashes",
    "timestamps.response": "an authority's signature",
}


def test_every_binary_column_is_one_or_the_other() -> None:
    """A new one is sealed, and copied below, or is not, for a reason."""
    found = {
        f"{table.name}.{column.name}"
        for table in tables.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert found == {*NOT_SEALED, *(f"{table}.{name}" for table, names in SEALED.items() for name in names)}


def copied(cell: Cell, table: Table, names: tuple[str, ...], source: Any, target: Any) -> None:
    """Give one row these columns of another. Rows are conditions."""
    with cell.raw() as connection:
        row = connection.execute(select(*(table.c[name] for name in names)).where(*source)).one()
        done = connection.execute(update(table).where(*target).values(dict(zip(names, row, strict=True))))
        assert done.rowcount == 1


def some(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each alone, each pair, … all of them."""
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)


class Place(NamedTuple):
    """A stored version, and how it is read."""

    tenant: Tenant
    record: str
    version: int

    @property
    def row(self) -> tuple[Any, ...]:
        table = tables.versions.c
        return (
            table.tenant_id == self.tenant.id,
            table.record_id == self.record,
            table.version == self.version,
        )


@pytest.mark.databases(*DATABASES)
async def test_a_version_opens_in_its_own_row_only(cell: Cell) -> None:
    await cell.put("a", "A1", "customer:1")
    a = (await cell.put("a", "A2", "customer:1")).record
    b = (await cell.put("b", "B1", "customer:1")).record
    theirs = (await cell.put("a", "T1", "customer:1", tenant=cell.two)).record
    source = Place(cell.one, a, 1)
    targets = (
        (Place(cell.one, a, 2), "a", "A2"),
        (Place(cell.one, b, 1), "b", "B1"),
        (Place(cell.two, theirs, 1), "a", "T1"),
    )
    for place, key, value in targets:
        for names in some(SEALED["versions"]):
            kept = cell.stored(place.tenant)[place.record, place.version]
            copied(cell, tables.versions, names, source.row, place.row)
            with pytest.raises(KeyFailure):
                await cell.get(key, tenant=place.tenant, version=place.version)
            with cell.raw() as connection:
                back = dict(zip(SEALED["versions"], kept, strict=True))
                connection.execute(update(tables.versions).where(*place.row).values(back))
            assert await cell.value(key, tenant=place.tenant, version=place.version) == value


async def reviewed(cell: Cell, tenant: Tenant, words: str) -> str:
    """An elevation that had its whole life, with these words as its reason and its note."""
    desk = cell.tenure.breakglass
    made = (await desk.request(tenant["clerk"], "rescuer", 5, f"reason: {words}"))["id"]
    await desk.approve(tenant["dpo"], made)
    await desk.end(tenant["clerk"], made)
    await desk.review(tenant["dpo"], made, "justified", f"note: {words}")
    return str(made)


def elevation(tenant: Tenant, elevation_id: str) -> tuple[Any, ...]:
    columns = tables.breakglass.c
    return columns.tenant_id == tenant.id, columns.id == elevation_id


async def test_an_elevations_words_open_in_their_own_row_only(cell: Cell) -> None:
    for tenant in (cell.one, cell.two):
        await cell.tenure.manifests.apply(tenant["admin"], EMERGENCY, dry_run=False)
    source = await reviewed(cell, cell.one, "hers")
    targets = [(one, await reviewed(cell, one, "theirs")) for one in (cell.one, cell.two)]
    for tenant, target in targets:
        for names in some(SEALED["breakglass"]):
            with Undone(cell, "breakglass"):
                copied(cell, tables.breakglass, names, elevation(cell.one, source), elevation(tenant, target))
                with pytest.raises(KeyFailure):
                    await cell.tenure.breakglass.get(tenant["dpo"], target, after=None, limit=5)
        found = await cell.tenure.breakglass.get(tenant["dpo"], target, after=None, limit=5)
        assert (found["reason"], found["note"]) == ("reason: theirs", "note: theirs")


async def test_no_part_of_what_an_elevations_words_are_sealed_to_can_be_another(cell: Cell) -> None:
    """Reason and note are under one leaf: each opens as itself only."""
    await cell.tenure.manifests.apply(cell.one["admin"], EMERGENCY, dry_run=False)
    made = await reviewed(cell, cell.one, "hers")
    columns = tables.breakglass.c
    with cell.raw() as connection:
        row = connection.execute(select(*columns).where(*elevation(cell.one, made))).one()
    sealed = (Note(row.header, row.sealed_reason), Note(row.note_header, row.sealed_note))

    def look(opened: Opened) -> None:
        for place, (note, words) in enumerate(zip(sealed, ("reason: hers", "note: hers"), strict=True)):
            right = Binding(cell.one.id, "tenure.breakglass", made, place)
            assert open_note(opened.keys, right, note) == words
            for wrong in (*others(right, cell), right._replace(version=1 - place)):
                with pytest.raises(Tampered):
                    open_note(opened.keys, wrong, note)
            with pytest.raises(Tampered):
                open_note(opened.keys, right, Note(note.header, sealed[1 - place].text))

    with_keys(cell, cell.one, look)


async def test_a_notice_is_sent_from_its_own_row_only(cell: Cell) -> None:
    """Under one leaf, as of one request: another row's text is never sent, not even to the same recipient."""
    with webhook() as receiver:
        for tenant in (cell.one, cell.two):
            given = json.dumps([recipient("bank", receiver.url)])
            await cell.tenure.manifests.apply(tenant["admin"], given, dry_run=False)
        source, target = await told(cell.tenure, cell.one.id, "bank", "mailer", leaf=FIRST_FREE)
        (theirs,) = await told(cell.tenure, cell.two.id, "bank", leaf=FIRST_FREE)
        columns = tables.notices.c
        for notice, tenant in ((source, cell.one), (theirs, cell.two)):
            for names in some(SEALED["notices"]):
                with Undone(cell, "notices", "notice_queue"):
                    here = (columns.tenant_id == tenant.id, columns.id == notice.id)
                    copied(cell, tables.notices, names, (columns.id == target.id,), here)
                    receiver.bodies.clear()
                    await cell.tenure.notices.run()
                    assert notice.id not in str(receiver.bodies)
                    found = await cell.tenure.notices.page(tenant["dpo"], state="dead")
                    assert [one["result"] for one in found["items"]] == ["unreadable"]
        await cell.tenure.notices.run()
        assert {source.id, theirs.id} <= {one["webhook-id"] for one in receiver.headers}


async def test_a_tenants_shard_opens_for_that_tenant_only(cell: Cell) -> None:
    for tenant in (cell.one, cell.two):
        await cell.put("k", 1, "customer:1", tenant=tenant)
    shards = tables.key_shards
    with cell.raw() as connection:
        where = [
            connection.execute(
                select(shards.c.depth, shards.c.prefix, shards.c.seq).where(shards.c.tenant_id == tenant.id)
            ).all()
            for tenant in (cell.one, cell.two)
        ]
    assert where[0]
    assert where[1]
    place_one, place_two = (
        (
            shards.c.tenant_id == tenant.id,
            shards.c.depth == at[0].depth,
            shards.c.prefix == at[0].prefix,
            shards.c.seq == at[0].seq,
        )
        for tenant, at in zip((cell.one, cell.two), where, strict=True)
    )
    copied(cell, shards, SEALED["key_shards"], place_one, place_two)
    ground = ground_of(cell.settings)  # nothing of it is cached here
    with closing(ground.database) as database, pytest.raises(KeyFailure), database.reading(cell.two.id) as tx:
        ground.keyring.tenant(tx)


# ── with the right key in hand ────────────────────────────────────────────────────────────────────
class Opened(NamedTuple):
    """One tenant's own keys, and its sealed rows."""

    keys: TenantKeyring
    versions: list[Any]
    subjects: list[Any]


def with_keys(cell: Cell, tenant: Tenant, look: Any) -> None:
    ground = ground_of(cell.settings)
    try:
        with ground.database.reading(tenant.id) as tx:
            rows = [
                list(tx.execute(select(table).where(table.c.tenant_id == tenant.id)))
                for table in (tables.versions, tables.subjects)
            ]
            look(Opened(ground.keyring.tenant(tx), *rows))
    finally:
        ground.database.close()


def others(binding: Binding, cell: Cell) -> tuple[Binding, ...]:
    """The binding with one part changed at a time."""
    return (
        binding._replace(tenant=cell.two.id),
        binding._replace(tenant=CELL),
        binding._replace(scope="support.notes"),
        binding._replace(record=cell.two.id),
        binding._replace(version=binding.version + 1),
        binding.segment(0),
    )


async def test_no_part_of_a_versions_binding_can_be_another(cell: Cell) -> None:
    await cell.put("a", "A1", "customer:1")
    await cell.put("a", "A2", "customer:1", "customer:2")

    def look(opened: Opened) -> None:
        assert len(opened.versions) == 2
        for row in opened.versions:
            right = Binding(cell.one.id, row.scope, row.record_id, row.version)
            key = open_key(right, bytes(row.header), opened.keys.leaf_key)
            assert b"customer:1" in key.open(HEAD, bytes(row.head))
            for wrong in others(right, cell):
                with pytest.raises(Tampered):
                    open_key(wrong, bytes(row.header), opened.keys.leaf_key)
            for part, other in ((HEAD, row.content), (CONTENT, row.head)):
                with pytest.raises(Tampered):
                    key.open(part, bytes(other))

    with_keys(cell, cell.one, look)


async def test_no_part_of_a_persons_reference_can_be_another(cell: Cell) -> None:
    await cell.put("a", "A1", "customer:1")
    await cell.put("b", "B1", "customer:2")

    def look(opened: Opened) -> None:
        one, two = opened.subjects
        for row, other in ((one, two), (two, one)):
            right = Binding(cell.one.id, SUBJECTS_SCOPE, row.id, 0)
            key = open_key(right, bytes(row.ref_header), opened.keys.leaf_key)
            assert key.open(REF, bytes(row.sealed_ref)).startswith(b"customer:")
            with pytest.raises(Tampered):
                key.open(REF, bytes(other.sealed_ref))
            with pytest.raises(Tampered):
                open_key(right, bytes(other.ref_header), opened.keys.leaf_key)
            for wrong in others(right, cell):
                with pytest.raises(Tampered):
                    open_key(wrong, bytes(row.ref_header), opened.keys.leaf_key)

    with_keys(cell, cell.one, look)


async def test_a_segment_opens_in_its_own_place_only(cell: Cell) -> None:
    parts = (Segment(b'"hers"', ("customer:1",)), Segment(b'"also hers"', ("customer:1",)))
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "parts", draft)

    def look(opened: Opened) -> None:
        (row,) = opened.versions
        right = Binding(cell.one.id, row.scope, row.record_id, row.version)
        for place, sealed in enumerate(segments.decode(bytes(row.content))):
            assert sealed is not None
            mine = open_key(right.segment(place), sealed.header, opened.keys.leaf_key)
            assert b"hers" in mine.open(CONTENT, sealed.content)
            for wrong in (right, right.segment(1 - place), right._replace(tenant=cell.two.id).segment(place)):
                with pytest.raises(Tampered):
                    open_key(wrong, sealed.header, opened.keys.leaf_key)

    with_keys(cell, cell.one, look)


async def test_a_shard_is_bound_to_its_tenant_whoever_has_its_key(cell: Cell) -> None:
    await cell.put("a", "A1", "customer:1")
    ground = ground_of(cell.settings)
    try:
        ((blob,),) = cell.rows(
            "SELECT blob FROM key_manifests WHERE seq = (SELECT MAX(seq) FROM key_manifests)"
        )
        manifest = open_manifest(bytes(blob), ground.roots)
        for ref in manifest.tenants[cell.one.id].shards:
            ((sealed,),) = cell.rows(
                "SELECT blob FROM key_shards WHERE CAST(tenant_id AS TEXT) = :t"
                " AND depth = :d AND prefix = :p AND seq = :s",
                t=cell.one.id,
                d=ref.depth,
                p=ref.prefix,
                s=ref.seq,
            )
            assert open_shard(bytes(sealed), cell.one.id, ref)
            with pytest.raises(KeyFailure):
                open_shard(bytes(sealed), cell.two.id, ref)
    finally:
        ground.database.close()
