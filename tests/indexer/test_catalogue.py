"""The catalogue: derived from events alone, the same however they are batched."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select
from sqlmodel import SQLModel

from indexer.database import Database
from indexer.errors import StoreUnavailable
from indexer.projections import catalogue, checkpoints, runner
from indexer.projections.compare import compare, expected_documents
from indexer.projections.rows import ENTRIES, VERSIONS, build_digest, clear, read_versions
from indexer.search import SearchIndex
from indexer.store import RECORDS, last_position
from indexer.text import digest
from indexer.verify import check_catalogue
from schemas.events import (
    AnyEvent,
    DecisionRedacted,
    ListingChanged,
    ListingObserved,
    ListingReturned,
    ListingStatusChanged,
    ListingWithdrawn,
    SourceConfigured,
    SourceRemoved,
)
from schemas.names import ListingKey, Position, ServerName, SourceName, document_id
from tests.indexer.made import (
    NAME,
    appended,
    at,
    changed,
    configured,
    meta,
    observed,
    record,
    returned,
    status_changed,
    withdrawn,
)

Json = dict[str, Any]
TASKS = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SOURCES = st.sampled_from([SourceName(name) for name in "abc"])
NAMES = ["com.example/a", "com.example/A", "com.example/b", "io.github.x/c"]
PATTERNS = st.sampled_from([(), (), ("com.*",), ("io.*", "com.example/a"), ("*",)])


def listing_event(
    kind: Any, source: SourceName, key: str, name: Any, version: Any, title: str, status: str, published: int
) -> AnyEvent:
    raw, said = record(name, version, title=title), meta(status, published=published)
    given = {"source": source, "key": ListingKey(key), "digest": digest(raw), "name": name, "version": version}
    if kind is not ListingWithdrawn:
        given["meta"] = said
    if kind in (ListingObserved, ListingChanged, ListingReturned):
        given["record"] = raw
    event: AnyEvent = kind(**given)
    return event


LISTING_EVENTS = st.builds(
    listing_event,
    st.sampled_from(
        [ListingObserved, ListingObserved, ListingChanged, ListingStatusChanged, ListingWithdrawn, ListingReturned]
    ),
    SOURCES,
    st.sampled_from(["1", "2"]),
    st.sampled_from([*NAMES, None]),
    st.sampled_from(["1.0.0", "1.0.0+b", "2.0.0", None, 5]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["active", "active", "deprecated", "deleted"]),
    st.integers(0, 2),
)
SOURCE_EVENTS = st.builds(
    SourceConfigured,
    source=SOURCES,
    kind=st.just("registry"),
    trust=st.integers(1, 3),
    include=PATTERNS,
    exclude=PATTERNS,
    enabled=st.sampled_from([True, True, False]),
) | st.builds(SourceRemoved, source=SOURCES)
REDACTIONS = st.builds(
    lambda name, version, title: DecisionRedacted(digest=digest(record(name, version, title=title)), reason="gone"),
    st.sampled_from(NAMES),
    st.sampled_from(["1.0.0", "2.0.0"]),
    st.sampled_from(["x", "y"]),
)
HISTORIES = st.lists(LISTING_EVENTS | LISTING_EVENTS | SOURCE_EVENTS | REDACTIONS, max_size=14)


@contextmanager
def empty(database: Database) -> Iterator[None]:
    """Every example of a property begins with an empty database."""
    with database.write() as connection:
        for table in SQLModel.metadata.sorted_tables:
            if table.name != "schema_version":
                connection.execute(table.delete())
    yield


def forgotten(database: Database) -> None:
    """No catalogue, as if none had been made."""
    with database.write() as connection:
        clear(connection, keep=[])
        checkpoints.drop_checkpoint(connection, checkpoints.CATALOGUE)


def live(database: Database) -> tuple[int, str]:
    """The live catalogue's count and digest."""
    with database.read() as connection:
        return build_digest(connection, checkpoints.live_build(connection))


def documents(database: Database) -> dict[str, dict[str, Any]]:
    """The live catalogue's documents by name."""
    with database.read() as connection:
        query = select(ENTRIES).where(
            ENTRIES.c.build == checkpoints.live_build(connection), ENTRIES.c.document.is_not(None)
        )
        return {row.name: json.loads(row.document) for row in connection.execute(query)}


