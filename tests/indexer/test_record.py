"""A page, recorded: its events, what is held and the crawl's cursor, in one transaction."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, func, select
from sqlmodel import SQLModel

from indexer import crawls, leases
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import LeaseLost
from indexer.held import HELD, MOST_OTHERS, Span, read_held
from indexer.leases import STATES
from indexer.news import read_past
from indexer.quarantine import QUARANTINE
from indexer.record import record_page
from indexer.store import RECORDS
from indexer.text import digest
from schemas.events import Counts, RecordQuarantined, WithRecord
from schemas.names import LONGEST_NAME, CrawlId, ListingKey, Slot, SourceName, slot
from schemas.observations import Observation, Page, Unidentified
from tests.indexer.made import (
    SOURCE,
    at,
    begun,
    crawled,
    events,
    given_back,
    log,
    meta,
    page,
    record,
    recorded,
    seen,
)
from tests.schemas.generated import json_values

TASKS = settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SEEN_NEW = (
    seen(record("com.example/a", "1.0.0")),
    seen(record("com.example/a", "1.1.0")),
    seen(record("com.example/b", "1.0.0"), meta("deprecated")),
)
NAMELESS = Unidentified({"description": "a\ud800"}, "the record has no name", {"description": "a\ud800"})


def observations() -> st.SearchStrategy[Observation]:
    """Observations of few servers and versions, of which several may be of the same."""
    return st.builds(
        lambda name, version, title, status, updated: seen(
            record(name, version, title=title), meta(status, updated=updated)
        ),
        st.sampled_from(["com.example/a", "com.example/A", "日本/é", "x\x00\ud800", "a/b:1"]),
        st.sampled_from(["1.0.0", "1.0.1", None, 5, "", "1.0.0\x00", "\udfff"]),
        json_values(),
        st.sampled_from(["active", "deprecated", "deleted", "odd"]),
        st.integers(0, 3),
    )


def unidentified() -> st.SearchStrategy[Unidentified]:
    return json_values().map(lambda value: Unidentified(value, "the record is no object", value))


PAGES = st.lists(observations() | unidentified(), max_size=8).map(lambda some: page(*some))


@contextmanager
def restarted(database: Database) -> Iterator[None]:
    """Every example of a property begins with an empty log."""
    with database.write() as connection:
        for table in SQLModel.metadata.sorted_tables:
            if table.name != "schema_version":
                connection.execute(table.delete())
    yield


def counts(state: CrawlState) -> Counts:
    assert state.walk is not None
    return state.walk.counts


def kept(database: Database) -> dict[str, Any]:
    """What the database says a source stands at, but for its lease."""
    with database.read() as connection:
        return {
            "held": connection.execute(select(HELD).order_by(HELD.c.key, HELD.c.slot)).all(),
            "quarantine": connection.execute(select(QUARANTINE).order_by(QUARANTINE.c.digest)).all(),
            "state": connection.scalar(select(STATES.c.state)),
            "records": connection.scalar(select(func.count()).select_from(RECORDS)),
            "log": [(one.position, one.stream, one.revision, one.event) for one in log(database)],
        }


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        sent.append(statement.split()[0])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_what_is_new_is_recorded(database: Database) -> None:
    lease, state = begun(database)
    state = recorded(database, lease, state, page(*SEEN_NEW, cursor="b:1.0.0"), when=at(3))
    assert [(one.event.type, one.stream, one.revision) for one in log(database)] == [
        ("listing.observed", "listing/official/com.example/a", 1),
        ("listing.observed", "listing/official/com.example/a", 2),
        ("listing.observed", "listing/official/com.example/b", 1),
    ]
    for found, one in zip(log(database), SEEN_NEW, strict=True):
        assert isinstance(found.event, WithRecord)
        assert (found.event.record, found.event.meta) == (one.record, one.meta)
        assert found.event.digest == digest(one.record)
        assert (found.recorded_at, found.crawl) == (at(3), state.crawl)
    assert counts(state) == Counts(pages=1, requests=1, observed=3, new=3)


def test_every_difference_is_told_apart(database: Database) -> None:
    a, b, c, d = (record(f"com.example/{name}") for name in "abcd")
    crawled(database, [page(*map(seen, (a, b, c, d)))])
    with database.write() as connection:
        connection.execute(HELD.update().where(HELD.c.key == "com.example/d").values(withdrawn=True))
    lease, state = begun(database)
    changed_a = seen({**a, "title": "new"}, meta(updated=1))
    status_b = seen(b, meta("deleted", updated=1))
    new, strange = seen(record("com.example/e", description=5)), Unidentified([1], "the record is no object", [1])
    state = recorded(database, lease, state, page(changed_a, status_b, seen(c), seen(d), new, strange))
    assert [one.event.type for one in log(database, 4)] == [
        *("listing.changed", "listing.status_changed", "listing.returned", "listing.observed", "record.quarantined"),
    ]
    assert counts(state) == Counts(
        pages=1,
        requests=1,
        observed=6,
        new=1,
        changed=1,
        status_changed=1,
        returned=1,
        unchanged=1,
        quarantined=1,
        invalid=1,
    )


def test_the_same_page_again_appends_nothing(database: Database) -> None:
    again = page(*SEEN_NEW, NAMELESS)
    crawled(database, [again])
    before = kept(database)
    lease, state = begun(database, audit=True)
    state = recorded(database, lease, state, again, when=at(60))
    after = kept(database)
    for what in ("held", "quarantine", "records", "log"):
        assert after[what] == before[what]
    assert counts(state) == Counts(pages=1, requests=1, observed=4, unchanged=3, quarantined=1)


@TASKS
@given(PAGES, st.lists(PAGES, max_size=2))
def test_any_page_again_appends_nothing(database: Database, one: Page, before: list[Page]) -> None:
    with restarted(database):
        crawled(database, [*before, one])
        length, held = events(database), kept(database)["held"]
        state = crawled(database, [one, one])
        assert events(database) == length
        assert kept(database)["held"] == held
        assert counts(state).unchanged + counts(state).quarantined == counts(state).observed


@TASKS
@given(st.lists(PAGES, max_size=4))
def test_counts_add_up(database: Database, pages: list[Page]) -> None:
    with restarted(database):
        for state in (crawled(database, pages), crawled(database, pages[::-1])):
            found = counts(state)
            parts = (found.new, found.changed, found.status_changed, found.returned, found.unchanged, found.quarantined)
            assert found.observed == sum(parts)
            assert found.invalid <= found.new + found.changed
            assert (found.pages, found.requests) == (len(pages), len(pages))


@TASKS
@given(PAGES, st.randoms(use_true_random=False))
def test_any_order_of_a_page_folds_to_the_same(database: Database, one: Page, rng: random.Random) -> None:
    # Of two observations of a version with the same time the last one is believed: their order must stay.
    unlike: dict[object, Observation | Unidentified] = {}
    for seen_one in one.records:
        if isinstance(seen_one, Observation):
            unlike[seen_one.key, repr(seen_one.version), seen_one.about.updated_at] = seen_one
        else:
            unlike[digest(seen_one.record)] = seen_one
    records = list(unlike.values())
    shuffled = rng.sample(records, len(records))
    found = []
    for some in (records, shuffled):
        with restarted(database):
            state = crawled(database, [page(*some)])
            now = kept(database)
            quarantined = [row.digest for row in now["quarantine"]]
            found.append((now["held"], quarantined, now["records"], counts(state)))
    assert found[0] == found[1]


@TASKS
@given(st.lists(observations(), min_size=1, max_size=8))
def test_pages_of_any_size_hold_the_same(database: Database, some: list[Observation]) -> None:
    found = []
    for pages in ([page(*some)], [page(one) for one in some]):
        with restarted(database):
            crawled(database, pages)
            found.append(kept(database)["held"])
    assert found[0] == found[1]


def test_a_version_twice_on_a_page_is_one(database: Database) -> None:
    older, newer = seen(record(title="older"), meta(updated=1)), seen(record(title="newer"), meta(updated=2))
    for some in ((older, newer), (newer, older), (older, newer, older)):
        with restarted(database):
            state = crawled(database, [page(*some)])
            assert [one.event.record for one in log(database)] == [newer.record]  # type: ignore[union-attr]
            assert counts(state).observed == counts(state).new == 1


def test_an_older_record_of_a_later_page_is_passed_over(database: Database) -> None:
    older, newer = seen(record(title="older"), meta(updated=1)), seen(record(title="newer"), meta(updated=2))
    state = crawled(database, [page(newer), page(older)])
    assert events(database) == 1
    assert counts(state).unchanged == 1


def test_a_page_with_no_news_appends_nothing_and_moves_the_cursor(database: Database) -> None:
    crawled(database, [page(*SEEN_NEW)])
    lease, state = begun(database, audit=True)
    recorded(database, lease, state, page(*SEEN_NEW, cursor="next"))
    assert events(database) == 3
    given_back(database, lease)
    _, found = begun(database)
    assert found.walk is not None
    assert found.walk.cursor == "next"


def test_an_empty_page_moves_the_cursor(database: Database) -> None:
    lease, state = begun(database)
    state = recorded(database, lease, state, page(cursor="next"))
    assert state.walk is not None
    assert (state.walk.cursor, counts(state)) == ("next", Counts(pages=1, requests=1))


def test_nothing_is_recorded_once_a_newer_lease_exists(database: Database) -> None:
    lease, state = begun(database)
    given_back(database, lease)
    newer, _ = begun(database)
    before = kept(database)
    with pytest.raises(LeaseLost) as lost:
        recorded(database, lease, state, page(*SEEN_NEW, NAMELESS, cursor="b"))
    assert "taken over by another process" in str(lost.value)
    assert kept(database) == before
    assert events(database) == 0
    recorded(database, newer, state, page(*SEEN_NEW))
    assert events(database) == 3


def test_a_lease_lost_within_the_page_undoes_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, state = begun(database)
    monkeypatch.setattr(leases, "check", lambda *_: None)
    with database.write() as connection:
        connection.execute(STATES.update().values(lease=lease.number + 1))
    before = kept(database)
    with pytest.raises(LeaseLost):
        recorded(database, lease, state, page(*SEEN_NEW, NAMELESS))
    assert kept(database) == before


def test_a_record_that_cannot_be_identified_is_quarantined_once(database: Database) -> None:
    strange = ["a\ud800", 2**70, "\x00"]
    odd = Unidentified(strange, "the record is no object", strange)
    crawled(database, [page(odd, NAMELESS, odd), page(odd)])
    crawled(database, [page(NAMELESS, odd)])
    found = [one.event for one in log(database)]
    assert len(found) == 2
    assert isinstance(found[0], RecordQuarantined)
    assert found[0].reason == "the record is no object"
    assert found[0].digest == digest(odd.record)
    assert found[0].size > 10
    assert {one.stream for one in log(database)} == {"crawls/official"}
    assert len(kept(database)["quarantine"]) == 2


def test_of_a_large_record_the_first_64_kib_are_kept(database: Database) -> None:
    item = {"a": "é" * 300_000}
    large = Unidentified(item, "the record takes 600,008 bytes, more than 262,144", item)
    crawled(database, [page(large)])
    (found,) = log(database)
    assert isinstance(found.event, RecordQuarantined)
    assert len(found.event.text) == 64 * 1024
    assert found.event.text.isascii()
    assert found.event.size == len('{"a":""}') + 2 * 300_000
    assert found.event.digest == digest(large.record)


def test_one_bad_record_does_not_stop_its_page(database: Database) -> None:
    state = crawled(database, [page(NAMELESS, *SEEN_NEW, Unidentified(None, "the record is no object", None))])
    assert (counts(state).new, counts(state).quarantined) == (3, 2)


def test_what_a_page_asks_of_the_past_is_two_queries_however_large_it_is(database: Database) -> None:
    def sent(number: int, prefix: str) -> list[str]:
        some = [seen(record(f"com.example/{prefix}{index}", str(index % 3))) for index in range(number)]
        crawled(database, [page(*some[::2])])
        lease, state = begun(database)
        with statements() as found:
            recorded(database, lease, state, page(*some))
        given_back(database, lease)
        return found

    small, large = sent(2, "small"), sent(300, "large")
    assert small.count("SELECT") == large.count("SELECT")
    # Beside the past: the log's last position; on Postgres the lease, the log's lock, the clock, and one behind rows.
    assert small.count("SELECT") <= (3 if database.is_sqlite else 6 + small.count("INSERT"))
    # Many rows may be more than one INSERT of the driver's size, never one a row.
    assert len(large) - len(small) <= 3


def test_a_page_with_no_news_is_two_queries_and_one_change(database: Database) -> None:
    crawled(database, [page(*SEEN_NEW)])
    lease, state = begun(database)
    with statements() as found:
        recorded(database, lease, state, page(*SEEN_NEW, cursor="a"))
    wrote = [one for one in found if one not in ("SELECT", "BEGIN")]
    assert wrote == ["UPDATE"]
    assert found.count("SELECT") <= (2 if database.is_sqlite else 3)


def test_a_registry_that_sends_everything_at_once_is_one_page(database: Database) -> None:
    some = [seen({"name": f"com.example/server-{index}", "version": "1"}, {}) for index in range(8_000)]
    state = crawled(database, [page(*some)])
    assert counts(state).new == 8_000
    state = crawled(database, [page(*some)])
    assert counts(state).unchanged == 8_000


def searches(database: Database, act: Callable[[Connection], object]) -> list[str]:
    """The steps of the plan of the last statement that something sends which find rows by a key."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        sent.append((statement, parameters))

    with database.read() as connection:
        event.listen(connection.engine, "before_cursor_execute", note)
        act(connection)
        event.remove(connection.engine, "before_cursor_execute", note)
        (statement, parameters) = sent[-1]
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    return [step.partition(" (")[2] for step in plan if step.startswith("SEARCH")]


