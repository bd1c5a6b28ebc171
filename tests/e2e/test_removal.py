"""What a registry lists no more, through the commands: withdrawn, parked, approved, and back again."""

from collections.abc import Callable
from typing import Any

from tests.e2e.home import Home
from tests.listed import items, name_of, server
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]


def source(home: Home) -> Json:
    (found,) = home.run("status", "--json").object["sources"]
    return dict(found)


def test_a_version_that_vanished_leaves_the_index_and_comes_back(either: Home, upstream: SampleServer) -> None:
    either.crawl()
    upstream.registry.remove(name_of(7), "1.1.0")
    for version in ("1.0.0", "1.1.0"):
        upstream.registry.remove(name_of(30), version)
    assert either.crawl_one()["mode"] == "incremental"
    assert either.document(name_of(30)) is not None  # who asks for what changed is not told what vanished

    crawl = either.crawl_one("--audit")
    assert (crawl["status"], crawl["withdrawn"], crawl["unchanged"]) == ("completed", 3, 117)
    assert either.document(name_of(30)) is None
    left = either.document(name_of(7))
    assert left is not None
    assert (left["version"], left["version_count"]) == ("1.0.0", 1)
    gone = [event["data"] for event in either.events() if event["type"] == "listing.withdrawn"]
    assert [(one["name"], one["version"]) for one in gone] == [
        (name_of(7), "1.1.0"),
        (name_of(30), "1.0.0"),
        (name_of(30), "1.1.0"),
    ]
    assert all(one["reason"] == "not listed by a complete walk, and gone when asked for" for one in gone)
    assert either.agrees()

    upstream.registry.publish(server(30, "1.1.0"))
    crawl = either.crawl_one()
    assert (crawl["mode"], crawl["returned"]) == ("incremental", 1)
    assert either.document(name_of(30)) is not None
    assert either.agrees()


def test_a_deletion_is_the_registry_s_word_and_needs_no_second_look(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    upstream.registry.set_status_all(name_of(3), "deleted", "It is unsafe.")
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["status_changed"], crawl["withdrawn"]) == ("incremental", 2, 0)
    assert home.document(name_of(3)) is None
    shown = home.run("show", name_of(3), "--json").object
    assert {version["status_message"] for version in shown["versions"]} == {"It is unsafe."}


def test_too_many_wait_for_a_person_who_approves_them(either: Home, serve: Serve) -> None:
    upstream = serve(items(100))
    either.watch(official=upstream.url)
    either.crawl()
    for number in range(40, 80):
        upstream.registry.remove(name_of(number), "1.0.0")

    crawl = either.crawl_one("--audit", status=3)
    assert (crawl["status"], crawl["withdrawn"]) == ("parked", 0)
    said = either.run("crawls").out
    assert "parked" in said
    found = source(either)
    assert (found["state"], found["versions"], found["last_crawl"]["status"]) == ("parked", 100, "parked")
    assert (found["parked"]["candidates"], found["parked"]["needs_approval"]) == (40, False)
    assert "approve official" in either.run("status").out
    assert either.run("status", "--fail-on-stale").status == 3
    assert either.crawl_one()["status"] == "completed"  # an increment goes on beside it

    ran = either.run("approve", "official", "--json")
    assert (ran.status, ran.object) == (0, {"source": "official", "withdrawn": 40})
    found = source(either)
    assert (found["state"], found["versions"], found["parked"]) == ("fresh", 60, None)
    assert either.document(name_of(50)) is None
    assert either.kinds().count("decision.approved") == 1
    assert either.agrees()

    again = either.run("approve", "official")
    assert (again.status, again.out) == (2, "")
    assert "Nothing of 'official' is parked" in again.err


def test_a_walk_that_saw_less_than_half_withdraws_nothing_however_often(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(40):
        upstream.registry.remove(name_of(number), "1.0.0")
        upstream.registry.remove(name_of(number), "1.1.0")
    for _ in range(2):
        assert home.crawl_one("--audit", status=3)["status"] == "parked"
    assert "until you approve" in home.run("crawl", "--audit").err
    assert source(home)["versions"] == 120
    assert home.run("approve", "official").out == "official: 80 versions withdrawn\n"
    assert source(home)["versions"] == 40


def test_what_was_parked_and_is_seen_since_is_not_withdrawn_by_approval(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(15):
        upstream.registry.remove(name_of(number), "1.0.0")
        upstream.registry.remove(name_of(number), "1.1.0")
    assert home.crawl_one("--audit", status=3)["status"] == "parked"
    upstream.registry.publish(server(4, "1.0.0"))
    assert home.crawl_one()["mode"] == "incremental"
    assert home.run("approve", "official", "--json").object["withdrawn"] == 29
    assert home.document(name_of(4)) is not None


def test_an_emptied_registry_is_a_failure(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(60):
        upstream.registry.remove(name_of(number), "1.0.0")
        upstream.registry.remove(name_of(number), "1.1.0")
    crawl = home.crawl_one("--audit", status=1)
    assert (crawl["status"], crawl["withdrawn"]) == ("failed", 0)
    assert "lists nothing at all" in crawl["error"]
    assert source(home)["versions"] == 120


def test_an_audit_counts_nothing_as_missed_that_an_increment_has_seen(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    upstream.registry.publish(server(61))
    upstream.registry.edit_silently(name_of(3), "1.0.0", server(3, title="Silently"))
    crawl = home.crawl_one("--audit")
    assert (crawl["new"], crawl["changed"], crawl["missed"], crawl["silent"]) == (1, 1, 0, 1)
    assert source(home)["last_audit"]["silent"] == 1


def test_an_audit_believes_a_registry_that_was_set_back(home: Home, upstream: SampleServer) -> None:
    before = next(item for item in upstream.registry.items() if item["server"]["name"] == name_of(5))
    home.crawl()
    upstream.registry.edit(name_of(5), "1.0.0", server(5, title="Edited"))
    assert home.crawl_one()["changed"] == 1
    upstream.registry.remove(name_of(5), "1.0.0")
    upstream.registry.load([before])  # its database, from a backup
    assert home.crawl_one()["unchanged"] == 0
    crawl = home.crawl_one("--audit")
    assert (crawl["changed"], crawl["missed"], crawl["silent"], crawl["withdrawn"]) == (1, 0, 1, 0)
    assert home.crawl_one("--audit")["unchanged"] == 120
    assert home.agrees()