def rows(database: Database, *without: str) -> tuple[list[Any], list[Any]]:
    """The live catalogue's rows but for some fields."""
    with database.read() as connection:
        build = checkpoints.live_build(connection)
        versions = [
            {key: value for key, value in row._mapping.items() if key not in without}
            for row in connection.execute(select(VERSIONS).where(VERSIONS.c.build == build))
        ]
        entries = []
        for row in connection.execute(select(ENTRIES).where(ENTRIES.c.build == build)):
            said = {} if row.document is None else json.loads(row.document)
            kept = {key: value for key, value in said.items() if key not in without}
            entries.append((row.name, row.record, row.document is None, kept))
    return sorted(versions, key=repr), sorted(entries, key=repr)


def after(database: Database, *events: AnyEvent) -> dict[str, dict[str, Any]]:
    """The documents after some more events."""
    appended(database, *events)
    runner.catch_up(database)
    return documents(database)


def test_what_is_observed_is_in_the_catalogue(database: Database) -> None:
    found = after(database, configured(), observed(record(title="A")), observed(record("com.example/b")))
    assert set(found) == {NAME, "com.example/b"}
    assert found[NAME]["title"] == "A"
    assert found[NAME]["id"] == document_id(found[NAME]["name"])
    assert (found[NAME]["position"], found["com.example/b"]["position"]) == (2, 3)


def test_every_event_moves_the_position_of_what_it_touches(database: Database) -> None:
    assert after(database, configured(), observed())[NAME]["position"] == 2
    assert after(database, observed(record("com.example/b")))[NAME]["position"] == 2
    assert after(database, changed(record(title="B")))[NAME]["position"] == 4
    assert after(database, status_changed(record(title="B"), meta("deprecated")))[NAME]["position"] == 5
    assert after(database, observed(record(version="0.1.0")))[NAME]["position"] == 6
    assert after(database, withdrawn(record(version="0.1.0")))[NAME]["position"] == 7
    assert after(database, configured(trust=5))[NAME]["position"] == 8
    assert after(database, configured(trust=5))[NAME]["position"] == 8


def test_what_is_withdrawn_leaves_and_comes_back(database: Database) -> None:
    assert after(database, configured(), observed(record(title="A")))
    assert after(database, withdrawn(record(title="A"))) == {}
    assert after(database, returned(record(title="B")))[NAME]["title"] == "B"


def test_what_is_deleted_leaves_the_index_and_stays_in_the_catalogue(database: Database) -> None:
    assert after(database, configured(), observed(), status_changed(said=meta("deleted"))) == {}
    with database.read() as connection:
        (found,) = read_versions(connection, checkpoints.live_build(connection), [ServerName(NAME)])[ServerName(NAME)]
        entry = connection.execute(select(ENTRIES)).one()
    assert (found.status, found.position) == ("deleted", 3)
    assert (entry.name, entry.document, entry.position) == (NAME, None, 3)


def test_filters_act_on_the_catalogue_never_on_the_log(database: Database) -> None:
    assert set(after(database, configured(exclude=("com.*",)), observed())) == set()
    assert set(after(database, configured(include=("com.*",)))) == {NAME}
    assert set(after(database, configured(enabled=False))) == set()
    assert set(after(database, configured())) == {NAME}
    assert set(after(database, SourceRemoved(source=SourceName("official")))) == set()
    assert set(after(database, configured())) == {NAME}


def test_what_was_seen_before_its_source_was_configured_is_there_once_it_is(database: Database) -> None:
    assert after(database, observed()) == {}
    assert set(after(database, configured())) == {NAME}


def test_what_vanished_is_known_by_its_position(database: Database) -> None:
    after(database, configured(), observed(), observed(record("com.example/b")))
    after(database, configured(exclude=("com.example/b",)))
    with database.read() as connection:
        found = {row.name: (row.position, row.document is None) for row in connection.execute(select(ENTRIES))}
    assert found == {NAME: (4, False), "com.example/b": (4, True)}


def test_a_listing_that_changes_its_name_moves(database: Database) -> None:
    def event(kind: Any, name: str) -> AnyEvent:
        return listing_event(kind, SourceName("official"), "5", name, "1", "t", "active", 0)

    assert set(after(database, configured(), event(ListingObserved, "com.example/a"))) == {"com.example/a"}
    assert set(after(database, event(ListingChanged, "com.example/b"))) == {"com.example/b"}
    with database.read() as connection:
        found = {row.name: (row.position, row.document is None) for row in connection.execute(select(ENTRIES))}
    assert found == {"com.example/a": (3, True), "com.example/b": (3, False)}


