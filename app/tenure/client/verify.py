"""Verify receipts and erasure certificates offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenure.client.trust import key_beside, trust
from tenure.errors import Invalid
from tenure.ledger.certificate import CertificateReport, verify_certificate
from tenure.ledger.note import Verifier
from tenure.ledger.receipt import ReceiptReport, verify_receipt
from tenure.ledger.report import Failure, Report


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file turned out to be, and the report on it. `report.ok` decides."""

    kind: Literal["receipt", "certificate", "unknown"]
    report: ReceiptReport | CertificateReport | Report


def verify_text(text: str, verifiers: Sequence[Verifier], cell_keys: Sequence[Verifier] = ()) -> Verified:
    """Verify a receipt (tlog-proof text) or a certificate (DSSE envelope), whichever it is.

    `cell_keys` are keys of the cell's log, of which a receipt may have a part.
    """
    if text.startswith("c2sp.org/tlog-proof@"):
        return Verified("receipt", verify_receipt(text, verifiers, cell_keys))
    if text.lstrip().startswith("{"):
        return Verified("certificate", verify_certificate(text, verifiers))
    failure = Failure("unknown-format", "The file is neither a receipt nor a certificate.")
    return Verified("unknown", Report(failures=(failure,), not_checked=("Everything else.",)))


def verify_file(
    path: Path,
    vkeys: Sequence[str] = (),
    *,
    cell_vkeys: Sequence[str] = (),
    chains: Sequence[Path] = (),
    witnesses: Sequence[str] = (),
    quorum: int = 0,
) -> Verified:
    """Verify one file. `vkeys` are keys or `@file`; without any, the key beside the file is used and named.

    `quorum` of the `witnesses` (keys or `@file`) must have cosigned a receipt's checkpoint, or the cell's
    checkpoint that a receipt carries; `cell_vkeys` are keys of the cell's log. Certificates have neither.
    `chains` are logs' files `rotations`: keys that followed the given ones are trusted, too.

    Raises `Invalid` when the file cannot be read, there is no key, or these do not make a quorum;
    `Unverified` for a chain that does not hold.
    """
    try:
        # Exact bytes: newline translation would let a changed file pass.
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as failure:
        raise Invalid(
            "The file cannot be read. Nothing was checked.", field="file", rule="source"
        ) from failure
    keys = trust(vkeys, key_beside(path)).following(chains).watched(witnesses, quorum)
    cell_keys = trust(cell_vkeys).following(chains).verifiers if cell_vkeys else ()
    verified = verify_text(text, keys.verifiers, cell_keys)
    if isinstance(verified.report, ReceiptReport):
        return Verified(verified.kind, keys.judge(verified.report, verified.report.watched))
    return Verified(verified.kind, keys.qualify(verified.report))
