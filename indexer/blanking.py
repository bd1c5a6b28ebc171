"""Takes raw records out of the log, for good: their events stay, and so does the digest.

A blanked record is a row of `records` without text. So whoever reads it knows that it is not lost, and whoever appends
it again writes nothing over it.
"""

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from indexer import sql
from indexer.tables import EventRow, RecordRow, RedactionRow, StreamRow, table
from indexer.text import ascii_json, read_json
from schemas.names import Digest, Position

EVENTS, RECORDS, STREAMS = table(EventRow), table(RecordRow), table(StreamRow)
REDACTIONS = table(RedactionRow)

DIGEST: ColumnElement[str] = func.substr(RECORDS.c.id, func.length(RECORDS.c.id) - 63)
"""The digest of a kept record. No index has it: records are blanked rarely, and all are looked at then."""
BLANK = ""
"""The text of a record that was blanked; every other is JSON."""


def blank(connection: Connection, digests: Collection[Digest]) -> None:
    """Blanks some records wherever the log has their text, and wherever it is to get it."""
    sql.insert_missing(connection, REDACTIONS, [{"digest": one} for one in digests])
    wanted = set(digests)
    connection.execute(
        update(RECORDS).where(sql.among(connection.dialect.name, "digests", DIGEST)).values(text=BLANK),
        sql.given("digests", [(one,) for one in wanted]),
    )
    for position, data in [one for one in quarantined(connection) if one[1].get("digest") in wanted]:
        connection.execute(
            update(EVENTS)
            .where(EVENTS.c.position == position)
            .values(data=ascii_json({**data, "text": BLANK, "redacted": True}))
        )


def blanked(connection: Connection, digests: Collection[Digest]) -> set[Digest]:
    """Those of some records that were blanked."""
    if not digests:
        return set()
    return set(connection.scalars(_among(connection.dialect.name), sql.given("digests", [(one,) for one in digests])))


def quarantined(connection: Connection) -> Iterator[tuple[Position, dict[str, Any]]]:
    """The events that put records into quarantine: where each is in the log, and its data."""
    with connection.execute(_QUARANTINED.execution_options(yield_per=100)) as rows:
        for row in rows:
            yield row.position, _read(row.data)


def _read(data: str) -> dict[str, Any]:
    try:
        found = read_json(data)
    except ValueError:  # damaged; `verify` says so
        return {}
    return found if isinstance(found, dict) else {}


@cache
def _among(dialect: str) -> Select[Any]:
    return select(REDACTIONS.c.digest).where(sql.among(dialect, "digests", REDACTIONS.c.digest))


_QUARANTINED = select(EVENTS.c.position, EVENTS.c.data).where(
    EVENTS.c.stream.in_(select(STREAMS.c.stream).where(STREAMS.c.stream.startswith("crawls/"))),
    EVENTS.c.type == "record.quarantined",
)
