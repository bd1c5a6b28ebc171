"""From the log to the index while a crawl goes on: the catalogue keeps up, and documents are sent in few large tasks.

A thread sends what waits, stays until the index has it, and ends: pages go on meanwhile. Every index task costs
Meilisearch as much as a thousand documents, and the same two cores are crawling; but the larger it is, the more is left
to be waited for at the end. So what has come together is sent, once it is enough, when what was sent before is done.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from indexer.database import Database
from indexer.errors import ConfigurationError, IndexRefused, IndexUnavailable, StoreUnavailable
from indexer.projections import documents, runner
from indexer.projections.tail import Tail
from indexer.search import SearchIndex

STEP_SECONDS = 1.0
STEP_EVENTS = 1_000
WATCH_SECONDS = 0.25
"""So often the index is asked whether it has what is in flight: each time costs two milliseconds beside a crawl."""
SEND_ENTRIES = 3_000
SEND_SECONDS = 15.0
"""What waits is sent when it is so much, when it has waited so long, and when the crawl ends."""
CLOSE_SECONDS = 1.0
"""Who stops waits so long for the thread, and for no index."""


class Indexing:
    """Brings catalogue and index over the log. An index that is down is noted and left; the log has everything.

    While documents are in flight this process holds the lock under which the index is filled. It is given back as soon
    as the index has them: our source may be slow, and no other crawl is to wait for it.
    """

    def __init__(self, database: Database, open_index: Callable[[], SearchIndex]) -> None:
        self._database, self._open_index = database, open_index
        self._stepped, self._waiting = time.monotonic(), 0
        self._sent_at, self._unsent = time.monotonic(), 0
        self._sending: threading.Thread | None = None
        self._called, self._ending = threading.Event(), False
        self.tail = Tail()
        self.error: str | None = None

    @property
    def in_flight(self) -> bool:
        """Whether documents are being sent or waited for: until then no others are sent."""
        return self._sending is not None and self._sending.is_alive()

    def step(self, events: int) -> None:
        """Called between pages with the number of events since the last call; goes on when enough came together."""
        self._waiting += events
        if self._waiting < STEP_EVENTS and time.monotonic() - self._stepped < STEP_SECONDS:
            return
        if self._waiting:
            runner.catch_up(self._database, tail=self.tail)
            self._unsent += self._waiting
        if self._unsent:
            self._send()
        self._stepped, self._waiting = time.monotonic(), 0

    def finish(self) -> None:
        """Brings everything to the log's end, and waits until the index has it."""
        runner.catch_up(self._database, tail=self.tail)
        self._ending = True
        self._end_sending(None)
        self.error = None
        self._noting(lambda: documents.catch_up(self._database, self._open_index()))

    def close(self) -> None:
        """Lets others fill the index."""
        self._end_sending(CLOSE_SECONDS)

    def _send(self) -> None:
        """Begins to send what waits, if that is enough by now and nothing is in flight."""
        if self.error is not None or self.in_flight:
            return
        enough = self._enough()
        if self._unsent < enough:  # entries are at most as many as events, which need not be counted
            return
        self._unsent = documents.waiting(self._database, enough)
        if self._unsent >= enough:
            self._noting(self._begin_sending)

    def _enough(self) -> int:
        """So many entries are worth a task now."""
        return 1 if time.monotonic() - self._sent_at >= SEND_SECONDS else SEND_ENTRIES

    def _begin_sending(self) -> None:
        index = self._open_index()
        self._sending = threading.Thread(target=self._send_in_thread, args=(index,), name="to the index", daemon=True)
        self._sent_at = time.monotonic()
        self._sending.start()

    def _send_in_thread(self, index: SearchIndex) -> None:
        with suppress(StoreUnavailable):  # the next page finds out
            self._noting(lambda: self._send_and_watch(index))

    def _send_and_watch(self, index: SearchIndex) -> None:
        """Sends what waits, where nobody else does and no rebuild is due; stays until the index has it."""
        with self._database.try_lock(documents.LOCK) as held:
            filler = documents.open_filler(self._database, index) if held else None
            if filler is None:
                return
            filler.push()
            while not filler.note_landed():
                if self._called.wait(WATCH_SECONDS):
                    if self._ending:
                        filler.finish()
                    return

    def _end_sending(self, seconds: float | None) -> None:
        """Waits so long for what is being sent; at the crawl's end, until the index has it and what came since."""
        self._called.set()
        if self._sending is not None:
            self._sending.join(seconds)

    def _noting(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (IndexUnavailable, IndexRefused, ConfigurationError) as error:
            self.error = str(error)


def bring_up(database: Database, open_index: Callable[[], SearchIndex]) -> str | None:
    """Brings catalogue and index to the log's end; why the index is not there, where it is not."""
    indexing = Indexing(database, open_index)
    try:
        indexing.finish()
    finally:
        indexing.close()
    return indexing.error
