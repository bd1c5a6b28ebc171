"""`python -m tests.bench.team`: four slow sources, crawled by one worker and by two; prints the ratio.

Workers do one task at a time, over the embedded broker and SQLite, which is the shape that gains least.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson

from tests.servers import MeilisearchServer
from tests.waiting import wait_until
from workers.meili_binary import find_binary
from workers.sample.bundled import sample_registry
from workers.sample.faults import Faults
from workers.sample.serve import SampleServer

SOURCES, PAGES, DELAY = 4, 60, 0.1
AT_MOST = 0.6
LONGEST = 600.0
CELERY = [sys.executable, "-P", "-m", "celery", "-A", "workers.app"]
WORKER = ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
BEAT = ["beat", "--loglevel", "INFO"]


def main() -> None:
    """Measures both, and says what came of it."""
    with ExitStack() as stack:
        urls = [stack.enter_context(_slow()) for _ in range(SOURCES)]
        meilisearch = stack.enter_context(MeilisearchServer(_binary()))
        one, two = (_seconds(urls, meilisearch, workers) for workers in (1, 2))
    _say(f"{SOURCES} sources of {PAGES} pages, {DELAY:g} s a page: one worker {one:.1f} s, two {two:.1f} s")
    _say(f"two ÷ one: {two / one:.2f}, at most {AT_MOST}: {'met' if two / one <= AT_MOST else 'missed'}")


@contextmanager
def _slow() -> Iterator[str]:
    """A registry that takes its time for each page."""
    faults = Faults()
    faults.delay = DELAY
    with SampleServer(sample_registry(PAGES * 100 - 50, bundled=False), faults) as server:
        yield server.url


def _seconds(urls: list[str], meilisearch: MeilisearchServer, workers: int) -> float:
    """From the first message until every source was crawled to its end."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "sources.toml").write_text("\n".join(map(_source, range(len(urls)), urls)))
        environment = _environment(home, meilisearch, workers)
        for number in range(workers):
            stack.enter_context(_running(home, environment, [*WORKER, "--hostname", f"w{number}@%h"], "ready."))
        began = time.monotonic()
        stack.enter_context(_running(home, environment, BEAT, "beat: Starting"))
        wait_until(lambda: _completed(home, environment) == len(urls), timeout=LONGEST, every=0.1)
        return time.monotonic() - began


def _source(number: int, url: str) -> str:
    return f'[[source]]\nname = "slow-{number}"\nkind = "registry"\nurl = "{url}"\nrequests_per_minute = 1000000\n'


def _environment(home: Path, meilisearch: MeilisearchServer, workers: int) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MCP_INDEXER_")}
    return ours | {
        "MCP_INDEXER_HOME": str(home / "home"),
        "MCP_INDEXER_SOURCES": str(home / "sources.toml"),
        "MCP_INDEXER_MEILI_URL": meilisearch.url,
        "MCP_INDEXER_MEILI_KEY": meilisearch.key,
        "MCP_INDEXER_INDEX": f"team{workers}",
    }


@contextmanager
def _running(home: Path, environment: dict[str, str], arguments: list[str], ready: str) -> Iterator[None]:
    """One of Celery's commands, from when it says that it is ready."""
    log = home / f"{len(list(home.iterdir()))}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*CELERY, *arguments], cwd=home, env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or ready in log.read_text(errors="replace"))
        if process.poll() is not None:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        yield
    finally:
        process.terminate()
        process.wait(60)


def _completed(home: Path, environment: dict[str, str]) -> int:
    command = [sys.executable, "-P", "-m", "workers", "crawls", "--json"]
    said = subprocess.run(command, cwd=home, env=environment, capture_output=True, check=True).stdout
    return sum(orjson.loads(line)["status"] == "completed" for line in said.splitlines())


def _binary() -> Path:
    return find_binary(Path(__file__).parents[2] / ".mcp-indexer", os.environ.get("MCP_INDEXER_MEILI_BINARY"), _say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
