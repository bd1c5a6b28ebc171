"""A source's crawls: where it stands, what comes next. Pure.

A crawl is one pass, from its `crawl.started` to the event that ends it. Its walk may outlive it: a crawl that failed
because the upstream did not answer, or answered what cannot be read, leaves the walk where it is, and the next crawl
goes on from there with the same mark.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from indexer.clock import LONG_AGO
from indexer.errors import McpIndexerError, SourceUnavailable
from indexer.walks import Walk, left_to_next, taken_up
from schemas.events import Counts, Mode
from schemas.names import CrawlId

STALE_WALK = timedelta(hours=24)
"""A walk that began longer ago starts again: too much may have changed behind its cursor. It is given twice the time
that the last complete one took where that is more.
"""

CLOCK_SLACK = timedelta(minutes=5)
"""How far the clocks of several machines may be apart."""

_TIMES = ("completed_at", "full_at", "failed_at")


class Parked(BaseModel):
    """Versions that a complete walk did not see, too many to be withdrawn without a second complete walk, or a person
    (`needs_approval`). `approved` says that a person let them go.
    """

    model_config = ConfigDict(frozen=True)

    candidates: int
    at: datetime
    needs_approval: bool
    approved: bool = False


class Audited(BaseModel):
    """What the last audit found that increments had not seen."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    missed: int
    silent: int


class CrawlState(BaseModel):
    """Where a source stands."""

    model_config = ConfigDict(frozen=True)

    address: str = ""
    """Where it was asked last."""
    clock_ahead: float | None = None
    """The seconds that the upstream's clock was ahead of ours when it was last asked; None where it tells no time."""
    unordered: bool = False
    """Whether it was seen to list in no order of places."""

    crawl: CrawlId | None = None
    """The crawl under way."""
    walk: Walk | None = None
    """The walk that is not complete."""
    aside: Walk | None = None
    """One that lets an increment come first."""
    walks: int = 0
    """How many there were."""

    mark: datetime | None = None
    """The time the next increment asks from."""
    last_mode: Mode | None = None
    """What the last crawl was."""
    completed_at: datetime | None = None
    changed_at: datetime | None = None
    """When a crawl last found news."""
    failures: int = 0
    """How many crawls failed in a row, the last one at `failed_at`."""
    failed_at: datetime | None = None
    rests_until: datetime | None = None
    """Until when the source wants to rest after that."""

    complete: int = 0
    """The number of the last complete walk of everything."""
    full_at: datetime | None = None
    """When that began."""
    lasted: float = 0.0
    """The seconds that it took."""
    candidates: bool = False
    """Whether versions wait for a second look."""
    parked: Parked | None = None
    audited: Audited | None = None

    @property
    def failed(self) -> bool:
        """Whether the last crawl failed."""
        return self.failures > 0


def by_clock(state: CrawlState, now: datetime) -> CrawlState:
    """The state with what lies ahead of now as long ago: a clock noted it that has been put back since. A mark that was
    taken from that clock alone, or lies ahead itself, is none.
    """
    ahead = [name for name in _TIMES if (time := getattr(state, name)) is not None and time > now + CLOCK_SLACK]
    changed: dict[str, Any] = dict.fromkeys(ahead, LONG_AGO)
    by_it_alone = state.clock_ahead is None and "completed_at" in ahead
    if by_it_alone or (state.mark is not None and state.mark > now):
        changed["mark"] = None
    return state.model_copy(update=changed) if changed else state


def asked_at(state: CrawlState, address: str) -> CrawlState:
    """The state for asking at an address. What is known of one place says nothing of another: it is walked anew."""
    if state.address in ("", address):
        return state.model_copy(update={"address": address})
    return state.model_copy(update={"address": address, "walk": None, "aside": None, "mark": None, "unordered": False})


def asked_for_deleted(state: CrawlState, deleted: bool) -> CrawlState:
    """The state for asking a source for `deleted` versions, or not. No walk goes on that would miss them."""
    walks = {"walk": state.walk, "aside": state.aside}
    misses = [name for name, walk in walks.items() if misses_deleted(walk, deleted)]
    return state.model_copy(update=dict.fromkeys(misses))


def misses_deleted(walk: Walk | None, deleted: bool) -> bool:
    """Whether a walk that began with `deleted` versions among what it compares is to go on without them."""
    return walk is not None and walk.compares and walk.lists_deleted and not deleted


def audit_at(state: CrawlState, audit_every: timedelta) -> datetime | None:
    """When everything is to be walked again; None before the first full walk, or where that is never."""
    return None if state.full_at is None or audit_every == timedelta.max else state.full_at + audit_every


