"""Publishes the log's news to the exchange, where a broker is configured."""

import logging
import time

from indexer import publish
from workers.broker import check_broker
from workers.stopping import stopping
from workers.wiring import Wiring

LOCK = "publishing"
SLICE_SECONDS = 30.0
"""Who publishes much lets other tasks have the worker so often."""

log = logging.getLogger(__name__)


def publish_slice(wiring: Wiring) -> bool:
    """Publishes for a while, unless another process is at it; whether there is more to publish at once."""
    until = time.monotonic() + SLICE_SECONDS
    return _publish(wiring, until) is False and not stopping()


def publish_all(wiring: Wiring) -> None:
    """Publishes up to the log's end, unless another process is at it. Raises ExchangeUnavailable."""
    _publish(wiring, float("inf"))


def exchange_lags(wiring: Wiring) -> bool:
    """Whether the log has what was not published, where there is an exchange."""
    if not wiring.settings.publishes:
        return False
    with wiring.database.read() as connection:
        return publish.lags(connection)


def _publish(wiring: Wiring, until: float) -> bool | None:
    """Whether everything is published by now; None where this process had nothing to do with it."""
    if not wiring.settings.publishes:
        return None
    wiring.remember_sources()  # what may be passed on is what the sources file says now
    with wiring.database.try_lock(LOCK) as held:
        if not held:
            return None
        check_broker(wiring.settings.broker)
        with publish.exchange(wiring.settings.broker) as send:
            done = publish.publish(wiring.database, send, enough=lambda: stopping() or time.monotonic() > until)
    with wiring.database.read() as connection:
        reached = publish.published(connection)
    log.info("The exchange is at %s", reached, extra={"position": reached})
    return done
