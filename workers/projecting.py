"""Brings the catalogue and the index over the log: what a worker does when there is news."""

from indexer.projections import documents, runner
from workers.wiring import Wiring

LOCK = "projecting"


def project(wiring: Wiring) -> bool:
    """Brings both to the log's end, unless another worker is at it; whether it did."""
    with wiring.database.try_lock(LOCK) as held:
        if held:
            runner.catch_up(wiring.database)
            documents.catch_up(wiring.database, wiring.index())
        return held
