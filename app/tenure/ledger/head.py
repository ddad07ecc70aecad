"""Checking a kept checkpoint by itself: who signed it, who cosigned it, when it was stamped."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.errors import Unverified
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint
from tenure.ledger.note import Verifier
from tenure.ledger.report import Failure, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadReport(Report):
    """What verifying a checkpoint showed."""

    checkpoint: Checkpoint | None = None
    witnesses: tuple[str, ...] = ()
    stamped: tuple[str, ...] = ()
    """When time stamping authorities stamped it, RFC 3339."""


def verify_head(text: str, verifiers: Sequence[Verifier]) -> HeadReport:
    """Check a checkpoint's signatures. Never raises for bad input."""
    try:
        signed = open_checkpoint(text, verifiers)
    except Unverified as failure:
        return HeadReport(failures=(Failure.of(failure),), not_checked=("Everything else.",))
    left = ["What is in the log: audit it, with this checkpoint as --earlier."]
    if not signed.cosignatures:
        left.append("Whether others are shown the same log: no witness's signature was checked.")
    return HeadReport(
        failures=(),
        not_checked=tuple(left),
        signers=tuple(line.name for line in signed.signatures),
        checkpoint=signed.checkpoint,
        witnesses=tuple(line.name for line in signed.cosignatures),
    )
