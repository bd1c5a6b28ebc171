"""A home to run the commands in: real databases, a real Meilisearch, and the sample registry as the upstream.

`Home.run` runs a command in this process, which saves its start; `Home.start` in one of its own, to be killed.
"""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import httpx
import pytest

from tests.servers import MeilisearchServer
from tests.waiting import PATIENCE
from workers import doctor, standing
from workers.cli import main
from workers.sample.faults import Faults
from workers.sample.registry import SampleRegistry
from workers.sample.row import OFFICIAL
from workers.sample.serve import SampleServer

Json = dict[str, Any]

LONG_AGO = "2026-01-01T00:00:00Z"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PROGRAM = Path(sys.executable).with_name("mcp-indexer")


class Ran(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[Json]:
        """What is on stdout: one JSON object a line, and nothing else."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(one, dict) for one in found)
        return found

    @property
    def object(self) -> Json:
        """What is on stdout: exactly one JSON object."""
        (found,) = self.objects
        return found

    @property
    def sentence(self) -> str:
        """What is on stderr: exactly one line."""
        (line,) = self.err.splitlines()
        return line


class Home:
    """Where commands run: a folder with its sources file, and the environment that names all else."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.sources_file = folder / "sources.toml"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(HOME=str(folder / "home"), SOURCES=str(self.sources_file))

    def set(self, **variables: str | None) -> None:
        """Sets MCP_INDEXER_ variables of the environment; None removes one."""
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(f"MCP_INDEXER_{name}", raising=False)
            else:
                self._monkeypatch.setenv(f"MCP_INDEXER_{name}", value)

    def watch(self, *, page_size: int = 20, **urls: str) -> None:
        """Writes a sources file of registries, asked as often as they can answer."""
        common = f'kind = "registry"\nrequests_per_minute = 1000000\npage_size = {page_size}\n'
        tables = [f'[[source]]\nname = "{name}"\nurl = "{url}"\n{common}' for name, url in urls.items()]
        self.sources_file.write_text("\n".join(tables))

    def run(self, *arguments: str) -> Ran:
        """A command in this process."""
        self._monkeypatch.setattr(sys, "argv", ["mcp-indexer", *arguments])
        self._capsys.readouterr()
        terminate = signal.getsignal(signal.SIGTERM)
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, terminate)
        return Ran(status, *self._capsys.readouterr())

    @contextmanager
    def start(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command in a process of its own, killed at the end where it still runs."""
        with subprocess.Popen(
            [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def crawl(self, *arguments: str, status: int = 0) -> Json:
        """What `crawl --json` prints."""
        ran = self.run("crawl", "--json", *arguments)
        assert ran.status == status, ran
        return ran.object

    def crawl_one(self, *arguments: str, status: int = 0) -> Json:
        """The same of the one source that was crawled."""
        (crawl,) = self.crawl(*arguments, status=status)["crawls"]
        found: Json = crawl
        return found

    def events(self, after: int = 0) -> list[Json]:
        """The log."""
        return self.run("events", "--json", "--after", str(after)).objects

    def kinds(self, after: int = 0) -> list[str]:
        """The types of the log's events."""
        return [event["type"] for event in self.events(after)]

    def document(self, name: str) -> Json | None:
        """What the index has of a server."""
        hits = self.run("search", name, "--json").object["hits"]
        found: Json | None = next((hit for hit in hits if hit["name"] == name), None)
        return found

    def agrees(self) -> bool:
        """Whether `verify` finds nothing."""
        ran = self.run("verify", "--json")
        return ran.status == 0 and ran.object["ok"] is True


def no_share() -> float:
    """The random share of a backoff that is waited: none."""
    return 0.0


def name_of(number: int) -> str:
    return f"io.github.acme/tool-{number:04}"


def server(number: int, version: str = "1.0.0", **more: Any) -> Json:
    """A valid server.json."""
    document = {"$schema": SCHEMA, "name": name_of(number), "description": f"Tool number {number}", "version": version}
    return {**document, "remotes": [{"type": "sse", "url": f"https://acme.example/{number}"}], **more}


def item(document: Json) -> Json:
    """An item of the registry's list, published long ago."""
    return {"server": document, "_meta": {OFFICIAL: {"status": "active", "publishedAt": LONG_AGO}}}


def items(names: int, versions: Iterable[str] = ("1.0.0",)) -> list[Json]:
    """So many servers, each in these versions."""
    return [item(server(number, version)) for number in range(names) for version in versions]


def cursors(upstream: SampleServer) -> Counter[str]:
    """How often each page was asked for, by its cursor; empty for the first."""
    asked = [parse_qs(seen.query) for seen in upstream.requests if seen.path.endswith("/servers")]
    return Counter(query.get("cursor", [""])[0] for query in asked)


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
