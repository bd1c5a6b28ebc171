"""Asking an upstream for JSON: politely, within limits, and with errors that say what to do next.

The only module that knows the errors of httpx's requests.
"""

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx

from indexer.errors import (
    ConfigurationError,
    McpIndexerError,
    SourceGone,
    SourceMalformed,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from workers.bodies import ENCODINGS, Body, Limits
from workers.client import check_header, client
from workers.masking import Masking, header_secrets, printable
from workers.parsing import parse
from workers.waiting import asked_to_rest, backoff, http_date, spoken

__all__ = ["Answer", "Budget", "Fetcher", "client"]

Params = Mapping[str, str] | Sequence[tuple[str, str]]

LATER = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""The statuses that another try may change; 520 to 530 are what Cloudflare says of a server behind it."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410, 451})
MOST_REDIRECTS = 5
READINGS = 3
"""How often an answer is asked for that cannot be read: a gateway's page passes, a broken registry's stays."""
LONGEST_WAIT = 300.0
"""Seconds that a worker sits out; who asks for more is left alone, and the crawl goes on another time."""
_ERROR_BODY = Limits(sent=1 << 16, unpacked=1 << 16)
_TODO = {
    401: "check the source's token_env",
    403: "check the source's token_env and what its token may read",
    404: "check the source's url and path",
    410: "check whether the source has moved",
    451: "it is withheld for legal reasons",
    407: "check the proxy of the environment",
}


class Budget(Protocol):
    """The requests each host gets, shared by all processes."""

    def reserve(self, host: str, per_minute: int) -> float:
        """Takes one request of the host's budget; the seconds to wait before it may be sent."""
        ...

    def rest(self, host: str, seconds: float) -> None:
        """Nobody asks the host before that many seconds are over."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer: its address as it may be shown, the upstream's clock where it tells it, its size unpacked."""

    url: str
    value: Any = field(repr=False)
    served_at: datetime | None
    status: int
    size: int


class _FailedError(Exception):
    """One try failed: why, how often that is tried, what it is when it stays, how long the upstream wants to rest."""

    def __init__(
        self, why: str, *, tries: int | None = None, stays: type[McpIndexerError] = SourceUnavailable, rest: float = 0.0
    ) -> None:
        super().__init__(why)
        self.why, self.tries, self.stays, self.rest = why, tries, stays, rest


class Fetcher:
    """Gets JSON from one source's host, within its budget; `requests` counts what was sent, retries included.

    `observed` hears of each request once: its status, or "error" where there is none or the answer broke off; `retried`
    hears why one is sent again, `waited` the seconds that one waited for the budget.
    """

    def __init__(
        self,
        http: httpx.Client,
        budget: Budget,
        *,
        per_minute: int,
        clock: Callable[[], datetime],
        headers: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
        attempts: int = 5,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        ticks: Callable[[], float] = time.monotonic,
        observed: Callable[[str], None] = lambda _: None,
        retried: Callable[[str], None] = lambda _: None,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        headers = headers or {}
        for name, value in headers.items():
            check_header(name, value)
        self._client, self._budget, self._per_minute, self._limits = http, budget, per_minute, limits
        self._headers = {"Accept": "application/json", **headers, "Accept-Encoding": ENCODINGS}
        self._masking = Masking((*secrets, *header_secrets(headers.values())))
        self._attempts, self._clock = attempts, clock
        self._sleep, self._jitter, self._ticks = sleep, jitter, ticks
        self._observed, self._retried, self._waited = observed, retried, waited
        self.requests = 0

    def get_json(self, url: str, params: Params = ()) -> Answer:
        """The JSON at an address that an operator configured.

        Raises SourceUnavailable (try later), SourceRefused, SourceMalformed or SourceTooLarge (ask for less).
        """
        target = self._target(url, params)
        failures = 0
        while True:
            try:
                return self._follow(target)
            except _FailedError as failed:
                failures += 1
                if failures >= min(self._attempts, failed.tries or self._attempts):
                    raise self._given_up(target, failures, failed) from None
                rest, why = failed.rest, failed.why
            self._retried(why)
            self._sleep(max(rest, backoff(failures, self._jitter())))

    def _target(self, url: str, params: Params) -> httpx.URL:
        try:
            target = httpx.URL(url)
            target.raw_host.decode().encode("idna")  # the socket does so, and its error would pass httpx by
            if params:
                query = httpx.QueryParams(dict(params) if isinstance(params, Mapping) else [*params])
                target = target.copy_with(params=target.params.merge(query))
        except (httpx.InvalidURL, ValueError) as error:
            raise self._no_address(url, self._masking.hide(str(error))) from None
        if target.scheme not in ("http", "https") or not target.host or (target.port or 1) > 65_535:
            raise self._no_address(url, "an address is https:// or http://, a host, and a port up to 65535 if any")
        return target.copy_with(fragment=None)

    def _no_address(self, url: str, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._masking.address(url)} cannot be asked ({printable(why)}); correct the source's url"
        )

    def _follow(self, target: httpx.URL) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            found = self._send(target)
            if isinstance(found, Answer):
                return found
            target = found
        raise SourceRefused(
            f"{self._shown(target)}: redirected more than {MOST_REDIRECTS} times; check the source's url"
        )

    def _send(self, target: httpx.URL) -> Answer | httpx.URL:
        """The answer to one request, or where it points."""
        self._await_turn(target)
        self.requests += 1
        deadline, outcome = self._ticks() + self._limits.seconds, "error"
        try:
            # No error of httpx is chained to ours: its text may hold what is not to be shown.
            with self._client.stream("GET", target, headers=self._headers, follow_redirects=False) as response:
                outcome = str(response.status_code)
                return self._judge(response, target, deadline)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            outcome = "error"
            # httpx reads a Location even where it is not to follow it, and its request itself is known to be good.
            if isinstance(error, httpx.InvalidURL) or isinstance(error.__context__, httpx.InvalidURL):
                raise SourceRefused(
                    f"{self._shown(target)}: it points to what is no address; check the source's url"
                ) from None
            why = self._masking.hide(f"{type(error).__name__}: {error}")
            raise _FailedError(printable(why)) from None
        finally:
            self._observed(outcome)

    def _await_turn(self, target: httpx.URL) -> None:
        wait = self._budget.reserve(_host(target), self._per_minute)
        if wait > LONGEST_WAIT:
            until = self._clock() + timedelta(seconds=wait)
            raise SourceUnavailable(
                f"{self._shown(target)}: its host is not to be asked before {spoken(until)}; the crawl goes on then"
            )
        if wait > 0:
            self._waited(wait)
            self._sleep(wait)

    def _judge(self, response: httpx.Response, target: httpx.URL, deadline: float) -> Answer | httpx.URL:
        if response.status_code in REDIRECTS and "location" in response.headers:
            return self._redirected(target, response)
        rest = asked_to_rest(response.headers, self._clock())
        if response.status_code in LATER or (response.status_code == 403 and rest is not None):
            raise self._later(response, target, rest)
        if not response.is_success:
            raise self._refused(response, target, deadline)
        return self._read(response, target, deadline)

    def _read(self, response: httpx.Response, target: httpx.URL, deadline: float) -> Answer:
        try:
            body = self._body(response, self._limits, deadline).end()
            value = _parsed(body, response)
        except SourceTooLarge as error:
            raise SourceTooLarge(f"{self._shown(target)}: {error}; ask it for less at once") from None
        except SourceMalformed as error:
            raise _FailedError(str(error), tries=READINGS, stays=SourceMalformed) from None
        served_at = http_date(response.headers.get("date"))
        return Answer(self._shown(target), value, served_at, response.status_code, len(body))

    def _body(self, response: httpx.Response, limits: Limits, deadline: float) -> Body:
        body = Body(response.headers.get("content-encoding", ""), limits)
        for chunk in response.iter_raw():
            body.feed(chunk)
            if self._ticks() > deadline:
                raise _FailedError(f"its answer took longer than {self._limits.seconds:g} seconds")
        return body

    def _redirected(self, target: httpx.URL, response: httpx.Response) -> httpx.URL:
        location = response.headers["location"]
        try:
            found = target.join(location).copy_with(userinfo=target.userinfo, fragment=None)
        except (httpx.InvalidURL, ValueError):
            found = None
        if found is None or not _stays(target, found):
            raise SourceRefused(
                f"{self._shown(target)}: it points to {self._masking.address(location)}, which is not followed: "
                "another host; if it has moved there, correct the source's url"
            )
        return found

    def _later(
        self, response: httpx.Response, target: httpx.URL, rest: float | None
    ) -> _FailedError | SourceUnavailable:
        why = _status(response)
        if rest is None:
            return _FailedError(why)
        self._budget.rest(_host(target), rest)
        if rest <= LONGEST_WAIT:
            return _FailedError(why, rest=rest)
        until = self._clock() + timedelta(seconds=rest)
        return SourceUnavailable(
            f"{self._shown(target)}: {why}, not to be asked before {spoken(until)}; the crawl goes on then"
        )

    def _refused(self, response: httpx.Response, target: httpx.URL, deadline: float) -> SourceRefused:
        status = response.status_code
        kind = SourceGone if status in GONE else SourceRefused
        try:
            said = self._masking.words(self._body(response, _ERROR_BODY, deadline).so_far())
        except (SourceMalformed, _FailedError):
            said = ""
        todo = _TODO.get(status, "check the source's url and options")
        return kind(f"{self._shown(target)}: {_status(response)}{f', {said!r}' if said else ''}; {todo}")

    def _given_up(self, target: httpx.URL, failures: int, failed: _FailedError) -> McpIndexerError:
        later = "" if failed.stays is SourceMalformed else "try again later, or "
        times = "once" if failures == 1 else f"{failures} times, the last time"
        return failed.stays(f"{self._shown(target)}: failed {times}: {failed.why}; {later}check the source's url")

    def _shown(self, target: httpx.URL) -> str:
        return self._masking.address(str(target))


def _parsed(body: bytes, response: httpx.Response) -> Any:
    try:
        return parse(body)
    except SourceMalformed:
        if body.lstrip()[:1] == b"<" or "html" in response.headers.get("content-type", ""):
            raise SourceMalformed("it answered with a web page where JSON was expected") from None
        raise


def _stays(target: httpx.URL, found: httpx.URL) -> bool:
    """Whether a redirect stays at its host: scheme, host and port, or the same host's https."""
    if found.host != target.host:
        return False
    same = (found.scheme, found.port) == (target.scheme, target.port)
    return same or (target.scheme == "http" and found.scheme == "https" and found.port in (None, target.port))


def _host(target: httpx.URL) -> str:
    return target.netloc.decode("ascii")


def _status(response: httpx.Response) -> str:
    return printable(f"{response.status_code} {response.reason_phrase}".strip()[:100])
