"""Observations, events, pages and crawls as tests write them: with what matters to the test, the rest made up."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any, BinaryIO

from sqlalchemy import func, select

from indexer import absence, crawls, leases
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.leases import Lease
from indexer.record import record_page
from indexer.store import EVENTS, Write, append, read_log
from indexer.text import digest
from schemas.about import OFFICIAL, read_about
from schemas.events import (
    AnyEvent,
    DecisionApproved,
    DecisionRedacted,
    ListingChanged,
    ListingEvent,
    ListingObserved,
    ListingReturned,
    ListingStatusChanged,
    ListingWithdrawn,
    Recorded,
    SourceConfigured,
    rfc3339,
)
from schemas.names import (
    CrawlId,
    Cursor,
    ListingKey,
    Position,
    SourceName,
    StreamId,
    crawls_stream,
    decisions_stream,
    listing_stream,
    storable,
)
from schemas.observations import Observation, Page, Unidentified

SOURCE = SourceName("official")
NAME = "com.example/pdf-tools"
CRAWL = CrawlId("crawl-1")
START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["tests.indexer.made"])


def at(minutes: float) -> datetime:
    """A time, in minutes after the tests' beginning."""
    return START + timedelta(minutes=minutes)


def record(name: Any = NAME, version: Any = "1.0.0", **more: Any) -> dict[str, Any]:
    """A valid server.json."""
    return {"$schema": SCHEMA, "name": name, "description": "Reads PDF files", "version": version, **more}


def meta(status: str = "active", *, published: float = 0, updated: float = 0, **more: Any) -> dict[str, Any]:
    """What the official registry says about a version; times in minutes."""
    said = {"status": status, "publishedAt": rfc3339(at(published)), "updatedAt": rfc3339(at(updated))}
    return {OFFICIAL: {**said, "statusChangedAt": said["publishedAt"], **more}}


def seen(record: dict[str, Any] | None = None, said: Any = None, *, key: str | None = None) -> Observation:
    """An observation of a record."""
    record = made_record() if record is None else record
    said = meta() if said is None else said
    name = record.get("name")
    where = ListingKey(storable(str(name)) if key is None else key)
    return Observation(where, name, record.get("version"), record, said, read_about(said), digest(record))


made_record = record


def observed(
    record: Any = None, said: Any = None, *, source: str = SOURCE, kind: type[ListingEvent] = ListingObserved
) -> AnyEvent:
    """The event of a version's record: observed, changed or returned."""
    one = seen(record, said)
    assert kind in (ListingObserved, ListingChanged, ListingReturned)
    return kind(
        source=SourceName(source),
        key=one.key,
        digest=one.digest,
        name=one.name,
        version=one.version,
        record=one.record,
        meta=one.meta,
    )


def changed(record: Any = None, said: Any = None, *, source: str = SOURCE) -> AnyEvent:
    """A version's record is another one."""
    return observed(record, said, source=source, kind=ListingChanged)


def returned(record: Any = None, said: Any = None, *, source: str = SOURCE) -> AnyEvent:
    """A version that was withdrawn is back."""
    return observed(record, said, source=source, kind=ListingReturned)


def status_changed(record: Any = None, said: Any = None, *, source: str = SOURCE) -> ListingStatusChanged:
    """What a source says about a version changed."""
    one = seen(record, said)
    return ListingStatusChanged(
        source=SourceName(source),
        key=one.key,
        digest=one.digest,
        name=one.name,
        version=one.version,
        meta=one.meta,
    )


def withdrawn(record: Any = None, *, source: str = SOURCE) -> ListingWithdrawn:
    """A version is no longer listed."""
    one = seen(record)
    return ListingWithdrawn(
        source=SourceName(source), key=one.key, digest=one.digest, name=one.name, version=one.version
    )


def configured(source: str = SOURCE, *, trust: int = 100, **more: Any) -> SourceConfigured:
    """A source as it is configured."""
    return SourceConfigured(source=SourceName(source), kind="registry", trust=trust, **more)


def stream_of(event: AnyEvent) -> StreamId:
    """The stream that an event goes to."""
    if isinstance(event, ListingEvent):
        return listing_stream(event.source, event.key)
    if isinstance(event, DecisionApproved | DecisionRedacted):
        return decisions_stream()
    return crawls_stream(event.source)


def appended(database: Database, *events: AnyEvent, when: datetime = START) -> Position:
    """Appends events in one transaction; gives the last position."""
    with database.write() as connection:
        return append(connection, [Write(stream_of(event), event) for event in events], at=when).position


def log(database: Database, after: int = 0) -> list[Recorded]:
    """All events, at most 2,000."""
    with database.read() as connection:
        return read_log(connection, after)


def events(database: Database) -> int:
    """How many events the log holds."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(EVENTS)) or 0


def lines(documents: Iterable[dict[str, Any]]) -> BinaryIO:
    """Documents as an index is sent them."""
    return BytesIO("\n".join(map(json.dumps, documents)).encode())


def page(*records: Observation | Unidentified, cursor: str | None = None, served: datetime | None = START) -> Page:
    """One answer; without a cursor the last one."""
    return Page(records, None if cursor is None else Cursor(cursor), served)


def begun(database: Database, *, audit: bool = False, when: datetime = START) -> tuple[Lease, CrawlState]:
    """A crawl under way, with its lease."""
    with database.write() as connection:
        lease, state = leases.claim(connection, SOURCE, holder="test:0:")
        state, new = crawls.begin(state, crawl=CRAWL, at=when, audit=audit, supports_since=True)
        state = absence.begin(connection, SOURCE, state, listing_is_complete=True, lists_deleted=True) if new else state
        leases.save(connection, lease, state)
        return lease, state


def recorded(database: Database, lease: Lease, state: CrawlState, page: Page, *, when: datetime = START) -> CrawlState:
    """Records a page as a crawl does."""
    with database.write() as connection:
        return record_page(connection, lease, state, page, at=when, requests=1, seconds=0.5)[0]


def crawled(database: Database, pages: Sequence[Page], *, audit: bool = False, when: datetime = START) -> CrawlState:
    """A whole crawl; gives the state of its walk before it was completed."""
    lease, state = begun(database, audit=audit, when=when)
    for one in pages:
        state = recorded(database, lease, state, one, when=when)
    with database.write() as connection:
        leases.save(connection, lease, crawls.completed(state, at=when))
        leases.release(connection, lease)
    return state


def given_back(database: Database, lease: Lease) -> None:
    """The lease is free again, as when a crawl is interrupted or its process is found dead."""
    with database.write() as connection:
        leases.release(connection, lease)


def process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Another process, started; it shares nothing with this one."""
    made = SERVER.Process(target=target, args=arguments, daemon=True)
    made.start()
    return made
