"""Which key signed which part of a log: rows of `ledger_keys`, proven backwards from a key that is trusted.

    live key state ─► the newest row's key
    each row       ─► its entry `key.rotate`, which names it and the key before
                   ─► the checkpoint of its size, over that entry, which both keys signed

A row is storage that can be edited like any other: an earlier key counts only as far as that holds. It signed
what is smaller than the checkpoint that handed over, and nothing later.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tenure import ids
from tenure.errors import Malformed, TenureError, Unverified
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.entry import parse_entry
from tenure.ledger.keychain import follow, named_key
from tenure.ledger.merkle import leaf_hash, verify_inclusion
from tenure.ledger.note import ED25519, Verifier
from tenure.ledger.tree import inclusion
from tenure.store import ledgerkeys, log
from tenure.store.ledgerkeys import LedgerKey
from tenure.store.session import Tx


class InForce(NamedTuple):
    """A proven key. It signed checkpoints from `size` on; `until` is when it was replaced, if it was."""

    key: Verifier
    size: int
    until: int | None = None
    """By the entry that says so, in microseconds."""


class Broken(NamedTuple):
    """A row that is not proven, and so are those before it."""

    idx: int
    column: str
    why: str


class Chain(NamedTuple):
    """The keys of one generation, newest first, as far as they are proven; where that ends, if it does."""

    keys: tuple[InForce, ...]
    broken: Broken | None = None

    def at(self, size: int) -> Verifier | None:
        """The key that signs a checkpoint of this size; None when it is not proven."""
        return next((one.key for one in self.keys if one.size <= size), None)


class Trust(NamedTuple):
    """What makes the newest row of a generation believed."""

    keys: Sequence[Verifier]
    """Under the generation's origin, the likeliest first."""
    rotations: Callable[[], str] = lambda: ""
    """Published proofs, that may lead from a key which this database still names to one of these."""


def chain(tx: Tx, generation: int, origin: str, trust: Trust) -> Chain:
    """Prove a generation's keys. One statement, and some five for each change."""
    rows = ledgerkeys.history(tx, generation)
    if not rows:
        return _unnamed(tx, generation, trust.keys)
    key = _parsed(rows[0].vkey, origin)
    if key is None or not _is_trusted(key, trust):
        return Chain((), Broken(rows[0].idx, "vkey", "the newest key is not the one of the key state"))
    proven = [InForce(key, rows[0].size)]
    for row, before in pairwise(rows):
        old = _parsed(before.vkey, origin)
        if old is None:
            return Chain(tuple(proven), Broken(before.idx, "vkey", "it is no key of this log"))
        try:
            at = _handed_over(tx, generation, row, before, (old, proven[-1].key))
        except TenureError as failure:
            return Chain(tuple(proven), Broken(row.idx, "", failure.detail))
        proven.append(InForce(old, before.size, at))
    first = rows[-1]
    if (first.idx, first.size) != (0, 0):
        return Chain(tuple(proven), Broken(first.idx, "idx", "the first key of the log is not here"))
    return Chain(tuple(proven))


def _unnamed(tx: Tx, generation: int, keys: Sequence[Verifier]) -> Chain:
    """A log of before there were rows, and that did not grow since: the key that signed its newest head."""
    note = log.checkpoint(tx, generation)
    for key in keys if note is not None else ():
        try:
            open_checkpoint(note or "", [key])
        except Unverified:
            continue
        return Chain((InForce(key, 0),))
    return Chain(tuple(InForce(key, 0) for key in keys[:1]))


def _is_trusted(key: Verifier, trust: Trust) -> bool:
    if key in trust.keys:
        return True
    try:
        steps = follow(trust.rotations(), [key])
    except Unverified:
        return False
    return any(step.new in trust.keys for step in steps)


def _handed_over(
    tx: Tx, generation: int, row: LedgerKey, before: LedgerKey, keys: tuple[Verifier, Verifier]
) -> int:
    """When the second key followed the first, as the log says it. Unverified or Invalid if it does not."""
    old, new = keys
    if not before.size <= row.idx < row.size or before.idx >= row.idx:
        raise _unproven("its place and size are not behind those of the key before")
    bodies = log.bodies(tx, generation, row.idx, 1)
    entry = parse_entry(bytes(bodies[0])) if bodies else None
    if entry is None or named_key(entry, new.name) != new or entry["data"].get("old_key") != old.key_id.hex():
        raise _unproven("the entry at its place does not say that this key follows the one before")
    note = log.checkpoint(tx, generation, size=row.size)
    if note is None:
        raise _unproven("the checkpoint of its size is not here")
    signed = open_checkpoint(note, keys)
    if {line.key_id for line in signed.signatures} != {old.key_id, new.key_id}:
        raise _unproven("the checkpoint of its size is not signed by both keys")
    proof = inclusion(row.idx, row.size, lambda level, n: log.tile(tx, generation, level, n) or b"")
    size, root = signed.checkpoint.size, signed.checkpoint.root
    if size != row.size or not verify_inclusion(leaf_hash(bytes(bodies[0])), row.idx, size, proof, root):
        raise _unproven("its entry is not in the checkpoint of its size")
    return ids.parse_rfc3339(entry["at"])


def _unproven(why: str) -> Unverified:
    return Unverified("rotation", why)


def _parsed(vkey: str, origin: str) -> Verifier | None:
    try:
        key = Verifier.parse(vkey)
    except Malformed:
        return None
    return key if (key.name, key.algorithm, key.vkey) == (origin, ED25519, vkey) else None


def published_changes(chain_file: str, keys: Chain) -> set[tuple[int, int]]:
    """(place, size) of each change that a published file proves from the oldest proven key on. Unverified."""
    oldest = [one.key for one in keys.keys[-1:]]
    return {(step.place, step.size) for step in follow(chain_file, oldest)}
