"""The promises of the event store, on each database."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.exc import IntegrityError

from indexer import following, store
from indexer.database import Database
from indexer.store import (
    EVENTS,
    RECORDS,
    Write,
    append,
    last_position,
    last_revisions,
    read_log,
    read_positions,
)
from schemas.events import (
    EVENT,
    AnyEvent,
    Counts,
    CrawlCompleted,
    CrawlFailed,
    CrawlParked,
    CrawlStarted,
    DecisionApproved,
    DecisionRedacted,
    RecordQuarantined,
    RecordReleased,
    SourceConfigured,
    SourceRemoved,
    event_data,
)
from schemas.names import CrawlId, Cursor, Digest, Revision, ServerName, SourceName, StreamId, crawls_stream
from tests.indexer.made import (
    CRAWL,
    SOURCE,
    START,
    appended,
    at,
    changed,
    configured,
    events,
    log,
    meta,
    observed,
    record,
    returned,
    status_changed,
    stream_of,
    withdrawn,
)
from tests.schemas.generated import json_values
from tests.waiting import wait_until

ODD: dict[str, Any] = {
    "lone \ud800 surrogate": ["\udfff", "a\ud800b"],
    "NUL": "a\x00b\u241b0000",
    "numbers": [2**53 + 1, 2**63, 2**64, -(2**64), 10**40, 0.1, 1e300, -0.0, 1.0, 1],
    "text": ["é", "日本語", "🎉", "\u2028", "\x7f", " ", ""],
    "other": [None, True, False, {}, [], {"": ""}],
}
OTHER = StreamId("listing/other/a")
TASKS = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

EVERY_EVENT: list[AnyEvent] = [
    observed(record("com.example/\ud800", "1.0.0\x00", _meta=ODD), {"odd": ODD}),
    observed(record("日本/é", 10**40), None),
    changed(record(None, None), [ODD]),
    status_changed(record("a\x00b", {"major": 2**70}), ODD),
    withdrawn(record(["a"], 1.5)).model_copy(update={"reason": "not listed “any more” ☂"}),
    DecisionApproved(source=SOURCE, candidates=700),
    returned(record(version="\udfff"), meta("deleted", statusMessage="\ud800")),
    RecordQuarantined(source=SOURCE, digest=Digest("d1"), reason="the record has no name", size=70_000, text='{"a":1'),
    RecordReleased(source=SOURCE, digest=Digest("d1")),
    CrawlStarted(source=SOURCE, mode="incremental", since=at(1.5), cursor=Cursor("com.example/a:1.0.0+é")),
    CrawlStarted(source=SOURCE, mode="full"),
    CrawlCompleted(
        source=SOURCE, mode="audit", counts=Counts(observed=3, new=3), seconds=1.25, mark=at(0), missed=0, silent=2
    ),
    CrawlParked(source=SOURCE, mode="full", counts=Counts(pages=2), seconds=0.001, candidates=21),
    CrawlFailed(source=SOURCE, mode="full", counts=Counts(), seconds=0, error="it did not answer: “später”"),
    SourceConfigured(
        source=SOURCE, kind="registry", trust=-1, include=("io.github.*",), exclude=("é*",), enabled=False
    ),
    SourceRemoved(source=SOURCE),
    returned(record()).model_copy(update={"record": None, "redacted": True}),
    DecisionRedacted(digest=Digest("d2"), name=ServerName("com.example/é"), reason="holds a “key”"),
    DecisionRedacted(digest=Digest("d3"), reason="gone"),
]


def append_some(url: str, stream: str, transactions: int) -> None:
    """Appends transactions of one to five events, through connections of its own."""
    database = Database(url)
    rng = random.Random(stream)
    for number in range(transactions):
        some = [observed(record(stream, str(number))) for _ in range(rng.randint(1, 5))]
        with database.write() as connection:
            append(connection, [Write(StreamId(stream), event) for event in some], at=START)
    database.close()


def test_positions_start_at_1_and_rise(database: Database) -> None:
    with database.read() as connection:
        assert last_position(connection) == 0
    assert appended(database, observed()) == 1
    assert appended(database, changed(), withdrawn(), returned()) == 4
    assert [one.position for one in log(database)] == [1, 2, 3, 4]
    with database.read() as connection:
        assert last_position(connection) == 4


def test_revisions_count_the_events_of_each_stream(database: Database) -> None:
    a, b = record("com.example/a"), record("com.example/b")
    appended(database, observed(a), observed(b), changed(a))
    appended(database, changed(b), changed(a), configured())
    assert [(one.stream, one.revision) for one in log(database)] == [
        ("listing/official/com.example/a", 1),
        ("listing/official/com.example/b", 1),
        ("listing/official/com.example/a", 2),
        ("listing/official/com.example/b", 2),
        ("listing/official/com.example/a", 3),
        ("crawls/official", 1),
    ]
    with database.read() as connection:
        found = last_revisions(connection, [stream_of(observed(a)), crawls_stream(SOURCE), OTHER])
    assert found == {"listing/official/com.example/a": 3, "crawls/official": 1, "listing/other/a": 0}


def test_appending_nothing_gives_the_last_position(database: Database) -> None:
    assert appended(database) == 0
    appended(database, observed(), changed())
    assert appended(database) == 2
    assert events(database) == 2


def test_known_revisions_are_gone_on_from(database: Database) -> None:
    event = observed()
    appended(database, event, event)
    known = {stream_of(event): Revision(2), OTHER: Revision(0)}
    with database.write() as connection:
        append(connection, [Write(stream_of(event), event), Write(OTHER, event)], at=START, known=known)
    assert [(one.stream, one.revision) for one in log(database, 2)] == [(stream_of(event), 3), (OTHER, 1)]
    assert appended(database, event) == 5
    assert log(database, 4)[0].revision == 4


def test_a_transaction_that_fails_leaves_no_trace(database: Database) -> None:
    appended(database, observed(record("com.example/a")))

    def fail() -> None:
        with database.write() as connection:
            append(connection, [Write(OTHER, observed(record("com.example/b"))), Write(OTHER, changed())], at=START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert events(database) == 1
    with database.read() as connection:
        assert last_position(connection) == 1
        assert last_revisions(connection, [OTHER]) == {OTHER: 0}
        assert connection.scalar(select(func.count()).select_from(RECORDS)) == 1
    assert appended(database, observed(record("com.example/b"))) == 2


def test_a_record_is_kept_once_of_a_server(database: Database) -> None:
    one, same, other = record(title="a", websiteUrl="b"), record(websiteUrl="b", title="a"), record(title="c")
    appended(database, observed(one), changed(other))
    appended(database, changed(same), returned(one))
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(RECORDS)) == 2
    assert [one.event.record for one in log(database)] == [one, other, one, one]  # type: ignore[union-attr]


def test_raw_records_are_ascii_text(database: Database) -> None:
    appended(database, *EVERY_EVENT)
    with database.read() as connection:
        texts = [*connection.scalars(select(RECORDS.c.text)), *connection.scalars(select(EVENTS.c.data))]
    assert all(text.isascii() and "\x00" not in text for text in texts)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type)
def test_events_are_read_back_as_they_were_appended(event: AnyEvent, database: Database) -> None:
    with database.write() as connection:
        position = append(connection, [Write(stream_of(event), event)], at=at(0.123456), crawl=CRAWL).position
    (found,) = log(database)
    assert found.event == event
    assert type(found.event) is type(event)
    assert repr(event_data(found.event)) == repr(event_data(event))  # 1, 1.0 and True are equal
    assert (found.position, found.stream, found.revision) == (position, stream_of(event), 1)
    assert (found.recorded_at, found.crawl) == (at(0.123456), "crawl-1")


def test_every_type_of_event_is_tried() -> None:
    made = (choice["properties"] for choice in EVENT.json_schema()["$defs"].values())
    known = {properties["type"]["const"] for properties in made if "type" in properties}
    assert {event.type for event in EVERY_EVENT} == known


@TASKS
@given(st.lists(st.tuples(json_values(), json_values()), min_size=1, max_size=5))
def test_any_json_is_read_back_as_it_was_appended(database: Database, said: list[tuple[Any, Any]]) -> None:
    written = [observed({"name": "a", "value": value}, about) for value, about in said]
    before = appended(database)
    appended(database, *written)
    found = [one.event for one in log(database, before)]
    # NaN is equal to nothing, and no JSON; what is not finite no parser of ours hands over.
    finite = [one for one in zip(found, written, strict=True) if "nan" not in repr(one) and "inf" not in repr(one)]
    assert [repr(one) for one, _ in finite] == [repr(one) for _, one in finite]


def test_pages_of_the_log_end_at_their_limit(database: Database) -> None:
    appended(database, *(observed(record(version=str(number))) for number in range(7)))

    def positions(after: int, **bounds: int) -> list[int]:
        with database.read() as connection:
            return [one.position for one in read_log(connection, after, **bounds)]

    assert positions(0, limit=3) == [1, 2, 3]
    assert positions(3, limit=3) == [4, 5, 6]
    assert positions(6, limit=3) == [7]
    assert positions(7, limit=3) == []
    assert positions(2, until=5) == [3, 4, 5]
    assert positions(2, until=5, limit=2) == [3, 4]
    assert positions(5, until=5) == []


def test_pages_of_the_log_are_cut_where_records_are_large(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE_BYTES", 25_000)
    appended(database, *(observed(record(version=str(number), note="x" * 10_000)) for number in range(7)))
    read: list[int] = []
    while page := log(database, read[-1] if read else 0):
        assert len(page) <= 3
        read += [one.position for one in page]
    assert read == [1, 2, 3, 4, 5, 6, 7]


def test_a_record_larger_than_a_page_is_a_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE_BYTES", 100)
    appended(database, observed(record(note="x" * 1_000)), observed(record(note="y" * 1_000)))
    assert [len(log(database, after)) for after in (0, 1, 2)] == [1, 1, 0]


def test_the_whole_log_is_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE_EVENTS", 3)
    appended(database, *(observed(record(version=str(number))) for number in range(10)))
    assert [one.position for one in following.read_all(database)] == list(range(1, 11))
    assert [one.position for one in following.read_all(database, 4)] == list(range(5, 11))
    assert [one.position for one in following.read_all(database, 1, limit=7)] == list(range(2, 9))
    assert list(following.read_all(database, limit=0)) == []


def of(*streams: StreamId) -> Select[tuple[int]]:
    """The positions of some streams' events."""
    return select(EVENTS.c.position).where(EVENTS.c.stream.in_(streams))


