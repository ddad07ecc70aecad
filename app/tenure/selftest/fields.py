"""What can be done to one field of one row. Pure: values in, other values out.

And what is tried on which table: where a change means nothing that anybody could look for, it is listed here
by name with its reason, for the report to say.
"""

import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from tenure.store import tables

Row = Mapping[str, Any]
TABLES = (
    "entries",
    "places",
    "writers",
    "access_lists",
    "logs",
    "checkpoints",
    "tiles",
    "ledger_keys",
    "cell_queue",
    "cell_checkpoints",
    "timestamps",
    "records",
    "versions",
    "version_subjects",
    "lineage",
    "record_paths",
    "label_sets",
    "subjects",
    "subject_limits",
    "events",
    "bucket_leaves",
    "scope_leaves",
    "cohorts",
    "leaf_sequences",
    "holds",
    "held_versions",
    "breakglass",
    "notices",
    "access_packages",
    "decisions",
    "rights_requests",
    "shreds",
    "certificates",
    "policy_bundles",
    "configurations",
    "manifests",
    "principals",
    "credentials",
    "key_pointer",
    "key_manifests",
    "key_batches",
    "key_shards",
)
"""Every table of ledger, records, certificates and keys."""
LEFT_OUT = {
    "tenants": "names: configuration; that whoever has keys is listed is checked",
    "tenant_state": "counters that tell caches to look again; that there is one is checked",
    "limits": "configuration: numbers that the ledger has as changes",
    "usage": "a sum over versions, which are checked themselves; it decides about room for more",
    "storage_samples": "sums over versions, which are checked themselves; for bills and charts",
    "storage_layers": "sums over versions, which are checked themselves; for forecasts and previews",
    "object_requests": "sums of what was asked of the object store; for bills and charts",
    "issuers": "configuration: whose tokens are taken is in the ledger as changes",
    "identities": "configuration: who an issuer's subject is here is in the ledger as changes",
    "issuer_claims": "an index: what it leads astray is refused by the tenant's own issuers",
    "idempotency": "remembered answers of a short time; nothing is proven by them",
    "replicas": "leases of processes, of seconds",
    "coordinator": "a lease of seconds",
    "jobs": "leases, and how each job went last; what jobs change is checked where it is",
    "packs": "what to tidy up; contents in packs are bound by their versions: digest, seal and commitment",
    "retrievals": "what archives were asked for; of no content, and what is read is checked where it is read",
    "shred_queue": "a hint where to look; whoever waits is in shreds",
    "rederivations": "reminders to applications; what became of them is in the ledger",
    "rederivation_queue": "a hint where to look",
    "rights_queue": "a hint where to look; what is due is in rights_requests",
    "notice_queue": "a hint where to look, counted anew with every change",
    "breakglass_queue": "a hint where to look; whose review is due is in breakglass",
}
"""Tables that are not tried, and why."""


class Change(NamedTuple):
    """One thing done to a row: `values` are the columns that get another value. `how` says it in words."""

    column: str
    how: str
    values: dict[str, Any]


class Exempt(NamedTuple):
    """What is not covered: of this column (`row`: deleting it; `*`: any) in rows that are `only`, and why."""

    table: str
    column: str
    only: str
    why: str
    hows: tuple[str, ...] = ()
    """Only these changes; every one if there is none."""


