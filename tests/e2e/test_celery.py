"""Workers and beat as processes, on each broker: what is due is crawled through to the index, whoever dies."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.celery_processes import CELERY, WORKER, Running, beat, celery, running, through, worker
from tests.e2e.home import PROGRAM, Home
from tests.gate import Gate
from tests.listed import cursors, item, items, server
from tests.servers import RedisServer
from tests.waiting import wait_until
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]
PAGES, HELD = 61, 5


class Held(NamedTuple):
    """A registry, and the gate that holds one of its pages back."""

    upstream: SampleServer
    gate: Gate

    def await_page(self, home: Home) -> None:
        """Waits until that page is asked for, and all before it are recorded."""
        self.gate.await_request()
        wait_until(lambda: recorded(home) == HELD - 1)


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
def held(home: Home, serve: Serve) -> Iterator[Held]:
    """A registry of many pages that does not answer for one of the first of them until it is let."""
    served = serve(items(PAGES - 1))
    home.watch(official=served.url, page_size=1)
    with Gate(served, HELD) as gate:
        yield Held(served, gate)


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


def asked(home: Home, task: str, *arguments: str) -> str:
    """Asks for a task, as by hand; its id."""
    return celery(home, "call", task, "--args", json.dumps(arguments)).split()[0]


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
        wait_until(lambda: through(team, "official"), every=0.2)
        team.watch(official=first.url, mirror=second.url)
        wait_until(lambda: through(team, "official", "mirror"), every=0.2)
    assert sorted(crawls(team)) == [("mirror", "full", "completed"), ("official", "full", "completed")]
    assert documents(team) == 80
    assert team.agrees()


def test_a_message_that_comes_again_or_by_hand_does_nothing(team: Home) -> None:
    with worker(team, "one") as one:
        with beat(team):  # who projects while another one does leaves the rest to it
            wait_until(lambda: through(team, "official"), every=0.2)
        before = len(team.kinds())
        tasks = [asked(team, "crawl.source", source) for source in ("official", "official", "official", "nobody")]
        wait_until(lambda: all(one.done(task) for task in tasks))
    assert len(team.kinds()) == before


def test_a_worker_told_to_stop_ends_at_its_next_page_and_another_goes_on(team: Home, held: Held) -> None:
    with worker(team, "one", "--loglevel", "DEBUG") as one:
        celery(team, "call", "schedule.due")
        held.await_page(team)
        one.process.terminate()
        wait_until(lambda: one.says("Worker: Closing"))  # by then its processes know
        held.gate.open()
        assert one.process.wait(60) == 0
    assert recorded(team) == HELD
    assert team.run("status", "--json").object["sources"][0]["holder"] is None
    with worker(team, "two"), beat(team):
        wait_until(lambda: through(team, "official"), timeout=90, every=0.2)
    assert crawls(team) == [("official", "full", "completed")]
    assert set(cursors(held.upstream).values()) == {1}
    assert documents(team) == PAGES - 1
    assert team.agrees()


def test_what_a_killed_worker_did_goes_on_elsewhere(team: Home, held: Held) -> None:
    with worker(team, "one") as one:
        celery(team, "call", "schedule.due")
        held.await_page(team)
        one.kill()
    held.gate.open()
    wait_until(lambda: team.run("status", "--json").object["sources"][0]["holder"] is None)
    (source,) = team.run("status", "--json").object["sources"]
    assert source["last_crawl"]["status"] == "interrupted"
    with worker(team, "two"), beat(team):
        wait_until(lambda: through(team, "official"), timeout=120, every=0.2)
    assert crawls(team) == [("official", "full", "completed")]
    assert recorded(team) == documents(team) == PAGES - 1
    assert team.agrees()


def test_what_a_killed_process_of_a_worker_did_goes_on_in_another(team: Home, held: Held) -> None:
    with worker(team, "one") as one, beat(team):
        held.await_page(team)
        _, pid, _ = team.run("status", "--json").object["sources"][0]["holder"].split(":")
        assert int(pid) in children(one.process.pid)
        os.kill(int(pid), signal.SIGKILL)
        held.gate.open()
        wait_until(lambda: through(team, "official"), timeout=120, every=0.2)
    assert crawls(team) == [("official", "full", "completed")]
    assert recorded(team) == documents(team) == PAGES - 1


def test_a_broker_that_goes_away_ends_no_crawl_and_what_it_lost_is_found_again(
    home: Home, held: Held, postgres_url: str, redis_server: RedisServer
) -> None:
    home.set(DATABASE_URL=postgres_url, BROKER_URL=redis_server.url)
    with worker(home, "one") as one, beat(home):
        held.await_page(home)
        redis_server.kill()
        wait_until(lambda: one.says("Connection to broker lost"))
        held.gate.open()
        wait_until(lambda: recorded(home) == PAGES - 1)
        redis_server.start()
        with worker(home, "two"):  # kombu ends a worker that was at a task when its Redis went: another takes its place
            wait_until(lambda: through(home, "official"), timeout=120, every=0.2)
    assert crawls(home) == [("official", "full", "completed")]
    assert set(cursors(held.upstream).values()) == {1}


def test_a_paused_source_ends_at_its_next_page_and_goes_on_once_resumed(home: Home, held: Held) -> None:
    with worker(home, "one") as one:
        celery(home, "call", "schedule.due")
        held.await_page(home)
        assert home.run("pause", "official").status == 0
        held.gate.open()
        wait_until(lambda: one.says("official: interrupted"))
        assert home.run("status", "--json").object["sources"][0]["state"] == "paused"
        assert home.run("crawl", "official").status == 2
        tasks = [asked(home, "schedule.due"), asked(home, "crawl.source", "official")]
        wait_until(lambda: all(one.done(task) for task in tasks))
        assert (recorded(home), len(held.upstream.requests)) == (HELD, HELD)
        assert home.run("resume", "official").status == 0
        with beat(home):
            wait_until(lambda: through(home, "official"), every=0.2)
    assert crawls(home) == [("official", "full", "completed")]
    assert documents(home) == PAGES - 1


@pytest.mark.parametrize("seconds", [-3600, 3600, 86_400])
def test_a_worker_whose_clock_is_wrong_takes_what_beat_asks_for_or_says_so(team: Home, seconds: int) -> None:
    (clock := team.folder / "clock").write_text(str(seconds))
    environment = {**os.environ, "CHAOS_CLOCK": str(clock), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "tests.e2e.chaos_program", "-A", "workers.app", *WORKER]
    one = Running(team, "one", command, environment)
    try:
        with beat(team):
            wait_until(lambda: one.says("clock is far ahead") or through(team, "official"), every=0.2)
    finally:
        one.kill()
    assert one.says("clock is far ahead") == (seconds > 3600)


def test_workers_may_be_for_one_queue_each(team: Home) -> None:
    crawling, projecting = worker(team, "crawls", "-Q", "crawling"), worker(team, "projects", "-Q", "projecting")
    with crawling as one, projecting as other, beat(team):
        wait_until(lambda: through(team, "official"), every=0.2)
    assert one.says("Task crawl.source")
    assert not one.says("Task project")
    assert other.says("Task project")
    assert not other.says("Task crawl.source")


def test_workers_answer_who_inspects_them(home: Home) -> None:
    with worker(home, "one"), worker(home, "two"):
        wait_until(lambda: "2 nodes online" in celery(home, "inspect", "ping", "--timeout", "2"))
        names = ("crawl.source", "project", "schedule.due")

        def told() -> bool:
            tasks = celery(home, "inspect", "registered", "--timeout", "2")
            return all(name in tasks for name in names)

        wait_until(told)


def test_up_runs_all_and_leaves_nothing_behind(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: through(home, "official"), every=0.2)
        pids = children(up.process.pid)
        assert len(pids) >= 2
        assert up.stop() == 0
    wait_until(lambda: not any(alive(pid) for pid in pids))
    assert crawls(home) == [("official", "full", "completed")]
    assert documents(home) == 60


def test_up_names_the_sources_that_it_crawls(home: Home) -> None:
    off = '[[source]]\nname = "off"\nkind = "registry"\nurl = "http://127.0.0.1:1"\nenabled = false\n'
    home.sources_file.write_text(home.sources_file.read_text() + off)
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: up.says("are up for"))
    assert up.says("are up for official; the index is at")


def test_up_that_is_killed_takes_its_children_along(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: len(children(up.process.pid)) == 2)
        pids = children(up.process.pid)
        up.process.kill()
        up.process.wait(60)
        wait_until(lambda: not any(alive(pid) for pid in pids))


def test_up_ends_when_a_child_ends_by_itself(home: Home) -> None:
    with running(home, "up", [str(PROGRAM), "up"]) as up:
        wait_until(lambda: up.says("ready."))
        beats = wait_until(lambda: [pid for pid in children(up.process.pid) if b"beat" in command(pid)])
        os.kill(beats[0], signal.SIGKILL)
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


def test_a_task_that_failed_is_a_warning_with_its_sentence(home: Home) -> None:
    home.sources_file.write_text("[[source]")
    with worker(home, "one") as one:
        celery(home, "call", "schedule.due")
        wait_until(lambda: one.says("is not TOML"))
        one.stop()
    lines = [json.loads(line) for line in one.log.read_text().splitlines() if "is not TOML" in line]
    (said,) = (line["message"] for line in lines if line["level"] == "warning")
    assert said.startswith("schedule.due: The sources file ")
