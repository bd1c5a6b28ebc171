"""A page, recorded: what is new is appended once, and counted.

Everything a page does commits in one transaction: its events, what is held of its versions, and the crawl's cursor.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from indexer import absence, candidates, leases, quarantine
from indexer.absence import AskFor, Told, Withdraw
from indexer.crawls import CrawlState
from indexer.held import HELD, ListingSlot
from indexer.leases import Lease
from indexer.listing import as_held, missed_or_silent, newest
from indexer.news import Compared, compare_with_held
from indexer.sql import upsert_whole
from indexer.store import Appended, Write, append
from indexer.walks import Walk, advance
from schemas.events import Counts, ListingReturned
from schemas.names import CrawlId, Digest, SourceName, listing_stream, slot
from schemas.observations import Observation, Page


def record_page(
    connection: Connection, lease: Lease, state: CrawlState, page: Page, *, at: datetime, requests: int, seconds: float
) -> tuple[CrawlState, Appended | None]:
    """Records a page in the caller's transaction; gives the crawl's new state, and what was appended, if anything.

    Raises LeaseLost where a newer lease exists.
    """
    walk = state.walk
    assert walk is not None, "a page is recorded while a crawl is under way"
    leases.lock_row(connection, lease)  # its row is locked before the log, as everywhere: no deadlock
    seen, last = distinct(page), page.next_cursor is None
    places = shown(page, seen)
    span = absence.span_of(walk, places, last=last)
    compared = compare_with_held(connection, lease.source, seen, span, older_counts=walk.mode == "audit")
    unidentified = quarantine.unidentified(page)
    began = (state.aside or walk).started_at  # an audit that let this increment come first shall not let go what it met
    quarantined = quarantine.meet(connection, lease.source, unidentified, walk=began)
    appended = _append(connection, lease.source, compared, quarantined, at=at, crawl=state.crawl)
    if quarantined and appended is not None:
        quarantine.keep(connection, appended, walk=began)

    walk = absence.compare(connection, lease.source, state, places, span=span, others=compared.others)
    walk = _counted(walk, len(seen), compared, state.mark)
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
        compared = compare_with_held(connection, source, {asked.place: told}, older_counts=walk.mode == "audit")
        appended = _append(connection, source, compared, [], at=at, crawl=state.crawl)
        candidates.forget_seen(connection, source, [asked.place])
        walk = _counted(walk, 1, compared, state.mark)
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
    compared = compare_with_held(connection, lease.source, seen)
    released = quarantine.let_go(connection, lease.source, list(found))
    return _append(connection, lease.source, compared, released, at=at, crawl=None)


def distinct(page: Page) -> dict[ListingSlot, Observation]:
    """A page's observations, one a version."""
    found: dict[ListingSlot, Observation] = {}
    for one in page.records:
        if isinstance(one, Observation):
            place = one.key, slot(one.version)
            found[place] = newest([found[place], one]) if place in found else one
    return found


def shown(page: Page, seen: Mapping[ListingSlot, Observation]) -> list[ListingSlot]:
    """The versions that a page shows, in its order: those seen, and those that cannot be kept."""
    if all(isinstance(one, Observation) for one in page.records):
        return list(seen)
    told = ((one.key, one.version) if isinstance(one, Observation) else one.version_of for one in page.records)
    return list(dict.fromkeys((one[0], slot(one[1])) for one in told if one is not None))


def add(counts: Counts, more: Counts) -> Counts:
    """The sum of two counts."""
    return Counts(**{name: getattr(counts, name) + getattr(more, name) for name in Counts.model_fields})


def _append(
    connection: Connection,
    source: SourceName,
    compared: Compared,
    more: Sequence[Write],
    *,
    at: datetime,
    crawl: CrawlId | None,
) -> Appended | None:
    """Appends the news and other events, and keeps what is held now; None where there is nothing new."""
    news = compared.news
    if not news and not more:
        return None
    writes = [Write(listing_stream(source, one.place[0]), one.event, one.valid) for one in news]
    known = compared.past.revisions if news else None
    appended = append(connection, [*writes, *more], at=at, crawl=crawl, known=known)
    upsert_whole(connection, HELD, [(source, *one.place, *as_held(one.seen)) for one in news])
    return appended


def _clocks(state: CrawlState, page: Page, at: datetime) -> dict[str, float | None]:
    """How far the upstream's clock is ahead of ours, as the first page of a walk says."""
    if state.walk is None or state.walk.steps > 0:
        return {}
    return {"clock_ahead": None if page.served_at is None else (page.served_at - at).total_seconds()}


def _counted(walk: Walk, observed: int, compared: Compared, mark: datetime | None) -> Walk:
    """The walk with some observations counted; an audit sorts its differences, too."""
    tally = Counter(_COUNTED_AS[one.event.type] for one in compared.news)
    tally["unchanged"] = observed - len(compared.news)
    tally["invalid"] = sum(one.valid is False and type(one.event) is not ListingReturned for one in compared.news)
    counts = add(walk.counts, Counts(observed=observed, **tally))
    if walk.mode != "audit" or not compared.news:
        return walk.model_copy(update={"counts": counts})
    escaped = Counter(missed_or_silent(one.seen, compared.held.get(one.place), mark) for one in compared.news)
    missed, silent = walk.missed + escaped["missed"], walk.silent + escaped["silent"]
    return walk.model_copy(update={"counts": counts, "missed": missed, "silent": silent})


_COUNTED_AS = {
    "listing.observed": "new",
    "listing.changed": "changed",
    "listing.status_changed": "status_changed",
    "listing.returned": "returned",
}
