"""How fresh a source is."""

from datetime import UTC, datetime, timedelta

import pytest

from indexer.crawls import CrawlState
from workers.standing import freshness

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


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
