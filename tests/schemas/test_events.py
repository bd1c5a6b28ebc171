"""Events as they are kept, read and sent."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from schemas.cloud_events import cloud_event
from schemas.events import (
    EVENT,
    AnyEvent,
    Counts,
    CrawlCompleted,
    CrawlStarted,
    DecisionRedacted,
    ListingChanged,
    ListingEvent,
    ListingObserved,
    ListingReturned,
    ListingWithdrawn,
    Recorded,
    RecordQuarantined,
    SourceConfigured,
    SourceRemoved,
    event_data,
    read_event,
    rfc3339,
)
from schemas.names import CrawlId, Digest, ListingKey, Position, Revision, ServerName, SourceName, StreamId

SOURCE = SourceName("official")
TIME = datetime(2026, 8, 1, 12, 30, 1, 500, tzinfo=UTC)
OBSERVED = ListingObserved(
    source=SOURCE,
    key=ListingKey("com.example/a"),
    digest=Digest("d"),
    name="com.example/a",
    version="1.0.0",
    record={"name": "com.example/a"},
    meta={"a": None},
)
NAMES = {
    *("listing.observed", "listing.changed", "listing.status_changed", "listing.withdrawn", "listing.returned"),
    *("record.quarantined", "record.released", "crawl.started", "crawl.completed", "crawl.parked", "crawl.failed"),
    *("source.configured", "source.removed", "decision.redacted"),
}


def recorded(event: AnyEvent, crawl: str | None = "c") -> Recorded:
    return Recorded(
        Position(41), StreamId("stream"), Revision(3), TIME, None if crawl is None else CrawlId(crawl), event
    )


def kinds() -> list[Any]:
    return list(get_args(get_args(AnyEvent)[0]))


def test_names_of_events_are_for_ever() -> None:
    assert {kind.model_fields["type"].default for kind in kinds()} >= NAMES


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        OBSERVED.name = "b"


@pytest.mark.parametrize(
    "event",
    [
        OBSERVED,
        ListingWithdrawn(source=SOURCE, key=ListingKey("a"), digest=Digest("d"), reason="gone"),
        CrawlStarted(source=SOURCE, mode="incremental", since=TIME),
        CrawlCompleted(source=SOURCE, mode="audit", counts=Counts(new=2), seconds=1.5, mark=TIME, missed=0, silent=1),
        SourceConfigured(source=SOURCE, kind="registry", trust=5, include=("a", "b"), enabled=False),
        SourceRemoved(source=SOURCE),
        DecisionRedacted(digest=Digest("d"), name=ServerName("com.example/a"), reason="holds a key"),
    ],
)
def test_an_event_is_read_back_from_its_data(event: AnyEvent) -> None:
    data = json.loads(json.dumps(event_data(event)))
    assert "type" not in data
    assert read_event(event.type, data) == event


@pytest.mark.parametrize("value", [1, 1.0, True, "1", None, [], {"a": "\ud800"}, 2**70, "a\x00"])
def test_what_an_upstream_chose_keeps_its_type(value: Any) -> None:
    event = OBSERVED.model_copy(update={"name": value, "version": value, "record": value, "meta": value})
    again = read_event(event.type, event_data(event))
    assert isinstance(again, ListingObserved)
    for found in (again.name, again.version, again.record, again.meta):
        assert found == value
        assert type(found) is type(value)


def test_fields_that_a_newer_program_added_are_passed_over() -> None:
    assert read_event("listing.observed", {**event_data(OBSERVED), "mood": "good"}) == OBSERVED


def test_a_redaction_is_about_its_server_or_else_its_record() -> None:
    redacted = DecisionRedacted(digest=Digest("d"), name=ServerName("com.example/a"), reason="gone")
    assert cloud_event(recorded(redacted))["subject"] == "com.example/a"
    assert cloud_event(recorded(redacted.model_copy(update={"name": None})))["subject"] == "d"


def test_fields_that_an_older_program_did_not_write_have_a_value() -> None:
    event = read_event("listing.observed", {"source": "official", "key": "a", "digest": "d"})
    assert isinstance(event, ListingObserved)
    assert (event.name, event.version, event.record, event.meta) == (None, None, None, None)
    counts = read_event("crawl.completed", {"source": "official", "mode": "full", "counts": {}, "seconds": 1})
    assert isinstance(counts, CrawlCompleted)
    assert counts.counts == Counts()


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("listing.eaten", {"source": "a"}),
        ("listing.observed", {"source": "a"}),
        ("crawl.started", {"source": "a", "mode": "x"}),
    ],
)
def test_what_is_no_event_is_refused(event_type: str, data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_event(event_type, data)


def test_every_listing_event_says_which_version_it_speaks_of() -> None:
    for kind in kinds():
        if kind.model_fields["type"].default.startswith("listing."):
            assert issubclass(kind, ListingEvent)
            assert {"source", "key", "digest", "name", "version"} <= set(kind.model_fields)
    for kind in (ListingObserved, ListingChanged, ListingReturned):
        assert {"record", "meta"} <= set(kind.model_fields)


def test_an_event_on_the_wire_is_a_cloud_event() -> None:
    assert cloud_event(recorded(OBSERVED)) == {
        "specversion": "1.0",
        "id": "41",
        "source": "mcp-indexer",
        "type": "listing.observed",
        "subject": "com.example/a",
        "time": "2026-08-01T12:30:01.000500Z",
        "datacontenttype": "application/json",
        "stream": "stream",
        "revision": 3,
        "recordedtime": "2026-08-01T12:30:01.000500Z",
        "crawl": "c",
        "data": {
            "source": "official",
            "key": "com.example/a",
            "digest": "d",
            "name": "com.example/a",
            "version": "1.0.0",
            "record": {"name": "com.example/a"},
            "meta": {"a": None},
            "redacted": False,
        },
    }


@pytest.mark.parametrize("name", [None, "", 5, ["a"]])
def test_the_subject_of_an_event_without_a_servers_name_is_its_source(name: Any) -> None:
    assert cloud_event(recorded(OBSERVED.model_copy(update={"name": name})))["subject"] == "official"
    assert cloud_event(recorded(SourceRemoved(source=SOURCE)))["subject"] == "official"


def test_attributes_of_an_event_on_the_wire_are_allowed_ones() -> None:
    event = RecordQuarantined(source=SOURCE, digest=Digest("d"), reason="no name", size=2, text="{}")
    sent = cloud_event(recorded(event, None))
    assert all(name.isalnum() and name.islower() for name in sent)
    assert sent["crawl"] is None
    json.dumps(sent)


def test_times_are_written_in_utc_with_microseconds() -> None:
    assert rfc3339(TIME) == "2026-08-01T12:30:01.000500Z"
    assert rfc3339(TIME.replace(microsecond=0)) == "2026-08-01T12:30:01.000000Z"
    assert datetime.fromisoformat(rfc3339(TIME)) == TIME


def test_a_time_of_elsewhere_stays_the_same_moment() -> None:
    elsewhere = TIME.astimezone(timezone(timedelta(hours=2)))
    assert datetime.fromisoformat(rfc3339(elsewhere)) == TIME


def test_the_schema_of_events_can_be_written() -> None:
    json.dumps(EVENT.json_schema())
