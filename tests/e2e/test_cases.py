"""The cases that registries are known to be tricky in, each by its number, through the commands."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from tests.e2e.home import Home
from tests.listed import SCHEMA, cursors, item, name_of, server
from workers.sample.answers import Request, answer
from workers.sample.faults import Fault, Faults
from workers.sample.problems import Answer
from workers.sample.registry import SampleRegistry
from workers.sample.row import OFFICIAL
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]

NAMES, VERSIONS, PAGES = 60, 120, 7
PARKED = 3


def known(home: Home, name: str) -> Json:
    """The document of a server that is in the index."""
    found = home.document(name)
    assert found is not None, name
    return found


def shown(home: Home, name: str) -> Json:
    """What the catalogue has of a server, in the index or not."""
    found: Json = home.run("show", name, "--json").object
    return found


def told(home: Home, after: int) -> list[tuple[str, str]]:
    """The listings' events after a position: type and version."""
    events = (event for event in home.events(after) if event["type"].startswith("listing."))
    return [(event["type"], event["data"]["version"]) for event in events]


def position(home: Home) -> int:
    found: int = home.run("status", "--json").object["log"]["position"]
    return found


class Between:
    """Does something while a page is asked for that is not the first one: a hook for the sample server."""

    def __init__(self, page: int, act: Callable[[], None]) -> None:
        self._page, self._act, self._asked = page, act, count(1)

    def __call__(self, request: Request) -> Answer | None:
        if request.path.endswith("/servers") and next(self._asked) == self._page:
            self._act()
        return None


def hidden(registry: SampleRegistry, *names: str) -> Callable[[Request], Answer | None]:
    """A hook for the sample server: lists of servers leave some names out, and all else knows them."""

    def hook(request: Request) -> Answer | None:
        if not request.path.endswith("/servers"):
            return None
        usual = answer(registry, request)
        body = orjson.loads(usual.body)
        body["servers"] = [item for item in body["servers"] if item["server"]["name"] not in names]
        return usual._replace(body=orjson.dumps(body))

    return hook


def test_case_01_is_latest_flips_without_a_time_and_two_rows_claim_it(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    upstream.registry.publish(server(1, "2.0.0"))
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["observed"], crawl["new"]) == ("incremental", 1, 1)
    claims = [e["data"]["version"] for e in home.events() if claims_latest(e) and e["data"]["name"] == name_of(1)]
    assert claims == ["1.1.0", "2.0.0"]
    assert (known(home, name_of(1))["version"], known(home, name_of(1))["version_count"]) == ("2.0.0", 3)
    before = position(home)
    assert home.crawl_one("--audit")["unchanged"] == VERSIONS + 1
    assert told(home, before) == []


def claims_latest(event: Json) -> bool:
    return event["type"] == "listing.observed" and bool(event["data"]["meta"][OFFICIAL]["isLatest"])


def test_case_02_deleting_the_newest_version_promotes_an_older_one_that_no_increment_shows(
    home: Home, upstream: SampleServer
) -> None:
    upstream.registry.publish(server(2, "2.0.0"))
    home.crawl()
    before = position(home)
    upstream.registry.set_status(name_of(2), "2.0.0", "deleted", "Broken")
    assert home.crawl_one()["mode"] == "incremental"
    assert [one for one in told(home, before) if one[1] != "2.0.0"] == []
    assert (known(home, name_of(2))["version"], known(home, name_of(2))["status"]) == ("1.1.0", "active")
    assert {one["version"]: one["status"] for one in shown(home, name_of(2))["versions"]} == {
        "2.0.0": "deleted",
        "1.1.0": "active",
        "1.0.0": "active",
    }


