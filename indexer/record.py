"""A page: read what is held, decide, append once.

Everything a page does commits in one transaction: its events, what is held of its versions, and the crawl's cursor.
What a page needs of the past is one query, however long the log is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Connection, bindparam, literal, null, select, union_all

from indexer import absence, candidates, leases, quarantine
from indexer.absence import AskFor, Told, Withdraw
from indexer.blanking import REDACTIONS
from indexer.candidates import HELD, ListingSlot
from indexer.crawls import CrawlState, Walk, advance
from indexer.leases import Lease
from indexer.listing import Decided, Held, as_held, decide, missed_or_silent, newest
from indexer.sql import Row, among, given, upsert_whole
from indexer.store import STREAMS, Appended, Write, append
from indexer.verdict import fulfils
from schemas.events import Counts, ListingChanged, ListingObserved
from schemas.names import (
    CrawlId,
    Digest,
    Revision,
    SourceName,
    StreamId,
    crawls_stream,
    listing_stream,
    slot,
)
from schemas.observations import Observation, Page


@dataclass(frozen=True, slots=True)
class Past:
    """What is held of a page's versions, the last revisions of the streams that it may write to, and which of its
    records are redacted.
    """

    held: dict[ListingSlot, Held]
    revisions: dict[StreamId, Revision]
    redacted: set[Digest]


class Decision(NamedTuple):
    """An observation, and the event that it is (None where it tells nothing new)."""

    place: ListingSlot
    seen: Observation
    event: Decided | None


def record_page(
    connection: Connection, lease: Lease, state: CrawlState, page: Page, *, at: datetime, requests: int, seconds: float
) -> tuple[CrawlState, Appended | None]:
    """Records a page in the caller's transaction; gives the crawl's new state, and what was appended, if anything.

    Raises LeaseLost where a newer lease exists.
    """
    walk = state.walk
    assert walk is not None, "a page is recorded while a crawl is under way"
    leases.check(connection, lease)  # its row is locked before the log, as everywhere: no deadlock
    seen = distinct(page)
    past, decisions = _decisions(connection, lease.source, seen, older_counts=walk.mode == "audit")
    unidentified = quarantine.unidentified(page)
    quarantined = quarantine.meet(connection, lease.source, unidentified, walk=walk.started_at)
    appended = _append(connection, lease.source, decisions, quarantined, past, at=at, crawl=state.crawl)
    if quarantined and appended is not None:
        quarantine.keep(connection, appended, walk=walk.started_at)

    last = page.next_cursor is None
    walk = absence.compare(connection, lease.source, state, shown(page), kept=seen.keys(), last=last)
    walk = _counted(walk, decisions, past, state.mark)
    more = Counts(pages=1, requests=requests, observed=len(unidentified), quarantined=len(unidentified))
    walk = advance(walk, page.next_cursor, served_at=page.served_at)
    state = counted(state.model_copy(update={"walk": walk, **_clocks(state, page, at)}), more, seconds)
    leases.save(connection, lease, state)
    return state, appended


def record_told(
    connection: Connection, source: SourceName, state: CrawlState, asked: AskFor, told: Told, *, at: datetime
) -> tuple[CrawlState, Appended | None]:
    """Records what a source said when it was asked for one version by itself, in the caller's transaction."""
    walk = state.walk
    assert walk is not None, "it is asked at the end of a walk"
    assert walk.settling is not None, "it is asked at the end of a walk"
    appended = None
    if asked.surely_there or told == "no answer":
        settling = walk.settling.model_copy(update={"askable": isinstance(told, Observation) or told == "there"})
        walk = walk.model_copy(update={"settling": settling})
    elif told == "unknown":
        candidates.cannot_tell(connection, source, asked.place)
    elif told == "there":
        candidates.forget_seen(connection, source, [asked.place])
    elif told == "gone":
        gone = Withdraw([asked.place], "not listed by a complete walk, and gone when asked for")
        appended = record_withdrawn(connection, source, gone, at=at, crawl=state.crawl)
        return counted(state, Counts(withdrawn=len(appended.events))), appended
    else:
        past, decisions = _decisions(connection, source, {asked.place: told}, older_counts=walk.mode == "audit")
        appended = _append(connection, source, decisions, [], past, at=at, crawl=state.crawl)
        candidates.forget_seen(connection, source, [asked.place])
        walk = _counted(walk, decisions, past, state.mark)
    return state.model_copy(update={"walk": walk}), appended


def record_withdrawn(
    connection: Connection, source: SourceName, gone: Withdraw, *, at: datetime, crawl: CrawlId | None
) -> Appended:
    """Records that versions are no longer listed, in the caller's transaction."""
    writes = candidates.withdraw(connection, source, gone.places, reason=gone.reason)
    return append(connection, writes, at=at, crawl=crawl)


def counted(state: CrawlState, more: Counts, seconds: float = 0.0) -> CrawlState:
    """The state with more counted, where a walk is under way."""
    if state.walk is None:
        return state
    changed = {"counts": add(state.walk.counts, more), "seconds": state.walk.seconds + seconds}
    return state.model_copy(update={"walk": state.walk.model_copy(update=changed)})


def admit(
    connection: Connection, lease: Lease, found: Mapping[Digest, Observation], *, at: datetime
) -> Appended | None:
    """Records what was in quarantine, by its digest there, and can be identified now; in the caller's transaction.

    Raises LeaseLost where a newer lease exists.
    """
    leases.check(connection, lease)
    seen = distinct(Page(tuple(found.values()), None))
    past, decisions = _decisions(connection, lease.source, seen)
    released = quarantine.let_go(connection, lease.source, list(found))
    return _append(connection, lease.source, decisions, released, past, at=at, crawl=None)


