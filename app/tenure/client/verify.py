"""Verify receipts, erasure certificates, populations and kept checkpoints offline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tenure.client.trust import key_beside, trust
from tenure.errors import Invalid, Unverified
from tenure.ledger.certificate import CertificateReport, verify_certificate
from tenure.ledger.head import HeadReport, verify_head
from tenure.ledger.note import Verifier, note_body
from tenure.ledger.opening import OpeningsReport, verify_openings
from tenure.ledger.page import ONLY_THE_ENVELOPE, carries, envelope_of, text_of
from tenure.ledger.population import PopulationReport, is_population, verify_population
from tenure.ledger.receipt import ReceiptReport, parse_receipt, verify_receipt
from tenure.ledger.report import Failure, Report
from tenure.ledger.timestamp import read_certificates, stamped_at


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file turned out to be, and the report on it. `report.ok` decides."""

    kind: Literal["receipt", "certificate", "checkpoint", "population", "unknown"]
    report: ReceiptReport | CertificateReport | HeadReport | PopulationReport | Report


def verify_text(text: str, verifiers: Sequence[Verifier], cell_keys: Sequence[Verifier] = ()) -> Verified:
    """Verify a receipt (tlog-proof), a certificate (DSSE), a population or a checkpoint.

    A certificate may be in a page, a PDF or a document of `tenure certificate`.
    `cell_keys` are keys of the cell's log, of which a receipt may have a part.
    """
    if text.startswith("c2sp.org/tlog-proof@"):
        return Verified("receipt", verify_receipt(text, verifiers, cell_keys))
    if is_population(text):
        return Verified("population", verify_population(text.encode(), verifiers))
    if carries(text):
        return Verified("certificate", _carried(text, verifiers))
    if text.lstrip().startswith("{"):
        return Verified("certificate", verify_certificate(text, verifiers))
    if "\n\n\N{EM DASH} " in text:
        return Verified("checkpoint", verify_head(text, verifiers))
    failure = Failure("unknown-format", "The file is no receipt, certificate, population or checkpoint.")
    return Verified("unknown", Report(failures=(failure,), not_checked=("Everything else.",)))


def _carried(text: str, verifiers: Sequence[Verifier]) -> CertificateReport | Report:
    """The certificate that a file for people carries. The rest of the file is not compared with it."""
    try:
        report = verify_certificate(envelope_of(text), verifiers)
    except Unverified as failure:
        return Report(failures=(Failure.of(failure),), not_checked=("Everything else.",))
    return replace(report, not_checked=(*report.not_checked, ONLY_THE_ENVELOPE))


def verify_file(
    path: Path,
    vkeys: Sequence[str] = (),
    *,
    cell_vkeys: Sequence[str] = (),
    chains: Sequence[Path] = (),
    timestamps: Sequence[Path] = (),
    tsa_certs: Sequence[Path] = (),
    witnesses: Sequence[str] = (),
    quorum: int = 0,
) -> Verified:
    """Verify one file. `vkeys` are keys or `@file`; without any, the key beside the file is used and named.

    `quorum` of the `witnesses` (keys or `@file`) must have cosigned a receipt's or population's checkpoint,
    or the cell's checkpoint that a receipt carries; `cell_vkeys` are keys of the cell's log. Certificates
    have neither.
    `chains` are logs' files `rotations`: keys that followed the given ones are trusted, too. `timestamps` are
    responses (RFC 3161) over the checkpoint, or a receipt's cell checkpoint, believed under `tsa_certs`.

    Raises `Invalid` when the file cannot be read, there is no key, or these do not make a quorum;
    `Unverified` for a chain that does not hold.
    """
    text = _text(path)
    keys = trust(vkeys, key_beside(path)).following(chains).watched(witnesses, quorum)
    cell_keys = trust(cell_vkeys).following(chains).verifiers if cell_vkeys else ()
    verified = verify_text(text, keys.verifiers, cell_keys)
    if timestamps:
        verified = Verified(verified.kind, _stamped(verified.report, text, timestamps, tsa_certs))
    if isinstance(verified.report, HeadReport | PopulationReport):
        return Verified(verified.kind, keys.judge(verified.report, verified.report.witnesses))
    if isinstance(verified.report, ReceiptReport):
        return Verified(verified.kind, keys.judge(verified.report, verified.report.watched))
    return Verified(verified.kind, keys.qualify(verified.report))


def verify_opened(path: Path, receipt: ReceiptReport) -> OpeningsReport:
    """Check a file of openings against a verified receipt. Raises `Invalid` when it cannot be read."""
    return verify_openings(_text(path), receipt)


def _text(path: Path) -> str:
    try:
        # Exact bytes: newline translation would let a changed file pass.
        return text_of(path.read_bytes())
    except OSError as failure:
        raise Invalid(
            "The file cannot be read. Nothing was checked.", field="file", rule="source"
        ) from failure


def _stamped(
    report: Report, text: str, timestamps: Sequence[Path], tsa_certs: Sequence[Path]
) -> ReceiptReport | HeadReport | Report:
    """The report with the times that authorities say; failing as "timestamp" when one does not hold."""
    certificates = [one for path in tsa_certs for one in read_certificates(_content(path), "tsa-cert")]
    times: list[str] = []
    failures = list(report.failures)
    for path in timestamps:
        try:
            times.append(stamped_at(_content(path), _checkpoints(text), certificates))
        except Unverified as failure:
            failures.append(Failure.of(failure))
    if isinstance(report, ReceiptReport | HeadReport):
        report = replace(report, stamped=tuple(times))
    return replace(report, failures=tuple(failures))


def _checkpoints(text: str) -> list[str]:
    """The texts of a file's checkpoints, without signatures."""
    try:
        receipt = parse_receipt(text)
        notes = [receipt.checkpoint, *([receipt.cell.checkpoint] if receipt.cell else ())]
    except Unverified:
        notes = [text]
    bodies = []
    for note in notes:
        try:
            bodies.append(note_body(note))
        except Unverified:
            continue
    return bodies


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise Invalid(
            "A file for the time stamp cannot be read. Nothing was checked.", field="timestamp", rule="source"
        ) from failure
