"""What a caller was told about its own accesses, held against the entries that the log has of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tenure.errors import Unverified
from tenure.ledger.base64 import from_base64
from tenure.ledger.receipt import ReceiptReport


class Told(NamedTuple):
    """One version, or segment of it, that an answer was about. `commitment` in hex, where it gave one."""

    record: str
    version: int
    commitment: str | None


class Own(NamedTuple):
    """One call of ours, as its answer described it. None is what the answer does not say."""

    entry: str
    kind: str | None = None
    decision: str | None = None
    outcome: str | None = None
    told: tuple[Told, ...] = ()


def own_of(answer: Mapping[str, Any], method: str, path: str, decision: str | None) -> Own | None:
    """What to remember of an answer of the API; None when it names no entry."""
    entry = answer.get("entry")
    if type(entry) is not str:
        return None
    if path.startswith("/v1/decisions"):
        return _of_decision(entry, answer, path)
    if "/records" not in path:
        return Own(entry)
    items = [answer] if "record" in answer else answer.get("items", ())
    told = (part for item in items if "record" in item for part in _told(item))
    kind = {"PUT": "write", "DELETE": "delete"}.get(method, "access")
    return Own(entry, kind, decision, None, tuple(told))


def _of_decision(entry: str, answer: Mapping[str, Any], path: str) -> Own:
    if path == "/v1/decisions":
        return Own(entry, "decision.open", answer.get("id"))
    if path.endswith(":seal"):
        return Own(entry, "decision.seal", answer.get("id"), answer.get("outcome"))
    return Own(entry, "access")


def compare(own: Own, receipt: ReceiptReport) -> None:
    """Raise `Unverified` unless a verified receipt says of our call what we were told.

    "own-missing": it is of another entry; "own-changed": kind, decision, outcome, record, version or
    commitment are others.
    """
    entry = receipt.entry
    if f"{entry['writer']}-{entry['n']}" != own.entry:
        raise Unverified("own-missing", f"For entry {own.entry} the log gave the receipt of another one.")
    for name, said in (("kind", own.kind), ("decision", own.decision), ("outcome", own.outcome)):
        if said is not None and entry.get(name) != said:
            raise Unverified("own-changed", f"Entry {own.entry} has another {name} than we were told.")
    there = {
        (one["record"], one["version"], from_base64(one["commitment"]).hex() if "commitment" in one else None)
        for one in receipt.accesses
    }
    versions = {part[:2] for part in there}
    for told in own.told:
        if told not in there if told.commitment else told[:2] not in versions:
            raise Unverified(
                "own-changed", f"Entry {own.entry} does not have the access to {told.record} as we were told."
            )


def _told(item: Mapping[str, Any]) -> list[Told]:
    """A version's commitments: its own, or those of its segments."""
    promises = [item.get("commitment"), *item.get("commitments", ())]
    promises += [part.get("commitment") for part in item.get("segments", ())]
    given = [promise for promise in promises if promise]
    return [Told(item["record"], item["version"], promise) for promise in given or [None]]
