"""What the commands promise besides their data: schemas, exit statuses, sources that moved or are off."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.e2e.home import Home
from tests.gate import Gate
from tests.listed import items, name_of
from workers import doctor, standing
from workers.sample.problems import ok
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
    moved = home.crawl_one(status=3)  # what the other place does not list is not withdrawn without a word
    assert (moved["mode"], moved["status"], moved["observed"], moved["missed"]) == ("audit", "parked", 7, 0)
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
    assert (source["state"], source["enabled"], source["next_due"]) == ("paused", False, None)
    shown = home.run("status").out.splitlines()[1].split()
    assert shown[:3] == ["official", "registry", "disabled"]
    assert home.run("show", name_of(1), "--json").object["status"] == "unlisted"  # nobody said that it was deleted


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


def test_crawls_tells_of_past_crawls_and_of_one_that_is_not_finished(either: Home, upstream: SampleServer) -> None:
    assert either.run("crawls", "--json").objects == []
    either.crawl()
    upstream.faults.hook = lambda _: ok(b'{"servers": 7}')
    either.crawl_one(status=1)
    upstream.faults.hook = None
    either.crawl_one("--audit", "--max-pages", "1")
    full, failed, audit = either.run("crawls", "official", "--json").objects
    assert (full["mode"], full["status"], full["new"], full["missed"]) == ("full", "completed", 120, None)
    assert (failed["status"], "no registry's list" in failed["error"]) == ("failed", True)
    assert (audit["mode"], audit["status"], audit["ended_at"], audit["new"]) == ("audit", "interrupted", None, None)
    assert [one["mode"] for one in either.run("crawls", "--limit", "1", "--json").objects] == ["audit"]
    assert either.run("crawls", "nobody").status == 2


def test_a_crawl_under_way_is_running_in_crawls_as_in_status(home: Home, upstream: SampleServer) -> None:
    with Gate(upstream, 2) as gate, home.start("crawl"):
        gate.await_request()
        (crawl,) = home.run("crawls", "--json").objects
        (source,) = home.run("status", "--json").object["sources"]
    assert (crawl["status"], source["last_crawl"]["status"]) == ("running", "running")


def test_a_paused_source_is_not_crawled_by_hand_either(home: Home) -> None:
    assert home.run("pause", "official").status == 0
    (source,) = home.run("status", "--json").object["sources"]
    assert (source["state"], source["enabled"]) == ("paused", True)
    assert home.run("status").out.splitlines()[1].split()[2] == "paused"
    named = home.run("crawl", "official")
    assert (named.status, "mcp-indexer resume official" in named.sentence) == (2, True)
    assert home.crawl()["crawls"] == []
    assert home.run("resume", "official").status == 0
    assert home.crawl_one()["status"] == "completed"
    assert home.run("pause", "nobody").status == 2


def test_doctor_looks_at_the_broker(home: Home, redis_url: str, nobody: str) -> None:
    def broker() -> dict[str, Any]:
        return next(part for part in home.run("doctor", "--json").objects if part["part"] == "broker")

    assert (broker()["ok"], "files" in broker()["said"]) == (True, True)
    home.set(BROKER_URL=redis_url)
    assert broker()["ok"]
    home.set(BROKER_URL=nobody.replace("http://", "redis://:a-secret@"))
    down = broker()
    assert (down["ok"], "MCP_INDEXER_BROKER_URL" in down["said"], "a-secret" in down["said"]) == (False, True, False)


@pytest.fixture
def hung() -> Iterator[str]:
    """The address of a server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_meilisearch_that_hangs_does_not_hold_who_only_looks(
    home: Home, hung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.set(MEILI_URL=hung)
    for module in (standing, doctor):
        monkeypatch.setattr(module, "A_LOOK", 0.05)
    status = home.run("status", "--json")
    assert (status.status, "does not answer" in status.object["index"]["error"]) == (0, True)
    examined = home.run("doctor", "--json")
    said = {part["part"]: part["said"] for part in examined.objects if not part["ok"]}
    assert (examined.status, list(said), "does not answer" in said["meilisearch"]) == (1, ["meilisearch"], True)


ASKING = ("status", "crawls", "quarantine official", "doctor", "sources list", "sources check", "pause official")


@pytest.mark.parametrize("command", ASKING)
def test_who_only_asks_appends_nothing(home: Home, upstream: SampleServer, command: str) -> None:
    assert upstream.url in home.sources_file.read_text()
    assert home.run(*command.split()).status == 0
    assert home.events() == []


def test_who_asks_with_another_sources_file_removes_no_source(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    before = home.events()
    home.watch(other=upstream.url)
    (shown,) = home.run("status", "--json").object["sources"]
    assert (shown["name"], shown["state"], shown["versions"]) == ("other", "never", 0)
    assert home.events() == before
