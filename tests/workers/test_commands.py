"""What the larger commands decide: which sources, what a crawl of several came to, how fresh a source is."""

from datetime import UTC, datetime, timedelta

import pytest

from indexer.crawls import CrawlState
from indexer.errors import ConfigurationError
from schemas.names import SourceName
from workers.commands import Crawled, chosen
from workers.outcome import CrawlStatus, Outcome
from workers.sources_file import SourceConfig
from workers.standing import freshness

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def source(name: str, *, enabled: bool = True) -> SourceConfig:
    return SourceConfig(name=name, kind="registry", url="https://r.test", enabled=enabled)


SOURCES = [source("first"), source("off", enabled=False), source("last")]


def outcome(status: CrawlStatus, *, by_hand: bool = False) -> Outcome:
    return Outcome(SourceName("official"), "full", status, by_hand=by_hand)


def misconfigured() -> Outcome:
    return Outcome(SourceName("official"), None, "failed", error="no token", misconfigured=True)


def came_to(*outcomes: Outcome, index_error: str | None = None) -> int:
    """The exit status of a crawl of some sources."""
    return Crawled(list(outcomes), 1, "servers", 1, 0, index_error).exit_status


def test_all_sources_that_are_enabled_are_chosen() -> None:
    assert [one.name for one in chosen(SOURCES, [])] == ["first", "last"]


def test_sources_are_chosen_by_name_once_each_and_in_the_order_asked_for() -> None:
    assert [one.name for one in chosen(SOURCES, ["last", "off", "last"])] == ["last", "off"]


def test_a_name_that_is_not_configured_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="no source 'frist'; configured are first, last, off"):
        chosen(SOURCES, ["first", "frist"])


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], 0),
        ([outcome("completed")], 0),
        ([outcome("interrupted")], 0),
        ([outcome("completed"), outcome("parked")], 3),
        ([outcome("failed"), outcome("parked"), outcome("completed")], 1),
        ([misconfigured(), outcome("completed")], 2),
        ([misconfigured(), outcome("failed"), outcome("parked")], 2),
        ([misconfigured(), outcome("interrupted")], 2),
        ([outcome("failed"), outcome("interrupted", by_hand=True)], 130),
        ([misconfigured(), outcome("interrupted", by_hand=True)], 130),
    ],
)
def test_the_exit_status_over_several_sources_is_that_of_the_worst(outcomes: list[Outcome], status: int) -> None:
    assert came_to(*outcomes) == status


def test_an_index_that_lags_is_a_failure_whatever_the_sources_came_to() -> None:
    assert came_to(outcome("completed"), index_error="it is down") == 1
    assert came_to(outcome("parked"), index_error="it is down") == 1
    assert came_to(misconfigured(), index_error="it is down") == 2


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (CrawlState(), "never"),
        (CrawlState(failures=1), "failing"),
        (CrawlState(completed_at=NOW, failures=1), "failing"),
        (CrawlState(completed_at=NOW), "fresh"),
        (CrawlState(completed_at=NOW - 2 * HOUR), "fresh"),
        (CrawlState(completed_at=NOW - 2 * HOUR - timedelta(microseconds=1)), "stale"),
    ],
)
def test_a_source_is_stale_after_two_of_its_intervals(state: CrawlState, found: str) -> None:
    assert freshness(state, HOUR, NOW) == found
