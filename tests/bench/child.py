"""What is measured, in a process of its own: `python -m tests.bench.child JOB ARGUMENT...`, settings as environment.

It imports what a command imports and no more, so that its memory is that command's.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from indexer.database import Database
from indexer.held import HELD
from indexer.migrations import migrate
from indexer.projections import documents, runner
from indexer.projections.rows import ENTRIES, VERSIONS
from indexer.sql import insert_missing_whole
from indexer.store import EVENTS, RECORDS, STREAMS
from indexer.verify import verify
from tests.bench.measuring import measured, tell
from workers.crawling import crawl_sources
from workers.settings import read_settings
from workers.terminal import crawling, say
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


def bulk_insert(wiring: Wiring, url: str) -> Json:
    """The rows that a crawl came to, put into an empty database a thousand at a time, and no more: the floor."""
    empty = Database(url)
    migrate(empty)
    seconds = rows = 0.0
    with wiring.database.read() as connection:
        for table in (EVENTS, RECORDS, STREAMS, HELD, VERSIONS, ENTRIES):
            query = select(table)
            if table is RECORDS:  # in the order in which they came
                query = query.join_from(table, EVENTS, EVENTS.c.record == RECORDS.c.id).distinct()
            for some in connection.execute(query.execution_options(yield_per=1_000)).partitions():
                began = time.perf_counter()
                with empty.write() as target:
                    insert_missing_whole(target, table, [tuple(row) for row in some])
                seconds, rows = seconds + time.perf_counter() - began, rows + len(some)
    empty.close()
    return {"inserting_seconds": seconds, "rows": rows}


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
    "bulk_insert": bulk_insert,
    "rebuild_catalogue": rebuild_catalogue,
    "rebuild_search": rebuild_search,
    "verify": check,
}


def main(name: str, arguments: list[str]) -> None:
    """Does a job and says what it took."""
    wiring = Wiring(read_settings(), say)
    try:
        assert wiring.remember_sources(), "there is a source; with it the database is open and its tables are made"
        said = measured(JOBS[name], wiring, *arguments)
    finally:
        wiring.close()
    tell(said)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
