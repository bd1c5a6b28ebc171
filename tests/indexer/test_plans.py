"""The statements of the hot paths, as the databases plan them: none reads a whole table to find a few rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from indexer import past, queries
from indexer.database import Database
from indexer.projections import runner
from indexer.projections.checkpoints import DOCUMENTS, Checkpoint
from indexer.projections.filling import Filler
from indexer.search import SearchIndex
from indexer.store import last_position, read_log
from schemas.names import Position, ServerName
from tests.indexer.made import appended, begun, configured, crawled, given_back, meta, page, record, recorded, seen

LARGE = ("events", "records", "streams", "held", "catalogue_versions", "catalogue_entries")
"""What grows with what is crawled."""
HELD = [seen(record(f"com.example/s{number:03}", version), meta()) for number in range(300) for version in ("1", "2")]

Statement = tuple[str, Any]


@pytest.fixture
def filled(database: Database) -> Database:
    """A catalogue of 300 servers, and the statistics that a database keeps of it."""
    crawled(database, [page(*HELD)])
    appended(database, configured())
    runner.catch_up(database)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))
    return database


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """What is sent meanwhile that reads or changes rows, with its parameters; not what is sent to memory."""
    sent: list[Statement] = []

    def note(connection: Connection, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        if connection.engine.url.database and re.match("SELECT|UPDATE|DELETE", statement):
            sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def whole_reads(connection: Connection, statement: Statement) -> list[str]:
    """The steps of a statement's plan that read a large table from one end to the other, or a whole build of one; or
    that look through another query for each row.
    """
    said, parameters = statement
    if connection.dialect.name == "sqlite":
        steps = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", parameters)]
        scans = re.compile(rf"SCAN ({'|'.join(LARGE)})\b|SEARCH ({'|'.join(LARGE)})\b.*\((build|source)=\?\)$")
        return [step for step in steps if scans.match(step)]
    for way in ("seqscan", "hashjoin", "mergejoin"):  # of so few rows all would be read, index or not
        connection.execute(text(f"SET LOCAL enable_{way} = off"))
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {said}", parameters).scalar_one()
    return list(_whole(plan[0]["Plan"]))


def _whole(step: dict[str, Any]) -> Iterator[str]:
    found = step.get("Index Cond", "")
    narrowed = found and re.fullmatch(r"\((build|\(source\)::text|source) = [^()]*\)", found) is None
    if step.get("Relation Name") in LARGE and not narrowed and step["Node Type"] != "Bitmap Heap Scan":
        yield f"{step['Node Type']} {step['Relation Name']} {found}"
    if "SubPlan" in step.get("Filter", ""):
        yield f"{step['Node Type']} {step['Filter']}"
    for inner in step.get("Plans", ()):
        yield from _whole(inner)


def refuse_whole_reads(database: Database, sent: list[Statement], *, at_least: int) -> None:
    assert len(sent) >= at_least
    with database.write() as connection:
        found = {one[0]: reads for one in sent if (reads := whole_reads(connection, one))}
    assert found == {}


def test_a_page(filled: Database) -> None:
    lease, state = begun(filled, audit=True)
    with statements() as sent:
        state = recorded(filled, lease, state, page(*HELD[:100], cursor="a"))
        recorded(filled, lease, state, page(*HELD[100:200], seen(record("com.example/t")), cursor="b"))
    given_back(filled, lease)
    refuse_whole_reads(filled, sent, at_least=4)


def test_a_step_of_the_catalogue(filled: Database) -> None:
    crawled(filled, [page(*(seen(record(f"com.example/s{number:03}", "3"), meta()) for number in range(50)))])
    with statements() as sent:
        runner.catch_up(filled)
    refuse_whole_reads(filled, sent, at_least=6)


def test_a_batch_of_documents(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    index = SearchIndex("http://127.0.0.1:1", None, "servers")
    batches: list[int] = []

    def send(*_: object) -> int:
        batches.append(1)
        return len(batches)

    monkeypatch.setattr(SearchIndex, "send", send)
    monkeypatch.setattr(SearchIndex, "succeeded", lambda *_: True)
    filler = Filler(filled, index, Checkpoint(DOCUMENTS, Position(100), "rules", "index"), index.uid)
    with statements() as sent:
        filler.push()
    assert batches
    refuse_whole_reads(filled, sent, at_least=3)


def test_what_others_ask_for(filled: Database) -> None:
    with statements() as sent, filled.read() as connection:
        assert queries.show(connection, ServerName("com.example/s010")) is not None
        assert len(list(queries.history(connection, ServerName("com.example/s010")))) == 2
        assert read_log(connection, 500, limit=10)
        queries.projections(connection)
    refuse_whole_reads(filled, sent, at_least=6)


def test_what_is_asked_of_the_past(filled: Database) -> None:
    crawled(filled, [page(*(seen(record(f"com.example/s{number:03}", "3"), meta()) for number in range(50)))])
    runner.catch_up(filled)
    with filled.read() as connection:
        last = last_position(connection)
    with statements() as sent, filled.read() as connection:
        assert past.show(connection, ServerName("com.example/s010"), Position(last - 50)) is not None
        assert len(list(past.differences(connection, Position(last - 50), last))) == 50
    # SQLite goes through the names in their order, which is an index, and looks which of them are wanted.
    names = "ORDER BY catalogue_entries.folded" if filled.is_sqlite else "nothing"
    refuse_whole_reads(filled, [one for one in sent if names not in one[0]], at_least=8)
