"""Which addresses are public, and that nothing which was crawled leads to others, whatever a name means by then."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from indexer.errors import SourceRefused, SourceUnavailable
from tests.conftest import missing
from tests.workers.test_fetch import OK, TOKEN, RecordingBudget, Upstream, failure, loopback, response, status
from workers.bodies import Limits
from workers.client import client
from workers.fetch import Fetcher
from workers.network import MOST_ADDRESSES, LookUp, Network, is_public, says_not_public

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)

PUBLIC = ("93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1")
NOT_PUBLIC = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *(
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
    ),
    *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001::1"),
)
SPELLINGS = (
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "a.localhost."),
    *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "0", "[::1]", "::ffff:127.0.0.1"),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_this_machine_its_net_or_nobody_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", SPELLINGS)
def test_this_machine_is_known_in_every_spelling(host: str) -> None:
    assert says_not_public(host)


@pytest.mark.parametrize(
    "host", ["r.test", "localhost.test", "93.184.216.34", "1572395042", "münchen.example", "a" * 300]
)
def test_what_a_name_means_is_not_guessed(host: str) -> None:
    assert not says_not_public(host)


# Connections


class Names:
    """Means each name as told, the last meaning again and again; remembers what it was asked."""

    def __init__(self, *meanings: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._meanings = list(meanings)

    def __call__(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002 - look-ups are given one
        self.asked.append(host)
        return self._meanings.pop(0) if len(self._meanings) > 1 else self._meanings[0]


class Deaf(httpcore.NetworkBackend):
    """A network where nobody listens; remembers which addresses were tried."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def connect_tcp(self, host: str, *arguments: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ARG002
        self.tried.append(host)
        raise httpcore.ConnectError("nobody listens")


@contextmanager
def crawling(names: LookUp, plain: httpcore.NetworkBackend | None = None, **options: Any) -> Iterator[Fetcher]:
    """A fetcher that asks for what was crawled, on a network where names mean what they are told to."""
    network = Network(public_only=True, look_up=names, plain=plain)
    with client(None, network=network) as public, client(None) as http:
        options = {"clock": lambda: NOW, "sleep": lambda _: None, "attempts": 2, **options}
        yield Fetcher(http, RecordingBudget(), per_minute=60, public=lambda: public, **options)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine that must not be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def refused(url: str, names: Names) -> str:
    with crawling(names) as fetcher, pytest.raises(SourceRefused) as raised:
        fetcher.get_crawled(url)
    return str(raised.value)


@pytest.mark.parametrize("address", [*NOT_PUBLIC, "127.0.0.1"])
def test_a_crawled_name_that_means_no_public_address_is_not_connected_to(listener: socket.socket, address: str) -> None:
    said = refused(f"http://r.test:{listener.getsockname()[1]}/", Names([address]))
    assert "is no public address" in said
    assert address in said


def test_a_name_is_judged_by_the_address_that_is_connected_to() -> None:
    """It is looked up once for each connection: it cannot be another one when it is connected to."""
    names, network = Names(["93.184.216.34"], ["127.0.0.1"]), Deaf()
    with crawling(names, network) as fetcher, pytest.raises(SourceRefused, match=r"127\.0\.0\.1"):
        fetcher.get_crawled("http://r.test/")
    assert names.asked == ["r.test", "r.test"]
    assert network.tried == ["93.184.216.34"]


def test_of_several_addresses_only_the_public_ones_are_tried() -> None:
    names, network = Names(["127.0.0.1", "93.184.216.34", "10.0.0.1", "93.184.216.35"]), Deaf()
    with crawling(names, network, attempts=1) as fetcher, pytest.raises(SourceUnavailable, match="nobody listens"):
        fetcher.get_crawled("http://r.test/")
    assert network.tried == ["93.184.216.34", "93.184.216.35"]


def test_of_hundreds_of_addresses_a_few_are_tried() -> None:
    names, network = Names([f"93.184.216.{number}" for number in range(200)]), Deaf()
    with crawling(names, network, attempts=1) as fetcher, pytest.raises(SourceUnavailable):
        fetcher.get_crawled("http://r.test/")
    assert len(network.tried) == MOST_ADDRESSES


def test_a_name_that_is_not_known_is_unavailable() -> None:
    def nobody(host: str, port: int) -> Sequence[str]:  # noqa: ARG001 - look-ups are given both
        raise socket.gaierror(-2, "Name or service not known")

    with crawling(nobody, attempts=1) as fetcher, pytest.raises(SourceUnavailable, match="not known"):
        fetcher.get_crawled("http://r.test/")


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_crawled_address_that_says_it_is_not_public_is_not_even_looked_up(host: str) -> None:
    names = Names(["93.184.216.34"])
    assert re.search("is no (public )?address", refused(f"http://{bracketed(host)}/", names))
    assert names.asked == []


