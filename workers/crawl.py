"""The crawl loop: one source, one walk, page by page, each recorded before the next is asked for.

It can be stopped between any two steps, or killed anywhere: where it stands is in the database, written in the
transaction of the page that it covers. A complete walk that did not see all that is held has more to do at its end
(`indexer.absence`), step by step, too.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from indexer import absence, candidates, crawls, leases, quarantine, walks
from indexer.absence import AskFor, Told, Withdraw
from indexer.clock import Clock
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import (
    ConfigurationError,
    McpIndexerError,
    SourceMalformed,
    SourceRefused,
    SourceUnavailable,
    WalkLost,
)
from indexer.held import ListingSlot
from indexer.record import counted, record_page, record_told, record_withdrawn
from indexer.store import Appended, Write, append
from schemas.events import AnyEvent, Counts
from schemas.names import CrawlId, SourceName, crawls_stream
from schemas.observations import Page
from workers.ahead import PageAhead
from workers.beginning import begun
from workers.lease_keeper import kept
from workers.outcome import CrawlStatus, Outcome, end_of, outcome_of
from workers.second_look import look
from workers.source import Source, Traits

Hearer = Callable[[Appended], None]
"""Hears what was appended, once it is committed."""


class Opened(Protocol):
    """A source that can be fetched from, with the number of requests that were sent to it so far."""

    @property
    def source(self) -> Source: ...

    @property
    def requests(self) -> int: ...


class Crawl:
    """One crawl of one source, from taking its lease to giving it back."""

    def __init__(
        self,
        database: Database,
        name: SourceName,
        traits: Traits,
        *,
        clock: Clock,
        audit: bool = False,
        every: timedelta = timedelta.max,
        audit_every: timedelta = timedelta.max,
    ) -> None:
        """Takes the lease, and begins a crawl or goes on with the one that was interrupted. Raises LeaseHeld.

        It is an audit where that is asked for, or where the last full walk began longer ago than `audit_every`; where
        audits fail, an increment comes before the next try when the last crawl was completed longer ago than `every`.
        """
        self._database, self._name, self._clock = database, name, clock
        with database.write() as connection:
            self._lease, state = leases.claim(connection, name, holder=leases.this_process())
            intervals = every, audit_every
            self.state = begun(connection, name, state, traits, audit=audit, intervals=intervals, at=clock())
            leases.save(connection, self._lease, self.state)
        self._timed = time.monotonic()
        self._requests = 0
        self._ended: Outcome | None = None

    def run(
        self,
        opened: Opened,
        *,
        max_pages: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[Counts], None] = lambda _: None,
        recorded: Hearer = lambda _: None,
    ) -> Outcome:
        """Fetches and records until the walk ends, `max_pages` are done, or `stop` says so; what is being fetched ahead
        when it says so is recorded too. `recorded` hears of each page with news.

        Raises LeaseLost where another process took over.
        """
        by_hand = False
        try:
            ahead = PageAhead(partial(opened.source.fetch, self._walk.since))
            with kept(self._database, self._lease), ahead:
                outcome = self._run(opened, ahead, max_pages, stop, progress, recorded)
            if outcome is not None:
                return outcome
        except KeyboardInterrupt:
            by_hand = True  # and no more: until its traceback is gone, a transaction that it fell upon may be open
        except BaseException:
            with suppress(McpIndexerError):  # whatever it was, the next crawl need not wait
                self.release()
            raise
        return replace(self._released(), by_hand=by_hand)

    def _run(
        self,
        opened: Opened,
        ahead: PageAhead,
        max_pages: int | None,
        stop: Callable[[], bool],
        progress: Callable[[Counts], None],
        recorded: Hearer,
    ) -> Outcome | None:
        """What the crawl came to; None where it has not ended."""
        steps = 0
        try:
            last = max_pages == 0
            while not last:
                if self._settles:
                    done = self._settle(opened, recorded)
                    steps += 1
                    last = steps == max_pages or stop()
                else:
                    page = ahead.take(self._walk.cursor)
                    self._refuse_circle(page)
                    steps += 1
                    last = steps == max_pages or stop()
                    if page.next_cursor is not None and not last:
                        ahead.begin(page.next_cursor)
                    done = self._record(page, opened, recorded)
                progress(self._walk.counts if done is None else done.counts)
                if done is not None:
                    return done
        except (SourceUnavailable, SourceRefused, SourceMalformed, ConfigurationError) as error:
            return self._fail(error, opened)
        return None

    def release(self) -> None:
        """Gives the lease back; the crawl is interrupted and can be taken up by whoever comes next."""
        with self._database.write() as connection:
            leases.release(connection, self._lease)

    def _released(self) -> Outcome:
        """The same; what the crawl came to by what was recorded: an interrupt may come before we hear of it."""
        with self._database.write() as connection:
            state = leases.state_under(connection, self._lease)
            leases.release(connection, self._lease)
        if self._ended is not None and (state is None or state.crawl is None):
            return self._ended
        self.state = state or self.state
        return self._outcome("interrupted")

    @property
    def _walk(self) -> walks.Walk:
        assert self.state.walk is not None, "a crawl under way has a walk"
        return self.state.walk

    @property
    def _settles(self) -> bool:
        """Whether something else is to be done than to fetch the next page."""
        approved = self.state.parked is not None and self.state.parked.approved
        return approved or self._walk.settling is not None

    def _record(self, page: Page, opened: Opened, recorded: Hearer) -> Outcome | None:
        """One page, in one transaction; with the last one, the end of the crawl where nothing is left to do."""
        sent, seconds = self._since_last_step(opened)
        outcome = None
        with self._database.write() as connection:
            state, appended = record_page(
                connection, self._lease, self.state, page, at=self._clock(), requests=sent, seconds=seconds
            )
            if page.next_cursor is None:
                self._refuse_emptying(state)
                state = absence.settle(connection, self._name, state)
                assert state.walk is not None, "it is at its end"
                if state.walk.settling is None:
                    state, outcome = self._end(connection, state)
                leases.save(connection, self._lease, state)
        self._done(state, sent, seconds)
        if appended is not None:
            recorded(appended)
        return outcome

    def _settle(self, opened: Opened, recorded: Hearer) -> Outcome | None:
        """One step about what a complete walk did not see, in one transaction; the last one ends the crawl."""
        with self._database.read() as connection:
            step = absence.next_step(connection, self._name, self.state)
        told = self._look(opened.source, step.place) if isinstance(step, AskFor) else "unknown"
        sent, seconds = self._since_last_step(opened)
        outcome = appended = None
        state, lease, at = self.state, self._lease, self._clock()
        with self._database.write() as connection:
            leases.check(connection, lease)
            if isinstance(step, Withdraw):
                appended = record_withdrawn(connection, lease.source, step, at=at, crawl=state.crawl)
                state = counted(state, Counts(withdrawn=len(appended.events)), seconds)
            elif isinstance(step, AskFor):
                state, appended = record_told(connection, lease.source, state, step, told, at=at)
                state = counted(state, Counts(requests=sent), seconds)
            elif state.parked is not None and state.parked.approved:
                state = crawls.unparked(state, candidates=candidates.any_left(connection, self._name))
            else:
                state, outcome = self._end(connection, state)
            leases.save(connection, self._lease, state)
        self._done(state, sent, seconds)
        if appended is not None:
            recorded(appended)
        return outcome

    def _look(self, source: Source, place: ListingSlot) -> Told:
        """What the source says of a version by itself. Raises SourceUnavailable once; where it does not answer when a
        crawl has failed before, the rest waits for the next complete walk: one bad address is not to hold up a source.
        """
        try:
            return look(source, place)
        except SourceUnavailable:
            if not self.state.failed:
                raise
            return "no answer"

    def _end(self, connection: Connection, state: CrawlState) -> tuple[CrawlState, Outcome]:
        """Says in the log what the crawl came to that is at its end; gives the state after it."""
        walk = state.walk
        assert walk is not None, "it is at its end"
        parked = walk.settling is not None and walk.settling.parked > 0
        outcome = self._ended = outcome_of(self._name, walk, "parked" if parked else "completed")
        if walk.complete and not parked:  # what it did not meet in quarantine is mended, or is not listed any more
            gone = quarantine.let_go_unmet(connection, self._name, walk=walk.started_at)
            append(connection, gone, at=self._clock(), crawl=state.crawl)
        self._append(connection, end_of(walk, outcome), state.crawl)
        left = walk.complete and candidates.any_left(connection, self._name)
        leases.release(connection, self._lease)
        return crawls.completed(state, at=self._clock(), candidates=left), outcome

    def _since_last_step(self, opened: Opened) -> tuple[int, float]:
        """The requests that were sent since the last step, and the seconds; one may be fetched ahead meanwhile."""
        return opened.requests - self._requests, time.monotonic() - self._timed

    def _done(self, state: CrawlState, sent: int, seconds: float) -> None:
        self.state = state
        self._requests, self._timed = self._requests + sent, self._timed + seconds

    def _refuse_circle(self, page: Page) -> None:
        if walks.endless(self._walk, page.next_cursor):
            raise WalkLost(
                f"{self._name}: the source has more than {walks.MOST_PAGES:,} pages, and names another one; what was "
                "read is kept. Tell its operator, or raise its page_size in the sources file."
            )
        if walks.repeats(self._walk, page.next_cursor):
            raise WalkLost(
                f"{self._name}: the source gave the same cursor twice ({str(page.next_cursor)[:80]!r}), so its pages "
                "run in a circle; what was read is kept. Tell its operator."
            )

    def _refuse_emptying(self, state: CrawlState) -> None:
        walk = state.walk
        assert walk is not None
        if walk.complete and walk.empty and walk.held:
            raise WalkLost(
                f"{self._name}: the source lists nothing at all, and it had listings before; nothing was withdrawn. "
                "Look at the source; where it really was emptied, remove it from the sources file."
            )

    def _fail(self, error: McpIndexerError, opened: Opened) -> Outcome:
        sent, seconds = self._since_last_step(opened)
        self.state = counted(self.state, Counts(requests=sent), seconds)
        outcome = self._ended = self._outcome("failed", str(error))
        with self._database.write() as connection:
            leases.check(connection, self._lease)
            self._append(connection, end_of(self._walk, outcome), self.state.crawl)
            state = crawls.failed(self.state, error, at=self._clock())
            leases.save(connection, self._lease, state)
            leases.release(connection, self._lease)
        return outcome

    def _append(self, connection: Connection, event: AnyEvent, crawl: CrawlId | None) -> None:
        append(connection, [Write(crawls_stream(self._name), event)], at=self._clock(), crawl=crawl)

    def _outcome(self, status: CrawlStatus, error: str | None = None) -> Outcome:
        return outcome_of(self._name, self._walk, status, error)
