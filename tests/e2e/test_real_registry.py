"""The official registry as it was on 2025-11-14, served as it serves: recorded, searched, rebuilt, verified, mended."""

import gzip
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer import queries
from indexer.database import Database
from schemas.names import ServerName
from tests.e2e.celery_processes import beat, through, worker
from tests.e2e.home import Home
from tests.waiting import wait_until
from workers.sample.serve import SampleServer
from workers.searching import search_index
from workers.settings import read_settings
from workers.terminal import say
from workers.wiring import Wiring

Json = dict[str, Any]

pytestmark = pytest.mark.upstream
VERSIONS, NAMES, INVALID, PAGES = 1_781, 827, 393, 18


@pytest.fixture(scope="session")
def listed(shared: Path) -> list[Json]:
    packed = (shared / "upstream" / "seed" / "official-full-2025-11-14.json.gz").read_bytes()
    found: list[Json] = json.loads(gzip.decompress(packed))
    return found


@pytest.fixture
def real(either: Home, listed: list[Json], serve: Callable[[list[Json]], SampleServer]) -> Home:
    """A home that watches it, with the page size that everybody has."""
    either.watch(official=serve(listed).url, page_size=100)
    return either


def digests(home: Home) -> tuple[str, list[Json]]:
    """The catalogue's digest as `verify` tells it, and all documents as the index tells them."""
    report = home.run("verify", "--json").object
    assert report["ok"]
    return report["catalogue"]["digest"], home.run("search", "", "--limit", "1000", "--json").object["hits"]


def test_the_real_registry_is_recorded_indexed_found_rebuilt_and_verified(real: Home, listed: list[Json]) -> None:
    result = real.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["mode"], crawl["status"], crawl["pages"]) == ("full", "completed", PAGES)
    assert (crawl["observed"], crawl["new"], crawl["invalid"]) == (VERSIONS, VERSIONS, INVALID)
    assert result["index"]["documents"] == NAMES

    names = {one["server"]["name"] for one in listed}
    assert len(names) == NAMES
    wiring = Wiring(read_settings(), say)
    try:
        index = wiring.index()

        def first(name: str) -> str:
            found: str = search_index(index, name, {"limit": 20})["hits"][0]["name"]
            return found

        with ThreadPoolExecutor(4) as threads:
            lost = {name for name, hit in zip(names, threads.map(first, names), strict=True) if hit != name}
    finally:
        wiring.close()
    assert not lost

    crawl = real.crawl_one()
    assert (crawl["mode"], crawl["observed"]) == ("incremental", 0)
    assert real.kinds(after=result["log"]["position"]) == ["crawl.started", "crawl.completed"]

    before = digests(real)
    assert len({document["id"] for document in before[1]}) == NAMES
    assert real.run("rebuild", "--json").status == 0
    catalogue, documents = digests(real)
    assert catalogue == before[0]
    assert {one["id"]: one for one in documents} == {one["id"]: one for one in before[1]}


def test_two_workers_record_it_whole_and_judge_it_as_its_schemas_do(
    home: Home,
    listed: list[Json],
    serve: Callable[[list[Json]], SampleServer],
    postgres_url: str,
    rabbitmq_url: str,
    shared: Path,
) -> None:
    home.set(DATABASE_URL=postgres_url, BROKER_URL=rabbitmq_url, MEILI_BINARY=None)
    home.watch(official=serve(listed).url, page_size=100)
    with worker(home, "one"), worker(home, "two"), beat(home):
        wait_until(lambda: through(home, "official"), timeout=120, every=0.2)
    (crawl,) = home.run("crawls", "--json").objects
    assert (crawl["mode"], crawl["status"], crawl["pages"]) == ("full", "completed", PAGES)
    assert (crawl["observed"], crawl["new"], crawl["invalid"]) == (VERSIONS, VERSIONS, INVALID)
    status = home.run("status", "--json").object
    assert [status["sources"][0][count] for count in ("versions", "listings", "invalid")] == [VERSIONS, NAMES, INVALID]
    assert status["index"]["documents"] == NAMES
    known = json.loads((shared / "upstream" / "examples" / "live-invalid-2025-11-14.json").read_text())
    assert told(Database(postgres_url), {one["server"]["name"] for one in listed}) == {
        (one["name"], one["version"]): sorted(one["errors"]) for one in known
    }
    assert home.agrees()


def told(database: Database, names: set[str]) -> dict[tuple[str, str], list[list[str]]]:
    """What the catalogue has against each invalid version, as the file of those that are known says it."""
    sentences = dict.fromkeys(("schema/undeclared", "schema/unknown"), "unknown, empty or missing")
    found = {}
    with database.read() as connection:
        for name in names:
            shown = queries.show(connection, ServerName(name))
            assert shown is not None, name
            for version in shown["versions"]:
                errors = [one for one in version["problems"] if one["severity"] == "error"]
                assert version["valid"] is not bool(errors)
                if errors:
                    pairs = [[one["pointer"], sentences.get(one["rule"], one["message"])] for one in errors]
                    found[name, version["version"]] = sorted(pairs)
    database.close()
    return found


def test_what_was_done_behind_its_back_is_named_and_mended(real: Home, meili: httpx.Client) -> None:
    real.crawl()
    uid = os.environ["MCP_INDEXER_INDEX"]
    changed, deleted = real.run("search", "", "--limit", "2", "--json").object["hits"]
    added = {**changed, "id": "0" * 32, "name": "io.github.nobody/nothing"}
    written = [{"id": changed["id"], "description": "Not what its publisher wrote"}, added]
    tasks = [
        meili.put(f"/indexes/{uid}/documents", json=written),
        meili.delete(f"/indexes/{uid}/documents/{deleted['id']}"),
    ]
    for task in tasks:
        address = f"/tasks/{task.raise_for_status().json()['taskUid']}"
        wait_until(lambda: meili.get(address).json()["status"] == "succeeded")  # noqa: B023 - called at once

    ran = real.run("verify", "--json")
    found = ran.object
    assert (ran.status, found["ok"]) == (3, False)
    assert found["index"]["different"] == [changed["name"]]
    assert found["index"]["missing"] == [deleted["name"]]
    assert found["index"]["extra"] == ["io.github.nobody/nothing"]
    counts = [found["index"][f"{kind}_count"] for kind in ("different", "missing", "extra")]
    assert (counts, found["index"]["documents"]) == ([1, 1, 1], NAMES)
    assert found["catalogue"]["digest"] == found["catalogue"]["expected"]
    told = real.run("verify")
    assert told.status == 3
    assert all(name in told.out for name in (changed["name"], deleted["name"], "io.github.nobody/nothing"))

    mended = real.run("verify", "--repair", "--json")
    assert (mended.status, mended.object["ok"], mended.object["repaired"]) == (0, True, True)
    assert real.run("verify").status == 0
    assert {one["name"]: one for one in (changed, deleted)} == {
        name: real.document(name) for name in (changed["name"], deleted["name"])
    }
