"""Whatever happens upstream, on the way and to us, in any order: what is there is found, and found once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from indexer.database import Database
from indexer.migrations import migrate
from tests.any_order.machine import AnyOrder, New
from tests.servers import PostgresServer
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> New:
    """Copies one that has its tables."""
    empty = tmp_path_factory.mktemp("empty") / "log.db"
    with_tables(f"sqlite:///{empty}")

    @contextmanager
    def new() -> Iterator[str]:
        with TemporaryDirectory(prefix="mcp-indexer-any-order-") as folder:
            shutil.copy(empty, folder)
            yield f"sqlite:///{folder}/{empty.name}"

    return new


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> New:
    """Makes the tables each time."""

    @contextmanager
    def new() -> Iterator[str]:
        name = postgres_server.create_database()
        try:
            yield with_tables(postgres_server.database_url(name))
        finally:
            postgres_server.drop_database(name)

    return new


def with_tables(url: str) -> str:
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture(scope="module")
def server() -> Iterator[SampleServer]:
    with SampleServer(SampleRegistry()) as running:
        yield running


def run(server: SampleServer, new: New, *, examples: int, steps: int, chaos: bool) -> None:
    """Random orders and the shortest that fails are for chaos; else the same ones each time, and no minutes spent on
    shortening.
    """

    class Here(AnyOrder):
        def __init__(self) -> None:
            super().__init__(server, new)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=not chaos,
            phases=[Phase.generate, *([Phase.reuse, Phase.shrink] if chaos else [])],
            report_multiple_bugs=False,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_in_any_order_the_catalogue_comes_to_equal_the_registry(server: SampleServer, sqlite: New) -> None:
    run(server, sqlite, examples=30, steps=20, chaos=False)


@pytest.mark.chaos
@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 400), ("postgres", 60)])
def test_in_very_many_orders_the_catalogue_comes_to_equal_the_registry(
    request: pytest.FixtureRequest, server: SampleServer, kind: str, examples: int
) -> None:
    run(server, request.getfixturevalue(kind), examples=examples, steps=40, chaos=True)
