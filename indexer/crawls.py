"""A source's crawls: where its walk stands, what comes next. Pure.

A crawl is one pass, from its `crawl.started` to the event that ends it. Its walk may outlive it: a crawl that failed
because the upstream did not answer leaves the walk where it is, and the next crawl goes on from there with the same
mark.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.events import Counts, Mode
from schemas.names import CrawlId, Cursor

OVERLAP = timedelta(minutes=10)
"""How far before its start a walk's mark lies: a record may appear with a time somewhat in the past."""

WITHOUT_DATE = timedelta(hours=1)
"""What is taken off our clock where the upstream does not tell its own."""


STALE_WALK = timedelta(hours=24)
"""A walk that began longer ago starts again: too much may have changed behind its cursor."""


class Walk(BaseModel):
    """A walk that has begun: what it asks for, and how far it is. `mark` is the next increment's once it completes.

    `counts` are those of the crawl under way; `met` says whether a crawl before it met any record on this walk.
    """

    model_config = ConfigDict(frozen=True)

    mode: Mode
    started_at: datetime
    since: datetime | None = None
    cursor: Cursor | None = None
    mark: datetime | None = None
    counts: Counts = Counts()
    seconds: float = 0.0
    missed: int = 0
    silent: int = 0
    remembered: Cursor | None = None
    steps: int = 0
    met: bool = False

    @property
    def empty(self) -> bool:
        """Whether the walk met no record so far."""
        return not self.met and self.counts.observed == 0


class CrawlState(BaseModel):
    """Where a source stands.

    `address` is where it was asked last, `crawl` the crawl under way, `walk` the walk that is not complete, `mark` the
    time the next increment asks from, `full_at` the start of the last complete full walk, `last_mode` what the last
    crawl was, `failures` how many failed in a row, the last one at `failed_at`.
    """

    model_config = ConfigDict(frozen=True)

    address: str = ""
    crawl: CrawlId | None = None
    walk: Walk | None = None
    mark: datetime | None = None
    full_at: datetime | None = None
    completed_at: datetime | None = None
    last_mode: Mode | None = None
    failures: int = 0
    failed_at: datetime | None = None

    @property
    def failed(self) -> bool:
        """Whether the last crawl failed."""
        return self.failures > 0


def asked_at(state: CrawlState, address: str) -> CrawlState:
    """The state for asking at an address. What is known of one place says nothing of another: it is walked anew."""
    if state.address in ("", address):
        return state.model_copy(update={"address": address})
    return state.model_copy(update={"address": address, "crawl": None, "walk": None, "mark": None})


def begin(
    state: CrawlState, *, crawl: CrawlId, at: datetime, audit: bool, supports_since: bool
) -> tuple[CrawlState, bool]:
    """The state with a crawl under way, and whether that crawl is a new one.

    A crawl that was interrupted goes on, whatever is asked for now; a walk that was left unfinished goes on in a new
    crawl. An increment gives way to an audit, and a walk of more than a day starts again.
    """
    walk = state.walk
    if walk is not None and at - walk.started_at < STALE_WALK and not (audit and walk.mode == "incremental"):
        if state.crawl is not None:
            return state, False
        walk = walk.model_copy(
            update={"counts": Counts(), "seconds": 0.0, "missed": 0, "silent": 0, "met": not walk.empty}
        )
        return state.model_copy(update={"crawl": crawl, "walk": walk}), True
    increment = state.mark is not None and supports_since and not audit
    mode: Mode = "full" if state.full_at is None else "incremental" if increment else "audit"
    walk = Walk(mode=mode, started_at=at, since=state.mark if mode == "incremental" else None)
    return state.model_copy(update={"crawl": crawl, "walk": walk}), True


def advance(walk: Walk, cursor: Cursor | None, *, served_at: datetime | None) -> Walk:
    """The walk after one more page, whose answer named the next cursor; the first page sets the mark.

    The clock is the earlier of the upstream's and ours: a change that the upstream makes from now on has a later time.
    """
    mark = walk.mark
    if mark is None:
        clock = walk.started_at - WITHOUT_DATE if served_at is None else min(walk.started_at, served_at)
        mark = clock - OVERLAP
    steps = walk.steps + 1
    changed: dict[str, Any] = {"cursor": cursor, "mark": mark, "steps": steps}
    if steps & (steps - 1) == 0:
        changed["remembered"] = cursor
    return walk.model_copy(update=changed)


def repeats(walk: Walk, cursor: Cursor | None) -> bool:
    """Whether a next cursor was given before: the walk runs in a circle, of whatever length (Brent's way, in constant
    memory).
    """
    return cursor is not None and cursor in (walk.cursor, walk.remembered)


def completed(state: CrawlState, *, at: datetime) -> CrawlState:
    """The state once a walk reached its end: the mark moves."""
    walk = state.walk
    assert walk is not None
    complete = walk.mode != "incremental"
    return state.model_copy(
        update={
            "crawl": None,
            "walk": None,
            "mark": walk.mark,
            "full_at": walk.started_at if complete else state.full_at,
            "completed_at": at,
            "last_mode": walk.mode,
            "failures": 0,
            "failed_at": None,
        }
    )


def failed(state: CrawlState, *, at: datetime, resume: bool) -> CrawlState:
    """The state once a crawl failed; `resume` keeps the walk for the next crawl, else that one starts again."""
    assert state.walk is not None
    kept = state.walk if resume else None
    return state.model_copy(
        update={
            "crawl": None,
            "walk": kept,
            "last_mode": state.walk.mode,
            "failures": state.failures + 1,
            "failed_at": at,
        }
    )
