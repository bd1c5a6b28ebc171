"""What is new among some observations: what is held of their versions is read, and decides.

What is held is one query, however long the log is; where there is news, another one reads of the past what their events
need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Connection, null, select, union_all

from indexer.blanking import REDACTIONS
from indexer.held import ListingSlot, Span, read_held
from indexer.listing import Held, ObservationEvent, decide, event_of
from indexer.sql import among, given
from indexer.store import STREAMS
from indexer.verdict import fulfils
from schemas.events import ListingStatusChanged
from schemas.names import Digest, Revision, SourceName, StreamId, crawls_stream, listing_stream
from schemas.observations import Observation


@dataclass(frozen=True, slots=True)
class Past:
    """The last revisions of the streams that a page writes to, and which of its new records are redacted."""

    revisions: dict[StreamId, Revision]
    redacted: set[Digest]


class News(NamedTuple):
    """An observation that tells something new, the event that it is, and whether the record of that is `valid` (None
    where it has none).
    """

    place: ListingSlot
    seen: Observation
    event: ObservationEvent
    valid: bool | None


class Compared(NamedTuple):
    """The observations of some versions, compared with what is held: what is held of them (nothing where they are just
    that), what else is held in their span (None where nobody looked, or it is much), what is new, and what the events
    of that need of the past.
    """

    held: Mapping[ListingSlot, Held]
    others: Mapping[ListingSlot, Held] | None
    news: list[News]
    past: Past


def compare_with_held(
    connection: Connection,
    source: SourceName,
    seen: Mapping[ListingSlot, Observation],
    span: Span | None = None,
    *,
    older_counts: bool = False,
) -> Compared:
    """What is new among the observations of some versions, given what is held."""
    found = read_held(connection, source, seen.keys(), span)
    if found.holds_exactly(seen):
        return Compared({}, {}, [], _NO_PAST)
    kinds = {
        place: kind
        for place, one in seen.items()
        if (kind := decide(found.held.get(place), one, older_counts=older_counts)) is not None
    }
    if not kinds:
        return Compared(found.held, found.others, [], _NO_PAST)
    past = read_past(connection, source, {place: seen[place].digest for place in kinds})
    news = []
    for place, kind in kinds.items():
        one = seen[place]
        redacted = one.digest in past.redacted
        valid = None if kind is ListingStatusChanged else redacted or fulfils(one.record)
        news.append(News(place, one, event_of(kind, source, one, redacted=redacted), valid))
    return Compared(found.held, found.others, news, past)


def read_past(connection: Connection, source: SourceName, news: Mapping[ListingSlot, Digest]) -> Past:
    """What the events of some new versions need of the past, given their records' digests, in one query."""
    streams = [*{listing_stream(source, key) for key, _ in news}, crawls_stream(source)]
    wanted = {
        **given("streams", [(one,) for one in streams]),
        **given("digests", [(one,) for one in news.values()]),
    }
    past = Past(dict.fromkeys(streams, Revision(0)), set())
    for key, revision in connection.execute(_past(connection.dialect.name), wanted):
        if revision is None:
            past.redacted.add(key)
        else:
            past.revisions[key] = revision
    return past


@cache
def _past(dialect: str) -> CompoundSelect[Any]:
    revisions = select(STREAMS.c.stream, STREAMS.c.revision).where(among(dialect, "streams", STREAMS.c.stream))
    redacted = select(REDACTIONS.c.digest, null()).where(among(dialect, "digests", REDACTIONS.c.digest))
    return union_all(revisions, redacted)


_NO_PAST = Past({}, set())
