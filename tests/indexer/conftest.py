"""What tests of the indexer ask for: databases with their tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.database import Database
from indexer.migrations import migrate


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty log on each kind of database in turn."""
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty log on SQLite, for what does not depend on the database."""
    database = Database(f"sqlite:///{tmp_path / 'indexer.db'}")
    migrate(database)
    yield database
    database.close()
