"""Keyed digests of rows, for the ledger: what a storage-level edit of a clear column is found by.

Contents are sealed, and an entry commits to them. The clear columns beside them (labels, terms, facts of a
decision, the ground of a hold) are bound by the entry that made the row: its `data.row` is a blind index over
them. Only who has the tenant's keys can compute it, so it tells a reader of the log nothing and can be
guessed by nobody; it outlives the content, whose key it does not use.
"""

import json
from hashlib import sha256
from json.encoder import encode_basestring_ascii

from tenure.keyring import TenantKeyring
from tenure.model.access_package import Package
from tenure.model.breakglass import Elevation
from tenure.model.decision import Decision
from tenure.model.notices import Notice
from tenure.model.rightsrequest import RightsRequest
from tenure.store.cohorts import Cohort
from tenure.store.configurations import Generation
from tenure.store.events import Event
from tenure.store.holds import Hold
from tenure.store.paths import Filed
from tenure.store.records import StoredVersion
from tenure.store.shreds import Shred
from tenure.store.subjectlimits import SubjectLimit


def of_version(keys: TenantKeyring, stored: StoredVersion) -> str:
    """Of a version as it was written. Nothing in it changes later: not its state, not what is purged."""
    return _seal(
        keys,
        "version",
        stored.version_id,
        stored.record_id,
        stored.version,
        stored.scope,
        stored.labels,
        stored.created_at,
        stored.expires_at,
        stored.segments,
        *(() if stored.cohort is None else (stored.cohort,)),
    )


def of_cohort(keys: TenantKeyring, cohort: Cohort) -> str:
    """Of a cohort as it was begun. It lies in the row itself: no entry is about a cohort before it ends."""
    return _seal(keys, "cohort", cohort.id, cohort.anchor, cohort.leaf)


def of_filed(keys: TenantKeyring, filed: Filed) -> str:
    """Of a row that files a record under a path. It lies in the row itself."""
    return _seal(keys, "filed", filed.path_index, filed.record_id)


def of_decision(keys: TenantKeyring, decision: Decision) -> str:
    """Of a decision as it was opened, or as it was sealed."""
    return _seal(
        keys,
        "decision",
        decision.id,
        decision.principal_id,
        decision.subject_id,
        decision.facts,
        decision.opened_at,
        decision.sealed_at,
        decision.outcome,
    )


def of_hold(keys: TenantKeyring, hold: Hold) -> str:
    """Of a hold as it was placed."""
    return _seal(
        keys,
        "hold",
        hold.id,
        hold.kind,
        hold.target,
        hold.ground,
        hold.leaf,
        hold.placed_by,
        hold.placed_at,
    )


def of_event(keys: TenantKeyring, event: Event) -> str:
    """Of an event of a person; its entry, which carries this, says which one and where."""
    return _seal(keys, "event", event.subject_id, event.scope, event.name, event.at)


def of_subject_limit(keys: TenantKeyring, limit: SubjectLimit) -> str:
    """Of a restriction or objection as it was set, or as it was lifted; entries are named beside it."""
    columns = limit._replace(entry="", lifted_entry=None)
    return _seal(keys, "subject-limit", *columns)


def of_shred(keys: TenantKeyring, shred: Shred) -> str:
    """Of an erasure as it was asked for."""
    return _seal(keys, "shred", shred.id, shred.kind, shred.target_id, shred.requested_by, shred.requested_at)


def of_configuration(keys: TenantKeyring, made: Generation) -> str:
    """Of a generation of the configuration; its entry, which carries this, says the rest."""
    return _seal(
        keys,
        "configuration",
        made.generation,
        made.at,
        made.principal_id,
        made.digest,
        made.changes,
        made.restored,
    )


def of_elevation(keys: TenantKeyring, elevation: Elevation) -> str:
    """Of an elevation after a step: every column, of the sealed ones their SHA-256."""
    columns = (sha256(one).hexdigest() if isinstance(one, bytes) else one for one in elevation)
    return _seal(keys, "breakglass", *columns)


def of_request(keys: TenantKeyring, request: RightsRequest) -> str:
    """Of a rights request after a step: every column, of the sealed ones their SHA-256."""
    columns = (sha256(one).hexdigest() if isinstance(one, bytes) else one for one in request)
    return _seal(keys, "request", *columns)


def of_notice(keys: TenantKeyring, notice: Notice) -> str:
    """Of a notice in a state: every column but for attempts on the way; of the sealed ones their SHA-256."""
    kept = {name: value for name, value in notice._asdict().items() if name not in _ON_THE_WAY}
    columns = (sha256(one).hexdigest() if isinstance(one, bytes) else one for one in kept.values())
    return _seal(keys, "notice", *columns)


_ON_THE_WAY = {"attempts", "next_at", "result", "entry"}


def of_package(keys: TenantKeyring, package: Package) -> str:
    """Of an access package after a step: every column but the entry's, of the header its SHA-256."""
    columns = (
        sha256(one).hexdigest() if isinstance(one, bytes) else one for one in package._replace(entry="")
    )
    return _seal(keys, "access-package", *columns)


def _seal(keys: TenantKeyring, *columns: object) -> str:
    """64 hex digits. Every column in JSON, so that null, empty and "null" differ."""
    return keys.blind_index("row", *map(_json, columns))


def _json(column: object) -> str:
    """JSON as `json.dumps` writes it, which takes ten times as long for what columns mostly are."""
    if column is None:
        return "null"
    if type(column) is int:
        return str(column)
    return encode_basestring_ascii(column) if type(column) is str else json.dumps(column, sort_keys=True)
