"""Ten thousand bodies through the adapter: anything that JSON holds, and lists that are nearly right.

Hypothesis draws seeds; what a body is of them is drawn by Python's own generator, which is fifty times as fast.
"""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import SourceMalformed, SourceTooLarge
from indexer.listing import as_held
from indexer.text import ascii_json, digest
from schemas.about import OFFICIAL
from schemas.names import Cursor, slot
from schemas.observations import Observation, Page, Unidentified
from tests.workers.test_fetch import RecordingBudget
from tests.workers.walking import NOW
from workers.client import client
from workers.fetch import Fetcher
from workers.sources.registry import Registry, RegistryOptions

BODIES, AT_ONCE = 10_000, 100

WORDS = (
    *("server", "servers", "_meta", "name", "version", "version_detail", "metadata", "nextCursor", "next_cursor"),
    *("status", "release_date", "is_latest", "publishedAt", "published_at", "next", "active", "count", OFFICIAL),
    *(
        "x-io.modelcontextprotocol.registry",
        "2026-01-01T00:00:00Z",
        "io.github.acme/tool",
        "1.0.0",
        "packages",
        "$schema",
    ),
)
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        7,
        1.5,
        -0.0,
        1e308,
        2**63,
        2**64,
        -(2**70),
        10**400,
        "",
        " ",
        "\x00",
        "\ud800",
        "\u202e",
    ),
    *("a/b", "é" * 300, "c", "1" * 5000, [], {}, [[]], [None], {"": None}, {"name": 7}, {"servers": []}),
)


class Drawn:
    """Values and bodies drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def body(self) -> bytes:
        """A body: any value, or a list of some generation with a few things wrong; sometimes broken as text."""
        drawn = self._random
        value = self._value(4) if drawn.random() < 0.2 else self._spoiled(self._list())
        body = json.dumps(value, ensure_ascii=drawn.random() < 0.9).encode("utf-8", "surrogatepass")
        return self._broken(body) if drawn.random() < 0.15 else body

    def _list(self) -> dict[str, Any]:
        shape: Callable[[], Any] = self._random.choice((self._wrapped, self._flat, self._oldest))
        items = [shape() for _ in range(self._random.randrange(5))]
        key = self._random.choice(("nextCursor", "next_cursor"))
        following = self._random.choice(({}, {key: "c:1"}, {key: None}, {key: ""}, {key: "asked"}))
        return {"servers": items, "metadata": {"count": len(items), **following}}

    def _server(self) -> dict[str, Any]:
        return {
            "name": f"io.github.acme/tool-{self._random.randrange(9)}",
            "version": "1.0.0",
            "description": "Does it",
        }

    def _wrapped(self) -> Any:
        official = {"status": "active", "publishedAt": "2026-01-01T00:00:00Z", "isLatest": True}
        return {"server": self._server(), "_meta": {OFFICIAL: official}}

    def _flat(self) -> Any:
        official = {"id": "5b4f", "published_at": "2026-01-01T00:00:00Z", "is_latest": True}
        return {**self._server(), "status": "active", "_meta": {OFFICIAL: official}}

    def _oldest(self) -> Any:
        detail = {"version": "1.0.0", "release_date": "2025-05-16T18:56:49Z", "is_latest": True}
        return {"id": "5b4f", "name": "io.github.acme/tool", "version_detail": detail}

    def _spoiled(self, value: Any) -> Any:
        """The same value with up to three things in it replaced, renamed, left out or doubled."""
        for _ in range(self._random.randrange(4)):
            holders = [holder for holder in self._holders(value) if holder]
            if not holders:
                return value
            self._spoil(self._random.choice(holders))
        return value

    def _spoil(self, holder: Any) -> None:
        drawn = self._random
        key = drawn.choice(list(holder)) if isinstance(holder, dict) else drawn.randrange(len(holder))
        way = drawn.randrange(5)
        if way == 0 and isinstance(holder, dict):
            holder[drawn.choice(WORDS)] = holder.pop(key)
        elif way == 1:
            del holder[key]
        elif way == 2:
            holder[key] = [holder[key], holder[key]]
        else:
            holder[key] = self._value(2)

    def _holders(self, value: Any) -> list[Any]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        below = [holder for one in inner for holder in self._holders(one)]
        return [value, *below] if isinstance(value, dict | list) else below

    def _value(self, depth: int) -> Any:
        drawn = self._random
        if depth == 0 or drawn.random() < 0.4:
            return copy.deepcopy(drawn.choice((*WORDS, *ODD)))  # what is drawn may be spoiled, too
        inner = [self._value(depth - 1) for _ in range(drawn.randrange(4))]
        if drawn.random() < 0.4:
            return inner
        return {drawn.choice((*WORDS, "a", "\ud800")): one for one in inner}

    def _broken(self, body: bytes) -> bytes:
        at = self._random.randrange(len(body) + 1)
        way = self._random.randrange(4)
        if way == 0:
            return body[:at]
        if way == 1:
            return body[:at] + bytes([self._random.randrange(256)]) + body[at + 1 :]
        return body[:at] + self._random.choice((b"[" * 300, b"NaN", b"1e999", b",", b"\\ud800", b"\xff")) + body[at:]


@settings(max_examples=BODIES // AT_ONCE, deadline=None)
@given(st.integers(0, 2**64))
def test_whatever_a_registry_sends_it_is_a_page_that_can_be_recorded_or_a_typed_error(seed: int) -> None:
    bodies = Drawn(seed)
    body = b""
    pages = 0

    def send(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(body))

    with client(None, httpx.MockTransport(send)) as http:
        for _ in range(AT_ONCE):
            body = bodies.body()
            fetcher = Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, sleep=lambda _: None)
            source = Registry("https://r.test", RegistryOptions(page_size=4), fetcher)
            try:
                page = source.fetch(None, Cursor("asked"))
            except (SourceMalformed, SourceTooLarge):
                continue
            except Exception as error:
                error.add_note(f"{body!r}")
                raise
            pages += 1
            can_be_recorded(page)
    assert 0 < pages < AT_ONCE


def can_be_recorded(page: Page) -> None:
    """Asserts that whatever a page holds can be told apart, written and kept."""
    assert page.next_cursor != "asked"
    for one in page.records:
        if isinstance(one, Unidentified):
            assert len(digest(one.record)) == 64
            assert ascii_json(one.item).isascii()
            continue
        assert isinstance(one, Observation)
        assert one.digest == digest(one.record)
        one.key.encode()
        slot(one.version).encode()
        assert as_held(one).withdrawn is False


def test_the_bodies_are_of_every_sort() -> None:
    drawn = Drawn(7)
    bodies = [drawn.body() for _ in range(1_000)]
    sorts = (b'"servers"', b"next_cursor", b"nextCursor", b"version_detail", b"\\ud800", b"NaN", b"[[[[", b'"server"')
    assert all(any(sort in body for body in bodies) for sort in sorts)
    with pytest.raises(ValueError, match=r"."):
        [json.loads(body) for body in bodies]
