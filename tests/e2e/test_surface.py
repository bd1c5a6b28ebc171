"""What the commands promise besides their data: schemas, exit statuses, sources that moved or are off."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from tests.e2e.conftest import Home, items
from workers.sample.serve import SampleServer

Serve = Callable[[list[dict[str, Any]]], SampleServer]


def test_every_printed_event_fulfils_the_printed_schema(home: Home) -> None:
    home.crawl()
    validator = jsonschema_rs.validator_for(home.run("schema", "event").object)
    events = home.events()
    assert events
    assert all(validator.is_valid(event) for event in events)
    events[0]["data"] = {}
    assert not validator.is_valid(events[0])


def test_every_document_fulfils_the_printed_schema(home: Home) -> None:
    home.crawl()
    validator = jsonschema_rs.validator_for(home.run("schema", "--json").object["document"])
    hits = home.run("search", "", "--json").object["hits"]
    assert hits
    assert all(validator.is_valid(hit) for hit in hits)


def test_a_source_whose_host_or_path_changed_is_walked_anew(home: Home, serve: Serve) -> None:
    home.crawl()
    home.watch(official=serve(items(7)).url)  # another port is no other place
    assert home.crawl_one()["mode"] == "incremental"
    with home.sources_file.open("a") as file:
        file.write('path = "/v0/servers"\n')
    moved = home.crawl_one()
    assert (moved["mode"], moved["observed"], moved["missed"]) == ("audit", 7, 0)
    assert home.crawl_one()["mode"] == "incremental"


def test_a_source_that_is_off_is_not_crawled_and_its_listings_are_not_shown(home: Home) -> None:
    home.crawl()
    with home.sources_file.open("a") as file:
        file.write("enabled = false\n")
    ran = home.run("crawl", "official")
    assert (ran.status, "is disabled" in ran.sentence) == (2, True)
    index = home.crawl()["index"]
    assert (index["documents"], index["lag"]) == (0, 0)
    (source,) = home.run("status", "--json").object["sources"]
    assert (source["state"], source["next_due"]) == ("paused", None)


def test_status_can_fail_for_a_source_that_is_not_fresh(home: Home) -> None:
    assert home.run("status", "--fail-on-stale").status == 3
    assert home.run("status").status == 0
    home.crawl()
    assert home.run("status", "--fail-on-stale").status == 0


def test_status_says_what_the_last_crawl_was_and_came_to(home: Home) -> None:
    said = []
    for arguments in (("--max-pages", "1"), (), ()):
        home.crawl(*arguments)
        said.append(home.run("status", "--json").object["sources"][0]["last_crawl"])
    assert said == [
        {"mode": "full", "status": "interrupted"},
        {"mode": "full", "status": "completed"},
        {"mode": "incremental", "status": "completed"},
    ]


def test_the_version_is_printed(home: Home) -> None:
    assert home.run("--version").out.startswith("mcp-indexer ")
