"""An upstream that has a bad hour: one command gets through it, and nothing of it is taken for news."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.home import Home
from tests.listed import items
from workers.sample.faults import Fault, Faults
from workers.sample.serve import SampleServer

Json = dict[str, Any]

VERSIONS = 5_000
RATES: dict[Fault, float] = {"500": 0.06, "429": 0.04, "cut": 0.04, "reset": 0.03, "html": 0.03}
NEWS = ("new", "changed", "status_changed", "returned", "withdrawn", "quarantined", "missed", "silent")


@pytest.mark.parametrize("seed", [1, 2])
def test_one_command_gets_through_a_bad_hour_and_the_audit_after_it_finds_no_news(
    home: Home, serve: Callable[[list[Json]], SampleServer], seed: int
) -> None:
    upstream = serve(items(VERSIONS // 5, [f"1.{minor}.0" for minor in range(5)]))
    upstream.faults = Faults(RATES, seed=seed)
    home.watch(official=upstream.url)  # twenty a page: 250 pages, and a fifth of the requests fail
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["status"]) == ("full", "completed")
    assert (crawl["observed"], crawl["new"]) == (VERSIONS, VERSIONS)
    assert crawl["requests"] > crawl["pages"] + 25
    assert {upstream.statuses[status] > 0 for status in (200, 429, 500)} == {True}

    audit = home.crawl_one("--audit")
    assert (audit["mode"], audit["status"]) == ("audit", "completed")
    assert (audit["observed"], audit["unchanged"]) == (VERSIONS, VERSIONS)
    assert [audit[kind] for kind in NEWS] == [0] * len(NEWS)
    assert home.agrees()
