"""The whole flow, through the commands: crawl, record, index, ask; and crawls that are cut, refused or fail."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from indexer.search import SearchIndex
from tests.e2e.home import Home
from tests.gate import Gate
from tests.listed import cursors, item, items, name_of, server
from tests.waiting import PATIENCE, wait_until
from workers.sample.answers import Request
from workers.sample.problems import Answer, problem
from workers.sample.serve import SampleServer
from workers.wiring import Wiring

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]

NAMES, VERSIONS, PAGES = 60, 120, 7


def adds_up(crawl: Json) -> bool:
    """Whether everything that was observed is counted as exactly one thing."""
    kinds = ("new", "changed", "status_changed", "returned", "unchanged", "quarantined")
    return bool(crawl["observed"] == sum(crawl[kind] for kind in kinds))


# What a crawl records


def test_the_first_crawl_is_full_and_records_every_version(either: Home) -> None:
    result = either.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["source"], crawl["mode"], crawl["status"]) == ("official", "full", "completed")
    assert (crawl["pages"], crawl["requests"]) == (PAGES, PAGES)
    assert (crawl["observed"], crawl["new"], crawl["quarantined"], crawl["invalid"]) == (VERSIONS, VERSIONS, 0, 0)
    assert (crawl["missed"], crawl["silent"]) == (None, None)
    assert "error" not in crawl
    assert result["log"]["position"] == VERSIONS + 3  # the source's configuration, and the crawl's own two
    assert result["index"] == {"uid": os.environ["MCP_INDEXER_INDEX"], "documents": NAMES, "lag": 0}
    observed = [event["data"] for event in either.events() if event["type"] == "listing.observed"]
    assert len({(one["source"], one["key"], one["version"]) for one in observed}) == VERSIONS
    assert either.agrees()


def test_the_second_crawl_is_incremental_and_appends_its_own_two_events(either: Home) -> None:
    first = either.crawl()
    second = either.crawl()
    (crawl,) = second["crawls"]
    assert (crawl["mode"], crawl["status"], crawl["pages"], crawl["observed"]) == ("incremental", "completed", 1, 0)
    assert either.kinds(after=first["log"]["position"]) == ["crawl.started", "crawl.completed"]
    assert second["index"] == first["index"]


def test_an_audit_walks_everything_and_finds_nothing_new(either: Home) -> None:
    position = either.crawl()["log"]["position"]
    crawl = either.crawl_one("--audit")
    assert (crawl["mode"], crawl["pages"], crawl["observed"], crawl["unchanged"]) == (
        "audit",
        PAGES,
        VERSIONS,
        VERSIONS,
    )
    assert (crawl["missed"], crawl["silent"]) == (0, 0)
    assert either.kinds(after=position) == ["crawl.started", "crawl.completed"]


def test_what_changes_between_crawls_reaches_the_index_and_the_commands(either: Home, upstream: SampleServer) -> None:
    registry = upstream.registry
    position = either.crawl()["log"]["position"]
    registry.publish(server(0, "2.0.0", title="Nought"))
    registry.publish(server(900))
    registry.edit(name_of(1), "1.1.0", server(1, "1.1.0", description="Edited"))
    registry.set_status(name_of(2), "1.1.0", "deprecated", "Use another one")
    registry.set_status(name_of(3), "1.1.0", "deleted")
    registry.set_status_all(name_of(4), "deleted", "Gone for good")
    crawl = either.crawl_one()
    counts = {kind: crawl[kind] for kind in ("observed", "new", "changed", "status_changed", "unchanged", "withdrawn")}
    assert counts == {"observed": 7, "new": 2, "changed": 1, "status_changed": 4, "unchanged": 0, "withdrawn": 0}
    assert adds_up(crawl)

    documents = {number: either.document(name_of(number)) for number in (0, 1, 2, 3, 4, 900)}
    assert documents[4] is None
    found = {number: document for number, document in documents.items() if document is not None}
    assert (found[0]["version"], found[0]["title"], found[0]["version_count"]) == ("2.0.0", "Nought", 3)
    assert json.loads(found[0]["server_json"]) == server(0, "2.0.0", title="Nought")
    assert found[1]["description"] == "Edited"
    assert (found[2]["status"], found[2]["status_message"]) == ("deprecated", "Use another one")
    assert (found[3]["version"], found[3]["version_count"]) == ("1.0.0", 1)
    assert found[900]["position"] > position

    shown = either.run("show", name_of(0), "--json").object
    assert {**found[0], "versions": shown["versions"]} == shown
    assert [one["version"] for one in shown["versions"]] == ["2.0.0", "1.1.0", "1.0.0"]
    gone = either.run("show", name_of(4), "--json").object
    assert gone["status"] == "deleted"
    assert {one["status_message"] for one in gone["versions"]} == {"Gone for good"}

    told = either.run("history", name_of(1), "--json").objects
    assert [(one["type"], one["data"]["version"]) for one in told] == [
        ("listing.observed", "1.0.0"),
        ("listing.observed", "1.1.0"),
        ("listing.changed", "1.1.0"),
    ]
    assert [one["revision"] for one in told] == [1, 2, 3]
    kinds = either.kinds(after=position)
    assert (kinds[0], kinds[-1]) == ("crawl.started", "crawl.completed")
    assert sorted(kinds[1:-1]) == ["listing.changed", *["listing.observed"] * 2, *["listing.status_changed"] * 4]
    assert either.agrees()


def test_a_server_that_is_restored_is_in_the_index_again(either: Home, upstream: SampleServer) -> None:
    either.crawl()
    upstream.registry.set_status_all(name_of(4), "deleted")
    assert either.crawl()["index"]["documents"] == NAMES - 1
    upstream.registry.set_status_all(name_of(4), "active")
    assert either.crawl()["index"]["documents"] == NAMES
    document = either.document(name_of(4))
    assert document is not None
    assert (document["status"], document["version"]) == ("active", "1.1.0")


def test_a_change_without_a_time_is_found_by_the_audit_and_counted_as_silent(
    either: Home, upstream: SampleServer
) -> None:
    either.crawl()
    upstream.registry.edit_silently(name_of(5), "1.1.0", server(5, "1.1.0", description="Migrated"))
    assert either.crawl_one()["changed"] == 0
    crawl = either.crawl_one("--audit")
    assert (crawl["changed"], crawl["missed"], crawl["silent"]) == (1, 0, 1)
    document = either.document(name_of(5))
    assert document is not None
    assert document["description"] == "Migrated"


def test_an_invalid_record_is_indexed_with_its_verdict_and_counted(either: Home, upstream: SampleServer) -> None:
    upstream.registry.publish({**server(901), "$schema": ""})
    upstream.registry.publish(server(902, description=""))
    crawl = either.crawl_one()
    assert (crawl["invalid"], crawl["quarantined"]) == (2, 0)
    for number in (901, 902):
        document = either.document(name_of(number))
        assert document is not None
        assert (document["valid"], document["problem_count"] > 0) == (False, True)
    (source,) = either.run("status", "--json").object["sources"]
    assert (source["invalid"], source["quarantined"]) == (2, 0)


def test_the_log_is_read_from_any_position_and_in_any_number(either: Home) -> None:
    either.crawl()
    everything = either.events()
    assert [int(event["id"]) for event in everything] == list(range(1, VERSIONS + 4))
    assert either.run("events", "--json", "--after", "7", "--limit", "5").objects == everything[7:12]
    assert either.run("events", "--json", "--after", "7", "--limit", "100000").objects == everything[7:]
    assert either.run("events", "--json", "--after", str(len(everything))).objects == []
    assert everything[0]["data"]["kind"] == "registry"
    for event in everything:
        assert event["specversion"] == "1.0"
        assert {"source", "type", "subject", "stream", "revision", "recordedtime", "crawl", "data"} < event.keys()


def test_a_source_taken_out_of_the_file_takes_its_documents_along(home: Home, upstream: SampleServer) -> None:
    other = SampleServer(upstream.registry.__class__(items(2)))
    with other:
        home.watch(official=upstream.url, other=other.url)
        assert home.crawl()["index"]["documents"] == NAMES
        home.watch(other=other.url)
        assert home.crawl()["index"]["documents"] == 2
    document = home.document(name_of(0))
    assert document is not None
    assert (document["sources"], document["version"]) == (["other"], "1.0.0")
    assert home.agrees()


# What the commands print


OBJECTS = (
    ("crawl",),
    ("crawl", "official", "--audit"),
    ("search", "tool"),
    ("search", "", "--filter", "has_remote = true", "--facets", "transports,registry_types", "--limit", "3"),
    ("show", name_of(1)),
    ("show", name_of(1), "--version", "1.0.0"),
    ("status",),
    ("verify",),
    ("rebuild",),
    ("rebuild", "catalogue"),
    ("rebuild", "search"),
    ("keys",),
)
LISTS = (
    (("history", name_of(1)), 2),
    (("events", "--limit", "9"), 9),
    (("sources", "list"), 1),
    (("sources", "check"), 1),
    (("doctor",), 5),
)


def test_json_is_one_object_and_nothing_else(home: Home) -> None:
    for command in OBJECTS:
        ran = home.run(*command, "--json")
        assert (ran.status, ran.err) == (0, ""), command
        assert ran.object, command


def test_json_of_a_list_is_one_object_a_line_and_nothing_else(home: Home) -> None:
    home.crawl()
    for command, lines in LISTS:
        ran = home.run(*command, "--json")
        assert (ran.status, ran.err) == (0, ""), command
        assert len(ran.objects) == lines, command


def test_without_json_there_is_data_for_people_on_stdout(home: Home) -> None:
    for command in (*OBJECTS, *(command for command, _ in LISTS)):
        ran = home.run(*command)
        assert (ran.status, ran.err) == (0, ""), command
        assert ran.out.strip(), command


def test_the_schema_is_one_object(home: Home) -> None:
    assert home.run("schema").object.keys() == {"document", "event"}


def test_status_says_where_everything_stands(either: Home) -> None:
    (never,) = either.run("status", "--json").object["sources"]
    assert (never["state"], never["last_completed"], never["versions"]) == ("never", None, 0)
    assert never["due_because"] == "it was never crawled to its end"
    position = either.crawl()["log"]["position"]
    status = either.run("status", "--json").object
    (source,) = status["sources"]
    assert (source["name"], source["kind"], source["state"]) == ("official", "registry", "fresh")
    assert (source["listings"], source["versions"], source["holder"]) == (NAMES, VERSIONS, None)
    assert source["last_completed"] < source["next_due"]
    assert source["due_because"] == "every 1h"
    assert source["last_completed"].endswith("Z")
    assert status["log"] == {"position": position}
    assert {(one["name"], one["checkpoint"], one["lag"]) for one in status["projections"]} == {
        ("catalogue", position, 0),
        ("documents", position, 0),
    }
    assert status["index"]["documents"] == NAMES


def test_search_filters_counts_and_limits(home: Home, upstream: SampleServer) -> None:
    upstream.registry.publish(server(903, description="Reads rainfall gauges", remotes=[]))
    home.crawl()
    found = home.run("search", "rainfall", "--json").object
    assert ([hit["name"] for hit in found["hits"]], found["query"]) == ([name_of(903)], "rainfall")
    counted = home.run("search", "", "--facets", "has_remote", "--limit", "3", "--json").object
    assert counted["facets"] == {"has_remote": {"true": NAMES, "false": 1}}
    assert (len(counted["hits"]), counted["total"]) == (3, NAMES + 1)
    without = home.run("search", "", "--filter", "has_remote = false", "--json").object
    assert [hit["name"] for hit in without["hits"]] == [name_of(903)]


def test_the_key_that_is_printed_can_search_and_nothing_else(home: Home) -> None:
    home.crawl()
    keys = home.run("keys", "--json").object
    headers = {"Authorization": f"Bearer {keys['search_key']}"}
    index = f"{keys['url']}/indexes/{keys['index']}"
    with httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False) as client:
        assert client.post(f"{index}/search", json={"q": name_of(7)}).raise_for_status().json()["hits"]
        assert client.delete(index).status_code == httpx.codes.FORBIDDEN
    assert home.run("keys", "--json").object == keys


# Crawls that are cut


def test_a_crawl_of_so_many_pages_is_gone_on_with_where_it_ended(either: Home, upstream: SampleServer) -> None:
    cut = either.crawl_one("--max-pages", "3")
    assert (cut["status"], cut["pages"], cut["observed"]) == ("interrupted", 3, 60)
    assert either.run("status", "--json").object["sources"][0]["holder"] is None
    again = either.crawl_one("--max-pages", "2")
    assert (again["status"], again["pages"], again["observed"]) == ("interrupted", 5, 100)
    rest = either.crawl_one()
    assert (rest["mode"], rest["status"], rest["pages"], rest["new"]) == ("full", "completed", PAGES, VERSIONS)
    assert rest["requests"] == PAGES
    assert adds_up(rest)
    assert set(cursors(upstream).values()) == {1}
    assert sum(cursors(upstream).values()) == PAGES
    events = either.events()
    assert len({event["crawl"] for event in events if event["type"] != "source.configured"}) == 1
    assert [event["type"] for event in events if event["type"].startswith("crawl.")] == [
        "crawl.started",
        "crawl.completed",
    ]
    assert either.agrees()


def test_what_a_cut_crawl_recorded_is_searchable(home: Home) -> None:
    result = home.crawl("--max-pages", "1")
    assert result["index"] == {"uid": os.environ["MCP_INDEXER_INDEX"], "documents": 10, "lag": 0}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_crawl_says_so_and_is_gone_on_with(
    either: Home, upstream: SampleServer, how: signal.Signals
) -> None:
    with Gate(upstream, 4) as gate, either.start("crawl", "--json") as process:
        gate.await_request()
        wait_until(lambda: either.kinds().count("listing.observed") == 60)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (crawl,) = json.loads(out)["crawls"]
    assert (crawl["status"], crawl["pages"], crawl["observed"]) == ("interrupted", 3, 60)
    assert len(err.splitlines()) == 1
    assert either.run("status", "--json").object["sources"][0]["holder"] is None
    rest = either.crawl_one()
    assert (rest["status"], rest["pages"], rest["new"]) == ("completed", PAGES, VERSIONS)
    asked = cursors(upstream)
    assert sorted(asked.values()) == [1] * (PAGES - 1) + [2]  # only the page that was being asked for
    assert either.kinds().count("crawl.started") == 1
    assert either.agrees()


@pytest.mark.parametrize("when", ["workers.indexing.Indexing.finish", "workers.crawling.publish_all"])
def test_who_interrupts_what_comes_after_the_crawl_is_told_what_it_came_to(
    home: Home, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    patiences: list[float] = []
    index, a_look = Wiring.index, 2 * PATIENCE

    def opened(wiring: Wiring, *, patience: float = PATIENCE) -> SearchIndex:
        patiences.append(patience)
        return index(wiring, patience=patience)

    with monkeypatch.context() as patched:
        patched.setattr(when, interrupted)
        patched.setattr(Wiring, "index", opened)
        patched.setattr("workers.crawling.A_LOOK", a_look)
        ran = home.run("crawl", "--json")
    assert (ran.status, len(ran.err.splitlines())) == (130, 1)
    assert patiences[-1] == a_look  # a Meilisearch that hangs does not keep who wants to leave
    (crawl,) = ran.object["crawls"]
    assert (crawl["status"], crawl["new"]) == ("completed", VERSIONS)
    assert home.crawl()["index"]["lag"] == 0
    assert home.agrees()


def test_an_audit_takes_the_place_of_an_increment_that_was_cut(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(30):
        upstream.registry.publish(server(number, "3.0.0"))
    assert home.crawl_one("--max-pages", "1")["mode"] == "incremental"
    crawl = home.crawl_one("--audit")
    assert (crawl["mode"], crawl["status"], crawl["observed"], crawl["new"]) == ("audit", "completed", 150, 10)
    assert crawl["missed"] == 0


# Crawls that are refused or fail


def test_a_second_crawl_of_a_source_is_refused_and_names_the_holder(either: Home, upstream: SampleServer) -> None:
    with Gate(upstream, 1) as gate, either.start("crawl", "--json") as process:
        gate.await_request()
        ran = either.run("crawl", "--json")
        gate.open()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["crawls"][0]["new"] == VERSIONS
    assert ran.status == 1
    (refused,) = ran.object["crawls"]
    assert (refused["status"], refused["observed"]) == ("failed", 0)
    assert f":{process.pid}:" in refused["error"]
    assert ran.sentence == refused["error"]
    assert either.kinds().count("crawl.started") == 1
    assert either.agrees()


def test_one_failing_source_stops_no_other(either: Home, upstream: SampleServer, serve: Serve) -> None:
    broken, last = serve([]), serve([item(server(950))])
    broken.faults.hook = refuse
    either.watch(official=upstream.url, broken=broken.url, last=last.url)
    ran = either.run("crawl", "--json")
    assert ran.status == 1
    crawls = {crawl["source"]: crawl for crawl in ran.object["crawls"]}
    assert {name: crawl["status"] for name, crawl in crawls.items()} == {
        "official": "completed",
        "broken": "failed",
        "last": "completed",
    }
    assert "403" in crawls["broken"]["error"]
    assert ran.sentence == crawls["broken"]["error"]
    assert ran.object["index"]["documents"] == NAMES + 1
    states = {source["name"]: source["state"] for source in either.run("status", "--json").object["sources"]}
    assert states == {"official": "fresh", "broken": "failing", "last": "fresh"}
    broken.faults.hook = None
    assert either.crawl_one("broken")["status"] == "completed"


def test_a_crawl_that_fails_half_way_is_gone_on_with_by_the_next(either: Home, upstream: SampleServer) -> None:
    upstream.faults.hook = Broken(upstream, after=3)
    failed = either.crawl_one(status=1)
    assert (failed["status"], failed["pages"], failed["observed"]) == ("failed", 3, 60)
    assert failed["requests"] == 3 + 8  # it has answered before, and so is tried longer
    assert "503" in failed["error"]
    upstream.faults.hook = None
    rest = either.crawl_one()
    assert (rest["mode"], rest["status"], rest["pages"], rest["new"]) == ("full", "completed", 4, 60)
    assert either.kinds().count("listing.observed") == VERSIONS
    assert either.kinds().count("crawl.started") == 2
    assert either.agrees()


def test_a_source_that_lists_nothing_any_more_failed_and_was_not_emptied(either: Home, upstream: SampleServer) -> None:
    either.crawl()
    for listed in list(upstream.registry.items()):
        upstream.registry.remove(listed["server"]["name"], listed["server"]["version"])
    crawl = either.crawl_one("--audit", status=1)
    assert (crawl["status"], crawl["withdrawn"]) == ("failed", 0)
    assert either.run("status", "--json").object["index"]["documents"] == NAMES


def test_without_an_index_everything_is_recorded_and_indexed_by_the_next_crawl(either: Home, nobody: str) -> None:
    there = os.environ["MCP_INDEXER_MEILI_URL"]
    either.set(MEILI_URL=nobody)
    ran = either.run("crawl", "--json")
    result = ran.object
    assert ran.status == 1
    assert "MCP_INDEXER_MEILI_URL" in ran.sentence
    assert (result["crawls"][0]["status"], result["crawls"][0]["new"]) == ("completed", VERSIONS)
    assert result["index"]["lag"] == result["log"]["position"] == VERSIONS + 3
    status = either.run("status", "--json").object
    assert {one["name"]: one["lag"] for one in status["projections"]} == {"catalogue": 0, "documents": VERSIONS + 3}
    assert status["index"]["documents"] is None
    either.set(MEILI_URL=there)
    result = either.crawl()
    assert (result["crawls"][0]["new"], result["index"]["documents"], result["index"]["lag"]) == (0, NAMES, 0)
    assert either.agrees()


def test_an_index_that_was_wiped_is_filled_again(home: Home, meili: httpx.Client) -> None:
    home.crawl()
    uid = os.environ["MCP_INDEXER_INDEX"]
    meili.delete(f"/indexes/{uid}").raise_for_status()
    assert home.crawl()["index"]["documents"] == NAMES
    assert home.agrees()


def refuse(_: Request) -> Answer | None:
    return problem(403, "no")


class Broken:
    """Answers so many listings, and then 503 to all."""

    def __init__(self, upstream: SampleServer, after: int) -> None:
        self._upstream, self._after = upstream, after

    def __call__(self, _: Request) -> Answer | None:
        return None if len(self._upstream.requests) <= self._after else problem(503, "later")


def test_a_slow_source_holds_up_no_other(either: Home, upstream: SampleServer, serve: Serve) -> None:
    slow = serve([item({**server(number), "name": f"com.slow/tool-{number}"}) for number in range(1_100)])
    either.watch(official=upstream.url, slow=slow.url, page_size=100)
    with Gate(slow, 11) as gate, either.start("crawl", "slow") as process:
        gate.await_request()  # by then a thousand events were handed to the index
        crawl = either.crawl_one("official")
        assert either.document(name_of(0)) is not None
        assert process.poll() is None
        gate.open()
        process.communicate(timeout=60)
    assert (crawl["status"], process.returncode) == ("completed", 0)
    assert either.agrees()
