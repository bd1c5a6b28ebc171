"""Celery's tasks: each is one call. What they do is in the modules that they call.

None needs a result, and none is lost for good: what a broker or a killed worker dropped, `schedule.due` finds again in
the database. So an error that we foresaw is logged as its sentence and tried again then.
"""

import logging
from functools import cache

from celery import Task, shared_task

from indexer.errors import McpIndexerError
from workers import slices, stopping
from workers.metrics import Counting
from workers.projecting import project as project_all
from workers.publishing import exchange_lags, publish_slice
from workers.settings import read_settings
from workers.wiring import Wiring

MESSAGE_SECONDS = 60
"""A message that nobody took in that time is asked for again, so it may go."""

log = logging.getLogger(__name__)


@cache
def wiring() -> Wiring:
    """What this process works with; made after the fork."""
    return Wiring(read_settings(), log.info, sleep=stopping.sleep, observer=Counting())


def wake() -> None:
    """Asks for what is to be done when there is news."""
    project.delay()
    if wiring().settings.publishes:
        publish.delay()


@shared_task(name="crawl.source", bind=True, throws=(McpIndexerError,))
def crawl_source(self: "Task[[str], None]", name: str) -> None:
    """Crawls a source for a while, where that is due, and asks for the rest of it."""
    if slices.crawl_slice(wiring(), name, wake=wake):
        slices.note(wiring(), name)
        self.delay(name)


@shared_task(name="project", expires=MESSAGE_SECONDS, throws=(McpIndexerError,))
def project() -> None:
    """Brings the catalogue and the index over the log."""
    project_all(wiring())


@shared_task(name="publish", bind=True, expires=MESSAGE_SECONDS, throws=(McpIndexerError,))
def publish(self: "Task[[], None]") -> None:
    """Publishes to the exchange for a while, and asks for the rest of it."""
    if publish_slice(wiring()):
        self.delay()


@shared_task(name="schedule.due", throws=(McpIndexerError,))
def ask_for_what_is_due() -> None:
    """Asks for a crawl of each source that is due, and for projecting and publishing where there is something to."""
    asked = slices.ask(wiring())
    for name in asked.names:
        crawl_source.apply_async((name,), expires=asked.seconds)
    if slices.projections_lag(wiring()):
        project.delay()
    if exchange_lags(wiring()):
        publish.delay()
