"""A log's key changes, and how whoever pinned an old key comes to the present one.

    old key ─signs─► checkpoint that covers the entry `key.rotate` ◄─signs─ new key

Each step is a receipt of that entry under that checkpoint. The entry names both keys, and both signed the
checkpoint: the old one says who follows it, the new one that it is there. A chain is such receipts, one after
the other, oldest first: the file `rotations` beside a published log. Format: docs/spec/ledger.md, "Keys".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenure.errors import Unverified
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.entry import Kind, parse_entry
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


@dataclass(frozen=True, slots=True)
class Lineage:
    """The keys of a log as far as a chain proves them, forwards and backwards from keys that are pinned."""

    pinned: tuple[Verifier, ...]
    followed: tuple[Step, ...]
    """From a pinned key to the ones that followed it."""
    before: tuple[Step, ...]
    """From a trusted key back to the ones before it, newest first."""

    @property
    def replaced(self) -> dict[Verifier, Step]:
        """Keys that another one followed, and how: each counts up to the checkpoint of that step only."""
        return {step.old: step for step in (*self.followed, *self.before)}

    @property
    def in_force(self) -> tuple[Verifier, ...]:
        """Pinned keys and followers that nothing replaced; witnesses' keys, too."""
        keys = dict.fromkeys((*self.pinned, *(step.new for step in self.followed)))
        return tuple(key for key in keys if key not in self.replaced)

    @property
    def known(self) -> tuple[Verifier, ...]:
        """All of them, replaced ones included."""
        return tuple(dict.fromkeys((*self.in_force, *self.replaced)))


def lineage(text: str, pinned: Sequence[Verifier], claimed: Sequence[Verifier] = ()) -> Lineage:
    """What a chain proves about pinned keys. Raises `Unverified` ("rotation", and what `follow` raises).

    Back from a trusted key goes who has the key before it: entries name that one by its id only, so it comes
    from `claimed` (or a step before); it must have signed the checkpoint of the change, as the trusted key
    did. Two keys of one log that would both be in force are refused: one of them was replaced, and nothing
    shows which.
    """
    followed = tuple(follow(text, pinned))
    keys = {*pinned, *(step.new for step in followed)}
    chain = parse_chain(text)
    candidates = dict.fromkeys((*claimed, *(key for one in chain if (key := _named(one)) is not None)))
    before: list[Step] = []
    for receipt in reversed(chain):
        step = _step_back(receipt, keys, tuple(candidates))
        if step is not None and step.old not in keys:
            keys.add(step.old)
            before.append(step)
    found = Lineage(tuple(pinned), followed, tuple(before))
    if len({step.old for step in followed}) < len(followed):
        raise _broken("one key is followed by two")
    names = Counter(key.name for key in found.in_force if key.algorithm == ED25519)
    for name, count in names.items():
        if count > 1:
            raise Unverified(
                "rotation",
                f"{count} keys of {name} would be in force, and it is not shown which one followed the other."
                " Give the one that signs now.",
            )
    return found


def _named(text: str) -> Verifier | None:
    receipt = parse_receipt(text)
    return named_key(parse_entry(receipt.entry), receipt.checkpoint.partition("\n")[0])


def _step_back(text: str, trusted: set[Verifier], candidates: Sequence[Verifier]) -> Step | None:
    """The step to a trusted key, where the key before it is among the candidates."""
    receipt = parse_receipt(text)
    new = _named(text)
    if new is None or new not in trusted:
        return None
    report = verify_receipt(text, [new])
    if report.failures:
        raise _broken(report.failures[0].detail)
    named = str(report.entry["data"].get("old_key"))
    for old in candidates:
        if (old.name, old.key_id.hex(), old.algorithm) != (new.name, named, ED25519):
            continue
        try:
            signed = open_checkpoint(receipt.checkpoint, [old, new])
        except Unverified:
            continue  # another key of the same id
        if {line.key_id for line in signed.signatures} == {old.key_id, new.key_id}:
            return Step(old, new, receipt.index, signed.checkpoint.size, receipt.checkpoint)
    return None


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