def test_case_03_a_row_that_changes_behind_the_cursor_is_in_the_next_increment(
    home: Home, upstream: SampleServer
) -> None:
    home.crawl()
    registry = upstream.registry
    registry.edit(name_of(59), "1.1.0", server(59, "1.1.0", description="Ahead"))

    def behind() -> None:
        registry.edit(name_of(0), "1.1.0", server(0, "1.1.0", description="Behind"))
        registry.publish(server(0, "3.0.0", description="New behind"))
        registry.edit(name_of(58), "1.1.0", server(58, "1.1.0", description="Ahead, meanwhile"))

    upstream.faults.hook = Between(4, behind)
    walk = home.crawl_one("--audit")
    assert (walk["mode"], walk["changed"], walk["new"]) == ("audit", 2, 0)
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["changed"], crawl["new"]) == ("incremental", 1, 1)
    assert known(home, name_of(0))["description"] == "New behind"
    assert home.crawl_one("--audit")["missed"] == 0


@pytest.mark.parametrize("seconds", [1, 50, 9 * 60])
def test_case_04_a_row_that_is_committed_late_is_in_the_next_increment(
    home: Home, upstream: SampleServer, seconds: int
) -> None:
    home.crawl()
    registry = upstream.registry
    registry.publish(server(900), at=registry.now() - timedelta(seconds=seconds))
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["new"]) == ("incremental", 1)
    assert home.crawl_one()["new"] == 0
    assert home.crawl_one("--audit")["missed"] == 0


def test_case_05_rows_that_share_one_time_are_all_found_though_the_crawl_is_cut_among_them(
    home: Home, upstream: SampleServer
) -> None:
    for number in range(27):
        upstream.registry.publish(server(950, f"0.{number}.0"))
    home.crawl()
    home.watch(official=upstream.url, page_size=10)
    upstream.registry.set_status_all(name_of(950), "deprecated", "Use another one")
    times = {orjson.loads(one)["_meta"][OFFICIAL]["updatedAt"] for one in upstream.registry.versions(name_of(950))}
    assert len(times) == 1
    assert home.crawl_one("--max-pages", "1")["status"] == "interrupted"
    assert home.crawl_one("--max-pages", "1")["status"] == "interrupted"
    crawl = home.crawl_one()
    assert (crawl["mode"], crawl["status"], crawl["status_changed"]) == ("incremental", "completed", 27)
    assert {one["status"] for one in shown(home, name_of(950))["versions"]} == {"deprecated"}


def test_case_06_deleted_rows_are_in_increments_and_not_in_the_default_walk(home: Home, upstream: SampleServer) -> None:
    home.sources_file.write_text(
        f'[[source]]\nname = "official"\nkind = "registry"\nurl = "{upstream.url}"\npage_size = 20\n'
        "requests_per_minute = 1000000\ninclude_deleted = false\n"
    )
    upstream.registry.set_status(name_of(1), "1.0.0", "deleted")
    assert home.crawl_one()["observed"] == VERSIONS - 1
    upstream.registry.set_status_all(name_of(6), "deleted", "Gone")
    assert home.crawl_one()["status_changed"] == 2
    before = position(home)
    for _ in range(2):
        walk = home.crawl_one("--audit")
        assert (walk["status"], walk["observed"], walk["withdrawn"]) == ("completed", VERSIONS - 3, 0)
        assert home.crawl_one()["returned"] == 0
    assert told(home, before) == []
    assert home.document(name_of(6)) is None
    assert {one["status_message"] for one in shown(home, name_of(6))["versions"]} == {"Gone"}


def test_case_07_a_migration_changes_260_rows_silently(home: Home, serve: Serve) -> None:
    old = {"url": "", "source": ""}
    upstream = serve([item(server(number, repository=old)) for number in range(260)])
    home.watch(official=upstream.url, page_size=100)
    home.crawl()
    first_seen = known(home, name_of(7))["first_seen_at"]
    before = position(home)
    for number in range(260):
        upstream.registry.edit_silently(name_of(number), "1.0.0", server(number, repository={}))
    assert home.crawl_one()["changed"] == 0
    crawl = home.crawl_one("--audit")
    assert (crawl["changed"], crawl["new"], crawl["silent"], crawl["missed"]) == (260, 0, 260, 0)
    assert told(home, before) == [("listing.changed", "1.0.0")] * 260
    document = known(home, name_of(7))
    assert json.loads(document["server_json"])["repository"] == {}
    assert (document["first_seen_at"], document["version_count"]) == (first_seen, 1)


