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
from schemas.names import ServerName, Slot, SourceName


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
        if not self.enabled or (self.include and not _is_like(name, self.include)):
            return False
        return not (self.exclude and _is_like(name, self.exclude))


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
        return len([version for version in self.versions if version.status != "deleted"])


def merge(name: ServerName, held: Iterable[Version], rules: Mapping[SourceName, SourceRules]) -> Entry:
    """The entry of a server, given every version that any source ever showed of it."""
    everything = list(held)
    configured = {v.source: rules[v.source] for v in everything if v.source in rules}
    touched = [v.position for v in everything] + [of_source.position for of_source in configured.values()]
    shown = {source for source, of_source in configured.items() if of_source.shows(name)}
    listed = [v for v in everything if not v.withdrawn and v.source in shown]
    present = [v for v in _most_trusted(listed, rules) if not v.redacted]
    if len(present) > 1:
        present.sort(key=lambda v: (age(v.version, v.published_at), v.slot), reverse=True)
    return Entry(
        name=name,
        position=max(touched, default=0),
        first_seen_at=min([v.first_seen_at for v in everything], default=0),
        latest=next((v for v in present if v.status != "deleted"), None),
        versions=tuple(present),
        sources=tuple(sorted({v.source for v in listed if v.status != "deleted" and not v.redacted})),
    )


def _most_trusted(listed: list[Version], rules: Mapping[SourceName, SourceRules]) -> Iterable[Version]:
    """Each version once, from whoever is trusted most of those that list it."""
    if len({(v.source, v.key) for v in listed}) == 1:
        return listed
    chosen: dict[Slot, Version] = {}
    for version in sorted(listed, key=lambda v: (-rules[v.source].trust, v.source, v.key)):
        chosen.setdefault(version.slot, version)
    return chosen.values()


def _is_like(name: ServerName, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
