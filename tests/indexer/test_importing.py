"""An export says all that a log holds; importing it gives the same log, and what a crawl needs to go on."""

import json
import random
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from indexer import importing
from indexer.blanking import REDACTIONS
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import ConfigurationError, ImportRefused, LogChanged, StoreUnavailable
from indexer.exported import Exporting, Reading
from indexer.held import HELD
from indexer.importing import import_log, refuse_unfinished
from indexer.leases import STATES
from indexer.migrations import migrate
from indexer.projections import rows as rows_of
from indexer.projections import runner
from indexer.projections.checkpoints import live_build
from indexer.quarantine import QUARANTINE
from indexer.record import record_page
from indexer.redaction import redact
from indexer.restoring import after
from indexer.sources import remember_sources
from indexer.store import RECORDS, STREAMS, Write, append
from indexer.text import digest
from indexer.verify import check_log
from schemas.events import AnyEvent, Counts, CrawlCompleted, CrawlFailed, CrawlParked, SourceConfigured
from schemas.names import ServerName, SourceName, crawls_stream
from schemas.observations import Unidentified
from tests.indexer.made import (
    NAME,
    SOURCE,
    START,
    appended,
    at,
    begun,
    changed,
    configured,
    log,
    meta,
    observed,
    page,
    record,
    recorded,
    returned,
    seen,
    status_changed,
    withdrawn,
)

OTHER = "mirror"


