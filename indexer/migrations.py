"""Ordered changes to the tables. Views are rebuilt, never migrated.

A change is a function appended to `MIGRATIONS`; what is in the list stays as it is.
"""

from collections.abc import Callable

from sqlalchemy import Connection, delete, func, insert, inspect, select, text
from sqlmodel import SQLModel

from indexer.database import Database
from indexer.errors import StoreTooNew
from indexer.tables import (
    CatalogueEntryRow,
    CatalogueListingRow,
    CatalogueSourceRow,
    CatalogueVersionRow,
    CheckpointRow,
    SchemaVersionRow,
    table,
)

_LOCK = 0x6D637000


def _create(connection: Connection) -> None:
    SQLModel.metadata.create_all(connection)


def _add_walk_to_quarantine(connection: Connection) -> None:
    if "walk" not in {column["name"] for column in inspect(connection).get_columns("quarantine")}:
        connection.execute(text("ALTER TABLE quarantine ADD COLUMN walk BIGINT NOT NULL DEFAULT 0"))


def _views_anew(connection: Connection) -> None:
    """Views are rebuilt: the next command fills them from the log."""
    for view in (CatalogueSourceRow, CatalogueVersionRow, CatalogueListingRow, CatalogueEntryRow):
        table(view).drop(connection, checkfirst=True)
    connection.execute(delete(table(CheckpointRow)).where(table(CheckpointRow).c.name.like("catalogue%")))
    _create(connection)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create,
    _add_walk_to_quarantine,
    _create,
    _views_anew,
    _create,
    _views_anew,
    _views_anew,
    _views_anew,
)
"""Tables that are new since the first time are made by making those that are not there."""


def migrate(database: Database) -> None:
    """Brings the tables to this program's version, in one transaction. Raises StoreTooNew where they are ahead."""
    versions = table(SchemaVersionRow)
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        there = inspect(connection).has_table(versions.name)
        done = (connection.scalar(select(func.max(versions.c.version))) or 0) if there else 0
        if done > len(MIGRATIONS):
            raise StoreTooNew(
                f"The database {database.shown} was written by a newer mcp-indexer (its tables are at version {done}, "
                f"this program knows {len(MIGRATIONS)}); run the newer program, nothing was changed."
            )
        for number, change in enumerate(MIGRATIONS[done:], start=done + 1):
            change(connection)
            connection.execute(insert(versions), {"version": number})
