"""An upstream's answer as it is taken: within limits, without what it was sent in secret, as JSON or passed through."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import httpx

from indexer.errors import McpIndexerError, SourceMalformed, SourceTooLarge, SourceUnavailable
from workers.bodies import Body, Limits
from workers.masking import Masking
from workers.parsing import parse
from workers.skimming import Skim, Skimmed
from workers.waiting import http_date

B = TypeVar("B", Body, Skim)

_ERROR_BODY = Limits(sent=1 << 16, unpacked=1 << 16)


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer: its address as it may be shown, the upstream's clock where it tells it, its size unpacked."""

    url: str
    value: Any = field(repr=False)
    served_at: datetime | None
    status: int
    size: int


class FailedError(Exception):
    """One try failed: why, what that is when it stays, how long the upstream wants to rest."""

    def __init__(self, why: str, *, stays: type[McpIndexerError] = SourceUnavailable, rest: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.stays, self.rest = why, stays, rest


class Reader:
    """Takes answers. `until` is when, in `ticks`, an answer has to have ended."""

    def __init__(self, masking: Masking, limits: Limits, ticks: Callable[[], float] = time.monotonic) -> None:
        self._masking, self._limits, self._ticks = masking, limits, ticks

    def json(self, response: httpx.Response, shown: str, until: float) -> Answer:
        """The JSON in an answer. Raises SourceTooLarge, or FailedError where another try may help."""
        try:
            body = self._masking.in_body(self._fed(Body(_packing(response), self._limits), response, until).end())
            value = _parsed(body, response)
        except SourceTooLarge as error:
            raise SourceTooLarge(f"{shown}: {error}; ask it for less at once") from None
        except SourceMalformed as error:
            raise FailedError(str(error), stays=SourceMalformed) from None
        return Answer(shown, value, http_date(response.headers.get("date")), response.status_code, len(body))

    def skimmed(self, response: httpx.Response, shown: str, until: float) -> Skimmed:
        """The one record of a page, passed through. Raises SourceTooLarge, or FailedError."""
        try:
            found = self._fed(Skim(_packing(response)), response, until).end()
        except SourceTooLarge as error:
            raise SourceTooLarge(f"{shown}: {error}") from None
        except SourceMalformed as error:
            raise FailedError(str(error), stays=SourceMalformed) from None
        return replace(found, beginning=self._masking.in_body(found.beginning))

    def words(self, response: httpx.Response, until: float) -> str:
        """An upstream's own sentence in a refusal; empty where it has none."""
        try:
            return self._masking.words(self._fed(Body(_packing(response), _ERROR_BODY), response, until).so_far())
        except (SourceMalformed, FailedError):
            return ""

    def _fed(self, body: B, response: httpx.Response, until: float) -> B:
        for chunk in response.iter_raw():
            body.feed(chunk)
            if self._ticks() > until:
                raise FailedError(f"its answer took longer than {self._limits.seconds:g} seconds")
        return body


def _packing(response: httpx.Response) -> str:
    packing: str = response.headers.get("content-encoding", "")
    return packing


def _parsed(body: bytes, response: httpx.Response) -> Any:
    try:
        return parse(body)
    except SourceMalformed:
        if body.lstrip()[:1] == b"<" or "html" in response.headers.get("content-type", ""):
            raise SourceMalformed("it answered with a web page where JSON was expected") from None
        raise
