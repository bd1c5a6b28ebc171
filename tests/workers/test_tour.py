"""The tour as `make run` starts it: a program of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer.errors import SourceMalformed, SourceUnavailable
from tests.gate import Gate
from tests.servers import MeilisearchServer
from tests.waiting import wait_until
from workers.sample.bundled import sample_registry
from workers.sample.faults import Fault, Faults
from workers.sample.serve import SampleServer
from workers.sources_file import read_sources
from workers.tour import SOURCES, reach

FIRST = "$ mcp-indexer crawl sample"
TOUR = ("-m", "workers.tour")
LONGEST = 120.0
"""Seconds for a tour: it starts seven programs, each of which may take ten."""
CRAWL = 2
"""The listing that a tour asks for first with its crawl; before it looks whether the registry is there."""
INSTEAD = "crawling the bundled sample registry instead.\n"


class Visitor:
    """Somebody in an empty folder who types `python -m workers.tour`."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder = folder
        ours = {name: value for name, value in os.environ.items() if not name.startswith("MCP_INDEXER_")}
        self.environment = {**ours, "MCP_INDEXER_MEILI_BINARY": str(binary)}

    @contextmanager
    def begins(self, *arguments: str, tour: Sequence[str] = TOUR, **more: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, *tour, *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as begun:
            try:
                yield begun
            finally:
                begun.kill()

    def takes(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Its exit status, output and messages."""
        with self.begins(*arguments, **more) as tour:
            out, said = tour.communicate(timeout=LONGEST)
            return tour.returncode, out, said

    def left(self) -> list[str]:
        """The programs that still run in the folder or for it."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                here = process.joinpath("cwd").resolve().is_relative_to(self.folder)
            except OSError:
                continue
            if line and (here or str(self.folder) in line):
                found.append(line)
        return found


@pytest.fixture
def visitor(tmp_path: Path, meilisearch_binary: Path) -> Iterator[Visitor]:
    visitor = Visitor(tmp_path, meilisearch_binary)
    yield visitor
    wait_until(lambda: not visitor.left())


@pytest.fixture
def official() -> Iterator[SampleServer]:
    """What answers in the official registry's place."""
    with SampleServer(sample_registry()) as server:
        yield server


def test_without_the_official_registry_it_crawls_the_sample_and_again(visitor: Visitor, nobody: str) -> None:
    status, out, said = visitor.takes("--official", nobody)

    assert (status, said.count("\n")) == (0, 1), said
    assert said.startswith(f"The official registry cannot be reached ({nobody}/v0.1/servers")
    assert said.endswith(INSTEAD)
    assert out.startswith(FIRST)
    assert "127" in row(out, "sample")
    assert "io.github.quillbyte/pdf-split" in out
    assert row(out, "catalogue:").endswith("lag 0")
    assert "export MCP_INDEXER_HOME=.mcp-indexer/sample MCP_INDEXER_SOURCES=.mcp-indexer/sample/sources.toml" in out

    # Again, where everything is to go through a proxy: it is not asked for what is on this machine.
    status, out, said = visitor.takes(
        "--official", nobody, HTTP_PROXY=nobody, http_proxy=nobody, NO_PROXY="", no_proxy=""
    )

    assert status == 0, said
    assert row(out, "sample").split()[1:8] == ["incremental", "completed", "1", "0", "0", "0", "0"]
    assert "io.github.quillbyte/pdf-split" in out
    assert not (visitor.folder / ".mcp-indexer" / "official").exists()


def test_the_official_registry_comes_first_and_not_whole(visitor: Visitor, official: SampleServer) -> None:
    status, out, said = visitor.takes("--official", official.url, "--max-pages", "1")

    assert (status, said) == (0, "")
    assert out.startswith("$ mcp-indexer crawl official --max-pages 1\n")
    assert row(out, "official").split()[1:5] == ["full", "interrupted", "1", "100"]
    assert [request.query.split("&")[0] for request in official.requests] == ["limit=1", "limit=100"]

    status, out, _ = visitor.takes("--official", official.url, "--max-pages", "1")

    assert (status, row(out, "official").split()[1:5]) == (0, ["full", "completed", "2", "127"])
    assert not (visitor.folder / ".mcp-indexer" / "sample").exists()


@pytest.mark.parametrize("fault", ["500", "503", "reset", "html", "blank"])
def test_one_bad_answer_is_enough_to_take_the_sample(official: SampleServer, fault: Fault) -> None:
    (config,) = read_sources(SOURCES)
    here = config.model_copy(update={"url": official.url})
    reach(here, None)

    official.faults = Faults({fault: 1.0})

    with pytest.raises((SourceUnavailable, SourceMalformed)):
        reach(here, None)
    assert len(official.requests) == 2


def test_it_touches_nothing_that_an_operator_has(
    visitor: Visitor, nobody: str, meilisearch_server: MeilisearchServer, meili_index: str
) -> None:
    (visitor.folder / "sources.toml").write_text("an operator's")
    theirs = {
        "MCP_INDEXER_MEILI_URL": meilisearch_server.url,
        "MCP_INDEXER_MEILI_KEY": meilisearch_server.key,
        "MCP_INDEXER_INDEX": meili_index,
        "MCP_INDEXER_DATABASE_URL": f"sqlite:///{visitor.folder / 'theirs.sqlite'}",
    }

    status, out, said = visitor.takes("--official", nobody, **theirs)

    assert status == 0, said
    assert f"MCP_INDEXER_INDEX={meili_index}-sample" in out
    assert "unset MCP_INDEXER_DATABASE_URL" in out
    assert f"{meili_index}-sample" in meilisearch_server.indexes()
    assert meili_index not in meilisearch_server.indexes()
    assert sorted(path.name for path in visitor.folder.iterdir()) == [".mcp-indexer", "sources.toml"]


@pytest.mark.parametrize("group", [True, False], ids=["ctrl-c", "sigterm"])
def test_told_to_stop_it_stops_and_goes_on_next_time(visitor: Visitor, official: SampleServer, group: bool) -> None:
    with Gate(official, CRAWL) as gate, visitor.begins("--official", official.url) as tour:
        gate.await_request(LONGEST)
        if group:  # as a terminal does it
            os.killpg(tour.pid, signal.SIGINT)
        else:
            tour.terminate()
        _, said = tour.communicate(timeout=LONGEST)

    assert tour.returncode == 130
    assert said.splitlines()[-1].startswith("Interrupted;")
    wait_until(lambda: not visitor.left())
    if group:
        status, out, said = visitor.takes("--official", official.url)
        assert (status, row(out, "official").split()[2]) == (0, "completed"), said


def test_bad_settings_get_a_sentence(visitor: Visitor, nobody: str) -> None:
    assert_sentence(visitor.takes("--official", nobody, MCP_INDEXER_MEILI_BINARY="nowhere"), 2)
    (visitor.folder / "file").touch()
    assert_sentence(visitor.takes("--official", nobody, MCP_INDEXER_HOME="file"), 2)
    dead: Mapping[str, str] = {"MCP_INDEXER_MEILI_URL": nobody}
    assert_sentence(visitor.takes("--official", nobody, **dead), 1)
    assert visitor.takes("--max-pages", "0")[0] == 2


TOLD_AT_ONCE = """
import os, subprocess, sys
from workers.tour import main

start = subprocess.Popen.__init__

def told_at_once(self, command, *arguments, **options):
    start(self, command, *arguments, **options)
    if "crawl" in command:
        os.kill(os.getpid(), int(os.environ["TOLD_BY"]))

subprocess.Popen.__init__ = told_at_once
sys.exit(main())
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_it_starts_a_command_it_stops_that_too(
    visitor: Visitor, official: SampleServer, how: signal.Signals
) -> None:
    visitor.environment["TOLD_BY"] = str(how.value)
    with Gate(official, CRAWL), visitor.begins("--official", official.url, tour=("-c", TOLD_AT_ONCE)) as tour:
        assert tour.wait(LONGEST) == 130
        wait_until(lambda: not visitor.left())


UNHEARD = """
import signal, subprocess, sys
from workers import tour

signal.signal(signal.SIGINT, signal.SIG_IGN)
with tour._told_later():
    subprocess.run([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT).name)"], check=True)
"""


def test_where_ctrl_c_is_not_to_be_heard_its_commands_do_not_hear_it() -> None:
    done = subprocess.run([sys.executable, "-c", UNHEARD], capture_output=True, text=True, check=True)
    assert done.stdout == "SIG_IGN\n"


def assert_sentence(taken: tuple[int, str, str], expected: int) -> None:
    status, _, said = taken
    assert status == expected, said
    assert "Traceback" not in said


def row(out: str, begin: str) -> str:
    """The first line that begins with this word."""
    return next(line for line in out.splitlines() if line.startswith(f"{begin} ")).strip()
