"""Key state: the pointer names a manifest, which opens and names shards, which open. And the journal.

The mirror has a copy of all of it that nobody who only reaches the database can change.
"""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256

from tenure.errors import RootLost, Tampered, TenureError
from tenure.governance.plan import Plan
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.view import SETTLED, View, each
from tenure.keys.state import CellManifest, manifest_digest, open_manifest, open_shard
from tenure.store import inspecting, keystate, shreds, tables
from tenure.store.inspecting import Row
from tenure.store.session import Tx

_POINTER, _MANIFESTS = tables.key_pointer, tables.key_manifests
_BATCHES, _SHARDS = tables.key_batches, tables.key_shards
_SEQ = slice(5, 13)
"""Where a sealed manifest has its number (`docs/spec/keys.md`, "Cell manifest")."""


# ── the cell's ─────────────────────────────────────────────────────────────────────────────────────
def pointer(view: View) -> Iterator[Finding]:
    """The live pointer is the mirror's, and what it names opens."""
    found = keystate.pointer(view.tx)
    if found is None:
        yield view.finding("key-pointer", _POINTER, (), "", "there is no key state: nothing can be opened")
        return
    mirrored = view.anchors.ground.mirror.pointer()
    if mirrored is None:
        yield view.finding("key-pointer", "mirror", (), "pointer", "the mirror does not know the key state")
    else:
        for column, ours, theirs in zip(
            ("seq", "digest"), (found.seq, bytes(found.digest)), mirrored, strict=True
        ):
            if ours != theirs:
                yield view.finding("key-pointer", _POINTER, (found.seq,), column, "the mirror has another")
    blob = keystate.manifest(view.tx, found.seq)
    if blob is None or manifest_digest(bytes(blob)) != bytes(found.digest):
        yield view.finding(
            "key-pointer", _POINTER, (found.seq,), "digest", "no manifest here is the one it names"
        )
        return
    try:
        live = open_manifest(bytes(blob), view.anchors.ground.roots)
    except TenureError as failure:
        yield view.finding("key-manifest", _MANIFESTS, (found.seq,), "blob", failure.detail)
        return
    yield from _tenants(view, live)
    names = view.anchors.ground.mirror.objects.names("journal")
    journalled = {name.removeprefix("journal/") for name in names}
    for op_id in sorted(journalled - inspecting.known_ids(view.tx, _BATCHES.c.op_id, journalled)):
        yield view.finding("key-batch", _BATCHES, (op_id,), "", "the mirror's journal has it; it is not here")


def _tenants(view: View, live: CellManifest) -> Iterator[Finding]:
    """Whoever has keys is a tenant, and the other way round."""
    here = inspecting.known_ids(view.tx, tables.tenants.c.id, set(live.tenants))
    # A restored database may have forgotten a tenant whose keys the mirror still has.
    forgotten = set() if view.restored else set(live.tenants) - here - {CELL}
    for tenant_id in sorted(forgotten):
        yield view.finding("tenant", tables.tenants, (tenant_id,), "id", "it has keys, and is not listed")
    for row in inspecting.where(view.tx, tables.tenants):
        if row["id"] not in live.tenants and not view.erasing:
            yield view.finding("tenant", tables.tenants, (row["id"],), "id", "it is listed, and has no keys")


@each("key-manifest", _MANIFESTS)
def manifests(view: View, row: Row) -> Iterator[Finding]:
    """A sealed manifest is the one of its number and digest; one whose root lives opens."""
    blob, key = bytes(row["blob"]), (row["seq"],)
    if sha256(blob).digest() != bytes(row["digest"]):
        yield view.finding("key-manifest", _MANIFESTS, key, "digest", "its bytes have another")
    if int.from_bytes(blob[_SEQ]) != row["seq"]:
        yield view.finding("key-manifest", _MANIFESTS, key, "seq", "its bytes say another")
    try:
        open_manifest(blob, view.anchors.ground.roots)
    except RootLost:
        return  # of a root that was destroyed, as it should be
    except Tampered as failure:
        yield view.finding("key-manifest", _MANIFESTS, key, "blob", failure.detail)


