"""Receipts (C2SP tlog-proof): one file that shows, offline, that an entry is in the log.

The `extra` line carries the entry itself, as canonical JSON `{"entry": <base64>}`, and beside it under
`accesses` the separate access list where the entry names one, and under `cell` what shows the checkpoint in
the cell's log (`cellproof`). Extra data is not authenticated by the format: the leaf hash recomputed from it
binds the entry, the entry binds the list, and `cell` is bound to the checkpoint by a commitment.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.errors import Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.canonical import canonical, parse_canonical
from tenure.ledger.cellproof import CellProof, CellReport, check
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, peek_checkpoint
from tenure.ledger.entry import parse_access_list, parse_entry
from tenure.ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from tenure.ledger.note import COSIGNATURE, Verifier
from tenure.ledger.report import Failure, Report

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MAX_RECEIPT = 16 << 20

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_PROOF = 63  # the height of the tallest tree that a 63-bit size has
_EXTRA_LINE, _FIRST_PROOF_LINE = 1, 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt's parts: the entry's exact bytes, its place, the proof (leaf's sibling first)."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    accesses: bytes | None = None
    cell: CellProof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport(Report):
    """What verifying a receipt showed. Only to be relied on when `ok`."""

    checkpoint: Checkpoint | None = None
    index: int | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    accesses: tuple[dict[str, Any], ...] = ()
    witnesses: tuple[str, ...] = ()
    cell: CellReport | None = None
    stamped: tuple[str, ...] = ()
    """When time stamping authorities stamped its checkpoint, or the cell's, RFC 3339."""

    @property
    def watched(self) -> tuple[str, ...]:
        """The witnesses that count for a quorum: of the log's own checkpoint or of the cell's.

        Whichever has more. They are not added up: each checkpoint is judged by itself.
        """
        of_cell = self.cell.witnesses if self.cell is not None else ()
        return max(self.witnesses, of_cell, key=lambda names: len(set(names)))


def build_receipt(
    entry: bytes,
    index: int,
    proof: Sequence[bytes],
    checkpoint: str,
    accesses: bytes | None = None,
    cell: CellProof | None = None,
) -> str:
    """The receipt file. `checkpoint` is the signed note; `accesses` the separate list, if there is one.

    `cell` shows this very checkpoint in the cell's log.
    """
    extra: dict[str, Any] = {"entry": to_base64(entry)}
    if accesses is not None:
        extra["accesses"] = to_base64(accesses)
    if cell is not None:
        extra["cell"] = cell.members()
    head = [FIRST_LINE, f"extra {to_base64(canonical(extra))}", f"index {index}", *map(to_base64, proof)]
    return "\n".join(head) + "\n\n" + checkpoint


