"""Locks between processes, and what a person reads when a database fails."""

import os
import signal
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.exc import ProgrammingError

import indexer.database
from indexer.database import STOPPED_SECONDS, Database
from indexer.database_errors import sentence
from indexer.errors import ConfigurationError, McpIndexerError, StoreUnavailable
from indexer.migrations import migrate
from indexer.store import Write, append
from schemas.names import StreamId
from tests.indexer.made import SERVER, START, appended, events, log, observed, process, record, stream_of
from tests.waiting import wait_until

PASSWORD = "s3cr3t"


def hold(url: str, name: str, says: Connection, stopped_seconds: float = STOPPED_SECONDS) -> None:
    """A process that takes a lock, says so, and keeps it until it is told to end."""
    database = Database(url, stopped_seconds=stopped_seconds)
    with database.lock(name):
        says.send("held")
        says.recv()
    database.close()
    says.send("given back")


def as_nobody(url: str, says: Connection) -> None:
    """A process without root's rights that tries to use a database; says what it was told."""
    with tempfile.TemporaryDirectory() as folder:  # nobody may not import from root's folders: import it all now
        warm = Database(f"sqlite:///{folder}/warm.db")
        migrate(warm)
        warm.close()
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    said = []
    for use in (migrate, take_lock):
        try:
            use(Database(url))
        except McpIndexerError as error:
            said.append(str(error))
    says.send(said)


def take_lock(database: Database) -> None:
    with database.try_lock("a"):
        pass


@pytest.fixture
def holder(database_url: str) -> Iterator[tuple[int, Connection]]:
    """Another process that holds the lock `a`: its id, and the line to it."""
    with holding(database_url) as it:
        yield it


@contextmanager
def holding(url: str, stopped_seconds: float = STOPPED_SECONDS) -> Iterator[tuple[int, Connection]]:
    """Such a process."""
    here, there = SERVER.Pipe()
    other = process(hold, url, "a", there, stopped_seconds)
    there.close()
    assert here.recv() == "held"
    assert other.pid is not None
    yield other.pid, here
    other.kill()
    other.join(30)
    here.close()


def free(database: Database, name: str = "a") -> bool:
    with database.try_lock(name) as held:
        return held


def test_a_lock_is_had_by_one_at_a_time(database_url: str, database: Database) -> None:
    other = Database(database_url)
    with database.try_lock("a") as held:
        assert held
        assert not free(other)
        assert not free(database)
    assert free(other)
    assert free(database)
    other.close()


def test_locks_of_other_names_are_free(database: Database) -> None:
    with database.lock("documents"), database.lock("documents.next"), database.lock("a"):
        assert not free(database, "documents.next")
        assert free(database, "b")


