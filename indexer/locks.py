"""Locks between processes, each of which ends with its process: a file's beside SQLite, a session's in Postgres."""

import fcntl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from indexer.errors import ConfigurationError

_LIVES_PER_PATIENCE = 3
"""So often a holder shows that it lives in the time after which it is taken for stopped."""
_TRY = text("SELECT pg_try_advisory_lock(:number)")
_UNLOCK = text("SELECT pg_advisory_unlock(:number)")
_SETTING = "FROM pg_settings WHERE name = 'idle_session_timeout'"  # which Postgres has from 14 on
_END_IF_IDLE = text(f"SELECT set_config(name, :milliseconds, false) {_SETTING}")
_AS_BEFORE = text(f"SELECT set_config(name, reset_val, false) {_SETTING}")


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Holds a file's lock, where it is free; whether it was. Raises ConfigurationError where there can be no file."""
    try:
        handle = path.open("w")
    except OSError as error:
        raise ConfigurationError(
            f"The lock {path} cannot be taken: {error.strerror}; make its folder writable."
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def session_lock(connection: Connection, name: str, *, stopped_seconds: float) -> Iterator[bool]:
    """Holds a lock of a Postgres session that does nothing else, where it is free; whether it was.

    A process that stands still for `stopped_seconds` loses it: its session is ended, for others may wait.
    """
    session = connection.execution_options(isolation_level="AUTOCOMMIT")
    number = {"number": zlib.crc32(name.encode())}
    if not session.scalar(_TRY, number):
        yield False
        return
    try:
        session.execute(_END_IF_IDLE, {"milliseconds": f"{stopped_seconds * 1000:.0f}"})
        with _living(session, stopped_seconds / _LIVES_PER_PATIENCE):
            yield True
    finally:
        session.execute(_UNLOCK, number)
        session.execute(_AS_BEFORE)


@contextmanager
def _living(session: Connection, every: float) -> Iterator[None]:
    """Has a session heard of every so many seconds, by a thread of its own."""
    over = threading.Event()

    def live() -> None:
        while not over.wait(every):
            try:
                session.exec_driver_sql("SELECT 1")
            except DBAPIError:
                return  # who holds the lock finds out when it gives it back

    thread = threading.Thread(target=live, name="holds a lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
