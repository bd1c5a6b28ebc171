"""When sources are due: said by the file, by where they stand, and by the time alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.crawls import CrawlState, Walk
from indexer.scheduling import Scheduled
from workers.schedule import ASK_AGAIN, LARGEST_JITTER, due_at, jitter, to_ask
from workers.sources_file import SourceConfig

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOTHING = Scheduled()


def config(name: str = "official", **more: Any) -> SourceConfig:
    return SourceConfig(name=name, kind="registry", url="https://r.example", **more)


def asked(state: CrawlState, scheduled: Scheduled = NOTHING, *, held: bool = False, now: datetime = NOW) -> bool:
    return to_ask(config(), state, scheduled, held=held, now=now)


def test_a_source_that_was_never_crawled_is_due() -> None:
    assert asked(CrawlState())


def test_a_source_is_due_an_interval_after_it_was_completed() -> None:
    done = CrawlState(completed_at=NOW, full_at=NOW)
    assert due_at(config(), done, NOTHING) == NOW + HOUR + jitter(config())
    assert not asked(done, now=NOW + HOUR - MINUTE)
    assert asked(done, now=NOW + HOUR + LARGEST_JITTER)


def test_an_audit_that_comes_before_the_next_increment_is_waited_for_no_longer() -> None:
    often = config(every="10d", audit_every="1d")
    done = CrawlState(completed_at=NOW, full_at=NOW)
    assert due_at(often, done, NOTHING) == NOW + DAY + jitter(often)


def test_what_was_interrupted_goes_on_at_once() -> None:
    assert asked(CrawlState(completed_at=NOW, walk=Walk(mode="incremental", started_at=NOW)))


@pytest.mark.parametrize(("failures", "rest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)])
def test_a_source_that_fails_again_rests_longer_up_to_its_interval(failures: int, rest: int) -> None:
    state = CrawlState(failures=failures, failed_at=NOW, completed_at=NOW - DAY)
    assert due_at(config(), state, NOTHING) == NOW + rest * MINUTE


def test_a_paused_or_disabled_source_is_never_due() -> None:
    assert due_at(config(), CrawlState(), Scheduled(paused=True)) is None
    assert due_at(config(enabled=False), CrawlState(), NOTHING) is None


def test_a_source_that_somebody_crawls_is_not_asked_for() -> None:
    assert not asked(CrawlState(), held=True)


def test_a_message_that_was_lost_is_sent_again_after_a_while() -> None:
    assert not asked(CrawlState(), Scheduled(asked_at=NOW - ASK_AGAIN + MINUTE / 60))
    assert asked(CrawlState(), Scheduled(asked_at=NOW - ASK_AGAIN))


@given(name=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), hours=st.integers(1, 1000))
def test_jitter_is_the_same_each_time_and_small(name: str, hours: int) -> None:
    one = config(name, every=f"{hours}h")
    assert jitter(one) == jitter(one)
    assert timedelta() <= jitter(one) <= min(LARGEST_JITTER, hours * HOUR / 10)


def test_sources_drift_apart() -> None:
    assert len({jitter(config(f"source-{number}")) for number in range(20)}) == 20
