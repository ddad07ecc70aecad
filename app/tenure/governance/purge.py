"""Step 8 of a batch: ciphertext, indexes and references go; then, at last, the certificate.

Purging is in transactions of a bearable size. Every chunk is counted into the erasure's findings in the
transaction that removes it: a crash in between loses neither a row nor its count.
"""

import random
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.governance.certificates import Evidence, issue
from tenure.governance.plan import Erasure
from tenure.keys.blind import FIRST_FREE
from tenure.keys.ggm import leaf_number
from tenure.keys.rootstore import Capabilities, Destruction
from tenure.keys.seal import header_leaves
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.sequencer import Sequencer
from tenure.store import holds, records, shreds, subjects, tenants
from tenure.store.records import StoredVersion
from tenure.store.session import Tx
from tenure.store.shreds import DONE, Batch, Kind, Shred
from tenure.store.tenants import Epoch

CHUNK = 500
SAMPLE = 32
Place = tuple[str, int]
"""(record id, version)"""
Handed = Mapping[str, list[dict[str, Any]]]
"""Tenant → the logs of its ledger that were handed over; a tenant that is not in it keeps its ledger here."""


async def everything(batcher: Batcher, batch: Batch, handed: Handed) -> None:
    """Purge all that the batch erased, and ledgers that were handed over. Safe to repeat."""
    for tenant_id, mine in batch.plan.items():
        for erasure in mine["erasures"]:
            work = partial(_chunk, erasure=erasure, logs=handed.get(erasure["target"]))
            more = True
            while more:
                more = await batcher.submit(tenant_id, Solo(work))


def _chunk(desk: Desk, *, erasure: Erasure, logs: list[dict[str, Any]] | None) -> bool:
    """Purge some; whether there is more."""
    shred = shreds.get(desk.tx, erasure["shred"])
    if shred is None or shred.findings.get("entry"):
        return False
    if erasure["kind"] == Kind.TENANT:
        return _of_tenant(desk, shred, logs)
    return _PURGES[Kind(erasure["kind"])](desk, shred)


def _of_subject(desk: Desk, shred: Shred) -> bool:
    tx = desk.tx
    found = records.of_subject(tx, shred.target_id, limit=CHUNK)
    fates = _judged(desk, found)
    records.purge(tx, fates.dead, shred.id)
    records.withhold(tx, fates.held, shred.id)
    records.unlink_subject(tx, shred.target_id, [_place(one) for one in found])
    shred = _counted(shred, purged=len(fates.dead), kept=len(fates.open), held=len(fates.held))
    if len(found) < CHUNK:
        gone: dict[str, Any] = dict.fromkeys(("ref_index", "bucket", "ref_header", "sealed_ref"))
        subjects.set_state(tx, shred.target_id, state="erased", **gone)
        tenants.raise_epoch(tx, Epoch.KEYS)
        grounds = {one.id: one.ground for one in holds.keeping(tx, shred.id)}
        shred = _finished(desk, shred._replace(findings={**shred.findings, "holds": grounds}))
    shreds.move(tx, shred)
    return len(found) == CHUNK


def _of_hold(desk: Desk, shred: Shred) -> bool:
    tx = desk.tx
    found = holds.versions(tx, shred.target_id, limit=CHUNK)
    fates = _judged(desk, found)
    records.purge(tx, fates.dead, shred.id)
    holds.let_go(tx, shred.target_id, [_place(one) for one in found])
    shred = _counted(shred, purged=len(fates.dead), kept=len(fates.open), held=len(fates.held))
    if len(found) < CHUNK:
        holds.move(tx, shred.target_id, state=holds.RELEASED, released_at=desk.now)
        tenants.raise_epoch(tx, Epoch.KEYS)
        shred = _finished(desk, shred)
    shreds.move(tx, shred)
    return len(found) == CHUNK


def _of_tenant(desk: Desk, shred: Shred, logs: list[dict[str, Any]] | None) -> bool:
    tx, cell = desk.tx, desk.tx.tenant_id
    tx.as_tenant(shred.target_id)
    purged = tenants.purge(tx, CHUNK, ledger=logs is not None)
    tx.as_tenant(cell)
    shred = _counted(shred, purged=purged, kept=0, held=0)
    if not purged:
        tenants.unregister(tx, shred.target_id)
        shred = shred._replace(findings={**shred.findings, "ledger": "keep" if logs is None else "hand-over"})
        if logs is not None:
            shred.findings["logs"] = logs
        shred = _finished(desk, shred)
    shreds.move(tx, shred)
    return purged > 0


