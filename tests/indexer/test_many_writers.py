"""Postgres under many writers: readers skip nothing, whoever is stopped or killed between insert and commit."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from indexer.database import Database
from indexer.migrations import migrate
from indexer.store import EVENTS, read_log
from schemas.names import StreamId, crawls_stream
from tests.indexer.made import process
from tests.indexer.writer import source, write
from tests.waiting import wait_until

WRITERS = 8


class Reader:
    """Goes through the log as a projection does, from the last position it saw."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.position, self.count = 0, 0
        self.revisions: dict[StreamId, int] = {}

    def poll(self) -> int:
        """Reads on; how many events came. Every stream's events come in order and whole."""
        with self._database.read() as connection:
            found = read_log(connection, self.position)
        for one in found:
            assert one.position > self.position
            assert one.revision == self.revisions.get(one.stream, 0) + 1, f"skipped before {one.position}"
            self.position, self.revisions[one.stream] = one.position, one.revision
        self.count += len(found)
        return len(found)


@contextmanager
def continued(pid: int) -> Iterator[None]:
    """A stopped process goes on at the end, whatever happens."""
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def run(url: str, folder: Path, events: int, at_once: int) -> None:
    """So many events by eight writers: one stops while the others wait for it, one is killed and started again."""
    database = Database(url)
    migrate(database)
    patience = 60 + events / 100
    reader, last = Reader(database), {crawls_stream(source(number)): events for number in range(WRITERS)}

    def started(number: int, dies_at: int | None = None) -> BaseProcess:
        return process(write, url, number, events, at_once, dies_at, str(folder / f"writer-{number}"))

    def read_all_of(streams: Iterable[StreamId]) -> bool:
        reader.poll()
        return all(reader.revisions.get(stream, 0) == events for stream in streams)

    stopped = started(0, events // 5)
    wait_until(lambda: reader.poll() == 0 and (folder / "writer-0").exists(), patience)
    assert stopped.pid is not None
    with continued(stopped.pid):
        killed, *others = [started(number, events // 2 if number == 1 else None) for number in range(1, WRITERS)]
        wait_until(lambda: read_all_of([*last][2:]) and not killed.is_alive(), patience)
        assert killed.exitcode == -signal.SIGKILL
        assert reader.revisions[crawls_stream(source(1))] <= events // 2
        others.append(started(1))
        wait_until(lambda: read_all_of([*last][1:]), patience)
        assert reader.revisions[crawls_stream(source(0))] <= events // 5
    wait_until(lambda: read_all_of(last), patience)
    for writer in (stopped, *others):
        writer.join(60)
        assert writer.exitcode == 0
    assert "stood still in the middle of writing" in (folder / "writer-0").read_text()
    assert reader.revisions == last
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(EVENTS)) == reader.count == WRITERS * events
    database.close()


def test_eight_writers_and_a_reader(postgres_url: str, tmp_path: Path) -> None:
    run(postgres_url, tmp_path, events=1_250, at_once=50)


@pytest.mark.chaos
def test_a_million_events_by_eight_writers(postgres_url: str, tmp_path: Path) -> None:
    run(postgres_url, tmp_path, events=125_000, at_once=100)
