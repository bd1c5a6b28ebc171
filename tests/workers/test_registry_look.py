"""One version asked for by itself: at its own address, or among all of its server where it can have none."""

from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from indexer.errors import SourceGone, SourceRefused
from schemas.observations import Observation
from tests.crawling import FreeBudget
from workers.client import client
from workers.fetch import Fetcher
from workers.sample.answers import Request, answer
from workers.sample.registry import SampleRegistry
from workers.sources.registry import Registry, RegistryOptions

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
NAME = "io.github.acme/tool"
VERSIONS = [
    "1.0.0",
    "2025.11.26+pr150-394827a",
    "1.0.1º",
    "{{VERSION}}",
    "50 %",
    "a/b",
    "a:b",
    "?#",
    "",
    "..",
    "latest",
]


class Asked:
    """A registry source over a sample registry, and the paths that were asked for, as they were sent."""

    def __init__(self, registry: SampleRegistry, **options: Any) -> None:
        self.registry, self.paths = registry, list[str]()
        fetcher = Fetcher(
            client(None, httpx.MockTransport(self._handle)),
            FreeBudget(),
            per_minute=120,
            clock=lambda: NOW,
            sleep=lambda _: None,
        )
        self.source = Registry("https://r.test", RegistryOptions(**options), fetcher)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode().partition("?")
        self.paths.append(path)
        found = answer(self.registry, Request(request.method, path, query))
        return httpx.Response(found.status, headers=found.headers, stream=httpx.ByteStream(found.body))


@pytest.fixture
def asked() -> Asked:
    registry = SampleRegistry()
    for version in VERSIONS:
        registry.publish({"name": NAME, "version": version, "description": f"This is {version}"})
    return Asked(registry)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_is_found_whatever_it_is_called(asked: Asked, version: str) -> None:
    found = asked.source.look(NAME, version)
    assert isinstance(found, Observation)
    assert (found.key, found.version, found.record["description"]) == (NAME, version, f"This is {version}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deleted_version_is_found_and_deleted(asked: Asked, version: str) -> None:
    asked.registry.set_status(NAME, version, "deleted")
    found = asked.source.look(NAME, version)
    assert isinstance(found, Observation)
    assert (found.version, found.about.status) == (version, "deleted")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_is_gone_is_said_to_be_gone(asked: Asked, version: str) -> None:
    asked.registry.remove(NAME, version)
    with pytest.raises(SourceGone):
        asked.source.look(NAME, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_versions_of_a_server_that_is_gone_are_gone(asked: Asked, version: str) -> None:
    asked.registry = SampleRegistry()
    with pytest.raises(SourceGone):
        asked.source.look(NAME, version)


def test_a_name_is_one_segment_of_the_address(asked: Asked) -> None:
    asked.source.look(NAME, "1.0.0")
    asked.source.look(NAME, "")
    assert asked.paths == [
        "/v0.1/servers/io.github.acme%2Ftool/versions/1.0.0",
        "/v0.1/servers/io.github.acme%2Ftool/versions",
    ]


@pytest.mark.parametrize("version", [None, 5, ["1.0.0"]])
def test_a_version_that_is_no_text_is_found_among_all(version: Any) -> None:
    found = _among({"server": {"name": NAME, "version": version}}).look(NAME, version)
    assert isinstance(found, Observation)
    assert found.version == version


def test_of_a_list_that_goes_on_nothing_is_known_to_be_missing() -> None:
    with pytest.raises(SourceRefused) as refused:
        _among({"server": {"name": NAME, "version": "1.0.0"}}, nextCursor="more").look(NAME, "")
    assert not isinstance(refused.value, SourceGone)


@pytest.mark.parametrize("key", ["", ".", "..", "a\x00b", "a\ud800"])
def test_a_name_that_can_be_no_part_of_an_address_is_not_asked_for(asked: Asked, key: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        asked.source.look(key, "1.0.0")
    assert not isinstance(refused.value, SourceGone)
    assert asked.paths == []


def _among(item: Any, **metadata: str) -> Registry:
    """A registry that has this item among a server's versions."""
    body = httpx.ByteStream(orjson.dumps({"servers": [item], "metadata": metadata}))
    handle = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    fetcher = Fetcher(client(None, handle), FreeBudget(), per_minute=120, clock=lambda: NOW, sleep=lambda _: None)
    return Registry("https://r.test", RegistryOptions(), fetcher)
