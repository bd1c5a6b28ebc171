"""The log read on and on: a page at a time, each in a transaction of its own, so that a slow reader holds up nobody."""

from collections.abc import Callable, Iterator

from indexer.database import Database
from indexer.store import PAGE_EVENTS, read_log
from schemas.events import Recorded

POLL_SECONDS = 0.5
"""So often the log is asked for new events."""


def read_all(
    database: Database, after: int = 0, *, limit: int | None = None, wait: Callable[[float], object] | None = None
) -> Iterator[Recorded]:
    """Every event after a position, at most `limit`; with a way to `wait`, those too that are still to come."""
    left = limit
    while left is None or left > 0:
        with database.read() as connection:
            page = read_log(connection, after, limit=PAGE_EVENTS if left is None else min(left, PAGE_EVENTS))
        yield from page
        if page:
            after = page[-1].position
            left = None if left is None else left - len(page)
        elif wait is None:
            return
        else:
            wait(POLL_SECONDS)