def test_what_is_held_is_found_by_its_whole_key(sqlite: Database) -> None:
    places = [(one.key, slot(one.version)) for one in SEEN_NEW]
    assert searches(sqlite, lambda connection: read_held(connection, SOURCE, places)) == [
        "source=? AND key=? AND slot=?)"
    ]
    within = Span((ListingKey(""), Slot("")), places[-1])
    (found,) = searches(sqlite, lambda connection: read_held(connection, SOURCE, places, within))
    assert found.startswith("source=? AND (key,slot)>")
    assert "(key,slot)<" in found


def test_what_events_need_of_the_past_is_found_by_its_key(sqlite: Database) -> None:
    digests = {(one.key, slot(one.version)): one.digest for one in SEEN_NEW}
    found = searches(sqlite, lambda connection: read_past(connection, SOURCE, digests))
    assert found == ["stream=?)", "digest=?)"]


def ordered(*names: str) -> tuple[Observation, ...]:
    return tuple(seen(record(f"com.example/{name}")) for name in names)


@pytest.mark.parametrize("more", [0, MOST_OTHERS, MOST_OTHERS + 1])
def test_a_span_shows_what_is_held_of_a_page_and_what_else_is_unless_that_is_much(
    database: Database, more: int
) -> None:
    of_page = ordered("b", "d")
    others = ordered(*(f"c{number:03}" for number in range(more)))
    crawled(database, [page(*ordered("a"), *of_page, *others, *ordered("e"))])
    places = [(one.key, slot(one.version)) for one in of_page]
    between = Span(*((one.key, slot(one.version)) for one in ordered("a", "d")))
    with database.read() as connection:
        alone = read_held(connection, SOURCE, places)
        found = read_held(connection, SOURCE, places, between)
    assert alone.others is None
    assert list(alone.held) == places
    assert found.held == alone.held
    told = {(one.key, slot(one.version)) for one in others}
    assert (None if found.others is None else found.others.keys()) == (told if more <= MOST_OTHERS else None)