MOVED = [
    listing_event(ListingObserved, SourceName("a"), "1", NAMES[0], "1.0.0", "x", "active", 0),
    listing_event(ListingObserved, SourceName("a"), "1", NAMES[0], "2.0.0", "x", "active", 0),
    SourceConfigured(source=SourceName("a"), kind="registry", trust=1),
    SourceConfigured(source=SourceName("a"), kind="registry", trust=2),
    listing_event(ListingChanged, SourceName("a"), "1", NAMES[1], "1.0.0", "x", "active", 0),
]


REDACTED = [
    *MOVED[:3],
    DecisionRedacted(digest=digest(record(NAMES[0], "2.0.0", title="x")), name=ServerName(NAMES[0]), reason="gone"),
    listing_event(ListingChanged, SourceName("a"), "1", NAMES[0], "1.0.0", "y", "active", 0),
]


@TASKS
@given(HISTORIES)
@example(MOVED)
@example([MOVED[0], MOVED[2]])
@example(REDACTED)
@example([MOVED[0], MOVED[2], DecisionRedacted(digest=digest(record(NAMES[0], title="x")), reason="gone"), MOVED[0]])
def test_any_batching_and_a_rebuild_give_the_same(database: Database, history: list[AnyEvent]) -> None:
    with empty(database):
        for number, event in enumerate(history):
            appended(database, event, when=at(number))
            runner.catch_up(database)
        grown = live(database)
        for limit in (1, 2, 7, None):
            forgotten(database)
            runner.catch_up(database, limit=limit)
            assert live(database) == grown, f"in pages of {limit}"
        runner.rebuild(database)
        assert live(database) == grown


@TASKS
@given(HISTORIES)
def test_any_order_of_sources_gives_the_same(database: Database, history: list[AnyEvent]) -> None:
    found = []
    for order in permutations("abc"):
        with empty(database):
            appended(
                database, *(event for source in order for event in history if getattr(event, "source", None) == source)
            )
            runner.catch_up(database)
            found.append(rows(database, "position", "first_seen_at"))
    assert all(one == found[0] for one in found)


@TASKS
@given(HISTORIES)
def test_the_same_event_once_more_moves_positions_alone(database: Database, history: list[AnyEvent]) -> None:
    with empty(database):
        appended(database, *history)
        runner.catch_up(database)
        before = rows(database, "position", "first_seen_at")
        appended(database, *history[-1:])
        runner.catch_up(database)
        assert rows(database, "position", "first_seen_at") == before


def grown(database: Database) -> tuple[int, str]:
    """A catalogue of ten servers; its count and digest."""
    appended(database, configured(), *(observed(record(f"com.example/{number}")) for number in range(10)))
    runner.catch_up(database)
    return live(database)


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Does something once, when the rows of a page are derived and not yet written."""
    derive = catalogue.changes

    def then(*arguments: Any) -> catalogue.Changes:
        found = derive(*arguments)
        monkeypatch.setattr(catalogue, "changes", derive)
        act()
        return found

    monkeypatch.setattr(catalogue, "changes", then)


def test_others_append_while_rows_are_derived(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(database, configured(), observed(record("com.example/a")))
    meanwhile(monkeypatch, lambda: appended(database, observed(record("com.example/b"))))
    assert runner.catch_up(database) == 3
    assert list(documents(database)) == ["com.example/a", "com.example/b"]


def test_who_was_overtaken_while_rows_were_derived_drops_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended(database, configured(), observed(record("com.example/a")))

    def overtake() -> None:
        appended(database, withdrawn(record("com.example/a")))
        runner.catch_up(database)

    meanwhile(monkeypatch, overtake)
    moved: list[int] = []
    assert runner.catch_up(database, moved.append) == 3
    assert moved == []
    assert documents(database) == {}
    report = check_catalogue(database)
    assert report.digest == report.expected


def test_a_build_that_was_dropped_while_its_rows_were_derived_is_not_filled_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = grown(database)
    meanwhile(monkeypatch, lambda: runner.drop_build(database))
    with pytest.raises(StoreUnavailable, match="dropped by another process"):
        runner.rebuild(database)
    assert live(database) == before


def test_other_rules_build_beside_while_the_live_build_is_read_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = grown(database)
    monkeypatch.setattr(catalogue, "fingerprint", lambda: "other rules")
    monkeypatch.setattr(runner, "PAGE_EVENTS", 3)
    seen: list[tuple[int, str]] = []
    assert runner.catch_up(database, lambda _: seen.append(live(database))) == 11
    assert len(seen) == 4
    assert set(seen) == {before}
    assert live(database) == before
    with database.read() as connection:
        found = checkpoints.read_checkpoint(connection, checkpoints.CATALOGUE)
        assert found == checkpoints.Checkpoint("catalogue", Position(11), "other rules", "2")
        assert checkpoints.read_checkpoint(connection, checkpoints.CATALOGUE_NEXT) is None
        assert set(connection.scalars(select(ENTRIES.c.build))) == {2}


def test_what_is_appended_during_a_rebuild_is_in_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(database)
    monkeypatch.setattr(runner, "PAGE_EVENTS", 4)
    late = [observed(record("com.example/late"))]

    def more(_position: int) -> None:
        if late and not database.is_sqlite:  # SQLite's one writer is the rebuild
            appended(database, late.pop())

    runner.rebuild(database, more)
    appended(database, *late)
    runner.catch_up(database)
    assert "com.example/late" in documents(database)
    found = live(database)
    runner.rebuild(database)
    assert live(database) == found


def test_a_rebuild_sets_nobody_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who appends and catches up when the rebuild has seen the log's end waits until the new build is in its place."""
    grown(database)
    look, late = last_position, observed(record("com.example/late"))
    others: list[threading.Thread] = []

    def then(connection: Connection) -> Position:
        found = look(connection)
        if not others:
            others.append(threading.Thread(target=after, args=(database, late)))
            others[0].start()
            others[0].join(0.5)  # it comes to its end where it does not wait
        return found

    monkeypatch.setattr(runner, "last_position", then)
    reached = runner.rebuild(database)
    others[0].join(60)
    with database.read() as connection:
        found = checkpoints.read_checkpoint(connection, checkpoints.CATALOGUE)
    assert found is not None
    assert (reached, found.position) == (11, 12)


