"""A source's crawls: where its walk stands, what comes next. Pure.

A crawl is one pass, from its `crawl.started` to the event that ends it. Its walk may outlive it: a crawl that failed
because the upstream did not answer, or answered what cannot be read, leaves the walk where it is, and the next crawl
goes on from there with the same mark.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from indexer.clock import LONG_AGO
from indexer.errors import CursorRefused, McpIndexerError, SourceForbidden, SourceUnavailable, WalkLost
from schemas.events import Counts, Mode
from schemas.names import CrawlId, Cursor, ListingKey, Slot

OVERLAP = timedelta(minutes=10)
"""How far before its start a walk's mark lies: a record may appear with a time somewhat in the past."""

WITHOUT_DATE = timedelta(hours=1)
"""What is taken off our clock where the upstream does not tell its own."""

STALE_WALK = timedelta(hours=24)
"""A walk that began longer ago starts again: too much may have changed behind its cursor. It is given twice the time
that the last complete one took where that is more.
"""

MOST_PAGES = 100_000
"""A walk of more is none of a registry: at a hundred a page these are ten million versions."""

CLOCK_SLACK = timedelta(minutes=5)
"""How far the clocks of several machines may be apart."""

_TIMES = ("completed_at", "full_at", "failed_at")


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
    """A walk that has begun: what it asks for, and how far it is. `mark` is the next increment's once it completes.

    `number` tells it from the source's others. `counts` are those of the crawl under way; `met` says whether a crawl
    before it met any record on this walk. Of a complete one `held` is how many versions were listed when it began,
    `compares` whether what it does not see of them is a candidate, `lists_deleted` whether it sees those that are
    deleted, `after` the last place that it saw, `ordered` whether it met them in the order of their places so far,
    `settling` what is left to do at its end, and `overtaken` whether an increment came before it since it began.
    `unread` says that a crawl failed at this cursor, for it could not read the page.
    """

    model_config = ConfigDict(frozen=True)

    mode: Mode
    started_at: datetime
    number: int = 0
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
    held: int = 0
    compares: bool = False
    lists_deleted: bool = True
    after: tuple[ListingKey, Slot] | None = None
    ordered: bool = True
    settling: Settling | None = None
    overtaken: bool = False
    unread: bool = False

    @property
    def complete(self) -> bool:
        """Whether it asks for all that the source lists."""
        return self.mode != "incremental"

    @property
    def empty(self) -> bool:
        """Whether the walk met no record so far."""
        return not self.met and self.counts.observed == 0


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
    """Where a source stands.

    `address` is where it was asked last, `crawl` the crawl under way, `walk` the walk that is not complete, `aside` one
    that lets an increment come first, `mark` the time the next increment asks from, `full_at` the start of the last
    complete walk of everything, `lasted` the seconds it took, `last_mode` what the last crawl was, `changed_at` when a
    crawl last found news, `failures` how many failed in a row, the last one at `failed_at`, after
    which the source wants to rest until `rests_until`. `walks` counts its walks,
    `complete` is the number of the last complete walk of everything. `unordered` says that it was seen to list in no
    order of places, `candidates` whether versions wait for a second look. `clock_ahead` are the seconds that the
    upstream's clock was ahead of ours when it was last asked; None where it tells no time.
    """

    model_config = ConfigDict(frozen=True)

    address: str = ""
    crawl: CrawlId | None = None
    walk: Walk | None = None
    aside: Walk | None = None
    mark: datetime | None = None
    full_at: datetime | None = None
    completed_at: datetime | None = None
    changed_at: datetime | None = None
    last_mode: Mode | None = None
    failures: int = 0
    failed_at: datetime | None = None
    rests_until: datetime | None = None
    walks: int = 0
    complete: int = 0
    lasted: float = 0.0
    unordered: bool = False
    candidates: bool = False
    parked: Parked | None = None
    audited: Audited | None = None
    clock_ahead: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the last crawl failed."""
        return self.failures > 0


def by_clock(state: CrawlState, now: datetime) -> CrawlState:
    """The state with what lies ahead of now as long ago: a clock noted it that has been put back since."""
    ahead = [name for name in _TIMES if (time := getattr(state, name)) is not None and time > now + CLOCK_SLACK]
    return state.model_copy(update=dict.fromkeys(ahead, LONG_AGO)) if ahead else state


def asked_at(state: CrawlState, address: str) -> CrawlState:
    """The state for asking at an address. What is known of one place says nothing of another: it is walked anew."""
    if state.address in ("", address):
        return state.model_copy(update={"address": address})
    return state.model_copy(update={"address": address, "walk": None, "aside": None, "mark": None, "unordered": False})


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
        changed = {"counts": Counts(), "seconds": 0.0, "missed": 0, "silent": 0, "met": not walk.empty}
        walk = walk.model_copy(update=changed)
        return state.model_copy(update={"crawl": crawl, "walk": walk, "aside": aside}), True
    increment = state.mark is not None and supports_since and not audit
    mode: Mode = "full" if state.full_at is None else "incremental" if increment else "audit"
    number = state.walks + 1
    walk = Walk(mode=mode, started_at=at, number=number, since=state.mark if mode == "incremental" else None)
    return state.model_copy(update={"crawl": crawl, "walk": walk, "walks": number, "aside": aside}), True


def _overtaken(walk: Walk | None) -> Walk | None:
    return None if walk is None else walk.model_copy(update={"overtaken": True})


def _young(walk: Walk | None, state: CrawlState, at: datetime) -> Walk | None:
    """A walk that has not begun too long ago to go on."""
    if walk is None or at - walk.started_at >= max(STALE_WALK, timedelta(seconds=2 * state.lasted)):
        return None
    return walk


def advance(walk: Walk, cursor: Cursor | None, *, served_at: datetime | None) -> Walk:
    """The walk after one more page, whose answer named the next cursor; the first page sets the mark.

    The clock is the earlier of the upstream's and ours: a change that the upstream makes from now on has a later time.
    """
    mark = walk.mark
    if mark is None:
        clock = walk.started_at - WITHOUT_DATE if served_at is None else min(walk.started_at, served_at)
        mark = clock - OVERLAP
    steps = walk.steps + 1
    changed: dict[str, Any] = {"cursor": cursor, "mark": mark, "steps": steps, "unread": False}
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
        "completed_at": at,
        "changed_at": at if found_news(walk.counts) else state.changed_at,
        "last_mode": walk.mode,
        "failures": 0,
        "failed_at": None,
        "rests_until": None,
    }
    if walk.complete:
        settled = walk.settling
        waits = settled is not None and settled.parked > 0
        changed |= {
            "full_at": walk.started_at,
            "complete": walk.number,
            "lasted": (at - walk.started_at).total_seconds(),
            "unordered": state.unordered or not walk.ordered,
            "candidates": candidates,
            "parked": Parked(candidates=settled.parked, at=at, needs_approval=settled.needs_approval)
            if settled is not None and waits
            else None,
        }
    if walk.mode == "audit":
        changed["audited"] = Audited(at=at, missed=walk.missed, silent=walk.silent)
    return state.model_copy(update=changed)


def unparked(state: CrawlState, *, candidates: bool) -> CrawlState:
    """The state once what parked a crawl was withdrawn."""
    return state.model_copy(update={"parked": None, "candidates": candidates})


def failed(state: CrawlState, error: McpIndexerError, *, at: datetime) -> CrawlState:
    """The state once a crawl failed with an error, and with what the next crawl goes on with of its walk."""
    assert state.walk is not None
    return state.model_copy(
        update={
            "crawl": None,
            "walk": _kept(state.walk, error),
            "changed_at": at if found_news(state.walk.counts) else state.changed_at,
            "last_mode": state.walk.mode,
            "failures": state.failures + 1,
            "failed_at": at,
            "rests_until": error.until if isinstance(error, SourceUnavailable) else None,
        }
    )


def _kept(walk: Walk, error: McpIndexerError) -> Walk | None:
    """What a walk leaves to the next crawl: itself where the source does not answer, or not us. A page that cannot be
    read is tried for once more; where it is not read then either, its cursor may be what the source cannot read.
    """
    if isinstance(error, SourceUnavailable | SourceForbidden):
        return walk
    leads_nowhere = isinstance(error, CursorRefused | WalkLost)
    return None if leads_nowhere or walk.unread or walk.steps == 0 else walk.model_copy(update={"unread": True})


def found_news(counts: Counts) -> bool:
    """Whether a crawl that came to this found anything new."""
    return any((counts.new, counts.changed, counts.status_changed, counts.returned, counts.withdrawn))
