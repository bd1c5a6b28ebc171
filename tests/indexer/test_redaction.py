"""What must go can go: blank in the log and in all that is made of it, and blank when it is seen again."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from indexer import quarantine
from indexer.database import Database
from indexer.errors import NotFound
from indexer.migrations import migrate
from indexer.projections import documents, runner
from indexer.projections.rows import ENTRIES, VERSIONS
from indexer.projections.tail import Tail
from indexer.queries import show, standings
from indexer.record import record_page
from indexer.redaction import Redaction, redact
from indexer.search import SearchIndex
from indexer.store import RECORDS, append
from indexer.text import digest
from indexer.verify import check_catalogue, check_log, verify
from schemas.events import DecisionRedacted, ListingEvent, RecordQuarantined
from schemas.names import ListingKey, ServerName, decisions_stream, document_id
from schemas.observations import Page, Unidentified
from tests.indexer.made import (
    NAME,
    SOURCE,
    appended,
    at,
    begun,
    changed,
    configured,
    crawled,
    log,
    observed,
    page,
    process,
    record,
    seen,
    status_changed,
)
from tests.servers import MeilisearchServer
from tests.waiting import wait_until

SECRET = "Pluvial-Marzipan-77"
OTHER = "com.example/other"


def secret(name: str = NAME, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """A record that must go; its schema refuses it, and the refusal quotes it."""
    return record(name, version, title=SECRET, websiteUrl=f"no address {SECRET}", **more)


def redacted(database: Database, what: str) -> Redaction:
    with database.write() as connection:
        return redact(connection, ServerName(what), reason="holds a key", at=at(9))


def everything(database: Database) -> str:
    """All that the database's tables hold, as text."""
    with database.read() as connection:
        names = ["events", "records", "held", "quarantine", "crawl_state", "catalogue_versions", "catalogue_entries"]
        return "\n".join(
            repr(tuple(row)) for name in names for row in connection.execute(text(f"SELECT * FROM {name}"))
        )


def live(database: Database) -> tuple[str, str]:
    runner.catch_up(database)
    found = check_catalogue(database)
    return found.digest, found.expected


def names(database: Database) -> set[str]:
    """The names that have a document."""
    with database.read() as connection:
        return set(connection.scalars(select(ENTRIES.c.name).where(ENTRIES.c.document.is_not(None))))


def test_all_records_of_a_server_are_blank_and_their_events_stay(database: Database) -> None:
    older, newer = secret(version="1.0.0"), secret(version="2.0.0")
    appended(database, configured(), observed(older), observed(newer), observed(record(OTHER)))
    appended(database, changed(secret(version="1.0.0", more=1)), observed(older, source="mirror"))
    runner.catch_up(database)
    assert SECRET in everything(database)
    before = log(database)
    found = redacted(database, NAME)
    assert found.digests == found.new == [digest(one) for one in (older, newer, secret(version="1.0.0", more=1))]
    runner.catch_up(database)
    assert SECRET not in everything(database)
    after = log(database)
    for was, now in zip(before, after[: len(before)], strict=True):
        if isinstance(was.event, ListingEvent) and was.event.name == NAME:
            assert now.event == was.event.model_copy(update={"record": None, "redacted": True})
            assert now._replace(event=was.event) == was
        else:
            assert now == was
    decisions = after[len(before) :]
    assert [one.event for one in decisions] == [
        DecisionRedacted(digest=one, name=ServerName(NAME), reason="holds a key") for one in found.digests
    ]
    assert {one.stream for one in decisions} == {decisions_stream()}
    assert found.position == decisions[-1].position
    assert names(database) == {OTHER}


def test_one_record_goes_and_the_version_before_it_is_the_latest(database: Database) -> None:
    appended(database, configured(), observed(record()), observed(secret(version="2.0.0")))
    appended(database, observed(secret(version="2.0.0"), source="mirror"), configured("mirror", trust=5))
    runner.catch_up(database)
    redacted(database, digest(secret(version="2.0.0")))
    runner.catch_up(database)
    with database.read() as connection:
        entry = show(connection, ServerName(NAME))
    assert entry is not None
    assert (entry["version"], entry["version_count"], entry["sources"]) == ("1.0.0", 1, ["official"])
    assert [one["version"] for one in entry["versions"]] == ["1.0.0"]
    assert entry["position"] == log(database)[-1].position


def test_a_mirror_does_not_raise_what_was_redacted(database: Database) -> None:
    appended(database, configured(), configured("mirror", trust=5), observed(secret()))
    appended(database, observed(record(), source="mirror"))
    redacted(database, digest(secret()))
    runner.catch_up(database)
    assert names(database) == set()


def test_a_server_without_another_record_is_not_shown(database: Database) -> None:
    appended(database, configured(), observed(secret()))
    redacted(database, NAME)
    runner.catch_up(database)
    with database.read() as connection, pytest.raises(NotFound, match="are redacted; `mcp-indexer history"):
        show(connection, ServerName(NAME))


