"""What tests of the commands ask for: a home on real databases and a real Meilisearch, with the sample registry as the
upstream.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.home import Home
from tests.listed import items
from tests.servers import MeilisearchServer
from tests.waiting import PATIENCE
from workers import doctor, standing
from workers.sample.faults import Faults
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer

Json = dict[str, Any]


def no_share() -> float:
    """The random share of a backoff that is waited: none."""
    return 0.0


@pytest.fixture
def serve() -> Iterator[Callable[[list[Json]], SampleServer]]:
    """Starts sample registries with some items."""
    running: list[SampleServer] = []

    def start(some: list[Json]) -> SampleServer:
        running.append(SampleServer(SampleRegistry(some), Faults()).start())
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def upstream(serve: Callable[[list[Json]], SampleServer]) -> SampleServer:
    """A registry of 60 servers in two versions each: six full pages of twenty, and an empty one behind them."""
    return serve(items(60, ("1.0.0", "1.1.0")))


@pytest.fixture
def home(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    upstream: SampleServer,
    meilisearch_server: MeilisearchServer,
    meili_index: str,
) -> Home:
    """A home with the sample registry as its one source and SQLite under it."""
    made = Home(tmp_path, monkeypatch, capsys)
    monkeypatch.setattr(random, "random", no_share)
    # Whose one look at an index that is slow would not tell how many documents it has.
    for module in (standing, doctor):
        monkeypatch.setattr(module, "A_LOOK", PATIENCE)
    for name in ("NO_PROXY", "no_proxy"):  # which a command adds to
        monkeypatch.setenv(name, "127.0.0.1")
    made.set(DATABASE_URL=None, CONTACT=None, BROKER_URL=None)
    made.set(MEILI_URL=meilisearch_server.url, MEILI_KEY=meilisearch_server.key, INDEX=meili_index)
    made.watch(official=upstream.url)
    return made


@pytest.fixture
def either(home: Home, database_url: str) -> Home:
    """A home on each kind of database in turn."""
    home.set(DATABASE_URL=database_url)
    return home


@pytest.fixture
def meili(meilisearch_server: MeilisearchServer) -> Iterator[httpx.Client]:
    """Meilisearch itself, behind the back of all commands."""
    headers = {"Authorization": f"Bearer {meilisearch_server.key}"}
    with httpx.Client(base_url=meilisearch_server.url, headers=headers, timeout=PATIENCE, trust_env=False) as client:
        yield client
