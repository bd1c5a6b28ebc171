"""The closed set of events: recorded facts, in the past tense.

Names and fields are for ever. Fields are added, never changed; a shape that was written by an older program is lifted
in `read_event`. What an upstream chose (`name`, `version`, `record`, `meta`) is kept as it was written, whatever its
type.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.names import CrawlId, Digest, ListingKey, Position, Revision, ServerName, SourceName, StreamId, storable

Mode = Literal["full", "incremental", "audit"]
E = TypeVar("E", bound="Event")


class Event(BaseModel):
    """A recorded fact."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class SourceEvent(Event):
    """A recorded fact about one source."""

    source: SourceName


class ListingEvent(SourceEvent):
    """A fact about one version of a server at one source."""

    key: ListingKey
    digest: Digest
    name: Any = None
    version: Any = None


class ListingObserved(ListingEvent):
    """A version was seen for the first time. A `redacted` record is null."""

    type: Literal["listing.observed"] = "listing.observed"
    record: Any = None
    meta: Any = None
    redacted: bool = False


class ListingChanged(ListingEvent):
    """The record of a known version is another one now; what the source says about it may be, too."""

    type: Literal["listing.changed"] = "listing.changed"
    record: Any = None
    meta: Any = None
    redacted: bool = False


class ListingStatusChanged(ListingEvent):
    """Only what the source says about a version changed: its status, its message or its times."""

    type: Literal["listing.status_changed"] = "listing.status_changed"
    meta: Any = None


class ListingWithdrawn(ListingEvent):
    """A version is no longer listed by its source."""

    type: Literal["listing.withdrawn"] = "listing.withdrawn"
    reason: str = ""


class ListingReturned(ListingEvent):
    """A version that was withdrawn is listed again."""

    type: Literal["listing.returned"] = "listing.returned"
    record: Any = None
    meta: Any = None
    redacted: bool = False


class RecordQuarantined(SourceEvent):
    """A record cannot be identified; it is kept raw, its first 64 KiB where it is larger. A `redacted` one has no
    text. `key` and `version` are what it says it is, where it says so and is refused for something else.
    """

    type: Literal["record.quarantined"] = "record.quarantined"
    digest: Digest
    reason: str
    size: int
    text: str
    redacted: bool = False
    key: ListingKey | None = None
    version: Any = None


class RecordReleased(SourceEvent):
    """A quarantined record was mended by its source, or is no longer listed."""

    type: Literal["record.released"] = "record.released"
    digest: Digest


class CrawlStarted(SourceEvent):
    """A crawl began; `since` is what an incremental one asks from, `cursor` where a resumed walk goes on."""

    type: Literal["crawl.started"] = "crawl.started"
    mode: Mode
    since: datetime | None = None
    cursor: str | None = None


class Counts(BaseModel):
    """What a crawl came to, in versions. observed = new + changed + status_changed + returned + unchanged +
    quarantined.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    pages: int = 0
    requests: int = 0
    observed: int = 0
    new: int = 0
    changed: int = 0
    status_changed: int = 0
    returned: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    quarantined: int = 0
    invalid: int = 0


class CrawlCompleted(SourceEvent):
    """A crawl reached the end of what it asked for."""

    type: Literal["crawl.completed"] = "crawl.completed"
    mode: Mode
    counts: Counts
    seconds: float
    mark: datetime | None = None
    missed: int | None = None
    silent: int | None = None


class CrawlParked(SourceEvent):
    """A complete walk did not see too much of what is held: that is not withdrawn now, and a person is asked.

    `candidates` are the versions that wait, `needs_approval` says whether they do so until a person approves.
    """

    type: Literal["crawl.parked"] = "crawl.parked"
    mode: Mode
    counts: Counts
    seconds: float
    candidates: int
    needs_approval: bool = False
    mark: datetime | None = None
    missed: int | None = None
    silent: int | None = None


class CrawlFailed(SourceEvent):
    """A crawl ended before its walk did; `error` is the sentence for a person."""

    type: Literal["crawl.failed"] = "crawl.failed"
    mode: Mode
    counts: Counts
    seconds: float
    error: str
    missed: int | None = None
    silent: int | None = None


class SourceConfigured(SourceEvent):
    """A source is configured for the first time, or otherwise than before."""

    type: Literal["source.configured"] = "source.configured"
    kind: str
    trust: int
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    enabled: bool = True
    republish: bool = True


class SourceRemoved(SourceEvent):
    """A source is no longer configured; its listings leave the entries."""

    type: Literal["source.removed"] = "source.removed"


class DecisionApproved(SourceEvent):
    """A person let the withdrawals of a parked crawl go through; `candidates` are the versions that waited."""

    type: Literal["decision.approved"] = "decision.approved"
    candidates: int


class DecisionRedacted(Event):
    """A person had a record blanked, wherever it was seen and will be; `name` is the server's, where it was listed."""

    type: Literal["decision.redacted"] = "decision.redacted"
    digest: Digest
    name: ServerName | None = None
    reason: str


