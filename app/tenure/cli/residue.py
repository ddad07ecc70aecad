"""`tenure residue`: are these values still in those files? For any folder, file or dump.

Exit codes: 0 clean, 1 residue found, 2 wrong use or bad input (nothing was scanned), 3 incomplete: nothing
was found, but not everything could be looked at.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tenure.cli.options import Json
from tenure.cli.output import NO, WRONG_USE, YES, Output, as_json, wrong_use
from tenure.errors import Invalid, TenureError

if TYPE_CHECKING:
    from tenure.residue import ResidueReport

INCOMPLETE = 3
_CODES = {"clean": YES, "residue": NO, "incomplete": INCOMPLETE}
_GIB = 1024**3
_MOST_ROWS = 50
_STDIN = Path("-")
_INSTALL = "pip install 'tenure[residue]'"


def residue(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders to look into.")],
    values: Annotated[
        Path,
        typer.Option(
            "--values",
            metavar="FILE",
            help="What to look for: one value a line, or label<TAB>value. -: stdin.",
        ),
    ],
    unpack_limit: Annotated[
        int, typer.Option(min=1, metavar="GIB", help="Most that is unpacked of one file, in GiB.")
    ] = 16,
    json: Json = False,
) -> None:
    """Look for values, in many spellings and inside archives. Exit codes: 0 clean, 1 found, 3 incomplete."""
    output = Output(as_json=json)
    with _answering(output):
        from tenure.residue import Limits, parse_values, scan  # noqa: PLC0415 - the bare client lacks them

        wanted = parse_values(_read(values, paths))
        with _progress(quiet=json) as progress:
            limits = Limits(unpack_bytes=unpack_limit * _GIB)
            report = scan(paths, wanted, limits=limits, progress=progress)
        output.document(report.as_dict())
        _show(output, report)
        code = _CODES[report.verdict]
    raise typer.Exit(code)


@contextmanager
def _answering(output: Output) -> Iterator[None]:
    """Whatever keeps a scan from beginning is exit code 2: 1 would say that residue was found."""
    try:
        yield
    except TenureError as failure:
        if output.as_json:
            output.document({"error": as_json(failure)})
        else:
            typer.echo(f"{failure.field or 'tenure residue'}: {failure.detail}", err=True)
            if failure.remedy:
                typer.echo(f"  what to do: {failure.remedy}", err=True)
        raise typer.Exit(WRONG_USE) from failure
    except ModuleNotFoundError as failure:
        if (failure.name or "tenure").partition(".")[0] == "tenure":
            raise
        wrong_use(output, f"This command needs its search libraries, which are not installed: {_INSTALL}")


def _read(values: Path, paths: list[Path]) -> bytes:
    """The file of values. It must not be among what is scanned: it would be found, and rightly so."""
    if values == _STDIN:
        return sys.stdin.buffer.read()
    try:
        raw = values.read_bytes()
        own = values.resolve()
    except OSError as failure:
        raise Invalid(
            f"The file of values cannot be read: {failure.strerror}. Nothing was scanned.",
            field="values",
            rule="readable",
            remedy="Give a text file with one value a line.",
        ) from None
    if any(own.is_relative_to(path.resolve()) for path in paths):
        raise Invalid(
            "The file of values lies under a path to scan, which would find it. Nothing was scanned.",
            field="values",
            rule="apart",
            remedy="Move it somewhere else, or give the values on standard input with --values -.",
        )
    return raw


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Any]:
    """Files and bytes so far on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("scanning")
        yield lambda files, size: bar.update(task, description=f"{files} files, {_size(size)}")


def _show(output: Output, report: "ResidueReport") -> None:
    from tenure.residue.report import GAPS, NOT_SHOWN  # noqa: PLC0415 - the bare client lacks them

    rows = [
        (_named(found.line, found.label), found.path, "name" if found.offset is None else found.offset,
         found.encoding, found.count)
        for found in report.findings[:_MOST_ROWS]
    ]  # fmt: skip
    if rows:
        output.table(("value", "path", "offset", "as", "times"), rows, title="Found")
    gaps = [
        (gap.path, gap.encoding, "" if gap.offset is None else gap.offset,
         GAPS[gap.reason] + (f": {gap.detail}" if gap.detail else ""), gap.count)
        for gap in report.incomplete[:_MOST_ROWS]
    ]  # fmt: skip
    if gaps:
        output.table(("path", "in", "offset", "why", "times"), gaps, title="Not looked at")
    left = len(report.findings) + len(report.incomplete) - len(rows) - len(gaps) + report.more
    if left:
        output.line(f"and {left} more (--json lists up to ten thousand of each)")
    output.line(
        f"{report.verdict}: {report.values} values, {report.files} files, {_size(report.read_bytes)}"
        f" and {_size(report.unpacked_bytes)} unpacked; {report.links} links not followed"
    )
    for sentence in NOT_SHOWN:
        output.line(f"does not show: {sentence}")


def _named(line: int, label: str) -> str:
    return f"line {line} ({label})" if label else f"line {line}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 - the step between these units
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
