"""How the tables of a database are made and changed."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, inspect, select, text

from indexer import migrations
from indexer.database import Database
from indexer.errors import ConfigurationError, StoreTooNew
from indexer.migrations import MIGRATIONS, migrate
from indexer.tables import SchemaVersionRow, table
from tests.indexer.made import appended, events, observed, process

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


def test_a_database_of_the_first_shape_gets_what_is_new_and_keeps_what_it_has(database: Database) -> None:
    appended(database, observed())
    with database.write() as connection:
        connection.execute(text("INSERT INTO quarantine (source, digest, position, walk) VALUES ('a', 'd', 1, 7)"))
        connection.execute(text("DROP TABLE schedule"))
        connection.execute(text("ALTER TABLE quarantine DROP COLUMN walk"))
        connection.execute(text("DELETE FROM schema_version WHERE version > 1"))
    migrate(database)
    assert "schedule" in tables(database)
    assert applied(database) == list(range(1, len(MIGRATIONS) + 1))
    with database.read() as connection:
        assert connection.execute(text("SELECT source, digest, walk FROM quarantine")).one() == ("a", "d", 0)
    assert events(database) == 1
