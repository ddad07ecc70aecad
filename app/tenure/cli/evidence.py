"""`tenure population` and `tenure evidence`: what an auditor takes along, checked before it is kept."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import NO, Output
from tenure.cli.verify import as_document, show_report
from tenure.client.evidence import collect
from tenure.client.http import Connection
from tenure.client.pack import write_archive
from tenure.client.population import fetch_population, save_population, trusted
from tenure.errors import Invalid
from tenure.ids import parse_rfc3339, rfc3339
from tenure.ledger.pack import Span
from tenure.ledger.selection import Selection, form_of

_Vkey = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey", metavar="KEY|@FILE", help="The log's verifier key; the service's own if left out."
    ),
]
_From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Entries of this time or later.")]
_To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Entries before this time.")]


@governing
async def population(
    connection: Connection,
    output: Output,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="For example shred.")] = None,
    since: _From = None,
    until: _To = None,
    principal: Annotated[str | None, typer.Option(metavar="ID", help="Who called.")] = None,
    decision: Annotated[str | None, typer.Option(metavar="ID", help="As part of what.")] = None,
    purpose: Annotated[str | None, typer.Option(metavar="PURPOSE", help="What for.")] = None,
    outcome: Annotated[str | None, typer.Option(metavar="CODE", help="For example denied.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Of one of its accesses.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="RULE", help="That decided: grant/NAME#ROW.")] = None,
    first: Annotated[int | None, typer.Option(min=0, metavar="N", help="First entry to scan.")] = None,
    end: Annotated[int | None, typer.Option(min=1, metavar="N", help="Entry to stop before.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep it; 'tenure verify' checks it.")
    ] = None,
    vkey: _Vkey = None,
) -> Any:  # noqa: ANN401 - any JSON
    """All entries that a filter takes, proven complete. The whole log is scanned unless you say otherwise."""
    given = {
        "kind": kind,
        "from": instant(since, "--from"),
        "to": instant(until, "--to"),
        "principal": principal,
        "decision": decision,
        "purpose": purpose,
        "outcome": outcome,
        "action": action,
        "rule": rule,
    }
    selection = selected(given)
    keys = await trusted(connection, vkey or [])
    if out is None:
        report = await fetch_population(connection, selection, keys, first=first, end=end)
    else:
        report = await save_population(connection, selection, keys, out, first=first, end=end)
    if not output.as_json:
        show_report("population" if out is None else f"population {out}", report)
    answer = as_document(report)
    if not report.ok:
        output.document(answer)
        raise typer.Exit(NO)
    return answer


@governing
async def evidence(
    connection: Connection,
    output: Output,
    out: Annotated[Path, typer.Option(metavar="FILE.zip", help="Where to keep it; new.")],
    since: _From = None,
    until: _To = None,
    principal: Annotated[str | None, typer.Option(metavar="ID", help="Entries of this caller only.")] = None,
    openings: Annotated[
        list[str] | None,
        typer.Option(metavar="DECISION", help="Show what it saw, as far as you may see it. May repeat."),
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(metavar="PURPOSE", help="Why the openings are asked for; declared.")
    ] = None,
    vkey: _Vkey = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Everything that an auditor needs, in one archive that verifies offline: 'tenure audit FILE.zip'."""
    if out.exists():
        raise typer.BadParameter(f"{out} is there already.", param_hint="--out")
    if openings and not purpose:
        raise typer.BadParameter("Openings are accesses and need a purpose.", param_hint="--purpose")
    given = {"from": instant(since, "--from"), "to": instant(until, "--to"), "principal": principal}
    selection = selected(given)
    span = Span(selection.since, selection.until, selection.principal)
    keys = await trusted(connection, vkey or [])
    with tempfile.TemporaryDirectory(prefix="tenure-evidence-") as name:
        report = await collect(
            connection, span, keys, Path(name), decisions=openings or (), purpose=purpose, said=output.line
        )
        write_archive(Path(name), out)
    if not output.as_json:
        show_report(f"evidence {out}", report)
    answer = as_document(report)
    if not report.ok:
        output.document(answer)
        raise typer.Exit(NO)
    return answer


def selected(given: dict[str, str | None]) -> Selection:
    """The filter of a command's options. Raises `Invalid` naming the first that cannot be in an entry."""
    members = {name: part for name, part in given.items() if part is not None}
    for name, part in members.items():
        if not form_of(name)(part):
            raise Invalid(
                f"No entry can have that {name}; nothing was asked.",
                field=f"--{name}",
                rule="of the form that it has in an entry",
                remedy="See docs/spec/ledger.md for the members of an entry.",
            )
    return Selection.parse(members) or Selection()


def instant(text: str | None, field: str) -> str | None:
    """A time as entries write it. A date alone is its first moment, in UTC. Raises `Invalid`."""
    if text is None:
        return None
    try:
        return rfc3339(parse_rfc3339(f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text))
    except (ValueError, OverflowError):
        raise Invalid(
            f"The time in {field} cannot be read; nothing was asked.",
            field=field,
            rule="a date, or an RFC 3339 time with an offset",
            remedy="Write it like 2026-01-31 or 2026-01-31T12:00:00Z.",
        ) from None
