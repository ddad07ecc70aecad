"""The matrix as a table, what went wrong in words, and the three sums that must be nought."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from fault.matrix.broken import BREAKAGES
from fault.matrix.cases import NOT_REACHED, Next
from fault.matrix.stage import Played
from fault.matrix.verdict import ASKED_AGAIN, Verdict

_BEFORE = "just before"
_COLUMNS = (_BEFORE, *(str(one) for one in Next))
_SUMS = {
    "resurrections": "resurrections",
    "lost": "lost survivors",
    "early": "certificates before destruction",
    "other": "other failures",
}


def show(kind: str, played: Sequence[Played], console: Console) -> None:
    """One database's table: rows in the order of the erasure."""
    cells: dict[str, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for case, verdict, _ in played:
        column = _BEFORE if case.when == "before" else str(case.next)
        cells[str(case.step)][column].append(verdict)
    table = Table(title=f"{kind}: killed after …, and then …", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("durable step", overflow="fold")
    for column in _COLUMNS:
        table.add_column(column)
    for step, row in cells.items():
        table.add_row(step, *(_shown(row.get(column, [])) for column in _COLUMNS))
    console.print(table)
    for case, verdict, _ in played:
        for sort, name in _SUMS.items():
            for what in getattr(verdict, sort):
                console.print(f"{case}: {name}: {what}", markup=False, highlight=False)


def sums(played: Sequence[Played], console: Console) -> bool:
    """The last lines; whether all is well."""
    verdicts = [one.verdict for one in played]
    console.print("* the restore took the request along, before it was journalled: it was asked for again")
    console.print("~ this run had fewer of these steps: killed at the end of the erasure or recovery instead")
    found = {sort: sum(bool(getattr(one, sort)) for one in verdicts) for sort in _SUMS}
    console.print(
        f"{len(played)} cases: " + ", ".join(f"{found[sort]} {name}" for sort, name in _SUMS.items()),
        highlight=False,
    )
    return not any(found.values())


def control(played: Iterable[Played], console: Console) -> bool:
    """For a service that was broken on purpose: whether each breakage was found, as what it is."""
    all_found = True
    for case, verdict, _ in played:
        wanted = BREAKAGES[case.broken].found_as
        found = getattr(verdict, wanted)
        all_found &= bool(found)
        said = f"found: {_SUMS[wanted]}: {found[0]}" if found else f"NOT found: {verdict}"
        console.print(f"{case.kind}, {case.broken}: {said}", markup=False, highlight=False)
    return all_found


def _shown(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    wrong = [sort for sort in _SUMS if any(getattr(one, sort) for one in verdicts)]
    text = "FAILED: " + ", ".join(_SUMS[sort] for sort in wrong) if wrong else "ok"
    if len(verdicts) > 1 and not wrong:
        text = f"{len(verdicts)} ok"
    remarks = {remark for one in verdicts for remark in one.remarks}
    return text + "*" * (ASKED_AGAIN in remarks) + "~" * (NOT_REACHED in remarks)
