"""Chaos: workers, broker, database, index and schedule die in turn while a registry changes, and nobody lends a hand.

At the end log, catalogue, index and registry agree. `make chaos` does this for CHAOS_MINUTES; `make test` once round,
with less patience.
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from indexer.database import Database
from indexer.errors import StoreUnavailable
from indexer.migrations import migrate
from indexer.projections.checkpoints import live_build
from indexer.projections.rows import VERSIONS
from schemas.names import Digest
from tests.any_order.upstream import KINDS, Change, Kind, Upstream
from tests.conftest import made
from tests.crawling import Versions
from tests.e2e.celery_processes import WORKER, Running
from tests.e2e.home import PROGRAM, Home
from tests.listed import items
from tests.servers import MeilisearchServer, PostgresServer, RabbitServer
from tests.waiting import wait_until
from workers.sample.serve import SampleServer

Serve = Callable[[list[dict[str, Any]]], SampleServer]
MINUTES = float(os.environ.get("CHAOS_MINUTES", "20"))
CELERY = [sys.executable, "-m", "tests.e2e.chaos_program", "-A", "workers.app"]
ORDINARY: list[Kind] = [kind for kind in KINDS if not kind.endswith(("many", "late")) and kind != "reappear"]
"""All that a registry does but for what a person would be asked about, and for a record that comes with an older time
than the one that is held: that tells nothing, as the tests of any order know.
"""
SETTLED = 120
ROOM = 2**20
"""No file may be larger where there is no room: an index's are larger when it is made, a log's are not."""
CHECKOUT = Path(__file__).parents[2]


class Meilisearch(MeilisearchServer):
    """One that lives on when its files may not grow, as on a full disk."""

    restore_signals = False


class World:
    """A team's servers and processes, and the registry that they watch."""

    def __init__(self, home: Home, binary: Path, stack: ExitStack, *, haste: bool) -> None:
        self.home, self.random, self.large = home, random.Random(2), 0
        self.postgres = stack.enter_context(PostgresServer(durable=True))
        self.rabbit = stack.enter_context(made(RabbitServer))
        self.meili = stack.enter_context(Meilisearch(binary))
        self.upstream = Upstream(lambda: datetime.now(UTC))
        self.registry = stack.enter_context(SampleServer(self.upstream.registry))
        url = self.postgres.database_url(self.postgres.create_database())
        self.database = Database(url)
        migrate(self.database)
        stack.callback(self.database.close)
        self.clock = home.folder / "clock"
        self.clock.write_text("0")
        home.watch(page_size=10, official=self.registry.url)
        with home.sources_file.open("a") as file:
            file.write('every = "1s"\naudit_every = "4s"\n')
        home.set(DATABASE_URL=url, BROKER_URL=self.rabbit.url, MEILI_URL=self.meili.url, MEILI_KEY=self.meili.key)
        home.set(MEILI_BINARY=None, CONTACT="https://team.example")
        self.environment = {**os.environ, "CHAOS_CLOCK": str(self.clock), "PYTHONPATH": str(CHECKOUT)}
        if haste:
            self.environment["CHAOS_HASTE"] = "1"
        self.running: dict[str, Running] = {}
        stack.callback(self.kill_all)
        for name in ("one", "two", "beat"):
            self.start(name)

    def start(self, name: str) -> None:
        """Starts a worker, or the schedule."""
        what = ["beat", "--loglevel", "INFO"] if name == "beat" else [*WORKER, "--hostname", f"{name}@%h"]
        self.running[name] = Running(self.home, name, [*CELERY, *what], self.environment)

    def kill(self, name: str) -> None:
        """Kills one of them, and starts it again."""
        self.running[name].kill()
        self.start(name)

    def kill_all(self) -> None:
        """All processes end."""
        for one in self.running.values():
            one.kill()

    def change(self, times: int = 5) -> None:
        """The registry changes."""
        for _ in range(times):
            self.upstream.apply(Change(self.random.choice(ORDINARY), self.random.randint(0, 50)))

    def publish_large_ones(self) -> None:
        """More than an index holds without growing."""
        for _ in range(3):
            self.large += 1
            words = " ".join(self.random.randbytes(8).hex() for _ in range(10_000))
            name = f"io.github.acme/large-{self.large}"
            self.upstream.registry.publish({"name": name, "version": "1.0.0", "description": words})

    def listed(self) -> Versions:
        """What the catalogue says that the registry lists; nothing while the database is away."""
        with suppress(StoreUnavailable), self.database.read() as connection:
            rows = connection.execute(
                select(VERSIONS).where(VERSIONS.c.build == live_build(connection), VERSIONS.c.withdrawn.is_(False))
            )
            return {(row.key, row.slot): (Digest(row.digest), row.status) for row in rows}
        return {}

    def indexed(self) -> set[str]:
        """The names in the index."""
        ran = self.home.run("search", "", "--limit", "1000", "--json")
        return {hit["name"] for hit in ran.object["hits"]} if ran.status == 0 else set()

    def settle(self) -> None:
        """Waits until the catalogue lists what the registry lists, and the index what it shows."""
        with suppress(AssertionError):
            wait_until(lambda: self.listed() == self.upstream.versions(), SETTLED, every=0.2)
        assert self.listed() == self.upstream.versions()
        wait_until(lambda: self.indexed() == set(self.upstream.latest()), SETTLED, every=0.5)
        for name, one in self.running.items():
            assert one.process.poll() is None, f"{name} ended by itself"

    def refused(self) -> int:
        """How often Meilisearch could not write, as it says itself or to a worker."""
        logs = [self.meili.folder / "log", *(self.running[name].log for name in ("one", "two"))]
        return sum(log.read_text(errors="replace").count("os error") for log in logs)

    # What happens to them

    def worker_dies(self) -> None:
        self.kill(self.random.choice(["one", "two"]))

    def schedule_dies(self) -> None:
        self.kill("beat")

    def broker_dies(self) -> None:
        self.rabbit.kill()
        self.change()
        self.rabbit.start()

    def database_dies(self) -> None:
        self.postgres.kill()
        self.change()
        self.postgres.start()

    def index_dies(self) -> None:
        self.meili.kill()
        self.change()
        self.meili.start()

    def index_is_lost(self) -> None:
        self.meili.kill()
        shutil.rmtree(self.meili.folder / "db")
        self.meili.start()

    def index_has_no_room(self) -> None:
        """Its files may not grow: index tasks fail and are tried again, until there is room."""
        assert self.meili.pid is not None
        limits = resource.prlimit(self.meili.pid, resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
        refused = self.refused()
        self.publish_large_ones()
        wait_until(lambda: not self.meili.running or self.refused() > refused, timeout=SETTLED)
        if self.meili.running:
            resource.prlimit(self.meili.pid, resource.RLIMIT_FSIZE, limits)
        self.meili.start()

    def clock_jumps(self) -> None:
        """The machine's clock is an hour ahead, or behind, and then right again."""
        self.clock.write_text(str(self.random.choice([-3600, 3600])))
        self.change()
        self.kill("one")
        self.clock.write_text("0")


STRIKES: list[Callable[[World], None]] = [
    World.worker_dies,
    World.database_dies,
    World.index_has_no_room,
    World.index_dies,
    World.schedule_dies,
    World.index_is_lost,
    World.clock_jumps,
    World.broker_dies,
]


@pytest.fixture
def chaos(home: Home, meilisearch_binary: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A world that runs."""
    with ExitStack() as stack:
        yield World(home, meilisearch_binary, stack, haste=request.param)


def ends_well(world: World) -> None:
    """All is as the registry says, and the parts agree."""
    world.settle()
    world.kill_all()
    assert world.home.agrees()


@pytest.mark.parametrize("chaos", [True], indirect=True, ids=["in haste"])
def test_whoever_dies_all_agree_at_the_end(chaos: World) -> None:
    wait_until(chaos.listed)
    for strike in STRIKES:
        chaos.change()
        strike(chaos)
    ends_well(chaos)


@pytest.mark.chaos
@pytest.mark.parametrize("chaos", [False], indirect=True, ids=["with patience"])
def test_whoever_dies_for_minutes_all_agree_at_the_end(chaos: World) -> None:
    until = time.monotonic() + 60 * MINUTES
    while time.monotonic() < until:
        chaos.settle()
        for strike in chaos.random.sample(STRIKES, len(STRIKES)):
            chaos.change()
            strike(chaos)
            if chaos.random.random() < 0.5:
                wait_until(chaos.listed, timeout=SETTLED, every=0.2)
    ends_well(chaos)


def test_a_full_disk_ends_a_crawl_with_a_sentence_and_loses_nothing(home: Home, serve: Serve) -> None:
    home.watch(official=serve(items(300, ("1.0.0", "1.1.0"))).url)
    home.run("status")
    room = sum(path.stat().st_size for path in (home.folder / "home").glob("log.sqlite*")) + 2**18
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    ran = subprocess.run(
        [PROGRAM, "crawl"], cwd=home.folder, preexec_fn=full, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "disk" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
    recorded = home.kinds().count("listing.observed")
    assert recorded < 600
    home.crawl()
    assert home.kinds().count("listing.observed") == 600
    assert home.agrees()
