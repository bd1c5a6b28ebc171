"""Where a source's walk stands, and what comes next."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import crawls
from indexer.crawls import CrawlState, begin, completed, failed
from indexer.errors import (
    ConfigurationError,
    CursorRefused,
    McpIndexerError,
    SourceGone,
    SourceMalformed,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
    WalkLost,
)
from indexer.walks import Walk, advance, repeats
from schemas.events import Counts, Mode
from schemas.names import CrawlId, Cursor
from tests.indexer.made import at

TEN = timedelta(minutes=10)
A, B = CrawlId("a"), CrawlId("b")
FRESH = CrawlState()
DONE = CrawlState(mark=at(-10), full_at=at(0), completed_at=at(5))
AWAY, UNREAD, LOST = SourceUnavailable("503"), SourceMalformed("a web page"), WalkLost("a circle")
NOT_READ = [
    UNREAD,
    SourceTooLarge("9 MB"),
    SourceRefused("it redirects to a page about its maintenance"),
    ConfigurationError("no"),
]


def begun(
    state: CrawlState, minutes: float, *, audit: bool = False, since: bool = True, crawl: CrawlId = B
) -> tuple[CrawlState, bool]:
    return begin(state, crawl=crawl, at=at(minutes), audit=audit, supports_since=since)


def walk(state: CrawlState) -> Walk:
    assert state.walk is not None
    return state.walk


def walked(state: CrawlState, *cursors: str | None, served: datetime | None = None) -> CrawlState:
    """The state after pages that named these cursors."""
    for cursor in cursors:
        following = None if cursor is None else Cursor(cursor)
        state = state.model_copy(update={"walk": advance(walk(state), following, served_at=served)})
    return state


def test_the_first_walk_is_full() -> None:
    for audit in (False, True):
        state, new = begun(FRESH, 1, audit=audit)
        assert new
        assert state.crawl == B
        assert walk(state) == Walk(mode="full", started_at=at(1), number=1)


@pytest.mark.parametrize(
    ("audit", "since", "mode"),
    [(False, True, "incremental"), (True, True, "audit"), (False, False, "audit"), (True, False, "audit")],
)
def test_later_walks_are_increments_where_that_is_possible(audit: bool, since: bool, mode: Mode) -> None:
    state, new = begun(DONE, 60, audit=audit, since=since)
    assert new
    assert walk(state).mode == mode
    assert walk(state).since == (at(-10) if mode == "incremental" else None)


def test_the_time_an_increment_asks_from_is_frozen() -> None:
    state, _ = begun(DONE, 60)
    state = walked(state, "a", "b", served=at(500))
    assert walk(state).since == at(-10)
    again, new = begun(state, 120)
    assert not new
    assert walk(again).since == at(-10)


def test_the_mark_is_the_clock_at_the_start_less_an_overlap() -> None:
    state, _ = begun(DONE, 60)
    assert walk(walked(state, None, served=at(60))).mark == at(60) - TEN
    assert walk(walked(state, None, served=at(58))).mark == at(58) - TEN  # theirs is earlier
    assert walk(walked(state, None, served=at(63))).mark == at(60) - TEN  # ours is earlier
    assert walk(walked(state, None, served=None)).mark == at(0) - TEN  # an hour less without a Date


def test_the_first_page_sets_the_mark() -> None:
    state, _ = begun(DONE, 60)
    state = walked(state, "a", served=at(60))
    state = walked(state, "b", served=at(30))
    state = walked(state, None, served=None)
    assert walk(state).mark == at(50)


def test_the_mark_moves_only_when_the_walk_completed() -> None:
    state, _ = begun(DONE, 60)
    state = walked(state, "a", served=at(60))
    assert state.mark == at(-10)
    assert failed(state, AWAY, at=at(0)).mark == at(-10)
    assert failed(state, LOST, at=at(0)).mark == at(-10)
    assert completed(walked(state, None), at=at(70)).mark == at(50)


def test_what_follows_a_completed_walk_starts_from_its_mark() -> None:
    state, _ = begun(FRESH, 0)
    state = completed(walked(state, "a", None, served=at(0)), at=at(7))
    assert state == CrawlState(
        mark=at(-10), full_at=at(0), completed_at=at(7), last_mode="full", walks=1, complete=1, lasted=420.0
    )
    following, _ = begun(state, 60)
    assert (walk(following).mode, walk(following).since) == ("incremental", at(-10))


def test_an_increment_does_not_count_as_a_full_walk() -> None:
    state, _ = begun(DONE, 60)
    assert completed(walked(state, None, served=at(60)), at=at(61)).full_at == at(0)
    audit, _ = begun(DONE, 60, audit=True)
    assert completed(walked(audit, None, served=at(60)), at=at(61)).full_at == at(60)


def test_a_completed_walk_forgets_that_one_failed() -> None:
    state, _ = begun(failed(begun(DONE, 10)[0], LOST, at=at(0)), 60)
    assert state.failed
    assert not completed(walked(state, None), at=at(61)).failed


@pytest.mark.parametrize("audit", [False, True])
def test_an_interrupted_crawl_goes_on_whatever_is_asked_for(audit: bool) -> None:
    before, _ = begun(FRESH, 0, crawl=A)
    before = walked(before, "a", "b", served=at(0))
    state, new = begun(before, 60, audit=audit)
    assert not new
    assert state == before
    assert (state.crawl, walk(state).cursor) == (A, "b")


def test_a_walk_that_failed_goes_on_in_a_new_crawl_with_the_same_mark() -> None:
    before = walked(begun(DONE, 60, crawl=A)[0], "a", "b", served=at(60))
    counts = Counts(observed=5, new=5)
    before = before.model_copy(update={"walk": walk(before).model_copy(update={"counts": counts, "seconds": 3.0})})
    left = failed(before, AWAY, at=at(0))
    assert (left.crawl, left.failed) == (None, True)
    state, new = begun(left, 70)
    assert new
    assert state.crawl == B
    assert (walk(state).cursor, walk(state).mark, walk(state).since) == ("b", at(50), at(-10))
    assert (walk(state).counts, walk(state).seconds) == (Counts(), 0.0)


@pytest.mark.parametrize(
    "error", [LOST, CursorRefused("400"), SourceGone("410")], ids=lambda error: type(error).__name__
)
def test_a_walk_that_leads_nowhere_starts_again(error: McpIndexerError) -> None:
    left = failed(walked(begun(DONE, 60, crawl=A)[0], "a", served=at(60)), error, at=at(60))
    assert left.walk is None
    state, new = begun(left, 70)
    assert new
    assert walk(state) == Walk(mode="incremental", started_at=at(70), since=at(-10), number=2)


def failing(state: CrawlState, *errors: McpIndexerError, minutes: float = 60) -> CrawlState:
    """The state after crawls that failed at the cursor where it stands."""
    for error in errors:
        state = failed(begun(state, minutes)[0], error, at=at(minutes))
    return state


@pytest.mark.parametrize("error", NOT_READ, ids=lambda error: type(error).__name__)
def test_a_walk_whose_page_cannot_be_read_goes_on_for_two_hours(error: McpIndexerError) -> None:
    state = walked(begun(DONE, 60, crawl=A)[0], "a", "b", served=at(60))
    for minutes in (60, 61, 100, 179):
        state, new = begun(failing(state, error, minutes=minutes), minutes)
        assert new
        assert (walk(state).cursor, walk(state).mark, walk(state).since) == ("b", at(50), at(-10))
    assert failing(state, error, minutes=180).walk is None


def test_a_cursor_is_tried_again_however_long_the_source_does_not_answer() -> None:
    before = walked(begun(DONE, 60)[0], "a", served=at(60))
    left = failing(failing(before, AWAY), AWAY, UNREAD, minutes=400)
    assert walk(left).cursor == "a"
    assert walk(failing(left, AWAY, minutes=600)).cursor == "a"
    assert failing(left, AWAY, UNREAD, minutes=600).walk is None


def test_a_page_that_was_read_lets_the_next_one_be_unread() -> None:
    state = failing(walked(begun(DONE, 60)[0], "a", served=at(60)), UNREAD)
    for hours, cursor in enumerate(("b", "c", "d"), 2):
        state = failing(walked(begun(state, 60 * hours)[0], cursor), UNREAD, minutes=60 * hours)
        assert walk(state).cursor == cursor


def test_what_was_missed_is_counted_for_each_crawl_and_for_the_whole_walk() -> None:
    first = walked(begun(DONE, 60, audit=True)[0], "a", served=at(60))
    first = first.model_copy(update={"walk": walk(first).model_copy(update={"missed": 3, "silent": 1})})
    second, _ = begun(failed(first, AWAY, at=at(60)), 70, audit=True)
    assert (walk(second).missed, walk(second).silent) == (0, 0)
    second = second.model_copy(update={"walk": walk(second).model_copy(update={"missed": 2})})
    audited = completed(second, at=at(80)).audited
    assert audited is not None
    assert (audited.missed, audited.silent) == (5, 1)


def test_of_a_walk_without_a_page_nothing_is_kept() -> None:
    assert failing(DONE, UNREAD).walk is None


def test_a_walk_that_an_older_program_kept_may_have_a_page_unread() -> None:
    kept = '{"walk": {"mode": "full", "started_at": "2026-09-01T12:00:00Z", "cursor": "a", "steps": 1}}'
    assert walk(CrawlState.model_validate_json(kept)).unread_since is None


def test_an_unfinished_increment_gives_way_to_an_audit() -> None:
    before = walked(begun(DONE, 60, crawl=A)[0], "a", served=at(60))
    for left in (before, failed(before, AWAY, at=at(0))):
        state, new = begun(left, 70, audit=True)
        assert new
        assert walk(state) == Walk(mode="audit", started_at=at(70), number=2)


@pytest.mark.parametrize("error", [None, AWAY, UNREAD])
def test_a_walk_of_more_than_a_day_starts_again(error: McpIndexerError | None) -> None:
    before = walked(begun(DONE, 0, audit=True, crawl=A)[0], "a", served=at(0))
    left = before if error is None else failed(before, error, at=at(0))
    day = crawls.STALE_WALK / timedelta(minutes=1)
    state, new = begun(left, day - 1)
    assert walk(state).cursor == "a"
    state, new = begun(left, day)
    assert new
    assert walk(state).cursor is None
    assert walk(state).mark is None
    assert (walk(state).started_at, walk(state).steps) == (at(day), 0)


def test_a_state_is_kept_as_text() -> None:
    state = walked(begun(DONE, 60)[0], "a\x00\u241bé", served=at(60))
    assert CrawlState.model_validate_json(state.model_dump_json()) == state
    assert CrawlState.model_validate_json("{}") == FRESH


def steps_until_noticed(tail: int, cycle: int, *, most: int) -> int | None:
    """How many pages are fetched of a walk whose cursors run into a circle, until that is noticed."""
    now = Walk(mode="full", started_at=at(0))
    for page in range(most):
        index = page if page < tail else tail + (page - tail) % cycle
        following = Cursor(str(index))
        if repeats(now, following):
            return page + 1
        now = advance(now, following, served_at=None)
    return None


@given(st.integers(0, 300), st.integers(1, 300))
def test_a_circle_of_any_length_is_noticed(tail: int, cycle: int) -> None:
    found = steps_until_noticed(tail, cycle, most=5 * (tail + cycle) + 5)
    assert found is not None
    assert found > tail + 1
    assert found <= 3 * max(tail + 1, cycle) + cycle


def test_a_walk_that_does_not_repeat_goes_on() -> None:
    assert steps_until_noticed(5_000, 1, most=5_000) is None


def test_the_last_page_repeats_nothing() -> None:
    assert not repeats(Walk(mode="full", started_at=at(0)), None)
    assert not repeats(walk(walked(begun(FRESH, 0)[0], "a")), None)


def test_a_circle_is_noticed_over_interruptions_too() -> None:
    state, _ = begun(FRESH, 0)
    for page in range(1000):
        following = Cursor(str(page % 7))
        if repeats(walk(state), following):
            break
        state = walked(state, following)
        state = CrawlState.model_validate_json(failed(state, AWAY, at=at(0)).model_dump_json())
        state, _ = begun(state, 1)
    else:
        pytest.fail("never noticed")
