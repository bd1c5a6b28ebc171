"""From the log to the index while a crawl goes on: the catalogue keeps up, and documents are sent in few large
batches.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from indexer.database import Database
from indexer.errors import ConfigurationError, IndexRefused, IndexUnavailable, StoreUnavailable
from indexer.projections import documents, runner
from indexer.projections.documents import Filler
from indexer.projections.tail import Tail
from indexer.search import SearchIndex

STEP_SECONDS = 1.0
STEP_EVENTS = 1_000
WATCH_SECONDS = 0.25
SEND_ENTRIES = 2_000
SEND_SECONDS = 15.0
"""What waits is sent while the index is idle: when it is so much, and half as much as was sent before, for every task
costs Meilisearch as much as a thousand documents; or when it has waited so long; and when the crawl ends.
"""


class Indexing:
    """Brings catalogue and index over the log. An index that is down is noted and left; the log has everything.

    While documents are in flight this process holds the lock under which the index is filled. It is given back as soon
    as the index has them: our source may be slow, and no other crawl is to wait for it.
    """

    def __init__(self, database: Database, open_index: Callable[[], SearchIndex]) -> None:
        self._database, self._open_index = database, open_index
        self._guard = threading.RLock()
        self._lock = ExitStack()
        self._filler: Filler | None = None
        self._stepped, self._waiting = time.monotonic(), 0
        self._sent_at, self._sent, self._unsent = time.monotonic(), 0, 0
        self.tail = Tail()
        self.error: str | None = None

    def step(self, events: int) -> None:
        """Called between pages with the number of events since the last call; goes on when enough came together."""
        self._waiting += events
        if self._waiting < STEP_EVENTS and time.monotonic() - self._stepped < STEP_SECONDS:
            return
        if self._waiting:
            self._unsent += self._waiting
            runner.catch_up(self._database, tail=self.tail)
            self._noting(self._send)
        self._stepped, self._waiting = time.monotonic(), 0

    def finish(self) -> None:
        """Brings everything to the log's end, and waits until the index has it."""
        runner.catch_up(self._database, tail=self.tail)
        self._noting(self._complete)

    def close(self) -> None:
        """Lets others fill the index."""
        with self._guard:
            self._filler = None
            self._lock.close()

    def _send(self) -> None:
        enough = self._enough()
        # Entries are at most as many as events; and to open and close the index for nothing is five requests.
        if self.error is not None or self._unsent < enough or (self._filler is None and not self._open()):
            return
        assert self._filler is not None, "it was just opened"
        sent = self._filler.push(at_least=enough)
        if sent:
            self._sent_at, self._sent, self._unsent = time.monotonic(), self._sent + sent, 0
        elif self._filler.idle:
            self.close()

    def _enough(self) -> int:
        """So many entries are worth a task now."""
        if time.monotonic() - self._sent_at >= SEND_SECONDS:
            return 1
        return min(max(SEND_ENTRIES, self._sent // 2), documents.BATCH_ENTRIES)

    def _open(self) -> bool:
        """Takes the lock and begins to fill, where nobody else does and no rebuild is due."""
        if self._lock.enter_context(self._database.try_lock(documents.LOCK)):
            self._filler = documents.open_filler(self._database, self._open_index())
        if self._filler is None:
            self.close()
            return False
        threading.Thread(target=self._watch, args=(self._filler,), name="in flight", daemon=True).start()
        return True

    def _watch(self, filler: Filler) -> None:
        """Gives the lock back once the index has what is in flight, however long the next page takes."""
        while True:
            time.sleep(WATCH_SECONDS)
            with self._guard:
                if self._filler is not filler:
                    return
                with suppress(StoreUnavailable):  # the next page finds out
                    self._noting(self._note_landed)

    def _note_landed(self) -> None:
        if self._filler is not None and self._filler.note_landed():
            self.close()

    def _complete(self) -> None:
        if self._filler is not None and self.error is None:
            self._filler.finish()
        self.close()
        self.error = None
        documents.catch_up(self._database, self._open_index())

    def _noting(self, act: Callable[[], None]) -> None:
        with self._guard:
            try:
                act()
            except (IndexUnavailable, IndexRefused, ConfigurationError) as error:
                self.error = str(error)
                self.close()


def bring_up(database: Database, open_index: Callable[[], SearchIndex]) -> str | None:
    """Brings catalogue and index to the log's end; why the index is not there, where it is not."""
    indexing = Indexing(database, open_index)
    try:
        indexing.finish()
    finally:
        indexing.close()
    return indexing.error
