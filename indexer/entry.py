"""One server in the catalogue: its listings, merged. Pure.

Each version is taken from the source that is trusted most among those that list it, so a deleted version is not
raised from the dead by a mirror's older copy, nor is a redacted one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from indexer.latest import age
from indexer.versions import Version
from schemas.names import ServerName, SourceName


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What deriving depends on of a source's configuration; `position` is the event that said so."""

    position: int
    trust: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    enabled: bool

    def shows(self, name: ServerName) -> bool:
        """Whether the source's listing of a server is part of its entry."""
        included = not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)
        return self.enabled and included and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


class Entry(NamedTuple):
    """A server, merged. `latest` is None when no version is listed that is not deleted; `versions` are the latest
    first, without the redacted ones.
    """

    name: ServerName
    position: int
    first_seen_at: int
    latest: Version | None
    versions: tuple[Version, ...]
    sources: tuple[SourceName, ...]

    @property
    def version_count(self) -> int:
        """How many versions are listed and not deleted."""
        return sum(version.status != "deleted" for version in self.versions)


def merge(name: ServerName, held: Iterable[Version], rules: Mapping[SourceName, SourceRules]) -> Entry:
    """The entry of a server, given every version that any source ever showed of it."""
    everything = list(held)
    touched = [version.position for version in everything]
    named = {v.source for v in everything}
    touched += [rules[source].position for source in named if source in rules]
    shown = {source for source in named if source in rules and rules[source].shows(name)}
    listed = [v for v in everything if not v.withdrawn and v.source in shown]
    listed.sort(key=lambda v: (-rules[v.source].trust, v.source, v.key))
    chosen: dict[str, Version] = {}
    for version in listed:
        chosen.setdefault(version.slot, version)
    present = [version for version in chosen.values() if not version.redacted]
    versions = sorted(present, key=lambda v: (age(v.version, v.published_at), v.slot), reverse=True)
    alive = [version for version in versions if version.status != "deleted"]
    return Entry(
        name=name,
        position=max(touched, default=0),
        first_seen_at=min((version.first_seen_at for version in everything), default=0),
        latest=alive[0] if alive else None,
        versions=tuple(versions),
        sources=tuple(sorted({v.source for v in listed if v.status != "deleted" and not v.redacted})),
    )
