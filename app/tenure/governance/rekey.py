"""Blind-index buckets: planning and moving them, so that an old backup cannot even confirm who was there.

Everybody who is found through the bucket of an erased person gets a new index, under the bucket's new leaf,
in the transaction that moves the key state; the old leaf is punctured with it. At a million people a bucket
has some 250.
"""

from collections.abc import Iterable, Sequence

from tenure.governance import derived
from tenure.governance.plan import Erasure, TenantPlan
from tenure.keyring import Keyring, stored_state
from tenure.keys import blind
from tenure.keys.ggm import PuncturedState, leaf_number
from tenure.keys.seal import Binding, open_key
from tenure.sealing import REF, SUBJECTS_SCOPE
from tenure.store import cohorts, holds, subjects, tenants
from tenure.store.session import Tx
from tenure.store.shreds import AWAITING, Kind, Shred


def planned(tx: Tx, waiting: Iterable[Shred]) -> TenantPlan:
    """The transaction's tenant's part of a batch, with fresh leaves for the buckets that will move."""
    erasures: list[Erasure] = []
    moving: set[int] = set()
    for shred in waiting:
        leaves: list[int] = []
        if shred.kind == Kind.SUBJECT and (person := subjects.get(tx, shred.target_id)) is not None:
            leaves = [person.leaf]
            bucket = subjects.bucket_of(tx, shred.target_id)
            moving |= {bucket} if bucket is not None else set()
        elif shred.kind == Kind.HOLD and (hold := holds.get(tx, shred.target_id)) is not None:
            leaves = [hold.leaf]
        elif shred.kind == Kind.COHORT and (cohort := cohorts.get(tx, shred.target_id)) is not None:
            leaves = [cohort.leaf]
        erasure = Erasure(shred=shred.id, kind=shred.kind, target=shred.target_id, leaves=leaves)
        if shred.findings.get("scan") == AWAITING:
            erasure["scan"] = True
        if "ledger" in shred.findings:
            erasure["ledger"] = shred.findings["ledger"]
        erasures.append(erasure)
    buckets = _moves(tx, sorted(moving))
    punctured = [leaf for one in erasures for leaf in one["leaves"]] + [old for _, old, _ in buckets]
    return TenantPlan(erasures=erasures, leaves=punctured, buckets=buckets, derived=derived.rules(tx))


def move_buckets(tx: Tx, keyring: Keyring, buckets: Sequence[Sequence[int]]) -> None:
    """Re-index everybody in these buckets under their new leaves: in the swap, before the epoch.

    Locks the tenant's leaf sequence first: whoever is writing about somebody new holds it until they commit,
    and whoever comes later finds the epoch moved and looks again with the new index.
    """
    if not buckets:
        return
    tenants.lock_leaves(tx)
    state = stored_state(tx, keyring.manifest().tenants[tx.tenant_id])
    for bucket, _, leaf in buckets:
        _re_index(tx, state, bucket, leaf)
    state.wipe()


def mend_buckets(tx: Tx, state: PuncturedState) -> int:
    """After a restore: move the buckets whose leaf was punctured since; how many there were."""
    moved = subjects.bucket_leaves(tx)
    dead = [
        bucket
        for bucket in range(blind.BUCKETS)
        if state.is_punctured(moved.get(bucket) or blind.bucket_leaf(bucket))
    ]
    for bucket, _, leaf in _moves(tx, dead):
        _re_index(tx, state, bucket, leaf)
    return len(dead)


def _moves(tx: Tx, buckets: Sequence[int]) -> list[tuple[int, int, int]]:
    if not buckets:
        return []
    epoch, first = tenants.take_leaves(tx, len(buckets))
    moved = subjects.bucket_leaves(tx)
    return [
        (bucket, moved.get(bucket) or blind.bucket_leaf(bucket), leaf_number(epoch, first + at))
        for at, bucket in enumerate(buckets)
    ]


def _re_index(tx: Tx, state: PuncturedState, bucket: int, leaf: int) -> None:
    key = state.derive(leaf)
    indexes: dict[str, str] = {}
    for person in subjects.in_bucket(tx, bucket):
        if state.is_punctured(person.leaf):
            continue  # erased since: their purge drops the index
        opened = open_key(Binding(tx.tenant_id, SUBJECTS_SCOPE, person.id, 0), person.header, state.derive)
        indexes[person.id] = blind.blind_index(key, "subject", opened.open(REF, person.part)).hex()
        opened.wipe()
    subjects.re_index(tx, indexes)
    subjects.move_bucket(tx, bucket, leaf)
