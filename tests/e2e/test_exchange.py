"""Messages for others: published by workers and by `crawl`, kept by the README's program."""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from indexer import publish
from indexer.database import Database
from indexer.migrations import migrate
from tests import readme
from tests.conftest import made
from tests.e2e.celery_processes import Running, beat, running, worker
from tests.e2e.home import Home
from tests.indexer.made import appended, changed, log, observed, record, status_changed
from tests.listed import item, items, server
from tests.ports import LOOPBACK
from tests.reading import Reader, reading
from tests.server_process import Server
from tests.servers import RabbitServer, RedisServer
from tests.waiting import PATIENCE, wait_until
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]


@pytest.fixture
def broker_url(broker_url: str, home: Home) -> str:
    """Each broker in turn, which the home has."""
    home.set(BROKER_URL=broker_url)
    return broker_url


def exchange_of(home: Home) -> Json:
    (found,) = (one for one in home.run("status", "--json").object["projections"] if one["name"] == "exchange")
    return dict(found)


def bodies(reader: Reader) -> list[Json]:
    return [json.loads(one.body) for one in reader.read()]


def test_a_crawl_by_hand_publishes_what_it_recorded(home: Home, broker_url: str) -> None:
    with reading(broker_url) as reader:
        home.crawl("--max-pages", "2")
        assert bodies(reader) == home.events()
        home.crawl()
        assert [int(one["id"]) for one in bodies(reader)] == list(range(43, 124))
    position = home.run("status", "--json").object["log"]["position"]
    assert exchange_of(home) == {"name": "exchange", "checkpoint": position, "lag": 0}
    assert f"exchange: checkpoint {position} of {position}, lag 0" in home.run("status").out


def test_workers_publish_without_a_hand(home: Home, broker_url: str) -> None:
    with reading(broker_url) as reader, worker(home, "one"), worker(home, "two"), beat(home):
        wait_until(lambda: home.kinds()[-1:] == ["crawl.completed"], every=0.2)
        wait_until(lambda: exchange_of(home)["lag"] == 0, every=0.2)
        assert bodies(reader) == home.events()


def test_without_a_broker_there_is_no_exchange(home: Home) -> None:
    home.crawl()
    assert [one["name"] for one in home.run("status", "--json").object["projections"]] == ["catalogue", "documents"]


def test_a_broker_that_is_down_is_one_sentence_and_the_crawl_is_done(home: Home, dead_port: int) -> None:
    home.set(BROKER_URL=f"amqp://user:sekret@{LOOPBACK}:{dead_port}//")
    ran = home.run("crawl", "--json")
    assert ran.status == 0
    assert ran.object["index"]["lag"] == 0
    assert "cannot be published to" in ran.sentence
    assert "sekret" not in ran.sentence
    assert exchange_of(home) == {"name": "exchange", "checkpoint": 0, "lag": 123}


def test_a_source_that_may_not_be_passed_on(home: Home, serve: Serve, broker_url: str) -> None:
    home.watch(official=serve(items(3)).url, private=serve([item(server(9))]).url)
    text = home.sources_file.read_text()
    home.sources_file.write_text(text.replace('name = "private"', 'name = "private"\nrepublish = false'))
    with reading(broker_url) as reader:
        home.crawl()
        found = bodies(reader)
    assert [one["data"]["source"] for one in found if one["type"].startswith("listing.")] == ["official"] * 3
    assert "tool-0009" not in json.dumps(found)
    assert home.run("show", "io.github.acme/tool-0009").status == 0


def copied(home: Home) -> dict[tuple[str, str], tuple[bool, Any]]:
    """What the README's program holds: of each version, whether it is listed, and its record."""
    path = home.folder / "copy.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as copy:
        rows = copy.execute("SELECT key, version, listed, record FROM versions").fetchall()
    return {
        (key, json.loads(version)): (bool(listed), json.loads(text or "null")) for key, version, listed, text in rows
    }


@contextmanager
def copying(home: Home) -> Iterator[Running]:
    """The README's program, which reads."""
    (program,) = (step.command for step in readme.steps() if step.file == "keep_copy.py")
    (home.folder / "keep_copy.py").write_text(program)
    with running(home, "copy", [sys.executable, "keep_copy.py"]) as one:
        wait_until(lambda: one.says("reading"))
        yield one


def test_the_copy_of_the_readme_survives_being_killed(home: Home, serve: Serve, rabbitmq_url: str) -> None:
    before = items(40)
    after = [item({**server(number), "title": "New"}) for number in range(20)] + before[20:] + [item(server(99))]
    wanted = {(one["server"]["name"], "1.0.0"): (True, one["server"]) for one in after}
    home.set(BROKER_URL=rabbitmq_url)
    home.watch(official=serve(before).url)
    with copying(home):
        home.crawl()
        wait_until(lambda: copied(home))
    home.watch(official=serve(after).url)
    home.crawl("--audit")
    with copying(home):
        wait_until(lambda: copied(home) == wanted)


@pytest.mark.parametrize("kind", [RabbitServer, RedisServer])
def test_the_copy_of_the_readme_outlives_its_broker(home: Home, serve: Serve, kind: type[Server]) -> None:
    registry = serve(items(3))
    home.watch(official=registry.url)
    with made(kind) as broker:
        home.set(BROKER_URL=broker.url)
        with copying(home) as one:
            home.crawl()
            wait_until(lambda: len(copied(home)) == 3)
            broker.kill()
            broker.start()
            wait_until(lambda: one.log.read_text().count("reading") >= 2)  # it may lose it again at first
            registry.registry.publish(server(9))
            home.crawl()
            wait_until(lambda: len(copied(home)) == 4)


def test_the_copy_of_the_readme_takes_what_comes_late(home: Home, broker_url: str) -> None:
    database = Database(f"sqlite:///{home.folder / 'log.sqlite'}")
    migrate(database)
    new = record("com.example/late", title="New")
    appended(database, observed(record("com.example/late")), changed(new), status_changed(new))
    first, second, third = log(database)
    database.close()
    with copying(home), publish.exchange(broker_url) as send:
        send([third, first])  # as on Redis, where what a killed reader had comes back later
        wait_until(lambda: ("com.example/late", "1.0.0") in copied(home))
        wait_until(lambda: copied(home)["com.example/late", "1.0.0"] == (True, record("com.example/late")))
        send([second])
        wait_until(lambda: copied(home)["com.example/late", "1.0.0"] == (True, new))
