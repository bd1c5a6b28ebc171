"""A server at one source: what an observation means, given what is held. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from indexer.clock import to_micros
from indexer.text import ascii_json
from schemas.about import About
from schemas.events import ListingChanged, ListingObserved, ListingReturned, ListingStatusChanged, trusted
from schemas.names import Digest, SourceName
from schemas.observations import Observation

ObservationEvent = ListingObserved | ListingChanged | ListingReturned | ListingStatusChanged
"""An event that an observation is."""


class Held(NamedTuple):
    """The last that was recorded of one version. `about` is as `about_text` writes it; times in microseconds."""

    digest: Digest
    about: str
    updated_at: int | None
    withdrawn: bool


def decide(held: Held | None, seen: Observation, *, older_counts: bool = False) -> type[ObservationEvent] | None:
    """The kind of event that an observation is, or None where it tells nothing new.

    A record older than what is held tells nothing, unless `older_counts`: to an audit it is what the source says now,
    as after its database was set back. With equal times, another digest is a change.
    """
    if held is None:
        return ListingObserved
    if held.withdrawn:
        return ListingReturned
    updated_at = seen.about.updated_at
    older = updated_at is not None and held.updated_at is not None and updated_at < held.updated_at
    if older and not older_counts:
        return None
    if held.digest != seen.digest:
        return ListingChanged
    return None if held.about == about_text(seen.about) else ListingStatusChanged


def event_of(
    kind: type[ObservationEvent], source: SourceName, seen: Observation, *, redacted: bool
) -> ObservationEvent:
    """The event that an observation is, given its kind. A `redacted` record stays out of it."""
    fields = {"source": source, "key": seen.key, "digest": seen.digest, "name": seen.name, "version": seen.version}
    if kind is not ListingStatusChanged:
        fields |= {"record": None if redacted else seen.record, "redacted": redacted}
    return trusted(kind, {**fields, "meta": seen.meta})


def as_held(seen: Observation) -> Held:
    """What is held once an observation is recorded."""
    return Held(seen.digest, about_text(seen.about), seen.about.updated_at, withdrawn=False)


DELETED = ('["deleted",', ' ["deleted",')
"""How the `about_text` of a deleted version begins; the second where only the standard library writes its message."""


def is_deleted(held: Held) -> bool:
    """Whether a version is held as deleted."""
    return held.about.startswith(DELETED)


def about_text(about: About) -> str:
    """What a source says about a version, but for what flips by itself (`isLatest`), to compare by."""
    return ascii_json(about[:-1])


def same_abouts(texts: Sequence[str], abouts: Sequence[About]) -> bool:
    """Whether texts are the `about_text` of each, written at once to be compared; it may say no of what orjson cannot
    write.
    """
    return f"[{','.join(texts)}]" == ascii_json([about[:-1] for about in abouts])


def newest(observations: list[Observation]) -> Observation:
    """The one to believe of several observations of one version on one page: the last of the most recently updated."""
    return max(enumerate(observations), key=lambda one: (one[1].about.updated_at or 0, one[0]))[1]


def missed_or_silent(seen: Observation, held: Held | None, mark: datetime | None) -> str | None:
    """How an audit's difference escaped the increments up to `mark`: `missed`, `silent`, or None for what they will
    still see.
    """
    updated_at = seen.about.updated_at
    if updated_at is None:
        return "silent"
    if mark is None or updated_at > to_micros(mark):
        return None
    if held is None or held.updated_at is None or updated_at > held.updated_at:
        return "missed"
    return "silent"
