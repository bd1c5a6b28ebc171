"""The past: what the catalogue would hold had the log ended earlier, by today's rules.

The log's beginning is a log. So what some servers were at a position is the catalogue made of their events up to there,
with what was configured and decided by then: the same code, over a catalogue in memory that is thrown away.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from typing import Any, Self

import orjson
from sqlalchemy import Connection, Select, and_, create_engine, select, union, union_all
from sqlalchemy.pool import StaticPool
from sqlmodel import SQLModel

from indexer import queries
from indexer.clock import from_micros, to_micros
from indexer.errors import NotFound
from indexer.projections import catalogue
from indexer.projections.checkpoints import CATALOGUE, Checkpoint, live_build, write_checkpoint
from indexer.projections.compare import expected_documents
from indexer.projections.rows import ENTRIES, LISTINGS, NAMES_AT_ONCE, chunks, names_folded, streams_of
from indexer.sql import among, given, insert_missing
from indexer.store import EVENTS, PAGE_EVENTS, RECORDS, STREAMS, read_positions
from schemas.events import Recorded, SourceConfigured, SourceRemoved, WithRecord, rfc3339, server_name
from schemas.names import Position, ServerName, decisions_stream, record_id

Json = dict[str, Any]
BUILD = 1
"""The one build of a catalogue in memory."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a server between two positions: it was added, removed or changed. `before` and `after` have the
    fields that changed; `version` is the latest one, or was before it was removed.
    """

    name: ServerName
    change: str
    version: str | None
    before: Json = field(default_factory=dict)
    after: Json = field(default_factory=dict)


def position_at(connection: Connection, time: datetime) -> Position:
    """The greatest position that was recorded at a time or before. Raises NotFound where the log begins later."""
    query = select(EVENTS.c.position).where(EVENTS.c.recorded_at <= to_micros(time))
    found = connection.scalar(query.order_by(EVENTS.c.position.desc()).limit(1))
    if found is not None:
        return Position(found)
    began = connection.scalar(select(EVENTS.c.recorded_at).order_by(EVENTS.c.position).limit(1))
    since = "is empty" if began is None else f"begins at {rfc3339(from_micros(began))}"
    raise NotFound(f"Nothing was recorded by {rfc3339(time)}: the log {since}.")


def show(connection: Connection, name: ServerName, position: Position) -> Json | None:
    """A server's document with all its versions, as `queries.show` would have said it at a position."""
    with _Then(connection, _said_of_all(connection, after=0, until=position)) as then:
        then.fill(_group(connection, [name]), until=position)
        return queries.show(then.catalogue, name)


def listed_ever(connection: Connection, name: ServerName) -> bool:
    """Whether a source ever listed a server under a name."""
    return bool(streams_of(connection, live_build(connection), [name]))


def differences(connection: Connection, first: Position, last: Position) -> Iterator[Difference]:
    """What differs between two positions, by name without its case."""
    of_all = _said_of_all(connection, after=0, until=last)
    folded = _touched(connection, first, last).execution_options(yield_per=NAMES_AT_ONCE)
    with connection.execute(folded) as rows:
        for some in chunks((row[0] for row in rows), NAMES_AT_ONCE):
            found = names_folded(connection, live_build(connection), some)
            named = [name for name, _ in sorted(found, key=lambda one: (one[1], one[0]))]
            with _Then(connection, of_all) as then:
                then.fill(named, until=first)
                before = then.documents()
                then.fill(named, after=first, until=last)
                after = then.documents()
            yield from filter(None, (_difference(name, before.get(name), after.get(name)) for name in named))


def _difference(name: ServerName, before: Json | None, after: Json | None) -> Difference | None:
    if before is None or after is None:
        one = before or after
        return None if one is None else Difference(name, "added" if before is None else "removed", one["version"])
    fields = [name for name in after if name != "position" and before[name] != after[name]]
    if not fields:
        return None
    was, now = ({name: one[name] for name in fields} for one in (before, after))
    return Difference(name, "changed", after["version"], was, now)


