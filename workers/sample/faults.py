"""What goes wrong on purpose: drawn a request at a time from a seed, so that a sequential client meets the same again.

At most one fault a request. Rates, generation and hook can be changed while a server uses them.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Literal, get_args

import orjson

from workers.sample.answers import Request, answer
from workers.sample.problems import Answer, problem
from workers.sample.query import parameters
from workers.sample.registry import SampleRegistry
from workers.sample.wire import Generation, Wire

Fault = Literal[
    "500", "429", "502", "503", "504", "html", "cut", "reset", "slow",
    "loop", "wrong-key", "no-meta", "empty", "blank",
]  # fmt: skip
"""500 in problem+json; 429, 502, 503 and 504 in HTML; html: a page with status 200; cut: less than Content-Length says;
reset: closed without an answer; slow: `slow_seconds` late. Of listings only: loop: nextCursor is the cursor asked for;
wrong-key: it is called next_cursor; no-meta: items without `_meta`; empty: no items; blank: nothing at all."""

FAULTS: tuple[Fault, ...] = get_args(Fault)
LISTING_ONLY: frozenset[Fault | None] = frozenset({"loop", "wrong-key", "no-meta", "empty", "blank"})
_NEVER = ("/ping", "/health", "/version")
_REASONS = {
    "429": "Too Many Requests",
    "502": "Bad Gateway",
    "503": "Service Temporarily Unavailable",
    "504": "Gateway Time-out",
}

Way = Literal["whole", "cut", "reset"]
_WAYS: dict[Fault | None, Way] = {"cut": "cut", "reset": "reset"}

Hook = Callable[[Request], Answer | None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and what happens to it on the way: late, cut in the middle, or not sent at all."""

    answer: Answer
    delay: float = 0.0
    way: Way = "whole"


@dataclass
class Faults:
    """What goes wrong, how often (0 to 1, together at most 1) and in what form; by default nothing."""

    rates: dict[Fault, float] = field(default_factory=dict)
    seed: int = 0
    retry_after: int | None = None
    """Seconds that 429 and 503 say in Retry-After; None: they say nothing."""
    retry_after_as_date: bool = False
    slow_seconds: float = 1.0
    delay: float = 0.0
    """Seconds by which every answer is late."""
    wire: Generation = "d"
    hook: Hook | None = None
    """Asked first: the answer to give, or None for the usual way."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()
        self._wire = Wire()

    def deliver(self, registry: SampleRegistry, request: Request) -> Delivery:
        """The answer to a request, as the hook or the next draw will have it."""
        given = self.hook(request) if self.hook is not None else None
        if given is not None:
            return Delivery(given, self.delay)
        fault = None if request.path.endswith(_NEVER) else self._draw()
        refusal = self._refusal(registry, fault)
        if refusal is not None:
            return Delivery(refusal, self.delay)
        usual = self._usual(registry, request)
        if _is_listing(request) and usual.status == 200:
            usual = usual._replace(body=spoiled(usual.body, fault, _cursor(request)))
        late = self.slow_seconds if fault == "slow" else 0.0
        return Delivery(usual, self.delay + late, _WAYS.get(fault, "whole"))

    def _usual(self, registry: SampleRegistry, request: Request) -> Answer:
        """The answer in this wire's generation."""
        if self.wire == "d" or not _is_listing(request):
            return answer(registry, request)
        usual = answer(registry, request._replace(query=self._wire.query(request.query)))
        return usual if usual.status != 200 else usual._replace(body=self._wire.body(usual.body, self.wire))

    def _draw(self) -> Fault | None:
        if not self.rates:
            return None
        with self._lock:
            drawn = self._random.random()
        for fault in FAULTS:
            drawn -= self.rates.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None

    def _refusal(self, registry: SampleRegistry, fault: Fault | None) -> Answer | None:
        """The answer that a fault gives in place of any other."""
        if fault == "500":
            refusal = problem(500, "unexpected error occurred")
        elif fault == "html":
            refusal = _page(200, "Back soon")
        elif fault is not None and fault in _REASONS:
            refusal = _page(int(fault), _REASONS[fault])
        else:
            return None
        refusal.headers["Date"] = format_datetime(registry.now(), usegmt=True)
        if fault in ("429", "503") and self.retry_after is not None:
            refusal.headers["Retry-After"] = self._retry_after(registry)
        return refusal

    def _retry_after(self, registry: SampleRegistry) -> str:
        seconds = self.retry_after or 0
        if self.retry_after_as_date:
            return format_datetime(registry.now() + timedelta(seconds=seconds), usegmt=True)
        return str(seconds)


def spoiled(body: bytes, fault: Fault | None, asked_cursor: str | None) -> bytes:
    """A listing's body with such a fault in it; of faults that are not in the body, as it was."""
    if fault not in LISTING_ONLY:
        return body
    if fault == "blank":
        return b""
    page = orjson.loads(body)
    metadata = page["metadata"]
    if fault == "empty":
        page = {"servers": [], "metadata": {"count": 0}}
    elif fault == "no-meta":
        for item in page["servers"]:
            item.pop("_meta", None)
    elif fault == "wrong-key" and "nextCursor" in metadata:
        metadata["next_cursor"] = metadata.pop("nextCursor")
    elif fault == "loop" and asked_cursor:
        metadata["next_cursor" if "next_cursor" in metadata else "nextCursor"] = asked_cursor
    return orjson.dumps(page)


def _page(status: int, title: str) -> Answer:
    """An answer in HTML, as a proxy in front of the registry gives it."""
    body = f"<html><head><title>{title}</title></head><body><h1>{status} {title}</h1><hr>nginx</body></html>\r\n"
    return Answer(status, {"Content-Type": "text/html", "Server": "nginx"}, body.encode())


def _is_listing(request: Request) -> bool:
    return request.path.endswith("/servers")


def _cursor(request: Request) -> str | None:
    return parameters(request.query).get("cursor")
