"""A writer that dies between insert and commit, as a process of its own: it imports little, so it starts at once."""

import os
import signal
from pathlib import Path

from indexer.database import Database
from indexer.errors import StoreUnavailable
from indexer.store import Write, append, last_revisions
from schemas.events import CrawlStarted
from schemas.names import Revision, SourceName, StreamId, crawls_stream
from tests.indexer.made import START

STOPPED_SECONDS = 1.0
"""So long a writer may stand still here; the program's own patience is longer than a test's."""


def source(number: int) -> SourceName:
    return SourceName(f"writer-{number}")


def write(url: str, number: int, events: int, at_once: int, dies_at: int | None, marker: str) -> None:
    """Appends `events` to a stream of its own, from where that ends; what the database ended is done again.

    At revision `dies_at`, between insert and commit, it stops itself (the first writer) or kills itself.
    """
    database, stream = Database(url, stopped_seconds=STOPPED_SECONDS), crawls_stream(source(number))
    reading = Database(url)  # nobody waits for it: it may stand still
    revision = _last(reading, stream)
    while revision < events:
        some = [Write(stream, CrawlStarted(source=source(number), mode="full"))] * min(at_once, events - revision)
        try:
            with database.write() as connection:
                append(connection, some, at=START)
                if dies_at is not None and revision <= dies_at < revision + at_once:
                    dies_at = None
                    Path(marker).write_text(str(os.getpid()))
                    os.kill(os.getpid(), signal.SIGSTOP if number == 0 else signal.SIGKILL)
        except StoreUnavailable as error:
            Path(marker).write_text(str(error))
        revision = _last(reading, stream)
    database.close()
    reading.close()


def _last(database: Database, stream: StreamId) -> Revision:
    with database.read() as connection:
        return last_revisions(connection, [stream])[stream]
