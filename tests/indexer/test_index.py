"""The search index, on a real Meilisearch: filled, rebuilt beside, swapped, compared and mended."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest
from sqlalchemy import delete, select, text, update

from indexer.database import Database
from indexer.documents import with_server_json
from indexer.errors import IndexRefused, IndexUnavailable
from indexer.held import HELD
from indexer.projections import catalogue, checkpoints, documents, filling, runner
from indexer.projections.checkpoints import Checkpoint, live_build, read_checkpoint
from indexer.projections.compare import compare_positions
from indexer.projections.rows import ENTRIES, VERSIONS
from indexer.search import SearchIndex
from indexer.search_settings import SETTINGS
from indexer.store import RECORDS
from indexer.verify import Report, repair, verify
from schemas.documents import DOCUMENT
from schemas.events import AnyEvent
from schemas.names import ServerName, document_id
from tests.indexer.made import (
    appended,
    changed,
    configured,
    crawled,
    lines,
    meta,
    observed,
    page,
    record,
    returned,
    seen,
    status_changed,
    withdrawn,
)
from tests.servers import MeilisearchServer
from tests.waiting import wait_until
from workers.sample.generate import generate

SERVERS = 12


@pytest.fixture
def filled(sqlite: Database, index: SearchIndex) -> tuple[Database, SearchIndex]:
    """A log of twelve servers, with its catalogue and its index."""
    crawled(sqlite, [page(*(seen(record(f"com.example/server-{number}")) for number in range(SERVERS)))])
    after(sqlite, index, configured())
    return sqlite, index


def after(database: Database, index: SearchIndex, *events: AnyEvent) -> int:
    """Brings everything over some more events; gives the index's checkpoint."""
    appended(database, *events)
    runner.catch_up(database)
    return documents.catch_up(database, index)


def held(index: SearchIndex, uid: str | None = None) -> dict[str, dict[str, Any]]:
    """What an index holds, by id."""
    return {document["id"]: document for some in index.pages(uid) for document in some}


def wanted(database: Database) -> dict[str, dict[str, Any]]:
    """What the catalogue says that the index holds, by id."""
    with database.read() as connection:
        query = (
            select(ENTRIES.c.id, ENTRIES.c.document, RECORDS.c.text)
            .join_from(ENTRIES, RECORDS, ENTRIES.c.record == RECORDS.c.id)
            .where(ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None))
        )
        return {row.id: json.loads(with_server_json(row.document, row.text)) for row in connection.execute(query)}


def checkpoint(database: Database, name: str = checkpoints.DOCUMENTS) -> Checkpoint | None:
    with database.read() as connection:
        return read_checkpoint(connection, name)


def reached(database: Database) -> int:
    found = checkpoint(database)
    return 0 if found is None else found.position


def id_of(name: str) -> str:
    return document_id(ServerName(name))


def sent(index: SearchIndex, *some: dict[str, Any]) -> None:
    """Somebody else writes documents."""
    index.wait(index.send(lines(some)))


def test_documents_reach_the_index(database: Database, index: SearchIndex) -> None:
    odd = record("com.example/odd", title="a\ud800\x00é", huge=2**70, description=5)
    position = after(database, index, configured(), observed(record(title="PDF Tools")), observed(odd))
    assert position == reached(database) == 3
    assert held(index) == wanted(database)
    assert len(held(index)) == 2
    for document in held(index).values():
        assert DOCUMENT.validate_python(document, strict=True)
    found = index.search("pdf")["hits"]
    assert [hit["name"] for hit in found] == ["com.example/pdf-tools"]
    assert json.loads(found[0]["server_json"]) == record(title="PDF Tools")