@pytest.fixture
def target(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterable[Database]:
    """Where the log is moved to: the other kind of database."""
    url = request.getfixturevalue("postgres_url") if database.is_sqlite else f"sqlite:///{tmp_path / 'target.db'}"
    made = Database(url)
    migrate(made)
    yield made
    made.close()


def fill(database: Database) -> None:
    """A log with everything that leaves working state."""
    remember_sources(database, [configured(), configured(OTHER, trust=1, republish=False)], at=START)
    lease, state = begun(database)
    odd = seen(record("com.example/odd", title="\ud800", number=2**70, share=1e16))
    nameless = (Unidentified({"a": n}, "it has no name", {"a": n}) for n in range(2))
    state = recorded(database, lease, state, page(seen(), odd, *nameless, cursor="1"))
    recorded(database, lease, state, page(seen(record(version="2.0.0")), seen(record(version="3.0.0"))), when=at(1))
    appended(database, observed(source=OTHER), withdrawn(record(version="2.0.0")), when=at(2))
    appended(
        database,
        changed(record(title="New"), meta(updated=3)),
        status_changed(record(version="3.0.0"), meta("deprecated")),
        when=at(3),
    )
    appended(
        database, withdrawn(source=OTHER), returned(source=OTHER), withdrawn(record("com.example/odd")), when=at(4)
    )
    remember_sources(database, [configured(trust=7)], at=at(5))
    with database.write() as connection:
        redact(connection, ServerName("com.example/odd"), reason="holds a key", at=at(6))
        redact(connection, ServerName(digest({"a": 0})), reason="holds a name", at=at(6))


def lines_of(database: Database) -> list[bytes]:
    return list(Exporting(database))


def imported(database: Database, lines: Iterable[bytes]) -> None:
    import_log(database, Reading(lines, "the file"))


def rows(database: Database, *columns: Any) -> set[tuple[Any, ...]]:
    with database.read() as connection:
        return {tuple(row) for row in connection.execute(select(*columns))}


def working_state(database: Database) -> list[Any]:
    """All that a page is compared with, but for what `fill` appends behind the back of crawls."""
    return [
        rows(database, STREAMS.c.stream, STREAMS.c.revision),
        rows(database, QUARANTINE.c.source, QUARANTINE.c.digest, QUARANTINE.c.position),
        rows(database, STATES.c.source, STATES.c.configured),
        rows(database, REDACTIONS.c.digest),
        rows(database, *RECORDS.c),
    ]


def catalogue_digest(database: Database) -> tuple[int, str]:
    runner.catch_up(database)
    with database.read() as connection:
        return rows_of.build_digest(connection, live_build(connection))


def test_the_log_comes_over_whole(database: Database, target: Database) -> None:
    fill(database)
    imported(target, lines_of(database))

    assert log(target) == log(database)
    assert lines_of(target) == lines_of(database)
    assert working_state(target) == working_state(database)
    assert catalogue_digest(target) == catalogue_digest(database)
    assert check_log(target).damaged == []
    refuse_unfinished(target)


def test_what_was_redacted_stays_so(database: Database, target: Database) -> None:
    fill(database)
    lines = lines_of(database)
    assert not any(b"1180591620717411303424" in line for line in lines)
    imported(target, lines)
    lease, state = begun(target, when=at(9))
    recorded(
        target,
        lease,
        state,
        page(seen(record("com.example/odd", title="\ud800", number=2**70, share=1e16))),
        when=at(9),
    )
    assert not any(b"1180591620717411303424" in line for line in lines_of(target))
    assert log(target)[-1].event.type == "listing.returned"


def test_every_line_is_an_event_as_everybody_is_told_it(sqlite: Database) -> None:
    fill(sqlite)
    first, *events, last = (json.loads(line) for line in lines_of(sqlite))
    assert first == {"format": "mcp-indexer log", "version": 1, "position": len(events)}
    assert [int(one["id"]) for one in events] == [one.position for one in log(sqlite)]
    assert last["end"]["events"] == len(events)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_any_batching_gives_the_same(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    fill(sqlite)
    found = []
    for number in (size, 10_000):
        monkeypatch.setattr(importing, "BATCH_EVENTS", number)
        other = Database(f"sqlite:///{tmp_path / str(number)}.db")
        migrate(other)
        imported(other, lines_of(sqlite))
        found.append([*working_state(other), rows(other, *HELD.c), rows(other, STATES.c.source, STATES.c.state)])
        other.close()
    assert found[0] == found[1]


def test_what_is_held_is_what_crawls_recorded(database: Database, target: Database) -> None:
    remember_sources(database, [configured()], at=START)
    lease, state = begun(database)
    state = recorded(database, lease, state, page(seen(), seen(record(version="2")), cursor="1"))
    changes = seen(record(title="New"), meta(updated=2)), seen(record(version="2"), meta("deprecated"))
    state = recorded(database, lease, state, page(*changes, Unidentified([], "no object", []), cursor="2"), when=at(2))
    imported(target, lines_of(database))

    assert rows(target, *HELD.c) == rows(database, *HELD.c)
    lease, state = begun(target, when=at(3))
    with target.write() as connection:
        again = page(*changes, Unidentified([], "no object", []))
        _, news = record_page(connection, lease, state, again, at=at(3), requests=1, seconds=0)
    assert news is None


def test_where_a_source_stands() -> None:
    def ended(kind: type[CrawlCompleted] | type[CrawlParked], mode: str, **more: Any) -> AnyEvent:
        return kind(source=SOURCE, mode=mode, counts=Counts(), seconds=60, **more)  # type: ignore[arg-type]

    state = after(CrawlState(), at(10), ended(CrawlCompleted, "full", mark=at(0)))
    news = CrawlCompleted(source=SOURCE, mode="full", counts=Counts(new=1), seconds=1)
    assert (state.changed_at, after(state, at(11), news).changed_at) == (None, at(11))
    assert (state.mark, state.full_at, state.completed_at, state.last_mode) == (at(0), at(9), at(10), "full")
    state = after(state, at(20), ended(CrawlCompleted, "incremental", mark=at(15)))
    assert (state.mark, state.full_at, state.completed_at) == (at(15), at(9), at(20))
    failed = CrawlFailed(source=SOURCE, mode="audit", counts=Counts(), seconds=1, error="no")
    state = after(after(state, at(30), failed), at(40), failed)
    assert (state.failures, state.failed_at, state.mark, state.full_at) == (2, at(40), at(15), at(9))
    state = after(state, at(50), ended(CrawlParked, "audit", candidates=99))
    assert (state.failures, state.failed_at, state.mark) == (0, None, at(15))
    assert state.full_at is not None
    assert at(50) - state.full_at > timedelta(days=365)  # the next crawl walks it in full
    assert after(state, at(60), SourceConfigured(source=SOURCE, kind="registry", trust=1)) == state


def test_an_import_that_ended_half_way_goes_on(
    database: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 3)
    fill(database)
    lines = lines_of(database)

    def die(position: int) -> None:
        if position > 5:
            raise StoreUnavailable("the power went")

    with pytest.raises(StoreUnavailable):
        import_log(target, Reading(lines, "the file"), die)
    assert [one.position for one in log(target)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ConfigurationError, match=f"not complete, it has 6 of {len(lines) - 2} events"):
        refuse_unfinished(target)

    monkeypatch.setattr(importing, "BATCH_EVENTS", 4)
    imported(target, lines)
    refuse_unfinished(target)
    assert lines_of(target) == lines
    assert working_state(target) == working_state(database)


def test_the_same_again_does_nothing(database: Database, target: Database) -> None:
    fill(database)
    lines = lines_of(database)
    imported(target, lines)
    before = [*working_state(target), log(target)]
    imported(target, lines)
    imported(database, lines)
    appended(target, observed(record(version="9")))
    imported(target, lines)  # which has gone on since
    assert [*working_state(database), log(database)] == before
    assert len(log(target)) == len(before[-1]) + 1


def test_a_later_export_brings_what_came_since(database: Database, target: Database) -> None:
    fill(database)
    imported(target, lines_of(database))
    appended(database, observed(record(version="9")))
    imported(target, lines_of(database))
    assert log(target) == log(database)


def test_another_log_is_refused(database: Database, target: Database) -> None:
    fill(database)
    appended(target, observed())
    with pytest.raises(ImportRefused, match="another one: its event 1"):
        imported(target, lines_of(database))
    assert len(log(target)) == 1
    refuse_unfinished(target)


def test_what_was_begun_with_a_damaged_file_is_not_completed_by_a_good_one(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 3)
    fill(sqlite)
    good = lines_of(sqlite)
    target = Database(f"sqlite:///{tmp_path / 'target.db'}")
    migrate(target)
    bad = [line.replace(b'"Reads PDF files"', b'"Reads PDF piles"') for line in good]
    with pytest.raises(ImportRefused, match="has another digest"):
        imported(target, bad)
    with pytest.raises(ConfigurationError, match="not complete"):
        refuse_unfinished(target)
    with pytest.raises(ImportRefused, match="of another file, or a damaged one"):
        imported(target, good)
    target.close()


def test_damage_is_found_wherever_it_is(sqlite: Database) -> None:
    fill(sqlite)
    whole = b"".join(lines_of(sqlite))
    Reading(whole.splitlines(keepends=True), "the file").check()
    rng = random.Random(1)
    for _ in range(200):
        place = rng.randrange(len(whole))
        other = bytes([rng.choice([byte for byte in range(1, 127) if byte != whole[place]])])
        damaged = whole[:place] + other + whole[place + 1 :]
        if place >= whole.rindex(b"\n", 0, -1) and _says_the_same(whole, damaged):
            continue
        with pytest.raises(ImportRefused, match=r"damaged|cut off|no export|of version"):
            Reading(damaged.splitlines(keepends=True), "the file").check()


def _says_the_same(whole: bytes, damaged: bytes) -> bool:
    """Whether a last line is only spelled otherwise."""
    try:
        return bool(json.loads(whole.splitlines()[-1]) == json.loads(damaged.splitlines()[-1]))
    except ValueError:
        return False


@pytest.mark.parametrize("left", [0, 1, 5, -1])
def test_a_file_that_is_cut_is_refused(sqlite: Database, left: int) -> None:
    fill(sqlite)
    with pytest.raises(ImportRefused, match="cut off"):
        Reading(lines_of(sqlite)[:left], "the file").check()


def test_what_is_no_export_is_refused(sqlite: Database) -> None:
    for line in (b"{}\n", b"[]\n", b"hello\n", b'{"format":"other","version":1,"position":0}\n'):
        with pytest.raises(ImportRefused, match=r"^the file is"):
            imported(sqlite, [line])
    newer = b'{"format":"mcp-indexer log","version":2,"position":0}\n'
    with pytest.raises(ImportRefused, match="export of version 2, and this program reads version 1"):
        imported(sqlite, [newer])


def test_what_follows_the_end_is_damage(sqlite: Database) -> None:
    fill(sqlite)
    with pytest.raises(ImportRefused, match="comes after the end"):
        Reading([*lines_of(sqlite), b"{}\n"], "the file").check()


def test_an_empty_log_is_an_export_too(sqlite: Database) -> None:
    lines = lines_of(sqlite)
    assert len(lines) == 2
    imported(sqlite, lines)
    assert log(sqlite) == []


def test_two_imports_at_once_are_refused(sqlite: Database) -> None:
    with sqlite.lock("import"), pytest.raises(ImportRefused, match="Another import"):
        imported(sqlite, lines_of(sqlite))


def test_what_others_append_meanwhile_is_not_mixed_with_it(database: Database, target: Database) -> None:
    fill(database)
    lines = lines_of(database)

    def told() -> Iterable[bytes]:
        yield from lines[:2]
        with target.write() as connection:
            event = SourceConfigured(source=SourceName("new"), kind="registry", trust=1)
            append(connection, [Write(crawls_stream(event.source), event)], at=START)
        yield from lines[2:]

    with pytest.raises(ImportRefused, match="does not follow"):
        imported(target, told())
    assert len(log(target)) == 1


def test_what_is_redacted_while_a_log_is_exported_makes_that_no_export(database: Database) -> None:
    fill(database)
    lines = iter(Exporting(database))
    exported = [next(lines)]
    with database.write() as connection:
        redact(connection, ServerName(NAME), reason="holds a key", at=at(7))
    with pytest.raises(LogChanged, match="Run the same command again"):
        exported += lines
    assert len(lines_of(database)) > len(exported)