def test_a_page_that_begins_with_the_end_of_the_one_before_is_compared_with_all_that_is_held(
    database: Database,
) -> None:
    some = ordered("a", "b", "c")
    crawled(database, [page(*some)])
    state = crawled(database, [page(*some[:2], cursor="b"), page(*some[1:])], audit=True)
    assert (counts(state).unchanged, counts(state).new) == (4, 0)


def test_the_longest_names_and_versions_are_kept(database: Database) -> None:
    rng = random.Random(7)

    def text(bytes_: int) -> str:
        return "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(bytes_ // 3))

    one = seen(record(text(LONGEST_NAME), text(LONGEST_NAME)))
    crawled(database, [page(one)])
    assert counts(crawled(database, [page(one)])).unchanged == 1


def killed_after(database: Database, pages: list[Page], number: int, when: datetime) -> int:
    """Records pages until `number` are done, then goes without a word; gives the first page that is not recorded."""
    lease, state = begun(database, when=when)
    assert state.walk is not None
    start = 0 if state.walk.cursor is None else int(state.walk.cursor)
    for index in range(start, min(start + number, len(pages))):
        state = recorded(database, lease, state, pages[index], when=when)
    given_back(database, lease)
    return min(start + number, len(pages))


@pytest.mark.parametrize("pages_each", [1, 2, 3])
def test_a_crawl_killed_between_pages_resumes_at_the_first_page_not_recorded(
    pages_each: int, database: Database
) -> None:
    some = [seen(record(f"com.example/{index}")) for index in range(14)]
    cut = [some[index : index + 2] for index in range(0, 14, 2)]
    pages = [page(*part, cursor=str(index + 1)) for index, part in enumerate(cut)]
    reached = 0
    while reached < len(pages):
        before = reached
        reached = killed_after(database, pages, pages_each, at(before))
        assert reached == min(before + pages_each, len(pages))
        assert events(database) == 2 * reached
    _, state = begun(database, when=at(100))
    assert counts(state) == Counts(pages=7, requests=7, observed=14, new=14)
    assert [one.event.name for one in log(database)] == [one.name for one in some]  # type: ignore[union-attr]


