"""Statements that both databases have, in their own dialects."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, Select, Table, Text, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[Mapping[str, Any]]


def insert_missing(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts the rows whose key is not there yet."""
    if rows:
        connection.execute(_insert(connection.dialect.name, table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, or replaces those with the same key; every row has the same columns."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), rows)


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    statement = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def among(
    connection: Connection, columns: Sequence[Column[Any]], values: Sequence[Sequence[str]]
) -> ColumnElement[bool]:
    """Whether a row's columns are among some values at hand: one statement and one plan, however many there are."""
    picked: Select[Any]
    if connection.dialect.name == "postgresql":
        arrays = [[value[i] for value in values] for i in range(len(columns))]
        names = [column.name for column in columns]
        each = func.unnest(*(bindparam(None, array, type_=ARRAY(Text), unique=True) for array in arrays))
        picked = select(*each.table_valued(*names).render_derived().c)
    else:
        given = func.json_each(bindparam(None, json.dumps(values), type_=Text, unique=True)).table_valued("value")
        picked = select(*(func.json_extract(given.c.value, f"$[{i}]") for i in range(len(columns))))
    return tuple_(*columns).in_(picked) if len(columns) > 1 else columns[0].in_(picked)


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
