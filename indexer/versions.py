"""A version at a source, as the catalogue knows it: the fold of its events. Pure."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from indexer.clock import to_micros
from indexer.lint.rules import lint
from indexer.verdict import Problem, fulfils, problems
from schemas.about import read_about
from schemas.events import ListingEvent, ListingStatusChanged, ListingWithdrawn, Recorded, WithRecord, server_name
from schemas.names import (
    Digest,
    ListingKey,
    Position,
    RecordId,
    ServerName,
    Slot,
    SourceName,
    record_id,
    slot,
    storable,
)


class Version(NamedTuple):
    """What one source says of one version, read and judged. Times in microseconds. Nothing is said against a `redacted`
    record.
    """

    source: SourceName
    key: ListingKey
    slot: Slot
    name: ServerName
    version: str | None
    digest: Digest
    status: str
    status_message: str | None
    published_at: int | None
    updated_at: int | None
    first_seen_at: int
    position: int
    withdrawn: bool
    valid: bool
    redacted: bool = False

    @property
    def record_id(self) -> RecordId:
        """By what its raw record is kept."""
        return record_id(self.name, self.digest)

    @property
    def place(self) -> "Place":
        """Where it is kept."""
        return self.source, self.key, self.slot


FIELDS = Version._fields
_YEAR_2 = to_micros(datetime(2, 1, 1, tzinfo=UTC))

Place = tuple[SourceName, ListingKey, Slot]


def place(event: ListingEvent) -> Place:
    """Where a version is kept."""
    return event.source, event.key, slot(event.version)


def fold(version: Version | None, recorded: Recorded) -> Version | None:
    """A version after one more of its events. An event of a version that was never observed changes nothing."""
    event = recorded.event
    if isinstance(event, WithRecord):
        where = slot(event.version)
        status, message, published_at, updated_at = _about(event.meta)
        return Version(
            event.source,
            event.key,
            where,
            server_name(event),
            where if isinstance(event.version, str) else None,  # the slot of text is that text, storable
            event.digest,
            status,
            message,
            published_at,
            updated_at,
            to_micros(recorded.recorded_at) if version is None else version.first_seen_at,
            recorded.position,
            withdrawn=False,
            valid=(event.redacted or fulfils(event.record)) if recorded.valid is None else recorded.valid,
            redacted=event.redacted,
        )
    if version is None:
        return None
    if isinstance(event, ListingStatusChanged):
        status, message, published_at, updated_at = _about(event.meta)
        return version._replace(
            status=status,
            status_message=message,
            published_at=published_at,
            updated_at=updated_at,
            position=recorded.position,
        )
    if isinstance(event, ListingWithdrawn):
        return version._replace(withdrawn=True, position=recorded.position)
    return version


def without_record(version: Version, position: Position) -> Version:
    """A version once its record was blanked, by the event at a position: as if it had always been."""
    return version._replace(valid=True, redacted=True, position=position)


def _about(meta: Any) -> tuple[str, str | None, int | None, int | None]:
    """What a source says of a version: its status, the message with it, when it was published and when updated."""
    status, message, published_at, updated_at, _, _ = read_about(meta)
    return status, message and storable(message), _known_time(published_at), _known_time(updated_at)


def _known_time(micros: int | None) -> int | None:
    """A time that a source told; the year 1 is how Go writes one that was never set."""
    return None if micros is None or micros < _YEAR_2 else micros


def all_problems(record: Any, *, valid: bool = False) -> tuple[Problem, ...]:
    """All that is said against a record: by the schema that it declares, unless it is known to be `valid`, and by our
    rules.
    """
    return lint(record) if valid and record is not None else (*problems(record), *lint(record))
