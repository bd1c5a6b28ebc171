"""What is measured, in a process of its own: `python -m tests.bench.child JOB ARGUMENT...`, settings as environment.

It imports what a command imports and no more, so that its memory is that command's.
"""

import sys
from collections.abc import Callable
from typing import Any

from indexer.projections import documents, runner
from indexer.verify import verify
from tests.bench.measuring import measured, tell
from workers.commands import crawl_sources
from workers.report import crawling, say
from workers.settings import read_settings
from workers.wiring import Wiring

Json = dict[str, Any]


def crawl(wiring: Wiring, audit: str = "") -> Json:
    """What `mcp-indexer crawl` does."""
    result = crawl_sources(wiring, [], audit=audit == "audit", crawling=crawling)
    (outcome,) = result.crawls
    return {
        "status": outcome.status,
        "error": outcome.error or result.index_error,
        "counts": outcome.counts.model_dump(),
        "recorded_after": outcome.seconds,
        "position": result.position,
        "documents": result.documents,
        "lag": result.lag,
    }


def rebuild_catalogue(wiring: Wiring) -> Json:
    """What `mcp-indexer rebuild catalogue` does."""
    return {"position": runner.rebuild(wiring.database)}


def rebuild_search(wiring: Wiring) -> Json:
    """What `mcp-indexer rebuild search` does."""
    runner.catch_up(wiring.database)
    return {"position": documents.rebuild(wiring.database, wiring.index())}


def check(wiring: Wiring) -> Json:
    """What `mcp-indexer verify` does."""
    report = verify(wiring.database, wiring.index())
    return {"ok": report.ok, "documents": report.index.documents}


JOBS: dict[str, Callable[..., Json]] = {
    "crawl": crawl,
    "rebuild_catalogue": rebuild_catalogue,
    "rebuild_search": rebuild_search,
    "verify": check,
}


def main(name: str, arguments: list[str]) -> None:
    """Does a job and says what it took."""
    wiring = Wiring(read_settings(), say)
    try:
        assert wiring.sources, "there is a source; with it the database is open and its tables are made"
        said = measured(JOBS[name], wiring, *arguments)
    finally:
        wiring.close()
    tell(said)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
