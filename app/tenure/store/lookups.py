"""Rows found one by one by their keys, whatever PostgreSQL believes of the tables.

Asked for `key = ANY(…)`, PostgreSQL weighs a look-up for each value against reading all rows of the tenant.
In the first minutes of a cell, before it has statistics, it takes the latter for cheap, and keeps to that
plan while the tenant grows: each request then costs what all of its rows cost. Here it has no choice.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import FromClause, Table, and_, literal_column, select
from sqlalchemy.sql.elements import ColumnElement

from tenure.store.pgtext import Decode, decoder
from tenure.store.statements import AnyOf, Params, Select, Sent, kind, named

_PARAMETER = re.compile(r"%\((\w+)\)s")


class Step(NamedTuple):
    """A table to look into, and which rows of it: by parameters, and by columns of the tables before it."""

    table: Table
    where: ColumnElement[bool]
    optional: bool = False
    """Whether it need not have such a row."""


class LookUp(Select):
    """The rows that belong to every value of list parameters, table after table.

    On PostgreSQL each table is looked into for one value at a time, in a subquery that `OFFSET 0` fences
    off. SQLite goes by the indexes as it is.
    """

    def __init__(
        self,
        columns: Sequence[ColumnElement[Any]],
        *steps: Step,
        keys: Mapping[str, ColumnElement[Any]],
        order_by: Sequence[ColumnElement[Any]] = (),
        lock: str = "",
    ) -> None:
        """`keys`: list parameters, and the columns that they have values of.

        Of several lists, values of the same place belong together; SQLite finds any combination, and whoever
        asks knows which ones were meant. `lock`: how PostgreSQL locks the rows of the first table.
        """
        first, *others = steps
        source: FromClause = first.table
        for step in others:
            source = source.join(step.table, step.where, isouter=step.optional)
        wanted = (AnyOf(column, name) for name, column in keys.items())
        super().__init__(select(*columns).select_from(source).where(first.where, *wanted).order_by(*order_by))
        self._columns = columns
        self._steps = steps
        self._keys = keys
        self._order_by = order_by
        self._lock = lock

    @cached_property
    def _compiled(self) -> tuple[bytes, list[str], list[Decode]]:
        sql = self._postgresql()
        names = [*dict.fromkeys(_PARAMETER.findall(sql))]
        numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
        return numbered.encode(), names, [decoder(column.type) for column in self._columns]

    def _postgresql(self) -> str:
        # An array that comes out of a subquery has no length by which a plan might be made anew each time.
        lists = ", ".join(f"(SELECT %({name})s::{kind(one)}[])" for name, one in self._keys.items())
        columns = ", ".join(map(named, self._columns))
        sql = f"SELECT {columns} FROM unnest({lists}) AS each({', '.join(self._keys)})"
        for step in self._steps:
            how = "LEFT" if step.optional else "INNER"
            sql += f" {how} JOIN LATERAL ({self._inside(step)}) AS {step.table.name} ON true"
        if self._order_by:
            sql += f" ORDER BY {', '.join(map(named, self._order_by))}"
        return sql

    def _inside(self, step: Step) -> str:
        sought = (
            column == literal_column(f"each.{name}", column.type)
            for name, column in self._keys.items()
            if column.table is step.table
        )
        lock = f" {self._lock}" if self._lock and step is self._steps[0] else ""
        return f"SELECT * FROM {step.table.name} WHERE {named(and_(step.where, *sought))} OFFSET 0{lock}"

    def postgresql(self, params: Params) -> Sent:
        """As of a select; every value once and in order, so that all lock rows in the same one."""
        values = sorted(set(zip(*(params[name] for name in self._keys), strict=True)))
        lists = zip(*values, strict=True) if values else ([] for _ in self._keys)
        return super().postgresql({**params, **dict(zip(self._keys, map(list, lists), strict=True))})
