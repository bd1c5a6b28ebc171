"""What this process has just appended, so that its catalogue need not read it back from the log."""

from indexer.store import PAGE_BYTES, Appended
from schemas.events import Recorded


class Tail:
    """The last events that this process appended and committed, as long as they are few."""

    def __init__(self) -> None:
        self._events: list[Recorded] = []
        self._size = 0

    def add(self, appended: Appended) -> None:
        """Keeps what was appended and committed, or nothing where that would be much."""
        self._events += appended.events
        self._size += appended.size
        if self._size > PAGE_BYTES:
            self._forget()

    def take(self, after: int) -> list[Recorded]:
        """The events that directly follow a position, given once; none where others appended between them."""
        events = [event for event in self._events if event.position > after]
        self._forget()
        unbroken = bool(events) and events[-1].position - after == len(events)
        return events if unbroken else []

    def _forget(self) -> None:
        self._events, self._size = [], 0
