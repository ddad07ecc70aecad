"""Jobs of the cell, one row each: how the last run went, and the claim of the one that is under way.

A claim is a compare-and-set on one row, so one process gets it. It is a lease by the database's clock, which
its holder renews; and it has a number, `runs`, that only ever grows: whoever was taken over from finds
another number there (`holds`, `renew`, `finish`). Everything here runs in cell transactions.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, and_, case, select, update

from tenure.ids import CELL
from tenure.store import clock, tables
from tenure.store.session import Tx
from tenure.store.statements import Insert

_j = tables.jobs
_NEW = Insert(tables.jobs, ignore_existing=True)
OK: Final = "ok"
FAILED: Final = "failed"
STOPPED: Final = "stopped"
"""Outcomes in rows. None: the run is under way, or its process ended in the middle of it."""


class Row(NamedTuple):
    """A job's row. Instants and lengths in microseconds, by the database's clock; `at` is when it was read.

    `runs` counts runs begun, `failures` those in a row that failed or that nobody finished. `counts` is JSON.
    """

    name: str
    every_us: int
    runs: int
    failures: int
    holder: str | None
    lease_until: int
    started_at: int | None
    finished_at: int | None
    succeeded_at: int | None
    outcome: str | None
    error: str | None
    duration_us: int | None
    counts: str
    at: int


class Result(NamedTuple):
    """What came of a run. `error` is the kind of a failure, never its text."""

    outcome: str
    error: str | None
    duration_us: int
    counts: Mapping[str, int]


def every(tx: Tx) -> dict[str, Row]:
    """All rows by name: jobs that ever ran."""
    columns = [_j.c[name] for name in Row._fields[:-1]]
    rows = tx.execute(select(*columns, clock.now(tx)).where(_j.c.tenant_id == CELL).order_by(_j.c.name))
    return {row[0]: Row(*row) for row in rows}


def claim(tx: Tx, name: str, holder: str, *, seen: Row | None, every_us: int, lease_us: int) -> int | None:
    """Begin a run: its number, or None when the row is not as it was `seen` any more.

    Whether the claim in it was over is the caller's judgement. A run that nobody finished is a failure.
    """
    runs, until = (0, 0) if seen is None else (seen.runs, seen.lease_until)
    if seen is None:
        tx.put(_NEW, _fresh(name, every_us))
    now = clock.now(tx)
    unfinished = and_(_j.c.started_at.is_not(None), _j.c.finished_at.is_(None))
    done = tx.execute(
        update(_j)
        .where(*_of(name), _j.c.runs == runs, _j.c.lease_until == until)
        .values(
            every_us=every_us,
            runs=runs + 1,
            failures=_j.c.failures + case((unfinished, 1), else_=0),
            holder=holder,
            lease_until=now + lease_us,
            started_at=now,
            finished_at=None,
            outcome=None,
            error=None,
        )
    )
    return runs + 1 if done.rowcount == 1 else None


def renew(tx: Tx, name: str, number: int, *, lease_us: int) -> bool:
    """Renew the claim of a run; False when it had run out already, or the run is not the last one."""
    now = clock.now(tx)
    done = tx.execute(
        update(_j)
        .where(*_of(name), *_under_way(number), _j.c.lease_until > now)
        .values(lease_until=now + lease_us)
    )
    return done.rowcount == 1


def holds(tx: Tx, name: str, number: int) -> bool:
    """Whether a run is still the last one. On PostgreSQL nobody can take over before this transaction ends.

    Asked in the transaction that changes something: what was taken over from changes nothing.
    """
    mine = select(_j.c.runs).where(*_of(name), *_under_way(number)).with_for_update(read=True)
    return tx.execute(mine).one_or_none() is not None


def finish(tx: Tx, name: str, number: int, result: Result) -> bool:
    """Put on record how a run went, and give its claim back; False when another one has begun since."""
    now = clock.now(tx)
    values = {
        "lease_until": 0,
        "finished_at": now,
        "outcome": result.outcome,
        "error": result.error,
        "duration_us": result.duration_us,
        "counts": json.dumps(result.counts),
    }
    if result.outcome == OK:
        values |= {"failures": 0, "succeeded_at": now}
    elif result.outcome == FAILED:
        values["failures"] = _j.c.failures + 1
    done = tx.execute(update(_j).where(*_of(name), *_under_way(number)).values(values))
    return done.rowcount == 1


def report(
    tx: Tx, name: str, holder: str, result: Result, *, every_us: int, runs: int, failures: int
) -> None:
    """Put on record the last of `runs` runs of a job that every process has for itself; there is no claim."""
    tx.put(_NEW, _fresh(name, every_us))
    now = clock.now(tx)
    values = {
        "every_us": every_us,
        "runs": _j.c.runs + runs,
        "failures": failures,
        "holder": holder,
        "started_at": now - result.duration_us,
        "finished_at": now,
        "outcome": result.outcome,
        "error": result.error,
        "duration_us": result.duration_us,
        "counts": json.dumps(result.counts),
    }
    if result.outcome == OK:
        values["succeeded_at"] = now
    tx.execute(update(_j).where(*_of(name)).values(values))


def _fresh(name: str, every_us: int) -> dict[str, object]:
    return {"name": name, "every_us": every_us, "runs": 0, "failures": 0, "lease_until": 0, "counts": "{}"}


def _of(name: str) -> tuple[ColumnElement[bool], ...]:
    return (_j.c.tenant_id == CELL, _j.c.name == name)


def _under_way(number: int) -> tuple[ColumnElement[bool], ...]:
    return (_j.c.runs == number, _j.c.finished_at.is_(None))