def test_a_lock_is_given_back_when_its_holder_fails(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.lock("a"):
        raise ZeroDivisionError
    assert free(database)


def test_another_process_has_the_lock_until_it_gives_it_back(
    database: Database, holder: tuple[int, Connection]
) -> None:
    _, line = holder
    assert not free(database)
    assert free(database, "b")
    line.send("end")
    assert line.recv() == "given back"
    assert free(database)


def test_a_lock_ends_with_its_process(database: Database, holder: tuple[int, Connection]) -> None:
    assert not free(database)
    os.kill(holder[0], signal.SIGKILL)
    wait_until(lambda: free(database))


def test_who_waits_for_a_lock_gets_it(database: Database, holder: tuple[int, Connection]) -> None:
    def wait() -> str:
        with database.lock("a"):
            return "mine"

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(wait)
        assert not waiting.done()
        holder[1].send("end")
        assert waiting.result(30) == "mine"


def test_reading_goes_on_while_a_lock_is_held(database: Database) -> None:
    with database.lock("a"):
        appended(database, observed())
        assert events(database) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not a database URL"),
        ("indexer.db", "not a database URL"),
        ("sqlite:indexer.db", "not a database URL"),
        (f"postgresql://u:{PASSWORD}@localhost:port/d", "not a database URL"),
        (f"mysql://u:{PASSWORD}@localhost/d", "names mysql"),
        (f"nosuch://u:{PASSWORD}@localhost/d", "names nosuch"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_in_a_sentence(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Database(url)
    told = str(refused.value)
    assert said in told
    assert told.startswith("MCP_INDEXER_DATABASE_URL")
    assert told.endswith(".")
    assert "\n" not in told
    assert PASSWORD not in told


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_postgres_is_spoken_to_through_psycopg(scheme: str) -> None:
    database = Database(f"{scheme}://u@localhost/d")
    assert database.shown == "postgresql+psycopg://u@localhost/d"
    assert not database.is_sqlite
    database.close()


@pytest.mark.parametrize("where", ["u:{}@127.0.0.1:{}/d", "u@127.0.0.1:{1}/d?password={0}"])
def test_a_password_is_shown_nowhere(dead_port: int, where: str) -> None:
    database = Database("postgresql://" + where.format(PASSWORD, dead_port))
    assert PASSWORD not in database.shown
    with pytest.raises(StoreUnavailable) as failed, database.read():
        pass
    assert PASSWORD not in str(failed.value)
    database.close()


def test_a_server_that_is_not_there_is_said_in_a_sentence(dead_port: int) -> None:
    database = Database(f"postgresql://u@127.0.0.1:{dead_port}/d")
    for use in (database.read, database.write, lambda: database.try_lock("a")):
        with pytest.raises(StoreUnavailable) as failed, use():
            pass
        told = str(failed.value)
        assert told.startswith(f"The database postgresql+psycopg://u@127.0.0.1:{dead_port}/d failed: ")
        assert "\n" not in told
    database.close()


def test_a_database_that_does_not_exist_is_said_in_a_sentence(postgres_url: str) -> None:
    database = Database(postgres_url + "nothing")
    with pytest.raises(StoreUnavailable, match="does not exist"), database.read():
        pass
    database.close()


def test_a_standby_is_said_in_a_sentence(postgres_url: str) -> None:
    database = Database(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don")
    with (
        pytest.raises(StoreUnavailable, match=r"read-only transaction; it is a standby .* that takes writes\.$"),
        database.write() as connection,
    ):
        connection.execute(text("CREATE TABLE one (id INTEGER)"))
    database.close()


def test_a_server_that_takes_no_more_connections_is_said_in_a_sentence(postgres_url: str) -> None:
    database = Database(postgres_url)
    role = f"role_{uuid.uuid4().hex}"
    with database.write() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
    full = Database(postgres_url.replace("postgres@", f"{role}@"))
    with pytest.raises(StoreUnavailable, match=r"too many connections .* raise that limit"), full.read():
        pass
    full.close()
    with database.write() as connection:
        connection.execute(text(f"DROP ROLE {role}"))
    database.close()


def test_a_connection_that_breaks_is_said_in_a_sentence_and_the_next_one_works(postgres_url: str) -> None:
    database, other = Database(postgres_url), Database(postgres_url)
    migrate(database)

    def break_off() -> None:
        with database.write() as connection:
            append(connection, [Write(StreamId("a"), observed())], at=START)
            number = connection.scalar(text("SELECT pg_backend_pid()"))
            with other.read() as killing:
                killing.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable, match="failed: "):
        break_off()
    assert events(database) == 0
    assert appended(database, observed()) == 1
    database.close()
    other.close()


def test_a_full_disk_is_said_in_a_sentence_and_loses_nothing(sqlite: Database) -> None:
    appended(sqlite, *(observed(record(version=str(number))) for number in range(20)))
    before = log(sqlite)
    with sqlite.read() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
    large = observed(record("com.example/large", note="x" * 2_000_000))

    def fill() -> None:
        with sqlite.write() as connection:
            connection.execute(text(f"PRAGMA max_page_count = {pages + 10}"))
            append(connection, [Write(StreamId("a"), observed()), Write(StreamId("b"), large)], at=START)

    with pytest.raises(StoreUnavailable) as failed:
        fill()
    told = str(failed.value)
    assert "the disk is full; make room" in told
    assert "\n" not in told
    assert log(sqlite) == before
    sqlite.close()  # the limit was this connection's
    assert appended(sqlite, large) == 21


def test_who_is_no_postgres_and_hangs_up_is_a_wrong_address() -> None:
    told = Exception(
        'connection failed: connection to server at "::1" failed: server closed the connection unexpectedly'
    )
    assert sentence(told, busy_seconds=1).endswith("start its server, or check MCP_INDEXER_DATABASE_URL.")


def test_a_connection_that_the_server_ended_is_said_in_a_sentence(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(StoreUnavailable, match="run the same command again"), database.write() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    database.close()


def test_a_file_that_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"a diary, and no database" * 1000)
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        migrate(database)
    database.close()


def test_who_was_interrupted_in_a_statement_may_write_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even as long as the interrupt's traceback has the statement's cursor."""
    monkeypatch.setattr(indexer.database, "BUSY_SECONDS", 1)
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(database)
    execute: Any = SQLiteDialect.do_execute

    def interrupted(*arguments: Any) -> None:
        execute(*arguments)
        raise KeyboardInterrupt

    def begin() -> None:
        with database.write() as connection:
            append(connection, [Write(stream_of(observed()), observed())], at=START)
            monkeypatch.setattr(SQLiteDialect, "do_execute", interrupted)
            connection.execute(text("SELECT position FROM events"))

    with pytest.raises(KeyboardInterrupt) as _held:
        begin()
    monkeypatch.setattr(SQLiteDialect, "do_execute", execute)
    assert appended(database, observed()) == 1
    database.close()


@pytest.mark.parametrize("use", [Database.read, Database.write])
def test_a_file_that_is_no_database_any_more_is_said_in_a_sentence(
    tmp_path: Path, use: Callable[[Database], AbstractContextManager[object]]
) -> None:
    one, other = (Database(f"sqlite:///{tmp_path / 'a.db'}") for _ in range(2))
    migrate(one)
    appended(other, observed())
    other.compact()
    with (tmp_path / "a.db").open("r+b") as file:
        file.write(b"a diary, and no database" * 1000)
    with pytest.raises(StoreUnavailable, match="file is not a database"), use(one):
        events(one)
    other.close()
    one.close()


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made: Not a directory; set MCP_INDEXER_HOME"):
        Database(f"sqlite:///{tmp_path / 'file' / 'folder' / 'a.db'}")


def test_a_folder_in_the_place_of_the_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(McpIndexerError, match="unable to open database file"):
        migrate(database)
    database.close()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a' / 'b' / 'c.db'}")
    migrate(database)
    database.close()
    assert (tmp_path / "a" / "b" / "c.db").exists()


@pytest.mark.parametrize("there", [True, False], ids=["with a database", "empty"])
def test_a_read_only_folder_is_said_in_a_sentence(there: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="mcp-indexer-") as name:  # pytest's own folders admit one user
        folder = Path(name)
        url = f"sqlite:///{folder / 'a.db'}"
        if there:
            database = Database(url)
            migrate(database)
            database.close()
            (folder / "a.db").chmod(0o444)
        folder.chmod(0o555)
        here, other = SERVER.Pipe()
        started = process(as_nobody, url, other)
        other.close()
        said = here.recv()
        started.join(30)
        folder.chmod(0o755)
    assert len(said) == 2
    for one in said:
        assert str(folder / "a.db") in one
        assert one.endswith(".")


def test_a_new_file_that_another_process_is_writing_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("indexer.database.time.sleep", lambda _: other.execute("COMMIT"))
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(database)
    assert not other.in_transaction
    database.close()
    other.close()


def test_who_waits_too_long_for_another_writer_is_told(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.database.BUSY_SECONDS", 0)
    impatient = Database(sqlite.shown)
    with (
        sqlite.write(),
        pytest.raises(StoreUnavailable, match="another process kept it locked"),
        impatient.write(),
    ):
        pass
    impatient.close()


def test_an_interrupt_that_a_driver_made_an_error_of_is_one(sqlite: Database) -> None:
    def fail() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise ProgrammingError("SELECT 1", None, Exception("not now: a query is running"))

    with pytest.raises(KeyboardInterrupt), sqlite.read():
        fail()
    with pytest.raises(ProgrammingError), sqlite.read():
        raise ProgrammingError("SELECT 1", None, Exception("no such table"))


@pytest.mark.parametrize("use", [Database.read, Database.write])
def test_an_interrupt_while_a_connection_is_tried_is_one_too(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, use: Callable[[Database], AbstractContextManager[SqlConnection]]
) -> None:
    database = Database(postgres_url)
    with use(database):
        pass

    def interrupted(cursor: psycopg.Cursor[object], statement: str, *_: object) -> None:
        cursor.connection.pgconn.send_query(statement.encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt), use(database):
            pytest.fail("it was interrupted")
    with use(database) as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    database.close()


def test_who_waits_too_long_on_postgres_is_told_too(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.database.BUSY_SECONDS", 1)
    holder, impatient = Database(postgres_url), Database(postgres_url)
    lock = text("SELECT pg_advisory_xact_lock(5)")
    with holder.write() as connection:
        connection.execute(lock)
        with pytest.raises(StoreUnavailable, match="another process kept it locked"), impatient.write() as waiting:
            waiting.execute(lock)
    holder.close()
    impatient.close()


def test_who_holds_a_lock_and_stands_still_loses_it(postgres_url: str) -> None:
    """Stopped, not killed: its connection stays, and whoever waits for the lock would wait for ever."""
    database = Database(postgres_url)
    with holding(postgres_url, stopped_seconds=0.5) as (pid, _):
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: free(database))
    database.close()


def test_who_holds_a_lock_for_long_keeps_it(postgres_url: str) -> None:
    """However long it takes: what gets no CPU for so many seconds loses it, and is tried again with more of them."""
    assert any(kept_for_long(postgres_url, seconds) for seconds in (0.5, 2, 8))


def kept_for_long(url: str, seconds: float) -> bool:
    """Whether who is taken for stopped after so many seconds keeps a lock for three times as many."""
    database = Database(url)
    with holding(url, stopped_seconds=seconds):
        end = monotonic() + 3 * seconds
        wait_until(lambda: monotonic() > end or free(database))
        kept = not free(database)
    database.close()
    return kept


def test_a_writer_that_stands_still_is_ended_and_a_reader_is_not(postgres_url: str) -> None:
    database, other = Database(postgres_url, stopped_seconds=1), Database(postgres_url)
    migrate(other)  # which may take longer than that to its next statement
    pid = text("SELECT pg_backend_pid()")
    still = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND clock_timestamp() - state_change < '2s'")

    def stands_still(pid: int | None) -> bool:
        with other.read() as connection:
            return not connection.scalar(still, {"pid": pid})

    with database.read() as connection:
        reader = connection.scalar(pid)
        wait_until(lambda: stands_still(reader))
        assert connection.scalar(pid) == reader

    def write() -> None:
        with database.write() as connection:
            writer = connection.scalar(pid)
            append(connection, [Write(stream_of(one), one) for one in (observed(), observed())], at=START)
            wait_until(lambda: stands_still(writer))
            connection.scalar(pid)

    with pytest.raises(StoreUnavailable, match="stood still in the middle of writing"):
        write()
    with database.write() as connection:
        assert connection.scalar(pid) is not None
    database.close()
    other.close()
