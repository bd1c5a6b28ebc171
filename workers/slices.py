"""A bounded slice of a source's crawl: what a worker does at one go.

A walk may take hours, and no message is to be held so long, nor a worker kept from stopping: so a slice ends after so
many seconds or pages, and the next one goes on where it stood.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from indexer.clock import LONG_AGO
from indexer.errors import LeaseHeld, LeaseLost
from indexer.leases import live_holders
from indexer.projections.checkpoints import lags
from indexer.queries import crawl_state
from indexer.scheduling import Scheduled, is_paused, note_asked, read_schedule
from indexer.store import Appended, last_position
from schemas.names import SourceName
from workers.crawling import begin_crawl
from workers.logs import about
from workers.outcome import Outcome
from workers.schedule import is_due, patience, to_ask
from workers.sources_file import SourceConfig
from workers.stopping import stopping
from workers.wiring import Wiring

SLICE_SECONDS = 30.0
SLICE_PAGES = 200
WAKE_SECONDS = 2.0
"""While a slice records news, projections are woken so often."""

log = logging.getLogger(__name__)


def crawl_slice(wiring: Wiring, name: str, wake: Callable[[], Any]) -> bool:
    """Crawls a source for a while, where that is due; whether the crawl is to go on at once.

    A message that comes twice, late or by hand finds nothing due. `wake` is called when there is news.
    """
    config = next((one for one in wiring.remember_sources() if one.name == name), None)
    if config is None or not _is_due(wiring, config):
        return False
    try:
        outcome = _crawl(wiring, config, wake)
    except LeaseHeld as error:
        log.info("%s", error)
        return False
    except LeaseLost as error:
        log.warning("%s", error)
        return False
    except Exception:
        note(wiring, name)  # nobody foresaw it: the next try is in a while, and not at once
        raise
    return outcome.status == "interrupted" and not _paused(wiring, config)


@dataclass(frozen=True, slots=True)
class Asked:
    """Sources of which a crawl is asked for, and for how many seconds the messages that ask count."""

    names: list[str]
    seconds: float


def ask(wiring: Wiring) -> Asked:
    """What is to be asked for now; notes that it was."""
    configs, now = wiring.remember_sources(), wiring.clock()
    with wiring.database.read() as connection:
        schedule, held = read_schedule(connection), live_holders(connection)
        scheduled = {config.name: schedule.get(SourceName(config.name), Scheduled()) for config in configs}
        due = [
            config.name
            for config in configs
            if is_due(config, crawl_state(connection, SourceName(config.name)), scheduled[config.name], now)
        ]
    waits = patience(len(due))
    wanted = [name for name in due if name not in held and to_ask(scheduled[name], patience=waits, now=now)]
    for name in wanted:
        note(wiring, name)
    return Asked(wanted, waits.total_seconds())


def note(wiring: Wiring, name: str, *, begun: bool = False) -> None:
    """Notes that a crawl of a source was asked for; or that it has begun: where it ends half-way, it is asked for at
    once.
    """
    with wiring.database.write() as connection:
        note_asked(connection, SourceName(name), at=LONG_AGO if begun else wiring.clock())


def projections_lag(wiring: Wiring) -> bool:
    """Whether the log has what the catalogue or the index has not."""
    with wiring.database.read() as connection:
        return lags(connection)


def _crawl(wiring: Wiring, config: SourceConfig, wake: Callable[[], Any]) -> Outcome:
    opened = wiring.open_source(config)  # before the lease: what is wrong with it is no crawl
    crawl = begin_crawl(wiring, config)
    note(wiring, config.name, begun=True)
    until, pages, woken, news = time.monotonic() + SLICE_SECONDS, 0, time.monotonic(), False

    def stop() -> bool:
        nonlocal pages
        pages += 1
        return pages >= SLICE_PAGES or time.monotonic() > until or stopping() or _paused(wiring, config)

    def recorded(appended: Appended) -> None:
        nonlocal woken, news
        news = True
        log.debug("%s: a page with news", config.name, extra={"position": appended.position})
        if time.monotonic() - woken >= WAKE_SECONDS:
            wake()
            woken = time.monotonic()

    with about(source=config.name, crawl=crawl.state.crawl):
        log.info("%s: begun or gone on with", config.name)
        outcome = crawl.run(opened, stop=stop, recorded=recorded)
        _log_end(wiring, outcome)
    if news:
        wake()
    return outcome


def _log_end(wiring: Wiring, outcome: Outcome) -> None:
    with wiring.database.read() as connection:
        said = {"position": last_position(connection), "counts": outcome.counts.model_dump()}
    level = logging.WARNING if outcome.status in ("failed", "parked") else logging.INFO
    log.log(level, "%s: %s", outcome.source, outcome.error or outcome.status, extra=said)


def _is_due(wiring: Wiring, config: SourceConfig) -> bool:
    name, now = SourceName(config.name), wiring.clock()
    with wiring.database.read() as connection:
        scheduled = read_schedule(connection).get(name, Scheduled())
        return is_due(config, crawl_state(connection, name), scheduled, now)


def _paused(wiring: Wiring, config: SourceConfig) -> bool:
    with wiring.database.read() as connection:
        return is_paused(connection, SourceName(config.name))
