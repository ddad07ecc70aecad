"""Statements of the hot path: written in SQLAlchemy Core, compiled once, run on the driver.

SQLAlchemy's execution layer costs more than the database for statements this small. A `Select` or
`Insert` here is compiled once per dialect to SQL text; a batch then runs it directly on the driver's
cursor. Many new rows travel as arrays (PostgreSQL: one statement) or as a parameter list (SQLite).
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Column, Table, Text, bindparam, literal_column
from sqlalchemy import Select as CoreSelect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Boolean

from tenure.store.pgtext import Decode, array_encoder, decoder, parameter

_POSTGRES = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy's
_NAMED = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy's
_SQLITE = sqlite.dialect(paramstyle="named")
_SQLITE.supports_native_boolean = True  # an IN is a condition by itself; "= 1" would hide the index

_ONE: ColumnElement[Any] = literal_column("1")

Params = Mapping[str, Any]
Row = tuple[Any, ...]


class Sent(NamedTuple):
    """One PostgreSQL statement with `$n` placeholders: text parameters, and how its columns come back."""

    sql: bytes
    params: Sequence[bytes | None] = ()
    decoders: Sequence[Decode] = ()


class AnyOf(ColumnElement[bool]):
    """`column` is one of the values in the list parameter `name`: constant SQL text for any length."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.name = name


@compiles(AnyOf, "postgresql")
def _any_of_postgresql(element: AnyOf, compiler: Any, **kw: Any) -> str:  # noqa: ANN401
    values = compiler.process(bindparam(element.name, type_=Text()), **kw).removesuffix("::VARCHAR")
    array = f"{values.removesuffix('::TEXT')}::{kind(element.column)}[]"
    return f"{compiler.process(element.column, **kw)} = ANY({array})"


@compiles(AnyOf, "sqlite")
def _any_of_sqlite(element: AnyOf, compiler: Any, **kw: Any) -> str:  # noqa: ANN401
    values = compiler.process(bindparam(element.name, type_=Text()), **kw)
    return f"{compiler.process(element.column, **kw)} IN (SELECT value FROM json_each({values}))"


class Select:
    """A statement that returns rows as plain tuples, in the order of its columns."""

    def __init__(self, statement: CoreSelect[Any] | ReturningUpdate[Any]) -> None:
        """An update is one that says which rows it touched: a compare-and-set."""
        self._statement = statement

    @cached_property
    def _compiled(self) -> tuple[bytes, list[str], list[Decode]]:
        compiled = self._statement.compile(dialect=_POSTGRES)
        decoders = [decoder(column.type) for column in self._statement.exported_columns]
        return str(compiled).encode(), list(compiled.positiontup or ()), decoders

    def postgresql(self, params: Params) -> Sent:
        """SQL with `$n` placeholders, the parameters in their order, and how the columns come back."""
        sql, order, decoders = self._compiled
        return Sent(sql, [parameter(params[name]) for name in order], decoders)

    @cached_property
    def sqlite(self) -> str:
        """SQL text with `:name` parameters; row locks do not exist there and are left out."""
        return str(self._statement.compile(dialect=_SQLITE))


def at_most(query: CoreSelect[Any], limit: ColumnElement[Any] = _ONE) -> CoreSelect[Any]:
    """The query's first rows. For SQLite, SQLAlchemy makes a parameter of an offset that is not given."""
    return query.limit(limit).offset(literal_column("0"))


def sqlite_params(params: Params) -> dict[str, Any]:
    """Lists become JSON texts, which is what `json_each` reads."""
    return {name: json.dumps(value) if isinstance(value, list) else value for name, value in params.items()}


FEW = 4
"""So many rows go one by one: up to there that costs PostgreSQL less than taking arrays apart."""


class Insert:
    """Rows into one table. A row that exists fails the statement, unless told else."""

    def __init__(self, table: Table, *, ignore_existing: bool = False, replace: Sequence[str] = ()) -> None:
        self._table = table
        self._columns: list[Column[Any]] = list(table.columns)
        self._tail = " ON CONFLICT DO NOTHING" if ignore_existing else ""
        if replace:
            key = ", ".join(column.name for column in table.primary_key)
            sets = ", ".join(f"{name} = excluded.{name}" for name in replace)
            self._tail = f" ON CONFLICT ({key}) DO UPDATE SET {sets}"
        self._encoders = [(column.name, array_encoder(column)) for column in self._columns]

    @cached_property
    def _many(self) -> bytes:
        names = ", ".join(column.name for column in self._columns)
        arrays = ", ".join(_arrays(self._columns))
        return f"INSERT INTO {self._table.name} ({names}) SELECT * FROM unnest({arrays}){self._tail}".encode()

    @cached_property
    def _one(self) -> bytes:
        names = ", ".join(column.name for column in self._columns)
        values = ", ".join(_values(self._columns))
        return f"INSERT INTO {self._table.name} ({names}) VALUES ({values}){self._tail}".encode()

    def postgresql(self, rows: Sequence[Params]) -> list[Sent]:
        """Few rows: a statement for each. Many: one with an array for each column.

        What a row leaves out is null.
        """
        if len(rows) <= FEW:
            return [Sent(self._one, [parameter(row.get(name)) for name, _ in self._encoders]) for row in rows]
        arrays = [encode([row.get(name) for row in rows]) for name, encode in self._encoders]
        return [Sent(self._many, arrays)]

    @cached_property
    def sqlite(self) -> str:
        """One named parameter per column."""
        names = ", ".join(column.name for column in self._columns)
        values = ", ".join(f":{column.name}" for column in self._columns)
        return f"INSERT INTO {self._table.name} ({names}) VALUES ({values}){self._tail}"

    def rows(self, rows: Sequence[Params]) -> list[dict[str, Any]]:
        """Rows completed with nulls for the columns they leave out."""
        return [{column.name: row.get(column.name) for column in self._columns} for row in rows]


