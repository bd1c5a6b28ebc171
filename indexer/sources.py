"""How sources are configured, as the log knows it: a fact, appended when the sources file is first seen changed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from indexer.database import Database
from indexer.leases import STATES, ensure_row
from indexer.store import Write, append
from indexer.text import ascii_json
from schemas.events import SourceConfigured, SourceRemoved, event_data
from schemas.names import SourceName, crawls_stream


def remember_sources(database: Database, configured: Sequence[SourceConfigured], *, at: datetime) -> None:
    """Appends what is configured otherwise than the log knows, in one transaction; appends nothing where all is the
    same.
    """
    wanted = {event.source: ascii_json(event_data(event)) for event in configured}
    with database.read() as connection:
        known = {row.source: row.configured for row in connection.execute(select(STATES.c.source, STATES.c.configured))}
    if all(known.get(source) == said for source, said in wanted.items()) and not _gone(known, wanted):
        return
    with database.write() as connection:
        for source in sorted(wanted):
            ensure_row(connection, source)
        rows = connection.execute(
            select(STATES.c.source, STATES.c.configured).order_by(STATES.c.source).with_for_update()
        )
        known = {row.source: row.configured for row in rows}
        writes = [Write(crawls_stream(e.source), e) for e in configured if known.get(e.source) != wanted[e.source]]
        gone = _gone(known, wanted)
        writes += [Write(crawls_stream(source), SourceRemoved(source=source)) for source in gone]
        append(connection, writes, at=at)
        for source in [*wanted, *gone]:
            connection.execute(update(STATES).where(STATES.c.source == source).values(configured=wanted.get(source)))


def _gone(known: dict[SourceName, str | None], wanted: dict[SourceName, str]) -> list[SourceName]:
    return [source for source, said in known.items() if said is not None and source not in wanted]
