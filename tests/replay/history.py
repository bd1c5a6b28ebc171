"""The snapshots, in order, with what is needed to serve them and to know what a crawl of them has to find."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from indexer.clock import from_micros
from indexer.text import digest
from schemas.about import OFFICIAL
from schemas.names import Digest
from schemas.observations import Observation
from workers.sources.registry import observe

Generation = Literal["a", "b", "bad week", "c"]
Key = tuple[str, str]

FILE = Path("upstream") / "history" / "official-2025-09-15--2025-11-15.jsonl.gz"
BAD_WEEK = datetime(2025, 9, 30, 20, 29, tzinfo=UTC), datetime(2025, 10, 7, 4, 32, tzinfo=UTC)
"""Here the key of the next cursor was renamed, and the snapshots hold the first page only."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A version as the registry listed it, the digest of its record, and its place in the registry's order."""

    item: Any
    seen: Observation
    digest: Digest
    place: tuple[str, ...]

    @property
    def updated_at(self) -> datetime:
        """When the registry says that it changed last."""
        assert self.seen.about.updated_at is not None
        return from_micros(self.seen.about.updated_at)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry at one time; in the bad week what its first page was, which says nothing of the rest."""

    at: datetime
    generation: Generation
    listed: dict[Key, Listed]


def snapshots(shared: Path) -> Iterator[Snapshot]:
    """The whole history, oldest first."""
    state: dict[Key, Listed] = {}
    with gzip.open(shared / FILE) as lines:
        for line in lines:
            change = json.loads(line)
            state = state.copy()
            for key in change["gone"]:
                del state[tuple(key)]
            for item in change["upserts"]:
                one = _listed(item)
                state[one.seen.name, one.seen.version] = one
            assert len(state) == change["count"]
            at = datetime.fromisoformat(change["at"]).astimezone(UTC)
            yield Snapshot(at, _generation(at, next(iter(state.values())).item), state)


def _generation(at: datetime, item: Any) -> Generation:
    if BAD_WEEK[0] <= at <= BAD_WEEK[1]:
        return "bad week"
    if "server" in item:
        return "c"
    return "a" if "id" in item["_meta"][OFFICIAL] else "b"


def _listed(item: Any) -> Listed:
    seen = observe(item)
    assert isinstance(seen, Observation)
    return Listed(item, seen, digest(seen.record), _place(item, seen))


def _place(item: Any, seen: Observation) -> tuple[str, ...]:
    """What the registry ordered its list by: at first a row's UUID, then name and version."""
    if "server" in item:
        return seen.name, seen.version
    own = item["_meta"][OFFICIAL]
    return (str(own.get("id") or own["versionId"]),)