def test_the_catalogue_that_grew_is_the_one_that_is_rebuilt(database: Database) -> None:
    appended(database, configured(), observed(secret()), observed(secret(version="2.0.0")), observed(record(OTHER)))
    runner.catch_up(database)
    redacted(database, NAME)
    appended(database, status_changed(secret()), changed(record(version="2.0.0")))
    grown, rebuilt = live(database)
    assert grown == rebuilt
    assert names(database) == {NAME, OTHER}
    runner.rebuild(database)
    assert live(database) == (grown, grown)
    assert check_log(database).damaged == []


def test_nothing_is_said_against_what_is_blank(database: Database) -> None:
    crawled(database, [page(seen(secret()), seen(record(OTHER, "1.0.0", websiteUrl="no address")))])
    runner.catch_up(database)
    redacted(database, NAME)
    runner.catch_up(database)
    with database.read() as connection:
        standing = standings(connection)[SOURCE]
        said = connection.execute(select(VERSIONS.c.valid, VERSIONS.c.redacted).where(VERSIONS.c.name == NAME)).one()
    assert (standing.versions, standing.invalid, tuple(said)) == (2, 1, (True, True))


def test_the_same_record_again_stays_blank(database: Database) -> None:
    one = seen(secret())
    crawled(database, [page(one)])
    redacted(database, NAME)
    count = len(log(database))
    assert crawled(database, [page(one)], audit=True).walk.counts.unchanged == 1  # type: ignore[union-attr]
    assert len(log(database)) == count
    for observation in (seen(record()), one, seen(secret(), key="elsewhere")):
        crawled(database, [page(observation)], audit=True)
    runner.catch_up(database)
    assert [(e.event.type, e.event.redacted) for e in log(database)[count:]] == [  # type: ignore[union-attr]
        ("listing.changed", False),
        ("listing.changed", True),
        ("listing.observed", True),
    ]
    assert SECRET not in everything(database)
    assert names(database) == set()
    assert live(database)[0] == live(database)[1]


def test_a_crawl_counts_no_verdict_on_what_is_blank(database: Database) -> None:
    appended(database, observed(secret()))
    redacted(database, NAME)
    state = crawled(database, [page(seen(secret(), key="elsewhere"))])
    assert state.walk is not None
    assert (state.walk.counts.new, state.walk.counts.invalid) == (1, 0)


def test_what_this_process_just_appended_is_as_blank_as_the_log(database: Database) -> None:
    appended(database, configured(), observed(secret()))
    redacted(database, NAME)
    runner.catch_up(database)
    lease, state = begun(database)
    tail = Tail()
    with database.write() as connection:
        _, done = record_page(
            connection, lease, state, page(seen(secret(), key="elsewhere")), at=at(3), requests=1, seconds=0
        )
    assert done is not None
    tail.add(done)
    assert [one._replace(valid=None) for one in done.events] == log(database, log(database)[-2].position)
    runner.catch_up(database, tail=tail)
    assert SECRET not in everything(database)
    assert live(database)[0] == live(database)[1]


def test_what_cannot_be_identified_goes_too(database: Database) -> None:
    item = {"server": {"title": SECRET}}
    found = Unidentified(item, "the record has no name", item["server"])
    crawled(database, [Page((found, seen(secret())), None)])
    redacted(database, digest(item["server"]))
    redacted(database, NAME)
    runner.catch_up(database)
    assert SECRET not in everything(database)
    with database.read() as connection:
        (recorded,) = quarantine.waiting(connection, SOURCE)
    event = recorded.event
    assert isinstance(event, RecordQuarantined)
    assert (event.text, event.redacted, event.reason) == ("", True, "the record has no name")
    with pytest.raises(ValueError, match="empty document"):
        quarantine.raw(event)
    with database.write() as connection:
        append(connection, quarantine.let_go(connection, SOURCE, [digest(item["server"])]), at=at(9))
    crawled(database, [Page((found,), None)], audit=True)
    assert [e.event.redacted for e in log(database) if isinstance(e.event, RecordQuarantined)] == [True, True]
    assert SECRET not in everything(database)
    assert check_log(database).damaged == []


def test_a_version_that_was_too_large_to_be_listed_goes_with_its_server(database: Database) -> None:
    large = secret(version="2.0.0")
    found = Unidentified(large, "the record takes too much", large, version_of=(seen(large).key, "2.0.0"))
    crawled(database, [Page((seen(secret()), found), None)])
    assert set(redacted(database, NAME).digests) == {digest(secret()), digest(large)}
    runner.catch_up(database)
    assert SECRET not in everything(database)


def test_a_second_time_changes_nothing(database: Database) -> None:
    appended(database, configured(), observed(secret()))
    first = redacted(database, NAME)
    again = redacted(database, NAME)
    assert (again.digests, again.new, again.position) == (first.digests, [], first.position)
    assert redacted(database, first.digests[0]).new == []


@pytest.mark.parametrize("what", ["com.example/nobody", "0" * 64, digest(secret())[:12], "%", "pdf-tools", ""])
def test_what_is_not_known_is_a_sentence_and_changes_nothing(database: Database, what: str) -> None:
    appended(database, configured(), observed(secret()))
    with pytest.raises(NotFound) as refused:
        redacted(database, what)
    assert "\n" not in str(refused.value)
    assert len(log(database)) == 2
    assert SECRET in everything(database)


