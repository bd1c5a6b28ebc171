"""The index while a crawl goes on, on a real Meilisearch: when what waits is sent, and what is not waited for."""

import math
import threading
from collections.abc import Iterator

import pytest

from indexer.database import Database
from indexer.migrations import migrate
from indexer.projections import documents
from indexer.search import SearchIndex
from schemas.names import ServerName, document_id
from tests.indexer.made import appended, configured, observed, record
from tests.waiting import PATIENCE, wait_until
from workers import indexing
from workers.indexing import Indexing

OFTEN = {"STEP_SECONDS": 0.0, "STEP_EVENTS": 1, "WATCH_SECONDS": 0.01}
SMALL = {"SEND_ENTRIES": 4, "SEND_SECONDS": math.inf}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    migrate(database)
    appended(database, configured())
    yield database
    database.close()


@pytest.fixture(autouse=True)
def often_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**OFTEN, **SMALL}.items():
        monkeypatch.setattr(indexing, name, value)


class Servers:
    """Appends servers, each with a name of its own, and tells of them."""

    def __init__(self, database: Database, indexing: Indexing) -> None:
        self._database, self._indexing, self.count = database, indexing, 0

    def come(self, number: int = 1) -> None:
        names = range(self.count, self.count + number)
        appended(self._database, *(observed(record(f"com.example/server-{one}")) for one in names))
        self.count += number
        self._indexing.step(number)


def landed(indexing: Indexing) -> None:
    wait_until(lambda: not indexing.in_flight)


def free(database: Database) -> bool:
    """Whether nobody fills the index. Who looks takes the lock for that instant: asked while a thread is about to take
    it, this keeps it from sending."""
    with database.try_lock(documents.LOCK) as held:
        return held


def test_what_came_together_is_sent_when_it_is_enough_and_the_rest_at_the_end(
    database: Database, index: SearchIndex, documents_sent: list[int]
) -> None:
    indexing = Indexing(database, lambda: index)
    servers = Servers(database, indexing)
    for _ in range(11):
        servers.come()
        landed(indexing)
    assert documents_sent == [4, 4]
    indexing.finish()
    assert documents_sent == [4, 4, 3]
    assert index.count() == 11
    assert indexing.error is None


def test_many_versions_of_few_servers_are_few_entries(
    database: Database, index: SearchIndex, documents_sent: list[int]
) -> None:
    indexing = Indexing(database, lambda: index)
    for number in range(8):
        appended(database, *(observed(record(f"com.example/{one}", str(number))) for one in "abc"))
        indexing.step(3)
        landed(indexing)
    assert documents_sent == []
    indexing.finish()
    assert documents_sent == [3]


def test_pages_go_on_while_documents_are_sent_and_the_lock_is_held_only_so_long(
    database: Database, index: SearchIndex, documents_sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, succeeded = threading.Event(), SearchIndex.succeeded
    monkeypatch.setattr(
        SearchIndex, "succeeded", lambda self, task: succeeded(self, task) and (may_go.is_set() or not documents_sent)
    )
    indexing = Indexing(database, lambda: index)
    servers = Servers(database, indexing)
    servers.come(5)
    wait_until(lambda: documents_sent == [5])
    servers.come(20)
    assert indexing.in_flight
    assert not free(database)
    may_go.set()
    landed(indexing)
    assert free(database)
    assert documents_sent == [5]
    servers.come()
    landed(indexing)
    assert documents_sent == [5, 21]
    indexing.close()


def test_what_has_waited_long_is_sent_though_it_is_little_and_nothing_comes(
    database: Database, index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexing_ = Indexing(database, lambda: index)
    Servers(database, indexing_).come()
    assert not indexing_.in_flight
    monkeypatch.setattr(indexing, "SEND_SECONDS", 0.0)
    indexing_.step(0)
    landed(indexing_)
    assert index.present([document_id(ServerName("com.example/server-0"))])
    indexing_.step(0)
    assert not indexing_.in_flight


def test_who_stops_waits_for_no_index(database: Database, index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(documents, "open_filler", lambda *_: stuck)
    indexing = Indexing(database, lambda: index)
    Servers(database, indexing).come(5)
    assert stuck.pushed.wait(PATIENCE)
    assert not free(database)
    indexing.close()
    landed(indexing)
    assert free(database)


class Stuck:
    """A filler whose tasks never end."""

    def __init__(self) -> None:
        self.pushed = threading.Event()

    def push(self) -> int:
        self.pushed.set()
        return 5

    def note_landed(self) -> bool:
        return False


def test_an_index_that_is_down_is_noted_and_asked_again_at_the_end(
    database: Database, index: SearchIndex, nobody: str
) -> None:
    nowhere = SearchIndex(nobody, None, index.uid)
    to_open = [index, nowhere]
    indexing = Indexing(database, lambda: to_open[-1])
    servers = Servers(database, indexing)
    servers.come(5)
    landed(indexing)
    assert indexing.error is not None
    assert "does not answer" in indexing.error
    servers.come(20)
    assert not indexing.in_flight
    to_open.pop()
    indexing.finish()
    assert indexing.error is None
    assert index.count() == 25