def test_case_08_a_name_that_is_listed_no_more_and_is_still_there_is_not_withdrawn(
    home: Home, upstream: SampleServer
) -> None:
    home.crawl()
    before = position(home)
    upstream.faults.hook = hidden(upstream.registry, name_of(8))
    for _ in range(3):
        walk = home.crawl_one("--audit")
        assert (walk["status"], walk["withdrawn"], walk["unchanged"]) == ("completed", 0, VERSIONS)  # asked for, two
    assert told(home, before) == []
    assert known(home, name_of(8))["version"] == "1.1.0"


def test_case_08_a_name_that_vanishes_is_withdrawn_and_comes_back(home: Home, upstream: SampleServer) -> None:
    registry = upstream.registry
    home.crawl()
    first_seen = known(home, name_of(8))["first_seen_at"]
    before = position(home)
    kept = [one for one in registry.items() if one["server"]["name"] == name_of(8)]
    for one in kept:
        registry.remove(name_of(8), one["server"]["version"])
    walk = home.crawl_one("--audit")
    assert (walk["status"], walk["withdrawn"], walk["missed"], walk["silent"]) == ("completed", 2, 0, 0)
    assert home.document(name_of(8)) is None

    registry.load(kept)  # with its old times
    assert home.crawl_one()["returned"] == 0
    walk = home.crawl_one("--audit")
    assert (walk["returned"], walk["new"], walk["missed"]) == (2, 0, 0)
    assert told(home, before) == [
        ("listing.withdrawn", "1.0.0"),
        ("listing.withdrawn", "1.1.0"),
        ("listing.returned", "1.0.0"),
        ("listing.returned", "1.1.0"),
    ]
    document = known(home, name_of(8))
    assert (document["version"], document["version_count"], document["first_seen_at"]) == ("1.1.0", 2, first_seen)
    assert home.agrees()


def test_case_09_all_versions_are_deleted_and_one_of_them_is_still_called_the_latest(
    home: Home, upstream: SampleServer
) -> None:
    home.crawl()
    upstream.registry.set_status_all(name_of(9), "deleted", "Moved away")
    latest = orjson.loads(upstream.registry.version(name_of(9), "latest", include_deleted=True) or b"")
    assert (latest["_meta"][OFFICIAL]["isLatest"], latest["_meta"][OFFICIAL]["status"]) == (True, "deleted")
    crawl = home.crawl_one()
    assert (crawl["status_changed"], crawl["withdrawn"]) == (2, 0)
    assert home.document(name_of(9)) is None
    entry = shown(home, name_of(9))
    assert (entry["status"], [one["version"] for one in entry["versions"]]) == ("deleted", ["1.1.0", "1.0.0"])
    assert {one["status_message"] for one in entry["versions"]} == {"Moved away"}
    assert home.crawl_one("--audit")["unchanged"] == VERSIONS


