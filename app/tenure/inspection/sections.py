"""Which check looks at which table: the whole of an inspection, in its order.

Entries come before what they name and versions before the erasures that are counted in them (`view.Pass`).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import Table

from tenure.inspection import (
    acts,
    breakglass,
    celllog,
    cohorts,
    configuration,
    keys,
    ledger,
    notices,
    packages,
    people,
    records,
    rights,
    subjectlimits,
    trees,
)
from tenure.inspection.findings import Finding
from tenure.inspection.view import Check, View
from tenure.store import tables

PAGE = 200
FEW = 20
"""Rows in one transaction where each asks outside of it: PostgreSQL ends one that stands still."""


class Section(NamedTuple):
    """A check over the rows of one table, a page at a time; or over a tenant as a whole."""

    name: str
    table: Table | None
    check: Check | None
    whole: Callable[[View], Iterator[Finding]] | None = None
    """Runs once, after the rows."""
    of_cell: bool = False
    """Only in the cell's own transaction."""
    rows: int = PAGE
    """How many are looked at in one transaction."""


SECTIONS = (
    Section("key pointer", None, None, keys.pointer, of_cell=True),
    Section("key manifests", tables.key_manifests, keys.manifests, of_cell=True),
    Section("key batches", tables.key_batches, keys.batches, of_cell=True, rows=FEW),
    Section("key shards", tables.key_shards, keys.shard_rows, keys.shard_state),
    Section("leaf sequences", tables.leaf_sequences, people.leaf_sequences),
    Section("logs", tables.logs, None, trees.heads),
    Section("entries", tables.entries, ledger.entries),
    Section("places", tables.places, ledger.places),
    Section("writers", tables.writers, ledger.writers),
    Section("access lists", tables.access_lists, ledger.access_lists),
    Section("ledger keys", tables.ledger_keys, None, ledger.ledger_keys),
    Section("checkpoints", tables.checkpoints, ledger.checkpoints),
    Section("tiles", tables.tiles, ledger.tiles),
    Section("cell queue", tables.cell_queue, celllog.queue),
    Section("cell checkpoints", tables.cell_checkpoints, celllog.taken, rows=FEW),
    Section("time stamps", tables.timestamps, celllog.stamps, celllog.stamps_shown, rows=FEW),
    Section("policy bundles", tables.policy_bundles, ledger.policy_bundles),
    Section("configurations", tables.configurations, acts.configurations),
    Section("manifests", tables.manifests, None, configuration.manifests),
    Section("principals", tables.principals, None, configuration.principals),
    Section("credentials", tables.credentials, None, configuration.credentials),
    Section("versions", tables.versions, records.versions),
    Section("records", tables.records, records.records),
    Section("links", tables.version_subjects, records.links),
    Section("lineage", tables.lineage, records.lineage),
    Section("paths", tables.record_paths, records.paths),
    Section("label sets", tables.label_sets, records.label_sets),
    Section("subjects", tables.subjects, people.subjects),
    Section("subject limits", tables.subject_limits, subjectlimits.limits),
    Section("events", tables.events, people.events),
    Section("bucket leaves", tables.bucket_leaves, None, people.bucket_leaves),
    Section("scope leaves", tables.scope_leaves, people.scope_leaves),
    Section("cohorts", tables.cohorts, cohorts.cohorts),
    Section("holds", tables.holds, people.holds),
    Section("held versions", tables.held_versions, people.held_versions),
    Section("elevations", tables.breakglass, breakglass.elevations),
    Section("notices", tables.notices, notices.notices),
    Section("access packages", tables.access_packages, packages.packages, packages.living),
    Section("decisions", tables.decisions, acts.decisions),
    Section("shreds", tables.shreds, acts.shreds),
    Section("rights requests", tables.rights_requests, rights.requests),
    Section("certificates", tables.certificates, acts.certificates, rows=FEW),
)
TREES = "trees"
"""The name of the section that `trees.logs` is."""
