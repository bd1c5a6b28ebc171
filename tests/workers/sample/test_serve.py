"""The sample registry over real sockets, in this process and as a program."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import quote

import httpx
import pytest

from tests.waiting import PATIENCE
from workers.sample.bundled import sample_registry
from workers.sample.faults import Fault, Faults
from workers.sample.problems import Answer
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
PATH = "/v0.1/servers"


@pytest.fixture
def server() -> Iterator[SampleServer]:
    registry = sample_registry(generated=300, seed=5)
    registry.now = lambda: NOW
    with SampleServer(registry) as running:
        yield running


def asking(url: str) -> httpx.Client:
    """A client that keeps its connection and is patient: httpx keeps one for five seconds, and waits as long."""
    return httpx.Client(base_url=url, timeout=PATIENCE, limits=httpx.Limits(keepalive_expiry=None))


@pytest.fixture
def client(server: SampleServer) -> Iterator[httpx.Client]:
    with asking(server.url) as made:
        made.headers["User-Agent"] = "tests/1 (+https://tests.example)"
        yield made


def walk(client: httpx.Client, limit: int) -> list[tuple[str, str]]:
    met: list[tuple[str, str]] = []
    asked: dict[str, str | int] = {"limit": limit}
    while True:
        page = client.get(PATH, params=asked).raise_for_status().json()
        met += [(item["server"]["name"], item["server"]["version"]) for item in page["servers"]]
        if "nextCursor" not in page["metadata"]:
            return met
        asked["cursor"] = page["metadata"]["nextCursor"]


@pytest.mark.parametrize("limit", [7, 100])
def test_a_walk_over_http_meets_every_visible_version(server: SampleServer, client: httpx.Client, limit: int) -> None:
    visible = server.registry.items(include_deleted=False)
    assert walk(client, limit) == [(item["server"]["name"], item["server"]["version"]) for item in visible]


def test_every_version_can_be_asked_for_by_itself(server: SampleServer, client: httpx.Client) -> None:
    for item in server.registry.items(include_deleted=False):
        name, version = (quote(item["server"][key], safe="") for key in ("name", "version"))
        assert client.get(f"{PATH}/{name}/versions/{version}").raise_for_status().json() == item


def test_a_connection_is_kept_and_headers_are_those_of_the_answer(client: httpx.Client) -> None:
    first = client.get(PATH)
    stream = first.extensions["network_stream"].get_extra_info("client_addr")
    second = client.get(PATH)
    assert first.http_version == "HTTP/1.1"
    assert first.headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert first.headers["Content-Type"] == "application/json"
    assert second.extensions["network_stream"].get_extra_info("client_addr") == stream


def test_a_head_has_no_body_and_the_connection_goes_on(client: httpx.Client) -> None:
    assert client.head(PATH).content == b""
    assert client.get(PATH).status_code == 200


def test_a_write_is_refused_and_its_body_does_no_harm(client: httpx.Client) -> None:
    assert client.post(f"{PATH}", content=b"GET / HTTP/1.1\r\n\r\n").status_code == 405
    assert client.get(PATH).status_code == 200


def test_a_server_remembers_what_was_asked(server: SampleServer, client: httpx.Client) -> None:
    client.get(PATH, params={"limit": 1, "search": "a b"})
    client.get("/nowhere")
    assert server.requests[0] == ("GET", PATH, "limit=1&search=a+b", "tests/1 (+https://tests.example)")
    assert server.statuses == {200: 1, 404: 1}


def test_what_is_published_while_it_serves_is_served(server: SampleServer, client: httpx.Client) -> None:
    server.registry.publish({"name": "com.acme/tool", "description": "New", "version": "1.0.0"})
    assert client.get(f"{PATH}/com.acme%2Ftool/versions/latest").json()["server"]["description"] == "New"


@contextmanager
def faulty(faults: Faults) -> Iterator[tuple[SampleServer, httpx.Client]]:
    with SampleServer(sample_registry(), faults) as running, asking(running.url) as client:
        yield running, client


@pytest.mark.parametrize(("fault", "error"), [("cut", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
def test_a_broken_answer_breaks_the_clients_read_and_nothing_else(fault: Fault, error: type[Exception]) -> None:
    with faulty(Faults({fault: 1.0})) as (server, client):
        with pytest.raises(error):
            client.get(PATH)
        server.faults.rates.clear()
        assert client.get(PATH).status_code == 200


def test_a_late_answer_runs_into_the_clients_timeout() -> None:
    with faulty(Faults({"slow": 1.0}, slow_seconds=600)) as (_, client), pytest.raises(httpx.ReadTimeout):
        client.get(PATH, timeout=httpx.Timeout(30, read=0.05))


def test_a_hook_answers_in_place_of_the_registry() -> None:
    with faulty(Faults(hook=lambda _: Answer(418, {}, b"short and stout"))) as (_, client):
        given = client.get(PATH)
        assert (given.status_code, given.text) == (418, "short and stout")


def test_faults_come_in_the_same_order_to_every_sequential_client() -> None:
    def met() -> list[int]:
        with faulty(Faults({"500": 0.2, "429": 0.2, "503": 0.2}, seed=9)) as (_, client):
            return [client.get(PATH, params={"limit": 1}).status_code for _ in range(40)]

    assert met() == met()


def test_many_clients_at_once_while_versions_are_published() -> None:
    registry = sample_registry(generated=500)
    wrong: list[object] = []
    with SampleServer(registry) as running:

        def crawl() -> None:
            with asking(running.url) as client:
                met = walk(client, 50)
                wrong.extend(key for key, following in pairwise(met) if key >= following)

        threads = [threading.Thread(target=crawl) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(200):
            registry.publish(
                {"name": f"io.github.busy/tool-{number % 20}", "description": "x", "version": f"1.0.{number}"}
            )
        for thread in threads:
            thread.join()
    assert wrong == []


def test_stopping_ends_connections_that_are_kept_open() -> None:
    with SampleServer(SampleRegistry()) as running, asking(running.url) as client:
        assert client.get(PATH).status_code == 200
        running.stop()
        with pytest.raises(httpx.TransportError):
            client.get(PATH)


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    SampleServer(SampleRegistry()).stop()


# ------------------------------------------------------------------ the program


@contextmanager
def program(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The program, once it listens, and its address."""
    command = [sys.executable, "-m", "workers.sample", "serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_it_is_told_to_stop(how: signal.Signals) -> None:
    with program("--generate", "100", "--seed", "3", "--without-bundled") as (process, url):
        with asking(url) as client:
            expected = sample_registry(100, seed=3, bundled=False).items(include_deleted=False)
            assert walk(client, 100) == [(item["server"]["name"], item["server"]["version"]) for item in expected]
            process.send_signal(how)
            out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")


def test_the_program_takes_faults_and_a_delay() -> None:
    with program("--faults", "503=1,retry-after=2", "--delay-ms", "1") as (_, url), asking(url) as client:
        given = client.get(PATH)
        assert (given.status_code, given.headers["Retry-After"]) == (503, "2")
        assert client.get("/v0.1/ping").json() == {"pong": True}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["serve", "--faults", "500=often"], 2, "is no fault; write"),
        (["serve", "--generate", "-1"], 2, "not a whole number"),
        (["serve", "--port", "99999"], 1, "choose another --port"),
        ([], 2, "usage"),
    ],
)
def test_arguments_that_cannot_be_used_get_a_sentence(arguments: list[str], status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.sample", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
