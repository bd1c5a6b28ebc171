"""When sources are due: said by the file, by where they stand, and by the time alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.crawls import CrawlState
from indexer.scheduling import Scheduled
from indexer.walks import Walk
from workers.schedule import ASK_AGAIN, LARGEST_JITTER, due, due_at, interval, is_due, jitter, patience, to_ask
from workers.sources_file import SourceConfig

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOTHING = Scheduled()


def config(name: str = "official", **more: Any) -> SourceConfig:
    return SourceConfig(name=name, kind="registry", url="https://r.example", **more)


def now_due(state: CrawlState, now: datetime = NOW) -> bool:
    return is_due(config(), state, NOTHING, now)


def asked(at: datetime, *, sources: int = 1) -> bool:
    return to_ask(Scheduled(asked_at=at), patience=patience(sources), now=NOW)


def test_a_source_that_was_never_crawled_is_due() -> None:
    assert now_due(CrawlState())


def test_a_source_is_due_an_interval_after_it_was_completed() -> None:
    done = CrawlState(completed_at=NOW, full_at=NOW)
    assert due_at(config(), done, NOTHING, NOW) == NOW + HOUR + jitter(config())
    assert not now_due(done, NOW + HOUR - MINUTE)
    assert now_due(done, NOW + HOUR + LARGEST_JITTER)


def test_an_audit_that_comes_before_the_next_increment_is_waited_for_no_longer() -> None:
    often = config(every="10d", audit_every="1d")
    done = CrawlState(completed_at=NOW, full_at=NOW)
    assert due_at(often, done, NOTHING, NOW) == NOW + DAY + jitter(often)


def test_what_was_interrupted_goes_on_at_once() -> None:
    assert now_due(CrawlState(completed_at=NOW, walk=Walk(mode="incremental", started_at=NOW)))


@pytest.mark.parametrize(("failures", "rest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)])
def test_a_source_that_fails_again_rests_longer_up_to_its_interval(failures: int, rest: int) -> None:
    state = CrawlState(failures=failures, failed_at=NOW, completed_at=NOW - DAY)
    assert due_at(config(), state, NOTHING, NOW) == NOW + rest * MINUTE


def quiet(changed: timedelta | None, **more: Any) -> CrawlState:
    """A source that was crawled now and last changed so long ago."""
    return CrawlState(completed_at=NOW, full_at=NOW, changed_at=None if changed is None else NOW - changed, **more)


def wait(state: CrawlState, **more: Any) -> timedelta:
    found = due_at(config(audit_every="1w", **more), state, NOTHING, NOW)
    assert found is not None
    return found - NOW - jitter(config(**more))


@pytest.mark.parametrize("changed", [None, timedelta(), DAY, 300 * DAY])
def test_without_slowest_a_source_is_asked_every_interval_however_seldom_it_changes(changed: timedelta | None) -> None:
    assert wait(quiet(changed)) == HOUR


@pytest.mark.parametrize(
    ("changed", "found"), [(None, 1), (timedelta(), 1), (10 * HOUR, 1), (20 * HOUR, 2), (60 * HOUR, 6), (30 * DAY, 6)]
)
def test_with_slowest_a_source_that_seldom_changes_is_asked_less_often_within_bounds(
    changed: timedelta | None, found: int
) -> None:
    assert wait(quiet(changed), slowest="6h") == found * HOUR


def test_however_seldom_a_source_changes_its_audit_comes_when_it_is_due() -> None:
    slow = config(slowest="3d", audit_every="1d")
    assert due_at(slow, quiet(300 * DAY), NOTHING, NOW) == NOW + DAY + jitter(slow)


@given(changed=st.integers(0, 10**6), every=st.integers(1, 48), more=st.integers(0, 500))
def test_a_source_is_never_asked_more_often_than_every_nor_less_often_than_slowest(
    changed: int, every: int, more: int
) -> None:
    one = config(every=f"{every}h", slowest=f"{every + more}h")
    assert every * HOUR <= interval(one, quiet(changed * MINUTE)) <= (every + more) * HOUR


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (CrawlState(), "it was never crawled to its end"),
        (CrawlState(walk=Walk(mode="full", started_at=NOW)), "it goes on where it was interrupted"),
        (CrawlState(failures=1, failed_at=NOW), "it failed once and rests 1m"),
        (CrawlState(failures=3, failed_at=NOW), "it failed 3 times in a row and rests 4m"),
        (CrawlState(failures=30, failed_at=NOW), "it failed 30 times in a row and rests 1h"),
        (quiet(HOUR), "every 1h"),
        (CrawlState(completed_at=NOW, full_at=NOW - DAY), "audit every 1d"),
        (quiet(25 * HOUR), "nothing changed for 1d: every 2h instead of every 1h"),
        (quiet(300 * DAY), "nothing changed for 300d: every 6h instead of every 1h"),
    ],
)
def test_it_is_said_why_a_source_is_due_when_it_is(state: CrawlState, why: str) -> None:
    found = due(config(slowest="6h"), state, NOTHING, NOW)
    assert found is not None
    assert found.why == why


def test_a_paused_or_disabled_source_is_never_due() -> None:
    assert due_at(config(), CrawlState(), Scheduled(paused=True), NOW) is None
    assert due_at(config(enabled=False), CrawlState(), NOTHING, NOW) is None


def test_a_message_that_was_lost_is_sent_again_after_a_while() -> None:
    assert not asked(NOW - ASK_AGAIN + MINUTE / 60)
    assert asked(NOW - ASK_AGAIN)


def test_a_message_waits_its_turn_while_others_have_theirs() -> None:
    assert not asked(NOW - 7 * MINUTE, sources=8)
    assert asked(NOW - 8 * MINUTE, sources=8)


@given(name=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), hours=st.integers(1, 1000))
def test_jitter_is_the_same_each_time_and_small(name: str, hours: int) -> None:
    one = config(name, every=f"{hours}h")
    assert jitter(one) == jitter(one)
    assert timedelta() <= jitter(one) <= min(LARGEST_JITTER, hours * HOUR / 10)


def test_sources_drift_apart() -> None:
    assert len({jitter(config(f"source-{number}")) for number in range(20)}) == 20


def test_a_clock_that_was_put_back_keeps_nobody_waiting() -> None:
    """What was noted by a clock that was a year ahead is as if it were long ago."""
    later = NOW + 365 * DAY
    assert now_due(CrawlState(completed_at=later, full_at=later))
    assert now_due(CrawlState(completed_at=NOW - HOUR, full_at=later, failures=3, failed_at=later))
    assert now_due(CrawlState(walk=Walk(mode="full", started_at=later)))
    assert asked(later)
    slightly = NOW + 2 * MINUTE  # another machine's clock
    assert not now_due(CrawlState(completed_at=slightly, full_at=slightly))
    assert not asked(slightly)


def test_a_source_that_asked_to_rest_is_left_alone_until_then() -> None:
    failed = CrawlState(failures=1, failed_at=NOW, completed_at=NOW - DAY, rests_until=NOW + 3 * HOUR)
    assert due_at(config(), failed, NOTHING, NOW) == NOW + 3 * HOUR
    for odd in (NOW - HOUR, NOW + 300 * DAY):
        found = failed.model_copy(update={"rests_until": odd})
        assert due_at(config(), found, NOTHING, NOW) == NOW + MINUTE
