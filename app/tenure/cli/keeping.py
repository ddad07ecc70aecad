"""`tenure backup`, `tenure restore`, `tenure drill`: an operator's, with the cell's own settings.

None needs an API key: whoever can read database and root store is the cell.
"""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenure.cli.options import KEEPING, Given, Json, takes_settings
from tenure.cli.output import NO, Output, answering
from tenure.ids import rfc3339

if TYPE_CHECKING:
    from tenure.safekeeping import Drill

_TERMINATED = 128 + signal.SIGTERM


@takes_settings(*KEEPING)
def backup(
    given: Given,
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="The backup's directory: new, or empty.")
    ],
    as_json: Json = False,
) -> None:
    """Copy database and objects while the cell serves. Never the root store: keep that apart."""
    output = Output(as_json=as_json)
    with answering(output):
        from tenure import safekeeping  # noqa: PLC0415 - not in the bare install

        made = safekeeping.backup(given.settings(), destination)
    output.document(
        {
            "backup": str(destination),
            "created_at": rfc3339(made.created_at),
            "manifest_sha256": made.digest,
            "files": len(made.files),
            "bytes": made.size,
        }
    )
    output.line(f"backup    {destination}: {len(made.files)} files, {made.size} bytes")
    output.line(f"of        {rfc3339(made.created_at)}")
    output.line(f"manifest  sha256 {made.digest}   (keep it elsewhere: it names exactly these bytes)")
    output.line("Try it: tenure drill BACKUP")


@takes_settings(*KEEPING)
def restore(
    given: Given,
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What 'tenure backup' made.")],
    as_json: Json = False,
) -> None:
    """Put a backup into an empty place and recover it. Stop the old cell first.

    The settings name the new place, and the cell's own newest root directory. Erasures since the backup are
    done again before anything can be served.
    """
    output = Output(as_json=as_json)
    with answering(output):
        from tenure import safekeeping  # noqa: PLC0415 - not in the bare install
        from tenure.logs import log_for_people  # noqa: PLC0415 - not in the bare install

        log_for_people("error")
        done = safekeeping.restore(given.settings(), source)
    output.document(done)
    rows = [("restored to", done["restored_to"]), ("erasures done again", done["erasures_replayed"])]
    if done["erasures_unfinished"]:
        rows.append(("erasures still under way", done["erasures_unfinished"]))
    rows += [("entries lost", done["entries_lost"]), ("leaf epoch", done["leaf_epoch"])]
    output.table(("", ""), rows)
    for one in done["brought_up"]:
        output.line(f"ledger {one['tenant']}: {one['entries']} entries taken back from its published copy")
    for one in done["ledgers"]:
        output.line(f"ledger {one['tenant']}: generation {one['generation']} says {one['lost']} are lost")
    output.line("Now: tenure serve")


@takes_settings(*KEEPING)
def drill(
    given: Given,
    source: Annotated[
        Path | None, typer.Argument(metavar="[BACKUP]", help="The backup to try; one is taken if left out.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, metavar="N", help="Survivors to compare in each tenant.")
    ] = 200,
    every: Annotated[bool, typer.Option("--all", help="Compare every survivor.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--scratch", metavar="DIR", help="Where to restore to, for the time of it.")
    ] = None,
    scratch_url: Annotated[
        str, typer.Option(metavar="URL", help="PostgreSQL: an empty database to use; made if left out.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to keep the report.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a backup where it harms nobody, and prove that the erased stay gone and all others are intact.

    The result goes into the ledger. Works beside a running service. Exit code 1 when anything fails.
    """
    output = Output(as_json=as_json)
    with answering(output), _tidied():
        from tenure import safekeeping  # noqa: PLC0415 - not in the bare install
        from tenure.logs import log_for_people  # noqa: PLC0415 - not in the bare install

        log_for_people("error")
        done = safekeeping.drill(
            given.settings(),
            source,
            sample=None if every else sample,
            folder=folder,
            scratch_url=scratch_url,
        )
    if out is not None:
        out.write_bytes(done.report.encoded)
    _say(output, done, out)
    if not done.report.ok:
        raise typer.Exit(NO)


@contextlib.contextmanager
def _tidied() -> Iterator[None]:
    """What a drill made is taken away again when cron or a person ends it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(output: Output, done: "Drill", out: Path | None) -> None:
    report: dict[str, Any] = json.loads(done.report.encoded)
    output.document(
        {
            "report": report,
            "sha256": done.report.sha256,
            "entries": done.entries,
            "signed": done.signed,
        }
    )
    total = report["total"]
    output.table(
        ("drill", report["id"]),
        [
            ("backup of", report["backup"]["created_at"]),
            ("erased people who stay gone", total["erased"]),
            ("their versions that nothing opens", total["refused"]),
            ("erasures under way", total["under_way"]),
            ("survivors equal, byte for byte", total["compared"]),
            ("entries a restore would lose", report.get("restored", {}).get("entries_lost", "unknown")),
            ("failed", total["failed"]),
        ],
    )
    for failure in report["failures"]:
        output.line(f"failed: {json.dumps(failure)}")
    output.line(f"report sha256 {done.report.sha256}" + (f"  {out}" if out is not None else ""))
    place = "It is in" if done.signed else "The serving process will sign it into"
    output.line(f"{place} the cell's ledger, and its counts into every tenant's.")
    output.line("passed" if report["ok"] else "FAILED")
