"""What a complete walk does not see: withdrawn after a second look, never for one absence, never many at once."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from indexer import leases
from indexer.absence import judge
from indexer.candidates import CANDIDATES, SEEN
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import SourceGone, SourceMalformed, SourceRefused, SourceUnavailable
from indexer.following import read_all
from indexer.held import HELD
from indexer.migrations import migrate
from indexer.walks import Settling
from schemas.about import OFFICIAL
from schemas.events import AnyEvent, CrawlParked, ListingWithdrawn
from schemas.names import Cursor, SourceName
from schemas.observations import Observation, Page, Unidentified
from tests.indexer import made
from workers.crawl import Crawl
from workers.outcome import Outcome
from workers.source import Traits

NAME = SourceName("official")
START = datetime(2026, 9, 1, 12, tzinfo=UTC)

REGISTRY = Traits("registry.test", supports_since=True, listing_is_complete=True, ordered=True)

Version = tuple[str, str]


def seen(version: Version, status: str = "active") -> Observation:
    message = None if status == "active" else f"{status} \ud800"  # what only the standard library writes
    meta = {OFFICIAL: {"status": status, "statusMessage": message, "updatedAt": "2026-08-01T00:00:00Z"}}
    return made.seen({"name": version[0], "version": version[1]}, meta)


def tools(*numbers: int) -> list[Version]:
    return [(f"com.example/tool-{number:04}", "1.0.0") for number in numbers]


@dataclass
class Upstream:
    """Lists versions a few a page, in byte order unless told otherwise; knows more by itself than it lists."""

    listed: list[Version] = field(default_factory=list)
    hidden: dict[Version, str] = field(default_factory=dict)
    """What it lists no more and still has, with a status."""
    too_large: list[Version] = field(default_factory=list)
    page_size: int = 5
    ordered: bool = True
    refuses_to_look: BaseException | None = None
    looked_for: list[Version] = field(default_factory=list)
    before_page: Callable[[int], None] = lambda _: None
    requests: int = 0

    @property
    def source(self) -> "Upstream":
        return self

    def fetch(self, since: datetime | None, cursor: Cursor | None) -> Page:
        self.requests += 1
        start = int(cursor or 0)
        self.before_page(start // self.page_size)
        rows = [] if since is not None else sorted(self.listed) if self.ordered else list(self.listed)
        shown = rows[start : start + self.page_size]
        more = start + self.page_size < len(rows)
        return Page(tuple(map(self.show, shown)), Cursor(str(start + self.page_size)) if more else None, START)

    def show(self, version: Version, status: str = "active") -> Observation | Unidentified:
        found = seen(version, status)
        if version in self.too_large:
            version_of = (found.key, version[1])
            return Unidentified(found.record, "the record is too large", found.record, version_of=version_of)
        return found

    def look(self, key: str, version: Any) -> Observation | Unidentified:
        self.requests += 1
        self.looked_for.append((key, version))
        if self.refuses_to_look is not None:
            raise self.refuses_to_look
        if (key, version) in self.listed:
            return self.show((key, version))
        if (key, version) in self.hidden:
            return self.show((key, version), self.hidden[key, version])
        raise SourceGone("404")


@dataclass
class Watched:
    """A source and the log of what it said."""

    database: Database
    upstream: Upstream = field(default_factory=Upstream)
    traits: Traits = REGISTRY
    now: datetime = START

    def audit(self, *, pages: int | None = None) -> Outcome:
        self.now += timedelta(hours=1)
        self.upstream.requests = 0
        return self.begin().run(self.upstream, max_pages=pages)

    def begin(self) -> Crawl:
        return Crawl(self.database, NAME, self.traits, clock=lambda: self.now, audit=True)

    @property
    def events(self) -> list[AnyEvent]:
        return [recorded.event for recorded in read_all(self.database)]

    @property
    def withdrawn(self) -> list[Version]:
        """What the log says was withdrawn, in order."""
        return [(e.name, e.version) for e in self.events if isinstance(e, ListingWithdrawn)]

    @property
    def held(self) -> list[Version]:
        """What is held and not withdrawn."""
        with self.database.read() as connection:
            rows = connection.execute(select(HELD.c.key, HELD.c.slot).where(HELD.c.withdrawn.is_(False)))
            return sorted((row.key, row.slot) for row in rows)

    @property
    def state(self) -> CrawlState:
        with self.database.read() as connection:
            return CrawlState.model_validate_json(connection.scalar(select(leases.STATES.c.state)) or "{}")

    @property
    def left_over(self) -> int:
        """Rows of working state about absence."""
        with self.database.read() as connection:
            return sum(len(connection.execute(select(rows)).all()) for rows in (CANDIDATES, SEEN))


@pytest.fixture
def watched(database_url: str) -> Iterator[Watched]:
    database = Database(database_url)
    migrate(database)
    yield Watched(database)
    database.close()


def test_what_is_gone_when_asked_for_is_withdrawn_at_once(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(40))
    watched.audit()
    watched.upstream.listed = tools(*range(3), *range(4, 17), *range(20, 39))
    outcome = watched.audit()
    gone = tools(3, 17, 18, 19, 39)
    assert (outcome.status, outcome.counts.withdrawn, outcome.counts.unchanged) == ("completed", 5, 35)
    assert sorted(watched.withdrawn) == gone
    assert watched.upstream.looked_for == [*tools(0), *gone]  # the first, to see whether it can be asked at all
    assert outcome.counts.requests == 7 + 6
    assert watched.held == sorted(watched.upstream.listed)
    assert watched.left_over == 0


def test_what_is_there_when_asked_for_stays_with_what_it_says_of_itself(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.hidden = {tools(4)[0]: "active", tools(9)[0]: "deleted"}
    watched.upstream.listed = tools(0, 1, 2, 3, 5, 6, 7, 8)
    outcome = watched.audit()
    counts = outcome.counts
    assert (outcome.status, counts.withdrawn) == ("completed", 0)
    assert (counts.observed, counts.unchanged, counts.status_changed) == (10, 9, 1)
    assert (watched.withdrawn, watched.left_over) == ([], 0)


def test_what_is_known_to_be_deleted_is_not_missing_where_a_source_does_not_list_that(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.hidden = {tools(9)[0]: "deleted"}
    watched.upstream.listed = tools(*range(9))
    assert watched.audit().counts.status_changed == 1
    watched.traits = replace(REGISTRY, lists_deleted=False)
    watched.upstream.looked_for.clear()
    assert watched.audit().status == "completed"
    assert (watched.upstream.looked_for, watched.withdrawn) == ([], [])


def test_nor_where_it_is_told_not_to_list_that_in_the_middle_of_a_walk(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.hidden = {tools(9)[0]: "deleted"}
    watched.upstream.listed = tools(*range(9))
    assert watched.audit().counts.status_changed == 1
    assert watched.audit(pages=1).status == "interrupted"
    watched.traits = replace(REGISTRY, lists_deleted=False)
    watched.upstream.looked_for.clear()
    assert watched.audit().status == "completed"
    assert (watched.upstream.looked_for, watched.withdrawn) == ([], [])


def test_what_is_listed_in_a_form_that_cannot_be_kept_is_listed(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.too_large = tools(4, 9)
    for _ in range(3):
        outcome = watched.audit()
        assert (outcome.counts.withdrawn, outcome.counts.quarantined, outcome.counts.unchanged) == (0, 2, 8)
    watched.upstream.listed = tools(*range(9))
    watched.upstream.hidden[tools(9)[0]] = "active"  # known by itself, still too large
    assert watched.audit().counts.withdrawn == 0
    assert watched.left_over == 0


def test_what_was_never_held_hides_no_absence(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    new = ("com.example/tool-0004", "2.0.0")  # as many on its page as are held between the page's ends
    watched.upstream.listed, watched.upstream.too_large = [*tools(*range(5), *range(6, 10)), new], [new]
    assert watched.audit().counts.withdrawn == 1
    assert watched.withdrawn == tools(5)


def test_a_version_that_two_pages_show_hides_no_absence(watched: Watched) -> None:
    """Where pages are counted out, one that is new pushes the last of a page onto the next."""
    watched.upstream.listed = tools(*range(10))
    watched.audit()

    def publish(page: int) -> None:
        if page == 1:
            watched.upstream.listed = [("com.example/tool-0000", "0.1.0"), *tools(*range(6), *range(7, 10))]

    watched.upstream.before_page = publish
    assert watched.audit().counts.withdrawn == 1
    assert watched.withdrawn == tools(6)


def test_what_comes_back_comes_back(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.listed = tools(*range(9))
    watched.audit()
    watched.upstream.listed = tools(*range(10))
    outcome = watched.audit()
    assert (outcome.counts.returned, outcome.counts.unchanged) == (1, 9)
    assert watched.held == tools(*range(10))


@pytest.mark.parametrize("answer", [SourceRefused("501"), SourceMalformed("HTML"), SourceGone("404 for everything")])
def test_where_it_cannot_be_asked_for_the_next_complete_walk_decides(watched: Watched, answer: BaseException) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.refuses_to_look = answer
    watched.upstream.listed = tools(*range(8))
    assert (watched.audit().status, watched.withdrawn) == ("completed", [])
    watched.upstream.listed = tools(*range(9))  # one of the two is back, another one is gone
    watched.upstream.listed.remove(*tools(0))
    outcome = watched.audit()
    assert (outcome.counts.withdrawn, watched.withdrawn) == (1, tools(9))
    watched.upstream.listed = tools(*range(9))
    watched.audit()
    assert watched.held == tools(*range(9))
    assert watched.left_over == 0


def test_a_version_without_an_address_does_not_say_that_no_other_has_one(watched: Watched) -> None:
    """One name or version that nobody can be asked for comes first, and all others can be."""
    odd = [("..", "1.0.0"), ("a\x00", "1.0.0"), ("b", "\ud800"), ("c", "latest")]
    watched.upstream.listed = [*odd, *tools(*range(10))]
    watched.audit()
    watched.upstream.listed = [*odd, *tools(*range(9))]
    assert watched.audit().counts.withdrawn == 1
    assert watched.upstream.looked_for == tools(0, 9)


def test_a_source_that_does_not_answer_a_second_look_is_asked_again(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.refuses_to_look = SourceUnavailable("503")
    watched.upstream.listed = tools(*range(8))
    outcome = watched.audit()
    assert (outcome.status, outcome.error, watched.withdrawn) == ("failed", "503", [])
    watched.upstream.refuses_to_look = None
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn) == ("completed", 2)
    assert watched.upstream.requests == 3  # no page is asked for again


def test_a_version_that_never_answers_holds_up_no_source(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    begun = watched.state.full_at
    watched.upstream.refuses_to_look = SourceUnavailable("500")
    watched.upstream.listed = tools(*range(8))
    assert watched.audit().status == "failed"
    outcome = watched.audit()
    assert (outcome.status, watched.withdrawn) == ("completed", [])
    assert watched.state.full_at != begun
    assert watched.audit().counts.withdrawn == 2  # as where it cannot be asked at all


def test_too_many_park_the_crawl_before_any_second_look(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(300))
    watched.audit()
    watched.upstream.listed = tools(*range(269))  # 31 of 300: more than a tenth
    outcome = watched.audit()
    assert (outcome.status, outcome.candidates, outcome.needs_approval) == ("parked", 31, False)
    assert (watched.upstream.looked_for, watched.withdrawn, len(watched.held)) == ([], [], 300)
    parked = [event for event in watched.events if isinstance(event, CrawlParked)]
    assert [(event.candidates, event.mode, event.needs_approval) for event in parked] == [(31, "audit", False)]
    assert watched.state.parked is not None
    assert watched.state.mark is not None
    watched.upstream.listed = tools(*range(270), 299)  # two are back
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn, outcome.counts.unchanged) == ("completed", 29, 271)
    assert watched.held == sorted(watched.upstream.listed)
    assert watched.state.parked is None
    assert watched.left_over == 0


@pytest.mark.parametrize(
    ("held", "unseen", "parked"), [(20, 10, 0), (50, 20, 0), (50, 21, 21), (1000, 100, 0), (1000, 101, 101)]
)
def test_a_tenth_or_twenty_is_not_too_many(held: int, unseen: int, parked: int) -> None:
    assert judge(held=held, unseen=unseen, twice=0) == Settling(withdraw=True, parked=parked)


def test_who_saw_less_than_half_waits_for_approval_however_often(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(30))
    watched.audit()
    watched.upstream.listed = tools(*range(14))
    for _ in range(3):
        outcome = watched.audit()
        assert (outcome.status, outcome.candidates, outcome.needs_approval) == ("parked", 16, True)
    assert (watched.withdrawn, watched.upstream.looked_for) == ([], [])


def test_a_parked_crawl_lets_nothing_out_of_quarantine(watched: Watched) -> None:
    watched.upstream.listed, watched.upstream.too_large = tools(*range(30)), tools(29)
    watched.audit()
    watched.upstream.listed = tools(*range(9))
    assert watched.audit().status == "parked"
    watched.upstream.listed = tools(*range(30))
    watched.audit()
    assert [e.type for e in watched.events if e.type.startswith("record.")] == ["record.quarantined"]
    watched.upstream.listed = tools(*range(29))
    watched.audit()
    assert [e.type for e in watched.events if e.type.startswith("record.")][1:] == ["record.released"]


def test_new_absences_beside_parked_ones_are_judged_by_themselves(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(300))
    watched.audit()
    watched.upstream.listed = tools(*range(250))
    assert watched.audit().status == "parked"
    watched.upstream.listed = tools(*range(248))
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn) == ("completed", 52)
    assert watched.upstream.looked_for == tools(0, 248, 249)
    watched.upstream.listed = tools(*range(210))
    assert watched.audit().status == "parked"
    watched.upstream.listed = tools(*range(170))
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn, outcome.candidates) == ("parked", 38, 40)


def test_a_walk_that_was_not_completed_says_nothing_of_what_it_did_not_see(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(20))
    watched.audit()
    watched.upstream.refuses_to_look = SourceRefused("501")
    watched.upstream.listed = tools(*range(1, 20))
    watched.audit(pages=2)
    watched.now += timedelta(days=2)  # it is too old, and walked again
    watched.upstream.listed = tools(*range(20))
    assert watched.audit().status == "completed"
    watched.upstream.listed = tools(*range(1, 20))
    watched.audit(pages=2)
    watched.now += timedelta(days=2)
    assert (watched.audit().counts.withdrawn, watched.withdrawn) == (0, [])
    assert (watched.audit().counts.withdrawn, watched.withdrawn) == (1, tools(0))


def test_a_search_is_never_complete(watched: Watched) -> None:
    watched.traits = Traits("search.test", supports_since=False, listing_is_complete=False, ordered=False)
    watched.upstream.listed = tools(*range(10))
    watched.audit()
    watched.upstream.listed = tools(*range(2))
    assert watched.audit().status == "completed"
    assert watched.audit().status == "completed"
    assert (watched.withdrawn, watched.left_over, len(watched.held)) == ([], 0, 10)


@pytest.mark.parametrize("declared", [True, False])
def test_of_a_source_without_an_order_what_was_seen_is_marked(watched: Watched, declared: bool) -> None:
    """One that declares an order and does not keep it is found out by its first walk."""
    watched.traits = replace(REGISTRY, ordered=declared)
    watched.upstream.ordered = False
    watched.upstream.listed = tools(*range(20, 40), *range(20))
    watched.audit()
    assert watched.state.unordered
    watched.upstream.listed = tools(*range(39, 1, -1))
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn) == ("completed", 2)
    assert watched.held == tools(*range(2, 40))
    assert watched.left_over == 0


def test_a_source_that_loses_its_order_withdraws_nothing_in_that_walk(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(40))
    watched.audit()
    watched.upstream.ordered = False
    watched.upstream.listed = tools(*range(39, 4, -1))
    assert (watched.audit().counts.withdrawn, watched.state.unordered, watched.left_over) == (0, True, 0)
    assert watched.audit().counts.withdrawn == 5


def test_zero_records_are_a_failure_and_no_emptying(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(3))
    watched.audit()
    watched.upstream.listed = []
    outcome = watched.audit()
    assert outcome.status == "failed"
    assert "lists nothing at all" in str(outcome.error)
    assert (watched.withdrawn, len(watched.held), watched.left_over) == ([], 3, 0)


def test_a_crawl_stops_and_goes_on_between_second_looks(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(20))
    watched.audit()
    watched.upstream.listed = tools(*range(10))
    crawl = watched.begin()
    stops = itertools.count()
    outcome = crawl.run(watched.upstream, stop=lambda: next(stops) >= 2 + 4)
    assert (outcome.status, len(watched.withdrawn)) == ("interrupted", 4)
    outcome = watched.audit()
    assert (outcome.status, outcome.counts.withdrawn) == ("completed", 10)
    assert sorted(watched.withdrawn) == tools(*range(10, 20))
    kinds = [event.type for event in watched.events if event.type.startswith("crawl.")]
    assert kinds == ["crawl.started", "crawl.completed"] * 2


def test_an_unchanged_walk_leaves_no_trace_of_comparing(watched: Watched) -> None:
    watched.upstream.listed = tools(*range(23))
    watched.audit()
    before = len(watched.events)
    watched.audit()
    assert len(watched.events) == before + 2
    assert watched.left_over == 0


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.sets(st.integers(0, 60), min_size=1),
    walks=st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=1, max_size=4),
    page_size=st.integers(1, 70),
    ordered=st.booleans(),
    seed=st.integers(),
)
def test_after_enough_walks_and_approvals_what_is_held_is_what_is_listed(
    tmp_path_factory: pytest.TempPathFactory,
    first: set[int],
    walks: list[set[int]],
    page_size: int,
    ordered: bool,
    seed: int,
) -> None:
    """Nothing that is listed is ever withdrawn, and what is gone goes, in at most two walks where half of it stays."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('log') / 'log.sqlite'}")
    migrate(database)
    watched = Watched(database, Upstream(page_size=page_size, ordered=ordered))
    shuffle = random.Random(seed).shuffle
    for numbers in [first, *walks]:
        watched.upstream.listed = tools(*numbers)
        shuffle(watched.upstream.listed)
        outcome = watched.audit()
        assert set(watched.held) >= set(watched.upstream.listed)
        for _ in range(2):
            if set(watched.held) != set(watched.upstream.listed) and not outcome.needs_approval:
                outcome = watched.audit()
        if not outcome.needs_approval:
            assert watched.held == sorted(watched.upstream.listed)
    database.close()
