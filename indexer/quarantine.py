"""Records that cannot be identified: kept raw, with the reason, until their source mended them or lists them no more.

What has no name has no listing that it could come back as. So a record is let go when a complete walk no longer meets
it; what its source mended is met as a listing. Which walk met it last is working state beside the log.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from indexer.blanking import BLANK, blanked
from indexer.clock import to_micros
from indexer.sql import among, given, insert_missing
from indexer.store import Appended, Write, read_positions
from indexer.tables import QuarantineRow, table
from indexer.text import ascii_json, canonical, digest, read_json
from schemas.events import Recorded, RecordQuarantined, RecordReleased
from schemas.names import Digest, SourceName, crawls_stream
from schemas.observations import Page, Unidentified

QUARANTINE = table(QuarantineRow)
KEPT = 64 * 2**10
"""Characters of a record that cannot be identified which the log keeps."""


def unidentified(page: Page) -> dict[Digest, Unidentified]:
    """A page's records that cannot be identified, each once."""
    return {
        digest(one.record) if one.whole is None else one.whole.digest: one
        for one in page.records
        if isinstance(one, Unidentified)
    }


def meet(
    connection: Connection, source: SourceName, found: Mapping[Digest, Unidentified], *, walk: datetime
) -> list[Write]:
    """Notes that a walk met some records; gives the events of those that are not in quarantine yet."""
    if not found:
        return []
    met = among(connection.dialect.name, "digests", QUARANTINE.c.digest)
    known = set(
        connection.scalars(
            update(QUARANTINE)
            .where(QUARANTINE.c.source == source, met)
            .values(walk=to_micros(walk))
            .returning(QUARANTINE.c.digest),
            given("digests", [(one,) for one in found]),
        )
    )
    new = [key for key in found if key not in known]
    redacted = blanked(connection, new)
    events = (_quarantined(source, key, found[key], redacted=key in redacted) for key in new)
    return [Write(crawls_stream(source), event) for event in events]


def keep(connection: Connection, appended: Appended, *, walk: datetime) -> None:
    """Keeps what was just put into quarantine, by the positions of its events."""
    rows = [
        {"source": one.event.source, "digest": one.event.digest, "position": one.position, "walk": to_micros(walk)}
        for one in appended.events
        if isinstance(one.event, RecordQuarantined)
    ]
    insert_missing(connection, QUARANTINE, rows)


def let_go_unmet(connection: Connection, source: SourceName, *, walk: datetime) -> list[Write]:
    """Takes out of quarantine what a complete walk did not meet; gives the events that say so."""
    unmet = select(QUARANTINE.c.digest).where(QUARANTINE.c.source == source, QUARANTINE.c.walk != to_micros(walk))
    return let_go(connection, source, list(connection.scalars(unmet.order_by(QUARANTINE.c.position))))


def let_go(connection: Connection, source: SourceName, digests: Collection[Digest]) -> list[Write]:
    """Takes records out of quarantine; gives the events that say so."""
    if not digests:
        return []
    gone = among(connection.dialect.name, "digests", QUARANTINE.c.digest)
    connection.execute(
        delete(QUARANTINE).where(QUARANTINE.c.source == source, gone), given("digests", [(one,) for one in digests])
    )
    return [Write(crawls_stream(source), RecordReleased(source=source, digest=one)) for one in digests]


def waiting(connection: Connection, source: SourceName | None = None) -> Iterator[Recorded]:
    """The events of what is in quarantine, of one source or of all, in the order of the log."""
    positions = select(QUARANTINE.c.position)
    return read_positions(connection, positions if source is None else positions.where(QUARANTINE.c.source == source))


def raw(event: RecordQuarantined) -> Any:
    """What a source wrote. Raises ValueError where the log keeps only its beginning, or nothing any more."""
    return read_json(event.text)


def _quarantined(source: SourceName, of_record: Digest, one: Unidentified, *, redacted: bool) -> RecordQuarantined:
    return RecordQuarantined(
        source=source,
        digest=of_record,
        reason=one.reason,
        size=len(canonical(one.item)) if one.whole is None else one.whole.size,
        text=BLANK if redacted else (ascii_json(one.item) if one.whole is None else one.item)[:KEPT],
        redacted=redacted,
        key=None if one.version_of is None else one.version_of[0],
        version=None if one.version_of is None else one.version_of[1],
    )
