"""The crawl loop: one source, one walk, page by page, each recorded before the next is asked for.

It can be stopped between any two pages, or killed anywhere: where it stands is in the database, written in the
transaction of the page that it covers.
"""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, Protocol

from sqlalchemy import Connection

from indexer import crawls, leases, quarantine
from indexer.clock import Clock
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import (
    ConfigurationError,
    LeaseLost,
    McpIndexerError,
    SourceMalformed,
    SourceRefused,
    SourceUnavailable,
    StoreUnavailable,
)
from indexer.record import add, lists_something, record_page
from indexer.store import Appended, Write, append
from schemas.events import Counts, CrawlCompleted, CrawlFailed, CrawlStarted, Mode
from schemas.names import CrawlId, SourceName, crawls_stream
from schemas.observations import Page
from workers.ahead import PageAhead
from workers.source import Source

CrawlStatus = Literal["completed", "interrupted", "parked", "failed"]
RENEW_SECONDS = 15.0
"""A crawl says so often that it still lives."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crawl came to. `missed` and `silent` are None outside audits, `mode` where it never began."""

    source: SourceName
    mode: Mode | None
    status: CrawlStatus
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    missed: int | None = None
    silent: int | None = None
    error: str | None = None
    by_hand: bool = False
    """Whether a person interrupted it."""


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
        supports_since: bool,
        *,
        clock: Clock,
        address: str = "",
        audit: bool = False,
        audit_every: timedelta = timedelta.max,
    ) -> None:
        """Takes the lease, and begins a crawl or goes on with the one that was interrupted. Raises LeaseHeld.

        It is an audit where that is asked for, or where the last full walk began longer ago than `audit_every`.
        """
        self._database, self._name, self._clock = database, name, clock
        with database.write() as connection:
            self._lease, state = leases.claim(connection, name, holder=leases.this_process())
            state = crawls.asked_at(state, address)
            now = clock()
            audit = audit or (state.full_at is not None and now - state.full_at >= audit_every)
            crawl = CrawlId(uuid.uuid4().hex)
            state, new = crawls.begin(state, crawl=crawl, at=now, audit=audit, supports_since=supports_since)
            self.state = state
            if new:
                walk = self._walk
                begun = CrawlStarted(source=name, mode=walk.mode, since=walk.since, cursor=walk.cursor)
                self._append(connection, begun)
            leases.save(connection, self._lease, state)
        self._timed = time.monotonic()
        self._over = threading.Event()
        self._requests = 0

    def run(
        self,
        opened: Opened,
        *,
        max_pages: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[CrawlState], None] = lambda _: None,
        recorded: Callable[[Appended], None] = lambda _: None,
    ) -> Outcome:
        """Fetches and records until the walk ends, `max_pages` are done, or `stop` says so; what is being fetched ahead
        when it says so is recorded too. `recorded` hears what a page appended, once it is committed.

        Raises LeaseLost where another process took over.
        """
        beat = threading.Thread(target=self._keep_lease, name=f"lease of {self._name}", daemon=True)
        beat.start()
        try:
            return self._run(opened, max_pages, stop, progress, recorded)
        except BaseException:
            with suppress(McpIndexerError):  # whatever it was, the next crawl need not wait
                self.release()
            raise
        finally:
            self._over.set()
            beat.join()

    def _run(
        self,
        opened: Opened,
        max_pages: int | None,
        stop: Callable[[], bool],
        progress: Callable[[CrawlState], None],
        recorded: Callable[[Appended], None],
    ) -> Outcome:
        since = self._walk.since
        ahead = PageAhead(lambda cursor: opened.source.fetch(since, cursor))
        pages = 0
        try:
            last = max_pages == 0
            while not last:
                page = ahead.take(self._walk.cursor)
                self._refuse_circle(page)
                pages += 1
                last = pages == max_pages or stop()
                if page.next_cursor is not None and not last:
                    ahead.begin(page.next_cursor)
                done = self._record(page, opened, recorded)
                progress(self.state)
                if done is not None:
                    return done
        except SourceUnavailable as error:
            return self._fail(str(error), opened, resume=True)
        except (SourceRefused, SourceMalformed, ConfigurationError) as error:
            return self._fail(str(error), opened, resume=False)
        except KeyboardInterrupt:
            self.release()
            return replace(self._outcome("interrupted"), by_hand=True)
        self.release()
        return self._outcome("interrupted")

    def _keep_lease(self) -> None:
        """Says every now and then that this crawl lives, however long a page or the index takes."""
        while not self._over.wait(RENEW_SECONDS):
            try:
                with self._database.write() as connection:
                    leases.renew(connection, self._lease)
            except LeaseLost:
                return  # the next page finds out
            except StoreUnavailable:
                continue  # and so does this

    def release(self) -> None:
        """Gives the lease back; the crawl is interrupted and can be taken up by whoever comes next."""
        with self._database.write() as connection:
            leases.release(connection, self._lease)

    @property
    def _walk(self) -> crawls.Walk:
        assert self.state.walk is not None, "a crawl under way has a walk"
        return self.state.walk

    def _record(self, page: Page, opened: Opened, recorded: Callable[[Appended], None]) -> Outcome | None:
        """One page, in one transaction; with the last one, the end of the crawl."""
        now, sent = time.monotonic(), opened.requests  # which goes on rising: the next page is asked for meanwhile
        with self._database.write() as connection:
            state, appended = record_page(
                connection,
                self._lease,
                self.state,
                page,
                at=self._clock(),
                requests=sent - self._requests,
                seconds=now - self._timed,
            )
            if page.next_cursor is None:
                self._refuse_emptying(connection, state)
                self.state = state
                outcome = self._outcome("completed")
                self._let_go_of_quarantined(connection)
                self._append(
                    connection,
                    CrawlCompleted(
                        source=self._name,
                        mode=self._walk.mode,
                        counts=outcome.counts,
                        seconds=round(outcome.seconds, 3),
                        mark=self._walk.mark,
                        missed=outcome.missed,
                        silent=outcome.silent,
                    ),
                )
                leases.save(connection, self._lease, crawls.completed(state, at=self._clock()))
                leases.release(connection, self._lease)
        if appended is not None:
            recorded(appended)
        self.state = state
        self._requests, self._timed = sent, now
        return outcome if page.next_cursor is None else None

    def _refuse_circle(self, page: Page) -> None:
        if crawls.repeats(self._walk, page.next_cursor):
            raise SourceMalformed(
                f"{self._name}: the source gave the same cursor twice ({str(page.next_cursor)[:80]!r}), so its pages "
                "run in a circle; what was read is kept. Tell its operator."
            )

    def _refuse_emptying(self, connection: Connection, state: CrawlState) -> None:
        walk = state.walk
        assert walk is not None
        if walk.mode == "incremental" or not walk.empty:
            return
        if lists_something(connection, self._name):
            raise SourceMalformed(
                f"{self._name}: the source lists nothing at all, and it had listings before; nothing was withdrawn. "
                "Look at the source; where it really was emptied, remove it from the sources file."
            )

    def _let_go_of_quarantined(self, connection: Connection) -> None:
        """What a complete walk did not meet is mended, or is not listed any more."""
        if self._walk.mode != "incremental":
            gone = quarantine.let_go_unmet(connection, self._name, walk=self._walk.started_at)
            append(connection, gone, at=self._clock(), crawl=self.state.crawl)

    def _fail(self, error: str, opened: Opened, *, resume: bool) -> Outcome:
        more = Counts(requests=opened.requests - self._requests)
        walk = self._walk.model_copy(
            update={
                "counts": add(self._walk.counts, more),
                "seconds": self._walk.seconds + time.monotonic() - self._timed,
            }
        )
        self.state = self.state.model_copy(update={"walk": walk})
        outcome = self._outcome("failed", error)
        with self._database.write() as connection:
            leases.check(connection, self._lease)
            self._append(
                connection,
                CrawlFailed(
                    source=self._name,
                    mode=self._walk.mode,
                    counts=outcome.counts,
                    seconds=round(outcome.seconds, 3),
                    error=error,
                ),
            )
            leases.save(connection, self._lease, crawls.failed(self.state, at=self._clock(), resume=resume))
            leases.release(connection, self._lease)
        return outcome

    def _append(self, connection: Connection, event: CrawlStarted | CrawlCompleted | CrawlFailed) -> None:
        append(connection, [Write(crawls_stream(self._name), event)], at=self._clock(), crawl=self.state.crawl)

    def _outcome(self, status: CrawlStatus, error: str | None = None) -> Outcome:
        walk = self._walk
        audit = walk.mode == "audit"
        return Outcome(
            source=self._name,
            mode=walk.mode,
            status=status,
            counts=walk.counts,
            seconds=walk.seconds,
            missed=walk.missed if audit else None,
            silent=walk.silent if audit else None,
            error=error,
        )
