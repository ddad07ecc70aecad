"""Restrictions, objections and the marks of rectifications, against the entries that say so.

Each step of a limit seals the whole row, so that nobody sets or lifts one by a row alone. A version is
marked just when an entry of kind `rectification` names it, or the entry that wrote it says that it was stale
from the beginning.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from tenure import rowseals
from tenure.errors import Unverified
from tenure.inspection.findings import Finding
from tenure.inspection.view import View, differing, entry_id, guarded
from tenure.ledger.entry import Action, Kind, parse_entry
from tenure.store import inspecting, tables
from tenure.store.inspecting import Row
from tenure.store.subjectlimits import SubjectLimit

_L, _V = tables.subject_limits, tables.versions
_MARKS = {"restricted_since": Action.WITHHELD.value, "stale_since": Action.LISTED.value}
"""Column of a version → what an access of a rectification's entry says."""
Entry = dict[str, Any]


# ── limits ─────────────────────────────────────────────────────────────────────────────────────────
def limits(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each limit is about somebody who was met, and is as its newest step left it."""
    view.want(row[name] for row in page for name in ("entry", "lifted_entry"))
    there = inspecting.known_ids(view.tx, tables.subjects.c.id, {row["subject_id"] for row in page})
    for row in page:
        key = (row["id"],)
        if row["subject_id"] not in there:
            yield view.finding("subject-limit", _L, key, "subject_id", "there is no such person")
        yield from guarded(view, "subject-limit", _L, key, _limit(view, row))


def _limit(view: View, row: Row) -> Iterator[Finding]:
    key = (row["id"],)
    steps = {"set": ("entry", "set_by", "set_at"), "lifted": ("lifted_entry", "lifted_by", "lifted_at")}
    last: Entry | None = None
    for outcome, (named, by, at) in steps.items():
        if row[named] is None and outcome == "lifted":
            if row[by] is not None or row[at] is not None:
                yield view.finding("subject-limit", _L, key, at, "no entry says that it was lifted")
            continue
        entry = view.entry(row[named])
        if not _is_step(entry, outcome, row["id"]) or entry is None:
            yield view.finding("subject-limit", _L, key, named, f"no such entry says that it was {outcome}")
            return
        yield from differing(view, "subject-limit", _L, row, **{by: entry.get("principal")})
        if row[at] is None or not view.happened(entry, row[at]):
            yield view.finding("subject-limit", _L, key, at, "its entry says another time")
        last = entry
    if last is None or view.keys is None:
        return
    seal = rowseals.of_subject_limit(view.keys, SubjectLimit(**row))
    if seal != last["data"]["row"]:
        yield view.finding("subject-limit-row", _L, key, "", "it is not as its newest step left it")


def _is_step(entry: Entry | None, outcome: str, limit_id: str) -> bool:
    return (
        entry is not None
        and (entry["kind"], entry["outcome"]) == (Kind.SUBJECT_LIMIT, outcome)
        and entry["data"]["limit"] == limit_id
    )


# ── marks ──────────────────────────────────────────────────────────────────────────────────────────
def named(view: View, entry: Entry, name: str) -> None:
    """Remember for this pass what a rectification's entry marks."""
    if (entry["kind"], entry["outcome"]) == (Kind.RECTIFICATION, "ok") and view.lives:
        with suppress(Unverified):  # the section on access lists says so
            for one in view.accesses(entry):
                view.over.marks.setdefault((one["record"], one["version"], one["action"]), []).append(name)


def marks(view: View, row: Row) -> Iterator[Finding]:
    """A version is marked just as the ledger says, and since when."""
    key = (row["record_id"], row["version"])
    for column, action in _MARKS.items():
        since, names = row[column], view.over.marks.get((*key, action), [])
        if since is None:
            if any(not _put_back(view, name) for name in names):
                yield view.finding("version-mark", _V, key, column, "an entry says that it is marked")
            elif column == "stale_since" and _born_stale(view, row):
                yield view.finding("version-mark", _V, key, column, "the entry that wrote it says it is")
            continue
        if column == "stale_since" and since == row["created_at"] and _born_stale(view, row):
            continue
        names = names or _looked_for(view, (*key, action))
        entries = [entry for name in names if (entry := view.entry(name)) is not None]
        if not any(view.happened(entry, since) for entry in entries):
            yield view.finding("version-mark", _V, key, column, "no entry says that it is, or since then")


def _born_stale(view: View, row: Row) -> bool:
    entry = view.entry(row["entry"])
    return entry is not None and entry.get("data", {}).get("stale") is True


def _put_back(view: View, name: str) -> bool:
    parts = entry_id(name)
    return parts is not None and view.is_put_back(*parts)


def _looked_for(view: View, which: tuple[str, int, str]) -> list[str]:
    """Entries that name a mark which this pass has not seen: made since, or entries were not looked at."""
    for body in inspecting.acts(view.tx, Kind.RECTIFICATION):
        with suppress(Unverified):  # the section on entries says so
            entry = parse_entry(body)
            name = f"{entry['writer']}-{entry['n']}"
            if all(name not in seen for seen in view.over.marks.values()):
                named(view, entry, name)
    return view.over.marks.get(which, [])
