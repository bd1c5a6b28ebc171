"""A crawl killed or interrupted at random moments: the next goes on at once; nothing is lost or recorded twice."""

import itertools
import math
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from subprocess import TimeoutExpired
from typing import Any

import pytest

from indexer.database import Database
from indexer.store import last_position
from tests.any_order.log import Reader
from tests.e2e.home import Home
from tests.listed import items, name_of, server
from tests.waiting import wait_until
from workers.sample.answers import Request
from workers.sample.problems import Answer
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer
from workers.settings import read_settings
from workers.shell.parts import INTERRUPTED

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]

KILLS, NAMES = 10, 500
MANY_KILLS, MANY_NAMES = 200, 2_000
HOWS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
KNOWN = (0, 1, 3, INTERRUPTED)
LONGEST_LIFE = 2.0
"""Seconds after its start by which a program is ended: starting takes the first, an audit with its index the rest."""
PAGES = 2 * NAMES // 10 + 1


class Leash:
    """Holds back each listing beyond those that are allowed: no crawl runs away from a slow test."""

    def __init__(self) -> None:
        self._asked, self._allowed, self._changed = 0, 0.0, threading.Condition()

    def __call__(self, request: Request) -> Answer | None:
        if request.path.endswith("/servers"):
            with self._changed:
                self._asked += 1
                mine = self._asked
                assert self._changed.wait_for(lambda: mine <= self._allowed, 60)
        return None

    def allow(self, more: float) -> None:
        """Lets so many more than were asked for go."""
        with self._changed:
            self._allowed = self._asked + more
            self._changed.notify_all()


def position(database: Database) -> int:
    with database.read() as connection:
        return last_position(connection)


def observations(home: Home) -> Counter[tuple[str, str, str]]:
    """How often each version was recorded as new."""
    data = [event["data"] for event in home.events() if event["type"] == "listing.observed"]
    return Counter((one["source"], one["key"], one["version"]) for one in data)


def test_a_crawl_killed_at_ten_random_moments_loses_nothing_and_records_nothing_twice(
    either: Home, serve: Serve
) -> None:
    upstream = serve(items(NAMES, ("1.0.0", "1.1.0")))
    upstream.faults.delay = 0.005
    leash = upstream.faults.hook = Leash()
    either.watch(official=upstream.url, page_size=10)
    either.run("status")  # makes the tables, so that the log can be asked for its end
    database = Database(read_settings().database)
    draw = random.Random("ten moments")
    for _ in range(KILLS):
        more, by_pages = draw.randint(1, 4), draw.random() < 0.5
        asked, recorded = len(upstream.requests), position(database)
        leash.allow(more + 2)
        with either.start("crawl", "--json") as process:
            if by_pages:
                wait_until(lambda: len(upstream.requests) >= asked + more, every=0.001)  # noqa: B023 - called at once
            else:
                wait_until(lambda: position(database) > recorded + 10 * (more - 1), every=0.001)  # noqa: B023
            process.kill()
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (-9, "", "")
    database.close()
    leash.allow(math.inf)

    crawl = either.crawl_one()
    assert (crawl["mode"], crawl["status"], crawl["pages"]) == ("full", "completed", PAGES)
    assert (crawl["new"], crawl["unchanged"]) == (2 * NAMES, 0)
    seen = observations(either)
    assert (len(seen), set(seen.values())) == (2 * NAMES, {1})
    assert [kind for kind in either.kinds() if kind.startswith("crawl.")] == ["crawl.started", "crawl.completed"]
    assert len(upstream.requests) <= PAGES + 2 * KILLS  # the page under way, and the one asked for ahead
    assert either.agrees()


def test_a_crawl_killed_when_all_is_recorded_is_indexed_by_the_next(either: Home, serve: Serve) -> None:
    either.watch(official=serve(items(NAMES, ("1.0.0", "1.1.0"))).url)
    either.run("status")
    database = Database(read_settings().database)
    with either.start("crawl") as process:
        wait_until(lambda: position(database) == 2 * NAMES + 3, every=0.001)
        process.kill()
    database.close()
    result = either.crawl()
    assert (result["crawls"][0]["mode"], result["crawls"][0]["new"]) == ("incremental", 0)
    assert (result["index"]["documents"], result["index"]["lag"]) == (NAMES, 0)
    assert either.agrees()


def move(registry: SampleRegistry, draw: random.Random, number: int) -> None:
    """What happens upstream before a crawl that will be killed: something new, an edit, a migration, a deletion."""
    for _ in range(draw.randint(0, 200)):
        registry.publish(server(draw.randrange(MANY_NAMES), f"2.{number}.{draw.getrandbits(48)}"))
    chosen = [name_of(one) for one in draw.sample(range(MANY_NAMES), 12)]
    for name in chosen[:4]:
        registry.edit(name, "1.0.0", {**server(0, "1.0.0"), "name": name, "description": f"Edit {number}"})
    for name in chosen[4:8]:
        registry.edit_silently(name, "1.1.0", {**server(0, "1.1.0"), "name": name, "description": f"Silent {number}"})
    for name in chosen[8:]:
        registry.set_status_all(name, draw.choice(["deprecated", "deleted"]), f"Reason {number}")


@pytest.mark.chaos
def test_crawls_ended_at_two_hundred_random_moments_lose_nothing_and_record_nothing_twice(
    either: Home, serve: Serve
) -> None:
    """At each moment of a program's life: starting, crawling, indexing; alone, or beside another one. Those that are
    interrupted, and not killed, end without a traceback.
    """
    upstream = serve(items(MANY_NAMES, ("1.0.0", "1.1.0")))
    either.watch(official=upstream.url, page_size=100)
    either.run("status")
    database, reader = Database(read_settings().database), Reader()
    draw = random.Random()
    rounds, ended = itertools.count(), 0
    while ended < MANY_KILLS:
        move(upstream.registry, draw, next(rounds))
        audit = ["--audit"] if draw.random() < 0.4 else []
        with ExitStack() as stack:
            some = [stack.enter_context(either.start("crawl", *audit)) for _ in range(draw.choice([1, 1, 2]))]
            for process in some:
                with suppress(TimeoutExpired):
                    process.communicate(timeout=draw.uniform(0.0, LONGEST_LIFE))
                process.send_signal(draw.choice(HOWS))
                _, said = process.communicate(timeout=60)
                assert all(
                    f"workers/{ours}.py" not in said for ours in ("cli", "__main__")
                )  # as in a traceback of ours
                assert process.returncode in (*KNOWN, *(-how for how in HOWS))
                ended += process.returncode in (-signal.SIGKILL, INTERRUPTED)
        reader.read(database)

    crawl = either.crawl_one()
    assert (crawl["status"], crawl["missed"]) in (("completed", None), ("completed", 0))
    walk = either.crawl_one("--audit")
    assert (walk["status"], walk["mode"], walk["missed"], walk["withdrawn"]) == ("completed", "audit", 0, 0)
    reader.read(database)
    database.close()
    assert walk["observed"] == len(upstream.registry)
    again = either.crawl_one("--audit")
    assert again["unchanged"] == again["observed"] == len(upstream.registry)
    assert either.agrees()
