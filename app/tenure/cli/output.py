"""What a command says: text for people, or one JSON document for programs. Never both on one stream.

Exit codes: 0 yes, 1 no, 2 wrong use.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from tenure.cli.commands import in_commands
from tenure.errors import Invalid, TenureError

YES, NO, WRONG_USE = 0, 1, 2
SERVER = "pip install 'tenure[server]'"
_WIDTH = 110
_COPIED = re.compile(r"\S*(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z)\S*")
"""A word with an id or an instant in it."""
_NO_RULE = ("see the detail",)
"""What the service says where an error has no rule: the detail was shown."""
_MEMBERS = (
    "field",
    "file",
    "line",
    "rule",
    "remedy",
    "entry",
    "rules",
    "certificate",
    "shred",
    "retry_after",
)


class Output:
    """Text to standard output, or nothing until `document` prints everything as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(quiet=as_json, highlight=False)
        if not self.console.is_terminal:
            self.console.width = _WIDTH

    def line(self, text: str = "") -> None:
        """A line for people. Never wrapped or coloured, so that it can be copied."""
        if not self.as_json:
            typer.echo(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
        """A table for people; cells are text, not markup. What is copied from one stays in one piece."""
        if self.as_json:
            return
        cells = [[str(cell) for cell in row] for row in rows]
        table = Table(
            *(
                Column(name, overflow="fold", min_width=_whole(cells, place))
                for place, name in enumerate(columns)
            ),
            title=Text(title) if title else None,
            title_style="bold",
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            show_header=any(columns),
        )
        for row in cells:
            table.add_row(*map(Text, row))
        self.console.print(table, crop=False)  # rather wider than the terminal than an id in two

    def document(self, content: Any) -> None:  # noqa: ANN401 - any JSON
        """The answer for programs."""
        if self.as_json:
            typer.echo(json.dumps(content, ensure_ascii=False))


@contextmanager
def answering(output: Output, *, wrong: type[TenureError] | None = None) -> Iterator[None]:
    """Turn an error into its message and exit code. With --json the error is the JSON document.

    `wrong`: what says that the command was called wrongly, besides settings.
    """
    try:
        yield
    except TenureError as failure:
        if output.as_json:
            output.document({"error": as_json(failure)})
        else:
            typer.echo(f"No: {failure.detail}", err=True)
            for name in ("field", "rule", "rules", "entry", "certificate"):
                if (value := getattr(failure, name, None)) and value not in _NO_RULE:
                    said = value if isinstance(value, str) else ", ".join(value)
                    typer.echo(f"  {name}: {in_commands(said)}", err=True)
            if failure.remedy and failure.remedy not in failure.detail:
                typer.echo(f"  what to do: {in_commands(failure.remedy)}", err=True)
        is_wrong = _is_setting(failure) or (wrong is not None and isinstance(failure, wrong))
        raise typer.Exit(WRONG_USE if is_wrong else NO) from failure
    except ModuleNotFoundError as failure:
        if (failure.name or "tenure").partition(".")[0] == "tenure":
            raise
        wrong_use(output, f"This command needs the server side, which is not installed: {SERVER}")


@contextmanager
def bar(output: Output) -> Iterator[Any]:
    """Progress on a terminal, nothing elsewhere."""
    if output.as_json or not output.console.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=output.console, transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda what, done, size: shown.update(task, description=what, completed=done, total=size)


def wrong_use(output: Output, detail: str) -> None:
    """Say what is wrong with how the command was called, and leave with exit code 2."""
    if output.as_json:
        output.document({"error": {"kind": "wrong-use", "detail": detail}})
    else:
        typer.echo(detail, err=True)
    raise typer.Exit(WRONG_USE)


def as_json(failure: TenureError) -> dict[str, Any]:
    """An error's members."""
    found = {name: getattr(failure, name, None) for name in _MEMBERS}
    known = {name: value for name, value in found.items() if value}
    return {"kind": failure.kind, "detail": failure.detail, **known}


def this_program() -> str:
    """How the person can call this program again: by its name if the shell finds it, else by its path."""
    path = Path(sys.argv[0])
    if path.name != "tenure":
        return "tenure"
    found = shutil.which("tenure")
    if found is not None and Path(found).resolve() == path.resolve():
        return "tenure"
    return str(path)


def _whole(rows: Iterable[Sequence[str]], place: int) -> int | None:
    """How wide the longest word of a column is that must not be broken; None: there is none."""
    cells = (row[place] for row in rows if place < len(row))  # a row may end early
    return max((len(found[0]) for cell in cells for found in _COPIED.finditer(cell)), default=None)


def _is_setting(failure: TenureError) -> bool:
    return isinstance(failure, Invalid) and (failure.field or "").startswith("TENURE_")
