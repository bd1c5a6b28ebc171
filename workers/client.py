"""The HTTP client: who we say we are, how long we wait, and what is taken from the environment."""

import os
from importlib.metadata import version
from logging import WARNING, getLogger
from typing import Any

import httpx

from indexer.errors import ConfigurationError
from workers.bodies import ENCODINGS
from workers.masking import Masking
from workers.network import Network, Transport


class _NoCookies(httpx.Cookies):
    """None, whatever is answered: keeping none by a policy of the jar's costs 60 microseconds an answer."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Takes none."""


_NO_COOKIES = _NoCookies()


class Client(httpx.Client):
    """httpx's own on a network of ours, without cookies; what goes through a proxy of the environment is the proxy's
    to connect.
    """

    def __init__(self, network: Network, **options: Any) -> None:
        self._network = network
        super().__init__(**options)

    @property
    def cookies(self) -> httpx.Cookies:
        """None."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, _: Any) -> None:
        """Keeps none."""

    def _init_transport(self, *arguments: Any, **options: Any) -> httpx.BaseTransport:
        # Handing httpx a transport would have it ignore the environment's proxies.
        if options["transport"] is not None:
            return super()._init_transport(*arguments, **options)
        return Transport(self._network, httpx.create_ssl_context(), options["limits"])


def client(contact: str | None, transport: httpx.BaseTransport | None = None, network: Network | None = None) -> Client:
    """A client that says who asks, takes proxies and certificates from the environment, and keeps no cookies."""
    agent = f"mcp-indexer/{version('mcp-indexer')}" + (f" (+{contact})" if contact else "")
    check_header("MCP_INDEXER_CONTACT", agent)
    for name in ("httpx", "httpcore"):
        getLogger(name).setLevel(WARNING)  # below that they write whole addresses, secrets included
    try:
        return Client(
            network or Network(),
            transport=transport,
            timeout=httpx.Timeout(60.0, connect=10.0),
            headers={"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": ENCODINGS},
        )
    except (ValueError, OSError, ImportError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"the environment's proxy or certificates cannot be used: {Masking().hide(str(error))}; check HTTP_PROXY, "
            "HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        ) from None


def spare_loopback() -> None:
    """From here on the environment's proxy is not asked for what is on this machine, as the embedded Meilisearch is."""
    for name in ("NO_PROXY", "no_proxy"):
        spared = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*spared, "127.0.0.1", "localhost", "::1"]))


def check_header(name: str, value: str) -> None:
    """Raises ConfigurationError, without the value, where a header cannot hold it."""
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ConfigurationError(
            f"{name}: its value cannot be sent in a header; it is to be printable ASCII without spaces around it"
        )
