"""The event store: appends facts, and gives them back in order.

Positions rise in the order in which they become visible, so a reader that goes on from the last position it saw never
skips one. On SQLite there is one writer at a time. On Postgres writers take a lock just before they insert and keep
it until they commit; everything before the insert (reading the past, deciding) goes on side by side.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Connection, Select, func, select, text

from indexer import sql
from indexer.blanking import BLANK, blank
from indexer.clock import from_micros, to_micros
from indexer.errors import LogDamaged
from indexer.tables import EventRow, RecordRow, StreamRow, table
from indexer.text import ascii_json, read_json
from schemas.events import AnyEvent, DecisionRedacted, Recorded, WithRecord, event_data, read_event, server_name
from schemas.names import CrawlId, Position, RecordId, Revision, StreamId, record_id

EVENTS, RECORDS, STREAMS = table(EventRow), table(RecordRow), table(StreamRow)

PAGE_EVENTS = 2_000
PAGE_BYTES = 8 * 2**20
"""Readers get the log in pages of so many events, or of about so many characters of records where that is less."""

_APPEND_LOCK = 0x6D637001
_LAST = select(func.max(EVENTS.c.position))


class Write(NamedTuple):
    """An event and the stream it goes to; `valid` says whether its record is, where that was looked at already."""

    stream: StreamId
    event: AnyEvent
    valid: bool | None = None


class Appended(NamedTuple):
    """What was appended: the events, and about how many characters they take; `position` is the last of the log."""

    position: Position
    events: list[Recorded]
    size: int


def append(
    connection: Connection,
    writes: Sequence[Write],
    *,
    at: datetime,
    crawl: CrawlId | None = None,
    known: dict[StreamId, Revision] | None = None,
) -> Appended:
    """Appends events in their order, in the caller's transaction.

    `known` are the last revisions of streams, where the caller has read them already.
    """
    if writes and connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _APPEND_LOCK})
    position = last_position(connection)
    if not writes:
        return Appended(position, [], 0)
    streams = [write.stream for write in writes]
    revisions = (
        last_revisions(connection, streams) if known is None else {s: known.get(s, Revision(0)) for s in streams}
    )
    events: list[Recorded] = []
    for stream, event, valid in writes:
        position = Position(position + 1)
        revision = revisions[stream] = Revision(revisions[stream] + 1)
        events.append(Recorded(position, stream, revision, at, crawl, event, valid))
    rows, records = _rows(events)
    # The same record may come with its keys in another order. Which one stays must not depend on who was first.
    sql.insert_smaller_whole(connection, RECORDS, list(records.items()))
    sql.upsert_whole(connection, STREAMS, list(revisions.items()))
    sql.append(connection, EVENTS, rows)
    if redacted := [write.event.digest for write in writes if isinstance(write.event, DecisionRedacted)]:
        blank(connection, redacted)
    return Appended(position, events, sum([len(row[-1]) for row in rows]) + sum(map(len, records.values())))


def _rows(events: Sequence[Recorded]) -> tuple[list[sql.Row], dict[RecordId, str]]:
    """The rows of some events, and the texts of their raw records apart from them."""
    rows: list[sql.Row] = []
    records: dict[RecordId, str] = {}
    recorded_at = to_micros(events[0].recorded_at)  # they are appended at one time
    for position, stream, revision, _, crawl, event, _ in events:
        data, record = event_data(event), None
        if isinstance(event, WithRecord):
            record = record_id(server_name(event), event.digest)
            raw = ascii_json(data.pop("record"))
            kept = BLANK if data.pop("redacted") else raw  # which says it where it is read
            records[record] = min(kept, records.get(record, kept))
        rows.append((position, stream, revision, event.type, recorded_at, crawl, record, ascii_json(data)))
    return rows, records


def last_position(connection: Connection) -> Position:
    """The position of the last event; 0 for an empty log."""
    return Position(connection.scalar(_LAST) or 0)


def last_of(connection: Connection, stream: StreamId) -> Position:
    """The position of a stream's last event; 0 where it has none."""
    query = select(EVENTS.c.position).where(EVENTS.c.stream == stream).order_by(EVENTS.c.revision.desc()).limit(1)
    return Position(connection.scalar(query) or 0)


def last_revisions(connection: Connection, streams: Sequence[StreamId]) -> dict[StreamId, Revision]:
    """The last revision of each stream; 0 for one that has no events."""
    rows = connection.execute(select(STREAMS).where(STREAMS.c.stream.in_(set(streams))))
    return dict.fromkeys(streams, Revision(0)) | {row.stream: row.revision for row in rows}


def read_log(
    connection: Connection, after: int = 0, *, until: int | None = None, limit: int = PAGE_EVENTS
) -> list[Recorded]:
    """The next events after a position, up to and with `until`: at most `limit`, fewer where records are large.

    Raises LogDamaged where the next one cannot be read.
    """
    query = _SELECT.where(EVENTS.c.position > after).order_by(EVENTS.c.position).limit(limit)
    if until is not None:
        query = query.where(EVENTS.c.position <= until)
    found: list[Recorded] = []
    size = 0
    with connection.execute(query.execution_options(yield_per=200)) as rows:
        for row in rows:
            try:
                found.append(_recorded(*row))
            except LogDamaged:
                if not found:
                    raise
                break
            size += len(row.text or "") + len(row.data)
            if size > PAGE_BYTES:
                break
    return found


def read_positions(connection: Connection, positions: Select[tuple[int]] | CompoundSelect[Any]) -> Iterator[Recorded]:
    """The events at the positions that a query finds, in the order of the log."""
    query = _SELECT.where(EVENTS.c.position.in_(positions)).order_by(EVENTS.c.position)
    with connection.execute(query.execution_options(yield_per=100)) as rows:
        for row in rows:
            yield _recorded(*row)


_SELECT = select(
    EVENTS.c.position,
    EVENTS.c.stream,
    EVENTS.c.revision,
    EVENTS.c.type,
    EVENTS.c.recorded_at,
    EVENTS.c.crawl,
    EVENTS.c.data,
    RECORDS.c.text,
).outerjoin_from(EVENTS, RECORDS, EVENTS.c.record == RECORDS.c.id)


def _recorded(
    position: Position,
    stream: StreamId,
    revision: Revision,
    event_type: str,
    recorded_at: int,
    crawl: CrawlId | None,
    data: str,
    record: str | None,
) -> Recorded:
    """An event from its row, the columns as `_SELECT` has them."""
    try:
        fields = read_json(data)
        if record == BLANK:
            fields["redacted"] = True
        elif record is not None:
            fields["record"] = read_json(record)
        event = read_event(event_type, fields)
    except (ValueError, TypeError) as error:
        raise LogDamaged(position, str(error).splitlines()[0][:200]) from error
    return Recorded(position, stream, revision, from_micros(recorded_at), crawl, event)
