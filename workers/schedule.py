"""When a source is due. Pure: the sources file, where the source stands, and the time say it."""

import hashlib
from datetime import datetime, timedelta

from indexer.crawls import CrawlState
from indexer.scheduling import Scheduled
from workers.sources_file import SourceConfig

LARGEST_JITTER = timedelta(minutes=5)
JITTER_SHARE = 10
"""Sources that are asked equally often drift apart by up to a tenth of their interval."""
FIRST_REST = timedelta(minutes=1)
"""A source that failed rests so long, and twice as long each time it fails again, up to its interval."""
ASK_AGAIN = timedelta(minutes=1)
"""A crawl that was asked for and has not begun is asked for again: a broker may lose messages."""


def due_at(config: SourceConfig, state: CrawlState, scheduled: Scheduled) -> datetime | None:
    """When the next crawl of a source is due; None where it is disabled or paused."""
    if not config.enabled or scheduled.paused:
        return None
    if state.failed_at is not None:
        return state.failed_at + min(config.every, FIRST_REST * (1 << min(state.failures - 1, 20)))
    if state.walk is not None:
        return state.walk.started_at  # it was interrupted, and goes on at once
    if state.completed_at is None:
        return datetime.min.replace(tzinfo=scheduled.asked_at.tzinfo)
    times = [state.completed_at + config.every + jitter(config)]
    if state.full_at is not None:
        times.append(state.full_at + config.audit_every + jitter(config))
    return min(times)


def to_ask(config: SourceConfig, state: CrawlState, scheduled: Scheduled, *, held: bool, now: datetime) -> bool:
    """Whether a crawl of a source is to be asked for now: it is due, nobody crawls it, and nobody was just asked."""
    due = due_at(config, state, scheduled)
    return due is not None and due <= now and not held and now - scheduled.asked_at >= ASK_AGAIN


def jitter(config: SourceConfig) -> timedelta:
    """What a source's interval is lengthened by: always the same of one source, another of each."""
    share = int.from_bytes(hashlib.sha256(config.name.encode()).digest()[:4]) / 2**32
    return min(config.every / JITTER_SHARE, LARGEST_JITTER) * share
