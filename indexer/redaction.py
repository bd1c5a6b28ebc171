"""A person's word that records have to go: blanked in the log, by an event that outlives every rebuild."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select, text, true

from indexer.blanking import REDACTIONS, blanked, quarantined
from indexer.errors import NotFound
from indexer.store import EVENTS, RECORDS, Write, append, last_position, read_positions
from indexer.text import ascii_json
from indexer.versions import server_name
from schemas.events import DecisionRedacted, ListingEvent, Recorded
from schemas.names import Digest, Position, ServerName, decisions_stream

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was meant, which of it is blank only now, and the log's end after that."""

    digests: list[Digest]
    new: list[Digest]
    position: Position


def redact(connection: Connection, wanted: ServerName, *, reason: str, at: datetime) -> Redaction:
    """Blanks one record by its digest, or all that any source ever showed of a server; in the caller's transaction.

    Raises NotFound where there is no such record.
    """
    _wait_for_pages(connection)
    by_digest = _DIGEST.fullmatch(wanted) is not None
    digests = _recorded(connection, Digest(wanted)) if by_digest else _of_server(connection, wanted)
    if not digests:
        raise NotFound(
            f"No record has the digest {wanted}; `mcp-indexer history NAME --json` shows those of a server."
            if by_digest
            else f"No source ever listed a server named {wanted!r}; `mcp-indexer search` finds names by words."
        )
    before = blanked(connection, digests)
    new = [one for one in digests if one not in before]
    name = None if by_digest else wanted
    events = [DecisionRedacted(digest=one, name=name, reason=reason) for one in new]
    append(connection, [Write(decisions_stream(), event) for event in events], at=at)
    return Redaction(digests, new, last_position(connection))


def _wait_for_pages(connection: Connection) -> None:
    """Lets the pages end that are being recorded, and none begin: each knows from its beginning what is blank."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE crawl_state IN EXCLUSIVE MODE"))


def _recorded(connection: Connection, digest: Digest) -> list[Digest]:
    """The digest, where the log has a record of it."""
    for rows in (RECORDS, REDACTIONS):
        if connection.scalar(select(rows.c.digest).where(rows.c.digest == digest)) is not None:
            return [digest]
    return [digest] if any(quarantined(connection, [digest])) else []


def _of_server(connection: Connection, name: ServerName) -> list[Digest]:
    """The digests of all records by which any source ever listed a server, read from the log itself."""
    positions = select(EVENTS.c.position).where(
        EVENTS.c.record.is_not(None), or_(EVENTS.c.stream.endswith(f"/{name}", autoescape=True), _tells(name))
    )
    return list(dict.fromkeys(_digests(read_positions(connection, positions), name)))


def _digests(found: Iterable[Recorded], name: ServerName) -> Iterator[Digest]:
    for recorded in found:
        if isinstance(recorded.event, ListingEvent) and server_name(recorded.event) == name:
            yield recorded.event.digest


def _tells(name: ServerName) -> ColumnElement[bool]:
    """Whether an event's data has a name in it; any may, where the name is kept in escapes that the data has not."""
    return true() if "\u241b" in name else EVENTS.c.data.contains(ascii_json(name), autoescape=True)
