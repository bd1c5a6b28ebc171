"""What a person and the schedule said of a source: paused or not, and when a crawl of it was last asked for.

Working state, not in the log: it says nothing about servers, and is found again when it is lost.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from indexer.clock import LONG_AGO, from_micros, to_micros
from indexer.sql import insert_missing, upsert
from indexer.tables import ScheduleRow, table
from schemas.names import SourceName

SCHEDULE = table(ScheduleRow)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Whether a source is paused, and when a crawl of it was last asked for."""

    paused: bool = False
    asked_at: datetime = LONG_AGO


def read_schedule(connection: Connection) -> dict[SourceName, Scheduled]:
    """What was said of each source; of most, nothing."""
    rows = connection.execute(select(SCHEDULE))
    return {row.source: Scheduled(row.paused, from_micros(row.asked_at)) for row in rows}


def is_paused(connection: Connection, source: SourceName) -> bool:
    """Whether a person paused a source."""
    return bool(connection.scalar(select(SCHEDULE.c.paused).where(SCHEDULE.c.source == source)))


def pause(connection: Connection, source: SourceName, *, paused: bool) -> None:
    """Pauses a source, or resumes it: then it is as if no crawl was asked for."""
    upsert(connection, SCHEDULE, [{"source": source, "paused": paused, "asked_at": 0}])


def note_asked(connection: Connection, source: SourceName, *, at: datetime) -> None:
    """Notes that a crawl was asked for. Whether it is paused is not touched: a person may be saying so now."""
    insert_missing(connection, SCHEDULE, [{"source": source, "paused": False, "asked_at": 0}])
    connection.execute(update(SCHEDULE).where(SCHEDULE.c.source == source).values(asked_at=to_micros(at)))
