"""Configurations, decisions, erasures and certificates: what was done, against the entries that say so.

A completed erasure is said five times: by its row, by its entry, by its signed certificate, by the mirror's
copy of that, and by the versions that it purged. Here they must agree.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenure import ids, rowseals
from tenure.governance.certificates import FILES, objects_of
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.view import SETTLED, SKEW_US, View, differing, each, guarded
from tenure.ledger.certificate import peek_origin, verify_certificate
from tenure.ledger.entry import Kind
from tenure.ledger.note import Verifier
from tenure.model.decision import Decision
from tenure.store import inspecting, tables
from tenure.store.configurations import of_row
from tenure.store.inspecting import Row
from tenure.store.shreds import DONE, Shred
from tenure.store.shreds import Kind as ShredKind

_D, _S, _C = tables.decisions, tables.shreds, tables.certificates
_G = tables.configurations
_KINDS = set(ShredKind)
_TARGETS = {"subject": tables.subjects.c.id, "hold": tables.holds.c.id, "cohort": tables.cohorts.c.id}
_STATES = {
    *SETTLED,
    "requested",
    "intent",
    "punctured",
    "fencing",
    "fenced",
    "destroying",
    "destroyed",
    "purged",
    "incomplete",
}


# ── decisions ──────────────────────────────────────────────────────────────────────────────────────
def decisions(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """A decision is what the entries of its opening and its seal say."""
    table = tables.entries
    found = inspecting.where(
        view.tx,
        table,
        decision_id=[row["id"] for row in page],
        kind=[Kind.DECISION_OPEN.value, Kind.DECISION_SEAL.value],
    )
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found:
        entry = view.entry(f"{row['writer']}-{row['n']}")
        if entry is not None:
            by.setdefault((row["decision_id"], entry["kind"]), []).append(entry)
    for row in page:
        opened = by.get((row["id"], Kind.DECISION_OPEN), [])
        sealed = [
            one
            for one in by.get((row["id"], Kind.DECISION_SEAL), [])
            if not view.is_put_back(one["writer"], one["n"])
            or row["seal_entry"] == f"{one['writer']}-{one['n']}"
        ]
        yield from guarded(view, "decision", _D, (row["id"],), _decision(view, row, opened, sealed))


def _decision(
    view: View, row: Row, opened: list[dict[str, Any]], sealed: list[dict[str, Any]]
) -> Iterator[Finding]:
    key = (row["id"],)
    if len(opened) != 1 or len(sealed) > 1:
        yield view.finding("decision", _D, key, "id", "the ledger does not say that it was opened once")
        return
    entry = opened[0]
    yield from differing(view, "decision", _D, row, principal_id=entry["principal"], purpose=entry["purpose"])
    if not view.happened(entry, row["opened_at"]):
        yield view.finding("decision", _D, key, "opened_at", "its entry says another time")
    end = sealed[0] if sealed else None
    name = None if end is None else f"{end['writer']}-{end['n']}"
    outcome = None if end is None else end["outcome"]
    yield from differing(view, "decision", _D, row, seal_entry=name, outcome=outcome)
    if (row["sealed_at"] is None) != (end is None):
        yield view.finding("decision", _D, key, "sealed_at", "it is set when the decision is sealed")
    elif end is not None and not view.happened(end, row["sealed_at"]):
        yield view.finding("decision", _D, key, "sealed_at", "its entry says another time")
    if row["subject_id"] is not None and not inspecting.known_ids(
        view.tx, tables.subjects.c.id, [row["subject_id"]]
    ):
        yield view.finding("decision", _D, key, "subject_id", "there is no such person")
    last = end or entry
    stored = Decision(
        **{**{name: row[name] for name in Decision.__slots__}, "facts": json.loads(row["facts"])}
    )
    promised = last.get("data", {}).get("row")
    if json.dumps(stored.facts, sort_keys=True) != row["facts"]:
        yield view.finding("decision", _D, key, "facts", "they are not written as the service writes them")
    if promised is not None and view.keys is not None and promised != rowseals.of_decision(view.keys, stored):
        yield view.finding("decision-row", _D, key, "", "subject, facts or times are not as recorded")


# ── configurations ────────────────────────────────────────────────────────────────────────────────
def configurations(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """A generation of the configuration is what the entry that it names says."""
    view.want(row["entry"] for row in page)
    for row in page:
        yield from guarded(view, "configuration", _G, (row["generation"],), _configuration(view, row))


def _configuration(view: View, row: Row) -> Iterator[Finding]:
    key = (row["generation"],)
    entry = view.entry(row["entry"])
    if entry is None or entry["kind"] != Kind.POLICY_CHANGE:
        yield view.finding("configuration", _G, key, "entry", "no such entry says that the policy changed")
        return
    data = entry["data"]
    yield from differing(
        view,
        "configuration",
        _G,
        row,
        generation=data["generation"],
        principal_id=entry["principal"],
        digest=data["bundle"],
        restored=data.get("restored"),
    )
    if not view.happened(entry, row["at"]):
        yield view.finding("configuration", _G, key, "at", "its entry says another time")
    made = of_row(dict(row))
    if json.dumps(made.changes) != row["changes"]:
        yield view.finding("configuration", _G, key, "changes", "not written as the service writes them")
    if view.keys is not None and data["row"] != rowseals.of_configuration(view.keys, made):
        yield view.finding("configuration-row", _G, key, "", "its changes are not as recorded")


# ── erasures ───────────────────────────────────────────────────────────────────────────────────────
def shreds(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each erasure, against its request, its batch, its purge and its certificate."""
    asked = view.asked(Kind.SHRED, [row["id"] for row in page])
    named = {row["certificate_id"] for row in page} - {None}
    kept = {row["id"]: row for row in inspecting.where(view.tx, _C, id=named)}
    for row in page:
        found = _shred(view, row, asked.get(row["id"]), kept.get(row["certificate_id"]))
        yield from guarded(view, "shred", _S, (row["id"],), found)


