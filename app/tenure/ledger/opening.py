"""Openings: salts and contents that show what the commitments of a receipt stand for.

A file of its own (`docs/spec/ledger.md`, "Openings"), never part of a receipt: it holds content, and no key.
A salt opens one item of one entry. What was erased has none any more; the receipt verifies all the same.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenure.errors import Malformed, Unverified
from tenure.ledger import schema
from tenure.ledger.base64 import from_base64
from tenure.ledger.canonical import canonical
from tenure.ledger.commitment import commitment
from tenure.ledger.receipt import ReceiptReport
from tenure.ledger.report import Failure, Report

_SALT_BYTES = 32
_TEXTS = ("record", "tenant", "decision", "entry_nonce", "salt")


class Seen(NamedTuple):
    """What one access of the decision saw. `content` is any JSON, None when `erased` or `lost`."""

    record: str
    version: int
    segment: int | None
    content: Any
    erased: bool = False
    lost: bool = False
    """A restored database has not the version any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningsReport(Report):
    """What openings showed. `seen` is only to be relied on when this and the receipt are `ok`."""

    seen: tuple[Seen, ...] = ()
    opened: int = 0
    """How many of the receipt's commitments."""


def verify_openings(text: str, receipt: ReceiptReport) -> OpeningsReport:
    """Check openings against a verified receipt. Never raises for bad input.

    Failures: "openings-format"; "openings-receipt" (the receipt does not verify); "openings-decision"
    (of another decision); "opening-unknown" (no access of the receipt); "opening-mismatch" (not what
    the entry committed to).
    """
    try:
        whole = _parse(text)
    except Unverified as failure:
        return _nothing(Failure.of(failure))
    if not receipt.ok:
        return _nothing(Failure("openings-receipt", "The receipt itself does not verify."))
    if whole["decision"] != receipt.entry.get("decision"):
        return _nothing(
            Failure("openings-decision", "The openings are of another decision than the receipt.")
        )
    failures: list[Failure] = []
    seen: list[Seen] = []
    committed = _committed(receipt)
    opened: set[_Place] = set()
    for item in whole["items"]:
        try:
            one = _check(item, committed, whole["decision"])
            seen.append(one)
            if not (one.erased or one.lost):
                opened.add((one.record, one.version, one.segment, item["entry_nonce"]))
        except Unverified as failure:
            failures.append(Failure.of(failure))
    left = ["Whether the agent used what it saw, or saw anything elsewhere."]
    if closed := len(committed) - len(opened):
        left.append(f"{closed} commitments of the receipt: nothing here opens them.")
    if whole["withheld"]:
        left.append(f"{whole['withheld']} accesses that whoever asked may not see.")
    return OpeningsReport(
        failures=tuple(failures), not_checked=tuple(left), seen=tuple(seen), opened=len(opened)
    )


def _nothing(failure: Failure) -> OpeningsReport:
    return OpeningsReport(failures=(failure,), not_checked=("What the decision saw.",))


_Place = tuple[object, object, object, object]


def _committed(receipt: ReceiptReport) -> dict[_Place, str]:
    """(record, version, segment, nonce of the entry it happened in) → commitment, base64."""
    own = receipt.entry.get("nonce")
    return {
        (one["record"], one["version"], one.get("segment"), one.get("entry", own)): one["commitment"]
        for one in receipt.accesses
        if "commitment" in one
    }


def _check(item: Mapping[str, Any], committed: Mapping[_Place, str], decision: str) -> Seen:
    record, version, segment = item.get("record"), item.get("version"), item.get("segment")
    if not (
        schema.is_id(record) and schema.is_count(version) and (segment is None or schema.is_count(segment))
    ):
        raise _no_openings()
    if (state := item.get("state")) in ("erased", "lost"):
        lost = state == "lost"
        return Seen(str(record), int(version or 0), segment, None, erased=not lost, lost=lost)
    if "content" not in item or not all(type(item.get(name)) is str for name in _TEXTS):
        raise _no_openings()
    promised = committed.get((record, version, segment, item["entry_nonce"]))
    if promised is None or item["decision"] != decision:
        raise Unverified("opening-unknown", f"The receipt has no access to {record} version {version} there.")
    try:
        salt, content = from_base64(item["salt"]), canonical(item["content"])
        promise = from_base64(promised)
    except (ValueError, Malformed):
        raise _no_openings() from None
    if len(salt) != _SALT_BYTES:
        raise _no_openings()
    made = commitment(
        salt,
        tenant=item["tenant"],
        decision=decision,
        record=str(record),
        version=int(version or 0),
        content=content,
    )
    if not hmac.compare_digest(made, promise):
        raise Unverified(
            "opening-mismatch",
            f"This is not what was seen of {record} version {version}: its commitment differs.",
        )
    return Seen(str(record), int(version or 0), segment, item["content"])


def _parse(text: str) -> dict[str, Any]:
    try:
        whole = json.loads(text)
        if (
            type(whole["decision"]) is str
            and schema.is_count(whole["withheld"])
            and type(whole["items"]) is list
            and all(type(item) is dict for item in whole["items"])
        ):
            return dict(whole)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _no_openings()


def _no_openings() -> Unverified:
    return Unverified("openings-format", "The file, or an item of it, is not of the form of openings.")
