"""What every test can ask for, and the guard that keeps tests on this machine."""

import ipaddress
import os
import signal
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from indexer import publish
from indexer.errors import McpIndexerError
from indexer.search import SearchIndex
from tests import ports
from tests.ports import LOOPBACK
from tests.server_process import Server
from tests.servers import MeilisearchServer, PostgresServer, RabbitServer, RedisServer, ServerMissing
from tests.waiting import PATIENCE
from workers.meili_binary import find_binary

CHECKOUT = Path(__file__).parents[1]

S = TypeVar("S", bound=Server)

# An example takes as long as the machine lets it: the same one would fail here and pass there.
settings.register_profile("however slow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("however slow")


class NetworkForbidden(BaseException):
    """A test reached for another machine. No Exception: tested code must not take it for a bad network."""


class Guard:
    """Refuses connections and look-ups of this process that leave the machine.

    An audit hook cannot be removed, so it has a switch.
    """

    def __init__(self) -> None:
        self.on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in ("socket.connect", "socket.sendto"):
            made, address = arguments
            if made.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
                raise NetworkForbidden(f"a test may reach 127.0.0.0/8 and ::1 only, not {address[0]}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not is_local(arguments[0]):
            raise NetworkForbidden(f"a test may look up localhost only, not {arguments[0]}")


def is_local(host: str | bytes | None) -> bool:
    """Whether a host or address is this machine's loopback, or nothing at all, as servers bind to."""
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


GUARD = Guard()
sys.addaudithook(GUARD)


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """No test leaves the machine."""
    GUARD.on = True
    yield
    GUARD.on = False


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """What tests start can be interrupted, though a shell that starts us in the background has that ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def missing(reason: str) -> NoReturn:
    """A server that is not here: its tests skip on a laptop and fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"under CI=true nothing is skipped: {reason}", pytrace=False)
    pytest.skip(reason)


def made(kind: type[S]) -> S:
    """A server of that kind, not yet started; where the machine has none, see `missing`."""
    try:
        return kind()
    except ServerMissing as error:
        missing(str(error))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with made(PostgresServer) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty database."""
    name = postgres_server.create_database()
    yield postgres_server.database_url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'indexer.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with made(RedisServer) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """A Redis that holds nothing."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitServer]:
    with made(RabbitServer) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq_server: RabbitServer) -> str:
    """One broker for the whole session: name queues and exchanges so that tests do not meet."""
    return rabbitmq_server.url


@pytest.fixture(params=["rabbitmq_url", "redis_url"])
def broker_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each broker in turn, which may be slow to answer."""
    monkeypatch.setattr(publish, "CONNECT_SECONDS", PATIENCE)
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="session")
def meilisearch_binary() -> Path:
    """The same search for it as the program's own; what it installs stays in the checkout for `make run`."""
    configured = os.environ.get("MCP_INDEXER_MEILI_BINARY")
    try:
        return find_binary(CHECKOUT / ".mcp-indexer", configured, lambda line: print(line, file=sys.stderr))  # noqa: T201 - progress
    except McpIndexerError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def meilisearch_server(meilisearch_binary: Path) -> Iterator[MeilisearchServer]:
    with MeilisearchServer(meilisearch_binary) as server:
        yield server


@pytest.fixture
def meili_index(meilisearch_server: MeilisearchServer) -> Iterator[str]:
    """The uid of an index nobody else uses; those whose uids begin with it are deleted afterwards."""
    uid = f"test-{uuid.uuid4().hex}"
    yield uid
    meilisearch_server.delete_indexes(uid)


@pytest.fixture
def index(meilisearch_server: MeilisearchServer, meili_index: str) -> SearchIndex:
    """An index nobody else uses, not made yet."""
    return SearchIndex(meilisearch_server.url, meilisearch_server.key, meili_index)


@pytest.fixture
def documents_sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents each index task was given."""
    counts, send = list[int](), SearchIndex.send

    def counted(self: SearchIndex, documents: BinaryIO, uid: str | None = None) -> int:
        documents.seek(0)
        counts.append(len(documents.readlines()))
        return send(self, documents, uid)

    monkeypatch.setattr(SearchIndex, "send", counted)
    return counts


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port where nobody answers, nor can anybody begin to."""
    with ports.dead_port() as port:
        yield port


@pytest.fixture
def nobody(dead_port: int) -> str:
    """The address of such a port."""
    return f"http://{LOOPBACK}:{dead_port}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; the project's tests pass without it, under CI=true too."""
    folder = CHECKOUT.parent / "shared"
    if not (folder / "upstream").is_dir():
        pytest.skip(f"the real data is not beside the checkout ({folder})")
    return folder