def _shred(view: View, row: Row, asked: dict[str, Any] | None, certificate: Row | None) -> Iterator[Finding]:
    key = (row["id"],)
    shred = Shred(
        **{
            **{name: row[name] for name in Shred._fields},
            "steps": json.loads(row["steps"]),
            "findings": json.loads(row["findings"]),
        }
    )
    if row["findings"] != json.dumps(shred.findings) or row["steps"] != json.dumps(shred.steps):
        yield view.finding(
            "shred", _S, key, "findings", "not written as the service writes it (or the steps)"
        )
    if shred.kind not in _KINDS or shred.state not in _STATES:
        yield view.finding("shred", _S, key, "state", "there is no such kind or state")
    if shred.kind in _TARGETS and not inspecting.known_ids(view.tx, _TARGETS[shred.kind], [shred.target_id]):
        yield view.finding("shred", _S, key, "target_id", f"there is no such {shred.kind}")
    if shred.state != "requested" and shred.state not in shred.steps:
        yield view.finding("shred", _S, key, "steps", "its state is not among its steps")
    if (shred.certificate_id is None) != (shred.state != "completed") and "replayed" not in shred.steps:
        yield view.finding("shred", _S, key, "certificate_id", "there is one just when it is completed")
    if shred.certificate_id is not None and certificate is None:
        yield view.finding("shred", _S, key, "certificate_id", "there is no such certificate")
    yield from _begun(view, row, shred, asked)
    yield from _purged(view, row, shred)
    if certificate is not None and shred.state == "completed" and "replayed" not in shred.steps:
        yield from _certified(view, shred, certificate)


def _begun(view: View, row: Row, shred: Shred, asked: dict[str, Any] | None) -> Iterator[Finding]:
    """By whom it was asked for, and which batch took it."""
    key = (row["id"],)
    if "replayed" in shred.steps:
        planned = any(shred.id == one["shred"] for one in _planned(view, shred.op_id))
        if not planned:
            yield view.finding("shred", _S, key, "op_id", "the journal does not have it in this batch")
    elif asked is None:
        yield view.finding("shred", _S, key, "id", "the ledger does not know that it was asked for")
    else:
        yield from _asked(view, row, shred, asked)
    over = {batch.op_id for batch in view.plans() if batch.state == DONE}
    if shred.op_id in over and shred.state not in SETTLED:
        yield view.finding("shred", _S, key, "state", "its batch is over")
    if (shred.op_id is None) != (shred.state == "requested"):
        yield view.finding("shred", _S, key, "op_id", "it is named once a batch has taken it")
    elif shred.op_id is not None and shred.id not in {one["shred"] for one in _planned(view, shred.op_id)}:
        yield view.finding("shred", _S, key, "op_id", "it is not in this batch")


