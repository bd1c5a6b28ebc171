"""Statements that both databases have, in their own dialects."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from sqlalchemy import (
    JSON,
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

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[Any, ...]
"""A whole row: a value for each of the table's columns, in their order."""
Rows = list[dict[str, Any]]
Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"
Build = Callable[[str, Table, tuple[str, ...]], Insert]

_PLACED = {"sqlite": ("SQLiteDialect", "qmark"), "postgresql": ("PGDialect", "format")}
"""The dialects, and how each driver takes parameters by their places."""


def append(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Inserts whole rows, none of whose keys may be there."""
    _many(connection, _insert, table, _all(table), rows)


def insert_missing(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts the rows whose key is not there yet; every row has the same columns."""
    if rows:
        columns, rows_ = _placed(table, rows)
        _many(connection, _insert_missing, table, columns, rows_)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, or replaces those with the same key; every row has the same columns."""
    if rows:
        columns, rows_ = _placed(table, rows)
        _many(connection, _upsert, table, columns, rows_)


def insert_missing_whole(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Inserts the whole rows whose key is not there yet."""
    _many(connection, _insert_missing, table, _all(table), rows)


def insert_smaller_whole(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Inserts whole rows of a key and a text; of a key that is there already the smaller text stays, by its bytes."""
    _many(connection, _insert_smaller, table, _all(table), rows)


def upsert_whole(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Inserts whole rows, or replaces those with the same key."""
    _many(connection, _upsert, table, _all(table), rows)


def _all(table: Table) -> tuple[str, ...]:
    return tuple(table.columns.keys())


def _placed(table: Table, rows: Rows) -> tuple[tuple[str, ...], list[Row]]:
    columns = tuple(name for name in table.columns.keys() if name in rows[0])  # noqa: SIM118 - its values are columns
    return columns, [tuple(row[name] for name in columns) for row in rows]


def _many(connection: Connection, build: Build, table: Table, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Hands rows to the driver as they are: our values need no conversion, and SQLAlchemy's costs more than SQLite."""
    if rows:
        connection.exec_driver_sql(_text(connection.dialect.name, build, table, columns), rows)
        if connection.dialect.name == "postgresql":
            # psycopg ends many rows with a message after which Postgres no longer looks how long we stand still.
            connection.exec_driver_sql("SELECT")


@cache
def _text(dialect: str, build: Build, table: Table, columns: tuple[str, ...]) -> str:
    """A statement as the driver reads it, its parameters in the order of the table's columns."""
    name, style = _PLACED[dialect]
    placed: Dialect = getattr(_dialect(dialect).base, name)(paramstyle=style)
    statement = build(dialect, table, columns).values({name: bindparam(name) for name in columns})
    return str(statement.compile(dialect=placed))


def _insert(dialect: str, table: Table, _: tuple[str, ...]) -> Insert:
    inserted: Insert = _dialect(dialect).insert(table)
    return inserted


def _dialect(name: str) -> Any:
    """SQLAlchemy's module for a database: that for the other one would take 26 ms and 2 MiB of each command's start."""
    return import_module(f"sqlalchemy.dialects.{name}")


def _insert_missing(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    return _insert(dialect, table, columns).on_conflict_do_nothing()


def _insert_smaller(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    statement = _insert(dialect, table, columns)
    key, value = columns
    new = statement.excluded[value]
    return statement.on_conflict_do_update(index_elements=[key], set_={value: new}, where=new < table.c[value])


def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    statement = _insert(dialect, table, columns)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def insert_selected(
    connection: Connection,
    table: Table,
    columns: list[str],
    rows: Select[Any],
    *,
    replace: list[str],
    parameters: dict[str, Any],
) -> None:
    """Inserts the rows that a query finds; of one whose key is there already only some columns are replaced."""
    statement = _insert(connection.dialect.name, table, ()).from_select(columns, rows)
    changed = {name: statement.excluded[name] for name in replace}
    key = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), parameters)


def among(dialect: str, name: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
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
    return {name: orjson.dumps(list(values)).decode()}
