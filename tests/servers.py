"""The real servers that tests run against, each on a free loopback port with its data in a folder of its own.

    with RedisServer() as redis:
        redis.url; redis.restart(); redis.kill(); redis.start()

`stop` is orderly, `kill` is a crash; both keep the port and the data, so that `start` goes on where it was;
`close` also removes the data. Each server heads a process group, and a keeper beside it holds the read end of
a pipe: when the process that started the server is gone, however it died, the keeper ends the group and
removes the folder.
"""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypeVar

import httpx
import psycopg
from psycopg import sql

from workers.meili_process import INDEXING_MEMORY

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
PATIENCE = 60.0
"""Seconds that something gets to become so. What counts is that it does: a busy machine gives a process no CPU for some
of them, and nobody waits once it is so.
"""
LONGEST_ANSWER = 30.0
"""Seconds that a server gets for one answer."""
_GIVEN: set[int] = set()

# A keeper: waits for the end of its input, then ends the group and removes its folder.
KEEPER = 'cat; kill -s "$1" -- "-$2"; sleep 1; kill -s KILL -- "-$2"; rm -rf -- "$3"'


class ServerMissing(Exception):
    """This machine has no such server; the text says which, and how to get it."""


class ServerFailed(Exception):
    """A server did not start, or ended too early; the text holds the last it wrote."""


