"""How the tables of a database are made and changed."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, inspect, select, text

from indexer import migrations
from indexer.database import Database
from indexer.errors import ConfigurationError, StoreTooNew
from indexer.migrations import MIGRATIONS, migrate
from indexer.projections import checkpoints, runner
from indexer.scheduling import read_schedule
from indexer.tables import SchemaVersionRow, table
from indexer.verify import check_catalogue
from schemas.events import ListingObserved, RecordQuarantined
from tests.indexer.made import appended, crawled, events, log, observed, page, process, record, seen
from tests.indexer.older_shapes import SHAPES, Shape
from tests.servers import PostgresServer

VERSIONS = table(SchemaVersionRow)


def applied(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(VERSIONS.c.version).order_by(VERSIONS.c.version)))


def tables(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(inspect(connection).get_table_names())


def migrated(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.close()


def test_an_empty_database_gets_its_tables(database_url: str) -> None:
    database = Database(database_url)
    assert tables(database) == []
    migrate(database)
    assert {"events", "records", "streams", "held", "crawl_state", "checkpoints"} <= set(tables(database))
    assert applied(database) == list(range(1, len(MIGRATIONS) + 1))
    assert appended(database, observed()) == 1
    database.close()


def test_a_second_time_changes_nothing(database: Database) -> None:
    appended(database, observed())
    before = tables(database), applied(database)
    migrate(database)
    assert (tables(database), applied(database)) == before
    assert events(database) == 1


def test_threads_may_migrate_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(migrated, database_url) for _ in range(8)]:
            done.result(60)
    database = Database(database_url)
    assert applied(database) == list(range(1, len(MIGRATIONS) + 1))
    database.close()


def test_processes_may_migrate_at_once(database_url: str) -> None:
    some = [process(migrated, database_url) for _ in range(2)]
    for one in some:
        one.join(60)
    assert [one.exitcode for one in some] == [0, 0]
    database = Database(database_url)
    assert applied(database) == list(range(1, len(MIGRATIONS) + 1))
    database.close()


def test_only_what_is_new_is_applied(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(database, observed())

    def add(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE added (number INTEGER)"))

    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, add))
    migrate(database)
    migrate(database)
    assert applied(database) == list(range(1, len(MIGRATIONS) + 2))
    assert "added" in tables(database)
    assert events(database) == 1


def test_a_change_that_fails_leaves_no_trace(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half (number INTEGER)"))
        connection.execute(text("DROP TABLE budgets"))
        raise ZeroDivisionError

    before = tables(database), applied(database)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, fail))
    with pytest.raises(ZeroDivisionError):
        migrate(database)
    assert (tables(database), applied(database)) == before


def test_a_database_that_a_newer_program_wrote_is_refused_and_untouched(database: Database) -> None:
    appended(database, observed())
    newer = len(MIGRATIONS) + 1
    with database.write() as connection:
        connection.execute(insert(VERSIONS), {"version": newer})
        connection.execute(text("DROP TABLE budgets"))  # as the newer program left it
    before = tables(database), applied(database)
    with pytest.raises(StoreTooNew) as refused:
        migrate(database)
    assert isinstance(refused.value, ConfigurationError)
    said = str(refused.value)
    assert "newer mcp-indexer" in said
    assert f"version {newer}" in said
    assert "\n" not in said
    assert (tables(database), applied(database)) == before
    assert events(database) == 1


def test_a_newer_file_is_refused_byte_for_byte(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(database)
    with database.write() as connection:
        connection.execute(insert(VERSIONS), {"version": 99})
    database.close()
    shutil.copy(tmp_path / "a.db", tmp_path / "before.db")
    again = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(StoreTooNew):
        migrate(again)
    again.close()
    assert (tmp_path / "a.db").read_bytes() == (tmp_path / "before.db").read_bytes()


def shape(database: Database) -> dict[str, Any]:
    """Every table: its columns in their order, its key, its indexes."""
    with database.read() as connection:
        inspector = inspect(connection)
        return {
            name: (
                [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(name)],
                inspector.get_pk_constraint(name)["constrained_columns"],
                sorted((one["name"], one["column_names"], one["unique"]) for one in inspector.get_indexes(name)),
            )
            for name in inspector.get_table_names()
        }


@pytest.fixture(params=SHAPES, ids=lambda one: f"{one.version}: {one.name}")
def before(request: pytest.FixtureRequest) -> Shape:
    """Each older shape in turn."""
    one: Shape = request.param
    return one


@pytest.fixture
def older(before: Shape, database_url: str) -> Iterator[Database]:
    """A database that an older program made, brought to this one's version."""
    database = Database(database_url)
    with database.write() as connection:
        before.make(connection)
    migrate(database)
    yield database
    database.close()


def test_every_older_version_has_its_shape() -> None:
    assert {one.version for one in SHAPES} == set(range(1, len(MIGRATIONS)))


def test_an_older_shape_becomes_todays(older: Database, postgres_server: PostgresServer, tmp_path: Path) -> None:
    name = postgres_server.create_database()
    fresh = Database(f"sqlite:///{tmp_path / 'fresh.db'}" if older.is_sqlite else postgres_server.database_url(name))
    migrate(fresh)
    assert shape(older) == shape(fresh)
    assert applied(older) == applied(fresh)
    fresh.close()
    postgres_server.drop_database(name)


def test_what_an_older_program_recorded_is_there_and_gone_on_from(older: Database) -> None:
    observed, quarantined = log(older)[1:]
    assert isinstance(observed.event, ListingObserved)
    assert observed.event.record["description"] == "An older one"
    assert isinstance(quarantined.event, RecordQuarantined)
    assert quarantined.event.text == '{"a":1}'
    assert [one.position for one in log(older)] == [1, 2, 3]
    with older.read() as connection:
        assert connection.execute(text("SELECT source, digest, walk FROM quarantine")).one()[:2] == ("official", "d2")
        assert connection.scalar(text("SELECT lease FROM crawl_state")) == 4
        assert connection.scalar(text("SELECT digest FROM held")) == "d1"
    again = record("com.example/a", "1.0.0", description="A newer one")
    crawled(older, [page(seen(again), seen(record("com.example/b")))], audit=True)
    assert [one.event.type for one in log(older, 3)] == ["listing.changed", "listing.observed"]
    assert [one.revision for one in log(older, 3)] == [2, 1]


@pytest.mark.parametrize("data", ['{"a', "[]", "{}", '{"name":null,"key":5}', '{"name":7,"key":null}'])
def test_a_damaged_event_stops_no_migration(database_url: str, data: str) -> None:
    database = Database(database_url)
    with database.write() as connection:
        SHAPES[-1].make(connection)
        connection.execute(text("UPDATE events SET data = :data WHERE position = 2"), {"data": data})
    migrate(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT record FROM events WHERE position = 2")) == "#d1"
        assert connection.scalar(text("SELECT text FROM records WHERE id = '#d1'"))
    database.close()


def test_what_a_person_said_outlives_a_migration(before: Shape, older: Database) -> None:
    with older.read() as connection:
        paused = [name for name, one in read_schedule(connection).items() if one.paused]
    assert paused == (["official"] if "schedule" in before.tables else [])


def test_views_are_built_anew_from_the_log(older: Database) -> None:
    with older.read() as connection:
        assert checkpoints.read_checkpoint(connection, checkpoints.CATALOGUE) is None
        assert connection.scalar(text("SELECT count(*) FROM catalogue_sources")) == 0
    runner.catch_up(older)
    found = check_catalogue(older)
    assert found.digest == found.expected
    assert found.entries == 1