def _touched(connection: Connection, first: Position, last: Position) -> Select[Any]:
    """The names without their case that something between two positions may have changed."""
    build = live_build(connection)
    between = and_(EVENTS.c.position > first, EVENTS.c.position <= last)
    # As names.listing_stream has it, for a row of any listing.
    stream = "listing/" + LISTINGS.c.source + "/" + LISTINGS.c.key
    said = [one.event for one in _said_of_all(connection, after=first, until=last)]
    sources = {event.source for event in said if isinstance(event, SourceConfigured | SourceRemoved)}
    listed = select(LISTINGS.c.name).where(LISTINGS.c.build == build)
    # Two queries and no `or`: Postgres would look through the events between for each listing.
    named = union(
        listed.where(stream.in_(select(EVENTS.c.stream).where(between))), listed.where(LISTINGS.c.source.in_(sources))
    )
    query = select(ENTRIES.c.folded).where(ENTRIES.c.build == build, ENTRIES.c.name.in_(named))
    return query.distinct().order_by(ENTRIES.c.folded)


def _group(connection: Connection, names: Sequence[ServerName]) -> list[ServerName]:
    """Some names and those that differ from them by case only, which have to do with them."""
    folded = {name.casefold() for name in names}
    return [name for name, _ in names_folded(connection, live_build(connection), folded)]


def _said_of_all(connection: Connection, *, after: int, until: Position) -> list[Recorded]:
    """How sources were configured and what persons decided between two positions."""
    crawls = select(STREAMS.c.stream).where(STREAMS.c.stream > "crawls/", STREAMS.c.stream < "crawls0")  # 0 follows /
    of_sources = EVENTS.c.stream.in_(crawls)
    configured = EVENTS.c.type.in_(("source.configured", "source.removed"))
    between = select(EVENTS.c.position).where(EVENTS.c.position > after, EVENTS.c.position <= until)
    # Two queries and no `or`, for which Postgres would read the whole log.
    decided = between.where(EVENTS.c.stream == decisions_stream())
    return list(read_positions(connection, union_all(between.where(of_sources, configured), decided)))


class _Then:
    """A catalogue in memory of some servers, brought from position to position."""

    def __init__(self, connection: Connection, of_all: list[Recorded]) -> None:
        """`of_all` is what was configured and decided by the last position that it is brought to."""
        self._log, self._of_all = connection, of_all
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        self.catalogue = self._engine.connect()

    def __enter__(self) -> Self:
        SQLModel.metadata.create_all(self.catalogue)
        return self

    def __exit__(self, *_: object) -> None:
        self.catalogue.close()
        self._engine.dispose()

    def fill(self, names: Sequence[ServerName], *, after: int = 0, until: Position) -> None:
        """Brings it over what concerns some servers between two positions."""
        of_all = (one for one in self._of_all if after < one.position <= until)
        streams = EVENTS.c.stream.in_(streams_of(self._log, live_build(self._log), names))
        wanted = select(EVENTS.c.position).where(streams, EVENTS.c.position > after, EVENTS.c.position <= until)
        of_them = read_positions(self._log, wanted)
        for events in chunks(merge(of_all, of_them, key=lambda one: one.position), PAGE_EVENTS):
            self._keep_records(events)
            catalogue.apply(self.catalogue, BUILD, catalogue.changes(self.catalogue, BUILD, events))
        write_checkpoint(self.catalogue, Checkpoint(CATALOGUE, until, catalogue.fingerprint(), str(BUILD)))

    def documents(self) -> dict[ServerName, Json]:
        """Whole documents by name."""
        ids = list(self.catalogue.scalars(select(ENTRIES.c.id)))
        found = (orjson.loads(text) for text in expected_documents(self.catalogue, ids))
        return {one["name"]: one for one in found}

    def _keep_records(self, events: Iterable[Recorded]) -> None:
        """Copies the raw records of some events, as the log keeps them."""
        told = (one.event for one in events if isinstance(one.event, WithRecord))
        ids = {record_id(server_name(event), event.digest) for event in told}
        kept = among(self._log.dialect.name, "ids", RECORDS.c.id)
        rows = self._log.execute(select(RECORDS).where(kept), given("ids", [(one,) for one in ids]))
        insert_missing(self.catalogue, RECORDS, [dict(row) for row in rows.mappings()])