@each("key-batch", _BATCHES)
def batches(view: View, row: Row) -> Iterator[Finding]:
    """A batch is what the mirror journalled; it is over just when its erasures are."""
    key = (row["op_id"],)
    plan: Plan = json.loads(row["plan"])
    journalled = view.anchors.ground.mirror.objects.get(f"journal/{row['op_id']}")
    if row["state"] not in ("intent", "swapped", "completed"):
        yield view.finding("key-batch", _BATCHES, key, "state", "there is no such state")
    if journalled is None:
        if row["state"] != "intent":
            yield view.finding("key-batch", _BATCHES, key, "op_id", "the mirror's journal does not have it")
    elif plan != (there := json.loads(journalled)) and not (view.restored and _is_part(plan, there)):
        yield view.finding("key-batch", _BATCHES, key, "plan", "the mirror's journal has another")
    elif json.dumps(plan) != row["plan"]:
        yield view.finding("key-batch", _BATCHES, key, "plan", "it is not written as the service writes it")
    if row["state"] != shreds.DONE:  # of those that are over, the section on erasures knows
        yield from _over(view, row, plan)


def _over(view: View, row: Row, plan: Plan) -> Iterator[Finding]:
    wanted = [(tenant_id, one["shred"]) for tenant_id, mine in plan.items() for one in mine["erasures"]]
    read = view.anchors.ground.database.read
    states = {state for tenant_id in plan for state in read(tenant_id, lambda tx: _states(tx, row["op_id"]))}
    if not wanted or not states:
        return
    if states.issubset(SETTLED):
        yield view.finding("key-batch", _BATCHES, (row["op_id"],), "state", "its erasures say otherwise")


def _states(tx: Tx, op_id: str) -> set[str]:
    table = tables.shreds
    return {row["state"] for row in inspecting.where(tx, table, op_id=op_id)}


def _is_part(plan: Plan, journalled: Plan) -> bool:
    """The same, or what a recovery put back of it: fewer erasures, never others."""
    for tenant_id, mine in plan.items():
        theirs = journalled.get(tenant_id)
        if theirs is None or any(one not in theirs["erasures"] for one in mine["erasures"]):
            return False
        rest = {name: value for name, value in mine.items() if name != "erasures"}
        if rest != {name: value for name, value in theirs.items() if name != "erasures"}:
            return False
    return True


# ── a tenant's ─────────────────────────────────────────────────────────────────────────────────────
def shard_rows(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Every stored shard is one that a manifest here names, whole."""
    known, unknown = _named(view)
    for row in page:
        address = (row["depth"], row["prefix"], row["seq"])
        digests = known.get(address)
        if digests is None:
            if not unknown and not view.erasing:
                yield view.finding("key-shard", _SHARDS, address, "seq", "no key state names it")
        elif sha256(bytes(row["blob"])).digest() not in digests:
            yield view.finding("key-shard", _SHARDS, address, "blob", "it is not the one that is named")


def shard_state(view: View) -> Iterator[Finding]:
    """Every shard that the live key state names is here and opens."""
    try:
        live = view.anchors.ground.keyring.live().manifest
    except TenureError as failure:
        yield view.finding("key-state", _POINTER, (), "", failure.detail)
        return
    keys = live.tenants.get(view.tenant_id)
    if keys is None:
        return
    stored = {(one.depth, one.prefix, one.seq): bytes(one.blob) for one in keystate.shards(view.tx)}
    for ref in keys.shards:
        address = (ref.depth, ref.prefix, ref.seq)
        blob = stored.get(address)
        if blob is None:
            yield view.finding("key-shard", _SHARDS, address, "", "the key state names it; it is not here")
            continue
        try:
            open_shard(blob, view.tenant_id, ref).wipe()
        except Tampered as failure:
            yield view.finding("key-shard", _SHARDS, address, "blob", failure.detail)
    state = inspecting.where(view.tx, tables.tenant_state)
    for name, rows in (
        ("tenant_state", state),
        ("leaf_sequences", inspecting.where(view.tx, tables.leaf_sequences)),
    ):
        if not rows:
            yield view.finding(f"{name}-missing", name, (), "", "a tenant with keys has one")


def _named(view: View) -> tuple[dict[tuple[int, int, int], set[bytes]], bool]:
    """Shards that manifests in the database name, with their digests; whether some manifest does not open."""
    found: dict[tuple[int, int, int], set[bytes]] = {}
    unknown = False
    for blob in view.anchors.ground.database.read(CELL, keystate.manifests):
        try:
            keys = open_manifest(bytes(blob), view.anchors.ground.roots).tenants.get(view.tenant_id)
        except TenureError:
            unknown = True
            continue
        for ref in keys.shards if keys is not None else ():
            found.setdefault((ref.depth, ref.prefix, ref.seq), set()).add(ref.digest)
    return found, unknown
