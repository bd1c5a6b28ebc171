"""A person's word that records have to go: blanked in the log, by an event that outlives every rebuild."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select, text, true

from indexer.blanking import blanked, quarantined
from indexer.errors import NotFound
from indexer.store import EVENTS, Write, append, last_position, read_positions
from indexer.text import ascii_json
from schemas.events import DecisionRedacted, ListingEvent, server_name
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
    found = _recorded(connection, Digest(wanted)) if by_digest else _of_server(connection, wanted)
    if not found:
        raise NotFound(
            f"No record has the digest {wanted}; `mcp-indexer history NAME --json` shows those of a server."
            if by_digest
            else f"No source ever listed a server named {wanted!r}; `mcp-indexer search` finds names by words."
        )
    before = blanked(connection, found)
    new = [one for one in found if one not in before]
    events = [DecisionRedacted(digest=one, name=found[one], reason=reason) for one in new]
    append(connection, [Write(decisions_stream(), event) for event in events], at=at)
    return Redaction(list(found), new, last_position(connection))


def _wait_for_pages(connection: Connection) -> None:
    """Lets the pages end that are being recorded, and none begin: each knows from its beginning what is blank."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE crawl_state IN EXCLUSIVE MODE"))


def _recorded(connection: Connection, digest: Digest) -> dict[Digest, ServerName | None]:
    """The digest, where the log has a record of it, with the server's name where a source listed it as one."""
    listed = select(EVENTS.c.position).where(EVENTS.c.record.endswith(digest)).limit(1)
    for recorded in read_positions(connection, listed):
        assert isinstance(recorded.event, ListingEvent), "only those carry a record"
        return {digest: server_name(recorded.event)}
    return {digest: None} if any(data.get("digest") == digest for _, data in quarantined(connection)) else {}


def _of_server(connection: Connection, name: ServerName) -> dict[Digest, ServerName | None]:
    """The digests of all records by which any source ever listed a server, read from the log itself."""
    positions = select(EVENTS.c.position).where(
        EVENTS.c.record.is_not(None), or_(EVENTS.c.stream.endswith(f"/{name}", autoescape=True), _tells(name))
    )
    events = (recorded.event for recorded in read_positions(connection, positions))
    listed = [one for one in events if isinstance(one, ListingEvent) and server_name(one) == name]
    keys = {name, *(one.key for one in listed)}  # of what was too large to be listed, too
    apart = [Digest(data["digest"]) for _, data in quarantined(connection) if data.get("key") in keys]
    return dict.fromkeys([*(one.digest for one in listed), *apart], name)


def _tells(name: ServerName) -> ColumnElement[bool]:
    """Whether an event's data has a name in it; any may, where the name is kept in escapes that the data has not."""
    return true() if "\u241b" in name else EVENTS.c.data.contains(ascii_json(name), autoescape=True)
