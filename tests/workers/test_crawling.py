"""What a crawl of several sources came to."""

import pytest

from schemas.names import SourceName
from workers.crawling import Crawled
from workers.outcome import CrawlStatus, Outcome


def outcome(status: CrawlStatus) -> Outcome:
    return Outcome(SourceName("official"), "full", status)


def misconfigured() -> Outcome:
    return Outcome(SourceName("official"), None, "failed", error="no token", misconfigured=True)


def came_to(*outcomes: Outcome, index_error: str | None = None, interrupted: bool = False) -> int:
    """The exit status of a crawl of some sources."""
    return Crawled(list(outcomes), 1, "servers", 1, 0, index_error, interrupted=interrupted).exit_status


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
    ],
)
def test_the_exit_status_over_several_sources_is_that_of_the_worst(outcomes: list[Outcome], status: int) -> None:
    assert came_to(*outcomes) == status


def test_an_interrupt_comes_before_whatever_the_sources_came_to() -> None:
    assert came_to(outcome("failed"), outcome("interrupted"), interrupted=True) == 130
    assert came_to(misconfigured(), outcome("completed"), interrupted=True) == 130


def test_an_index_that_lags_is_a_failure_whatever_the_sources_came_to() -> None:
    assert came_to(outcome("completed"), index_error="it is down") == 1
    assert came_to(outcome("parked"), index_error="it is down") == 1
    assert came_to(misconfigured(), index_error="it is down") == 2