AnyEvent = Annotated[
    ListingObserved
    | ListingChanged
    | ListingStatusChanged
    | ListingWithdrawn
    | ListingReturned
    | RecordQuarantined
    | RecordReleased
    | CrawlStarted
    | CrawlCompleted
    | CrawlParked
    | CrawlFailed
    | SourceConfigured
    | SourceRemoved
    | DecisionApproved
    | DecisionRedacted,
    Field(discriminator="type"),
]
WithRecord = ListingObserved | ListingChanged | ListingReturned
"""The events that carry a raw record."""

EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent, config=ConfigDict(defer_build=True))


def trusted(kind: type[E], fields: dict[str, Any]) -> E:
    """An event of one of the kinds that a page has many of, from values for all its fields but `type` that were checked
    before: what `model_construct` makes, in a third of the time.
    """
    event = kind.__new__(kind)
    fields["type"], names = _OF_KIND[kind]
    object.__setattr__(event, "__dict__", fields)
    object.__setattr__(event, "__pydantic_fields_set__", names)
    object.__setattr__(event, "__pydantic_extra__", None)
    object.__setattr__(event, "__pydantic_private__", None)
    return event


_OF_KIND: dict[type[Event], tuple[str, set[str]]] = {
    kind: (kind.model_fields["type"].default, set(kind.model_fields))
    for kind in (ListingObserved, ListingChanged, ListingReturned, ListingStatusChanged)
}


def read_event(event_type: str, data: dict[str, Any]) -> AnyEvent:
    """The event that was recorded, in today's shape. Raises pydantic's ValidationError on what is no event."""
    return EVENT.validate_python({**data, "type": event_type})


class Recorded(NamedTuple):
    """An event with its place in the log. `recorded_at` is aware UTC; `crawl` names the crawl that saw it; `valid` says
    whether its record is, where that was looked at already.
    """

    position: Position
    stream: StreamId
    revision: Revision
    recorded_at: datetime
    crawl: CrawlId | None
    event: AnyEvent
    valid: bool | None = None


def server_name(event: ListingEvent) -> ServerName:
    """The name under which a listing's server is known; its key where the source names none."""
    return ServerName(storable(event.name)) if isinstance(event.name, str) and event.name else ServerName(event.key)


def event_data(event: AnyEvent) -> dict[str, Any]:
    """An event's fields but its type, as JSON values."""
    fields = vars(event).copy()  # dict(event) takes a hundred times as long
    del fields["type"]
    if isinstance(event, ListingEvent):  # a hundred a page, and of JSON values only
        return fields
    for name, value in fields.items():
        if isinstance(value, datetime):
            fields[name] = rfc3339(value)
        elif isinstance(value, BaseModel):
            fields[name] = value.model_dump()
    return fields


def rfc3339(time: datetime) -> str:
    """A UTC time as every surface writes it: RFC 3339, microseconds, Z."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
