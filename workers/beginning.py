"""How a crawl begins: as a new one, or as one that was interrupted and goes on."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import Connection

from indexer import absence, crawls
from indexer.crawls import CrawlState
from indexer.store import Write, append
from schemas.events import CrawlStarted
from schemas.names import CrawlId, SourceName, crawls_stream
from workers.outcome import end_of, outcome_of
from workers.source import Traits

Intervals = tuple[timedelta, timedelta]
"""How often a source is to be crawled, and how often in full."""


def begun(
    connection: Connection,
    source: SourceName,
    before: CrawlState,
    traits: Traits,
    *,
    audit: bool,
    intervals: Intervals,
    at: datetime,
) -> CrawlState:
    """The state with a crawl under way; the log hears of it, and how one ended that it does not go on with."""
    state = crawls.asked_at(crawls.by_clock(before, at), traits.address)
    state = crawls.asked_for_deleted(state, traits.lists_deleted)
    every, audit_every = intervals
    overdue = state.completed_at is not None and at - state.completed_at >= every
    relieve = overdue and not audit
    audit_at = crawls.audit_at(state, audit_every)
    audit = audit or (audit_at is not None and at >= audit_at)
    state, new = crawls.begin(
        state,
        crawl=CrawlId(uuid.uuid4().hex),
        at=at,
        audit=audit,
        supports_since=traits.supports_since,
        relieve=relieve,
    )
    if not new:
        return state
    if before.crawl is not None and before.walk is not None:
        given_up = outcome_of(source, before.walk, "failed", _why_given_up(before, state, traits, audit=audit))
        ended = Write(crawls_stream(source), end_of(before.walk, given_up))
        append(connection, [ended], at=at, crawl=before.crawl)
    if state.walks != before.walks:
        state = _with_new_walk(connection, source, state, traits)
    walk = state.walk
    assert walk is not None, "it has just begun"
    started = CrawlStarted(source=source, mode=walk.mode, since=walk.since, cursor=walk.cursor)
    append(connection, [Write(crawls_stream(source), started)], at=at, crawl=state.crawl)
    return state


def _with_new_walk(connection: Connection, source: SourceName, state: CrawlState, traits: Traits) -> CrawlState:
    """The state with what a walk that has just begun will be compared with."""
    state = state.model_copy(update={"unordered": state.unordered or not traits.ordered})
    return absence.begin(
        connection,
        source,
        state,
        listing_is_complete=traits.listing_is_complete,
        lists_deleted=traits.lists_deleted,
    )


def _why_given_up(before: CrawlState, now: CrawlState, traits: Traits, *, audit: bool) -> str:
    """Why a crawl that was interrupted is not gone on with."""
    if before.address != now.address:
        return "Given up: the source has another address now, and is walked anew."
    if crawls.misses_deleted(before.walk, traits.lists_deleted):
        return "Given up: the source is asked for no deleted versions any more, and is walked anew."
    if audit and before.walk is not None and not before.walk.complete:
        return "Given up: an audit of everything took its place."
    if before.walk is not None and now.walk is not None and before.walk.started_at > now.walk.started_at:
        return "Given up: the clock was put back, and its walk starts again."
    return "Given up: its walk began too long ago to go on, and starts again."