def distinct(page: Page) -> dict[ListingSlot, Observation]:
    """A page's observations, one a version."""
    found: dict[ListingSlot, list[Observation]] = {}
    for record in page.records:
        if isinstance(record, Observation):
            found.setdefault((record.key, slot(record.version)), []).append(record)
    return {place: seen[0] if len(seen) == 1 else newest(seen) for place, seen in found.items()}


def shown(page: Page) -> list[ListingSlot]:
    """The versions that a page shows, in its order, those included that cannot be kept."""
    told = ((one.key, one.version) if isinstance(one, Observation) else one.version_of for one in page.records)
    return list(dict.fromkeys((one[0], slot(one[1])) for one in told if one is not None))


def read_past(connection: Connection, source: SourceName, digests: Mapping[ListingSlot, Digest]) -> Past:
    """What a page needs of the past, given its records' digests, in one query."""
    streams = [*{listing_stream(source, key) for key, _ in digests}, crawls_stream(source)]
    wanted = {
        "of": source,
        **given("places", list(digests)),
        **given("streams", [(one,) for one in streams]),
        **given("digests", [(one,) for one in digests.values()]),
    }
    past = Past({}, dict.fromkeys(streams, Revision(0)), set())
    rows = connection.execute(_past(connection.dialect.name), wanted)
    for key, in_slot, held_digest, about, updated_at, withdrawn, revision in rows:
        if revision is None:
            past.redacted.add(key)
        elif in_slot is None:
            past.revisions[key] = revision
        else:
            past.held[key, in_slot] = Held(held_digest, about, updated_at, bool(withdrawn))
    return past


@cache
def _past(dialect: str) -> CompoundSelect[Any]:
    held = select(
        HELD.c.key, HELD.c.slot, HELD.c.digest, HELD.c.about, HELD.c.updated_at, HELD.c.withdrawn, literal(0)
    ).where(HELD.c.source == bindparam("of"), among(dialect, "places", HELD.c.key, HELD.c.slot))
    revisions = select(STREAMS.c.stream, null(), null(), null(), null(), null(), STREAMS.c.revision).where(
        among(dialect, "streams", STREAMS.c.stream)
    )
    redacted = select(REDACTIONS.c.digest, null(), null(), null(), null(), null(), null()).where(
        among(dialect, "digests", REDACTIONS.c.digest)
    )
    return union_all(held, revisions, redacted)


def add(counts: Counts, more: Counts) -> Counts:
    """The sum of two counts."""
    return Counts(**{name: getattr(counts, name) + getattr(more, name) for name in Counts.model_fields})


def _append(
    connection: Connection,
    source: SourceName,
    decisions: Sequence[Decision],
    more: Sequence[Write],
    past: Past,
    *,
    at: datetime,
    crawl: CrawlId | None,
) -> Appended | None:
    """Appends what was decided and other events, and keeps what is held now; None where there is nothing new."""
    news = [decision for decision in decisions if decision.event is not None]
    writes = [Write(listing_stream(source, d.place[0]), d.event) for d in news if d.event is not None]
    if not writes and not more:
        return None
    appended = append(connection, [*writes, *more], at=at, crawl=crawl, known=past.revisions)
    upsert_whole(connection, HELD, [_held_row(source, decision) for decision in news])
    return appended


def _clocks(state: CrawlState, page: Page, at: datetime) -> dict[str, float | None]:
    """How far the upstream's clock is ahead of ours, as the first page of a walk says."""
    if state.walk is None or state.walk.steps > 0:
        return {}
    return {"clock_ahead": None if page.served_at is None else (page.served_at - at).total_seconds()}


def _decisions(
    connection: Connection, source: SourceName, seen: Mapping[ListingSlot, Observation], *, older_counts: bool = False
) -> tuple[Past, list[Decision]]:
    """What is held of some versions, and what their observations are given that."""
    digests = {place: one.digest for place, one in seen.items()}
    past = read_past(connection, source, digests)
    decisions = []
    for place, one in seen.items():
        blank = one.digest in past.redacted
        event = decide(source, past.held.get(place), one, older_counts=older_counts, redacted=blank)
        decisions.append(Decision(place, one, event))
    return past, decisions


def _held_row(source: SourceName, decision: Decision) -> Row:
    held = as_held(decision.seen)
    return (source, *decision.place, held.digest, held.about, held.updated_at, held.withdrawn)


def _counted(walk: Walk, decisions: list[Decision], past: Past, mark: datetime | None) -> Walk:
    """The walk with a page's decisions counted; an audit sorts its differences, too."""
    tally = dict.fromkeys(
        ("new", "changed", "status_changed", "returned", "unchanged", "invalid", "missed", "silent"), 0
    )
    for decision in decisions:
        event = decision.event
        tally["unchanged" if event is None else _COUNTED_AS[event.type]] += 1
        if isinstance(event, ListingObserved | ListingChanged) and not (event.redacted or fulfils(event.record)):
            tally["invalid"] += 1
        if event is not None and walk.mode == "audit":
            escaped = missed_or_silent(decision.seen, past.held.get(decision.place), mark)
            if escaped is not None:
                tally[escaped] += 1
    missed, silent = tally.pop("missed"), tally.pop("silent")
    counts = add(walk.counts, Counts(observed=len(decisions), **tally))
    return walk.model_copy(update={"counts": counts, "missed": walk.missed + missed, "silent": walk.silent + silent})


_COUNTED_AS = {
    "listing.observed": "new",
    "listing.changed": "changed",
    "listing.status_changed": "status_changed",
    "listing.returned": "returned",
}
