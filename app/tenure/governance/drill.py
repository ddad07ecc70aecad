"""A drill: a backup, restored where it harms nobody, examined, and the result on record.

    1 take      a backup, unless one is given, and check every digest
    2 restore   into a scratch database; recovered as a real restore would be, with the mirror seen through an
                overlay and a root store that only opens: nothing real is written, created or destroyed
    3 examine   every tenant (`rehearsal`), with everything that the live root keys still open (`oracle`)
    4 record    the result, on the cell's log and, as counts, on every tenant's

If the live key state moves meanwhile, 3 may see half of it: it is repeated.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from tenure import ids
from tenure.cold.mirror import Mirror
from tenure.errors import Conflict, KeyFailure, TenureError
from tenure.governance.backupset import Backup
from tenure.governance.ground import Ground
from tenure.governance.oracle import Oracle
from tenure.governance.plan import TenantPlan
from tenure.governance.recovery import Recovered, is_behind, recover
from tenure.governance.rehearsal import Erasure, Rehearsal, Tally
from tenure.ids import CELL
from tenure.ledger.canonical import canonical
from tenure.ledger.entry import EntryDraft, Kind
from tenure.store import keystate, survey
from tenure.store.session import Tx, Writers

FORMAT = "tenure/drill-report/v1"
_MOST = 100
"""Failures that the report lists; it counts all."""
_ATTEMPTS = 3


class Examined(NamedTuple):
    """What step 3 found."""

    recovered: Recovered
    tallies: list[Tally]
    tried: int
    opened: int


class Report(NamedTuple):
    """A drill's result: the document, and the counts of each tenant for its own log."""

    document: dict[str, Any]
    tenants: dict[str, dict[str, int]]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return bool(self.document["ok"])

    @property
    def encoded(self) -> bytes:
        """Canonical JSON (RFC 8785): what the ledger's digest is of."""
        return canonical(self.document)

    @property
    def sha256(self) -> str:
        """Hex digest of the encoded document."""
        return hashlib.sha256(self.encoded).hexdigest()


def require_current(live: Ground) -> None:
    """A drill writes into the log: never into one that was restored and has not been recovered."""
    if is_behind(live):
        raise Conflict(
            "The live database is itself older than the mirror remembers; no drill was made.",
            field="TENURE_DATABASE_URL",
            rule="a cell that has recovered",
            remedy="Start the cell (or run 'tenure doctor'): it recovers at start. Then repeat the drill.",
        )


def examine(
    live: Ground, open_restored: Callable[[], Ground], sample: int | None
) -> tuple[Examined | None, TenureError | None]:
    """Steps 2 (its recovery) and 3: what was found, or the error that kept the backup from opening at all.

    `open_restored` gives the loaded scratch database on a fresh overlay.
    """
    for _ in range(_ATTEMPTS - 1):
        before = live.database.read(CELL, keystate.pointer)
        found, error = _attempt(live, open_restored, sample)
        failed = found is None or any(tally.failures for tally in found.tallies)
        if not failed or live.database.read(CELL, keystate.pointer) == before:
            return found, error
    return _attempt(live, open_restored, sample)


def _attempt(
    live: Ground, open_restored: Callable[[], Ground], sample: int | None
) -> tuple[Examined | None, TenureError | None]:
    restored = open_restored()
    try:
        # Before recovery: what the backup itself would open is what an attacker with it has.
        oracle = Oracle(live.roots, live.mirror, (restored.database, live.database))
        recovered = recover(restored, declared=True)
        rehearsal = Rehearsal(live, restored, sample)
        erasures = _erasures(live, recovered.tenant_ids)
        tallies = [
            rehearsal.tenant(tenant_id, erasures[tenant_id], oracle.reach(tenant_id))
            for tenant_id in recovered.tenant_ids
        ]
    except KeyFailure as failure:
        return None, failure
    finally:
        restored.database.close()
    return Examined(recovered, tallies, oracle.tried, oracle.opened), None


