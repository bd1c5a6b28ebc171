"""The past is the catalogue of the log's beginning: as of any position it equals what the catalogue held then."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from indexer import past, queries
from indexer.database import Database
from indexer.errors import NotFound
from indexer.migrations import migrate
from indexer.past import Difference
from indexer.projections import runner
from indexer.projections.checkpoints import live_build
from indexer.projections.rows import ENTRIES
from indexer.redaction import redact
from indexer.store import Write, append
from indexer.text import digest
from schemas.events import AnyEvent, ListingChanged, ListingObserved, SourceRemoved
from schemas.names import ListingKey, Position, ServerName, SourceName, listing_stream
from tests.indexer.made import (
    NAME,
    START,
    appended,
    at,
    changed,
    configured,
    meta,
    observed,
    record,
    returned,
    status_changed,
    stream_of,
    withdrawn,
)

Json = dict[str, Any]
OTHER, VARIANT = ServerName("com.example/other"), ServerName("com.Example/pdf-tools")
MIRROR = SourceName("mirror")


def renamed(name: str, kind: type[ListingObserved] | type[ListingChanged]) -> AnyEvent:
    """A listing whose key is not its name."""
    event = observed(record(name), source=MIRROR, kind=kind)
    assert isinstance(event, ListingObserved | ListingChanged)
    return event.model_copy(update={"key": ListingKey("number-7")})


def story() -> list[AnyEvent]:
    """What happens to some servers, one event a minute."""
    return [
        configured(),
        configured(MIRROR, trust=1),
        observed(record(title="One")),
        observed(record(OTHER)),
        observed(record(version="2.0.0", title="Two"), meta(published=5)),
        status_changed(record(version="2.0.0", title="Two"), meta("deprecated", published=5)),
        observed(record(title="Mirrored"), source=MIRROR),
        renamed("com.example/first", ListingObserved),
        withdrawn(record(OTHER)),
        configured(MIRROR, trust=500),
        renamed("com.example/second", ListingChanged),
        observed(record(VARIANT)),
        withdrawn(record(version="2.0.0", title="Two")),
        returned(record(OTHER, title="Back")),
        changed(record(title="Changed"), meta(updated=13)),
        SourceRemoved(source=MIRROR),
        configured(exclude=("com.example/other",)),
        withdrawn(record(VARIANT)),
        status_changed(record(title="Changed"), meta("deleted", updated=20)),
    ]


@pytest.fixture
def told(database: Database, tmp_path: Path) -> Iterator[list[dict[ServerName, Json]]]:
    """What the catalogue held after each event, told to a catalogue that grew with it."""
    grown = Database(f"sqlite:///{tmp_path / 'grown.db'}")
    migrate(grown)
    held: list[dict[ServerName, Json]] = [{}]
    for number, event in enumerate(story()):
        for one in (grown, database):
            with one.write() as connection:
                append(connection, [Write(stream_of(event), event)], at=at(number))
        runner.catch_up(grown)
        with grown.read() as connection:
            names = connection.scalars(select(ENTRIES.c.name).where(ENTRIES.c.build == live_build(connection)))
            shown = {name: queries.show(connection, name) for name in names}
        held.append({name: one for name, one in shown.items() if one is not None})
    runner.catch_up(database)
    yield held
    grown.close()


def test_as_of_every_position_it_is_what_it_was(database: Database, told: list[dict[ServerName, Json]]) -> None:
    names = set().union(*told)
    assert len(names) == 5
    with database.read() as connection:
        for position, held in enumerate(told):
            for name in names:
                assert past.show(connection, name, Position(position)) == held.get(name), (position, name)


def in_the_index(held: dict[ServerName, Json]) -> dict[ServerName, Json]:
    return {
        name: {field: value for field, value in one.items() if field not in ("versions", "position")}
        for name, one in held.items()
        if "server_json" in one
    }


def test_between_two_positions_the_difference_is_what_changed(
    database: Database, told: list[dict[ServerName, Json]]
) -> None:
    with database.read() as connection:
        end = len(told) - 1
        for first, last in [*pairwise(range(len(told))), *((position, end) for position in range(0, end, 3)), (4, 4)]:
            before, after = in_the_index(told[first]), in_the_index(told[last])
            found = list(past.differences(connection, Position(first), Position(last)))
            for one in found:
                was, now = before.pop(one.name, None), after.pop(one.name, None)
                assert one == expected(one.name, was, now), (first, last)
            assert before == after, (first, last)
            assert [one.name.casefold() for one in found] == sorted(one.name.casefold() for one in found)


def expected(name: ServerName, was: Json | None, now: Json | None) -> Difference:
    if was is None:
        assert now is not None
        return Difference(name, "added", now["version"])
    if now is None:
        return Difference(name, "removed", was["version"])
    fields = [field for field in now if was[field] != now[field]]
    assert fields
    only = ({field: one[field] for field in fields} for one in (was, now))
    return Difference(name, "changed", now["version"], *only)


def test_a_name_that_a_listing_had_is_found_under_it(database: Database) -> None:
    appended(database, configured(MIRROR))
    for name, kind in (("com.example/first", ListingObserved), ("com.example/second", ListingChanged)):
        event = renamed(name, kind)
        with database.write() as connection:
            append(connection, [Write(listing_stream(MIRROR, ListingKey("number-7")), event)], at=START)
    runner.catch_up(database)
    with database.read() as connection:
        assert queries.show(connection, ServerName("com.example/first")) is None
        assert past.listed_ever(connection, ServerName("com.example/first"))
        entry = past.show(connection, ServerName("com.example/first"), Position(2))
        assert entry is not None
        assert entry["name"] == "com.example/first"
        assert [one.position for one in queries.history(connection, ServerName("com.example/first"))] == [2, 3]


def test_the_position_at_a_time(database: Database) -> None:
    for minute, version in ((1, "1"), (5, "2"), (3, "3"), (9, "4")):  # the clock was set back once
        appended(database, observed(record(version=version)), when=at(minute))
    with database.read() as connection:
        found = [past.position_at(connection, at(minute)) for minute in (1, 2, 3, 4, 5, 8, 9, 99)]
        assert found == [1, 1, 3, 3, 3, 3, 4, 4]
        with pytest.raises(NotFound, match=r"by 2026-08-01T12:00:00.000000Z: the log begins at 2026-08-01T12:01:00"):
            past.position_at(connection, at(0))


def test_an_empty_log_has_no_past(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="the log is empty"):
        past.position_at(connection, at(0))


def test_many_names_are_compared_a_part_at_a_time(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "NAMES_AT_ONCE", 7)
    monkeypatch.setattr(past, "PAGE_EVENTS", 5)
    names = [f"com.example/{number:03}" for number in range(40)]
    appended(sqlite, configured(), *(observed(record(name)) for name in names))
    middle = appended(sqlite, *(observed(record(name, "2.0.0")) for name in names[::3]))
    last = appended(sqlite, *(withdrawn(record(name)) for name in names[::2]))
    runner.catch_up(sqlite)
    with sqlite.read() as connection:
        assert {one.change for one in past.differences(connection, Position(0), Position(41))} == {"added"}
        assert [one.name for one in past.differences(connection, Position(41), middle)] == names[::3]
        gone = {one.name for one in past.differences(connection, middle, last) if one.change == "removed"}
        assert gone == set(names[::2]) - set(names[::3])
        assert NAME not in gone


def test_what_was_redacted_is_gone_from_the_past_too(database: Database) -> None:
    secret = record(version="2.0.0", title="holds a key")
    appended(database, configured(), observed(), observed(secret, meta(published=5)))
    with database.write() as connection:
        redact(connection, ServerName(digest(secret)), reason="holds a key", at=at(9))
    runner.catch_up(database)
    with database.read() as connection:
        for position in (3, 4):
            entry = past.show(connection, ServerName(NAME), Position(position))
            assert entry is not None
            assert entry["version"] == "1.0.0"
            assert "holds a key" not in str(entry)
        assert list(past.differences(connection, Position(3), Position(4))) == []


def test_as_of_now_it_is_what_it_is_with_what_was_redacted(database: Database) -> None:
    secret = record(version="2.0.0", title="holds a key")
    appended(database, configured(), observed(), observed(secret))
    with database.write() as connection:
        redact(connection, ServerName(digest(secret)), reason="holds a key", at=at(9))
    last = appended(database, status_changed(secret, meta("deprecated", updated=10)), configured(OTHER))
    runner.catch_up(database)
    with database.read() as connection:
        assert past.show(connection, ServerName(NAME), last) == queries.show(connection, ServerName(NAME))
        as_redacted = past.show(connection, ServerName(NAME), Position(4))
        assert as_redacted is not None
        assert as_redacted["position"] == 4