def test_a_name_that_no_database_holds_is_found(database: Database) -> None:
    odd = secret("com.example/é\x00\ud800\u241b")
    appended(database, observed(odd), observed(secret("com.example/é")))
    assert redacted(database, "com.example/é").digests == [digest(secret("com.example/é"))]
    known = seen(odd).key
    assert redacted(database, known).digests == [digest(odd)]
    assert SECRET not in everything(database)


def test_a_listing_is_found_by_the_name_that_its_record_had(database: Database) -> None:
    event = observed(secret(), source="github").model_copy(update={"key": ListingKey("4711")})
    appended(database, event)
    assert redacted(database, NAME).digests == [digest(secret())]


def test_verify_names_a_record_that_is_blank_without_a_decision_or_there_in_spite_of_one(database: Database) -> None:
    appended(database, configured(), observed(secret()), observed(record(OTHER)))
    redacted(database, NAME)
    with database.write() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.id.endswith(digest(record(OTHER)))).values(text=""))
    assert check_log(database).damaged == ["event 3: its record is gone, and nobody redacted it"]
    with database.write() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.id.endswith(digest(secret()))).values(text='{"title": 1}'))
    assert f"record {digest(secret())}: it was redacted, and is there" in check_log(database).damaged


def test_a_crash_before_the_views_are_brought_over_it_is_made_good(database: Database) -> None:
    appended(database, configured(), observed(secret()), observed(secret(version="0.1.0")))
    runner.catch_up(database)
    redacted(database, digest(secret()))
    appended(database, changed(secret(version="0.1.0", more=1)))
    assert runner.catch_up(database, limit=1) == log(database)[-1].position
    assert live(database)[0] == live(database)[1]


def redact_elsewhere(url: str, what: str) -> None:
    database = Database(url)
    redacted(database, what)
    database.close()


def test_a_page_under_way_ends_before_a_redaction_begins(postgres_url: str) -> None:
    """Else its process would bring its catalogue over a record that the log has blanked."""
    database = Database(postgres_url)
    migrate(database)
    appended(database, observed(secret()))
    lease, state = begun(database)
    with database.write() as connection:
        record_page(connection, lease, state, page(seen(secret(), key="elsewhere")), at=at(3), requests=1, seconds=0)
        other = process(redact_elsewhere, postgres_url, NAME)
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'crawl_state'::regclass")
        wait_until(lambda: connection.scalar(waiting))
    other.join(60)
    assert other.exitcode == 0
    assert [e.event.type for e in log(database)] == ["listing.observed", "listing.observed", "decision.redacted"]
    assert SECRET not in everything(database)
    database.close()


def test_the_files_of_sqlite_keep_nothing(sqlite: Database, tmp_path: Path) -> None:
    appended(sqlite, configured(), *(observed(secret(f"com.example/{number}")) for number in range(50)))
    runner.catch_up(sqlite)
    appended(sqlite, *(changed(record(f"com.example/{number}")) for number in range(25)))
    runner.catch_up(sqlite)
    for number in range(50):
        redacted(sqlite, f"com.example/{number}")
    runner.catch_up(sqlite)
    sqlite.compact()
    left = [path.name for path in tmp_path.iterdir() if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert left == []
    assert check_log(sqlite).damaged == []


def shown(index: SearchIndex, uid: str) -> set[str]:
    return {document["id"] for some in index.pages(uid) for document in some}


def test_the_document_goes_from_the_index_and_from_the_one_that_is_being_built(
    database: Database, index: SearchIndex, meilisearch_server: MeilisearchServer
) -> None:
    appended(database, configured(), observed(secret()), observed(record(OTHER)))
    runner.catch_up(database)
    documents.catch_up(database, index)
    gone, stays = document_id(ServerName(NAME)), document_id(ServerName(OTHER))
    seen_beside: list[set[str]] = []

    class Redacting(SearchIndex):
        """Once the new index is filled and before it is swapped in, a person redacts."""

        def wait(self, task: int) -> None:
            super().wait(task)
            if not seen_beside and (beside := shown(self, self.next_uid)):
                seen_beside.append(beside)
                redacted(database, NAME)
                runner.catch_up(database)

    documents.rebuild(database, Redacting(index.url, meilisearch_server.key, index.uid))
    assert seen_beside == [{gone, stays}]
    assert shown(index, index.uid) == {stays}
    assert verify(database, index).ok


def test_the_document_goes_and_log_catalogue_and_index_agree(database: Database, index: SearchIndex) -> None:
    appended(database, configured(), observed(secret()), observed(record(OTHER)))
    runner.catch_up(database)
    documents.catch_up(database, index)
    redacted(database, NAME)
    runner.catch_up(database)
    documents.catch_up(database, index)
    assert index.search(SECRET)["hits"] == []
    assert shown(index, index.uid) == {document_id(ServerName(OTHER))}
    assert verify(database, index).ok