@pytest.mark.parametrize("pages", [1, 2, 3, 4])
def test_a_rebuild_that_was_killed_is_begun_again(
    pages: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = grown(database)
    monkeypatch.setattr(catalogue, "fingerprint", lambda: "other rules")
    monkeypatch.setattr(runner, "PAGE_EVENTS", 3)
    done: list[int] = []

    def die(position: int) -> None:
        done.append(position)
        if len(done) == pages:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runner.catch_up(database, die)
    assert live(database) == before
    appended(database, observed(record("com.example/more")))
    runner.catch_up(database)
    assert len(documents(database)) == 11
    found = live(database)
    runner.rebuild(database)
    assert live(database) == found
    with database.read() as connection:
        assert len(set(connection.scalars(select(ENTRIES.c.build)))) == 1


def test_the_same_rules_build_nothing_anew(database: Database) -> None:
    grown(database)
    appended(database, observed(record("com.example/more")))
    runner.catch_up(database)
    with database.read() as connection:
        assert checkpoints.live_build(connection) == 1


DERIVING = "indexer.documents, indexer.entry, indexer.lint.rules, indexer.versions"


def test_the_fingerprint_is_of_every_module_that_rows_are_derived_by() -> None:
    """Who adds a module to the rules is told here that it belongs to the fingerprint."""
    loaded = "[name for name, one in sys.modules.items() if name[:8] in ('indexer.', 'schemas.')]"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, {DERIVING}; print(*{loaded})"], capture_output=True, text=True, check=True
    )
    fingerprinted = {f"indexer.{name.replace('/', '.')}" for name in catalogue.RULES}
    fingerprinted |= {f"schemas.{name}" for name in catalogue.SHARED_RULES}
    assert {*ran.stdout.split()} - {"indexer.lint"} <= fingerprinted  # a package is its docstring and no more


def test_rows_and_checkpoint_move_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grown(database)
    appended(database, observed(record("com.example/more")))
    with monkeypatch.context() as patched:

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        patched.setattr(runner, "write_checkpoint", fail)
        with pytest.raises(ZeroDivisionError):
            runner.catch_up(database)
    assert live(database) == before
    with database.read() as connection:
        found = checkpoints.read_checkpoint(connection, checkpoints.CATALOGUE)
        assert found is not None
        assert found.position == 11
    assert runner.catch_up(database) == 12


def test_the_catalogue_is_held_against_the_events_it_was_made_of(database: Database) -> None:
    grown(database)
    report = check_catalogue(database)
    assert (report.entries, report.digest) == (10, report.expected)
    appended(database, *(observed(record(f"com.example/new-{number}")) for number in range(5)))
    report = check_catalogue(database)  # the log is ahead now: a crawl goes on
    assert (report.entries, report.digest) == (10, report.expected)
    runner.catch_up(database)
    assert len(documents(database)) == 15


