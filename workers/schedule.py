"""When a source is due. Pure: the sources file, where the source stands, and the time say it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from indexer.crawls import CLOCK_SLACK, CrawlState, audit_at, by_clock
from indexer.scheduling import Scheduled
from workers.sources_file import SourceConfig, interval_text

LARGEST_JITTER = timedelta(minutes=5)
JITTER_SHARE = 10
"""Sources that are asked equally often drift apart by up to a tenth of their interval."""
FIRST_REST = timedelta(minutes=1)
"""A source that failed rests so long, and twice as long each time it fails again, up to its interval."""
LONGEST_REST = timedelta(days=2)
"""A source that asks to rest for longer is asked all the same; so is one whose wish was noted by a wrong clock."""
QUIET_SHARE = 10
"""Where the operator sets `slowest`, a source is asked after a tenth of the time for which it has not changed."""
ASK_AGAIN = timedelta(minutes=1)
"""A crawl that was asked for and has not begun is asked for again: a broker may lose messages."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a crawl is due, and why then."""

    at: datetime
    why: str


def due(config: SourceConfig, state: CrawlState, scheduled: Scheduled, now: datetime) -> Due | None:
    """The next crawl of a source; None where it is disabled or paused."""
    if not config.enabled or scheduled.paused:
        return None
    state = by_clock(state, now)
    if state.failed_at is not None:
        rest = min(config.every, FIRST_REST * (1 << min(state.failures - 1, 20)))
        times = "once" if state.failures == 1 else f"{state.failures} times in a row"
        again = state.failed_at + rest
        if state.rests_until is not None and again < state.rests_until <= now + LONGEST_REST:
            return Due(state.rests_until, f"it failed {times} and asked to rest until then")
        return Due(again, f"it failed {times} and rests {_about(rest)}")
    if state.walk is not None:
        return Due(min(state.walk.started_at, now), "it goes on where it was interrupted")
    if state.completed_at is None:
        return Due(datetime.min.replace(tzinfo=scheduled.asked_at.tzinfo), "it was never crawled to its end")
    increment = Due(state.completed_at + interval(config, state) + jitter(config), _pace(config, state))
    everything = audit_at(state, config.audit_every)
    if everything is None:
        return increment
    audit = Due(everything + jitter(config), f"audit every {interval_text(config.audit_every)}")
    return min(increment, audit, key=lambda one: one.at)


def due_at(config: SourceConfig, state: CrawlState, scheduled: Scheduled, now: datetime) -> datetime | None:
    """When the next crawl of a source is due; None where it is disabled or paused."""
    found = due(config, state, scheduled, now)
    return None if found is None else found.at


def interval(config: SourceConfig, state: CrawlState) -> timedelta:
    """How often a source is asked: every `every`; less often, down to `slowest`, where it has not changed for long."""
    if config.slowest is None or state.changed_at is None or state.completed_at is None:
        return config.every
    quiet = state.completed_at - state.changed_at
    return min(config.slowest, max(config.every, quiet / QUIET_SHARE))


def is_due(config: SourceConfig, state: CrawlState, scheduled: Scheduled, now: datetime) -> bool:
    """Whether a source is to be crawled now."""
    at = due_at(config, state, scheduled, now)
    return at is not None and at <= now


def to_ask(scheduled: Scheduled, *, patience: timedelta, now: datetime) -> bool:
    """Whether a crawl of a source that is due, and that nobody crawls, is to be asked for: nobody was just asked."""
    return not -CLOCK_SLACK <= now - scheduled.asked_at < patience


def patience(due: int) -> timedelta:
    """How long a message may wait to be taken where so many sources are due: each may have its slice before it, on one
    worker. Were it shorter, those that go on would stay ahead of those that wait.
    """
    return ASK_AGAIN * max(1, due)


def jitter(config: SourceConfig) -> timedelta:
    """What a source's interval is lengthened by: always the same of one source, another of each."""
    share = int.from_bytes(hashlib.sha256(config.name.encode()).digest()[:4]) / 2**32
    return min(config.every / JITTER_SHARE, LARGEST_JITTER) * share


def _pace(config: SourceConfig, state: CrawlState) -> str:
    """Why a source is asked as often as it is."""
    every = f"every {interval_text(config.every)}"
    now = interval(config, state)
    if now == config.every or state.completed_at is None or state.changed_at is None:
        return every
    quiet = _about(state.completed_at - state.changed_at)
    return f"nothing changed for {quiet}: every {_about(now)} instead of {every}"


def _about(time: timedelta) -> str:
    """A time in the largest unit of which it has one."""
    units = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))
    unit = next((unit for unit in units if time >= unit), units[-1])
    return interval_text(time // unit * unit)
