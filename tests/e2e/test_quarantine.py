"""What cannot be identified: kept, shown, looked at again, and let go once its source mended it or lists it no more."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.e2e.home import Home
from tests.listed import items
from workers.sample.answers import Request, answer
from workers.sample.problems import Answer, ok
from workers.sample.serve import SampleServer
from workers.sources import registry

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]

NAMELESS = {"server": {"description": "\x1b[2J\u202e no name", "version": "1.0.0"}, "_meta": {"a": 1}}


class Slipping:
    """Slips items into the registry's answer beside those that are there."""

    def __init__(self, upstream: SampleServer, *more: Any) -> None:
        self._upstream, self.more = upstream, more

    def __call__(self, request: Request) -> Answer | None:
        page = orjson.loads(answer(self._upstream.registry, request).body)
        page["servers"] += self.more
        return ok(orjson.dumps(page))


@pytest.fixture
def nameless(either: Home, serve: Serve) -> SampleServer:
    """A registry of one page, with a record that has no name."""
    served = serve(items(10))
    served.faults.hook = Slipping(served, NAMELESS)
    either.watch(official=served.url, page_size=100)
    return served


def quarantined(home: Home) -> list[Json]:
    return home.run("quarantine", "--json").objects


def of_records(home: Home) -> list[str]:
    return [kind for kind in home.kinds() if kind.startswith("record.")]


@pytest.mark.usefixtures("nameless")
def test_it_is_shown_with_the_reason_and_as_it_was_written(either: Home) -> None:
    either.crawl()
    (found,) = quarantined(either)
    assert (found["source"], found["reason"]) == ("official", "the record has no name")
    assert orjson.loads(found["text"]) == NAMELESS
    (event,) = [one for one in either.events() if one["type"] == "record.quarantined"]
    assert (found["position"], found["digest"]) == (int(event["id"]), event["data"]["digest"])
    shown = either.run("quarantine", "official").out
    assert "the record has no name" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert either.run("quarantine", "nobody").status == 2


def test_what_is_said_about_it_makes_it_no_other_record(either: Home, nameless: SampleServer) -> None:
    either.crawl()
    nameless.faults.hook = Slipping(nameless, {**NAMELESS, "_meta": {"a": 2}})
    either.crawl_one("--audit")
    assert of_records(either) == ["record.quarantined"]


def test_it_is_let_go_when_a_complete_walk_meets_it_no_more(either: Home, nameless: SampleServer) -> None:
    either.crawl()
    nameless.faults.hook = None
    either.crawl()  # an increment does not ask for what is as it was
    assert len(quarantined(either)) == 1
    either.crawl_one("--audit")
    assert quarantined(either) == []
    assert of_records(either) == ["record.quarantined", "record.released"]
    nameless.faults.hook = Slipping(nameless, NAMELESS)
    either.crawl_one("--audit")
    assert of_records(either) == ["record.quarantined", "record.released", "record.quarantined"]
    assert either.agrees()


def test_a_walk_that_failed_lets_nothing_go(either: Home, nameless: SampleServer) -> None:
    either.crawl()
    nameless.faults.hook = lambda _: ok(b'{"servers": 7}')
    either.crawl_one("--audit", status=1)
    assert len(quarantined(either)) == 1


def test_a_walk_in_parts_lets_go_of_what_none_of_them_met(either: Home, nameless: SampleServer) -> None:
    either.watch(official=nameless.url, page_size=5)
    either.crawl()
    either.crawl_one("--audit", "--max-pages", "1")
    either.crawl_one("--audit")
    assert len(quarantined(either)) == 1


@pytest.mark.usefixtures("nameless")
def test_a_rebuild_looks_at_it_again(either: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    either.crawl()

    def identify(record: Json) -> str:
        return str(record.get("name") or "com.example/identified")

    monkeypatch.setattr(registry, "identify", identify)
    assert either.run("rebuild").status == 0
    assert quarantined(either) == []
    assert either.run("show", "com.example/identified", "--json").object["version"] == "1.0.0"
    assert either.kinds()[-2:] == ["listing.observed", "record.released"]
    assert either.agrees()