class InsertFound(Insert):
    """Many rows, each with one value looked up in another table of the tenant, in the same statement.

    `into` of the table becomes `value` of the row that has the given `by`; a row that finds none is left out.
    """

    def __init__(self, table: Table, *, into: str, value: Column[Any], by: Column[Any]) -> None:
        super().__init__(table)
        self._into, self._value, self._by = into, value, by
        self._given = [by if column.name == into else column for column in table.columns]
        self._encoders = [(column.name, array_encoder(column)) for column in self._given]

    def _insert(self, given: str, source: str, condition: str) -> str:
        names = ", ".join(column.name for column in self._columns)
        values = ", ".join(
            f"f.{self._value.name}" if column.name == self._into else f"{given}{column.name}"
            for column in self._columns
        )
        return f"INSERT INTO {self._table.name} ({names}) SELECT {values} FROM {source} {condition}"

    @cached_property
    def _many(self) -> bytes:
        return self._found(f"unnest({', '.join(_arrays(self._given))})")

    @cached_property
    def _one(self) -> bytes:
        return self._found(f"(VALUES ({', '.join(_values(self._given))}))")

    def _found(self, source: str) -> bytes:
        names = ", ".join(column.name for column in self._given)
        by, value, table = self._by.name, self._value.name, self._value.table.name
        where = f"f.tenant_id = u.tenant_id AND f.{by} = u.{by}"
        fenced = f"CROSS JOIN LATERAL (SELECT {value} FROM {table} AS f WHERE {where} OFFSET 0) AS f"
        return self._insert("u.", f"{source} AS u({names})", fenced).encode()

    @cached_property
    def sqlite(self) -> str:
        """One named parameter per given column."""
        by = self._by.name
        condition = f"WHERE f.tenant_id = :tenant_id AND f.{by} = :{by}"
        return self._insert(":", f"{self._value.table.name} AS f", condition)

    def rows(self, rows: Sequence[Params]) -> list[dict[str, Any]]:
        """Rows as the driver takes them."""
        return [dict(row) for row in rows]


class Add(Insert):
    """Amounts added to rows by their key; a row that is not there yet begins with its amount.

    Rows of one key are summed before they are sent: PostgreSQL adds to a row only once in a statement.
    """

    def __init__(self, table: Table, *, amounts: Sequence[str]) -> None:
        super().__init__(table)
        self._key = [column.name for column in table.primary_key]
        self._amounts = list(amounts)
        sets = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in amounts)
        self._tail = f" ON CONFLICT ({', '.join(self._key)}) DO UPDATE SET {sets}"

    def postgresql(self, rows: Sequence[Params]) -> list[Sent]:
        """As of an insert, each key once."""
        return super().postgresql(self.rows(rows))

    def rows(self, rows: Sequence[Params]) -> list[dict[str, Any]]:
        """The sums, by key: whoever adds to several rows locks them in the same order."""
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            key = tuple(row[name] for name in self._key)
            if (known := sums.get(key)) is None:
                sums[key] = dict(row)
            else:
                for name in self._amounts:
                    known[name] += row[name]
        return [sums[key] for key in sorted(sums)]


class Update:
    """Rows of one table, each found by its key columns and in a statement of its own.

    Joined with many rows at once, PostgreSQL may read all rows of the tenant (see `lookups`).
    """

    def __init__(self, table: Table, *, key: Sequence[str], values: Sequence[str]) -> None:
        self._table = table
        self._key = list(key)
        self._values = list(values)

    @cached_property
    def _sql(self) -> bytes:
        names = [*self._key, *self._values]
        given = dict(zip(names, _values([self._table.columns[name] for name in names]), strict=True))
        sets = ", ".join(f"{name} = {given[name]}" for name in self._values)
        where = " AND ".join(f"{name} = {given[name]}" for name in self._key)
        return f"UPDATE {self._table.name} SET {sets} WHERE {where}".encode()

    def postgresql(self, rows: Sequence[Params]) -> list[Sent]:
        """A statement for each key, in order, so that all lock rows in the same one. The last row holds."""
        last = {tuple(row[name] for name in self._key): row for row in rows}
        return [
            Sent(self._sql, [*map(parameter, key), *(parameter(last[key][name]) for name in self._values)])
            for key in sorted(last)
        ]

    @cached_property
    def sqlite(self) -> str:
        """One named parameter per column."""
        sets = ", ".join(f"{name} = :{name}" for name in self._values)
        where = " AND ".join(f"{name} = :{name}" for name in self._key)
        return f"UPDATE {self._table.name} SET {sets} WHERE {where}"

    def rows(self, rows: Sequence[Params]) -> list[dict[str, Any]]:
        """Rows as the driver takes them."""
        return [dict(row) for row in rows]


def _arrays(columns: Sequence[ColumnElement[Any]]) -> list[str]:
    """`$n::type[]` for each column."""
    return [f"${place}::{kind(column)}[]" for place, column in enumerate(columns, 1)]


def _values(columns: Sequence[ColumnElement[Any]]) -> list[str]:
    """`$n::type` for each column."""
    return [f"${place}::{kind(column)}" for place, column in enumerate(columns, 1)]


def kind(column: ColumnElement[Any]) -> str:
    """A column's type on PostgreSQL."""
    return column.type.compile(dialect=_POSTGRES).split(" ")[0]


def named(element: ColumnElement[Any]) -> str:
    """An expression as PostgreSQL's SQL text, with `%(name)s` parameters."""
    return str(element.compile(dialect=_NAMED))
