"""The cases as tables, what went wrong in words, and the sums that must be nought."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from fault.tiers.broken import Breakage
from fault.tiers.cases import Case, at
from fault.tiers.scene import Act
from fault.tiers.verdict import Verdict

Played = tuple[Case, Verdict]
_SUMS = {
    "lost": "lost",
    "doubled": "doubled",
    "changed": "reads or commitments that differ",
    "other": "other failures",
}


def show(kind: str, played: Sequence[Played], console: Console) -> None:
    """One store's tables: kills in the order of the job, faults beside each other."""
    for act in Act:
        mine = [(case, verdict) for case, verdict in played if case.act is act]
        faults = list(dict.fromkeys(case.fault for case, _ in mine))
        table = Table(title=f"{kind}: {act}, killed …", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for name in faults:
            table.add_column(name)
        shown = {(at(case.kill), case.fault): _shown(verdict) for case, verdict in mine}
        for kill in _ordered([[at(case.kill) for case, _ in mine if case.fault == name] for name in faults]):
            table.add_row(kill, *(shown.get((kill, name), "") for name in faults))
        console.print(table)
    for case, verdict in played:
        for sort, name in _SUMS.items():
            for what in getattr(verdict, sort):
                console.print(f"{kind}, {case}: {name}: {what}", markup=False, highlight=False)


def sums(played: Sequence[Played], console: Console) -> bool:
    """The last line; whether all is well."""
    found = {sort: sum(bool(getattr(verdict, sort)) for _, verdict in played) for sort in _SUMS}
    said = ", ".join(f"{found[sort]} {name}" for sort, name in _SUMS.items())
    console.print(f"{len(played)} cases: {said}", highlight=False)
    return bool(played) and not any(found.values())


def control(played: Iterable[tuple[Breakage, Verdict]], console: Console) -> bool:
    """For tiering that was broken on purpose: whether each breakage was found, as what it is."""
    all_found = True
    for broken, verdict in played:
        found = getattr(verdict, broken.found_as)
        all_found &= bool(found)
        said = f"found: {_SUMS[broken.found_as]}: {found[0]}" if found else f"NOT found: {verdict}"
        console.print(f"control, {broken.what}: {said}", markup=False, highlight=False)
    return all_found


def _ordered(runs: Sequence[Sequence[str]]) -> list[str]:
    """All steps, each after what precedes it in the longest run that has it."""
    order: list[str] = []
    for run in sorted(runs, key=len, reverse=True):
        place = 0
        for step in run:
            if step not in order:
                order.insert(place, step)
            place = order.index(step) + 1
    return order


def _shown(verdict: Verdict) -> str:
    wrong = [name for sort, name in _SUMS.items() if getattr(verdict, sort)]
    return "FAILED: " + ", ".join(wrong) if wrong else "ok"
