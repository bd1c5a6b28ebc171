"""What is measured, in a process of its own: `python -m tests.bench.child JOB ARGUMENT...`, settings as environment.

The last line of its stdout is what the job says, with the seconds and CPU seconds it took once everything was imported
and wired, and the process's own peak memory and bytes written, both at its end.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson

from indexer.projections import documents, runner
from indexer.projections.catalogue import ENTRIES, chunks
from indexer.projections.compare import expected_documents
from indexer.projections.runner import live_build
from indexer.verify import verify
from tests.bench.searching import hammer
from workers.commands import crawl_sources
from workers.report import crawling, say
from workers.settings import read_settings
from workers.wiring import Wiring

Json = dict[str, Any]


def walk(url: str) -> Json:
    """The bare walk: the pages of a registry, fetched and parsed."""
    pages = versions = size = 0
    params = {"limit": "100", "include_deleted": "true"}
    with httpx.Client(trust_env=False) as client:
        while True:
            body = client.get(f"{url}/v0.1/servers", params=params).raise_for_status().content
            found = orjson.loads(body)
            pages, versions, size = pages + 1, versions + len(found["servers"]), size + len(body)
            cursor = found["metadata"].get("nextCursor")
            if cursor is None:
                return {"pages": pages, "versions": versions, "bytes": size}
            params["cursor"] = cursor


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


def export(wiring: Wiring, path: str, after: str = "0") -> Json:
    """Writes the documents of the entries that events after a position touched to a file, one a line."""
    with wiring.database.read() as connection, Path(path).open("w") as file:
        query = ENTRIES.select().where(
            ENTRIES.c.build == live_build(connection),
            ENTRIES.c.position > int(after),
            ENTRIES.c.document.is_not(None),
        )
        count = 0
        wanted = query.with_only_columns(ENTRIES.c.id).order_by(ENTRIES.c.position)
        for ids in chunks(connection.scalars(wanted), 500):
            texts = expected_documents(connection, ids)
            file.writelines(texts[one] + "\n" for one in ids)
            count += len(ids)
    return {"documents": count}


BARE: dict[str, Callable[..., Json]] = {"walk": walk, "search": hammer}
WIRED: dict[str, Callable[..., Json]] = {
    "crawl": crawl,
    "rebuild_catalogue": rebuild_catalogue,
    "rebuild_search": rebuild_search,
    "verify": check,
    "export": export,
}


def measured(job: Callable[..., Json], *arguments: Any) -> Json:
    """What a job says, and what it took."""
    began, used = time.perf_counter(), time.process_time()
    said = job(*arguments)
    return {**said, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def main(name: str, arguments: list[str]) -> None:
    """Does a job and says what it took."""
    if name in BARE:
        said = measured(BARE[name], *arguments)
    else:
        wiring = Wiring(read_settings(), say)
        try:
            assert wiring.sources, "there is a source; with it the database is open and its tables are made"
            said = measured(WIRED[name], wiring, *arguments)
        finally:
            wiring.close()
    said["peak_mib"] = _of_this_process("status", "VmHWM", 2**10)
    said["written_mib"] = _of_this_process("io", "write_bytes", 2**20)
    sys.stdout.write(orjson.dumps(said).decode() + "\n")


def _of_this_process(file: str, field: str, unit: int) -> float | None:
    """A number that Linux keeps of a process, in units; None elsewhere."""
    try:
        lines = (Path("/proc/self") / file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / unit for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