def begin(
    state: CrawlState, *, crawl: CrawlId, at: datetime, audit: bool, supports_since: bool, relieve: bool = False
) -> tuple[CrawlState, bool]:
    """The state with a crawl under way, and whether that crawl is a new one.

    A crawl that was interrupted goes on, whatever is asked for now; a walk that was left unfinished goes on in a new
    crawl. An increment gives way to an audit, and a walk that has become too old starts again. `relieve` lets an
    increment come before an audit that failed and may fail again; the audit's walk goes on after it.
    """
    aside, walk = _young(state.aside, state, at), _young(state.walk, state, at)
    relieved = relieve and state.failed and state.last_mode == "audit" and state.mark is not None and supports_since
    audit = audit and not relieved
    if walk is not None and audit and not walk.complete:
        walk = None
    if walk is not None and state.crawl is not None:
        return state, False
    if relieved and (walk is None or walk.complete):
        walk, aside = None, _overtaken(walk or aside)
    elif walk is None:
        walk, aside = aside, None
    if walk is not None:
        walk = taken_up(walk)
        return state.model_copy(update={"crawl": crawl, "walk": walk, "aside": aside}), True
    increment = state.mark is not None and supports_since and not audit
    mode: Mode = "full" if state.full_at is None else "incremental" if increment else "audit"
    number = state.walks + 1
    walk = Walk(mode=mode, started_at=at, number=number, since=state.mark if mode == "incremental" else None)
    return state.model_copy(update={"crawl": crawl, "walk": walk, "walks": number, "aside": aside}), True


def _overtaken(walk: Walk | None) -> Walk | None:
    return None if walk is None else walk.model_copy(update={"overtaken": True})


def _young(walk: Walk | None, state: CrawlState, at: datetime) -> Walk | None:
    """A walk that has not begun too long ago to go on, nor is yet to begin, as a clock says that was put back since."""
    oldest = max(STALE_WALK, timedelta(seconds=2 * state.lasted))
    return None if walk is None or not -CLOCK_SLACK <= at - walk.started_at < oldest else walk


def completed(state: CrawlState, *, at: datetime, candidates: bool = False) -> CrawlState:
    """The state once a walk reached its end: the mark moves. `candidates` says whether versions wait for a second look;
    they may have parked the crawl.
    """
    walk = state.walk
    assert walk is not None
    changed: dict[str, Any] = {
        "crawl": None,
        "walk": None if walk.complete else state.aside,
        "aside": None,
        "mark": state.mark if walk.overtaken else walk.mark,
    }
    if walk.complete:
        changed |= {
            "full_at": walk.started_at,
            "complete": walk.number,
            "lasted": (at - walk.started_at).total_seconds(),
            "unordered": state.unordered or not walk.ordered,
            "candidates": candidates,
            "parked": _parked(walk, at),
        }
    if walk.mode == "audit":
        changed["audited"] = Audited(at=at, missed=walk.all_missed, silent=walk.all_silent)
    return ended(state, walk.mode, walk.counts, at=at, failed=False).model_copy(update=changed)


def _parked(walk: Walk, at: datetime) -> Parked | None:
    settling = walk.settling
    if settling is None or not settling.parked:
        return None
    return Parked(candidates=settling.parked, at=at, needs_approval=settling.needs_approval)


def unparked(state: CrawlState, *, candidates: bool) -> CrawlState:
    """The state once what parked a crawl was withdrawn."""
    return state.model_copy(update={"parked": None, "candidates": candidates})


def failed(state: CrawlState, error: McpIndexerError, *, at: datetime) -> CrawlState:
    """The state once a crawl failed with an error, and with what the next crawl goes on with of its walk."""
    walk = state.walk
    assert walk is not None
    left = left_to_next(walk, error, at)
    until = error.until if isinstance(error, SourceUnavailable) else None
    after = ended(state, walk.mode, walk.counts, at=at, failed=True)
    return after.model_copy(update={"crawl": None, "walk": left, "rests_until": until})


def ended(state: CrawlState, mode: Mode, counts: Counts, *, at: datetime, failed: bool) -> CrawlState:
    """The state once a crawl ended, as far as the event says that tells of it: `restoring` knows no more."""
    changed: dict[str, Any] = {"last_mode": mode, "changed_at": at if _found_news(counts) else state.changed_at}
    if failed:
        changed |= {"failures": state.failures + 1, "failed_at": at}
    else:
        changed |= {"failures": 0, "failed_at": None, "rests_until": None, "completed_at": at}
    return state.model_copy(update=changed)


def _found_news(counts: Counts) -> bool:
    """Whether a crawl that came to this found anything new."""
    return any((counts.new, counts.changed, counts.status_changed, counts.returned, counts.withdrawn))
