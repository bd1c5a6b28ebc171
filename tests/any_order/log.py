"""The log, read as somebody who believes nothing: each event has to tell something new."""

from indexer.database import Database
from indexer.following import read_all
from indexer.listing import about_text
from schemas.about import read_about
from schemas.events import (
    ListingChanged,
    ListingEvent,
    ListingObserved,
    ListingReturned,
    ListingStatusChanged,
    ListingWithdrawn,
)
from schemas.names import Digest, slot


class Reader:
    """Goes on where it stopped, and knows what every version was last."""

    def __init__(self) -> None:
        self._after = 0
        self._last: dict[tuple[str, str], tuple[Digest, str, bool]] = {}

    def read(self, database: Database) -> None:
        """Reads what is new. Raises AssertionError where an event tells nothing new."""
        for recorded in read_all(database, self._after):
            self._after = recorded.position
            if isinstance(recorded.event, ListingEvent):
                self._take(recorded.event)

    def _take(self, event: ListingEvent) -> None:
        place = str(event.key), str(slot(event.version))
        before = self._last.get(place)
        about = "" if isinstance(event, ListingWithdrawn) else about_text(read_about(getattr(event, "meta", None)))
        if isinstance(event, ListingObserved):
            assert before is None, f"observed twice: {event}"
        else:
            assert before is not None, f"never observed: {event}"
            digest, said, withdrawn = before
            assert withdrawn == isinstance(event, ListingReturned), f"withdrawn or not: {event}"
            assert not isinstance(event, ListingChanged) or digest != event.digest, f"unchanged: {event}"
            if isinstance(event, ListingStatusChanged):
                assert (digest, said != about) == (event.digest, True), f"the same status: {event}"
        self._last[place] = event.digest, about, isinstance(event, ListingWithdrawn)