def parse_receipt(text: str) -> Receipt:
    """Split a receipt. Raises `Unverified` ("receipt-format")."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    index = _INDEX.fullmatch(lines[_FIRST_PROOF_LINE - 1]) if len(lines) >= _FIRST_PROOF_LINE else None
    encoded = lines[_FIRST_PROOF_LINE:]
    if (
        not blank
        or len(text) > MAX_RECEIPT
        or lines[0] != FIRST_LINE
        or index is None
        or not lines[_EXTRA_LINE].startswith("extra ")
        or len(encoded) > _MAX_PROOF
    ):
        raise _not_a_receipt()
    try:
        proof = tuple(map(from_base64, encoded))
        extra = parse_canonical(from_base64(lines[_EXTRA_LINE].removeprefix("extra ")))
        if type(extra) is not dict or not {"entry"} <= extra.keys() <= {"entry", "accesses", "cell"}:
            raise _not_a_receipt()
        cell = CellProof.parse(extra.pop("cell")) if "cell" in extra else None
        parts = {name: from_base64(part) for name, part in extra.items()}
    except (ValueError, TypeError) as failure:
        raise _not_a_receipt() from failure
    if any(len(digest) != HASH_SIZE for digest in proof):
        raise _not_a_receipt()
    return Receipt(parts["entry"], int(index[1]), proof, checkpoint, parts.get("accesses"), cell)


def verify_receipt(
    text: str, verifiers: Sequence[Verifier], cell_keys: Sequence[Verifier] = ()
) -> ReceiptReport:
    """Check a receipt against the log's key (and witnesses' keys, if given). Never raises for bad input.

    `cell_keys` are keys of the cell's log, for the part of a receipt that shows its checkpoint there.

    1. it is a receipt ("receipt-format");
    2. a trusted key of this origin signed its checkpoint ("note-format", "bad-signature", "unknown-key",
       "checkpoint-format", "origin-mismatch");
    3. the entry, hashed again, is at its index of that tree ("not-included");
    4. the entry is canonical and of the form of docs/spec/ledger.md ("entry-…");
    5. a separate access list is the one that the entry names ("access-list");
    6. the checkpoint is in the cell's log as `cell` says ("cell-not-included", and 2 for the cell's log).
    """
    try:
        receipt = parse_receipt(text)
    except Unverified as failure:
        return ReceiptReport(failures=(Failure.of(failure),), not_checked=("Everything else.",))
    failures: list[Failure] = []
    signers: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    checkpoint = None
    try:
        signed = open_checkpoint(receipt.checkpoint, verifiers)
        checkpoint = signed.checkpoint
        signers = tuple(signature.name for signature in signed.signatures)
        witnesses = tuple(signature.name for signature in signed.cosignatures)
    except Unverified as failure:
        failures.append(Failure.of(failure))
        checkpoint = _peek(receipt.checkpoint)
    if checkpoint is not None and not verify_inclusion(
        leaf_hash(receipt.entry), receipt.index, checkpoint.size, receipt.proof, checkpoint.root
    ):
        failures.append(
            Failure("not-included", "The entry is not at this index of the signed tree.", receipt.index)
        )
    entry, accesses = _read_entry(receipt, failures)
    cell = None
    if receipt.cell is not None and checkpoint is not None:
        watching = [key for key in verifiers if key.algorithm == COSIGNATURE]
        cell, wrong = check(receipt.cell, checkpoint, [*cell_keys, *watching])
        failures += wrong
    return ReceiptReport(
        failures=tuple(failures),
        not_checked=(
            *_not_checked(entry, accesses),
            *_unwatched(receipt.cell is not None, cell, witnesses, asked=bool(cell_keys)),
        ),
        signers=signers,
        checkpoint=checkpoint,
        index=receipt.index,
        entry=entry,
        accesses=accesses,
        witnesses=witnesses,
        cell=cell,
    )


def _read_entry(
    receipt: Receipt, failures: list[Failure]
) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    try:
        entry = parse_entry(receipt.entry)
        if receipt.accesses is None:
            return entry, tuple(entry.get("accesses", ()))
        listed = parse_access_list(receipt.accesses, entry)
    except Unverified as failure:
        failures.append(Failure.of(failure, receipt.index))
        return {}, ()
    return entry, tuple(listed)


def _unwatched(
    has_part: bool,  # noqa: FBT001 - whether the receipt has a part about the cell's log
    cell: CellReport | None,
    witnesses: Sequence[str],
    *,
    asked: bool,
) -> tuple[str, ...]:
    """What cosignatures do not say."""
    left = []
    if not witnesses and cell is not None and cell.witnesses:
        left.append(
            "Whether the cell's log, which the witnesses watch, also holds another past of this log: only"
            " witnesses of the log itself would see that."
        )
    elif not witnesses:
        left.append("Whether others are shown the same log: no witness's signature was checked.")
    if has_part and (cell is None or not cell.signed):
        left.append("Whether the cell's log was signed: give its key with --cell-vkey.")
    if asked and not has_part:
        left.append("The cell's log: this receipt has no part about it. Fetch it again a little later.")
    return tuple(left)


def _not_checked(entry: dict[str, Any], accesses: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    left = ["Whether anything is missing from the log: audit the ledger for that."]
    if entry.get("accesses_count", 0) and not accesses:
        left.append("The separate access list: it is not in this file.")
    if any("commitment" in access for access in accesses):
        left.append("What the commitments stand for: that needs the openings and the content.")
    return tuple(left)


def _peek(text: str) -> Checkpoint | None:
    try:
        return peek_checkpoint(text)
    except Unverified:
        return None


def _not_a_receipt() -> Unverified:
    return Unverified(
        "receipt-format", "The file is not a receipt (C2SP tlog-proof with an entry in `extra`)."
    )