def test_a_row_that_was_changed_is_found_and_a_rebuild_mends_it(database: Database) -> None:
    before = grown(database)
    with database.write() as connection:
        connection.execute(VERSIONS.update().where(VERSIONS.c.key == "com.example/3").values(status="deprecated"))
    report = check_catalogue(database)
    assert report.digest != report.expected
    assert report.expected == before[1]
    runner.rebuild(database)
    assert live(database) == before


def test_a_record_that_is_lost_stops_nothing(database: Database) -> None:
    grown(database)
    with database.write() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.id.endswith(digest(record("com.example/3")))))
    found = after(database, status_changed(record("com.example/3"), meta("deprecated")))
    assert len(found) == 10
    assert found["com.example/3"]["status"] == "deprecated"


def test_more_names_than_are_merged_at_once_are_merged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "NAMES_AT_ONCE", 3)
    before = grown(database)
    assert before[0] == 10
    assert after(database, configured(enabled=False)) == {}
    assert len(after(database, configured())) == 10


def test_a_server_without_a_name_follows_its_source(database: Database) -> None:
    """Whatever an adapter takes for an identity."""
    after(database, configured(), observed(record("")), observed())
    assert set(documents(database)) == {"", NAME}
    assert after(database, configured(enabled=False)) == {}
    assert set(after(database, configured())) == {"", NAME}
    found = check_catalogue(database)
    assert found.digest == found.expected


def test_names_are_told_apart_by_their_bytes(database: Database) -> None:
    names = ["com.example/a", "com.example/A", "com.example/á", "com.example/a\u0301", "com.example/ａ"]
    assert set(after(database, configured(), *(observed(record(name)) for name in names))) == set(names)


def test_a_server_of_many_versions_is_one_entry(database: Database) -> None:
    some = [observed(record(version=f"1.{number}.0")) for number in range(300)]
    found = after(database, configured(), *some)
    assert (found[NAME]["version"], found[NAME]["version_count"]) == ("1.299.0", 300)


def test_names_that_differ_by_case_only_are_told_of_each_other(database: Database) -> None:
    capital = "Com.Example/Server"
    alone = after(database, configured(), observed(record("com.example/server")))["com.example/server"]
    assert "lint/name-case" not in alone["problems"]
    found = after(database, observed(record(capital)))
    assert set(found) == {"com.example/server", capital}
    for name in found:
        assert "lint/name-case" in found[name]["problems"]
        assert found[name]["position"] == 3  # whoever polls for changes is told of the other one, too
        assert found[name]["valid"] == alone["valid"]


def test_two_that_begin_at_once_begin_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds no checkpoint, and another one has made it meanwhile, does not begin anew."""
    last = appended(database, configured(), observed())
    read, looked, go_on = checkpoints.read_checkpoint, threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        found = read(*arguments, **more)
        if threading.current_thread().name.startswith("second") and not looked.is_set():
            looked.set()
            assert go_on.wait(60)
        return found

    monkeypatch.setattr(runner, "read_checkpoint", slow)
    moved: list[int] = []
    with ThreadPoolExecutor(thread_name_prefix="second") as threads:
        second = threads.submit(runner.catch_up, database, moved.append)
        assert looked.wait(60)
        if not database.is_sqlite:  # there the second one keeps the first from looking
            runner.catch_up(database)
        go_on.set()
        assert second.result() == last
    assert moved == ([last] if database.is_sqlite else [])


def test_a_document_is_missing_however_the_catalogue_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an index is compared an entry that it holds may be touched, and then counts no more."""
    until = appended(database, configured(), observed(), observed(record("com.example/missing")))
    runner.catch_up(database)
    there = document_id(ServerName(NAME))

    def pages(*_: object) -> Iterator[list[Json]]:
        with database.read() as connection:
            yield [json.loads(one) for one in expected_documents(connection, [there])]
        appended(database, changed(record(title="New"), meta(updated=1)))
        runner.catch_up(database)

    index = SearchIndex("http://index.test", None, "servers")
    monkeypatch.setattr(index, "pages", pages)
    monkeypatch.setattr(index, "present", lambda ids, _: {there} & {*ids})
    assert list(compare(database, index, "servers", until).missing.values()) == ["com.example/missing"]
