"""Statements that both databases have, in their own dialects."""

import json
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

Rows = list[dict[str, Any]]
Insert = sqlite.Insert | postgresql.Insert
Build = Callable[[str, Table, tuple[str, ...]], Insert]

_NAMED: dict[str, tuple[Any, str]] = {"sqlite": (SQLiteDialect, "named"), "postgresql": (PGDialect, "pyformat")}
"""The dialects, and how each driver takes parameters by their names."""


def append(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, none of whose keys may be there; every row has the same columns."""
    _many(connection, _insert, table, rows)


def insert_missing(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts the rows whose key is not there yet; every row has the same columns."""
    _many(connection, _insert_missing, table, rows)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, or replaces those with the same key; every row has the same columns."""
    _many(connection, _upsert, table, rows)


def _many(connection: Connection, build: Build, table: Table, rows: Rows) -> None:
    """Hands rows to the driver as they are: our values need no conversion, and SQLAlchemy's costs more than SQLite."""
    if rows:
        connection.exec_driver_sql(_text(connection.dialect.name, build, table, tuple(rows[0])), rows)


@cache
def _text(dialect: str, build: Build, table: Table, columns: tuple[str, ...]) -> str:
    """A statement as the driver reads it, its parameters by the columns' names."""
    untyped, style = _NAMED[dialect]
    named: Dialect = untyped(paramstyle=style)
    statement = build(dialect, table, columns).values({name: bindparam(name) for name in columns})
    return str(statement.compile(dialect=named))


def _insert(dialect: str, table: Table, _: tuple[str, ...]) -> Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _insert_missing(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    return _insert(dialect, table, columns).on_conflict_do_nothing()


def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    statement = _insert(dialect, table, columns)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def among(dialect: str, name: str, *columns: Column[Any]) -> ColumnElement[bool]:
    """Whether a row's columns are among some values, handed over as `given(name, values)`: one statement and one plan,
    however many there are.
    """
    handed = bindparam(name, type_=Text)
    picked: Select[Any]
    if dialect == "postgresql":
        row: ColumnElement[Any] = func.json_array_elements(cast(handed, JSON)).column_valued("given")
        picked = select(*(row.op("->>")(literal_column(str(i))) for i in range(len(columns))))
    else:
        each = func.json_each(handed).table_valued("value")
        picked = select(*(func.json_extract(each.c.value, f"$[{i}]") for i in range(len(columns))))
    return tuple_(*columns).in_(picked) if len(columns) > 1 else columns[0].in_(picked)


def given(name: str, values: Collection[Sequence[str]]) -> dict[str, str]:
    """The parameter of an `among` of that name."""
    return {name: json.dumps(list(values))}
