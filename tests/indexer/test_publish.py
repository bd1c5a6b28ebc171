"""The exchange, on RabbitMQ and on Redis: in order, each event at least once, whoever dies."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from indexer import publish
from indexer.database import Database
from indexer.errors import ExchangeUnavailable
from indexer.projections import runner
from indexer.queries import projections
from indexer.redaction import redact
from indexer.sources import remember_sources
from indexer.store import Write, append
from indexer.text import digest
from schemas.cloud_events import cloud_event, event_schema
from schemas.events import RecordQuarantined, SourceConfigured
from schemas.names import ServerName, SourceName, crawls_stream
from tests.conftest import made as server_of
from tests.indexer.made import START, appended, log, observed, process, record
from tests.indexer.test_store import append_some
from tests.reading import Reader, reading
from tests.server_process import Server
from tests.servers import RabbitServer, RedisServer

Json = dict[str, Any]


@pytest.fixture
def reader(broker_url: str) -> Iterator[Reader]:
    """A service that reads everything."""
    with reading(broker_url) as one:
        yield one


def published(database: Database, url: str, **more: Callable[[], bool]) -> bool:
    with publish.exchange(url) as send:
        return publish.publish(database, send, **more)


def some(database: Database, count: int, first: int = 0) -> None:
    appended(database, *(observed(record(version=str(number))) for number in range(first, first + count)))


def checkpoint(database: Database) -> int:
    with database.read() as connection:
        return publish.published(connection)


def test_every_event_is_a_message_in_the_order_of_the_log(database: Database, broker_url: str, reader: Reader) -> None:
    appended(
        database, observed(record(title="Grün \ud800 100000000000000000000"), None), observed(record("com.example/b"))
    )
    assert published(database, broker_url) is True

    found = reader.read()
    assert [json.loads(one.body) for one in found] == [cloud_event(one) for one in log(database)]
    assert {one.content_type for one in found} == {"application/cloudevents+json"}
    assert [one.delivery_info["routing_key"] for one in found] == ["listing.observed"] * 2
    assert {one.properties["delivery_mode"] for one in found} == {2}
    assert set(event_schema()["required"]) == set(json.loads(found[0].body))


def test_what_was_published_is_not_published_again(database: Database, broker_url: str, reader: Reader) -> None:
    some(database, 3)
    published(database, broker_url)
    published(database, broker_url)
    assert reader.positions() == [1, 2, 3]
    some(database, 2, first=3)
    published(database, broker_url)
    assert reader.positions() == [4, 5]


def test_a_reader_takes_what_it_asks_for(database: Database, broker_url: str) -> None:
    remember_sources(database, [SourceConfigured(source=SourceName("official"), kind="registry", trust=1)], at=START)
    some(database, 2)
    with reading(broker_url, "listing.*") as listings, reading(broker_url, "source.configured") as sources:
        published(database, broker_url)
        assert listings.positions() == [2, 3]
        assert sources.positions() == [1]


def test_no_reader_is_no_reason_to_wait(database: Database, broker_url: str) -> None:
    some(database, 3)
    assert published(database, broker_url) is True
    assert checkpoint(database) == 3


def test_many_pages_are_many_checkpoints(
    database: Database, broker_url: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.PAGE_BYTES", 1_000)
    some(database, 30)
    assert published(database, broker_url, enough=lambda: True) is False
    assert 0 < checkpoint(database) < 30
    assert published(database, broker_url) is True
    assert reader.positions() == list(range(1, 31))


def test_a_source_that_may_not_be_passed_on_is_not(database: Database, broker_url: str, reader: Reader) -> None:
    private = SourceConfigured(source=SourceName("private"), kind="registry", trust=1, republish=False)
    public = SourceConfigured(source=SourceName("public"), kind="registry", trust=1)
    appended(database, observed(source="private"), observed(source="public"))
    text = json.dumps({"title": "secret"})
    quarantined = RecordQuarantined(source=private.source, digest=digest(text), reason="no name", size=9, text=text)
    with database.write() as connection:
        append(connection, [Write(crawls_stream(private.source), quarantined)], at=START)
    remember_sources(database, [private, public], at=START)

    published(database, broker_url)
    found = [json.loads(one.body) for one in reader.read()]
    assert [(one["type"], one["data"]["source"]) for one in found] == [
        ("listing.observed", "public"),
        ("source.configured", "private"),
        ("source.configured", "public"),
    ]
    assert checkpoint(database) == 5

    appended(database, observed(record(version="2"), source="private"))
    remember_sources(database, [public], at=START)  # removed from the file, and still not ours to pass on
    published(database, broker_url)
    assert [json.loads(one.body)["type"] for one in reader.read()] == ["source.removed"]

    appended(database, observed(record(version="3"), source="private"))
    remember_sources(database, [private.model_copy(update={"republish": True}), public], at=START)
    published(database, broker_url)
    assert [json.loads(one.body)["type"] for one in reader.read()] == ["listing.observed", "source.configured"]


def _publish_and_die(database_url: str, url: str) -> None:
    """Publishes a page, and is killed before its checkpoint is written."""
    publish.write_checkpoint = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[attr-defined]
    published(Database(database_url), url)


def test_who_is_killed_before_the_checkpoint_publishes_again_and_skips_nothing(
    database_url: str, database: Database, broker_url: str, reader: Reader
) -> None:
    some(database, 5)
    child = process(_publish_and_die, database_url, broker_url)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert checkpoint(database) == 0

    some(database, 2, first=5)
    published(database, broker_url)
    assert reader.positions() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kind", [RabbitServer, RedisServer])
def test_a_broker_that_is_down_loses_nothing(sqlite: Database, kind: type[Server]) -> None:
    with server_of(kind) as broker, reading(broker.url) as reader:
        some(sqlite, 2)
        published(sqlite, broker.url)
        with publish.exchange(broker.url) as send:
            broker.stop()
            some(sqlite, 2, first=2)
            with pytest.raises(ExchangeUnavailable, match="cannot be published to"):
                publish.publish(sqlite, send)
        with pytest.raises(ExchangeUnavailable, match=r"mcp\.events.*start the broker"):
            published(sqlite, broker.url)
        assert checkpoint(sqlite) == 2
        broker.start()
        if kind is RedisServer:  # ours keeps nothing over a restart, not even who reads
            reader = Reader(broker.url)
        published(sqlite, broker.url)
        kept = [1, 2] if kind is RabbitServer else []
        assert reader.positions() == [*kept, 3, 4]


def test_the_sentence_does_not_tell_the_password(sqlite: Database) -> None:
    with pytest.raises(ExchangeUnavailable) as caught:
        published(sqlite, "amqp://user:sekret@127.0.0.1:1//")
    assert "sekret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


def test_nothing_is_skipped_while_many_write(
    database_url: str, database: Database, broker_url: str, reader: Reader
) -> None:
    done = threading.Event()
    with ThreadPoolExecutor() as threads, publish.exchange(broker_url) as send:
        writers = [threads.submit(append_some, database_url, f"writer-{number}", 12) for number in range(3)]
        while not all(writer.done() for writer in writers):
            publish.publish(database, send)
        for writer in writers:
            writer.result()
        publish.publish(database, send)
        done.set()
    assert reader.positions() == [one.position for one in log(database)]


def test_the_exchange_is_a_projection_where_there_is_one(database: Database, broker_url: str) -> None:
    some(database, 3)
    with database.read() as connection:
        assert [one["name"] for one in projections(connection)] == ["catalogue", "documents"]
        assert projections(connection, publishes=True)[-1] == {"name": "exchange", "checkpoint": 0, "lag": 3}
    published(database, broker_url)
    with database.read() as connection:
        assert projections(connection, publishes=True)[-1] == {"name": "exchange", "checkpoint": 3, "lag": 0}


def test_a_decision_does_not_name_what_may_not_be_passed_on(sqlite: Database, rabbitmq_url: str) -> None:
    private = SourceConfigured(source=SourceName("private"), kind="registry", trust=1, republish=False)
    public = SourceConfigured(source=SourceName("public"), kind="registry", trust=1)
    remember_sources(sqlite, [private, public], at=START)
    mine, ours = record("com.example/mine"), record("com.example/ours")
    appended(sqlite, observed(mine, source="private"), *(observed(ours, source=one) for one in ("private", "public")))
    runner.catch_up(sqlite)
    with sqlite.write() as connection:
        for one in (mine, ours):
            redact(connection, ServerName(digest(one)), reason="holds a key", at=START)
    with reading(rabbitmq_url, "decision.redacted") as decisions:
        published(sqlite, rabbitmq_url)
        found = [json.loads(one.body)["data"] for one in decisions.read()]
    assert [one["name"] for one in found] == [None, "com.example/ours"]
    assert [one["digest"] for one in found] == [digest(mine), digest(ours)]


def test_rabbitmq_by_its_other_name(sqlite: Database, rabbitmq_url: str) -> None:
    some(sqlite, 1)
    with reading(rabbitmq_url) as reader:
        published(sqlite, rabbitmq_url.replace("amqp://", "pyamqp://"))
        assert reader.positions() == [1]
