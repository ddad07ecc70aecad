"""Reads of one table, as statements that are made once for each shape and run on the driver.

Making a statement, and the key under which its text is cached, costs a multiple of running it. An inspection
asks the same few questions of every page: what differs between them are parameters.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, bindparam, not_, select, tuple_
from sqlalchemy import Select as CoreSelect

from tenure.store.statements import AnyOf, Params, Select, at_most
from tenure.store.wire import Question

_SEVERAL = (set, frozenset, list, tuple)
Names = tuple[str, ...]


def own(table: Table) -> list[Column[Any]]:
    """A table's columns without the tenant."""
    return [column for column in table.c if column.name != "tenant_id"]


@cache
def names(table: Table) -> Names:
    """Their names."""
    return tuple(column.name for column in own(table))


@cache
def key_columns(table: Table) -> list[Column[Any]]:
    """The columns of the primary key, without the tenant."""
    return [column for column in table.primary_key.columns if column.name != "tenant_id"]


def page(table: Table, after: tuple[Any, ...] | None, limit: int) -> Question:
    """Rows behind a key, in its order."""
    if after is None:
        return _page(table, behind=False), {"limit": limit}
    given = {f"after_{at}": value for at, value in enumerate(after)}
    return _page(table, behind=True), {**given, "limit": limit}


def where(table: Table, columns: Params, but: Params, limit: int | None) -> Question:
    """Rows whose columns have these values (one of them, of several), and none of those of `but`."""
    several = tuple(name for name, value in columns.items() if isinstance(value, _SEVERAL))
    null = tuple(name for name, value in columns.items() if value is None)
    one = tuple(name for name in columns if name not in several and name not in null)
    given: dict[str, Any] = {name: columns[name] for name in one}
    given |= {name: known(columns[name]) for name in several}
    given |= {f"not_{name}": known(values) for name, values in but.items()}
    if limit is not None:
        given["limit"] = limit
    return _where(table, (one, several, null, tuple(but)), limited=limit is not None), given


def known(values: Any) -> list[Any]:  # noqa: ANN401 - any collection
    """Values as a list parameter; nothing is ever equal to null."""
    return [value for value in values if value is not None]


def mine(table: Table) -> ColumnElement[bool]:
    """Whether a row is the tenant's."""
    return table.c.tenant_id == bindparam("tenant_id")


def as_rows(table: Table, found: list[tuple[Any, ...]]) -> list[Mapping[str, Any]]:
    """Tuples by column name."""
    columns = names(table)
    return [dict(zip(columns, row, strict=True)) for row in found]


@cache
def _page(table: Table, *, behind: bool) -> Select:
    key = key_columns(table)
    query = _rows(table)
    if behind:
        here = [bindparam(f"after_{at}", type_=column.type) for at, column in enumerate(key)]
        query = query.where(tuple_(*key) > tuple_(*here))
    return Select(at_most(query, bindparam("limit")))


@cache
def _where(table: Table, shape: tuple[Names, Names, Names, Names], *, limited: bool) -> Select:
    one, several, null, but = shape
    query = _rows(table).where(
        *(table.c[name] == bindparam(name) for name in one),
        *(AnyOf(table.c[name], name) for name in several),
        *(table.c[name].is_(None) for name in null),
        *(not_(AnyOf(table.c[name], f"not_{name}")) for name in but),
    )
    return Select(at_most(query, bindparam("limit")) if limited else query)


def _rows(table: Table) -> CoreSelect[Any]:
    return select(*own(table)).where(mine(table)).order_by(*key_columns(table))
