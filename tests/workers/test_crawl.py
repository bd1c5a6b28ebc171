"""The crawl loop over a source that answers what it is told: what is kept, what is dropped, what is refused."""

import threading
from collections.abc import Callable, Iterator
from contextlib import _GeneratorContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

import indexer.database
import indexer.walks
import workers.lease_keeper
from indexer import leases
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import (
    ConfigurationError,
    CursorRefused,
    LeaseHeld,
    LeaseLost,
    McpIndexerError,
    SourceGone,
    SourceMalformed,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
    WalkLost,
)
from indexer.following import read_all
from indexer.leases import STATES
from indexer.migrations import migrate
from indexer.record import record_page
from indexer.store import Appended, last_position
from indexer.walks import OVERLAP
from schemas.about import OFFICIAL
from schemas.events import AnyEvent, Counts, CrawlCompleted, CrawlFailed, CrawlStarted, ListingEvent
from schemas.names import Cursor, Position, SourceName
from schemas.observations import Observation, Page, Unidentified
from tests.indexer import made
from tests.waiting import wait_until
from workers.crawl import Crawl
from workers.outcome import Outcome
from workers.source import Traits

NAME = SourceName("official")
START = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Given = Page | BaseException | Callable[[], Page]


def seen(number: int) -> Observation:
    """A version as the source shows it."""
    meta = {OFFICIAL: {"status": "active", "updatedAt": "2026-08-01T00:00:00Z"}}
    return made.seen({"name": f"com.example/tool-{number}", "version": "1.0.0"}, meta)


def page(*numbers: int, then: str | None = None, served_at: datetime | None = START) -> Page:
    return Page(tuple(map(seen, numbers)), None if then is None else Cursor(then), served_at)


@dataclass
class FakeSource:
    """Answers by cursor; an error is raised, a function called. It is its own `Opened`, and counts its requests."""

    pages: dict[str | None, Given]
    alone: dict[int, BaseException | Observation] = field(default_factory=dict)
    """What it says of one version by itself: what its pages show, unless this says otherwise."""
    asked_for: list[str] = field(default_factory=list)
    asked: list[tuple[datetime | None, str | None]] = field(default_factory=list)

    @property
    def source(self) -> "FakeSource":
        return self

    @property
    def requests(self) -> int:
        return len(self.asked) + len(self.asked_for)

    def fetch(self, since: datetime | None, cursor: Cursor | None) -> Page:
        self.asked.append((since, cursor))
        given = self.pages[cursor]
        if isinstance(given, BaseException):
            raise given
        return given if isinstance(given, Page) else given()

    def look(self, key: str, version: Any) -> Observation:
        assert version == "1.0.0"
        self.asked_for.append(key)
        number = int(key.rpartition("-")[2])
        given = self.alone.get(number, SourceGone("404"))
        for one in self.pages.values():
            if isinstance(one, Page) and any(isinstance(r, Observation) and r.key == key for r in one.records):
                given = self.alone.get(number, seen(number))
        if isinstance(given, BaseException):
            raise given
        return given

    @property
    def cursors(self) -> list[str | None]:
        """The cursors that were asked for, in order."""
        return [cursor for _, cursor in self.asked]


@dataclass
class Crawls:
    """A database, and a clock that tests move."""

    database: Database
    now: datetime = START
    address: str = "registry.test"
    complete: bool = True
    ordered: bool = True

    def begin(
        self,
        *,
        audit: bool = False,
        since: bool = True,
        every: timedelta = timedelta.max,
        audit_every: timedelta = 7 * DAY,
    ) -> Crawl:
        traits = Traits(self.address, since, self.complete, self.ordered)
        often = {"every": every, "audit_every": audit_every}
        return Crawl(self.database, NAME, traits, clock=lambda: self.now, audit=audit, **often)

    def run(self, source: FakeSource, *, audit: bool = False, since: bool = True, pages: int | None = None) -> Outcome:
        return self.begin(audit=audit, since=since).run(source, max_pages=pages)

    def hourly(self, source: FakeSource, *, pages: int | None = None) -> Outcome:
        """A crawl of a source that is to be crawled every hour, and in full every week."""
        return self.begin(every=HOUR).run(source, max_pages=pages)

    @property
    def events(self) -> list[AnyEvent]:
        return [recorded.event for recorded in read_all(self.database)]

    @property
    def keys(self) -> list[str]:
        """The last parts of the names that were recorded, in order."""
        return [event.key.rpartition("-")[2] for event in self.events if isinstance(event, ListingEvent)]

    @property
    def of_crawls(self) -> list[str]:
        return [event.type for event in self.events if not isinstance(event, ListingEvent)]

    @property
    def state(self) -> CrawlState:
        """Where the source stands, read as the next crawl would."""
        with self.database.read() as connection:
            row = connection.execute(STATES.select().where(STATES.c.source == NAME)).one()
        return CrawlState.model_validate_json(row.state)

    @property
    def held(self) -> bool:
        with self.database.read() as connection:
            row = connection.execute(STATES.select().where(STATES.c.source == NAME)).one()
        return row.holder is not None


