"""Brings the catalogue and the index over the log: what a worker does when there is news."""

import logging

from indexer.projections import documents, runner
from workers.wiring import Wiring

LOCK = "projecting"

log = logging.getLogger(__name__)


def project(wiring: Wiring) -> bool:
    """Brings both to the log's end, unless another worker is at it; whether it did."""
    with wiring.database.try_lock(LOCK) as held:
        if held:
            runner.catch_up(wiring.database)
            reached = documents.catch_up(wiring.database, wiring.index())
            log.info("Catalogue and index are at %s", reached, extra={"position": reached})
        return held
