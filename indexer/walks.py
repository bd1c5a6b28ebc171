"""A walk: a crawl's way through the pages of its source, and what it leaves to the next crawl. Pure."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from indexer.errors import CursorRefused, McpIndexerError, SourceGone, SourceUnavailable, WalkLost
from schemas.events import Counts, Mode
from schemas.names import Cursor, ListingKey, Slot

OVERLAP = timedelta(minutes=10)
"""How far before its start a walk's mark lies: a record may appear with a time somewhat in the past."""

WITHOUT_DATE = timedelta(hours=1)
"""What is taken off our clock where the upstream does not tell its own."""

MOST_PAGES = 100_000
"""A walk of more is none of a registry: at a hundred a page these are ten million versions."""

UNREAD_PATIENCE = timedelta(hours=2)
"""So long crawls try for a page that cannot be read: maintenance takes hours. Then its cursor may be what the source
cannot read, and the walk begins anew.
"""


class Settling(BaseModel):
    """What is left to do of a complete walk that is at its end: candidates are withdrawn, or asked for by themselves.

    `withdraw` says whether those go that the complete walk before did not see either; `parked` is how many park the
    crawl. `askable` says whether the source can tell of one version by itself, None before that is known.
    """

    model_config = ConfigDict(frozen=True)

    withdraw: bool
    parked: int = 0
    needs_approval: bool = False
    askable: bool | None = None


class Walk(BaseModel):
    """A walk that has begun: what it asks for, how far it is, and what it came to."""

    model_config = ConfigDict(frozen=True)

    mode: Mode
    started_at: datetime
    number: int = 0
    """Tells it from the source's others."""
    since: datetime | None = None
    mark: datetime | None = None
    """The next increment's once it completes."""

    cursor: Cursor | None = None
    steps: int = 0
    """How many pages it has had."""
    remembered: Cursor | None = None
    """A cursor of before, by which a circle is seen."""
    unread_since: datetime | None = None
    """When the first crawl failed at this cursor, for it could not read the page."""
    overtaken: bool = False
    """Whether an increment came before it since it began."""

    counts: Counts = Counts()
    """Those of the crawl under way; so are `seconds`, `missed` and `silent`."""
    seconds: float = 0.0
    missed: int = 0
    silent: int = 0
    met: bool = False
    """Whether a crawl before this one met any record on this walk."""
    missed_before: int = 0
    """What crawls before this one found missed on this walk; likewise `silent_before`."""
    silent_before: int = 0

    held: int = 0
    """How many versions were listed when a complete walk began."""
    compares: bool = False
    """Whether what it does not see of them is a candidate."""
    lists_deleted: bool = True
    """Whether it sees those that are deleted."""
    after: tuple[ListingKey, Slot] | None = None
    """The last place that it saw."""
    ordered: bool = True
    """Whether it met them in the order of their places so far."""
    settling: Settling | None = None
    """What is left to do at its end."""

    @property
    def complete(self) -> bool:
        """Whether it asks for all that the source lists."""
        return self.mode != "incremental"

    @property
    def empty(self) -> bool:
        """Whether the walk met no record so far."""
        return not self.met and self.counts.observed == 0

    @property
    def all_missed(self) -> int:
        """What was found missed on its whole way."""
        return self.missed_before + self.missed

    @property
    def all_silent(self) -> int:
        """What was found silent on its whole way."""
        return self.silent_before + self.silent


def taken_up(walk: Walk) -> Walk:
    """The walk as another crawl goes on with it, which counts for itself."""
    before = {"met": not walk.empty, "missed_before": walk.all_missed, "silent_before": walk.all_silent}
    return walk.model_copy(update={**before, "counts": Counts(), "seconds": 0.0, "missed": 0, "silent": 0})


def advance(walk: Walk, cursor: Cursor | None, *, served_at: datetime | None) -> Walk:
    """The walk after one more page, whose answer named the next cursor; the first page sets the mark.

    The clock is the earlier of the upstream's and ours: a change that the upstream makes from now on has a later time.
    """
    mark = walk.mark
    if mark is None:
        clock = walk.started_at - WITHOUT_DATE if served_at is None else min(walk.started_at, served_at)
        mark = clock - OVERLAP
    steps = walk.steps + 1
    changed: dict[str, Any] = {"cursor": cursor, "mark": mark, "steps": steps, "unread_since": None}
    if steps & (steps - 1) == 0:
        changed["remembered"] = cursor
    return walk.model_copy(update=changed)


def repeats(walk: Walk, cursor: Cursor | None) -> bool:
    """Whether a next cursor was given before: the walk runs in a circle, of whatever length (Brent's way, in constant
    memory).
    """
    return cursor is not None and cursor in (walk.cursor, walk.remembered)


def endless(walk: Walk, cursor: Cursor | None) -> bool:
    """Whether a walk goes on though it has had more pages than any registry has."""
    return cursor is not None and walk.steps >= MOST_PAGES


def left_to_next(walk: Walk, error: McpIndexerError, at: datetime) -> Walk | None:
    """What a walk leaves to the next crawl: itself where the source does not answer, and nothing where it has had no
    page, or leads nowhere. A page that cannot be read, or that we may not read, is tried for as long as
    `UNREAD_PATIENCE`.
    """
    if isinstance(error, SourceUnavailable):
        return walk
    leads_nowhere = isinstance(error, CursorRefused | SourceGone | WalkLost)
    since = walk.unread_since or at
    if leads_nowhere or walk.steps == 0 or at - since >= UNREAD_PATIENCE:
        return None
    return walk.model_copy(update={"unread_since": since})
