"""Asking an upstream for JSON: politely, within limits, and with errors that say what to do next.

The only module that knows the errors of httpx's requests.
"""

import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import httpx

from indexer.errors import (
    CursorRefused,
    McpIndexerError,
    SourceGone,
    SourceMalformed,
    SourceRefused,
    SourceUnavailable,
)
from workers.answers import Answer, FailedError, Reader
from workers.bodies import ENCODINGS, Limits
from workers.client import check_header
from workers.masking import Masking, header_secrets, printable
from workers.network import NotPublicError, within
from workers.skimming import Skimmed
from workers.targets import Params, Target, Targets
from workers.waiting import asked_to_rest, backoff, spoken

LATER = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""The statuses that another try may change; 520 to 530 are what Cloudflare says of a server behind it."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FORBIDDEN = 403
"""What GitHub says, too, when no request remains."""
_REFUSALS: dict[int, type[SourceRefused]] = {
    **dict.fromkeys((404, 410, 451), SourceGone),
    **dict.fromkeys((400, 414, 422), CursorRefused),
}
"""What is refused by a status, where that says more than that a person has to look."""
MOST_REDIRECTS = 5
READINGS = 3
"""How often an answer is asked for that cannot be read: a gateway's page passes, a broken registry's stays."""
MORE_TRIES = 3
"""What has answered before is tried so many times more: it is a bad hour, not a wrong address."""
LONGEST_WAIT = 300.0
"""Seconds that a worker sits out; who asks for more is left alone, and the crawl goes on another time."""
_TODO = {
    401: "check the source's token_env",
    403: "check the source's token_env and what its token may read",
    404: "check the source's url and path",
    410: "check whether the source has moved",
    451: "it is withheld for legal reasons",
    407: "check the proxy of the environment",
}


T = TypeVar("T")
Read = Callable[[httpx.Response, str, float], T]
"""Takes what is wanted of an answer, which is shown so, until then."""


class Budget(Protocol):
    """The requests each host gets, shared by all processes."""

    def reserve(self, host: str, per_minute: int) -> float:
        """Takes one request of the host's budget; the seconds to wait before it may be sent."""
        ...

    def rest(self, host: str, seconds: float) -> None:
        """Nobody asks the host before that many seconds are over."""
        ...


