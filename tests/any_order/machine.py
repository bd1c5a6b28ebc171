"""The state machine: what can happen upstream, on the way and to us, and what has to be so after every crawl."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import select, update

from indexer.absence import ALWAYS_FEW
from indexer.errors import LeaseHeld, LeaseLost
from indexer.leases import STATES
from indexer.projections.checkpoints import live_build
from indexer.projections.rows import ENTRIES
from indexer.verify import check_catalogue, check_log
from tests.any_order.log import Reader
from tests.any_order.mortal import Killed, Mortal
from tests.any_order.upstream import KINDS, Change, Key, Upstream
from tests.crawling import Crawler
from workers.crawl import Crawl
from workers.outcome import Outcome
from workers.sample.answers import Request
from workers.sample.faults import Fault, Faults
from workers.sample.problems import Answer
from workers.sample.serve import SampleServer

START = datetime(2026, 9, 1, 12, tzinfo=UTC)
TICK = timedelta(milliseconds=1)
PAGE_SIZE = 15

changes = st.builds(Change, st.sampled_from(KINDS), st.integers(0, 50))
few = st.lists(changes, max_size=4)
passing: st.SearchStrategy[Fault] = st.sampled_from(["500", "429", "502", "503", "504", "cut", "reset", "html"])
lasting: st.SearchStrategy[Fault] = st.sampled_from(["wrong-key", "loop", "empty", "blank"])


New = Callable[[], AbstractContextManager[str]]
"""Makes a database with its tables; it is there as long as the context."""


class AnyOrder(RuleBasedStateMachine):
    """One source, its registry, and the crawls of it."""

    def __init__(self, server: SampleServer, new: New) -> None:
        super().__init__()
        self.server = server
        self.resources = ExitStack()
        self.database = Mortal(self.resources.enter_context(new()))
        self.crawler = Crawler(self.database, server.url, START, page_size=PAGE_SIZE)
        self.skew = timedelta()
        self.upstream = Upstream(lambda: self.crawler.now + self.skew)
        self.reader = Reader()
        self.between: list[Change] = []
        self.listings = 0
        self.listed: set[Key] = set()
        self.excused = False
        self.began_at: datetime | None = None
        self.moved_before_walk = 0
        server.registry, server.faults = self.upstream.registry, Faults(hook=self._hook)

    def teardown(self) -> None:
        """At the end all is well: an audit finds all, and a rebuild is what grew."""
        try:
            self.database.revive()
            self._end_lease()
            wait = iter(range(4))
            while (last := self._crawl(audit=True)).status == "parked" or last.mode == "incremental":
                assert next(wait) is not None
            catalogue, log = check_catalogue(self.database), check_log(self.database)
            assert (catalogue.digest, log.damaged) == (catalogue.expected, [])
        finally:
            self.crawler.close()
            self.resources.close()

    # What happens

    @initialize(minutes=st.sampled_from([0, -45, 45]))
    def clocks(self, minutes: int) -> None:
        """The registry's clock may be wrong, and so may ours."""
        self.skew = timedelta(minutes=minutes)

    @rule(some=st.lists(changes, min_size=1, max_size=5))
    def change(self, some: list[Change]) -> None:
        for one in some:
            self._apply(one)

    @rule(minutes=st.sampled_from([1, 11, 60, 25 * 60]))
    def wait(self, minutes: int) -> None:
        self.crawler.wait(60 * minutes)

    @rule(audit=st.booleans(), between=few)
    def crawl(self, audit: bool, between: list[Change]) -> None:
        self._end_lease()
        self._crawl(audit=audit, between=between)

    @rule(audit=st.booleans(), pages=st.integers(1, 4), between=few)
    def cut(self, audit: bool, pages: int, between: list[Change]) -> None:
        """As --max-pages does, a deploy, or a slice that has had its time."""
        self._end_lease()
        self._crawl(audit=audit, pages=pages, between=between)

    @rule(audit=st.booleans(), fault=passing, rate=st.sampled_from([0.2, 0.5, 1.0]), seed=st.integers(0, 9))
    def crawl_badly_connected(self, audit: bool, fault: Fault, rate: float, seed: int) -> None:
        self._end_lease()
        self._crawl(audit=audit, faults=Faults({fault: rate}, seed=seed))

    @rule(audit=st.booleans(), fault=lasting, seed=st.integers(0, 9))
    def crawl_what_has_gone_mad(self, audit: bool, fault: Fault, seed: int) -> None:
        self._end_lease()
        self._crawl(audit=audit, faults=Faults({fault: 0.5}, seed=seed))

    @rule(audit=st.booleans(), after=st.integers(1, 6), committed=st.booleans(), between=few)
    def kill(self, audit: bool, after: int, committed: bool, between: list[Change]) -> None:
        """Nobody gives the lease back; whoever comes before it runs out waits."""
        self._end_lease()
        self.database.die(after, committed=committed)
        try:
            self._crawl(audit=audit, between=between)
        except Killed:
            self._await_threads()
        killed = self.database.dead
        self.database.revive()
        self.reader.read(self.database)
        self._check_none_lost(believed=False)
        if killed and self._held():
            with pytest.raises(LeaseHeld):
                self.crawler.begin()

    @rule(audit=st.booleans(), before=st.integers(0, 3), other=st.sampled_from([1, 2, None]), between=few)
    def overtake(self, audit: bool, before: int, other: int | None, between: list[Change]) -> None:
        """A worker stands still for longer than its lease lasts, another goes on, and the first wakes up."""
        self._end_lease()
        self._crawl(audit=audit, pages=before)
        late = self._begin(audit=audit)
        self._end_lease()
        self._crawl(audit=audit, pages=other, between=between)
        with pytest.raises(LeaseLost):
            late.run(self.crawler.open())
        self._await_threads()
        self.reader.read(self.database)

    # How it is done, and what has to be so afterwards

    def _crawl(
        self,
        *,
        audit: bool,
        pages: int | None = None,
        between: list[Change] | None = None,
        faults: Faults | None = None,
    ) -> Outcome:
        self.server.faults = faults or Faults()
        self.server.faults.hook = self._hook
        self.between, self.listings = list(between or ()), 0
        crawl = self._begin(audit=audit)
        was_parked, some_wait = crawl.state.parked is not None, crawl.state.candidates
        outcome = crawl.run(self.crawler.open(), max_pages=pages)
        self._await_threads()
        self.server.faults, self.between = Faults(hook=self._hook), []
        self.reader.read(self.database)
        lied = faults is not None and "empty" in faults.rates
        allowed = {"completed", *["interrupted"] * (pages is not None), *["failed"] * (faults is not None)}
        gone = self.listed - self.upstream.versions().keys() | self._moving
        assert outcome.status in allowed | ({"parked"} if lied or len(gone) > ALWAYS_FEW else set()), outcome
        assert outcome.counts.withdrawn <= ALWAYS_FEW or some_wait
        if lied and outcome.status != "failed":
            self._excuse()
        elif outcome.status in ("completed", "parked"):
            # Who answers with a web page when asked for one version cannot be asked: it waits for the next walk.
            waits = outcome.status == "parked" or (faults is not None and "html" in faults.rates)
            self._check(outcome, waits=waits)
        self._check_none_lost(believed=lied and was_parked)
        return outcome

    def _begin(self, *, audit: bool) -> Crawl:
        self.crawler.now += TICK
        crawl = self.crawler.begin(audit=audit)
        assert crawl.state.walk is not None
        if crawl.state.walk.started_at != self.began_at:
            self.began_at, self.moved_before_walk = crawl.state.walk.started_at, self.upstream.moved
        return crawl

    @property
    def _moving(self) -> set[Key]:
        """What changed since the walk under way began."""
        return {key for key, moved in self.upstream.moved_at.items() if moved > self.moved_before_walk}

    def _check(self, outcome: Outcome, *, waits: bool) -> None:
        """What did not move during the walk is as the registry has it, as far as that walk could know; what is listed
        no more may have to wait.
        """
        moving = self._moving
        there, found = self.upstream.versions(), self.crawler.versions()
        if outcome.mode == "incremental":
            known = there.keys() - moving - self.upstream.hidden
        else:
            assert self.excused or (outcome.missed or 0) <= len(self.upstream.revived)
            self.excused = False
            self.upstream.revived &= moving
            known = (there.keys() | found.keys()) - moving
            if waits:
                known &= there.keys()
            assert outcome.status == "completed" or found.keys() >= self.listed
            self.upstream.hidden &= moving
        assert {key: found.get(key) for key in known} == {key: there.get(key) for key in known}
        if not moving and not waits and outcome.mode != "incremental":
            assert self._latest() == self.upstream.latest()

    def _check_none_lost(self, *, believed: bool) -> None:
        """What the catalogue listed it still lists, as long as the registry does all the while; only who parked a crawl
        and says the same again is `believed`.
        """
        found, there = self.crawler.versions().keys(), self.upstream.versions().keys()
        assert believed or (self.listed & there) - self._moving - found == set()
        self.listed = set(found)

    def _excuse(self) -> None:
        """Who is told that there is nothing more believes it; the next walk says what was missed."""
        self.excused = True
        self.upstream.hidden |= self.upstream.versions().keys()

    def _latest(self) -> dict[str, str]:
        with self.database.read() as connection:
            live = ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None)
            rows = connection.execute(select(ENTRIES.c.name, ENTRIES.c.document).where(*live))
            return {name: json.loads(document)["version"] for name, document in rows}

    def _hook(self, request: Request) -> Answer | None:
        if request.path.endswith("/servers"):
            self.listings += 1
            if self.listings > 1 and self.between:
                self._apply(self.between.pop(0))
        return None

    def _apply(self, change: Change) -> None:
        self.crawler.now += TICK
        self.upstream.apply(change)

    def _end_lease(self) -> None:
        """The lease of whoever died or stands still runs out."""
        with self.database.write() as connection:
            connection.execute(update(STATES).values(held_until=0))

    def _held(self) -> bool:
        with self.database.read() as connection:
            return connection.scalar(select(STATES.c.holder)) is not None

    def _await_threads(self) -> None:
        """What was fetched ahead when a crawl ended comes to its end too."""
        for thread in threading.enumerate():
            if thread.name == "next page":
                thread.join()
