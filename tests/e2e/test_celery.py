"""Workers and beat as processes, on each broker: what is due is crawled through to the index, whoever dies."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.celery_processes import CELERY, beat, celery, running, worker
from tests.e2e.conftest import PROGRAM, Home, cursors, item, items, server
from tests.servers import wait_until
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]
PAGES = 61


@pytest.fixture(params=["filesystem and SQLite", "RabbitMQ and Postgres", "Redis and Postgres"])
def team(request: pytest.FixtureRequest, home: Home) -> Home:
    """A home on each broker in turn."""
    home.set(MEILI_BINARY=None, CONTACT="https://team.example")
    if request.param.endswith("Postgres"):
        home.set(DATABASE_URL=request.getfixturevalue("postgres_url"))
        broker = "rabbitmq_url" if request.param.startswith("RabbitMQ") else "redis_url"
        home.set(BROKER_URL=request.getfixturevalue(broker))
    return home


@pytest.fixture
def slow(home: Home, serve: Serve) -> SampleServer:
    """A registry of many pages that takes its time for each."""
    served = serve(items(PAGES - 1))
    served.faults.delay = 0.1
    home.watch(official=served.url, page_size=1)
    return served


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def recorded(home: Home) -> int:
    return home.kinds().count("listing.observed")


def documents(home: Home) -> int:
    found: int = home.run("status", "--json").object["index"]["documents"]
    return found


def crawls(home: Home) -> list[tuple[str, str, str]]:
    found = home.run("crawls", "--json").objects
    return [(one["source"], one["mode"], one["status"]) for one in found]


def test_what_is_due_is_crawled_without_a_hand_and_a_new_source_without_a_restart(team: Home, serve: Serve) -> None:
    first, second = serve(items(60, ("1.0.0", "1.1.0"))), serve([item(server(number)) for number in range(100, 120)])
    team.watch(official=first.url)
    with worker(team, "one"), worker(team, "two"), beat(team):
        wait_until(lambda: documents(team) == 60, timeout=60, every=0.2)
        team.watch(official=first.url, mirror=second.url)
        wait_until(lambda: documents(team) == 80, timeout=60, every=0.2)
    assert sorted(crawls(team)) == [("mirror", "full", "completed"), ("official", "full", "completed")]
    assert team.agrees()


def test_a_message_that_comes_again_or_by_hand_does_nothing(team: Home) -> None:
    with worker(team, "one") as one:
        celery(team, "call", "schedule.due")
        wait_until(lambda: documents(team) == 60, timeout=60, every=0.2)
        before = len(team.kinds())
        for _ in range(3):
            celery(team, "call", "crawl.source", "--args", '["official"]')
        celery(team, "call", "crawl.source", "--args", '["nobody"]')
        wait_until(lambda: one.log.read_text().count("Task crawl.source") >= 2 * (1 + 4), timeout=60)
    assert len(team.kinds()) == before


def test_a_worker_told_to_stop_ends_at_its_next_page_and_another_goes_on(team: Home, slow: SampleServer) -> None:
    with worker(team, "one") as one:
        celery(team, "call", "schedule.due")
        wait_until(lambda: recorded(team) >= 3, timeout=60)
        one.process.terminate()
        asked = len(slow.requests)
        assert one.process.wait(60) == 0
        assert len(slow.requests) <= asked + 4
    assert recorded(team) < PAGES - 1
    assert team.run("status", "--json").object["sources"][0]["holder"] is None
    with worker(team, "two"), beat(team):
        wait_until(lambda: documents(team) == PAGES - 1, timeout=90, every=0.2)
    assert crawls(team) == [("official", "full", "completed")]
    assert max(cursors(slow).values()) <= 2
    assert team.agrees()


@pytest.mark.usefixtures("slow")
def test_what_a_killed_worker_did_goes_on_elsewhere(team: Home) -> None:
    with worker(team, "one") as one:
        celery(team, "call", "schedule.due")
        wait_until(lambda: recorded(team) >= 3, timeout=60)
        one.kill()
    left = recorded(team)
    assert left < PAGES - 1
    (source,) = team.run("status", "--json").object["sources"]
    assert (source["holder"], source["last_crawl"]["status"]) == (None, "interrupted")
    with worker(team, "two"), beat(team):
        wait_until(lambda: documents(team) == PAGES - 1, timeout=120, every=0.2)
    assert crawls(team) == [("official", "full", "completed")]
    assert recorded(team) == PAGES - 1
    assert team.agrees()


def test_a_paused_source_ends_at_its_next_page_and_goes_on_once_resumed(home: Home, slow: SampleServer) -> None:
    with worker(home, "one") as one:
        celery(home, "call", "schedule.due")
        wait_until(lambda: recorded(home) >= 3, timeout=60)
        assert home.run("pause", "official").status == 0
        wait_until(lambda: one.says("official: interrupted"), timeout=60)
        assert home.run("status", "--json").object["sources"][0]["state"] == "paused"
        assert home.run("crawl", "official").status == 2
        celery(home, "call", "schedule.due")
        asked = len(slow.requests)
        celery(home, "call", "crawl.source", "--args", '["official"]')
        wait_until(lambda: one.log.read_text().count("Task crawl.source") >= 4, timeout=60)
        assert len(slow.requests) == asked
        assert home.run("resume", "official").status == 0
        slow.faults.delay = 0
        celery(home, "call", "schedule.due")
        wait_until(lambda: documents(home) == PAGES - 1, timeout=60, every=0.2)
    assert crawls(home) == [("official", "full", "completed")]


def test_workers_answer_who_inspects_them(home: Home) -> None:
    with worker(home, "one"), worker(home, "two"):
        pong = celery(home, "inspect", "ping", "--timeout", "2")
        assert "2 nodes online" in pong
        tasks = celery(home, "inspect", "registered", "--timeout", "2")
        assert all(name in tasks for name in ("crawl.source", "project", "schedule.due"))


def test_up_runs_all_and_leaves_nothing_behind(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: documents(home) == 60, timeout=60, every=0.2)
        pids = children(up.process.pid)
        assert len(pids) >= 2
        assert up.stop() == 0
    wait_until(lambda: not any(alive(pid) for pid in pids))
    assert crawls(home) == [("official", "full", "completed")]


def test_up_that_is_killed_takes_its_children_along(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: len(children(up.process.pid)) == 2, timeout=60)
        pids = children(up.process.pid)
        up.process.kill()
        up.process.wait(60)
        wait_until(lambda: not any(alive(pid) for pid in pids), timeout=60)


def test_up_ends_when_a_child_ends_by_itself(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: up.says("ready."), timeout=60)
        beat_pid = next(pid for pid in children(up.process.pid) if b"beat" in command(pid))
        os.kill(beat_pid, signal.SIGKILL)
        assert up.process.wait(60) == 1
        assert up.says("The schedule ended by itself")


@pytest.mark.parametrize("command", [[*CELERY, "worker"], [str(PROGRAM), "up"], [str(PROGRAM), "doctor"]])
def test_a_broker_that_cannot_be_used_is_one_sentence_without_its_password(home: Home, command: list[str]) -> None:
    home.set(BROKER_URL="amqp://user:sekret@host:port//")
    with running(home, "command", command) as one:
        assert one.process.wait(60) == (1 if "doctor" in command else 2)
    (_,) = (line for line in one.log.read_text().splitlines() if "MCP_INDEXER_BROKER_URL cannot be used" in line)
    assert not one.says("Traceback")
    assert not one.says("sekret")


def test_a_wrong_environment_is_one_sentence(home: Home) -> None:
    home.set(INDEX="not an index")
    with running(home, "worker", [*CELERY, "worker"]) as one:
        assert one.process.wait(60) == 2
    assert one.log.read_text().strip().splitlines() == [
        "MCP_INDEXER_INDEX cannot be used: an index's uid is letters, digits, - and _; change it or unset it."
    ]
