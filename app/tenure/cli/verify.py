"""`tenure verify` and `tenure audit`: offline checks, from the bare client install.

Exit codes: 0 everything holds, 1 a check failed, 2 wrong use.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tenure.client import audit_log, open_source, verify_file
from tenure.client.pack import audit_pack, is_pack
from tenure.client.verify import Verified, verify_opened
from tenure.errors import Invalid, TenureError
from tenure.ledger.audit import AuditReport
from tenure.ledger.base64 import to_base64
from tenure.ledger.certificate import CertificateReport
from tenure.ledger.head import HeadReport
from tenure.ledger.opening import OpeningsReport, Seen
from tenure.ledger.pack import PackReport
from tenure.ledger.population import PopulationReport
from tenure.ledger.receipt import ReceiptReport
from tenure.ledger.report import Report

_MOST_ACCESSES = 50
_NO, _WRONG_USE = 1, 2

Rows = list[tuple[str, str]]

_Vkey = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey", metavar="KEY|@FILE", help="The log's verifier key; witnesses' keys too. May repeat."
    ),
]
_Witness = Annotated[
    list[str] | None, typer.Option("--witness", metavar="KEY|@FILE", help="A witness's key. May repeat.")
]
_CellVkey = Annotated[
    list[str] | None,
    typer.Option(
        "--cell-vkey", metavar="KEY|@FILE", help="The key of the cell's log, for receipts. May repeat."
    ),
]
_Chain = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A log's file `rotations`: follow its key's changes. May repeat."),
]
_Timestamp = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A time stamp (.tsr) over the file's checkpoint. May repeat."),
]
_TsaCert = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="The time stamping authority's certificates (PEM). May repeat."),
]
_Quorum = Annotated[
    int, typer.Option(min=0, metavar="N", help="How many of the witnesses must have cosigned.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def verify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="Receipts, certificates or their pages and PDFs, populations, checkpoints."
        ),
    ],
    vkey: _Vkey = None,
    cell_vkey: _CellVkey = None,
    chain: _Chain = None,
    timestamp: _Timestamp = None,
    tsa_cert: _TsaCert = None,
    witness: _Witness = None,
    quorum: _Quorum = 0,
    openings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Show what a receipt's accesses saw: GET /v1/decisions/ID/openings."
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Verify receipts, erasure certificates, populations and kept checkpoints offline."""
    results: list[tuple[Path, _Checked]] = []
    for file in files:
        with _wrong_use(str(file)):
            checked = verify_file(
                file,
                vkey or (),
                cell_vkeys=cell_vkey or (),
                chains=chain or (),
                timestamps=timestamp or (),
                tsa_certs=tsa_cert or (),
                witnesses=witness or (),
                quorum=quorum,
            )
            results.append((file, checked))
    if openings is not None:
        results.append((openings, _opened(openings, [found.report for _, found in results])))
    if as_json:
        items = [
            {"file": str(file), "kind": found.kind, **as_document(found.report)} for file, found in results
        ]
        typer.echo(json.dumps({"ok": all(item["ok"] for item in items), "items": items}))
    else:
        for file, found in results:
            show_report(f"{found.kind} {file}", found.report)
    if not all(found.report.ok for _, found in results):
        raise typer.Exit(_NO)