def test_streams_are_read_in_the_order_of_the_log(database: Database) -> None:
    a, b, c = (record(f"com.example/{name}") for name in "abc")
    appended(database, observed(a), observed(b), observed(c), changed(b), changed(a))
    with database.read() as connection:
        found = read_positions(connection, of(stream_of(observed(b)), stream_of(observed(a))))
        assert [one.position for one in found] == [1, 2, 4, 5]


def test_a_stream_that_only_starts_like_another_is_not_read(database: Database) -> None:
    appended(
        database,
        observed(record("com.example/a")),
        observed(record("com.example/A")),
        observed(record("com.example/a%")),
    )
    with database.read() as connection:
        found = read_positions(connection, of(stream_of(observed(record("com.example/a")))))
        assert [one.position for one in found] == [1]


def test_two_writers_of_the_same_revision_cannot_both_commit(database: Database) -> None:
    event = observed()
    write, known = [Write(stream_of(event), event)], {stream_of(event): Revision(0)}
    with database.write() as connection:
        append(connection, write, at=START, known=dict(known))
    with pytest.raises(IntegrityError), database.write() as connection:
        append(connection, write, at=START, known=dict(known))
    assert [one.revision for one in log(database)] == [1]


def test_what_is_not_committed_is_not_read(database: Database) -> None:
    appended(database, observed())
    with database.write() as connection:
        append(connection, [Write(OTHER, observed())], at=START)
        assert [one.position for one in log(database)] == [1]
    assert [one.position for one in log(database)] == [1, 2]


