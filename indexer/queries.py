"""Reads for others: an entry, its history, and where every source and projection stands. Changes nothing."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, case, func, or_, select

from indexer.crawls import CrawlState
from indexer.documents import seconds, with_server_json
from indexer.entry import merge
from indexer.errors import NotFound
from indexer.leases import STATES, live_holders
from indexer.projections import catalogue
from indexer.projections.checkpoints import CATALOGUE, DOCUMENTS, EXCHANGE, live_build, read_checkpoint
from indexer.projections.rows import ENTRIES, VERSIONS, chunks, read_versions, records_of, streams_of
from indexer.quarantine import QUARANTINE
from indexer.store import EVENTS, RECORDS, read_positions
from indexer.text import ascii_json
from indexer.versions import Version, all_problems
from schemas.events import (
    Counts,
    CrawlCompleted,
    CrawlFailed,
    CrawlParked,
    CrawlStarted,
    DecisionRedacted,
    Recorded,
    rfc3339,
)
from schemas.names import ServerName, SourceName, crawls_stream, decisions_stream, document_id

Json = dict[str, Any]
SHOWN_AT_ONCE = 100
"""So many versions' records are in memory at once: a record may be large, and a server may have thousands."""


def show(connection: Connection, name: ServerName) -> Json | None:
    """A server's document with all its versions, the latest first; None for a name that no source ever listed.

    Raises NotFound where all its records are redacted.
    """
    build = live_build(connection)
    versions = read_versions(connection, build, [name])[name]
    if not versions:
        return None
    if all(version.redacted for version in versions):
        raise NotFound(f"The records of {name} are redacted; `mcp-indexer history {name}` shows its events.")
    entry = merge(name, versions, catalogue.read_rules(connection, build))
    found = connection.execute(
        select(ENTRIES.c.document, RECORDS.c.text)
        .outerjoin_from(ENTRIES, RECORDS, ENTRIES.c.record == RECORDS.c.id)
        .where(ENTRIES.c.build == build, ENTRIES.c.id == document_id(name))
    ).one()
    gone = "deleted" if entry.versions else "unlisted"  # where nothing is listed now, nobody said that it was deleted
    document: Json = (
        {"id": document_id(name), "name": name, "status": gone, "position": entry.position}
        if found.document is None
        else orjson.loads(with_server_json(found.document, found.text))
    )
    shown: list[Json] = []
    for some in chunks(entry.versions, SHOWN_AT_ONCE):
        records = records_of(connection, {version.record_id for version in some})
        shown += [_version(version, records.get(version.record_id)) for version in some]
    return {**document, "versions": shown}


def similar(connection: Connection, name: ServerName, limit: int = 5) -> list[str]:
    """Names that a person may have meant: the same in other letter cases, or with the same last part."""
    build = live_build(connection)
    label = name.rpartition("/")[2].lower()
    query = select(ENTRIES.c.name).where(
        ENTRIES.c.build == build, func.lower(ENTRIES.c.name).contains(label, autoescape=True)
    )
    return list(connection.scalars(query.order_by(func.length(ENTRIES.c.name)).limit(limit)))


def history(connection: Connection, name: ServerName) -> Iterator[Recorded]:
    """A server's events, over all sources, and what persons decided about it, in the order of the log."""
    streams = streams_of(connection, live_build(connection), [name])
    if not streams:
        return
    named = and_(EVENTS.c.stream == decisions_stream(), EVENTS.c.data.contains(ascii_json(name), autoescape=True))
    for recorded in read_positions(
        connection, select(EVENTS.c.position).where(or_(EVENTS.c.stream.in_(streams), named))
    ):
        if not isinstance(recorded.event, DecisionRedacted) or recorded.event.name == name:
            yield recorded


def lag(connection: Connection, checkpoint: int) -> int:
    """How many events the log has after a checkpoint."""
    return connection.scalar(select(func.count()).where(EVENTS.c.position > checkpoint)) or 0


def projections(connection: Connection, *, publishes: bool = False) -> list[Json]:
    """Every projection with its checkpoint and its lag in events; with the exchange, where there is one."""
    found = []
    for name in (CATALOGUE, DOCUMENTS, *([EXCHANGE] if publishes else [])):
        checkpoint = read_checkpoint(connection, name)
        position = 0 if checkpoint is None else checkpoint.position
        found.append({"name": name, "checkpoint": position, "lag": lag(connection, position)})
    return found


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """Where a source stands, as the database knows it."""

    state: CrawlState
    holder: str | None
    listings: int
    versions: int
    invalid: int
    quarantined: int


UNKNOWN = SourceStanding(CrawlState(), None, 0, 0, 0, 0)
"""Where a source stands of which the log has nothing."""


