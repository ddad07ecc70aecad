"""Step 8 of a batch: ciphertext, indexes and references go; then, at last, the certificate.

Purging is in transactions of a bearable size. Every chunk is counted into the erasure's findings in the
transaction that removes it: a crash in between loses neither a row nor its count.
"""

import secrets
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import KeyFailure
from tenure.governance import derived
from tenure.governance.certificates import Evidence, issue
from tenure.governance.fates import judged
from tenure.governance.plan import Erasure
from tenure.keys.blind import FIRST_FREE
from tenure.keys.ggm import leaf_number
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.sequencer import Sequencer
from tenure.store import (
    cohorts,
    erasing,
    events,
    holds,
    issuers,
    notices,
    rederivations,
    remnants,
    shreds,
    subjects,
    tenants,
)
from tenure.store.records import Place
from tenure.store.session import Tx
from tenure.store.shreds import AWAITING, DONE, Batch, Kind, Shred
from tenure.store.tenants import Epoch

_log = structlog.get_logger(__name__)
CHUNK = 500
SAMPLE = 32
Handed = Mapping[str, list[dict[str, Any]]]
"""Tenant → the logs of its ledger that were handed over; a tenant that is not in it keeps its ledger here."""


async def everything(batcher: Batcher, batch: Batch, handed: Handed, waiting: Collection[str] = ()) -> bool:
    """Purge all that the batch erased, and ledgers that were handed over; whether nothing is left.

    Tenants that are `waiting`, because objects of theirs are left, are not purged yet.

    Safe to repeat. Where something is left that a purge should have taken there is no entry and no
    certificate; the erasure shows as incomplete, and the next run purges again.
    """
    whole = True
    for tenant_id, mine in batch.plan.items():
        for erasure in mine["erasures"]:
            if erasure["target"] in waiting:
                await batcher.submit(tenant_id, Solo(partial(_incomplete, shred_id=erasure["shred"])))
                whole = False
                continue
            logs = handed.get(erasure["target"])
            work = partial(_chunk, erasure=erasure, rules=mine["derived"], logs=logs)
            try:
                while await batcher.submit(tenant_id, Solo(work)):
                    pass
            except KeyFailure as failure:
                _log.error("a purge left something behind", shred=erasure["shred"], reason=failure.detail)
                await batcher.submit(tenant_id, Solo(partial(_incomplete, shred_id=erasure["shred"])))
                whole = False
    return whole


def _incomplete(desk: Desk, *, shred_id: str) -> None:
    shred = shreds.get(desk.tx, shred_id)
    if shred is not None:
        shreds.move(desk.tx, stepped(shred, "incomplete"))


def _chunk(desk: Desk, *, erasure: Erasure, rules: derived.Rules, logs: list[dict[str, Any]] | None) -> bool:
    """Purge some; whether there is more."""
    shred = shreds.get(desk.tx, erasure["shred"])
    if shred is None or shred.findings.get("entry"):
        return False
    match Kind(erasure["kind"]):
        case Kind.SUBJECT:
            return _of_subject(desk, shred, rules)
        case Kind.HOLD:
            return _of_hold(desk, shred)
        case Kind.COHORT:
            return _of_cohort(desk, shred)
        case Kind.TENANT:
            return _of_tenant(desk, shred, logs)


def _purge(tx: Tx, dead: list[Place], shred: Shred) -> None:
    """Remove ciphertext, and look whether it is gone: a step that did nothing must not count as done."""
    erasing.purge(tx, dead, shred.id)
    if remnants.sealed(tx, dead):
        raise _left("ciphertext")


def _left(what: str) -> KeyFailure:
    return KeyFailure(
        f"After a purge there is still {what} of what was erased; it is not certified.",
        remedy="Look at the database: a trigger, a policy or a restored table may undo the purge.",
    )


def _of_subject(desk: Desk, shred: Shred, rules: derived.Rules) -> bool:
    tx = desk.tx
    named = erasing.of_subject(tx, shred.target_id, limit=CHUNK, derived=False, lock=True)
    made = erasing.of_subject(tx, shred.target_id, limit=CHUNK - len(named), derived=True, lock=True)
    found = [*named, *made]
    fates = judged(desk, found)
    _purge(tx, fates.dead, shred)
    erasing.withhold(tx, fates.held, shred.id)
    erasing.name_shred(tx, fates.partly, shred.id)
    erasing.unlink_subject(tx, shred.target_id, [one.place for one in found])
    erasing.cut(tx, fates.cut)
    by_place = {one.place: one for one in made}
    dead, held, kept = (
        [by_place[one] for one in some if one in by_place] for some in (fates.dead, fates.held, fates.open)
    )
    counts = fates.counts()
    shred = _counted(shred, **{**counts, "kept": counts["kept"] - len(kept)})
    shred = derived.settled(desk, shred, rules, dead=len(dead), lost=[*dead, *held], kept=kept)
    if len(found) < CHUNK:
        events.purge(tx, shred.target_id)
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
    fates = judged(desk, found)
    _purge(tx, fates.dead, shred)
    holds.let_go(tx, shred.target_id, [one.place for one in found])
    erasing.cut(tx, fates.cut)
    shred = _counted(shred, **fates.counts())
    if len(found) < CHUNK:
        holds.move(tx, shred.target_id, state=holds.RELEASED, released_at=desk.now)
        tenants.raise_epoch(tx, Epoch.KEYS)
        shred = _finished(desk, shred)
    shreds.move(tx, shred)
    return len(found) == CHUNK