FAILS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the events": lambda patch: patch.setattr("indexer.record.append", fail),
    "before what is held": lambda patch: patch.setattr("indexer.record.upsert_whole", fail),
    "before the quarantine": lambda patch: patch.setattr("indexer.quarantine.keep", fail),
    "before the cursor": lambda patch: patch.setattr("indexer.record.advance", fail),
    "before the state": lambda patch: patch.setattr("indexer.leases.save", fail),
}


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("where", FAILS)
def test_a_page_that_fails_anywhere_leaves_no_trace(
    where: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, state = begun(database)
    state = recorded(database, lease, state, page(SEEN_NEW[0], cursor="1"))
    before = kept(database)
    with monkeypatch.context() as patched:
        FAILS[where](patched)
        with pytest.raises(ZeroDivisionError):
            recorded(database, lease, state, page(*SEEN_NEW, NAMELESS, cursor="2"))
    assert kept(database) == before
    state = recorded(database, lease, state, page(*SEEN_NEW, NAMELESS, cursor="2"))
    assert events(database) == 4
    assert counts(state).unchanged == 1


def test_an_audit_sorts_its_differences(database: Database) -> None:
    a, b, c = (record(f"com.example/{name}") for name in "abc")
    crawled(database, [page(*(seen(one, meta(updated=-60)) for one in (a, b, c)))], when=at(0))
    state = crawled(
        database,
        [
            page(
                seen({**a, "title": "new"}, meta(updated=-20)),  # before the mark, not seen by any increment
                seen({**b, "title": "new"}, meta(updated=-60)),  # changed without a word
                seen({**c, "title": "new"}, meta(updated=5)),  # the next increment sees it
                seen(record("com.example/d"), meta(updated=-30)),
            )
        ],
        audit=True,
        when=at(60),
    )
    assert state.walk is not None
    assert (state.walk.mode, state.walk.missed, state.walk.silent) == ("audit", 2, 1)


def test_only_audits_sort_their_differences(database: Database) -> None:
    state = crawled(database, [page(seen(record(), {}))])
    state = crawled(database, [page(seen(record(title="new"), meta(updated=-1000)))], when=at(60))
    assert state.walk is not None
    assert (state.walk.mode, state.walk.missed, state.walk.silent) == ("incremental", 0, 0)
    assert counts(state).changed == 1


def test_two_sources_do_not_meet(database: Database) -> None:
    crawled(database, [page(*SEEN_NEW, NAMELESS)])
    with database.read() as connection:
        assert {row.source for row in connection.execute(select(HELD))} == {"official"}
    with database.write() as connection:
        lease, state = leases.claim(connection, SourceName("mirror"), holder="test:0:")
        state, _ = crawls.begin(state, crawl=CrawlId("m"), at=at(0), audit=False, supports_since=True)
        state, _ = record_page(connection, lease, state, page(*SEEN_NEW, NAMELESS), at=at(0), requests=1, seconds=0.0)
    assert (counts(state).new, counts(state).quarantined) == (3, 1)
    assert events(database) == 8
