"""Where requests go: what an operator configured, what was crawled, and where a redirect may lead."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import httpx

from indexer.errors import ConfigurationError, SourceRefused
from workers.masking import Masking, printable
from workers.network import says_not_public

Params = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Target:
    """An address to ask; `found` where it was crawled or redirected to, and so may only be a public one."""

    url: httpx.URL
    found: bool

    @property
    def host(self) -> str:
        """The host and, where it is not the scheme's own, the port."""
        return self.url.netloc.decode("ascii")


class Targets:
    """What one source may be asked at. `elsewhere` are the hosts that it may redirect to, with a port if need be."""

    def __init__(self, masking: Masking, elsewhere: Collection[str] = ()) -> None:
        self._masking = masking
        self._elsewhere = {httpx.URL(f"https://{host}").netloc.decode("ascii") for host in elsewhere}

    def configured(self, url: str, params: Params) -> Target:
        """An address that an operator configured. Raises ConfigurationError where it is none."""
        try:
            return Target(_read(url, params), found=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigurationError(
                f"{self._masking.address(url)} cannot be asked ({printable(self._masking.hide(str(error)))}); correct "
                "the source's url"
            ) from None

    def crawled(self, url: str, params: Params) -> Target:
        """An address that was found in what a source wrote. Raises SourceRefused where it is none or not public."""
        try:
            return self.public(Target(_read(url, params), found=True))
        except (httpx.InvalidURL, ValueError) as error:
            why = printable(self._masking.hide(str(error)))
            raise SourceRefused(f"{self._masking.address(url)}: what a source wrote is no address ({why})") from None

    def redirected(self, asked: Target, location: str) -> Target:
        """Where a redirect leads. Raises SourceRefused where it is not to be followed."""
        try:
            url = asked.url.join(location).copy_with(userinfo=asked.url.userinfo, fragment=None)
        except (httpx.InvalidURL, ValueError):
            raise self._elsewhere_refused(asked, location) from None
        if _stays(asked.url, url):
            return replace(asked, url=url)
        if not self._is_allowed(asked.url, url):
            raise self._elsewhere_refused(asked, location)
        return self.public(Target(url.copy_with(userinfo=b""), found=True))

    def public(self, target: Target) -> Target:
        """The same target, unless it says itself that it is not public. Raises SourceRefused."""
        if says_not_public(target.url.host):
            raise self.not_public(target, target.url.host)
        return target

    def not_public(self, target: Target, why: str) -> SourceRefused:
        """What is said where an address that was crawled, or redirected to, is not public."""
        return SourceRefused(
            f"{self.shown(target)}: it was crawled or redirected to, and is no public address ({printable(why)}); only "
            "what is configured as a source's url may be"
        )

    def shown(self, target: Target) -> str:
        """A target as it may be shown."""
        return self._masking.address(str(target.url))

    def _is_allowed(self, asked: httpx.URL, url: httpx.URL) -> bool:
        safe = url.scheme == "https" or (url.scheme == asked.scheme == "http")
        return safe and url.netloc.decode("ascii") in self._elsewhere

    def _elsewhere_refused(self, asked: Target, location: str) -> SourceRefused:
        return SourceRefused(
            f"{self.shown(asked)}: it points to {self._masking.address(location)}, which is not followed: another "
            "host; if it has moved there, correct the source's url, or allow the host in its redirect_hosts"
        )


def _read(url: str, params: Params) -> httpx.URL:
    """A URL as it can be asked. Raises InvalidURL or ValueError."""
    target, bare, asked = _address(url)
    if not params:
        return target
    query = httpx.QueryParams(dict(params) if isinstance(params, Mapping) else [*params])
    return httpx.URL(f"{bare}?{asked.merge(query) if asked else query}")


@lru_cache(maxsize=16)  # a source's pages have one address, and other parameters
def _address(url: str) -> tuple[httpx.URL, str, httpx.QueryParams]:
    """A URL as it can be asked; the same without its parameters; and those."""
    target = httpx.URL(url)
    target.raw_host.decode().encode("idna")  # the socket does so, and its error would pass httpx by
    if target.scheme not in ("http", "https") or not target.host or (target.port or 1) > 65_535:
        raise ValueError("an address is https:// or http://, a host, and a port up to 65535 if any")
    target = target.copy_with(fragment=None)
    return target, str(target.copy_with(query=None)), target.params


def _stays(asked: httpx.URL, found: httpx.URL) -> bool:
    """Whether a redirect stays at its host: scheme, host and port, or the same host's https."""
    if found.host != asked.host:
        return False
    same = (found.scheme, found.port) == (asked.scheme, asked.port)
    return same or (asked.scheme == "http" and found.scheme == "https" and found.port in (None, asked.port))
