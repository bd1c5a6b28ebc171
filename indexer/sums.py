"""Sums over all past crawls, from the log: each event is read once, so a look at them costs what is new since the last.

They are the same in every process, outlive each of them, and never fall.
"""

from collections import Counter

from sqlalchemy import Connection, select

from indexer.errors import LogDamaged
from indexer.leases import STATES
from indexer.store import EVENTS
from indexer.text import read_json
from schemas.events import Counts
from schemas.names import Position, SourceName, crawls_stream

ENDED = ("crawl.completed", "crawl.failed", "crawl.parked")
SUMMED = (*Counts.model_fields, "missed", "silent")
"""What is summed."""


class CrawlSums:
    """How many crawls `ended`, by source, mode and status; and the sum of their `counts`, by source and name."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.counts: Counter[tuple[str, str]] = Counter()
        self._read: dict[SourceName, int] = {}

    def read(self, connection: Connection) -> None:
        """Adds what the log has since the last time. A source without any crawl has sums of 0."""
        for source in connection.scalars(select(STATES.c.source)).all():
            self.counts.update({(source, name): 0 for name in SUMMED})
            self._read_source(connection, source)

    def _read_source(self, connection: Connection, source: SourceName) -> None:
        query = (
            select(EVENTS.c.revision, EVENTS.c.position, EVENTS.c.type, EVENTS.c.data)
            .where(EVENTS.c.stream == crawls_stream(source), EVENTS.c.revision > self._read.get(source, 0))
            .order_by(EVENTS.c.revision)
        )
        for revision, position, event_type, data in connection.execute(query):
            if event_type in ENDED:
                self._add(source, event_type, position, data)
            self._read[source] = revision

    def _add(self, source: SourceName, event_type: str, position: Position, text: str) -> None:
        try:
            data = read_json(text)
            found = {**data["counts"], "missed": data.get("missed"), "silent": data.get("silent")}
            mode = str(data["mode"])
        except (ValueError, KeyError, TypeError) as error:
            raise LogDamaged(position, str(error)) from error
        self.ended[source, mode, event_type.removeprefix("crawl.")] += 1
        self.counts.update({(source, name): found.get(name) or 0 for name in SUMMED})
