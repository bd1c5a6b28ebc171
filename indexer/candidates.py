"""Versions that a complete walk did not see: candidates for withdrawal, until a second look.

Absence is not deletion. A source that lists in order is compared page by page: what is held between the ends of two
pages and was not on the second is a candidate. Of any other source a walk notes what it sees, and compares once at its
end. A candidate is withdrawn when the source, asked for it by itself, has it no more; where it cannot tell, when the
next complete walk does not see it either. What is seen again is no candidate any more.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    false,
    func,
    literal,
    select,
    tuple_,
    update,
)

from indexer.held import HELD, ListingSlot, Span
from indexer.listing import DELETED
from indexer.sql import among, given, insert_missing, insert_selected
from indexer.store import EVENTS, STREAMS, Write
from indexer.tables import CandidateRow, SeenRow, table
from indexer.text import read_json
from schemas.events import ListingWithdrawn
from schemas.names import ListingKey, SourceName, listing_stream, read_slot

CANDIDATES, SEEN = table(CandidateRow), table(SeenRow)


def listed(connection: Connection, source: SourceName, *, deleted: bool) -> int:
    """How many versions of a source are held and not withdrawn, `deleted` ones among them or not."""
    return connection.scalar(select(func.count()).select_from(HELD).where(_listed(source, deleted=deleted))) or 0


def forget_unfinished(connection: Connection, source: SourceName, *, complete: int) -> None:
    """Forgets what complete walks noted that were never completed; `complete` is the last one that was."""
    _forget(connection, source, CANDIDATES.c.first_walk > complete)
    connection.execute(delete(SEEN).where(SEEN.c.source == source))


def note_seen(connection: Connection, source: SourceName, places: Iterable[ListingSlot]) -> None:
    """Notes what a walk saw of a source that lists in no order that we know."""
    insert_missing(connection, SEEN, [{"source": source, "key": key, "slot": slot} for key, slot in places])


def keep_unseen(
    connection: Connection,
    source: SourceName,
    span: Span,
    places: Collection[ListingSlot],
    *,
    walk: int,
    deleted: bool,
) -> None:
    """Makes candidates of what is held in a span, and is not among the places that a page showed there; `deleted`
    versions among them or not.
    """
    shown = among(connection.dialect.name, "places", HELD.c.key, HELD.c.slot)
    unseen = _listed_in(source, span, deleted=deleted).where(~shown)
    _keep(connection, unseen, walk, given("places", list(places)))


def keep_unnoted(connection: Connection, source: SourceName, *, walk: int, deleted: bool) -> None:
    """Makes candidates of what is held and was not noted by a walk that is at its end; `deleted` versions among them
    or not.
    """
    noted = select(literal(1)).where(SEEN.c.source == source, SEEN.c.key == HELD.c.key, SEEN.c.slot == HELD.c.slot)
    _keep(connection, select(HELD).where(_listed(source, deleted=deleted), ~noted.exists()), walk, {})
    connection.execute(delete(SEEN).where(SEEN.c.source == source))


def forget_seen(connection: Connection, source: SourceName, places: Collection[ListingSlot]) -> None:
    """What a page showed, or the source told of by itself, is no candidate any more."""
    one_of = among(connection.dialect.name, "places", CANDIDATES.c.key, CANDIDATES.c.slot)
    _forget(connection, source, one_of, given("places", list(places)))


def end_walk(connection: Connection, source: SourceName, *, walk: int, complete: int) -> tuple[int, int]:
    """How many versions a walk did not see that is at its end, and how many of them the complete walk before it did not
    see either. The others are forgotten.
    """
    _forget(connection, source, CANDIDATES.c.walk != walk)
    twice = func.sum(case((CANDIDATES.c.first_walk <= complete, 1), else_=0))
    row = connection.execute(select(func.count(), twice).where(CANDIDATES.c.source == source)).one()
    return row[0], int(row[1] or 0)


def any_left(connection: Connection, source: SourceName) -> bool:
    """Whether a source has candidates."""
    return connection.scalar(select(CANDIDATES.c.key).where(CANDIDATES.c.source == source).limit(1)) is not None


def confirmed(connection: Connection, source: SourceName, *, complete: int, limit: int) -> list[ListingSlot]:
    """Candidates of complete walks up to one."""
    return _places(connection, source, CANDIDATES.c.first_walk <= complete, limit)


def to_ask_for(connection: Connection, source: SourceName, *, complete: int) -> ListingSlot | None:
    """A candidate that came after the last complete walk, and that the source was not asked for yet."""
    found = _places(connection, source, and_(CANDIDATES.c.first_walk > complete, CANDIDATES.c.asked.is_(False)), 1)
    return found[0] if found else None


def cannot_tell(connection: Connection, source: SourceName, place: ListingSlot) -> None:
    """The source was asked for a candidate, and cannot tell: it waits for the next complete walk."""
    one = and_(CANDIDATES.c.source == source, CANDIDATES.c.key == place[0], CANDIDATES.c.slot == place[1])
    connection.execute(update(CANDIDATES).where(one).values(asked=True))


def surely_there(connection: Connection, source: SourceName, *, deleted: bool) -> ListingSlot | None:
    """A version that is listed, a `deleted` one or not, and no candidate: who does not have that one when asked for it
    cannot be asked. One that has an address of its own everywhere, if there is any.
    """
    doubtful = select(literal(1)).where(
        CANDIDATES.c.source == source, CANDIDATES.c.key == HELD.c.key, CANDIDATES.c.slot == HELD.c.slot
    )
    there = and_(_listed(source, deleted=deleted), HELD.c.slot != "", ~doubtful.exists())
    # ␛ stands for what cannot be sent, and the others mean something else at the end of an address.
    usual = [~part.contains("\u241b") & part.not_in((".", "..", "latest")) for part in (HELD.c.key, HELD.c.slot)]
    return _first(connection, and_(there, *usual)) or _first(connection, there)


def withdraw(connection: Connection, source: SourceName, places: Sequence[ListingSlot], *, reason: str) -> list[Write]:
    """Holds versions as withdrawn; gives the events that say so."""
    dialect, wanted = connection.dialect.name, given("places", list(places))
    held = and_(HELD.c.source == source, HELD.c.withdrawn.is_(False), among(dialect, "places", HELD.c.key, HELD.c.slot))
    rows = connection.execute(
        update(HELD).where(held).values(withdrawn=True).returning(HELD.c.key, HELD.c.slot, HELD.c.digest), wanted
    )
    digests = {(row.key, row.slot): row.digest for row in rows}
    forget_seen(connection, source, places)
    names = _last_names(connection, source, {key for key, _ in digests})
    return [
        Write(
            listing_stream(source, key),
            ListingWithdrawn(
                source=source,
                key=key,
                digest=digests[key, in_slot],
                name=names.get(key),
                version=read_slot(in_slot),
                reason=reason,
            ),
        )
        for key, in_slot in sorted(digests)
    ]


def _last_names(connection: Connection, source: SourceName, keys: Collection[ListingKey]) -> dict[ListingKey, Any]:
    """What listings are called, as their last events say."""
    streams = {listing_stream(source, key): key for key in keys}
    query = (
        select(EVENTS.c.stream, EVENTS.c.data)
        .join_from(STREAMS, EVENTS, and_(EVENTS.c.stream == STREAMS.c.stream, EVENTS.c.revision == STREAMS.c.revision))
        .where(among(connection.dialect.name, "streams", STREAMS.c.stream))
    )
    rows = connection.execute(query, given("streams", [(stream,) for stream in streams]))
    return {streams[row.stream]: read_json(row.data).get("name") for row in rows}


def _first(connection: Connection, which: ColumnElement[bool]) -> ListingSlot | None:
    query = select(HELD.c.key, HELD.c.slot).where(which).order_by(HELD.c.key, HELD.c.slot)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else (row.key, row.slot)


def _listed(source: SourceName, *, deleted: bool) -> ColumnElement[bool]:
    listed = and_(HELD.c.source == source, HELD.c.withdrawn.is_(False))
    return listed if deleted else and_(listed, *(HELD.c.about.not_like(f"{begins}%") for begins in DELETED))


def _listed_in(source: SourceName, span: Span, *, deleted: bool) -> Select[Any]:
    place = tuple_(HELD.c.key, HELD.c.slot)
    query = select(HELD).where(_listed(source, deleted=deleted))
    if span.after is not None:
        query = query.where(place > tuple_(*span.after))
    return query if span.until is None else query.where(place <= tuple_(*span.until))


def _keep(connection: Connection, unseen: Select[Any], walk: int, parameters: dict[str, Any]) -> None:
    """Makes candidates of held rows; those that are candidates already are unseen once more."""
    rows = unseen.with_only_columns(HELD.c.source, HELD.c.key, HELD.c.slot, literal(walk), literal(walk), false())
    columns = ["source", "key", "slot", "first_walk", "walk", "asked"]
    insert_selected(connection, CANDIDATES, columns, rows, replace=["walk", "asked"], parameters=parameters)


def _places(connection: Connection, source: SourceName, which: ColumnElement[bool], limit: int) -> list[ListingSlot]:
    query = select(CANDIDATES.c.key, CANDIDATES.c.slot).where(CANDIDATES.c.source == source, which)
    rows = connection.execute(query.order_by(CANDIDATES.c.key, CANDIDATES.c.slot).limit(limit))
    return [(row.key, row.slot) for row in rows]


def _forget(
    connection: Connection, source: SourceName, which: ColumnElement[bool], parameters: dict[str, Any] | None = None
) -> None:
    connection.execute(delete(CANDIDATES).where(CANDIDATES.c.source == source, which), parameters or {})
