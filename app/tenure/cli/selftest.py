"""`tenure selftest`: can these checks fail? On a copy of your own store, corrupted one thing at a time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.options import KEEPING, Given, Json, takes_settings
from tenure.cli.output import NO, Output, answering, bar

if TYPE_CHECKING:
    from tenure.selftest.run import Outcome, Tried


@takes_settings(*KEEPING)
def selftest(
    given: Given,
    every: Annotated[bool, typer.Option("--all", help="Every row of every tenant. Takes long.")] = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Sample the same rows again; printed each time.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--scratch", metavar="DIR", help="Where to copy to, for the time of it.")
    ] = None,
    scratch_url: Annotated[
        str, typer.Option(metavar="URL", help="PostgreSQL: an empty database to use; made if left out.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Corrupt a copy of the store field by field, and list which check noticed each and which none did.

    The live store is read once and never written, nor are mirror and objects. Works beside a running service.
    Exit code 0 only when everything that was tried was noticed.
    """
    output = Output(as_json=as_json)
    with answering(output), bar(output) as progress:
        from tenure.logs import log_for_people  # noqa: PLC0415 - not in the bare install
        from tenure.selftest.copying import selftest as run  # noqa: PLC0415 - not in the bare install

        log_for_people("critical")
        outcome = run(
            given.settings(),
            **({"rows": None} if every else {}),
            seed=seed,
            folder=folder,
            scratch_url=scratch_url,
            progress=progress,
        )
    output.document(outcome.document())
    _say(output, outcome)
    if not outcome.ok:
        raise typer.Exit(NO)


def _say(output: Output, outcome: "Outcome") -> None:
    if outcome.dirty:
        when = "after every corruption was taken back" if outcome.tried else "before anything was corrupted"
        output.line(f"FAILED: the copy is not clean {when}:")
        for finding in outcome.dirty:
            output.line(f"  {finding.line()}")
        output.line("'tenure doctor' looks at the store itself.")
    output.table(("corrupted", "how", "tried", "noticed by"), list(_rows(outcome.tried)))
    for one in outcome.missed:
        output.line(f"UNNOTICED: {one.table} {one.column} of {one.where}: {one.how}")
    for line in dict.fromkeys(
        f"not covered: {one.table}.{one.column}, {one.how}: {one.exempt}"
        for one in outcome.tried
        if one.exempt
    ):
        output.line(line)
    for text in outcome.not_tried:
        output.line(f"not tried: {text}")
    for text in outcome.document()["not_checked"]:
        output.line(f"not checked: {text}")
    noticed = sum(bool(one.noticed) for one in outcome.tried)
    exempt = sum(bool(one.exempt) for one in outcome.tried)
    sampled = (
        "every row" if outcome.rows is None else f"{outcome.rows} rows of each table, seed {outcome.seed}"
    )
    output.line(f"{len(outcome.tried)} corruptions on {len(outcome.tenants)} logs' rows ({sampled}):")
    output.line(f"{noticed} noticed, {exempt} not covered, {len(outcome.missed)} unnoticed")


def _rows(tried: "list[Tried]") -> Iterator[tuple[str, str, str, str]]:
    """A row for each column and way; scenes each by themselves."""
    groups: dict[tuple[str, str], list[Tried]] = {}
    for one in tried:
        groups.setdefault((f"{one.table}.{one.column}".rstrip("."), one.how), []).append(one)
    for (what, how), some in groups.items():
        checks = Counter(check for one in some for check in one.noticed)
        lost = sum(one.missed for one in some)
        free = sum(bool(one.exempt) for one in some)
        said = ", ".join(checks) or "—"
        said += f" · {lost} UNNOTICED" if lost else ""
        said += f" · {free} not covered" if free else ""
        yield what, how, str(len(some)), said
