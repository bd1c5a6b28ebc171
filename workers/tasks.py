"""Celery's tasks: each is one call. What they do is in the modules that they call.

None needs a result, and none is lost for good: what a broker or a killed worker dropped, `schedule.due` finds again in
the database. So an error that we foresaw is logged as its sentence and tried again then.
"""

import logging
from functools import cache
from typing import Any

from celery import Task, shared_task
from celery.exceptions import OperationalError

from indexer.errors import McpIndexerError
from workers import slices, stopping
from workers.metrics import Counting
from workers.projecting import project as project_all
from workers.publishing import exchange_lags, publish_slice
from workers.settings import read_settings
from workers.wiring import Wiring

CLOCKS_APART_SECONDS = 3600
"""Who takes a message has another clock than who sent it: it counts so much longer, or one that is ahead takes none."""
MESSAGE_SECONDS = 60 + CLOCKS_APART_SECONDS
"""A message that nobody took in that time is asked for again, so it may go."""

log = logging.getLogger(__name__)


@cache
def wiring() -> Wiring:
    """What this process works with; made after the fork."""
    return Wiring(read_settings(), log.info, sleep=stopping.sleep, watcher=Counting())


def wake() -> None:
    """Asks for what is to be done when there is news."""
    _send(project)
    if wiring().settings.publishes:
        _send(publish)


def _send(task: Any, *arguments: str, **options: float) -> None:
    """Sends a message. A broker that is away ends nothing: what the message asked for, beat asks for again."""
    try:
        task.apply_async(arguments, **options)
    except OperationalError as error:
        log.warning("%s was not asked for, for no broker took the message: %s", task.name, error)


@shared_task(name="crawl.source", bind=True, throws=(McpIndexerError,))
def crawl_source(self: "Task[[str], None]", name: str) -> None:
    """Crawls a source for a while, where that is due, and asks for the rest of it."""
    if slices.crawl_slice(wiring(), name, wake=wake):
        slices.note(wiring(), name)
        _send(self, name)


@shared_task(name="project", expires=MESSAGE_SECONDS, throws=(McpIndexerError,))
def project() -> None:
    """Brings the catalogue and the index over the log."""
    project_all(wiring())


@shared_task(name="publish", bind=True, expires=MESSAGE_SECONDS, throws=(McpIndexerError,))
def publish(self: "Task[[], None]") -> None:
    """Publishes to the exchange for a while, and asks for the rest of it."""
    if publish_slice(wiring()):
        _send(self)


@shared_task(name="schedule.due", throws=(McpIndexerError,))
def ask_for_what_is_due() -> None:
    """Asks for a crawl of each source that is due, and for projecting and publishing where there is something to."""
    asked = slices.ask(wiring())
    for name in asked.names:
        _send(crawl_source, name, expires=asked.seconds + CLOCKS_APART_SECONDS)
    if slices.projections_lag(wiring()):
        _send(project)
    if exchange_lags(wiring()):
        _send(publish)