class Fetcher:
    """Gets JSON from one source's host, within its budget; `requests` counts what was sent, retries included.

    `public` gives the client for what was crawled or redirected to elsewhere, on a network that reaches public
    addresses only; without it that is refused. `redirect_hosts` are where redirects may lead beside the host asked.

    `ended` hears of each request once: its status, or "error" where there is none or the answer broke off; `retried`
    hears why one is sent again, `waited` the seconds that one waited for the budget.
    """

    def __init__(
        self,
        http: httpx.Client,
        budget: Budget,
        *,
        per_minute: int,
        clock: Callable[[], datetime],
        public: Callable[[], httpx.Client] | None = None,
        redirect_hosts: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
        attempts: int = 5,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        ticks: Callable[[], float] = time.monotonic,
        ended: Callable[[str], None] = lambda _: None,
        retried: Callable[[str], None] = lambda _: None,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        headers = headers or {}
        for name, value in headers.items():
            check_header(name, value)
        self._client, self._public = http, public
        self._budget, self._per_minute, self._limits = budget, per_minute, limits
        self._common = {"Accept": "application/json", "Accept-Encoding": ENCODINGS}
        # Put together once: a request's own would be merged with the client's each time.
        self._headers = _together(http.headers, {**self._common, **headers, "Accept-Encoding": ENCODINGS})
        self._masking = Masking((*secrets, *header_secrets(headers.values())))
        self._targets = Targets(self._masking, redirect_hosts)
        self._reader = Reader(self._masking, limits, ticks)
        self._attempts, self._clock = attempts, clock
        self._sleep, self._jitter, self._ticks = sleep, jitter, ticks
        self._ended, self._retried, self._waited = ended, retried, waited
        self._answered = False
        self.requests = 0

    def get_json(self, url: str, params: Params = ()) -> Answer:
        """The JSON at an address that an operator configured.

        Raises SourceUnavailable (try later), SourceRefused, SourceMalformed or SourceTooLarge (ask for less).
        """
        return self._patiently(self._targets.configured(url, params), self._reader.json)

    def get_crawled(self, url: str, params: Params = ()) -> Answer:
        """The JSON at an address that a source wrote: a public one, asked without what is sent to the source itself.

        Raises as `get_json` does.
        """
        return self._patiently(self._targets.crawled(url, params), self._reader.json)

    def skim(self, url: str, params: Params = ()) -> Skimmed:
        """The one record that a registry's page at such an address holds, passed through and not read; to be asked for
        where `get_json` found it too large. Raises as `get_json` does.
        """
        return self._patiently(self._targets.configured(url, params), self._reader.skimmed)

    def _patiently(self, target: Target, read: Read[T]) -> T:
        """The answer, tried for again while another try may change it."""
        failures = unread = 0
        while True:
            try:
                answer = self._follow(target, read)
            except FailedError as failed:
                failures += 1
                unread += failed.stays is SourceMalformed
                more = MORE_TRIES if self._answered else 0
                if failures >= self._attempts + more or unread >= READINGS + more:
                    raise self._given_up(target, failures, failed) from None
                rest, why = failed.rest, failed.why
            else:
                self._answered = True
                return answer
            self._retried(why)
            self._sleep(max(rest, backoff(failures, self._jitter())))

    def _follow(self, target: Target, read: Read[T]) -> T:
        asked = target
        for _ in range(MOST_REDIRECTS + 1):
            found = self._send(asked, read)
            if not isinstance(found, Target):
                return found
            asked = found
        raise SourceRefused(
            f"{self._shown(target)}: redirected more than {MOST_REDIRECTS} times; check the source's url"
        )

    def _send(self, target: Target, read: Read[T]) -> T | Target:
        """The answer to one request, or where it points."""
        client, headers = self._way(target)
        request = httpx.Request("GET", target.url, headers=headers)
        self._await_turn(target)
        self.requests += 1
        deadline, outcome = self._ticks() + self._limits.seconds, "error"
        try:
            # No error of httpx is chained to ours: its text may hold what is not to be shown.
            with (
                within(self._limits.seconds),
                closing(client.send(request, stream=True, follow_redirects=False)) as response,
            ):
                outcome = str(response.status_code)
                return self._judge(response, target, deadline, read)
        except NotPublicError as error:
            raise self._targets.not_public(target, str(error)) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            outcome = "error"
            # httpx reads a Location even where it is not to follow it, and its request itself is known to be good.
            if isinstance(error, httpx.InvalidURL) or isinstance(error.__context__, httpx.InvalidURL):
                raise SourceRefused(
                    f"{self._shown(target)}: it points to what is no address; check the source's url"
                ) from None
            why = self._masking.hide(f"{type(error).__name__}: {error}")
            raise FailedError(printable(why)) from None
        finally:
            self._ended(outcome)

    def _way(self, target: Target) -> tuple[httpx.Client, httpx.Headers]:
        """Who asks there, and with which headers: what is sent to a source is sent to nobody else."""
        if not target.found:
            return self._client, self._headers
        if self._public is None:
            raise SourceRefused(f"{self._shown(target)}: only what is configured as a source's url is asked here")
        public = self._public()
        return public, _together(public.headers, self._common)

    def _await_turn(self, target: Target) -> None:
        wait = self._budget.reserve(target.host, self._per_minute)
        if wait > LONGEST_WAIT:
            until = self._clock() + timedelta(seconds=wait)
            raise SourceUnavailable(
                f"{self._shown(target)}: its host is not to be asked before {spoken(until)}; the crawl goes on then",
                until,
            )
        if wait > 0:
            self._waited(wait)
            self._sleep(wait)

    def _judge(self, response: httpx.Response, target: Target, deadline: float, read: Read[T]) -> T | Target:
        if response.status_code in REDIRECTS and "location" in response.headers:
            return self._targets.redirected(target, response.headers["location"])
        if response.status_code in LATER or response.status_code == FORBIDDEN:
            rest = asked_to_rest(response.headers, self._clock())
            if response.status_code in LATER or rest is not None:
                raise self._later(response, target, rest)
        if not response.is_success:
            raise self._refused(response, target, deadline)
        return read(response, self._shown(target), deadline)

    def _later(self, response: httpx.Response, target: Target, rest: float | None) -> FailedError | SourceUnavailable:
        why = self._status(response)
        if rest is None:
            return FailedError(why)
        self._budget.rest(target.host, rest)
        if rest <= LONGEST_WAIT:
            return FailedError(why, rest=rest)
        until = self._clock() + timedelta(seconds=rest)
        return SourceUnavailable(
            f"{self._shown(target)}: {why}, not to be asked before {spoken(until)}; the crawl goes on then",
            until,
        )

    def _refused(self, response: httpx.Response, target: Target, deadline: float) -> SourceRefused:
        status = response.status_code
        kind = _REFUSALS.get(status, SourceRefused)
        said = self._reader.words(response, deadline)
        todo = _TODO.get(status, "check the source's url and options")
        return kind(f"{self._shown(target)}: {self._status(response)}{f', {said!r}' if said else ''}; {todo}")

    def _given_up(self, target: Target, failures: int, failed: FailedError) -> McpIndexerError:
        later = "" if failed.stays is SourceMalformed else "try again later, or "
        times = "once" if failures == 1 else f"{failures} times, the last time"
        return failed.stays(f"{self._shown(target)}: failed {times}: {failed.why}; {later}check the source's url")

    def _status(self, response: httpx.Response) -> str:
        return printable(self._masking.hide(f"{response.status_code} {response.reason_phrase}".strip())[:100])

    def _shown(self, target: Target) -> str:
        return self._targets.shown(target)


def _together(headers: httpx.Headers, more: Mapping[str, str]) -> httpx.Headers:
    """Headers and more of them, which take the place of those with their names."""
    both = httpx.Headers(headers)
    both.update(more)
    return both