@pytest.fixture
def crawls(tmp_path: Path) -> Iterator[Crawls]:
    database = Database(f"sqlite:///{tmp_path / 'log.sqlite'}")
    migrate(database)
    yield Crawls(database)
    database.close()


def three() -> dict[str | None, Given]:
    """Three pages."""
    return {None: page(1, 2, then="b"), "b": page(3, then="c"), "c": page(4)}


def nothing() -> FakeSource:
    return FakeSource({None: page()})


def last(crawls: Crawls) -> AnyEvent:
    return crawls.events[-1]


# A crawl that completes


def test_a_crawl_asks_page_by_page_and_ends_with_its_counts(crawls: Crawls) -> None:
    source = FakeSource(three())
    outcome = crawls.run(source)
    assert source.asked == [(None, None), (None, "b"), (None, "c")]
    assert (outcome.mode, outcome.status, outcome.error) == ("full", "completed", None)
    counts = outcome.counts
    assert (counts.pages, counts.requests, counts.observed, counts.new) == (3, 3, 4, 4)
    assert crawls.keys == ["1", "2", "3", "4"]
    assert crawls.of_crawls == ["crawl.started", "crawl.completed"]
    ended = last(crawls)
    assert isinstance(ended, CrawlCompleted)
    assert (ended.counts, ended.mark) == (counts, START - OVERLAP)
    assert not crawls.held
    state = crawls.state
    assert (state.crawl, state.walk, state.mark, state.completed_at) == (None, None, START - OVERLAP, START)


def test_progress_is_told_after_each_page(crawls: Crawls) -> None:
    told: list[int] = []

    def tell(counts: Counts) -> None:
        told.append(counts.observed)

    crawls.begin().run(FakeSource(three()), progress=tell)
    assert told == [2, 3, 4]


