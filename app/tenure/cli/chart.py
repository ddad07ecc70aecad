"""Bars in a terminal: one line a value, or two beside each other."""

from collections.abc import Sequence

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from tenure.cli.output import Output

_WIDTH = 28
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_EXACT = 10


def bars(output: Output, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]]) -> None:
    """A table: a label, then for each value a bar and the size in bytes. All bars have one scale.

    `columns`: the label's, and one for each value.
    """
    if output.as_json or not rows:
        return
    most = max(value for _, values in rows for value in values)
    heads = [Column(columns[0])]
    for name in columns[1:]:
        heads += [Column(name, width=_WIDTH), Column("", justify="right", no_wrap=True)]
    table = Table(*heads, box=SIMPLE_HEAD, pad_edge=False)
    for label, values in rows:
        cells: list[Bar | Text] = [Text(label)]
        for value in values:
            cells += [Bar(max(most, 1), 0, value, width=_WIDTH), Text(size(value))]
        table.add_row(*cells)
    output.console.print(table)


def size(value: int) -> str:
    """Bytes for people, in powers of 1000: `9.5 kB`."""
    amount = float(value)
    for unit in _UNITS:
        if amount < _STEP or unit == _UNITS[-1]:
            break
        amount /= _STEP
    digits = 1 if amount < _EXACT and unit != "B" else 0
    return f"{amount:.{digits}f} {unit}"