def test_case_10_a_version_that_is_restored_is_found_again(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    before = position(home)
    upstream.registry.set_status_all(name_of(10), "deleted")
    home.crawl()
    assert home.document(name_of(10)) is None
    upstream.registry.set_status(name_of(10), "1.0.0", "active")
    crawl = home.crawl_one()
    assert (crawl["status_changed"], crawl["changed"], crawl["new"]) == (1, 0, 0)
    document = known(home, name_of(10))
    assert (document["version"], document["version_count"], document["status"]) == ("1.0.0", 1, "active")
    assert {kind for kind, _ in told(home, before)} == {"listing.status_changed"}
    assert home.agrees()


def failing_from(page: int, fault: Fault) -> Faults:
    """A registry that answers so many pages, and from then on nothing but a fault."""
    faults, listings = Faults(), count(1)

    def hook(request: Request) -> Answer | None:
        if request.path.endswith("/servers") and next(listings) >= page:
            faults.rates = {fault: 1.0}
        return None

    faults.hook = hook
    return faults


@pytest.mark.parametrize("fault", ["429", "504", "500", "cut", "reset"])
def test_case_11_a_walk_that_breaks_off_goes_on_where_it_was_and_withdraws_nothing(
    home: Home, upstream: SampleServer, fault: Fault
) -> None:
    home.crawl()
    registry = upstream.registry
    registry.publish(server(59, "2.0.0"))
    registry.remove(name_of(0), "1.0.0")
    before = position(home)

    upstream.faults = failing_from(4, fault)
    broken = home.crawl_one("--audit", status=1)
    assert (broken["mode"], broken["status"], broken["pages"], broken["withdrawn"]) == ("audit", "failed", 3, 0)
    assert told(home, before) == []

    upstream.faults = Faults()
    upstream.requests.clear()
    rest = home.crawl_one()
    assert (rest["mode"], rest["status"], rest["pages"], rest["new"]) == ("audit", "completed", PAGES - 3, 1)
    assert (rest["withdrawn"], rest["missed"]) == (1, 0)
    assert "" not in cursors(upstream)
    assert told(home, before) == [("listing.observed", "2.0.0"), ("listing.withdrawn", "1.0.0")]


def test_case_11_an_increment_that_breaks_off_leaves_the_mark_where_it_was(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(30):
        upstream.registry.publish(server(number, "2.0.0"))
    upstream.faults = failing_from(2, "504")
    assert home.crawl_one(status=1)["pages"] == 1
    upstream.faults = Faults()
    assert home.crawl_one()["new"] == 10
    started = [event["data"] for event in home.events() if event["type"] == "crawl.started"]
    assert (started[1]["mode"], started[1]["since"], started[2]["since"]) == (
        "incremental",
        started[2]["since"],
        started[1]["since"],
    )
    assert home.crawl_one("--audit")["missed"] == 0


LATEST = [
    (["0.9.0", "0.10.0"], "0.10.0"),
    (["0.10.0", "0.9.0"], "0.10.0"),
    (["1.0.0", "1.0.0.post1", "1.0.0.post2"], "1.0.0"),
    (["3.3.0", "3.3.0.1"], "3.3.0"),
    (["1.0.1º", "1.0.0"], "1.0.0"),
    (["2025.6.18", "2025.06.19"], "2025.6.18"),
    (["1.1.0", "v1.2.0", "1.1.9"], "v1.2.0"),
    (["0.10", "0.9"], "0.9"),
    (["latest build", "auto", "{{VERSION}}"], "{{VERSION}}"),
    (["1.2.3", "1.2.3-1"], "1.2.3"),
    (["1.2.3-1", "1.2.3"], "1.2.3"),
    (["1.0.0-alpha.9", "1.0.0-alpha.10", "1.0.0-alpha"], "1.0.0-alpha.10"),
    (["1.4.0+build.1", "1.4.0+build.2"], "1.4.0+build.1"),
    (["2.0.0", "10.0.0", "9.9.9"], "10.0.0"),
]


def test_case_16_the_latest_version_is_the_registrys_whatever_the_versions_are_like(home: Home, serve: Serve) -> None:
    upstream = serve([])
    registry = upstream.registry
    for number, (versions, _) in enumerate(LATEST):
        for version in versions:
            registry.publish(server(number, version))
    home.watch(official=upstream.url)
    home.crawl()
    for number, (versions, latest) in enumerate(LATEST):
        document = known(home, name_of(number))
        assert (document["version"], document["version_count"]) == (latest, len(versions))
        claimed = orjson.loads(registry.version(name_of(number), "latest") or b"")
        assert claimed["server"]["version"] == latest


SCHEMAS: list[tuple[Json, bool]] = [
    ({}, True),
    ({"$schema": SCHEMA + "#/definitions/ServerDetail"}, True),
    ({"$schema": None}, False),
    ({"$schema": ""}, False),
    ({"$schema": SCHEMA.replace("2025-12-11", "2025-11-31")}, False),
    ({"$schema": "https://example.com/my.schema.json"}, False),
    # As the registry rewrote it: packages without the version that the date still asks for.
    (
        {
            "$schema": SCHEMA.replace("2025-12-11", "2025-09-29"),
            "packages": [{"registryType": "oci", "identifier": "ghcr.io/acme/tool:1", "transport": {"type": "stdio"}}],
        },
        False,
    ),
]


def test_case_17_a_schema_that_is_missing_unknown_or_not_kept_is_a_verdict_and_no_reason_to_drop(
    home: Home, serve: Serve
) -> None:
    upstream = serve([])
    for number, (more, _) in enumerate(SCHEMAS):
        document = {**server(number), **more}
        if document["$schema"] is None:
            del document["$schema"]
        upstream.registry.publish(document)
    home.watch(official=upstream.url)
    crawl = home.crawl_one()
    assert (crawl["new"], crawl["quarantined"], crawl["invalid"]) == (7, 0, 5)
    for number, (_, valid) in enumerate(SCHEMAS):
        document = known(home, name_of(number))
        assert document["valid"] is valid, SCHEMAS[number]
        problems = shown(home, name_of(number))["versions"][0]["problems"]
        assert any(problem["severity"] == "error" for problem in problems) is not valid
        assert (document["problem_count"] > 0) >= (not valid)


@pytest.mark.parametrize("first", ["official", "mirror"])
def test_case_20_what_the_trusted_source_deleted_a_mirrors_older_copy_does_not_bring_back(
    home: Home, serve: Serve, first: str
) -> None:
    sources = {"official": serve([]), "mirror": serve([])}
    official, mirror = sources["official"].registry, sources["mirror"].registry
    official.publish(server(20, description="As written"))
    mirror.publish(server(20, description="As mirrored"))
    official.publish(server(20, "1.1.0"))
    for one in (official, mirror):
        one.publish(server(21))
    mirror.publish(server(22))
    home.sources_file.write_text(
        "\n".join(
            f'[[source]]\nname = "{name}"\nkind = "registry"\nurl = "{sources[name].url}"\n'
            f"trust = {100 if name == 'official' else 10}\nrequests_per_minute = 1000000\n"
            for name in sorted(sources, key=lambda name: name != first)
        )
    )
    home.crawl()
    document = known(home, name_of(20))
    assert (document["version"], document["version_count"], document["source_count"]) == ("1.1.0", 2, 2)
    (older,) = [one for one in shown(home, name_of(20))["versions"] if one["version"] == "1.0.0"]
    assert older["source"] == "official"

    official.set_status_all(name_of(20), "deleted", "Malware")
    official.set_status_all(name_of(21), "deprecated", "Use another one")
    home.crawl()
    home.crawl("mirror", "--audit")
    assert home.document(name_of(20)) is None
    assert shown(home, name_of(20))["status"] == "deleted"
    other = known(home, name_of(21))
    assert (other["status"], other["status_message"], other["sources"]) == (
        "deprecated",
        "Use another one",
        ["mirror", "official"],
    )
    assert known(home, name_of(22))["sources"] == ["mirror"]
    assert home.agrees()


def test_case_21_packages_and_remotes_that_are_claimed_twice_are_all_kept(home: Home, serve: Serve) -> None:
    upstream = serve([])
    package = {"registryType": "npm", "identifier": "@acme/tool", "version": "1.0.0"}
    local = {**package, "transport": {"type": "stdio"}}
    served = {**package, "transport": {"type": "streamable-http", "url": "http://127.0.0.1:8931/mcp"}}
    remote = {"type": "sse", "url": "https://acme.example/sse"}
    repository = {"url": "https://github.com/acme/tool", "source": "github"}
    upstream.registry.publish(server(0, packages=[local, served], remotes=[remote, remote], repository=repository))
    upstream.registry.publish(server(1, packages=[local], remotes=[], repository=repository))
    home.watch(official=upstream.url)
    assert home.crawl()["index"]["documents"] == 2
    document = known(home, name_of(0))
    assert [one["transport"] for one in document["packages"]] == ["stdio", "streamable-http"]
    assert (document["package_identifiers"], len(document["remotes"])) == (["@acme/tool"], 2)
    assert document["transports"] == ["stdio", "streamable-http", "sse"]
    assert json.loads(document["server_json"])["packages"] == [local, served]
    other = known(home, name_of(1))
    assert (other["package_identifiers"], other["aliases"]) == (["@acme/tool"], [])
    found = home.run("search", "", "--filter", 'package_identifiers = "@acme/tool"', "--json").object
    assert {hit["name"] for hit in found["hits"]} == {name_of(0), name_of(1)}


def remove(registry: SampleRegistry, numbers: Iterable[int]) -> None:
    """Servers that are gone without a trace, as after a reset."""
    for number in numbers:
        for version in ("1.0.0", "1.1.0"):
            registry.remove(name_of(number), version)


def withdrawals(home: Home) -> int:
    return home.kinds().count("listing.withdrawn")


def test_case_25_a_mass_removal_waits_for_a_second_complete_walk(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    remove(upstream.registry, range(20))
    upstream.requests.clear()
    parked = home.crawl_one("--audit", status=PARKED)
    assert (parked["mode"], parked["status"], parked["withdrawn"], parked["missed"]) == ("audit", "parked", 0, 0)
    assert [unquote(one.path) for one in upstream.requests if not one.path.endswith("/servers")] == []
    assert home.run("status", "--json").object["sources"][0]["state"] == "parked"
    assert home.run("crawls", "--json").objects[-1]["status"] == "parked"
    assert known(home, name_of(0))["version"] == "1.1.0"
    assert withdrawals(home) == 0

    upstream.registry.publish(server(0))  # what comes back meanwhile is not withdrawn
    second = home.crawl_one("--audit")
    assert (second["status"], second["withdrawn"]) == ("completed", 39)
    assert home.document(name_of(1)) is None
    assert (known(home, name_of(0))["version"], withdrawals(home)) == ("1.0.0", 39)
    assert home.run("status", "--json").object["sources"][0]["state"] == "fresh"
    assert home.agrees()


def test_case_25_a_registry_that_lost_more_than_half_waits_for_a_person(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    remove(upstream.registry, range(40))
    for _ in range(3):
        assert home.crawl_one("--audit", status=PARKED)["status"] == "parked"
        assert withdrawals(home) == 0
    assert home.run("approve", "official").status == 0
    assert withdrawals(home) == 80
    assert home.crawl()["index"]["documents"] == NAMES - 40
    assert home.run("approve", "official").status == 2
    assert home.agrees()


def test_case_25_a_real_bulk_delete_passes_at_once(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    for number in range(50):
        upstream.registry.set_status_all(name_of(number), "deleted", "Moved to another registry")
    result = home.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["status"], crawl["status_changed"], crawl["withdrawn"]) == ("completed", 100, 0)
    assert result["index"]["documents"] == NAMES - 50
    assert home.crawl_one("--audit")["status"] == "completed"


def test_case_25_nothing_at_all_is_a_failure(home: Home, upstream: SampleServer) -> None:
    home.crawl()
    remove(upstream.registry, range(NAMES))
    failed = home.crawl_one("--audit", status=1)
    assert (failed["status"], failed["withdrawn"]) == ("failed", 0)
    assert withdrawals(home) == 0
    assert home.run("search", "", "--json").object["total"] == NAMES
