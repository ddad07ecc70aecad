"""Verify receipts, erasure certificates and populations offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenure.client.trust import key_beside, trust
from tenure.errors import Invalid
from tenure.ledger.certificate import CertificateReport, verify_certificate
from tenure.ledger.note import Verifier
from tenure.ledger.opening import OpeningsReport, verify_openings
from tenure.ledger.population import PopulationReport, is_population, verify_population
from tenure.ledger.receipt import ReceiptReport, verify_receipt
from tenure.ledger.report import Failure, Report


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file turned out to be, and the report on it. `report.ok` decides."""

    kind: Literal["receipt", "certificate", "population", "unknown"]
    report: ReceiptReport | CertificateReport | PopulationReport | Report


def verify_text(text: str, verifiers: Sequence[Verifier]) -> Verified:
    """Verify a receipt (tlog-proof), a certificate (DSSE envelope) or a population, whichever it is."""
    if text.startswith("c2sp.org/tlog-proof@"):
        return Verified("receipt", verify_receipt(text, verifiers))
    if is_population(text):
        return Verified("population", verify_population(text.encode(), verifiers))
    if text.lstrip().startswith("{"):
        return Verified("certificate", verify_certificate(text, verifiers))
    failure = Failure("unknown-format", "The file is no receipt, certificate or population.")
    return Verified("unknown", Report(failures=(failure,), not_checked=("Everything else.",)))


def verify_file(
    path: Path, vkeys: Sequence[str] = (), *, witnesses: Sequence[str] = (), quorum: int = 0
) -> Verified:
    """Verify one file. `vkeys` are keys or `@file`; without any, the key beside the file is used and named.

    `quorum` of the `witnesses` (keys or `@file`) must have cosigned a receipt's or population's checkpoint;
    certificates have none. Raises `Invalid` when the file cannot be read, there is no key, or these do not
    make a quorum.
    """
    text = _text(path)
    keys = trust(vkeys, key_beside(path)).watched(witnesses, quorum)
    verified = verify_text(text, keys.verifiers)
    if isinstance(verified.report, ReceiptReport | PopulationReport):
        return Verified(verified.kind, keys.judge(verified.report, verified.report.witnesses))
    return Verified(verified.kind, keys.qualify(verified.report))


def verify_opened(path: Path, receipt: ReceiptReport) -> OpeningsReport:
    """Check a file of openings against a verified receipt. Raises `Invalid` when it cannot be read."""
    return verify_openings(_text(path), receipt)


def _text(path: Path) -> str:
    try:
        # Exact bytes: newline translation would let a changed file pass.
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as failure:
        raise Invalid(
            "The file cannot be read. Nothing was checked.", field="file", rule="source"
        ) from failure
