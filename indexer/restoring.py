"""Puts events into a log as they were recorded in another, with the working state that they made there.

What a page is compared with, what is in quarantine, and where each source stands follow from the events. Not so a walk
under way, its cursor and what it did not see so far: the next crawl begins a walk of its own, in full where the last
one was parked. Nor the address that a source was asked at, leases, and who paused what.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select, update

from indexer.clock import LONG_AGO
from indexer.crawls import Audited, CrawlState, ended
from indexer.errors import ImportRefused
from indexer.held import HELD
from indexer.leases import STATES, ensure_row
from indexer.listing import about_text
from indexer.quarantine import QUARANTINE
from indexer.sql import among, given, upsert
from indexer.store import Write, append
from indexer.text import ascii_json
from indexer.versions import Place, place
from schemas.about import read_about
from schemas.events import (
    AnyEvent,
    CrawlCompleted,
    CrawlFailed,
    CrawlParked,
    ListingEvent,
    ListingWithdrawn,
    Recorded,
    RecordQuarantined,
    RecordReleased,
    SourceConfigured,
    SourceRemoved,
    event_data,
)
from schemas.names import Digest, SourceName, crawls_stream

_Quarantined = tuple[SourceName, Digest]


def restore(connection: Connection, events: Sequence[Recorded]) -> None:
    """Appends events that follow the log's last one, in the caller's transaction. Raises ImportRefused where they do
    not.
    """
    for (at, crawl), run in groupby(events, key=lambda one: (one.recorded_at, one.crawl)):
        wanted = list(run)
        found = append(connection, [Write(one.stream, one.event) for one in wanted], at=at, crawl=crawl).events
        for one, other in zip(wanted, found, strict=True):
            if (one.position, one.revision) != (other.position, other.revision):
                raise ImportRefused(
                    f"Event {one.position} (revision {one.revision} of {one.stream}) does not follow what the log has, "
                    f"which ends at {other.position - 1}; import into an empty database."
                )
    _restore_held(connection, events)
    _restore_quarantine(connection, events)
    of_crawls = {crawls_stream(one.event.source) for one in events if isinstance(one.event, _OF_CRAWLS)}
    for stream in sorted(of_crawls):
        _restore_state(connection, [one for one in events if one.stream == stream])


def after(state: CrawlState, at: datetime, event: AnyEvent) -> CrawlState:
    """Where a source stands after one more event of its crawls."""
    if not isinstance(event, CrawlCompleted | CrawlParked | CrawlFailed):
        return state
    state = ended(state, event.mode, event.counts, at=at, failed=isinstance(event, CrawlFailed))
    if isinstance(event, CrawlFailed):
        return state
    changed: dict[str, Any] = {"mark": event.mark or state.mark}
    if event.mode != "incremental":
        changed |= {"full_at": at - timedelta(seconds=event.seconds), "lasted": event.seconds}
    if event.mode == "audit":
        changed["audited"] = Audited(at=at, missed=event.missed or 0, silent=event.silent or 0)
    if isinstance(event, CrawlParked):
        changed["full_at"] = LONG_AGO  # what it did not see is not in the log: it is looked for again, in full
    return state.model_copy(update=changed)


def _restore_held(connection: Connection, events: Sequence[Recorded]) -> None:
    rows: dict[Place, dict[str, Any]] = {}
    withdrawn: dict[Place, bool] = {}
    for event in (one.event for one in events):
        if not isinstance(event, ListingEvent):
            continue
        where = place(event)
        withdrawn[where] = isinstance(event, ListingWithdrawn)
        if not isinstance(event, ListingWithdrawn):
            rows[where] = {**_held(event, getattr(event, "meta", None)), "withdrawn": False}
    for where, row in rows.items():
        row["withdrawn"] = withdrawn[where]
    names = ("source", "key", "slot")
    upsert(connection, HELD, [{**dict(zip(names, where, strict=True)), **row} for where, row in rows.items()])
    gone = [where for where, is_gone in withdrawn.items() if is_gone and where not in rows]
    if gone:
        places = among(connection.dialect.name, "places", HELD.c.source, HELD.c.key, HELD.c.slot)
        connection.execute(update(HELD).where(places).values(withdrawn=True), given("places", gone))


def _held(event: ListingEvent, meta: Any) -> dict[str, Any]:
    about = read_about(meta)
    return {"digest": event.digest, "about": about_text(about), "updated_at": about.updated_at}


def _restore_quarantine(connection: Connection, events: Sequence[Recorded]) -> None:
    kept: dict[_Quarantined, int] = {}
    released: set[_Quarantined] = set()
    for recorded in events:
        event = recorded.event
        if isinstance(event, RecordQuarantined):
            kept[event.source, event.digest] = recorded.position
        elif isinstance(event, RecordReleased) and kept.pop((event.source, event.digest), None) is None:
            released.add((event.source, event.digest))
    if released:
        gone = among(connection.dialect.name, "gone", QUARANTINE.c.source, QUARANTINE.c.digest)
        connection.execute(delete(QUARANTINE).where(gone), given("gone", list(released)))
    rows = [{"source": source, "digest": one, "position": at, "walk": 0} for (source, one), at in kept.items()]
    upsert(connection, QUARANTINE, rows)


def _restore_state(connection: Connection, events: Sequence[Recorded]) -> None:
    """Where one source stands after more events of its crawls."""
    source = next(one.event.source for one in events if isinstance(one.event, _OF_CRAWLS))
    ensure_row(connection, source)
    row = connection.execute(select(STATES.c.state, STATES.c.configured).where(STATES.c.source == source)).one()
    state, configured = CrawlState.model_validate_json(row.state), row.configured
    for recorded in events:
        state = after(state, recorded.recorded_at, recorded.event)
        if isinstance(recorded.event, SourceConfigured | SourceRemoved):
            removed = isinstance(recorded.event, SourceRemoved)
            configured = None if removed else ascii_json(event_data(recorded.event))
    connection.execute(
        update(STATES).where(STATES.c.source == source).values(state=state.model_dump_json(), configured=configured)
    )


_OF_CRAWLS = CrawlCompleted | CrawlFailed | CrawlParked | SourceConfigured | SourceRemoved