def test_what_changes_reaches_the_index(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    name = "com.example/server-1"
    after(database, index, changed(record(name, title="New")))
    assert held(index)[id_of(name)]["title"] == "New"
    after(database, index, status_changed(record(name, title="New"), meta("deprecated")))
    assert held(index)[id_of(name)]["status"] == "deprecated"
    assert held(index) == wanted(database)


@pytest.mark.parametrize(
    "event",
    [
        withdrawn(record("com.example/server-1")),
        status_changed(record("com.example/server-1"), meta("deleted", updated=1)),
        configured(exclude=("*/server-1",)),
    ],
    ids=["withdrawn", "deleted", "excluded"],
)
def test_what_vanished_leaves_the_index(event: AnyEvent, filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    after(database, index, event)
    assert id_of("com.example/server-1") not in held(index)
    assert len(held(index)) == SERVERS - 1
    assert held(index) == wanted(database)


def test_everything_may_vanish_and_come_back(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    after(database, index, configured(enabled=False))
    assert held(index) == {}
    after(database, index, configured())
    assert len(held(index)) == SERVERS
    assert held(index) == wanted(database)


def test_an_empty_catalogue_has_an_empty_index(sqlite: Database, index: SearchIndex) -> None:
    assert documents.catch_up(sqlite, index) == 0
    assert after(sqlite, index, configured()) == 1
    assert held(index) == {}


def test_nothing_new_sends_nothing(filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch) -> None:
    database, index = filled
    monkeypatch.setattr(SearchIndex, "send", forbidden)
    monkeypatch.setattr(SearchIndex, "delete", forbidden)
    assert documents.catch_up(database, index) == reached(database)


def forbidden(*_: object) -> None:
    raise AssertionError


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_any_size_of_batches_gives_the_same(
    at_once: int, sqlite: Database, index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_DOCUMENTS", at_once)
    monkeypatch.setattr(filling, "READ_AT_ONCE", 3)
    monkeypatch.setattr(filling, "DELETE_AT_ONCE", 2)
    # One event moves all of these entries to one position.
    some = [observed(record(f"com.example/server-{number}")) for number in range(7)]
    after(sqlite, index, *some, configured())
    assert len(held(index)) == 7
    assert held(index) == wanted(sqlite)
    after(sqlite, index, configured(include=("*/server-1",)))
    assert len(held(index)) == 1
    assert held(index) == wanted(sqlite)


def test_a_change_that_moves_every_entry_to_one_position_is_sent_once(
    filled: tuple[Database, SearchIndex], documents_sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    documents_sent.clear()
    monkeypatch.setattr(filling, "BATCH_DOCUMENTS", 5)
    appended(database, configured(trust=7))
    runner.catch_up(database)
    with database.lock(documents.LOCK):
        filler = documents.open_filler(database, index)
        assert filler is not None
        for _ in range(3):
            filler.push()
        filler.finish()
    assert documents_sent == [5, 5, 2]
    assert held(index) == wanted(database)


def test_two_that_fill_at_once_both_stop_and_what_they_sent_is_sent_again(
    filled: tuple[Database, SearchIndex],
) -> None:
    """As where one lost its lock with its connection to Postgres: the later document of the two may be the older."""
    database, index = filled
    before = reached(database)
    first = documents.open_filler(database, index)
    assert first is not None
    appended(database, observed(record("com.example/one")))
    runner.catch_up(database)
    first.push()
    second = documents.open_filler(database, index)
    assert second is not None
    appended(database, observed(record("com.example/two")))
    runner.catch_up(database)
    second.finish()
    with pytest.raises(IndexUnavailable, match="Another process"):
        first.finish()
    assert reached(database) == before
    appended(database, observed(record("com.example/three")))
    runner.catch_up(database)
    with pytest.raises(IndexUnavailable, match="Another process"):
        second.finish()
    assert reached(database) == before
    documents.catch_up(database, index)
    assert held(index) == wanted(database)


def test_the_checkpoint_moves_over_succeeded_tasks_only(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    before = reached(database)
    appended(database, *(observed(record(f"com.example/more-{number}")) for number in range(6)))
    runner.catch_up(database)
    send, batches = SearchIndex.send, []

    def second_fails(self: SearchIndex, some: BinaryIO, uid: str | None = None) -> int:
        batches.append(some)
        return send(self, lines([{"id": "not an id!"}]) if len(batches) == 2 else some, uid)

    with monkeypatch.context() as patched:
        patched.setattr(filling, "BATCH_DOCUMENTS", 2)
        patched.setattr(SearchIndex, "send", second_fails)
        with pytest.raises(IndexRefused, match=r"Index task \d+ \(documentAdditionOrUpdate\) failed: .*not an id!"):
            documents.catch_up(database, index)
    assert len(batches) == 3  # the third was in flight, and succeeds
    assert reached(database) == before + 2
    assert documents.catch_up(database, index) == before + 6
    assert held(index) == wanted(database)


def test_a_delete_that_fails_leaves_the_checkpoint(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    before = reached(database)
    with monkeypatch.context() as patched:
        patched.setattr(SearchIndex, "delete", lambda self, _ids, uid=None: self.send(lines([{"id": "?"}]), uid))
        with pytest.raises(IndexRefused):
            after(database, index, withdrawn(record("com.example/server-1")))
    assert reached(database) == before
    documents.catch_up(database, index)
    assert held(index) == wanted(database)


def test_no_room_for_a_temporary_file_is_said_in_a_sentence_and_passes(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    before = reached(database)
    with monkeypatch.context() as patched:
        patched.setattr(filling, "TemporaryFile", lambda: open("/dev/full", "w+b", buffering=0))  # noqa: SIM115
        with pytest.raises(IndexUnavailable, match=r"a temporary file \(No space left on device\); make room"):
            after(database, index, observed(record("com.example/more")))
    assert reached(database) == before
    documents.catch_up(database, index)
    assert held(index) == wanted(database)


def test_an_index_that_is_not_there_is_made_once_it_is(sqlite: Database, index: SearchIndex, nobody: str) -> None:
    nowhere = SearchIndex(nobody, None, index.uid)
    with pytest.raises(IndexUnavailable) as failed:
        after(sqlite, nowhere, configured(), observed())
    assert "does not answer; start it" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert checkpoint(sqlite) is None
    documents.catch_up(sqlite, index)
    assert held(index) == wanted(sqlite)


def test_a_wrong_key_is_said_in_a_sentence(sqlite: Database, index: SearchIndex) -> None:
    stranger = SearchIndex(index.url, "wrong", index.uid)
    with pytest.raises(IndexRefused, match=r"refuses the key .* set MCP_INDEXER_MEILI_KEY"):
        after(sqlite, stranger, configured(), observed())


def test_a_deleted_index_is_filled_again(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    index.drop(index.uid)
    documents.catch_up(database, index)
    assert len(held(index)) == SERVERS
    assert held(index) == wanted(database)


def test_an_index_that_somebody_made_anew_is_rebuilt(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    index.drop(index.uid)
    index.create(index.uid)
    sent(index, {"id": "a", "name": "com.example/strange"})
    documents.catch_up(database, index)
    assert held(index) == wanted(database)


def test_an_index_that_somebody_swapped_is_rebuilt(
    filled: tuple[Database, SearchIndex], meilisearch_server: MeilisearchServer
) -> None:
    database, index = filled
    other = SearchIndex(meilisearch_server.url, meilisearch_server.key, index.uid)
    index.create(index.next_uid)
    other.swap()
    assert held(index) == {}
    documents.catch_up(database, index)
    assert held(index) == wanted(database)
    assert len(held(index)) == SERVERS


def test_an_index_whose_documents_were_wiped_is_noticed_and_mended(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    index.wait(index.delete(list(held(index))))
    assert held(index) == {}
    report = verify(database, index)
    assert not report.ok
    assert len(report.index.missing) == SERVERS
    repair(database, index, report)
    assert held(index) == wanted(database)
    assert verify(database, index).ok


def test_a_change_of_settings_is_a_rebuild(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    before = index.identity()
    monkeypatch.setitem(SETTINGS, "stopWords", ["mcp", "pdf"])
    documents.catch_up(database, index)
    assert index.identity() != before
    assert held(index) == wanted(database)
    assert index._client.index(index.uid).get_stop_words() == ["mcp", "pdf"]
    assert index.identity(index.next_uid) is None
    identity = index.identity()
    documents.catch_up(database, index)
    assert index.identity() == identity


def test_a_change_of_rules_is_a_rebuild(filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch) -> None:
    database, index = filled
    before = index.identity()
    monkeypatch.setattr(catalogue, "fingerprint", lambda: "other rules")
    after(database, index)
    assert index.identity() != before
    assert held(index) == wanted(database)


def test_a_rebuild_takes_what_was_appended_meanwhile(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    create = SearchIndex.create

    def create_late(self: SearchIndex, uid: str) -> str:
        appended(database, observed(record("com.example/late")), withdrawn(record("com.example/server-1")))
        runner.catch_up(database)
        return create(self, uid)

    monkeypatch.setattr(SearchIndex, "create", create_late)
    documents.rebuild(database, index)
    assert held(index) == wanted(database)
    assert id_of("com.example/late") in held(index)


def test_a_rebuild_is_not_put_off_by_a_catalogue_that_goes_on(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled

    def compare_late(*arguments: Any) -> Any:
        appended(database, changed(record("com.example/server-1", title="late")), observed(record("com.example/new")))
        appended(database, withdrawn(record("com.example/server-2")))
        runner.catch_up(database)
        return compare_positions(*arguments)

    monkeypatch.setattr(documents, "compare_positions", compare_late)
    documents.rebuild(database, index)
    documents.catch_up(database, index)
    assert held(index) == wanted(database)


WRONG: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "1 missing, 0 extra, 0 different": lambda some: some[1:],
    "0 missing, 1 extra, 0 different": lambda some: [*some, {"id": "added", "position": 1}],
    "0 missing, 0 extra, 1 different": lambda some: [{**some[0], "position": 0}, *some[1:]],
    "0 missing, 0 extra, 2 different": lambda some: [{"id": one["id"]} for one in some[:2]] + some[2:],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_rebuilt_index_that_is_not_what_the_catalogue_says_is_not_put_in_place(
    wrong: str, filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    before, identity = held(index), index.identity()
    send = SearchIndex.send

    def send_wrong(self: SearchIndex, some: BinaryIO, uid: str | None = None) -> int:
        some.seek(0)
        return send(self, lines(WRONG[wrong]([json.loads(line) for line in some])), uid)

    monkeypatch.setattr(SearchIndex, "send", send_wrong)
    with pytest.raises(IndexRefused, match=wrong):
        documents.rebuild(database, index)
    assert index.identity() == identity
    assert held(index) == before


def test_searches_are_answered_in_full_during_rebuilds(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    stop, found, failed = threading.Event(), [], []

    def search() -> None:
        mine = SearchIndex(index.url, index._client.config.api_key, index.uid)
        while not stop.is_set():
            try:
                found.append(len(mine.search("reads pdf", limit=100)["hits"]))
            except IndexRefused as error:
                failed.append(error)

    searcher = threading.Thread(target=search)
    searcher.start()
    try:
        for number in range(4):
            appended(database, changed(record("com.example/server-1", title=f"Title {number}")))
            runner.catch_up(database)
            documents.rebuild(database, index)
            assert held(index)[id_of("com.example/server-1")]["title"] == f"Title {number}"
            so_far = len(found)
            wait_until(lambda: len(found) > so_far or failed)  # noqa: B023 - called at once
    finally:
        stop.set()
        searcher.join()
    assert failed == []
    assert set(found) == {SERVERS}


def test_two_may_rebuild_and_catch_up_at_once(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    appended(database, *(observed(record(f"com.example/more-{number}")) for number in range(5)))
    runner.catch_up(database)
    failed: list[BaseException] = []

    def act(what: Callable[[Database, SearchIndex], object]) -> None:
        mine = Database(database.shown)
        try:
            what(mine, SearchIndex(index.url, index._client.config.api_key, index.uid))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failed.append(error)
        mine.close()

    acts = [documents.rebuild, documents.rebuild, documents.catch_up, documents.catch_up]
    threads = [threading.Thread(target=act, args=(what,)) for what in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert held(index) == wanted(database)
    assert index.identity(index.next_uid) is None


class Crash(BaseException):
    """The process is gone."""


STEPS = ("identity", "create", "drop", "swap", "send", "delete", "wait")


def crashing(patch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Ends the process just before a step of what comes next: a call to Meilisearch, or a write of a checkpoint.

    Just before a step is just after the one before it. Gives the steps that were taken.
    """
    taken: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if len(taken) == step:
                raise Crash(name)
            taken.append(name)
            return real(*arguments, **options)

        return call

    for name in STEPS:
        patch.setattr(SearchIndex, name, watched(name, getattr(SearchIndex, name)))
    for module in (documents, filling):
        patch.setattr(module, "write_checkpoint", watched("write_checkpoint", checkpoints.write_checkpoint))
    patch.setattr(documents, "drop_checkpoint", watched("drop_checkpoint", checkpoints.drop_checkpoint))
    return taken


@pytest.mark.parametrize("first", [0, 1, 2, 3])
@pytest.mark.parametrize("what", ["rebuild", "settings", "missing"])
def test_a_crash_at_any_step_is_mended_by_the_next_catch_up(
    what: str, first: int, filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    for step in range(first, 100, 4):
        if what == "settings":
            monkeypatch.setitem(SETTINGS, "stopWords", [f"word{step}"])
        if what == "missing":
            index.drop(index.uid)
        appended(database, changed(record("com.example/server-1", title=f"before {step}")))
        runner.catch_up(database)
        whole = 0 if what == "missing" else len(held(index))
        with monkeypatch.context() as patched:
            taken = crashing(patched, step)
            try:
                (documents.rebuild if what == "rebuild" else documents.catch_up)(database, index)
            except Crash as crash:
                taken.append(f"crash before {crash}")
        if what != "missing":
            assert len(held(index)) == whole, taken
        come_or_go = (withdrawn if step % 2 else returned)(record("com.example/server-3"))
        after(database, index, changed(record("com.example/server-2", title=f"after {step}")), come_or_go)
        assert held(index) == wanted(database), taken
        assert index.identity(index.next_uid) is None, taken
        assert checkpoint(database, checkpoints.DOCUMENTS_NEXT) is None, taken
        live = checkpoint(database)
        assert live is not None
        assert (live.target, live.fingerprint) == (index.identity(), documents.fingerprint()), taken
        assert index._client.index(index.uid).get_stop_words() == sorted(SETTINGS["stopWords"]), taken
        if not taken[-1].startswith("crash"):
            break
    else:
        pytest.fail("never came through")
    assert step >= 10


def test_after_a_crash_between_a_swap_and_its_note_the_new_index_goes_on(
    filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(documents, "_note", crash)
        with pytest.raises(Crash):
            documents.rebuild(database, index)
    swapped = index.identity()
    unfinished, noted = checkpoint(database, checkpoints.DOCUMENTS_NEXT), checkpoint(database)
    assert unfinished is not None
    assert noted is not None
    assert unfinished.target == swapped != noted.target
    after(database, index, changed(record("com.example/server-1", title="after")))
    assert index.identity() == swapped  # no rebuild
    assert held(index) == wanted(database)


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("what", ["rebuild", "missing"])
def test_what_a_crash_left_in_the_queue_of_meilisearch_is_waited_for(
    what: str, step: int, filled: tuple[Database, SearchIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, index = filled
    done: list[int] = []
    succeed = SearchIndex._succeed

    def crash(self: SearchIndex, task: int) -> None:
        if len(done) == step:
            raise Crash
        done.append(task)
        if len(done) == step:  # what comes next waits behind this
            self.send(lines({"id": str(one), "text": "many words " * 20} for one in range(8_000)), busy)
        succeed(self, task)

    busy = f"{index.uid}-busy"
    if what == "missing":
        index.drop(index.uid)
    index.send(lines({"id": str(one), "text": "many words " * 20} for one in range(8_000)), busy)
    with monkeypatch.context() as patched:
        patched.setattr(SearchIndex, "_succeed", crash)
        try:
            (documents.rebuild if what == "rebuild" else documents.catch_up)(database, index)
        except Crash:
            assert len(done) == step
    after(database, index, changed(record("com.example/server-1", title="after")))
    assert held(index) == wanted(database)
    live = checkpoint(database)
    assert live is not None
    assert live.target == index.identity()
    documents.rebuild(database, index)
    assert held(index) == wanted(database)
    assert index.identity(index.next_uid) is None


@pytest.fixture
def report(filled: tuple[Database, SearchIndex]) -> Callable[[], Report]:
    return lambda: verify(*filled)


def test_log_catalogue_and_index_agree(report: Callable[[], Report]) -> None:
    found = report()
    assert found.ok
    assert (found.log.events, found.log.damaged) == (SERVERS + 1, [])
    assert (found.catalogue.entries, found.catalogue.digest) == (SERVERS, found.catalogue.expected)
    assert found.index.documents == SERVERS


def test_verify_first_brings_everything_to_the_logs_end(
    filled: tuple[Database, SearchIndex], report: Callable[[], Report]
) -> None:
    database, index = filled
    appended(database, withdrawn(record("com.example/server-1")))
    with database.write() as connection:
        where = (HELD.c.key == "com.example/server-1",)
        connection.execute(update(HELD).where(*where).values(withdrawn=True))
    assert report().ok
    assert len(held(index)) == SERVERS - 1


def test_a_changed_a_deleted_and_an_added_document_are_named_and_mended(
    filled: tuple[Database, SearchIndex], report: Callable[[], Report]
) -> None:
    database, index = filled
    sent(
        index,
        {**held(index)[id_of("com.example/server-1")], "description": "Buy now"},
        {"id": "added", "name": "com.example/added"},
        {"id": "nameless"},
    )
    index.wait(index.delete([id_of("com.example/server-2")]))
    found = report()
    assert not found.ok
    assert found.index.different == {id_of("com.example/server-1"): "com.example/server-1"}
    assert found.index.missing == {id_of("com.example/server-2"): "com.example/server-2"}
    assert found.index.extra == {"added": "com.example/added", "nameless": "nameless"}
    assert found.index.documents == SERVERS + 1
    assert found.log.damaged == []
    assert found.catalogue.digest == found.catalogue.expected
    repair(database, index, found)
    assert report().ok
    assert held(index) == wanted(database)


def test_a_field_too_many_is_a_difference(filled: tuple[Database, SearchIndex], report: Callable[[], Report]) -> None:
    index = filled[1]
    sent(index, {**held(index)[id_of("com.example/server-1")], "more": 1})
    assert set(report().index.different.values()) == {"com.example/server-1"}


def test_more_than_a_page_of_differences_is_found(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    sent(index, *({"id": f"added-{number}", "name": str(number)} for number in range(1_100)))
    found = verify(database, index)
    assert len(found.index.extra) == 1_100
    assert found.index.documents == SERVERS + 1_100
    repair(database, index, found)
    assert verify(database, index).ok


def test_a_catalogue_that_drifted_is_rebuilt_with_its_index(
    filled: tuple[Database, SearchIndex], report: Callable[[], Report]
) -> None:
    database, index = filled
    right = wanted(database)
    with database.write() as connection:
        connection.execute(delete(ENTRIES).where(ENTRIES.c.name == "com.example/server-1"))
        connection.execute(update(VERSIONS).where(VERSIONS.c.name == "com.example/server-2").values(version="9"))
        connection.execute(
            update(ENTRIES)
            .where(ENTRIES.c.name == "com.example/server-3")
            .values(document=json.dumps({"id": id_of("com.example/server-3"), "name": "com.example/server-3"}))
        )
    found = report()
    assert found.catalogue.digest != found.catalogue.expected
    assert not found.ok
    repair(database, index, found)
    assert report().ok
    assert held(index) == wanted(database) == right


DAMAGE = {
    "another record": (
        "UPDATE records SET text = replace(text, 'Reads', 'Eats') WHERE text LIKE '%server-4\"%'",
        "event 5: its record is not the one that its digest names",
    ),
    "no record": (
        "DELETE FROM records WHERE text LIKE '%server-4\"%'",
        "event 5: its record is not the one that its digest names",
    ),
    "half a record": ("UPDATE records SET text = substr(text, 1, 9) WHERE text LIKE '%server-4\"%'", "event 5: "),
    "half an event": ("UPDATE events SET data = substr(data, 1, 9) WHERE position = 5", "event 5: "),
    "a strange event": ("UPDATE events SET type = 'listing.eaten' WHERE position = 5", "event 5: "),
    "no event": ("DELETE FROM events WHERE position = 5", "server-4"),
    "another revision": ("UPDATE streams SET revision = 7 WHERE stream LIKE '%server-4'", "server-4"),
    "another digest held": ("UPDATE held SET digest = 'x' WHERE key LIKE '%server-4'", "server-4"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_in_the_log_is_named(
    damage: str, filled: tuple[Database, SearchIndex], report: Callable[[], Report]
) -> None:
    database, _ = filled
    statement, named = DAMAGE[damage]
    with database.write() as connection:
        assert connection.execute(text(statement)).rowcount == 1
    found = report()
    assert not found.ok
    assert any(named in sentence for sentence in found.log.damaged), found.log.damaged
    assert len(found.log.damaged) <= 2
    assert found.log.events >= SERVERS - 1


def test_documents_whose_records_have_keys_of_their_own_are_all_indexed(sqlite: Database, index: SearchIndex) -> None:
    # Meilisearch counts every nested key of all documents against 65,535 and then refuses all.
    servers, keys = 7_000, 10
    items = {item["server"]["name"]: item for item in generate(4 * servers, extra_keys=keys)}
    some = list(items.values())[:servers]
    assert len(some) * keys > 65_535
    appended(sqlite, configured())
    crawled(sqlite, [page(*(seen(item["server"], {}) for item in some))])
    runner.catch_up(sqlite)
    documents.catch_up(sqlite, index)
    assert index.count() == servers
    assert reached(sqlite) == servers + 1


def test_a_search_key_searches_and_nothing_else(filled: tuple[Database, SearchIndex]) -> None:
    _, index = filled
    key = index.search_key()
    assert index.search_key() == key
    reader = SearchIndex(index.url, key, index.uid)
    assert len(reader.search("reads pdf", limit=100)["hits"]) == SERVERS
    with pytest.raises(IndexRefused):
        reader.send(lines([{"id": "a"}]))
    with pytest.raises(IndexRefused):
        SearchIndex(index.url, key, index.next_uid).search("server")


def test_changes_can_be_followed_by_position(filled: tuple[Database, SearchIndex]) -> None:
    database, index = filled
    before = reached(database)
    after(database, index, changed(record("com.example/server-1", title="New")), configured("other"))
    found = index.search("", filter=f"position > {before}", sort=["position:asc"])
    assert [(hit["name"], hit["position"]) for hit in found["hits"]] == [("com.example/server-1", before + 1)]


def test_waiting_for_a_task_is_patient(filled: tuple[Database, SearchIndex]) -> None:
    _, index = filled
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    patient = SearchIndex(index.url, index._client.config.api_key, index.uid, sleep=pause)
    patient.wait(patient.send(lines([{"id": "a"}])))
    assert pauses == sorted(pauses)
    assert all(seconds <= 0.25 for seconds in pauses)
    assert patient.present(["a", "b"]) == {"a"}
