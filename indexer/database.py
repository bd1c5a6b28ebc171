"""One door to SQLite and Postgres: engines, transactions, locks between processes, and errors as sentences.

On both, `write` is a transaction that either commits whole or leaves no trace. SQLite has one writer at a time, so
its write transactions begin as writers (`BEGIN IMMEDIATE`) and never fail half-way for another's sake.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from indexer.database_errors import first_line, interrupted, sentence
from indexer.errors import ConfigurationError, StoreUnavailable
from indexer.locks import file_lock, session_lock

BUSY_SECONDS = 60
"""Who waits so long for what another process holds gives up."""
STOPPED_SECONDS = 30
"""A process that does nothing for so long in a transaction that writes, or with a lock, is taken for stopped: Postgres
ends its session.
"""
GONE_SECONDS = 30
"""A machine at the other end of a connection that is silent for so long is asked whether it is there, and 30 seconds
later taken for gone: its locks are free, its answer is not waited for.
"""
LOCK_POLL_SECONDS = 0.1
_NOT_OURS = ("unable to open database file", "readonly database")
"""What SQLite says where it may not write."""


class Database:
    """A database by its SQLAlchemy URL. Raises ConfigurationError where the URL is none that we can use."""

    def __init__(self, url: str, *, stopped_seconds: float = STOPPED_SECONDS) -> None:
        self._url, self._stopped_seconds = _checked(url), stopped_seconds
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.shown = _without_secrets(self._url).render_as_string(hide_password=True)
        self._engine = _sqlite_engine(self._url) if self.is_sqlite else _postgres_engine(self._url, stopped_seconds)
        self._writing = self._engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes. Raises StoreUnavailable with a sentence."""
        with self._errors(), self._connected(self._writing) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one state of the database. Raises StoreUnavailable with a sentence."""
        with self._errors(), self._connected(self._engine) as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                if not self.is_sqlite:
                    # A reader may stand still: a person looks at what it printed. Nobody waits for one.
                    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds a lock that one process at a time can have and that ends with its process; waits while it is not
        free.
        """
        while True:
            with self.try_lock(name) as held:
                if held:
                    yield
                    return
            time.sleep(LOCK_POLL_SECONDS)

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """The same without waiting: whether it was free."""
        if self.is_sqlite:
            with file_lock(Path(f"{self._url.database}.{name}.lock")) as held:
                yield held
            return
        with (
            self._errors(),
            self._connected(self._engine) as connection,
            session_lock(connection, name, stopped_seconds=self._stopped_seconds) as held,
        ):
            yield held

    def compact(self) -> None:
        """Takes what was deleted out of the files, too: SQLite's are written anew; on Postgres its pages are cleaned.

        Raises StoreUnavailable where others read what is to go for too long.
        """
        with self._errors(), self._connected(self._engine) as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")
                return
            plain = connection.execution_options(sqlite_begin="")  # VACUUM is a transaction of its own
            plain.exec_driver_sql("VACUUM")
            busy, *_ = plain.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise StoreUnavailable(
                f"The file {self.shown}-wal is being read by another process and keeps what was deleted; run the same "
                "command again once that has ended."
            )

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    @staticmethod
    @contextmanager
    def _connected(engine: Engine) -> Iterator[Connection]:
        """A connection. Raises ConfigurationError where the driver does not take what the URL says."""
        try:
            connection = engine.connect()
        except ProgrammingError as error:
            if interrupted(error):  # while a connection of the pool was tried
                raise
            raise ConfigurationError(
                f"MCP_INDEXER_DATABASE_URL cannot be used ({first_line(error.orig)}); write "
                "postgresql+psycopg://USER@HOST/NAME."
            ) from error
        with connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.DatabaseError) as error:
            if interrupted(error):
                raise KeyboardInterrupt from error
            if isinstance(error, DataError | IntegrityError | ProgrammingError):
                raise  # ours, not the database's: a bug, and to be seen as one
            told = error.orig if isinstance(error, DBAPIError) else error
            if any(said in str(told) for said in _NOT_OURS):
                raise ConfigurationError(
                    f"The database {self.shown} cannot be used ({told}); make its folder and files writable, or "
                    "set MCP_INDEXER_HOME or MCP_INDEXER_DATABASE_URL to where you can write."
                ) from error
            raise StoreUnavailable(
                f"The database {self.shown} failed: {sentence(told, busy_seconds=BUSY_SECONDS)}"
            ) from error


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            "MCP_INDEXER_DATABASE_URL is not a database URL; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME."
        ) from error
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(
            f"MCP_INDEXER_DATABASE_URL names {backend}; only sqlite:///FILE and postgresql+psycopg://… are known."
        )
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(
            "MCP_INDEXER_DATABASE_URL must name a file: sqlite:///FILE; a log in memory is no log."
        )
    if parsed.query:
        raise ConfigurationError(
            f"MCP_INDEXER_DATABASE_URL has {', '.join(parsed.query)}, and a file takes no parameters: sqlite:///FILE."
        )
    return parsed.set(drivername="sqlite")


def _without_secrets(url: URL) -> URL:
    """The URL with the passwords masked that libpq takes as parameters."""
    return url.update_query_dict({key: "***" for key in url.query if "password" in key.lower()})


def _sqlite_engine(url: URL) -> Engine:
    assert url.database is not None
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {path.parent} cannot be made: {error.strerror}; set MCP_INDEXER_HOME or "
            "MCP_INDEXER_DATABASE_URL to where you can write."
        ) from error
    # The connection that was used last is used next: each has a cache of its own, which what another writes empties.
    engine = create_engine(url, pool_use_lifo=True, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # we say BEGIN ourselves
        _use_wal(connection)
        for pragma in ("synchronous=NORMAL", "wal_autocheckpoint=16000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        if begin:  # to the driver at once: SQLAlchemy's way there takes 25 microseconds
            connection.connection.dbapi_connection.execute(begin)  # type: ignore[union-attr]

    @event.listens_for(engine, "invalidate")
    def _undo(connection, _record, _error) -> None:  # type: ignore[no-untyped-def]
        # An interrupt had SQLAlchemy close it. SQLite keeps the transaction of a closed connection as long as anything
        # has one of its cursors, as the interrupt's traceback does: who caught it would wait for itself to write.
        with suppress(sqlite3.Error):
            connection.rollback()

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switches a new file to WAL. Where another process does that now, SQLite does not wait for it, so we do."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(LOCK_POLL_SECONDS)


def _postgres_engine(url: URL, stopped_seconds: float) -> Engine:
    """What an operator wrote into the URL goes before what we would have of a connection."""
    ours = {"connect_timeout": 10, "keepalives_idle": GONE_SECONDS, "keepalives_interval": 10, "keepalives_count": 3}
    ours["tcp_user_timeout"] = 2 * GONE_SECONDS * 1000
    wanted = {name: value for name, value in ours.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=wanted)

    @event.listens_for(engine, "connect")
    def _connect(connection, _record) -> None:  # type: ignore[no-untyped-def]
        for setting in (
            f"lock_timeout = '{BUSY_SECONDS}s'",
            f"idle_in_transaction_session_timeout = {stopped_seconds * 1000:.0f}",
            f"tcp_keepalives_idle = {GONE_SECONDS}",
            "tcp_keepalives_interval = 10",
            "tcp_keepalives_count = 3",
        ):
            connection.execute(f"SET {setting}")
        connection.commit()

    return engine