def test_the_next_crawl_asks_for_what_changed_since_the_mark(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += HOUR
    source = nothing()
    outcome = crawls.run(source)
    assert (outcome.mode, source.asked) == ("incremental", [(START - OVERLAP, None)])
    assert crawls.state.mark == START - OVERLAP  # the upstream's clock stood still: the earlier one counts
    crawls.now += HOUR
    crawls.run(FakeSource({None: page(served_at=START + DAY)}))
    assert crawls.state.mark == START + 2 * HOUR - OVERLAP


def test_a_source_that_tells_no_time_is_asked_an_hour_back(crawls: Crawls) -> None:
    crawls.run(FakeSource({None: page(1, served_at=None)}))
    assert crawls.state.mark == START - HOUR - OVERLAP


def test_a_source_that_knows_no_since_is_walked_in_full_each_time(crawls: Crawls) -> None:
    assert crawls.run(FakeSource(three()), since=False).mode == "full"
    source = FakeSource(three())
    assert crawls.run(source, since=False).mode == "audit"
    assert source.asked[0] == (None, None)


def test_an_audit_comes_when_it_is_due(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 6 * HOUR
    assert crawls.begin(audit_every=DAY).run(nothing()).mode == "incremental"
    crawls.now += 18 * HOUR
    outcome = crawls.begin(audit_every=DAY).run(FakeSource(three()))
    assert (outcome.mode, outcome.missed, outcome.silent) == ("audit", 0, 0)
    crawls.now += HOUR
    assert crawls.begin(audit_every=DAY).run(nothing()).mode == "incremental"


# A crawl that is cut


@pytest.mark.parametrize("pages", [1, 2])
def test_a_crawl_that_was_cut_goes_on_as_the_same_crawl(crawls: Crawls, pages: int) -> None:
    source = FakeSource(three())
    outcome = crawls.run(source, pages=pages)
    assert (outcome.status, outcome.counts.pages, outcome.by_hand) == ("interrupted", pages, False)
    assert not crawls.held
    crawls.now += HOUR
    rest = FakeSource(three())
    outcome = crawls.run(rest, audit=True)
    assert (outcome.mode, outcome.status, outcome.counts.pages, outcome.counts.requests) == ("full", "completed", 3, 3)
    assert source.cursors + rest.cursors == [None, "b", "c"]
    assert crawls.of_crawls == ["crawl.started", "crawl.completed"]
    assert crawls.state.mark == START - OVERLAP  # of its beginning, not of its end


def test_a_crawl_that_is_told_to_stop_ends_after_its_page(crawls: Crawls) -> None:
    source = FakeSource(three())
    assert crawls.begin().run(source, stop=lambda: True).status == "interrupted"
    assert (source.cursors, crawls.keys) == ([None], ["1", "2"])


def test_an_interrupted_crawl_gives_its_lease_back(crawls: Crawls) -> None:
    outcome = crawls.run(FakeSource({**three(), "b": KeyboardInterrupt()}))
    assert (outcome.status, outcome.by_hand, outcome.counts.observed) == ("interrupted", True, 2)
    assert not crawls.held
    source = FakeSource(three())
    assert crawls.run(source).status == "completed"
    assert source.cursors == ["b", "c"]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_page_that_was_recorded_when_the_interrupt_came_counts(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine may let us hear of a commit only after the one who watches the log interrupts us."""
    monkeypatch.setattr(Crawl, "_done", interrupted)
    outcome = crawls.run(FakeSource(three()))
    assert crawls.keys == ["1", "2"]
    assert (outcome.status, outcome.counts.pages, outcome.counts.new) == ("interrupted", 1, 2)


def test_a_crawl_that_had_ended_when_the_interrupt_came_is_told_as_the_log_has_it(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawls.run(FakeSource(three()), pages=2)
    monkeypatch.setattr(Crawl, "_done", interrupted)
    outcome = crawls.run(FakeSource(three()))
    assert (outcome.status, outcome.by_hand, outcome.counts.pages) == ("completed", True, 3)
    ended = last(crawls)
    assert isinstance(ended, CrawlCompleted)
    assert (ended.counts, crawls.held) == (outcome.counts, False)


def test_an_increment_that_had_ended_is_not_told_as_the_audit_that_let_it_come_first(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 8 * DAY
    assert crawls.hourly(FakeSource({**three(), "c": SourceUnavailable("504")})).mode == "audit"
    crawls.now += HOUR / 4
    monkeypatch.setattr(Crawl, "_done", interrupted)
    outcome = crawls.hourly(FakeSource({None: page(5)}))
    assert (outcome.mode, outcome.status, outcome.counts.new) == ("incremental", "completed", 1)


def test_a_crawl_that_had_ended_is_told_so_though_the_next_one_has_begun(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        with crawls.database.write() as connection:
            leases.claim(connection, NAME, holder="another process")
        raise KeyboardInterrupt

    monkeypatch.setattr(Crawl, "_done", taken)
    outcome = crawls.run(FakeSource({None: page(1)}))
    assert (outcome.status, outcome.counts.pages, crawls.of_crawls[-1]) == ("completed", 1, "crawl.completed")


def test_an_interrupt_while_a_failure_is_recorded_lets_go_of_all(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it falls between two lines of a transaction, whose end then waits for its traceback's."""
    monkeypatch.setattr(indexer.database, "BUSY_SECONDS", 1)
    append, leave, fallen = Crawl._append, _GeneratorContextManager.__exit__, threading.Event()

    def appended(*arguments: Any) -> None:
        append(*arguments)
        fallen.set()

    def left(self: Any, kind: Any, *more: Any) -> Any:
        if fallen.is_set() and kind is None and self.gen.__qualname__ == "Database.write":
            fallen.clear()
            raise KeyboardInterrupt
        return leave(self, kind, *more)

    with monkeypatch.context() as patched:
        patched.setattr(Crawl, "_append", appended)
        patched.setattr(_GeneratorContextManager, "__exit__", left)
        outcome = crawls.run(FakeSource({**three(), "b": SourceUnavailable("504")}))
    assert (outcome.status, outcome.by_hand, outcome.counts.pages) == ("interrupted", True, 1)
    assert (crawls.held, crawls.of_crawls) == (False, ["crawl.started"])
    assert crawls.run(FakeSource(three())).status == "completed"


def test_who_is_interrupted_while_the_end_is_shown_says_so(crawls: Crawls) -> None:
    def show(counts: Counts) -> None:
        if counts.pages == 3:
            raise KeyboardInterrupt

    outcome = crawls.begin().run(FakeSource(three()), progress=show)
    assert (outcome.status, outcome.by_hand, outcome.counts.pages) == ("completed", True, 3)


def test_a_crawl_that_was_cut_more_than_a_day_ago_begins_again(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()), pages=2)
    crawls.now += DAY
    source = FakeSource(three())
    outcome = crawls.run(source)
    assert (outcome.mode, outcome.counts.new, outcome.counts.unchanged) == ("full", 1, 3)
    assert source.cursors == [None, "b", "c"]
    assert crawls.of_crawls == ["crawl.started", "crawl.failed", "crawl.started", "crawl.completed"]
    (given_up,) = [event for event in crawls.events if isinstance(event, CrawlFailed)]
    assert (given_up.counts.pages, given_up.error) == (
        2,
        "Given up: its walk began too long ago to go on, and starts again.",
    )
    assert not crawls.state.failed


def test_a_walk_may_take_twice_as_long_as_the_last_one(crawls: Crawls) -> None:
    def twenty_hours_later() -> Page:
        crawls.now += timedelta(hours=20)
        return page(3, then="c")

    crawls.run(FakeSource({**three(), "b": twenty_hours_later}))
    crawls.run(FakeSource(three()), audit=True, pages=2)
    crawls.now += timedelta(hours=39)
    source = FakeSource(three())
    assert crawls.run(source).counts.pages == 3
    assert source.cursors == ["c"]


def test_a_clock_that_was_put_back_does_not_keep_an_audit_away(crawls: Crawls) -> None:
    crawls.now += 365 * DAY
    crawls.run(FakeSource(three()))
    crawls.now = START
    assert crawls.run(FakeSource(three())).mode == "audit"
    crawls.now += HOUR
    assert crawls.run(nothing()).mode == "incremental"


def test_a_mark_of_a_clock_that_was_put_back_is_not_asked_from(crawls: Crawls) -> None:
    """Else nobody asks for what changed in between, and the next audit calls it missed."""
    crawls.run(FakeSource(three()))
    crawls.now += 5 * HOUR
    crawls.run(FakeSource({None: page(served_at=None)}))  # nor does the source tell the time
    crawls.now -= 4 * HOUR
    source = FakeSource({None: page(1, 2, 3, 4, 5, 6, 9)})
    outcome = crawls.run(source)
    assert (outcome.mode, outcome.missed, source.asked) == ("audit", 0, [(None, None)])
    crawls.now += HOUR
    assert crawls.run(nothing()).mode == "incremental"


def test_nor_is_one_that_lies_ahead_where_the_source_tells_the_time_now_and_then(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 5 * HOUR
    crawls.run(FakeSource({None: page(served_at=None)}))
    right = crawls.now - 5 * HOUR
    crawls.run(FakeSource({None: page(5, then="z", served_at=right), "z": SourceUnavailable("503")}))
    crawls.now -= 3 * HOUR
    source = FakeSource({None: page(1, 2, 3, 4, 5)})
    assert (crawls.run(source).mode, source.asked) == ("audit", [(None, None)])


def test_a_walk_that_begins_only_later_as_the_clock_says_now_begins_anew(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 5 * HOUR
    crawls.run(FakeSource({None: page(5, then="z", served_at=None)}), pages=1)
    crawls.now -= 4 * HOUR
    source = FakeSource({None: page(served_at=None)})
    assert crawls.run(source).status == "completed"
    assert source.asked == [(START - OVERLAP, None)]
    assert crawls.state.mark is not None
    assert crawls.state.mark < crawls.now
    failed = [event for event in crawls.events if isinstance(event, CrawlFailed)]
    assert "the clock" in failed[0].error


def test_a_mark_by_the_sources_own_clock_outlives_ours(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 5 * HOUR
    crawls.run(nothing())
    crawls.now -= 4 * HOUR
    source = FakeSource({None: page(9)})
    assert crawls.run(source).mode == "incremental"
    assert source.asked == [(START - OVERLAP, None)]


def test_increments_go_on_while_audits_fail(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    stuck = FakeSource({**three(), "c": SourceUnavailable("504")})
    crawls.now += 8 * DAY
    outcome = crawls.hourly(stuck)
    assert (outcome.mode, outcome.status) == ("audit", "failed")
    changed = FakeSource({None: page(7, then="z"), "z": page()})
    assert (crawls.hourly(changed, pages=1).mode, crawls.hourly(changed).mode) == ("incremental", "incremental")
    assert changed.asked == [(START - OVERLAP, None), (START - OVERLAP, "z")]
    mark = crawls.state.mark
    crawls.now += HOUR / 2
    outcome = crawls.hourly(stuck)
    assert (outcome.mode, outcome.status, outcome.counts.pages) == ("audit", "failed", 0)
    well = FakeSource({**three(), "c": page(4, 7)})
    outcome = crawls.hourly(well)
    assert (outcome.mode, outcome.status, well.cursors) == ("audit", "completed", ["c"])
    assert (outcome.missed, outcome.counts.withdrawn) == (0, 0)
    assert crawls.state.mark == mark  # the increment's, which began later


def test_what_an_increment_meets_before_an_audit_goes_on_stays_in_quarantine(crawls: Crawls) -> None:
    odd = Unidentified({}, "the record has no name", {})
    shown = {**three(), None: Page((seen(1), odd), Cursor("b"), START)}
    crawls.run(FakeSource(shown))
    crawls.now += 8 * DAY
    crawls.hourly(FakeSource({**shown, "c": SourceUnavailable("504")}))
    crawls.now += HOUR / 4
    assert crawls.hourly(FakeSource({None: Page((odd,), None, START)})).mode == "incremental"
    crawls.now += HOUR / 4
    assert crawls.hourly(FakeSource(shown)).mode == "audit"
    assert "record.released" not in crawls.of_crawls
    crawls.now += HOUR / 4
    assert (crawls.run(FakeSource(three()), audit=True).mode, crawls.of_crawls[-2]) == ("audit", "record.released")


def test_increments_go_on_while_audits_are_refused(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 8 * DAY
    odd = FakeSource({**three(), "b": SourceMalformed("a web page")})
    assert (crawls.hourly(odd).mode, crawls.hourly(nothing()).mode) == ("audit", "incremental")
    assert (crawls.hourly(odd).mode, crawls.hourly(odd).mode) == ("audit", "audit")
    crawls.now += HOUR
    assert (crawls.hourly(nothing()).mode, crawls.hourly(odd).mode) == ("incremental", "audit")


def test_an_audit_that_is_asked_for_waits_for_no_increment(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += 8 * DAY
    crawls.hourly(FakeSource({**three(), "c": SourceUnavailable("504")}))
    crawls.now += HOUR
    source = FakeSource(three())
    assert (crawls.begin(audit=True, every=HOUR).run(source).mode, source.cursors) == ("audit", ["c"])


def test_an_increment_that_was_cut_gives_way_to_an_audit(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.run(FakeSource({None: page(5, then="z")}), pages=1)
    source = FakeSource(three())
    assert crawls.run(source, audit=True).mode == "audit"
    assert source.asked[0] == (None, None)


# A crawl that fails


def test_when_a_source_may_be_asked_again_is_known_until_it_was(crawls: Crawls) -> None:
    until = START + 5 * HOUR
    crawls.run(FakeSource({None: SourceUnavailable("429, not to be asked before 17:00", until)}))
    assert crawls.state.rests_until == until
    crawls.run(FakeSource(three()))
    assert crawls.state.rests_until is None


def test_a_source_that_does_not_answer_keeps_the_walk_for_the_next_crawl(crawls: Crawls) -> None:
    failing = FakeSource({**three(), "b": SourceUnavailable("503; it is asked again at the next crawl")})
    outcome = crawls.run(failing)
    assert (outcome.status, outcome.error) == ("failed", "503; it is asked again at the next crawl")
    assert (outcome.counts.pages, outcome.counts.requests, outcome.counts.observed) == (1, 2, 2)
    event = last(crawls)
    assert isinstance(event, CrawlFailed)
    assert (event.error, event.counts) == (outcome.error, outcome.counts)
    assert (crawls.held, crawls.state.failed) == (False, True)

    crawls.now += HOUR
    source = FakeSource(three())
    rest = crawls.run(source)
    assert source.cursors == ["b", "c"]
    assert (rest.mode, rest.status, rest.counts.pages, rest.counts.observed) == ("full", "completed", 2, 2)
    begun = [event for event in crawls.events if isinstance(event, CrawlStarted)]
    assert [(event.mode, event.cursor) for event in begun] == [("full", None), ("full", "b")]
    assert crawls.keys == ["1", "2", "3", "4"]
    assert (crawls.state.mark, crawls.state.failed) == (START - OVERLAP, False)


NOT_READ = pytest.mark.parametrize(
    "error",
    [
        SourceRefused("redirected"),
        SourceMalformed("HTML"),
        SourceTooLarge("9 MB"),
        ConfigurationError("no"),
    ],
    ids=lambda error: type(error).__name__,
)


@NOT_READ
def test_a_page_that_cannot_be_read_keeps_the_walk_for_the_next_crawl(crawls: Crawls, error: McpIndexerError) -> None:
    outcome = crawls.run(FakeSource({**three(), "b": error}))
    assert (outcome.status, outcome.error) == ("failed", str(error))
    assert not crawls.held
    source = FakeSource(three())
    rest = crawls.run(source)
    assert source.cursors == ["b", "c"]
    assert (rest.mode, rest.counts.new, rest.counts.unchanged) == ("full", 2, 0)
    assert crawls.of_crawls == ["crawl.started", "crawl.failed", "crawl.started", "crawl.completed"]


@NOT_READ
def test_a_cursor_at_which_nothing_can_be_read_any_more_is_not_gone_on_from(
    crawls: Crawls, error: McpIndexerError
) -> None:
    odd = FakeSource({**three(), "b": error})
    for _ in range(3):
        assert crawls.run(odd).status == "failed"
        crawls.now += HOUR
    assert odd.cursors == [None, *"bbb"]
    source = FakeSource(three())
    rest = crawls.run(source)
    assert source.cursors == [None, "b", "c"]
    assert (rest.mode, rest.counts.new, rest.counts.unchanged) == ("full", 2, 2)


def test_a_source_that_shows_a_web_page_now_and_then_is_walked_to_its_end(crawls: Crawls) -> None:
    source = FakeSource({**three(), "b": SourceMalformed("HTML")})
    assert crawls.run(source).status == "failed"
    source.pages |= {"b": page(3, then="c"), "c": SourceMalformed("HTML")}
    assert crawls.run(source).status == "failed"
    source.pages |= {"c": page(4)}
    assert crawls.run(source).status == "completed"
    assert source.cursors == [None, "b", "b", "c", "c"]
    assert crawls.state.walks == 1


@pytest.mark.parametrize("error", [CursorRefused("400"), WalkLost("a circle")], ids=lambda error: type(error).__name__)
def test_a_walk_that_leads_nowhere_is_begun_anew(crawls: Crawls, error: McpIndexerError) -> None:
    assert crawls.run(FakeSource({**three(), "b": error})).status == "failed"
    source = FakeSource(three())
    assert crawls.run(source).status == "completed"
    assert source.cursors == [None, "b", "c"]


def test_a_walk_waits_until_the_source_lets_us_in_again(crawls: Crawls) -> None:
    expired = FakeSource({**three(), "b": SourceRefused("401; check the source's token_env")})
    assert {crawls.run(expired).status for _ in range(5)} == {"failed"}
    source = FakeSource(three())
    assert crawls.run(source).status == "completed"
    assert source.cursors == ["b", "c"]


def test_an_increment_goes_on_at_the_page_that_could_not_be_read(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += HOUR
    crawls.run(FakeSource({None: page(5, then="z"), "z": SourceMalformed("HTML")}))
    crawls.now += HOUR
    source = FakeSource({None: page(5, then="z"), "z": page(6)})
    assert (crawls.run(source).mode, source.asked) == ("incremental", [(START - OVERLAP, "z")])


@pytest.mark.parametrize("error", [SourceUnavailable("503"), SourceMalformed("HTML")])
def test_an_increment_that_failed_leaves_the_mark_where_it_was(crawls: Crawls, error: McpIndexerError) -> None:
    crawls.run(FakeSource(three()))
    crawls.now += HOUR
    assert crawls.run(FakeSource({None: page(5, then="z"), "z": error})).mode == "incremental"
    assert crawls.state.mark == START - OVERLAP
    crawls.now += HOUR
    source = FakeSource({None: page(5, then="z"), "z": page(6)})
    assert crawls.run(source).mode == "incremental"
    assert {since for since, _ in source.asked} == {START - OVERLAP}
    assert crawls.keys[4:] == ["5", "6"]


def test_an_error_that_nobody_foresaw_is_seen_and_records_nothing_of_its_page(crawls: Crawls) -> None:
    with pytest.raises(ZeroDivisionError):
        crawls.run(FakeSource({**three(), "b": ZeroDivisionError()}))
    assert crawls.keys == ["1", "2"]
    assert crawls.of_crawls == ["crawl.started"]


# Nothing at all


def test_a_source_that_never_had_a_record_may_have_none(crawls: Crawls) -> None:
    assert crawls.run(nothing()).status == "completed"
    assert crawls.run(nothing(), audit=True).status == "completed"


def test_a_source_that_had_records_and_lists_none_has_failed(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    outcome = crawls.run(nothing(), audit=True)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert "lists nothing at all" in outcome.error
    assert crawls.of_crawls[-2:] == ["crawl.started", "crawl.failed"]
    assert crawls.run(FakeSource(three()), audit=True).counts.unchanged == 4


def test_pages_without_records_are_no_records_either(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    source = FakeSource({None: page(then="b"), "b": page(then="c"), "c": page()})
    assert crawls.run(source, audit=True).status == "failed"


def test_an_increment_may_be_empty(crawls: Crawls) -> None:
    crawls.run(FakeSource(three()))
    assert crawls.run(nothing()).status == "completed"


@pytest.mark.parametrize("times", [1, 2])
def test_a_walk_whose_records_were_met_before_it_failed_may_end_with_an_empty_page(crawls: Crawls, times: int) -> None:
    pages: dict[str | None, Given] = {None: page(1, 2, then="b"), "b": SourceUnavailable("503")}
    for _ in range(times):
        assert crawls.run(FakeSource(pages)).status == "failed"
    assert crawls.run(FakeSource({"b": page()})).status == "completed"


# Circles


@pytest.mark.parametrize(
    "circle",
    [
        {None: "a", "a": "a"},
        {None: "a", "a": "b", "b": "a"},
        {None: "a", "a": "b", "b": "c", "c": "a"},
        {None: "a", "a": "b", "b": "c", "c": "d", "d": "e", "e": "f", "f": "d"},
    ],
    ids=["one", "two", "three", "a tail and three"],
)
def test_a_source_that_sends_us_in_a_circle_is_left_and_what_was_read_is_kept(
    crawls: Crawls, circle: dict[str | None, str]
) -> None:
    source = FakeSource({here: page(number, then=there) for number, (here, there) in enumerate(circle.items())})
    outcome = crawls.run(source)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert "in a circle" in outcome.error
    assert len(source.asked) <= 4 * len(circle)
    assert len(crawls.keys) >= len(circle) - 1
    assert len(set(crawls.keys)) == len(crawls.keys)
    assert crawls.state.walk is None


def test_a_circle_is_seen_by_a_crawl_that_is_cut_after_every_page(crawls: Crawls) -> None:
    circle: dict[str | None, str] = {None: "a", "a": "b", "b": "c", "c": "a"}
    source = FakeSource({here: page(1, then=there) for here, there in circle.items()})
    statuses = [crawls.run(source, pages=1).status for _ in range(12)]
    assert "failed" in statuses


def test_a_source_whose_pages_have_no_end_is_left_and_what_was_read_is_kept(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.walks, "MOST_PAGES", 3)
    pages: dict[str | None, Given] = {None: page(0, then="1")}
    source = FakeSource({**pages, **{str(n): page(n, then=str(n + 1)) for n in range(1, 9)}})
    outcome = crawls.run(source)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert "more than 3 pages" in outcome.error
    assert crawls.keys == ["0", "1", "2"]
    assert crawls.state.walk is None


def test_a_walk_of_as_many_pages_as_a_registry_may_have_is_complete(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.walks, "MOST_PAGES", 3)
    source = FakeSource({None: page(0, then="1"), "1": page(1, then="2"), "2": page(2, then="3"), "3": page(3)})
    assert crawls.run(source).status == "completed"


# When it last changed


def test_it_is_remembered_when_a_source_last_changed(crawls: Crawls) -> None:
    assert crawls.run(FakeSource({None: page()})).status == "completed"
    assert crawls.state.changed_at is None
    crawls.now += HOUR
    crawls.run(FakeSource({None: page(1)}))
    assert crawls.state.changed_at == START + HOUR
    crawls.now += HOUR
    crawls.run(FakeSource({None: page(1)}))
    assert [crawls.state.changed_at, crawls.state.completed_at] == [START + HOUR, START + 2 * HOUR]


def test_a_crawl_that_failed_after_it_found_news_found_news(crawls: Crawls) -> None:
    crawls.run(FakeSource({None: page(1)}))
    crawls.now += HOUR
    assert crawls.run(FakeSource({None: page(2, then="a"), "a": SourceUnavailable("503")})).status == "failed"
    assert crawls.state.changed_at == START + HOUR
    crawls.now += HOUR
    crawls.run(FakeSource({"a": page(1)}))
    assert crawls.state.changed_at == START + HOUR


# Leases


def test_who_crawls_is_named_to_whoever_comes_second(crawls: Crawls) -> None:
    crawls.begin()
    with pytest.raises(LeaseHeld, match=leases.this_process()):
        crawls.begin()
    assert crawls.of_crawls == ["crawl.started"]


def take_over(crawls: Crawls) -> None:
    """As a worker on another machine does, once the lease has run out and the first page is recorded."""
    wait_until(lambda: crawls.keys == ["1", "2"])
    with crawls.database.write() as connection:
        connection.execute(update(STATES).values(held_until=0))
        leases.claim(connection, NAME, holder="elsewhere:1:1")


def test_a_crawl_that_was_taken_over_records_nothing_more(crawls: Crawls) -> None:
    def overtaken() -> Page:
        take_over(crawls)
        return page(3, then="c")

    with pytest.raises(LeaseLost, match="taken over"):
        crawls.run(FakeSource({**three(), "b": overtaken}))
    assert crawls.keys == ["1", "2"]
    assert crawls.held  # by the other
    walk = crawls.state.walk
    assert walk is not None
    assert walk.cursor == "b"


@pytest.mark.parametrize("error", [SourceUnavailable("503"), SourceMalformed("HTML")])
def test_a_crawl_that_was_taken_over_does_not_say_that_it_failed(crawls: Crawls, error: McpIndexerError) -> None:
    def overtaken() -> Page:
        take_over(crawls)
        raise error

    with pytest.raises(LeaseLost):
        crawls.run(FakeSource({**three(), "b": overtaken}))
    assert crawls.of_crawls == ["crawl.started"]
    assert crawls.held


def test_a_crawl_that_was_taken_over_does_not_end_the_others_lease_when_it_is_interrupted(crawls: Crawls) -> None:
    def overtaken() -> Page:
        take_over(crawls)
        raise KeyboardInterrupt

    assert crawls.run(FakeSource({**three(), "b": overtaken})).status == "interrupted"
    assert crawls.held


def test_a_crawl_goes_on_where_the_one_was_that_it_took_over(crawls: Crawls) -> None:
    crawls.begin().run(FakeSource(three()), max_pages=1)
    crawls.begin()  # and is never heard of again
    with crawls.database.write() as connection:
        connection.execute(update(STATES).values(held_until=0))
    source = FakeSource(three())
    assert crawls.run(source).status == "completed"
    assert source.cursors == ["b", "c"]
    assert crawls.of_crawls == ["crawl.started", "crawl.completed"]


# A page that takes long


def test_a_crawl_keeps_its_lease_however_long_a_page_takes(crawls: Crawls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.lease_keeper, "RENEW_SECONDS", 0.01)

    def held_until() -> int:
        with crawls.database.read() as connection:
            return connection.scalar(select(STATES.c.held_until)) or 0

    def slow() -> Page:
        before = held_until()
        wait_until(lambda: held_until() > before)
        return page(1)

    assert crawls.run(FakeSource({None: slow})).status == "completed"


# Fetching ahead


def test_the_next_page_is_asked_for_before_this_one_is_recorded(
    crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, recorded = FakeSource(three()), list[None]()

    def record(*arguments: Any, **named: Any) -> Any:
        recorded.append(None)
        wait_until(lambda: len(source.asked) >= min(3, len(recorded) + 1))
        return record_page(*arguments, **named)

    monkeypatch.setattr(workers.crawl, "record_page", record)
    assert crawls.run(source).counts.requests == 3
    assert source.cursors == [None, "b", "c"]


def test_a_crawl_that_is_told_to_stop_asks_for_no_page_that_it_does_not_record(crawls: Crawls) -> None:
    source = FakeSource(three())
    stops = iter([False, True])
    outcome = crawls.begin().run(source, stop=lambda: next(stops))
    assert (outcome.status, outcome.counts.pages, source.cursors) == ("interrupted", 2, [None, "b"])


def test_what_was_appended_is_told_once_it_is_committed(crawls: Crawls) -> None:
    heard: list[Position] = []

    def hear(appended: Appended) -> None:
        with crawls.database.read() as connection:
            assert last_position(connection) >= appended.position
        heard.extend(event.position for event in appended.events)

    crawls.begin().run(FakeSource(three()), recorded=hear)
    told = [one.position for one in read_all(crawls.database) if isinstance(one.event, ListingEvent)]
    assert heard == told
