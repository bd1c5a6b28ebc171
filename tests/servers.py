"""The real servers that tests run against, each on a free loopback port with its data in a folder of its own.

with RedisServer() as redis:
    redis.url; redis.restart(); redis.kill(); redis.start()
"""

import os
import pwd
import shutil
import signal
import socket
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import psycopg
from psycopg import sql

from tests.ports import LOOPBACK, free_port
from tests.server_process import Server, ServerFailed
from tests.waiting import PATIENCE, wait_until
from workers.meili_process import INDEXING_MEMORY

AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


class ServerMissing(Exception):
    """This machine has no such server; the text says which, and how to get it."""


def found(what: str, package: str, *candidates: str | Path | None) -> Path:
    """The first of the candidates that is a program here."""
    for candidate in candidates:
        if candidate is not None and os.access(candidate, os.X_OK):
            return Path(candidate)
    raise ServerMissing(f"{what} is not installed here (Debian: apt-get install {package})")


def exchange(port: int, question: bytes, enough: int) -> bytes:
    """The first bytes a server says to a question: `enough` of them, or fewer; none when it is not there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as connection:
            connection.sendall(question)
            answer = b""
            while len(answer) < enough and (more := connection.recv(enough - len(answer))):
                answer += more
            return answer
    except OSError:
        return b""


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
            connect_timeout=int(PATIENCE),
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
        return httpx.request(method, self.url + path, headers=headers, timeout=PATIENCE, trust_env=False)