def _asked(view: View, row: Row, shred: Shred, asked: dict[str, Any]) -> Iterator[Finding]:
    key = (row["id"],)
    yield from differing(view, "shred", _S, row, requested_by=asked.get("principal", CELL))
    if not view.happened(asked, shred.requested_at):
        yield view.finding("shred", _S, key, "requested_at", "its entry says another time")
    if shred.steps.get("requested") != ids.rfc3339(shred.requested_at):
        yield view.finding("shred", _S, key, "steps", "the first step is not when it was asked for")
    seal = asked.get("data", {}).get("row")
    if seal is not None and view.keys is not None and seal != rowseals.of_shred(view.keys, shred):
        yield view.finding("shred-row", _S, key, "", "kind, target, time or by whom are not as asked for")


def _planned(view: View, op_id: str | None) -> list[Any]:
    plans = [batch.plan for batch in view.plans() if batch.op_id == op_id]
    plans = plans or [batch.plan for batch in view.plans(fresh=True) if batch.op_id == op_id]
    return [one for plan in plans for one in plan.get(view.tenant_id, {}).get("erasures", ())]


def _purged(view: View, row: Row, shred: Shred) -> Iterator[Finding]:
    """What was purged, by the entry that says so and by the versions that name this erasure."""
    key, found = (row["id"],), shred.findings
    named = found.get("entry")
    if named is None:
        if shred.state in SETTLED:
            yield view.finding("shred", _S, key, "findings", "no entry of its purge is named")
        return
    entry = view.entry(named)
    data = {} if entry is None else entry.get("data", {})
    said = {name: data.get(name) for name in ("shred", "certificate", "versions", "kept", "held", "segments")}
    have = {
        "shred": shred.id,
        "certificate": found.get("certificate"),
        "versions": found.get("purged"),
        "kept": found.get("kept"),
        "held": found.get("held"),
        "segments": found.get("segments"),
    }
    if entry is None or entry["kind"] != Kind.PURGE or said != have:
        yield view.finding("shred", _S, key, "findings", "its purge's entry says otherwise")
    settled = shred.state in SETTLED and shred.kind != "tenant" and "replayed" not in shred.steps
    counted = view.over.erased.get(shred.id, 0)
    if (
        settled
        and "versions" in view.over.complete
        and _before(view, shred)
        and counted != found.get("purged")
    ):
        detail = f"{counted} versions name it, {found.get('purged')} were purged"
        yield view.finding("shred", "versions", key, "shred_id", detail)


def _before(view: View, shred: Shred) -> bool:
    """Whether it was purged before this pass began to count."""
    purged = shred.steps.get("purged")
    return purged is not None and ids.parse_rfc3339(str(purged)) < view.over.started


def _certified(view: View, shred: Shred, certificate: Row) -> Iterator[Finding]:
    """The row says what the signed certificate does."""
    origin = peek_origin(certificate["envelope"])
    keys = () if origin is None else tuple(view.signers(origin))
    if not keys:
        return
    said = verify_certificate(certificate["envelope"], keys).certificate
    if not said:
        return  # the section on certificates says so
    counts = said["stores"]["database"]
    found = shred.findings
    pairs = {
        "target_id": (said.get(shred.kind), shred.target_id),
        "steps": ({one["step"]: one["at"] for one in said["steps"]}, shred.steps),
        "findings": (
            (counts["versions_purged"], said["keys"], said["entry"], said["residue"]["read_back"]),
            (found.get("purged"), found.get("keys"), found.get("entry"), found.get("remnants")),
        ),
    }
    for column, (one, other) in pairs.items():
        if one != other:
            yield view.finding("shred", _S, (shred.id,), column, "its certificate says otherwise")
    more = {
        "derived": found.get("derived"),
        "ledger_handed_over": found.get("logs"),
        "holds": found.get("holds"),
        "retention": found.get("retention"),
    }
    database = FILES.get(str(found.get("database")))
    if said["stores"]["database_files"] != database or said["residue"]["searched_for_values"] != found.get(
        "scan", "not asked for"
    ):
        yield view.finding("shred", _S, (shred.id,), "findings", "its certificate has another kind or search")
    if "packed" in found and said["stores"]["objects"] != objects_of(found):
        yield view.finding("shred", _S, (shred.id,), "findings", "its certificate says otherwise of packs")
    for name, value in more.items():
        if said.get(name) != (value or None):
            yield view.finding("shred", _S, (shred.id,), "findings", f"its certificate has other {name}")