_PURGES = {Kind.SUBJECT: _of_subject, Kind.HOLD: _of_hold}


class _Fates(NamedTuple):
    """What becomes of versions: nothing opens them any more; only a hold does; somebody still reads them."""

    dead: list[Place]
    held: list[Place]
    open: list[Place]


def _judged(desk: Desk, found: list[StoredVersion]) -> _Fates:
    keys = desk.tenancy.keys
    fates = _Fates([], [], [])
    for one in found:
        if one.header is None:
            continue  # a tombstone, or purged before
        living = [
            slot
            for slot in header_leaves(one.header)
            if not any(keys.state.is_punctured(leaf) for leaf in slot)
        ]
        if not living:
            fates.dead.append(_place(one))
        elif all(keys.is_withheld(slot) for slot in living):
            fates.held.append(_place(one))
        else:
            fates.open.append(_place(one))
    return fates


def _place(stored: StoredVersion) -> Place:
    return stored.record_id, stored.version


def _counted(shred: Shred, **more: int) -> Shred:
    counts = {name: shred.findings.get(name, 0) + count for name, count in more.items()}
    return shred._replace(findings={**shred.findings, **counts})


def _finished(desk: Desk, shred: Shred) -> Shred:
    """Everything is purged: on record, before any certificate says so."""
    certificate_id = shred.certificate_id or ids.new_id()
    data = {
        "shred": shred.id,
        "certificate": certificate_id,
        "versions": shred.findings["purged"],
        "kept": shred.findings["kept"],
        "held": shred.findings["held"],
    }
    entry = desk.tx.append(EntryDraft(kind=Act.PURGE, at=desk.now, outcome="ok", data=data))
    more = {"entry": entry, "certificate": certificate_id}
    return stepped(shred._replace(findings={**shred.findings, **more}), "purged")


# ── the certificate ────────────────────────────────────────────────────────────────────────────────
async def certify(
    batcher: Batcher,
    sequencer: Sequencer,
    batch: Batch,
    capabilities: Capabilities,
    destroyed: Mapping[int, Destruction],
) -> None:
    """Sign the certificates of a batch whose old root keys are all destroyed. Safe to repeat."""

    def work(desk: Desk) -> None:
        tx = desk.tx
        signer = sequencer.signer(tx)
        for shred in shreds.in_batch(tx, batch.op_id):
            if shred.state == DONE:
                continue
            certificate_id = str(shred.findings["certificate"])
            done = stepped(shred, DONE, certificate_id=certificate_id)
            evidence = Evidence(
                tenant_id=tx.tenant_id,
                shred=done,
                capabilities=capabilities,
                destroyed=destroyed,
                at=ids.now(),  # after the last step that the certificate names
            )
            if shred.certificate_id is None:  # a replayed erasure keeps the certificate it was given
                shreds.keep_certificate(tx, certificate_id, shred.id, issue(signer, evidence), at=evidence.at)
            shreds.move(tx, done)
        tenants.raise_epoch(tx, Epoch.KEYS)

    for tenant_id in batch.plan:
        await batcher.submit(tenant_id, Solo(work))


# ── states and steps ───────────────────────────────────────────────────────────────────────────────
def stepped(shred: Shred, state: str, **changes: Any) -> Shred:  # noqa: ANN401 - its own fields
    """The erasure in a state that it has just reached."""
    return shred._replace(state=state, steps={**shred.steps, state: ids.rfc3339(ids.now())}, **changes)


def note(tx: Tx, op_id: str, state: str) -> None:
    """Put every unfinished erasure of the transaction's tenant into a state, unless it was there before."""
    for shred in shreds.in_batch(tx, op_id):
        if shred.state != DONE and state not in shred.steps:
            shreds.move(tx, stepped(shred, state))


def some_leaves(tx: Tx) -> list[int]:
    """A sample of leaves that were handed out: indexes' and people's."""
    epoch, upto = tenants.leaf_sequence(tx)
    handed_out = [(0, FIRST_FREE), (epoch, max(upto, 1))]
    return [
        leaf_number(in_epoch, random.randrange(end))  # noqa: S311 - a spot check
        for in_epoch, end in handed_out
        for _ in range(SAMPLE)
    ]