def audit(
    target: Annotated[
        str, typer.Argument(metavar="DIR|URL|PACK", help="A log's folder or base URL, or evidence.")
    ],
    vkey: _Vkey = None,
    cell_vkey: _CellVkey = None,
    witness: _Witness = None,
    quorum: _Quorum = 0,
    token: Annotated[
        str | None, typer.Option(envvar="TENURE_API_KEY", help="API key, for a URL.", show_envvar=True)
    ] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A checkpoint seen before. May repeat.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Recompute a whole log from its raw entries and compare it with what was signed and served.

    An evidence pack ('tenure evidence') is checked with everything in it.
    """
    report: AuditReport | PackReport
    with _wrong_use(target), _bar(quiet=as_json) as progress:
        past = [path.read_bytes().decode("utf-8", "replace") for path in earlier or ()]
        given: Any = {"witnesses": witness or (), "quorum": quorum, "earlier": past, "progress": progress}
        if is_pack(target):
            report = audit_pack(Path(target), vkey or (), cell_vkeys=cell_vkey or (), **given)
        elif cell_vkey:
            raise Invalid(
                "--cell-vkey is for the receipts in an evidence pack. Nothing was checked. Audit the cell's"
                " own log with --vkey."
            )
        else:
            with open_source(target, token) as source:
                report = audit_log(source, vkey or (), **given)
    if as_json:
        typer.echo(json.dumps({"target": target, **as_document(report)}))
    else:
        show_report(f"{'pack' if isinstance(report, PackReport) else 'log'} {target}", report)
    if not report.ok:
        raise typer.Exit(_NO)


class _Openings(NamedTuple):
    """Openings among the files that were checked."""

    report: OpeningsReport
    kind: str = "openings"


_Checked = Verified | _Openings


def _opened(path: Path, reports: list[Any]) -> _Openings:
    with _wrong_use(str(path)):
        if len(reports) != 1 or not isinstance(reports[0], ReceiptReport):
            raise Invalid("Openings belong to one receipt. Nothing was checked. Name the receipt alone.")
        return _Openings(verify_opened(path, reports[0]))


@contextmanager
def _wrong_use(what: str) -> Iterator[None]:
    """Anything that kept a check from being made is exit code 2, on standard error."""
    try:
        yield
    except (TenureError, OSError) as failure:
        detail = failure.detail if isinstance(failure, TenureError) else failure.strerror
        typer.echo(f"{what}: {detail}", err=True)
        raise typer.Exit(_WRONG_USE) from failure


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("entries")
        yield lambda done, size: bar.update(task, completed=done, total=size)


def show_report(title: str, report: Report) -> None:
    """A table on a terminal, plain lines elsewhere; what was not checked, always."""
    console = Console(soft_wrap=True)
    verdict = "verified" if report.ok else "FAILED"
    rows = _rows(report)
    rows += [("failed", _failure_line(failure)) for failure in map(asdict, report.failures)]
    rows += [("not checked", text) for text in report.not_checked]
    if not console.is_terminal:
        typer.echo(f"{title}: {verdict}")
        for name, value in rows:
            typer.echo(f"  {name}: {value}")
        return
    table = Table(title=Text(f"{title}: {verdict}"), title_justify="left", show_header=False, box=None)
    colours = {"failed": "bold red", "not checked": "yellow"}
    for name, value in rows:
        table.add_row(Text(name, colours.get(name, "dim")), Text(value))
    table.title_style = "bold green" if report.ok else "bold red"
    console.print(table)


def _rows(report: Report) -> Rows:
    rows: Rows = []
    if isinstance(report, ReceiptReport):
        rows = list(_receipt_rows(report))
    elif isinstance(report, HeadReport):
        rows = list(_head_rows(report))
    elif isinstance(report, AuditReport):
        rows = list(_audit_rows(report))
    elif isinstance(report, CertificateReport):
        rows = list(_certificate_rows(report))
    elif isinstance(report, PopulationReport):
        rows = list(_population_rows(report))
    elif isinstance(report, OpeningsReport):
        rows = list(_opening_rows(report.seen))
    elif isinstance(report, PackReport):
        rows = list(_pack_rows(report))
    rows += [("rotation", sentence) for sentence in report.rotations]
    return rows + [("signed by", name) for name in dict.fromkeys(report.signers)]


def _receipt_rows(report: ReceiptReport) -> Iterator[tuple[str, str]]:
    if report.checkpoint is not None:
        yield "log", report.checkpoint.origin
        yield "entry", f"{report.index} of {report.checkpoint.size}"
    for name in ("kind", "at", "principal", "decision", "purpose", "outcome", "policy"):
        if name in report.entry:
            yield name, str(report.entry[name])
    if report.entry.get("rules"):
        yield "rules", ", ".join(report.entry["rules"])
    for access in report.accesses[:_MOST_ACCESSES]:
        yield "access", f"{access['action']} {access['record']} version {access['version']}"
    if len(report.accesses) > _MOST_ACCESSES:
        yield "access", f"and {len(report.accesses) - _MOST_ACCESSES} more (--json lists all)"
    for name in report.witnesses:
        yield "witness", name
    yield from _beyond_rows(report)


def _beyond_rows(report: ReceiptReport) -> Iterator[tuple[str, str]]:
    """What others say about the log: the cell's log, its witnesses, a clock."""
    if report.cell is not None:
        yield "cell log", report.cell.origin
        yield "taken in", f"at {report.cell.at}, entry {report.cell.index} of {report.cell.size}"
        for name in report.cell.witnesses:
            yield "cell witness", name
    for at in report.stamped:
        yield "time stamp", at


def _head_rows(report: HeadReport) -> Iterator[tuple[str, str]]:
    if report.checkpoint is not None:
        yield "log", report.checkpoint.origin
        yield "size", str(report.checkpoint.size)
        yield "root", to_base64(report.checkpoint.root)
    for name in report.witnesses:
        yield "witness", name
    for at in report.stamped:
        yield "time stamp", at


def _audit_rows(report: AuditReport) -> Iterator[tuple[str, str]]:
    if report.checkpoint is not None:
        yield "log", report.checkpoint.origin
        yield "entries", f"{report.entries} read of {report.checkpoint.size} signed"
        yield "root", to_base64(report.checkpoint.root)
    if report.kinds:
        yield "kinds", ", ".join(f"{kind} {count}" for kind, count in report.kinds.items())
    yield "writers", str(report.writers)
    for size in report.earlier:
        yield "extends", f"the checkpoint of {size} entries"
    for name in report.witnesses:
        yield "witness", name
    for note in report.notes:
        yield "note", note


_CERTIFICATE = (
    "id",
    "tenant",
    "origin",
    "shred",
    "request",
    "type",
    "received_at",
    "due_at",
    "outcome",
    "issued_at",
)
"""What is shown of a certificate: of an erasure, or of a rights request."""


def _certificate_rows(report: CertificateReport) -> Iterator[tuple[str, str]]:
    certificate = report.certificate
    for name in _CERTIFICATE:
        if name in certificate:
            yield name, str(certificate[name])
    for sentence in certificate.get("proves", ()):
        yield "proves", sentence


def _population_rows(report: PopulationReport) -> Iterator[tuple[str, str]]:
    if report.checkpoint is not None:
        yield "log", report.checkpoint.origin
        yield (
            "scanned",
            f"entries {report.first} to {report.end - 1} of {report.checkpoint.size}, all of them",
        )
    given = report.selection.members()
    yield "filter", ", ".join(f"{name} {part}" for name, part in given.items()) or "none: every entry"
    yield "found", f"{len(report.found)} entries, and no more of these in the range"
    for place, entry in report.found[:_MOST_ACCESSES]:
        parts = (entry["at"], entry["kind"], entry["outcome"], entry.get("principal", ""))
        yield "entry", f"{place} {' '.join(part for part in parts if part)}"
    if len(report.found) > _MOST_ACCESSES:
        yield "entry", f"and {len(report.found) - _MOST_ACCESSES} more (--json lists all)"
    for name in report.witnesses:
        yield "witness", name


def _pack_rows(report: PackReport) -> Iterator[tuple[str, str]]:
    given = report.span.selection.members()
    yield "about", ", ".join(f"{name} {part}" for name, part in given.items()) or "all entries"
    if report.log is not None:
        yield from _audit_rows(report.log)
    for sentence in report.earlier_keys:
        yield "earlier key", sentence
    for name, count in report.counts.items():
        yield name, str(count)
    for name, count in report.populations.items():
        yield "population", f"{name}: {count} entries"
    for decision, seen in report.seen.items():
        yield "decision", decision
        yield from _opening_rows(seen)


def _opening_rows(seen: tuple[Seen, ...]) -> Iterator[tuple[str, str]]:
    for one in seen:
        part = "" if one.segment is None else f" segment {one.segment}"
        gone = "erased" if one.erased else "lost" if one.lost else ""
        content = "nothing is left" if gone else json.dumps(one.content, ensure_ascii=False)
        yield gone or "saw", f"{one.record} version {one.version}{part}: {content}"


def _failure_line(failure: dict[str, Any]) -> str:
    where = "" if failure["index"] is None else f" (entry {failure['index']})"
    return f"{failure['check']}: {failure['detail']}{where}"


def as_document(report: Report) -> dict[str, Any]:
    """A report for programs."""
    members: dict[str, Any] = {"ok": report.ok, **asdict(report)}
    checkpoint = getattr(report, "checkpoint", None)
    if checkpoint is not None:
        members["checkpoint"] = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": to_base64(checkpoint.root),
        }
    if isinstance(report, PopulationReport):
        members["filter"] = report.selection.members()
        members["found"] = [{"index": place, "entry": entry} for place, entry in report.found]
        del members["selection"]
    if isinstance(report, PackReport):
        members["filter"] = report.span.selection.members()
        members["seen"] = {name: [one._asdict() for one in seen] for name, seen in report.seen.items()}
        members["log"] = None if report.log is None else as_document(report.log)
        del members["span"]
    if isinstance(report, OpeningsReport):
        members["seen"] = [one._asdict() for one in report.seen]
    return members