def test_a_reader_sees_one_state_of_the_log(database: Database) -> None:
    appended(database, observed())
    with database.read() as connection:
        assert last_position(connection) == 1
        appended(database, observed())
        assert last_position(connection) == 1
        assert len(read_log(connection)) == 1
    assert len(log(database)) == 2


def test_a_writer_waits_for_one_that_inserted_and_did_not_commit(database_url: str, database: Database) -> None:
    inserted, go_on = threading.Event(), threading.Event()

    def write(name: str, before_commit: Callable[[], object]) -> None:
        mine = Database(database_url)
        with mine.write() as connection:
            append(connection, [Write(StreamId(name), observed(record(name)))], at=START)
            before_commit()
        mine.close()

    def pause() -> None:
        inserted.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(write, "a", pause)
        assert inserted.wait(30)
        second = threads.submit(write, "b", lambda: None)
        if not database.is_sqlite:  # SQLite does not tell who waits
            wait_until(lambda: waiting(database) == 1)
        assert log(database) == []
        assert not second.done()
        go_on.set()
        first.result(30)
        second.result(30)
    assert [(one.position, one.stream) for one in log(database)] == [(1, "a"), (2, "b")]


def waiting(database: Database) -> int:
    """How many transactions wait for the lock of the log."""
    with database.read() as connection:
        query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return connection.scalar(query) or 0


