"""Two months of the official registry as they really were: nothing is missed, nothing withdrawn that was there."""

from pathlib import Path

import pytest

from tests.replay.replaying import replay

pytestmark = pytest.mark.upstream
SNAPSHOTS, BAD = 301, 17
GONE = 6
"""One version went in September, five were deleted by a migration on the day of the bad week's beginning."""


def test_two_months_of_real_history_are_crawled_without_a_miss(shared: Path, tmp_path: Path) -> None:
    done = replay(shared, tmp_path)
    assert done.wrong == []
    rows = done.rows.values()
    assert (sum(row.snapshots for row in rows), sum(row.failed for row in rows)) == (SNAPSHOTS, BAD)
    assert sum(row.missed for row in rows) == 0
    assert sum(row.silent for row in rows) == sum(row.expected for row in rows) > 0
    assert sum(row.counts.withdrawn for row in rows) == GONE
    assert done.rows["bad week"].changes == 0
    assert done.rows["bad week"].failed == BAD
