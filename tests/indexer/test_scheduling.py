"""What a person and the schedule say of a source, at the same time."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event

from indexer.clock import LONG_AGO
from indexer.database import Database
from indexer.migrations import migrate
from indexer.scheduling import Scheduled, note_asked, pause, read_schedule
from schemas.names import SourceName

OFFICIAL = SourceName("official")
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)


def schedule(database: Database) -> dict[SourceName, Scheduled]:
    with database.read() as connection:
        return read_schedule(connection)


def test_what_was_said_of_one_source_is_known_and_of_no_other(database: Database) -> None:
    with database.write() as connection:
        note_asked(connection, OFFICIAL, at=NOW)
    assert schedule(database) == {OFFICIAL: Scheduled(paused=False, asked_at=NOW)}


def test_a_source_that_is_asked_for_stays_paused_and_one_that_is_resumed_was_not_asked_for(database: Database) -> None:
    with database.write() as connection:
        pause(connection, OFFICIAL, paused=True)
        note_asked(connection, OFFICIAL, at=NOW)
    assert schedule(database)[OFFICIAL] == Scheduled(paused=True, asked_at=NOW)
    with database.write() as connection:
        pause(connection, OFFICIAL, paused=False)
    assert schedule(database)[OFFICIAL] == Scheduled(paused=False, asked_at=LONG_AGO)


def test_a_person_who_pauses_while_it_is_asked_for_is_heard(postgres_url: str) -> None:
    database = Database(postgres_url)
    migrate(database)
    with database.write() as connection:
        note_asked(connection, OFFICIAL, at=NOW)
    statements = 0

    def between(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == 2:
            with database.write() as other:
                pause(other, OFFICIAL, paused=True)

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", between)
        note_asked(connection, OFFICIAL, at=NOW)
    assert statements >= 2
    assert schedule(database)[OFFICIAL] == Scheduled(paused=True, asked_at=NOW)
    database.close()
