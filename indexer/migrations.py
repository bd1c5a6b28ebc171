"""Ordered changes to the tables. Views are rebuilt, never migrated.

A change is a function appended to `MIGRATIONS`; what is in the list stays as it is.
"""

from collections.abc import Callable
from typing import Any

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
from indexer.text import read_json
from schemas.names import Digest, ServerName, record_id

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


def _records_by_name(connection: Connection) -> None:
    """Records are kept by the beginning of their servers' names and their digests, and were by their digests alone."""
    if "digest" in {column["name"] for column in inspect(connection).get_columns("records")}:
        connection.execute(text("ALTER TABLE records RENAME TO records_by_digest"))
        _create(connection)
        after = 0
        while rows := connection.execute(_RECORDED, {"after": after}).all():
            moved = [{"position": at, "id": _record_id(digest, data), "digest": digest} for at, digest, data in rows]
            connection.execute(_MOVE_RECORD, moved)
            connection.execute(_REFER_TO_RECORD, moved)
            after = rows[-1].position
        connection.execute(text("DROP TABLE records_by_digest"))
    _views_anew(connection)


_RECORDED = text(
    "SELECT position, record, data FROM events WHERE position > :after AND record IS NOT NULL"
    " ORDER BY position LIMIT 1000"
)
_MOVE_RECORD = text(
    "INSERT INTO records (id, text) SELECT :id, text FROM records_by_digest WHERE digest = :digest"
    " ON CONFLICT DO NOTHING"
)
_REFER_TO_RECORD = text("UPDATE events SET record = :id WHERE position = :position")


def _record_id(digest: str, data: str) -> str:
    """By what an event's record is kept; by its digest alone where the event is damaged."""
    try:
        event = read_json(data)
        told = [event.get("name"), event.get("key")]
    except (ValueError, AttributeError):
        told = list[Any]()
    name = next((one for one in told if isinstance(one, str) and one), "")
    return record_id(ServerName(name), Digest(digest))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create,
    _add_walk_to_quarantine,
    _create,
    _views_anew,
    _create,
    _views_anew,
    _views_anew,
    _views_anew,
    _records_by_name,
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
