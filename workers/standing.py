"""Where every source, the log, every projection and the index stand: what `status` says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from indexer import queries
from indexer.crawls import CrawlState
from indexer.errors import McpIndexerError
from indexer.queries import SourceStanding
from indexer.scheduling import Scheduled, read_schedule
from indexer.store import last_position
from schemas.names import SourceName
from workers.schedule import Due, due, interval
from workers.sources_file import SourceConfig
from workers.wiring import A_LOOK, Wiring

Json = dict[str, Any]

STALE_AFTER = 2
"""A source is stale when its last completed crawl is longer ago than so many of its intervals."""


SOURCE_STATES = ("fresh", "stale", "failing", "parked", "paused", "never")


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a source stands; `due` is None where it is paused or disabled."""

    config: SourceConfig
    standing: SourceStanding
    due: Due | None
    state: str


def stand(connection: Connection, configs: list[SourceConfig], now: datetime) -> list[Stands]:
    """Where the configured sources stand; one that the log does not know yet as one that was never crawled."""
    standings, schedule = queries.standings(connection), read_schedule(connection)
    found = []
    for config in configs:
        name = SourceName(config.name)
        standing = standings.get(name, queries.UNKNOWN)
        stands = standing.state
        next_one = due(config, stands, schedule.get(name, Scheduled()), now)
        state = "paused" if next_one is None else freshness(stands, interval(config, stands), now)
        found.append(Stands(config, standing, next_one, state))
    return found


def status_of(wiring: Wiring) -> Json:
    """Where every configured source and every projection stands."""
    configs = wiring.configured
    now = wiring.clock()
    with wiring.database.read() as connection:
        sources = [_shown(one, now) for one in stand(connection, configs, now)]
        for source in sources:
            source["error"] = queries.last_failure(connection, source["name"]) if source["state"] == "failing" else None
        projections = queries.projections(connection, publishes=wiring.settings.publishes)
        position = last_position(connection)
    return {"sources": sources, "log": {"position": position}, "projections": projections, "index": _index(wiring)}


def _shown(one: Stands, now: datetime) -> Json:
    state = one.standing.state
    return {
        "name": one.config.name,
        "kind": one.config.kind,
        "state": one.state,
        "enabled": one.config.enabled,
        "last_crawl": last_crawl(state, one.standing.holder),
        "last_completed": queries.time_text(state.completed_at),
        "next_due": None if one.due is None else queries.time_text(max(one.due.at, now)),
        "due_because": None if one.due is None else one.due.why,
        "listings": one.standing.listings,
        "versions": one.standing.versions,
        "invalid": one.standing.invalid,
        "quarantined": one.standing.quarantined,
        "holder": one.standing.holder,
        "parked": None if state.parked is None else state.parked.model_dump(mode="json", exclude={"approved"}),
        "last_audit": None if state.audited is None else state.audited.model_dump(mode="json"),
        "clock_ahead_seconds": state.clock_ahead,
    }


def last_crawl(state: CrawlState, holder: str | None) -> Json | None:
    """What the last crawl was and came to, the one under way included; None before the first."""
    if state.walk is not None and state.crawl is not None:
        return {"mode": state.walk.mode, "status": "interrupted" if holder is None else "running"}
    if state.last_mode is None:
        return None
    parked = state.parked is not None and state.parked.at == state.completed_at
    return {"mode": state.last_mode, "status": "failed" if state.failed else "parked" if parked else "completed"}


def freshness(state: CrawlState, every: timedelta, now: datetime) -> str:
    """How far a source can be relied on: failing, parked, never crawled to the end, stale, or fresh."""
    if state.failed:
        return "failing"
    if state.parked is not None:
        return "parked"
    if state.completed_at is None:
        return "never"
    return "stale" if now - state.completed_at > STALE_AFTER * every else "fresh"


def _index(wiring: Wiring) -> Json:
    try:
        index = wiring.index(patience=A_LOOK)
        return {"uid": index.uid, "url": index.url, "documents": index.count(), "error": None}
    except McpIndexerError as error:
        return {"uid": wiring.settings.index, "url": wiring.settings.meili_url, "documents": None, "error": str(error)}
