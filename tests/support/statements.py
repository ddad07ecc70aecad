"""Every SQL statement that SQLite runs, whoever sent it; and whether each one names its tenant.

The driver reports statements with their parameters written out, below SQLAlchemy and below the hot path's
own wire (`store.wire`), so nothing goes past it: what is looked at here is what the database was told.
"""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import sqlglot
from sqlalchemy import event
from sqlalchemy.pool import Pool
from sqlglot import exp

from tenure.store import tables

TENANT = "tenant_id"
TABLES = frozenset(tables.metadata.tables)
_BEAT = "tenure-replica"
"""The thread that looks once a second whether the keys have changed: nobody's request."""
_LITERAL = re.compile(r"x'[0-9a-f]*'|'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", re.IGNORECASE)
_ID = re.compile(r"'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'")
_REPEATED = re.compile(r"\?(?:, \?)+")


class Line(NamedTuple):
    """One statement as it ran, and the thread that ran it."""

    thread: str
    sql: str


@contextmanager
def recording() -> Iterator[list[Line]]:
    """What every SQLite connection runs that is made inside this, in the order in which it ran."""
    lines: list[Line] = []

    def listen(driver: Any, _record: object) -> None:
        if isinstance(driver, sqlite3.Connection):
            driver.set_trace_callback(lambda sql: lines.append(Line(threading.current_thread().name, sql)))

    event.listen(Pool, "connect", listen)
    try:
        yield lines
    finally:
        event.remove(Pool, "connect", listen)


def kinds(lines: list[Line]) -> list[str]:
    """The statements without their values: what two requests must have in common to take the same way."""
    return [_REPEATED.sub("?", _LITERAL.sub("?", line.sql)) for line in lines if line.thread != _BEAT]


def tenants_named(sql: str) -> set[str]:
    """The ids that a statement binds as a tenant: in a condition, or as a value of a row."""
    return _read(sql).named


def unbound(sql: str) -> set[str]:
    """The tenants' tables in a statement that no value of `tenant_id` narrows down. Empty: all is well."""
    return _read(sql).unbound


class _Reading(NamedTuple):
    named: set[str]
    unbound: set[str]


def _read(sql: str) -> _Reading:
    """The reading of a statement. Only ids are kept apart: everything else may be any value."""
    ids = _ID.findall(sql)
    named, loose = _reading_of(_LITERAL.sub(_hollow, sql))
    return _Reading({ids[place] for place in named}, set(loose)) if ids else _Reading(set(), set(loose))


def _hollow(found: re.Match[str]) -> str:
    text = found[0]
    if _ID.fullmatch(text):
        return "'#'"
    return text if text[0].isdigit() else "x''" if text[0] in "xX" else "''"


@lru_cache(maxsize=4096)
def _reading_of(hollow: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(places among the statement's ids that are tenants, tables that are not bound)."""
    numbered = iter(range(hollow.count("'#'")))
    text = re.sub("'#'", lambda _: f"'#{next(numbered)}'", hollow)
    named: set[int] = set()
    loose: set[str] = set()
    for statement in sqlglot.parse(text, read="sqlite"):
        if statement is None or isinstance(
            statement, exp.Command | exp.Pragma | exp.Transaction | exp.Commit
        ):
            continue
        if isinstance(statement, exp.Insert):
            _insert(statement, named, loose)
        for query in statement.find_all(exp.Select, exp.Update, exp.Delete):
            _query(query, named, loose)
    return tuple(sorted(named)), tuple(sorted(loose))


def _insert(statement: exp.Insert, named: set[int], loose: set[str]) -> None:
    """Each row gives its tenant."""
    target = statement.this
    table = target.this if isinstance(target, exp.Schema) else target
    if table.name not in TABLES:
        return
    columns = [one.name for one in target.expressions] if isinstance(target, exp.Schema) else []
    source = statement.expression
    if TENANT not in columns:
        loose.add(f"{table.name} (insert)")
        return
    place = columns.index(TENANT)
    rows = source.expressions if isinstance(source, exp.Values) else [source] if source is not None else []
    for row in rows:
        given = _id_in(row.expressions[place])
        if given is None:
            loose.add(f"{table.name} (insert)")
        else:
            named.add(given)


def _query(query: exp.Expression, named: set[int], loose: set[str]) -> None:
    """Each table of a query is narrowed down to a tenant: by an id, or by being equal to one that is."""
    own = _sources(query)
    outer = {alias for above in _above(query) for alias in _sources(above)}
    if not own:
        return
    equal = {alias: {alias} for alias in (*own, *outer)}
    bound: set[str] = set()
    for condition in _conditions(query):
        left, right = condition.left, condition.right
        if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
            left, right = right, left
        if not (isinstance(left, exp.Column) and left.name == TENANT):
            continue
        alias = left.table or (next(iter(own)) if len(own) == 1 else "")
        if isinstance(right, exp.Column) and right.name == TENANT and {alias, right.table} <= set(equal):
            together = equal[alias] | equal[right.table]
            for one in together:
                equal[one] = together
        elif (given := _id_in(right)) is not None and alias in equal:
            named.add(given)
            bound.add(alias)
    # What a subquery is compared with in the query around it is bound there, or reported there.
    for alias, table in own.items():
        if table in TABLES and not equal[alias] & (bound | outer):
            loose.add(table)


def _sources(query: exp.Expression) -> dict[str, str]:
    """Alias → table of what stands in a query's own FROM, JOIN, UPDATE or DELETE."""
    found: dict[str, str] = {}
    for table in query.find_all(exp.Table):
        if table.name in TABLES and table.find_ancestor(exp.Select, exp.Update, exp.Delete) is query:
            found[table.alias_or_name] = table.name
    return found


def _above(query: exp.Expression) -> Iterator[exp.Expression]:
    around = query.find_ancestor(exp.Select, exp.Update, exp.Delete)
    while around is not None:
        yield around
        around = around.find_ancestor(exp.Select, exp.Update, exp.Delete)


def _conditions(query: exp.Expression) -> Iterator[exp.EQ]:
    """The equations that a query demands: those of its WHERE and its joins that stand under ANDs alone."""
    roots = [query.args["where"].this] if query.args.get("where") else []
    roots += [join.args["on"] for join in query.args.get("joins") or () if join.args.get("on")]
    while roots:
        one = roots.pop()
        if isinstance(one, exp.And | exp.Paren):
            roots += [part for part in (one.this, one.args.get("expression")) if part is not None]
        elif isinstance(one, exp.EQ):
            yield one


def _id_in(value: exp.Expression) -> int | None:
    """The number of the id that a value is, as itself or cast."""
    while isinstance(value, exp.Cast | exp.Alias | exp.Paren):
        value = value.this
    if isinstance(value, exp.Literal) and value.is_string and value.this.startswith("#"):
        return int(value.this[1:])
    return None