FINE = ("off by one", "one less", "another row's")
EXEMPT = (
    Exempt("entries", "*", "waiting", "it has no place in the log yet: nothing is signed over it"),
    Exempt("checkpoints", "at", "", "signed nowhere and shown to nobody; checked to the hour", FINE),
    Exempt("checkpoints", "row", "inner", "evidence for others; nothing here is built on it"),
    Exempt("checkpoints", "tenant_id", "inner", "the same as deleting it"),
    Exempt("ledger_keys", "row", "only", "a log's only key is the live one, and is put on record again"),
    Exempt("ledger_keys", "tenant_id", "only", "the same as deleting it"),
    Exempt("cell_queue", "row", "first", "of a log that the cell's never took in: its next one goes in"),
    Exempt("cell_checkpoints", "row", "last", "the last of a round whose tree would do with one less"),
    Exempt("cell_checkpoints", "*", "of one who left", "the log that it is about was taken along"),
    Exempt("timestamps", "at", "", "when it was kept; compared to the hour with the response", FINE),
    Exempt("subjects", "created_at", "", "shown to nobody; checked to the minute of the id", FINE),
    Exempt("subjects", "row", "alone", "nothing is about them any more: who comes back is met anew"),
    Exempt("subjects", "tenant_id", "alone", "the same as deleting it"),
    Exempt(
        "events", "row", "", "without it a rule waits for the event again, and until then nothing is deleted"
    ),
    Exempt("notices", "attempts", "", "on the way: how often it was tried, for the next pause"),
    Exempt("notices", "next_at", "", "on the way: it is sent earlier, or given up in its time"),
    Exempt("notices", "result", "", "on the way: what came of the last attempt, for people"),
    Exempt("notices", "row", "", "a case that has had its time takes its notices along"),
    Exempt("access_packages", "row", "ended", "its key is gone, and the row goes with its case"),
    Exempt("access_packages", "tenant_id", "ended", "the same as deleting it"),
    Exempt("principals", "name", "", "for people; it gives no rights, and the ledger names nobody"),
    Exempt("policy_bundles", "created_at", "", "when the bundle was first stored: nothing refers to it"),
    Exempt(
        "policy_bundles", "row", "", "stored when it is first used; a past decision then cannot be explained"
    ),
    Exempt("policy_bundles", "tenant_id", "", "the same as deleting it"),
    Exempt("policy_bundles", "digest", "", "the same as deleting it, with its body"),
    Exempt("key_batches", "created_at", "", "an order of batches that their ids have as well"),
    Exempt("key_manifests", "row", "stale", "an older key state, which the next erasure deletes"),
    Exempt("key_manifests", "tenant_id", "stale", "the same as deleting it"),
    Exempt("key_shards", "row", "stale", "of an older key state, which the next erasure deletes"),
    Exempt("key_shards", "tenant_id", "stale", "the same as deleting it"),
    Exempt(
        "leaf_sequences", "next", "", "higher: leaves are passed over, which harms nobody", ("off by one",)
    ),
    Exempt("version_subjects", "*", "of erased", "links of a version that is gone lead to nothing"),
    Exempt("lineage", "*", "of erased", "lines of descent of a version that is gone lead to nothing"),
    Exempt("record_paths", "*", "of erased", "where a version was filed that is gone: it leads to nothing"),
    Exempt(
        "records", "key_index", "of erased", "the key that it was made of is erased: nobody can make it again"
    ),
)


def changes(
    table: str, row: Row, other: Row | None, tenant_id: str | None, rng: random.Random
) -> Iterator[Change]:
    """Everything that is tried on a row. `other` is another row of its table, `tenant_id` another tenant."""
    for column in tables.metadata.tables[table].c:
        name = column.name
        if name == "tenant_id":
            if tenant_id is not None:
                yield Change(name, "moved to another tenant", {name: tenant_id})
            continue
        seen = [row[name]]
        for how, value in _values(row[name], rng):
            if value not in seen or any(type(value) is not type(one) for one in seen if one == value):
                seen.append(value)
                yield Change(name, how, {name: value})
        if other is not None and other[name] not in seen:
            yield Change(name, "another row's", {name: other[name]})
    yield from _shifts(table, row)
    yield Change("row", "deleted", {})


def _values(value: Any, rng: random.Random) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a column's value
    if isinstance(value, bytes):
        if value:
            at = rng.randrange(len(value))
            yield "a byte flipped", value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]
            yield "cut short", value[:-1]
        yield "zeros", bytes(len(value))
        yield "blank", b""
    elif isinstance(value, str):
        if value:
            at = rng.randrange(len(value))
            yield "a character changed", value[:at] + _like(value[at]) + value[at + 1 :]
        yield "blank", ""
    elif isinstance(value, int):
        yield "off by one", value + 1
        yield "one less", value - 1
        yield "zero", 0
    if value is not None:
        yield "null", None


def _like(char: str) -> str:
    """Another character of the same kind, so that the text keeps its form."""
    for kind in ("0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if char in kind:
            return kind[(kind.index(char) + 1) % len(kind)]
    return "#" if char != "#" else "_"


def _shifts(table: str, row: Row) -> Iterator[Change]:
    """The end of one field moved to the beginning of the next: joined, they are as before."""
    names = [column.name for column in tables.metadata.tables[table].c if column.name != "tenant_id"]
    for left, right in pairwise(names):
        one, two = row[left], row[right]
        if type(one) is type(two) and isinstance(one, bytes | str) and one:
            how = f"its end moved to {right}"
            yield Change(left, how, {left: one[:-1], right: one[-1:] + two})


def exemption(table: str, change: Change, kinds: frozenset[str]) -> str | None:
    """Why a change to a row of these kinds is not covered; None when it must be noticed."""
    for one in EXEMPT:
        if (
            one.table == table
            and one.column in (change.column, "*")
            and (not one.only or one.only in kinds)
            and (not one.hows or change.how in one.hows)
        ):
            return one.why
    return None