def _erasures(live: Ground, tenant_ids: Iterable[str]) -> dict[str, list[Erasure]]:
    """Everybody whom the mirror's journal or the live database names as erased, by tenant."""
    found: dict[str, dict[int, Erasure]] = {tenant_id: {} for tenant_id in tenant_ids}
    for plan in live.mirror.intents().values():
        for tenant_id in plan.keys() & found.keys():
            _add(found[tenant_id], live.mirror, plan[tenant_id])
    for tenant_id, known in found.items():
        for person in live.database.read(tenant_id, survey.erased):
            journalled = person.leaf in known
            known[person.leaf] = Erasure(person.id, person.leaf, done=True, journalled=journalled)
    return {tenant_id: list(known.values()) for tenant_id, known in found.items()}


def _add(found: dict[int, Erasure], mirror: Mirror, mine: TenantPlan) -> None:
    """One journalled batch: the leaves of its people, and the old ones of their blind-index buckets."""
    all_done = True
    for one in mine["erasures"]:
        done = mirror.certificate(one["shred"]) is not None
        all_done &= done
        for leaf in one["leaves"]:
            # A cohort is nobody, and what became of a leaf's owner is asked for people only.
            target = "" if one["kind"] == "cohort" else one["target"]
            found[leaf] = Erasure(target, leaf, done=done)
    for leaf in mine["leaves"]:
        found.setdefault(leaf, Erasure("", leaf, done=all_done))


# ── the result ─────────────────────────────────────────────────────────────────────────────────────
def report_of(
    backup: Backup, live: Ground, found: Examined | None, error: TenureError | None, *, taken: bool
) -> Report:
    """The report of a drill that came to an end, well or not."""
    tallies = found.tallies if found else []
    failures = [failure for tally in tallies for failure in tally.failures]
    if error is not None:
        failures.append({"check": error.rule or error.kind, "detail": error.detail})
    document: dict[str, Any] = {
        "format": FORMAT,
        "id": ids.new_id(),
        "at": ids.rfc3339(ids.now()),
        "ok": not failures,
        "backup": {
            "id": backup.id,
            "manifest_sha256": backup.digest,
            "created_at": ids.rfc3339(backup.created_at),
            "taken_for_this_drill": taken,
        },
        "root_versions": [known.version for known in live.roots.list() if known.state != "destroyed"],
        "tenants": [{"tenant": tally.tenant, "alive": tally.alive, **tally.counts()} for tally in tallies],
        "total": _total(tallies, len(failures)),
        "failures": failures[:_MOST],
    }
    if found is not None:
        document["key_states"] = {"tried": found.tried, "opened": found.opened}
        document["restored"] = {
            "leaf_epoch": found.recovered.leaf_epoch,
            "erasures_replayed": found.recovered.replayed,
            "entries_lost": sum(lost.entries for lost in found.recovered.lost),
        }
    return Report(document, {tally.tenant: tally.counts() for tally in tallies if not tally.left})


def record(live: Ground, report: Report) -> dict[str, str]:
    """Step 4: the entry's id by tenant. Entries get their place and signature with the next sequencing."""
    document = report.document
    about = {
        "drill": document["id"],
        "backup": document["backup"]["manifest_sha256"],
        "report": report.sha256,
        **document["total"],
    }
    drafts = {CELL: about}
    for tenant_id, counts in report.tenants.items():
        if tenant_id != CELL:
            drafts[tenant_id] = {"drill": document["id"], **counts}
    return {
        tenant_id: entry
        for tenant_id, data in drafts.items()
        if (entry := live.database.write(tenant_id, partial(_append, data=data, ok=report.ok)))
    }


def _append(tx: Tx, data: dict[str, Any], *, ok: bool) -> str:
    """As recovery does: a writer of this one transaction, ended in it."""
    if not tx.exists:
        return ""
    tx.writers = Writers()
    entry = tx.append(EntryDraft(kind=Kind.DRILL, at=ids.now(), outcome="ok" if ok else "failed", data=data))
    tx.append(EntryDraft(kind=Kind.WRITER_END, at=ids.now(), outcome="ok"))
    return entry


def _total(tallies: list[Tally], failed: int) -> dict[str, int]:
    total = {"erased": 0, "under_way": 0, "refused": 0, "compared": 0}
    for tally in tallies:
        for name in total:
            total[name] += tally.counts()[name]
    return {**total, "failed": failed}