def standings(connection: Connection) -> dict[SourceName, SourceStanding]:
    """Where every source stands that the log knows."""
    listed = VERSIONS.c.withdrawn.is_(False)
    query = (
        select(
            VERSIONS.c.source,
            func.count(VERSIONS.c.key.distinct()),
            func.count(),
            func.sum(case((VERSIONS.c.valid.is_(False), 1), else_=0)),
        )
        .where(VERSIONS.c.build == live_build(connection), listed)
        .group_by(VERSIONS.c.source)
    )
    counts = {row[0]: (row[1], row[2], int(row[3])) for row in connection.execute(query)}
    waiting = connection.execute(select(QUARANTINE.c.source, func.count()).group_by(QUARANTINE.c.source))
    quarantined: dict[str, int] = {row[0]: row[1] for row in waiting}
    holders = live_holders(connection)
    return {
        row.source: SourceStanding(
            CrawlState.model_validate_json(row.state),
            holders.get(row.source),
            *counts.get(row.source, (0, 0, 0)),
            quarantined.get(row.source, 0),
        )
        for row in connection.execute(select(STATES))
    }


def crawl_state(connection: Connection, source: SourceName) -> CrawlState:
    """Where a source stands; as one that was never crawled where nothing is known of it."""
    found = connection.scalar(select(STATES.c.state).where(STATES.c.source == source))
    return CrawlState() if found is None else CrawlState.model_validate_json(found)


def last_failure(connection: Connection, source: SourceName) -> str | None:
    """The sentence of the crawl that failed last."""
    query = (
        select(EVENTS.c.data)
        .where(EVENTS.c.stream == crawls_stream(source), EVENTS.c.type == "crawl.failed")
        .order_by(EVENTS.c.revision.desc())
        .limit(1)
    )
    data = connection.scalar(query)
    return None if data is None else str(json.loads(data)["error"])


def past_crawls(connection: Connection, sources: Sequence[SourceName], limit: int) -> list[Json]:
    """The last crawls of some sources, in the order in which they began; those under way too."""
    streams = [crawls_stream(source) for source in sources]
    begun = EVENTS.alias()
    last = (
        select(begun.c.crawl)
        .where(begun.c.stream.in_(streams), begun.c.type == "crawl.started")
        .order_by(begun.c.position.desc())
        .limit(limit)
    )
    query = select(EVENTS.c.position).where(
        EVENTS.c.stream.in_(streams), EVENTS.c.type.like("crawl.%"), EVENTS.c.crawl.in_(last)
    )
    running = {crawl_state(connection, source).crawl for source in live_holders(connection)}
    found: dict[str | None, Json] = {}
    for recorded in read_positions(connection, query):
        if isinstance(recorded.event, CrawlStarted):
            found[recorded.crawl] = _crawl_begun(recorded, recorded.event, running=recorded.crawl in running)
        elif isinstance(recorded.event, CrawlCompleted | CrawlFailed | CrawlParked):
            found[recorded.crawl] |= _crawl_ended(recorded, recorded.event)
    return list(found.values())


def _crawl_begun(recorded: Recorded, event: CrawlStarted, *, running: bool) -> Json:
    return {
        "source": event.source,
        "mode": event.mode,
        "status": "running" if running else "interrupted",
        "started_at": rfc3339(recorded.recorded_at),
        "ended_at": None,
        **dict.fromkeys((*Counts.model_fields, "missed", "silent", "seconds", "error")),
    }


def _crawl_ended(recorded: Recorded, event: CrawlCompleted | CrawlFailed | CrawlParked) -> Json:
    return {
        "status": event.type.removeprefix("crawl."),
        "ended_at": rfc3339(recorded.recorded_at),
        **event.counts.model_dump(),
        "missed": getattr(event, "missed", None),
        "silent": getattr(event, "silent", None),
        "seconds": event.seconds,
        "error": getattr(event, "error", None),
    }


def _version(version: Version, record: Any) -> Json:
    return {
        "version": version.version,
        "source": version.source,
        "status": version.status,
        "status_message": version.status_message,
        "published_at": seconds(version.published_at),
        "updated_at": seconds(version.updated_at),
        "first_seen_at": seconds(version.first_seen_at),
        "valid": version.valid,
        "problems": [
            {"rule": one.rule, "pointer": one.pointer, "severity": one.severity, "message": one.message}
            for one in all_problems(record)
        ],
        "digest": version.digest,
        "position": version.position,
    }


def time_text(time: datetime | None) -> str | None:
    """A time that may be missing, in RFC 3339."""
    return None if time is None else rfc3339(time)