def _of_cohort(desk: Desk, shred: Shred) -> bool:
    """What has had its time. What a hold covers stays, and nobody reads it any more."""
    tx, cohort = desk.tx, cohorts.get(desk.tx, shred.target_id)
    found = [] if cohort is None else cohorts.live(tx, cohort.leaf, limit=CHUNK, lock=True)
    fates = judged(desk, found)
    if fates.open:
        raise _left("a way into something")
    _purge(tx, fates.dead, shred)
    erasing.withhold(tx, fates.held, shred.id)
    erasing.cut(tx, fates.cut)
    erasing.unlink(tx, fates.dead)
    shred = _counted(shred, **fates.counts())
    if len(found) < CHUNK:
        cohorts.move(tx, shred.target_id, state=cohorts.OVER)
        tenants.raise_epoch(tx, Epoch.KEYS)
        grounds = {one.id: one.ground for one in holds.keeping(tx, shred.id)}
        shred = _finished(desk, shred._replace(findings={**shred.findings, "holds": grounds}))
    shreds.move(tx, shred)
    return len(found) == CHUNK


def _of_tenant(desk: Desk, shred: Shred, logs: list[dict[str, Any]] | None) -> bool:
    tx, cell = desk.tx, desk.tx.tenant_id
    tx.as_tenant(shred.target_id)
    purged = tenants.purge(tx, CHUNK, ledger=logs is not None)
    tx.as_tenant(cell)
    shred = _counted(shred, purged=purged, kept=0, held=0, segments=0)
    if not purged:
        tenants.unregister(tx, shred.target_id)
        rederivations.forget(tx, shred.target_id)
        issuers.forget(tx, shred.target_id)
        notices.forget(tx, shred.target_id)
        shred = shred._replace(findings={**shred.findings, "ledger": "keep" if logs is None else "hand-over"})
        if logs is not None:
            shred.findings["logs"] = logs
        shred = _finished(desk, shred)
    shreds.move(tx, shred)
    return purged > 0


def _counted(shred: Shred, **more: int) -> Shred:
    counts = {name: shred.findings.get(name, 0) + count for name, count in more.items()}
    return shred._replace(findings={**shred.findings, **counts})


def _finished(desk: Desk, shred: Shred) -> Shred:
    """Everything is purged: read back, and on record, before any certificate says so."""
    left = remnants.remnants(desk.tx, shred)
    if any(left.values()):
        raise _left(" and ".join(name for name, count in left.items() if count))
    certificate_id = shred.certificate_id or ids.new_id()
    data = {
        "shred": shred.id,
        "certificate": certificate_id,
        "versions": shred.findings["purged"],
        "kept": shred.findings["kept"],
        "held": shred.findings["held"],
        "segments": shred.findings["segments"],
    }
    if (made := shred.findings.get("derived")) is not None:
        data["derived"] = made["shredded"]
        data["derived_kept"] = sum(one["versions"] for one in made["kept"])
        data["rederivations"] = made["rederivation_asked"]
    entry = desk.tx.append(EntryDraft(kind=Act.PURGE, at=desk.now, outcome="ok", data=data))
    database = desk.tx.connection.dialect.name
    more = {"entry": entry, "certificate": certificate_id, "remnants": left, "database": database}
    return stepped(shred._replace(findings={**shred.findings, **more}), "purged")


# ── the certificate ────────────────────────────────────────────────────────────────────────────────
async def certify(batcher: Batcher, sequencer: Sequencer, batch: Batch, said: Mapping[str, Any]) -> None:
    """Sign the certificates of a batch whose old root keys are all destroyed. Safe to repeat.

    Of those only that are purged and read back. `said`: what is `stated` of keys and stores.
    """

    def work(desk: Desk) -> None:
        tx = desk.tx
        signer = sequencer.signer(tx)
        for shred in shreds.in_batch(tx, batch.op_id):
            if shred.state == DONE or "entry" not in shred.findings:
                continue
            shred = shred._replace(findings={**shred.findings, **said})  # noqa: PLW2901 - with what is known now
            if shred.findings.get("scan") == AWAITING:
                shreds.move(tx, stepped(shred, AWAITING))
                continue
            done, evidence = certified(desk, shred)
            if shred.certificate_id is None:  # a replayed erasure keeps the certificate it was given
                certificate_id = str(done.certificate_id)
                shreds.keep_certificate(tx, certificate_id, shred.id, issue(signer, evidence), at=evidence.at)
            shreds.move(tx, done)
        tenants.raise_epoch(tx, Epoch.KEYS)

    for tenant_id in batch.plan:
        await batcher.submit(tenant_id, Solo(work))


def certified(desk: Desk, shred: Shred) -> tuple[Shred, Evidence]:
    """The completed erasure, and what its certificate states."""
    done = stepped(shred, DONE, certificate_id=str(shred.findings["certificate"]))
    # After the last step that the certificate names.
    return done, Evidence(tenant_id=desk.tx.tenant_id, shred=done, at=ids.now())


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
        leaf_number(in_epoch, secrets.randbelow(end)) for in_epoch, end in handed_out for _ in range(SAMPLE)
    ]
