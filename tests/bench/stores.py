"""The databases to measure on: each round has one of its own, empty, that syncs as an operator's would."""

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import psycopg

from tests.ports import LOOPBACK
from tests.servers import PostgresServer


class Store(ABC):
    """Makes databases, and says what they wrote."""

    version: str

    @abstractmethod
    def create(self, home: Path) -> str:
        """A new, empty database; its URL."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Away with it, unless it goes with its home."""

    def written(self) -> int | None:
        """Bytes that a server has logged so far; None where the process that is measured writes them itself."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends what was started."""
        return


class Sqlite(Store):
    """A file in the round's home."""

    version = f"SQLite {sqlite3.sqlite_version}"

    def create(self, home: Path) -> str:
        return f"sqlite:///{home / 'log.sqlite'}"

    def drop(self, url: str) -> None:
        """It goes with its home."""


class Postgres(Store):
    """Databases of one server, which is started here."""

    def __init__(self) -> None:
        self._server = PostgresServer(durable=True)

    def create(self, home: Path) -> str:  # noqa: ARG002 - its data is with the server
        return self._server.database_url(self._server.create_database())

    def drop(self, url: str) -> None:
        self._server.drop_database(url.rpartition("/")[2])

    def written(self) -> int | None:
        return int(self._ask("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))

    def __enter__(self) -> Self:
        self._server.start()
        self.version = f"PostgreSQL {self._ask('show server_version')}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _ask(self, question: str) -> str:
        with psycopg.connect(host=LOOPBACK, port=self._server.port, user="postgres", autocommit=True) as connection:
            row = connection.execute(question.encode()).fetchone()
        assert row is not None, "one row was asked for"
        return str(row[0])


STORES: dict[str, type[Store]] = {"sqlite": Sqlite, "postgres": Postgres}
