"""What a crawl came to, and the event that says so. Pure."""

from dataclasses import dataclass, field
from typing import Literal

from indexer.walks import Walk
from schemas.events import Counts, CrawlCompleted, CrawlFailed, CrawlParked, Mode
from schemas.names import SourceName

CrawlStatus = Literal["completed", "interrupted", "parked", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crawl came to. `missed` and `silent` are None outside audits, `mode` where it never began."""

    source: SourceName
    mode: Mode | None
    status: CrawlStatus
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    missed: int | None = None
    silent: int | None = None
    error: str | None = None
    by_hand: bool = False
    """Whether a person interrupted it."""
    candidates: int = 0
    """How many versions park it."""
    needs_approval: bool = False
    misconfigured: bool = False
    """Whether it never began for what an operator wrote, or did not set, about its source."""


def outcome_of(source: SourceName, walk: Walk, status: CrawlStatus, error: str | None = None) -> Outcome:
    """What a crawl came to, as its walk says."""
    audit, parked = walk.mode == "audit", walk.settling if status == "parked" else None
    return Outcome(
        source=source,
        mode=walk.mode,
        status=status,
        counts=walk.counts,
        seconds=walk.seconds,
        missed=walk.missed if audit else None,
        silent=walk.silent if audit else None,
        error=error,
        candidates=0 if parked is None else parked.parked,
        needs_approval=parked is not None and parked.needs_approval,
    )


def end_of(walk: Walk, outcome: Outcome) -> CrawlCompleted | CrawlParked | CrawlFailed:
    """The event that ends a crawl."""
    said = {
        "source": outcome.source,
        "mode": walk.mode,
        "counts": outcome.counts,
        "seconds": round(outcome.seconds, 3),
        "missed": outcome.missed,
        "silent": outcome.silent,
    }
    if outcome.status == "failed":
        return CrawlFailed.model_validate({**said, "error": outcome.error})
    if outcome.status == "parked":
        parked = {"candidates": outcome.candidates, "needs_approval": outcome.needs_approval}
        return CrawlParked.model_validate({**said, **parked, "mark": walk.mark})
    return CrawlCompleted.model_validate({**said, "mark": walk.mark})
