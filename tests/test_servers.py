import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import sqlalchemy

from tests.conftest import NetworkForbidden, made, missing
from tests.server_process import Server
from tests.servers import AMQP_HEADER, MeilisearchServer, PostgresServer, RabbitServer, RedisServer, exchange
from tests.waiting import PATIENCE, wait_until

STARTS_A_SERVER = """
from tests.servers import RedisServer
server = RedisServer().start()
print(server.port, server.folder, flush=True)
input()
"""


@pytest.fixture(params=["postgres", "redis", "meilisearch"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    kinds: dict[str, Callable[[], Server]] = {
        "postgres": lambda: made(PostgresServer),
        "redis": lambda: made(RedisServer),
        "meilisearch": lambda: MeilisearchServer(request.getfixturevalue("meilisearch_binary")),
    }
    started = kinds[request.param]()
    yield started
    started.close()


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_server_answers_until_it_is_stopped_and_again_when_it_is_started(server: Server) -> None:
    server.start()
    assert server.answers()
    url = server.url

    server.stop()
    assert refuses(server.port)
    assert not server.answers()

    server.start()
    assert server.answers()
    assert server.url == url


def test_a_killed_server_is_gone_at_once_and_starts_again(server: Server) -> None:
    server.start().kill()
    assert not server.running
    assert refuses(server.port)

    assert server.start().answers()
    assert server.restart().answers()


def test_a_closed_server_leaves_nothing(server: Server) -> None:
    with server:
        assert server.folder.exists()
    assert refuses(server.port)
    assert not server.folder.exists()


def test_rabbitmq_answers_until_it_is_stopped() -> None:
    with made(RabbitServer) as rabbit:
        assert exchange(rabbit.port, AMQP_HEADER, 1) == b"\x01"
        rabbit.stop()
        assert refuses(rabbit.port)
        wait_until(lambda: refuses(rabbit.epmd_port))  # which is told to end with it, and waited for by nobody


def test_a_server_does_not_outlive_the_process_that_started_it() -> None:
    made(RedisServer).close()
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        port, folder = parent.stdout.readline().split()
        assert not refuses(int(port))
        os.kill(parent.pid, signal.SIGKILL)

    wait_until(lambda: refuses(int(port)))
    wait_until(lambda: not Path(folder).exists())


def test_each_database_is_new_and_empty(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.exec_driver_sql("create table seen (name text)")
    engine.dispose()


def test_a_database_is_dropped_though_somebody_is_connected(postgres_server: PostgresServer) -> None:
    name = postgres_server.create_database()
    url = postgres_server.database_url(name).replace("+psycopg", "")
    with psycopg.connect(url):
        postgres_server.drop_database(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_a_handed_out_redis_is_empty(redis_url: str) -> None:
    port = int(redis_url.split(":")[2].split("/")[0])
    assert exchange(port, b"DBSIZE\r\n", 4) == b":0\r\n"


def test_one_rabbitmq_serves_the_session(rabbitmq_url: str, rabbitmq_server: RabbitServer) -> None:
    assert rabbitmq_url == rabbitmq_server.url
    assert rabbitmq_server.answers()


def test_an_index_is_deleted_with_those_built_beside_it(meilisearch_server: MeilisearchServer) -> None:
    headers = {"Authorization": f"Bearer {meilisearch_server.key}"}
    for uid in ("test-a", "test-a-beside", "test-b"):
        httpx.post(
            f"{meilisearch_server.url}/indexes", json={"uid": uid}, headers=headers, timeout=PATIENCE
        ).raise_for_status()
    wait_until(lambda: {"test-a", "test-a-beside", "test-b"} <= set(meilisearch_server.indexes()))

    meilisearch_server.delete_indexes("test-a")
    wait_until(lambda: not {"test-a", "test-a-beside"} & set(meilisearch_server.indexes()))
    assert "test-b" in meilisearch_server.indexes()
    meilisearch_server.delete_indexes("test-b")


def test_meilisearch_wants_its_key(meilisearch_server: MeilisearchServer, meili_index: str) -> None:
    assert httpx.get(f"{meilisearch_server.url}/indexes/{meili_index}", timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "10.0.0.1", "registry.example"])
def test_no_test_leaves_the_machine(host: str) -> None:
    with pytest.raises(NetworkForbidden, match=host):
        socket.create_connection((host, 443), timeout=0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_machine_itself_may_be_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection((host, listener.getsockname()[1]), timeout=5).close()


def test_waiting_gives_up_with_what_it_saw() -> None:
    with pytest.raises(AssertionError, match="answers 0"):
        wait_until(lambda: 0, timeout=0)


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_server_that_is_not_here_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no such server"):
        missing("no such server")
