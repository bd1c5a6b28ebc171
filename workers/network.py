"""Connections as we make them: no answer holds one longer than it may take, and what was crawled leads to public
addresses only.

An address is judged when it is connected to, so a name that means another address a moment later gains nothing. Behind
a proxy the proxy connects, and the check is the proxy's; what a URL itself says (localhost, 127.1) is refused before.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

LookUp = Callable[[str, int], Sequence[str]]
"""The addresses that a name means."""

_IPV4_WITHIN = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""What Python's own table takes for global, in some version of it."""
MOST_ADDRESSES = 4
"""So many addresses of a name are tried: whoever wrote the name may have given it hundreds where nobody answers."""
_UNTIL: ContextVar[float | None] = ContextVar("until", default=None)


class NotPublicError(Exception):
    """What was crawled leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet's, an IPv4 address within one of IPv6 looked at as itself."""
    found = ip_address(address)
    inner = _inner(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    if isinstance(found, IPv6Address) and found not in _GLOBAL_UNICAST:
        return False
    return found.is_global and not found.is_multicast and not any(found in network for network in _SPECIAL)


def says_not_public(host: str) -> bool:
    """Whether a host says without being looked up that it is not public: this machine's name, or such an address in
    whatever spelling.
    """
    name = host.rstrip(".").lower().strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return not is_public(name)
    except ValueError:
        pass
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(name)))  # 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeError):
        return False


def look_up(host: str, port: int) -> Sequence[str]:
    """What the system knows a name as. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is read from a connection within takes no longer than that, its headers included."""
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


class Network(httpcore.NetworkBackend):
    """Connects as httpcore does, within the time that there is; where it says so, to public addresses only."""

    def __init__(
        self, *, public_only: bool = False, look_up: LookUp = look_up, plain: httpcore.NetworkBackend | None = None
    ) -> None:
        self._public_only, self._look_up, self._plain = public_only, look_up, plain or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to a host. Raises NotPublicError."""
        failed: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError(f"{host} has no address")
        for address in self._public(host, port) if self._public_only else [host]:
            try:
                made = self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Timed(made)
        raise failed

    def _public(self, host: str, port: int) -> list[str]:
        try:
            found = [host.strip("[]")] if _is_address(host) else self._look_up(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        public = [address for address in found if is_public(address)]
        if found and not public:
            raise NotPublicError(f"{host} is {found[0]}")
        return public[:MOST_ADDRESSES]


class Transport(httpx.HTTPTransport):
    """httpx's own, on a network of ours."""

    def __init__(self, network: Network, verify: SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=verify, limits=limits)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=network,
        )


class _Timed(httpcore.NetworkStream):
    """A connection that is read no longer than `within` says: an upstream that sends a byte a minute is no upstream."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        until = _UNTIL.get()
        if until is None:
            return self._stream.read(max_bytes, timeout)
        left = until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("its answer took too long")
        return self._stream.read(max_bytes, left if timeout is None else min(timeout, left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that one of IPv6 leads to: mapped, by 6to4, or by NAT64."""
    if address in _IPV4_WITHIN:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