def wait_until(condition: Callable[[], T], timeout: float = PATIENCE, every: float = 0.02) -> T:
    """What `condition` answers, as soon as that is true; an AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        last = time.monotonic() > deadline  # before it is asked: who stood still in between looks once more
        if answer := condition():
            return answer
        if last:
            raise AssertionError(f"still not so after {timeout:g} s: {condition!r} answers {answer!r}")
        time.sleep(every)


def free_port() -> int:
    """A port nobody listens on, below those given to outgoing connections: it is still free after a crash.

    Tests that run beside these, in another process, have other ones. None is given twice: who was given it listens
    there later, or counts on nobody to listen.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in random.sample(range(15_000 + worker % 10, 32_000, 10), 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port
    raise ServerFailed("200 ports tried, and none of them is free")


def found(what: str, package: str, *candidates: str | Path | None) -> Path:
    """The first of the candidates that is a program here."""
    for candidate in candidates:
        if candidate is not None and os.access(candidate, os.X_OK):
            return Path(candidate)
    raise ServerMissing(f"{what} is not installed here (Debian: apt-get install {package})")


def exchange(port: int, question: bytes, enough: int) -> bytes:
    """The first bytes a server says to a question: `enough` of them, or fewer; none when it is not there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=LONGEST_ANSWER) as connection:
            connection.sendall(question)
            answer = b""
            while len(answer) < enough and (more := connection.recv(enough - len(answer))):
                answer += more
            return answer
    except OSError:
        return b""


class Server(ABC):
    """One server process: what all of them have in common."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL
    patience: ClassVar[float] = PATIENCE
    restore_signals: ClassVar[bool] = True
    """Without it a file that may not grow is an error to the server, and not its end."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"mcp-indexer-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, as its clients want to be told."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What runs the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it would serve a client now."""

    def environment(self) -> Mapping[str, str]:
        """What the process finds in its environment besides ours."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """What has to be there before each start."""

    @property
    def user(self) -> str | None:
        """Who the process runs as, where that is not us."""
        return None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's id; None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """The last that it wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        if self.running:
            return self
        self.prepare()
        self._process = self._spawn(self.command())
        self._keeper = self._watch(self._process)
        try:
            wait_until(lambda: not self.running or self.answers(), self.patience)
        except AssertionError:
            self.kill()
            raise ServerFailed(f"{self.name} did not answer in {self.patience:g} s: {self.log}") from None
        if not self.running:
            self._end(self.kill_signal)
            raise ServerFailed(f"{self.name} ended instead of answering: {self.log}")
        return self

    def stop(self) -> None:
        """End it in good order; the data stays."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash would; the data stays as it is then."""
        self._end(self.kill_signal)

    def restart(self) -> Self:
        """In good order, on the same port, with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """End it for good, and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                restore_signals=self.restore_signals,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )

    def _watch(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        name = self.stop_signal.name.removeprefix("SIG")
        return subprocess.Popen(
            ["sh", "-c", KEEPER, "keeper", name, str(process.pid), str(self.folder)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with keeper:
                os.killpg(keeper.pid, signal.SIGKILL)
        if process is None:
            return
        _signal(process.pid, how)
        try:
            process.wait(self.patience)
        except subprocess.TimeoutExpired:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
        _signal(process.pid, signal.SIGKILL)  # what is left of the group


def _signal(group: int, how: signal.Signals) -> None:
    try:
        os.killpg(group, how)
    except (ProcessLookupError, PermissionError):  # nobody left; macOS says the second of a group of zombies
        return


class PostgresServer(Server):
    """PostgreSQL, with a database `postgres` and any number of new ones.

    The cluster sorts text as people do, like the one in the usual image: a query that needs the order of
    bytes has to say so. The default does not sync, which only a crash of the machine would show.
    """

    name = "postgres"
    stop_signal = signal.SIGINT
    kill_signal = signal.SIGQUIT

    def __init__(self, *, durable: bool = False) -> None:
        initdb = shutil.which("initdb")
        versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        newest = sorted(versions, key=lambda path: float(path.parts[-3]), reverse=True)
        self._binaries = found("PostgreSQL", "postgresql", initdb, *newest).resolve().parent
        self._durable = durable
        super().__init__()

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """A database of this server, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/{database}"

    @property
    def user(self) -> str | None:
        if os.geteuid() != 0:
            return None
        names = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def prepare(self) -> None:
        if (self.folder / "data" / "PG_VERSION").exists():
            return
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        flags = [
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        people = ["--locale-provider=icu", "--icu-locale=en-US"]
        made = self._spawn([self._binaries / "initdb", *flags, *people, "-D", self.folder / "data"]).wait()
        if made != 0:
            raise ServerFailed(f"initdb failed: {self.log}")

    def command(self) -> Sequence[str | Path]:
        settings = ["listen_addresses=" + LOOPBACK, "unix_socket_directories=", "max_connections=200"]
        if not self._durable:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        flags = [part for setting in settings for part in ("-c", setting)]
        return [self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), *flags]

    def answers(self) -> bool:
        try:
            with self._connect() as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def create_database(self) -> str:
        """A new, empty database; its name."""
        name = f"test_{uuid.uuid4().hex}"
        self._administer(sql.SQL("create database {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Away with it, whoever is still connected."""
        self._administer(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _administer(self, command: sql.Composed) -> None:
        wait_until(lambda: self._done(command), every=0.5)

    def _done(self, command: sql.Composed) -> bool:
        """Whether that could be done. Postgres gives who is connected five seconds to go, and then does nothing."""
        try:
            with self._connect() as connection:
                connection.execute(command)
        except psycopg.errors.ObjectInUse:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
            connect_timeout=int(LONGEST_ANSWER),
        )


class RedisServer(Server):
    """Redis, in memory only: what it held is gone after a stop as after a crash."""

    name = "redis"

    def __init__(self) -> None:
        self._binary = found("Redis", "redis-server", shutil.which("redis-server"))
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def command(self) -> Sequence[str | Path]:
        where = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder)]
        return [self._binary, *where, "--save", "", "--appendonly", "no", "--daemonize", "no"]

    def answers(self) -> bool:
        return exchange(self.port, b"PING\r\n", 5) == b"+PONG"

    def flush(self) -> None:
        """Forget everything."""
        if exchange(self.port, b"FLUSHALL\r\n", 3) != b"+OK":
            raise ServerFailed(f"redis does not flush: {self.log}")


class RabbitServer(Server):
    """RabbitMQ with a name service (epmd) of its own; seven seconds to start, so one serves a session."""

    name = "rabbitmq"
    patience = 90

    def __init__(self) -> None:
        # The one in sbin switches to another user; the one beside the library does not.
        plain = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        self._binary = found("RabbitMQ", "rabbitmq-server", plain, shutil.which("rabbitmq-server"))
        self._epmd = found("Erlang's epmd", "erlang-base", shutil.which("epmd"))
        self.epmd_port = free_port()
        self._distribution_port = free_port()
        super().__init__()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def prepare(self) -> None:
        (self.folder / "enabled_plugins").write_text("[].\n")

    def command(self) -> Sequence[str | Path]:
        # epmd started here stays in the group; the one Erlang would start for itself outlives everything.
        return ["sh", "-c", '"$0" & exec "$1"', self._epmd, self._binary]

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"),
            # The script then becomes the broker instead of waiting for it, so that signals reach the broker.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def answers(self) -> bool:
        # A frame of type 1 (a method, connection.start) on channel 0.
        return exchange(self.port, AMQP_HEADER, 3) == b"\x01\x00\x00"


class MeilisearchServer(Server):
    """Meilisearch as we run it and an operator would: production, with a key."""

    name = "meilisearch"

    def __init__(self, binary: Path) -> None:
        self._binary = found("Meilisearch", "meilisearch", binary)
        self.key = uuid.uuid4().hex
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        folders = {"--db-path": "db", "--dump-dir": "dumps", "--snapshot-dir": "snapshots"}
        where = [part for flag, name in folders.items() for part in (flag, self.folder / name)]
        return [
            self._binary,
            *("--no-analytics", "--env", "production", "--http-addr", f"{LOOPBACK}:{self.port}"),
            *where,
        ]

    def environment(self) -> Mapping[str, str]:
        return {"MEILI_MASTER_KEY": self.key, "MEILI_MAX_INDEXING_MEMORY": INDEXING_MEMORY}

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/health").status_code == 200
        except httpx.TransportError:
            return False

    def indexes(self) -> list[str]:
        """The uids of all indexes."""
        answer = self._ask("GET", "/indexes?limit=1000").raise_for_status()
        return [index["uid"] for index in answer.json()["results"]]

    def delete_indexes(self, prefix: str) -> None:
        """Delete the index of that uid, and those built beside it whose uids begin with it."""
        for uid in self.indexes():
            if uid.startswith(prefix):
                self._ask("DELETE", f"/indexes/{uid}").raise_for_status()

    def _ask(self, method: str, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=LONGEST_ANSWER, trust_env=False)