@pytest.mark.parametrize("host", SPELLINGS)
def test_behind_a_proxy_too(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        said = refused(f"http://{bracketed(host)}/", Names(["93.184.216.34"]))
        assert re.search("is no (public )?address", said)


def test_behind_a_proxy_names_are_the_proxys(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(["127.0.0.1"])
    with loopback(response(b'{"a": 1}')) as proxy:
        for name in ("NO_PROXY", "no_proxy", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with crawling(names) as fetcher:
            assert fetcher.get_crawled("http://r.test/").value == {"a": 1}
    assert names.asked == []


@pytest.mark.parametrize("url", ["ftp://r.test/", "r.test", "http://", "http://a..b/", "file:///etc/passwd"])
def test_what_was_crawled_and_is_no_address_is_refused(url: str) -> None:
    assert "is no address" in refused(url, Names(["93.184.216.34"]))


def test_without_a_client_for_it_nothing_crawled_is_asked() -> None:
    upstream = Upstream(OK)
    with pytest.raises(SourceRefused, match="only what is configured"):
        upstream.fetcher.get_crawled("https://r.test/")
    assert upstream.asked == []


def test_what_is_configured_goes_through_the_environments_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with loopback(response(b'{"by": "proxy"}')) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with client(None) as http:
            fetcher = Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, attempts=1)
            assert fetcher.get_json("http://r.test/").value == {"by": "proxy"}


def test_what_the_environment_spares_the_proxy_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback(response(b'{"by": "itself"}')) as url, client(None) as http:
        fetcher = Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, attempts=1)
        assert fetcher.get_json(url).value == {"by": "itself"}


def test_what_the_environment_spares_the_proxy_is_judged_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "r.test")
    names, network = Names(["127.0.0.1"]), Deaf()
    with crawling(names, network) as fetcher, pytest.raises(SourceRefused, match="no public address"):
        fetcher.get_crawled("http://r.test/")
    assert network.tried == []


# Redirects to hosts that a source allows


def allowing(*answers: Any, hosts: Sequence[str] = ("mirror.test",), **options: Any) -> Upstream:
    """An upstream that may redirect to some hosts, and answers there too."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant": "acme"}
    return Upstream(*answers, redirect_hosts=hosts, headers=headers, with_public=True, **options)


def test_a_redirect_to_an_allowed_host_is_followed_without_what_the_source_is_sent() -> None:
    upstream = allowing(status(302, Location="https://mirror.test/x?limit=2"), OK)
    assert upstream.fetcher.get_json("https://me:pw@r.test/x").value == {"servers": []}
    _, second = upstream.asked
    assert str(second.url) == "https://mirror.test/x?limit=2"
    assert "authorization" not in second.headers
    assert "x-tenant" not in second.headers
    assert [host for host, _ in upstream.budget.reserved] == ["r.test", "mirror.test"]


@pytest.mark.parametrize(
    "location",
    ["https://mirror.test:8443/", "https://a.mirror.test/", "http://mirror.test/", "https://mirror.test.evil.test/"],
)
def test_allowed_is_the_host_as_it_is_written_and_never_less_safe(location: str) -> None:
    upstream = allowing(status(302, Location=location))
    assert "redirect_hosts" in failure(SourceRefused, upstream)
    assert len(upstream.asked) == 1


def test_a_port_is_allowed_by_name() -> None:
    upstream = allowing(status(302, Location="https://mirror.test:8443/"), OK, hosts=["mirror.test:8443"])
    upstream.fetcher.get_json("https://r.test/")
    assert upstream.asked[1].url.port == 8443


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "localhost", "2130706433", "[::1]"])
def test_a_redirect_to_what_is_not_public_is_refused_even_where_the_host_is_allowed(host: str) -> None:
    upstream = allowing(status(302, Location=f"https://{host}/"), hosts=[host])
    assert "is no public address" in failure(SourceRefused, upstream)
    assert len(upstream.asked) == 1


# Time


def test_headers_that_drip_are_cut_off() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not done.wait(0.01):
                    try:
                        connection.sendall(b"X-More: x\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        options: dict[str, Any] = {"clock": lambda: NOW, "attempts": 1, "limits": Limits(seconds=0.2)}
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with client(None) as http:
            fetcher = Fetcher(http, RecordingBudget(), per_minute=60, **options)
            with pytest.raises(SourceUnavailable, match="ReadTimeout"):
                fetcher.get_json(url)
        done.set()
        thread.join()


def test_a_client_keeps_its_transport_where_it_is_given_one() -> None:
    with client(None, httpx.MockTransport(lambda _: httpx.Response(204))) as http:
        assert http.get("http://r.test/").status_code == 204


# The environment's certificates


@pytest.fixture
def certified(tmp_path: Path) -> tuple[str, Path]:
    """An address that answers one request over TLS, and the certificate that says so."""
    made, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("there is no openssl to make a certificate with")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([openssl, *command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, suppress(OSError):
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65_536)
                secured.sendall(response(b'{"a": 1}'))

    threading.Thread(target=serve, daemon=True).start()
    return f"https://127.0.0.1:{server.getsockname()[1]}/", made


def test_the_environments_certificates_are_believed(
    certified: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, file = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with client(None) as http:
        fetcher = Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, attempts=1)
        assert fetcher.get_json(url).value == {"a": 1}


def test_no_others_are(certified: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = certified
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with client(None) as http:
        fetcher = Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, attempts=1)
        with pytest.raises(SourceUnavailable, match="certificate verify failed"):
            fetcher.get_json(url)
