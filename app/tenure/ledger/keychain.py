"""A log's key changes, and how whoever pinned an old key comes to the present one.

    old key ─signs─► checkpoint that covers the entry `key.rotate` ◄─signs─ new key

Each step is a receipt of that entry under that checkpoint. The entry names both keys, and both signed the
checkpoint: the old one says who follows it, the new one that it is there. A chain is such receipts, one after
the other, oldest first: the file `rotations` beside a published log. Format: docs/spec/ledger.md, "Keys".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tenure.errors import Unverified
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.entry import Kind
from tenure.ledger.note import ED25519, Verifier
from tenure.ledger.receipt import FIRST_LINE, parse_receipt, verify_receipt

FILE = "rotations"
MAX_STEPS = 1_000
_PUBLIC_SIZE = 33


class Step(NamedTuple):
    """One change of key that holds: from a trusted key to the next."""

    old: Verifier
    new: Verifier
    place: int
    """Of the entry `key.rotate` in the log."""
    size: int
    checkpoint: str
    """The signed note of that size, with both signatures."""

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        return (
            f"The key of {self.old.name} was changed at entry {self.place}: {self.old.key_id.hex()} was"
            f" followed by {self.new.key_id.hex()}; both signed the checkpoint of {self.size} entries."
        )


def rotation_data(old: Verifier, new: Verifier) -> dict[str, str]:
    """The `data` of the entry: `old_key` and `new_key` are key ids, `public` is type and key, all in hex."""
    public = bytes([new.algorithm]) + new.public
    return {"old_key": old.key_id.hex(), "new_key": new.key_id.hex(), "public": public.hex()}


def named_key(entry: Mapping[str, Any], origin: str) -> Verifier | None:
    """The key that an entry puts in force for its log; None for entries that do no such thing.

    Raises `Unverified` ("rotation") for one that should and does not name a key.
    """
    data = entry.get("data", {})
    if entry["kind"] != Kind.KEY_ROTATE or "public" not in data:
        return None
    try:
        raw = bytes.fromhex(data["public"])
    except (TypeError, ValueError):
        raw = b""
    key = Verifier(origin, raw[1:])
    if len(raw) != _PUBLIC_SIZE or raw[0] != ED25519 or key.key_id.hex() != data.get("new_key"):
        raise _broken("an entry that should name a key does not")
    return key


def build_chain(receipts: Iterable[str]) -> str:
    """The file, from receipts of the entries, oldest first."""
    return "".join(receipts)


def parse_chain(text: str) -> list[str]:
    """The receipts of a chain. Raises `Unverified` ("rotation-format")."""
    if not text:
        return []
    head = f"{FIRST_LINE}\n"
    parts = f"\n{text}".split(f"\n{head}")
    receipts = [f"{head}{part}\n" for part in parts[1:]]
    receipts[-1:] = [one.removesuffix("\n") for one in receipts[-1:]]
    if parts[0] or not receipts or len(receipts) > MAX_STEPS:
        raise Unverified(
            "rotation-format", "The file is not a chain of key changes (receipts of `key.rotate`)."
        )
    return receipts


def follow(text: str, pinned: Sequence[Verifier]) -> list[Step]:
    """The steps from keys that are pinned to the ones that followed them. Raises `Unverified`.

    Steps from keys that nobody trusts are passed over: they are the history before the pinned key, or another
    log's. Failures: "rotation-format", "rotation" (a step from a trusted key does not hold), and those of
    receipts.
    """
    trusted = {(key.name, key.key_id.hex()): key for key in pinned if key.algorithm == ED25519}
    steps: list[Step] = []
    for receipt in parse_chain(text):
        step = _step(receipt, trusted)
        if step is not None:
            trusted[step.new.name, step.new.key_id.hex()] = step.new
            steps.append(step)
    return steps


def followed(texts: Iterable[str], pinned: Sequence[Verifier]) -> tuple[Verifier, ...]:
    """The pinned keys and those that chains lead to. Raises what `follow` raises."""
    keys = tuple(pinned)
    for text in texts:
        keys += tuple(step.new for step in follow(text, keys))
    return tuple(dict.fromkeys(keys))


def _step(text: str, trusted: Mapping[tuple[str, str], Verifier]) -> Step | None:
    receipt = parse_receipt(text)
    origin = receipt.checkpoint.partition("\n")[0]
    keys = [key for (name, _), key in trusted.items() if name == origin]
    if not keys:
        return None
    report = verify_receipt(text, keys)
    failed = [failure.check for failure in report.failures]
    if failed in (["unknown-key"], ["origin-mismatch"]):
        return None
    if report.failures:
        failure = report.failures[0]
        raise Unverified(failure.check, f"A change of key: {failure.detail}")
    new = named_key(report.entry, origin)
    old = trusted.get((origin, str(report.entry.get("data", {}).get("old_key"))))
    if new is None:
        raise _broken("its entry names no key")
    if old is None:  # signed by the new key, which is trusted already
        return None
    signed = open_checkpoint(receipt.checkpoint, [old, new])
    if {line.key_id for line in signed.signatures} != {old.key_id, new.key_id}:
        raise _broken("its checkpoint is not signed by both keys")
    return Step(old, new, receipt.index, signed.checkpoint.size, receipt.checkpoint)


def _broken(why: str) -> Unverified:
    return Unverified("rotation", f"A change of the log's key does not hold: {why}.")