# ── certificates ───────────────────────────────────────────────────────────────────────────────────
@each("certificate", _C)
def certificates(view: View, row: Row) -> Iterator[Finding]:
    """Signed by one of the tenant's logs, of the erasure that names it, and the one that the mirror has."""
    key = (row["id"],)
    origin = peek_origin(row["envelope"]) or ""
    keys = view.signers(origin) if _own(view, origin) else {}
    if not keys and view.lives and view.keys is not None:
        yield view.finding("certificate", _C, key, "envelope", "it is not of a log of this tenant")
        return
    if keys:
        yield from _verified(view, row, verify_certificate(row["envelope"], tuple(keys)))
        yield from _in_time(view, row, keys)
    mirrored = view.anchors.ground.mirror.certificate(row["shred_id"])
    # After a restore in the middle of an erasure there may be two, of different ids.
    if mirrored is not None and mirrored[0] == row["id"] and mirrored[1] != row["envelope"]:
        yield view.finding("certificate", _C, key, "envelope", "the mirror has another")
    table = tables.shreds
    named = inspecting.where(view.tx, table, id=row["shred_id"])
    if not named or named[0]["certificate_id"] != row["id"]:
        yield view.finding("certificate", _C, key, "shred_id", "no such erasure names this certificate")


def _own(view: View, origin: str) -> bool:
    start, _, generation = origin.rpartition("/")
    ours = f"{view.anchors.ground.origin_prefix}/{view.tenant_id}"
    logs = {one["origin"] for one in inspecting.where(view.tx, tables.logs)}
    return origin in logs or (start == ours and generation.isdecimal())


def _in_time(view: View, row: Row, keys: Mapping[Verifier, int | None]) -> Iterator[Finding]:
    """A key that was replaced has signed no certificate since: who still has it is somebody else."""
    for verifier, until in keys.items():
        report = verify_certificate(row["envelope"], [verifier])
        if not report.ok:
            continue
        if until is not None and ids.parse_rfc3339(report.certificate["issued_at"]) > until + SKEW_US:
            detail = "it was signed by a key that had been replaced"
            yield view.finding("certificate", _C, (row["id"],), "envelope", detail)
        return


def _verified(view: View, row: Row, report: Any) -> Iterator[Finding]:  # noqa: ANN401 - a certificate's report
    key = (row["id"],)
    for failure in report.failures:
        yield view.finding("certificate", _C, key, "envelope", f"{failure.check}: {failure.detail}")
    said = report.certificate
    if not said or not report.ok:
        return
    for column, value in (("id", said["id"]), ("shred_id", said["shred"])):
        if row[column] != value:
            yield view.finding("certificate", _C, key, column, "the signed certificate says otherwise")
    issued, tenant = {said["issued_at"]}, view.tenant_id
    table = tables.shreds
    for shred in inspecting.where(view.tx, table, id=row["shred_id"]):
        tenant = shred["target_id"] if shred["kind"] == "tenant" else tenant
        if (replayed := json.loads(shred["steps"]).get("replayed")) is not None:
            issued = {replayed}
    if said["tenant"] != tenant:
        yield view.finding("certificate", _C, key, "envelope", "it is of another tenant")
    if ids.rfc3339(row["created_at"]) not in issued:
        yield view.finding("certificate", _C, key, "created_at", "the signed certificate has another time")