def test_readers_skip_nothing_while_writers_append_side_by_side(database_url: str, database: Database) -> None:
    read: list[int] = []

    def poll() -> int:
        with database.read() as connection:
            found = [one.position for one in read_log(connection, read[-1] if read else 0, limit=7)]
        read.extend(found)
        return len(found)

    with ThreadPoolExecutor() as threads:
        writers = [threads.submit(append_some, database_url, f"writer-{number}", 12) for number in range(3)]
        while not all(writer.done() for writer in writers):
            poll()
        for writer in writers:
            writer.result()
    while poll():
        pass
    assert read == sorted(set(read))
    with database.read() as connection:
        assert read == list(connection.scalars(select(EVENTS.c.position).order_by(EVENTS.c.position)))
        for number in range(3):
            query = select(EVENTS.c.revision).where(EVENTS.c.stream == f"writer-{number}").order_by(EVENTS.c.position)
            revisions = list(connection.scalars(query))
            assert revisions == list(range(1, len(revisions) + 1))
            assert len(revisions) >= 12


def test_a_gap_between_positions_is_read_over(database: Database) -> None:
    appended(database, *(observed(record(version=str(number))) for number in range(5)))
    with database.write() as connection:
        connection.execute(delete(EVENTS).where(EVENTS.c.position.in_([2, 3])))
    with database.read() as connection:
        assert [one.position for one in read_log(connection, limit=2)] == [1, 4]
    assert appended(database, observed(record("com.example/b"), None, source=SourceName("other"))) == 6


def test_crawls_are_named_where_they_are_known(database: Database) -> None:
    appended(database, observed())
    with database.write() as connection:
        append(connection, [Write(OTHER, observed())], at=START, crawl=CrawlId("c"))
    assert [one.crawl for one in log(database)] == [None, "c"]


def test_which_order_of_keys_stays_does_not_depend_on_who_was_first(database: Database) -> None:
    one, other = {"name": "a", "version": "1", "title": "A"}, {"title": "A", "version": "1", "name": "a"}
    appended(database, observed(one), observed(other, source="mirror"))
    appended(database, observed({**other, "title": "B"}), observed({**one, "title": "B"}, source="mirror"))
    with database.read() as connection:
        kept = {row.text for row in connection.execute(select(RECORDS))}
    assert kept == {'{"name":"a","version":"1","title":"A"}', '{"name":"a","version":"1","title":"B"}'}
