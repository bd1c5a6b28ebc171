"""The registry kind: what it asks, how it reads a page, and what it never takes for the end."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from indexer.clock import to_micros
from indexer.errors import SourceMalformed, SourceTooLarge, WalkLost
from schemas.about import OFFICIAL
from schemas.names import LONGEST_NAME, Cursor, Digest
from schemas.observations import Observation, Page, Unidentified, Whole
from workers.bodies import Limits
from workers.client import client
from workers.fetch import Fetcher
from workers.identifying import LARGEST_RECORD
from workers.source import Kind
from workers.sources.registry import (
    Registry,
    RegistryOptions,
    auth_headers,
    identify,
    list_address,
    parse_page,
)

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
FULL = None


class FreeBudget:
    """A budget without end."""

    def reserve(self, host: str, per_minute: int) -> float:  # noqa: ARG002 - the protocol names it
        return 0.0

    def rest(self, host: str, seconds: float) -> None:
        """Nobody waits."""


class AskedRegistry:
    """A registry source whose upstream answers what it is given, and that remembers what was asked."""

    def __init__(
        self,
        answer: Callable[[httpx.QueryParams], Any],
        options: RegistryOptions | None = None,
        *,
        largest: int = 1 << 23,
    ) -> None:
        self.asked: list[dict[str, str]] = []
        self._answer = answer
        fetcher = Fetcher(
            client(None, httpx.MockTransport(self._handle)),
            FreeBudget(),
            per_minute=120,
            clock=lambda: NOW,
            sleep=lambda _: None,
            limits=Limits(sent=largest),
        )
        self.source = Registry("https://r.test/base/", options or RegistryOptions(), fetcher)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/base/v0.1/servers"
        self.asked.append(dict(request.url.params))
        date = {"Date": "Tue, 01 Sep 2026 11:59:58 GMT"}
        body = json.dumps(self._answer(request.url.params)).encode()
        return httpx.Response(200, headers=date, stream=httpx.ByteStream(body))


def item(number: int = 1, **more: Any) -> dict[str, Any]:
    server = {"name": f"io.github.acme/server-{number:05}", "version": "1.0.0", "description": "Does things.", **more}
    return {"server": server, "_meta": {OFFICIAL: {"status": "active", "publishedAt": "2026-01-01T00:00:00Z"}}}


def listed(*items: Any, **metadata: Any) -> dict[str, Any]:
    return {"servers": list(items), "metadata": {"count": len(items), **metadata}}


def empty(_: httpx.QueryParams) -> Any:
    return listed()


def only(page: Page) -> Observation | Unidentified:
    (record,) = page.records
    return record


def observed(item: Any) -> Observation:
    found = only(parse_page(listed(item), 100, None))
    assert isinstance(found, Observation)
    return found


def reason(item: Any) -> str:
    found = only(parse_page(listed(item), 100, None))
    assert isinstance(found, Unidentified)
    assert found.item == item
    return found.reason


# What is asked


def test_it_is_a_kind() -> None:
    kind: Kind = Registry
    assert (kind.supports_since(RegistryOptions()), kind.listing_is_complete, kind.ordered) == (True, True, True)
    assert "CC0" in kind.licence
    assert all(field.description for field in kind.Options.model_fields.values())


def test_a_full_walk_asks_for_deleted_versions() -> None:
    registry = AskedRegistry(empty)
    registry.source.fetch(FULL, None)
    assert registry.asked == [{"limit": "100", "include_deleted": "true"}]


def test_every_page_repeats_the_parameters() -> None:
    registry = AskedRegistry(empty)
    since = datetime(2026, 8, 31, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    registry.source.fetch(since, None)
    registry.source.fetch(since, Cursor("io.x/y:1.0+é %"))
    first = {"limit": "100", "updated_since": "2026-08-31T12:00:00.123456Z"}
    assert registry.asked == [first, {**first, "cursor": "io.x/y:1.0+é %"}]


def test_a_whole_second_is_asked_for_as_one() -> None:
    registry = AskedRegistry(empty)
    registry.source.fetch(NOW, None)
    assert registry.asked[0]["updated_since"] == "2026-09-01T12:00:00Z"


def test_a_registry_that_does_not_know_updated_since_is_walked_in_full() -> None:
    registry = AskedRegistry(empty, RegistryOptions(since=False))
    registry.source.fetch(NOW, None)
    assert registry.asked == [{"limit": "100", "include_deleted": "true"}]


def test_a_registry_that_refuses_include_deleted_is_not_sent_it() -> None:
    registry = AskedRegistry(empty, RegistryOptions(include_deleted=False, page_size=7))
    registry.source.fetch(FULL, None)
    assert registry.asked == [{"limit": "7"}]


def test_a_page_has_the_upstreams_clock() -> None:
    page = AskedRegistry(lambda _: listed(item(1), nextCursor="c")).source.fetch(FULL, None)
    assert page.served_at == datetime(2026, 9, 1, 11, 59, 58, tzinfo=UTC)
    assert page.next_cursor == "c"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://r.test", "https://r.test/v0.1/servers"),
        ("https://r.test/", "https://r.test/v0.1/servers"),
        ("https://r.test/registry/x", "https://r.test/registry/x/v0.1/servers"),
        ("https://r.test/v0.1/servers", "https://r.test/v0.1/servers"),
        ("https://me:pw@r.test:8443/v0.1/servers/", "https://me:pw@r.test:8443/v0.1/servers"),
    ],
)
def test_the_path_is_below_the_url(url: str, address: str) -> None:
    assert list_address(url, "/v0.1/servers") == address


@pytest.mark.parametrize(
    ("header", "token", "sent"),
    [
        ("Authorization", "t", {"Authorization": "Bearer t"}),
        ("authorization", "t", {"authorization": "Bearer t"}),
        ("X-API-Key", "t", {"X-API-Key": "t"}),
        ("Authorization", None, {}),
        ("Authorization", "", {}),
    ],
)
def test_a_token_goes_into_its_header(header: str, token: str | None, sent: dict[str, str]) -> None:
    options = RegistryOptions(auth_header=header)
    assert auth_headers(options, token) == Registry.headers(options, token) == sent


@pytest.mark.parametrize(
    "options",
    [{"page_size": 0}, {"page_size": 1001}, {"path": "v0"}, {"path": "/v0?x=1"}, {"auth_header": "A: b"}, {"pages": 3}],
)
def test_odd_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegistryOptions(**options)


# Pages too large


def walked(registry: AskedRegistry) -> list[str]:
    names: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = registry.source.fetch(FULL, cursor)
        names += [record.key for record in page.records if isinstance(record, Observation)]
        cursor = page.next_cursor
        if cursor is None:
            return names


def test_a_page_too_large_is_asked_for_in_halves_without_losing_the_place() -> None:
    items = [item(number, description="x" * (900 if 40 <= number < 44 else 10)) for number in range(100)]

    def answer(params: httpx.QueryParams) -> Any:
        start, limit = int(params.get("cursor", 0)), int(params["limit"])
        page = items[start : start + limit]
        return listed(*page, **({"nextCursor": str(start + limit)} if len(page) >= limit else {}))

    registry = AskedRegistry(answer, RegistryOptions(page_size=16), largest=5_000)
    assert walked(registry) == [one["server"]["name"] for one in items]
    limits = [int(asked["limit"]) for asked in registry.asked]
    assert min(limits) < 8
    assert limits[-1] == 16


def test_one_record_too_large_for_any_page_is_stepped_over_and_kept_apart() -> None:
    items = [item(number, description="é" * (6_000 if number == 5 else 10)) for number in range(10)]

    def answer(params: httpx.QueryParams) -> Any:
        start, limit = int(params.get("cursor", 0)), int(params["limit"])
        page = items[start : start + limit]
        return listed(*page, **({"nextCursor": str(start + limit)} if len(page) >= limit else {}))

    registry = AskedRegistry(answer, RegistryOptions(page_size=4), largest=5_000)
    found: list[Observation | Unidentified] = []
    cursor: Cursor | None = None
    while True:
        page = registry.source.fetch(FULL, cursor)
        found += page.records
        cursor = page.next_cursor
        if cursor is None:
            break
    kept = [one for one in found if isinstance(one, Unidentified)]
    assert [one.key for one in found if isinstance(one, Observation)] == [
        one["server"]["name"] for number, one in enumerate(items) if number != 5
    ]
    (one,) = kept
    written = json.dumps(items[5])
    assert one.whole == Whole(len(written), Digest(hashlib.sha256(written.encode()).hexdigest()))
    assert written.startswith(one.item)
    assert one.item.isascii()
    assert "bytes, more than is read of any" in one.reason
    assert [asked["limit"] for asked in registry.asked][-1] == "4"


@pytest.mark.parametrize(
    "body",
    [
        listed(item(description="x" * 3_000), item(2, description="x" * 3_000), nextCursor="c"),
        listed("x" * 6_000, nextCursor="c"),
        ["x" * 6_000],
    ],
)
def test_a_page_too_large_that_is_not_one_record_is_an_error(body: Any) -> None:
    registry = AskedRegistry(lambda _: body, largest=5_000)
    with pytest.raises(SourceTooLarge, match="5,000 bytes as sent"):
        registry.source.fetch(FULL, None)
    assert [asked["limit"] for asked in registry.asked] == ["100", "50", "25", "12", "6", "3", "1", "1"]


@pytest.mark.parametrize("metadata", [{}, {"next": "c"}, {"nextCursor": 7}, {"nextCursor": "asked"}])
def test_one_record_too_large_without_a_way_on_is_malformed(metadata: dict[str, Any]) -> None:
    registry = AskedRegistry(lambda _: listed(item(description="x" * 6_000), **metadata), largest=5_000)
    with pytest.raises(SourceMalformed):
        registry.source.fetch(FULL, Cursor("asked"))


def test_a_registry_that_sends_everything_at_once_has_no_record_that_is_stepped_over() -> None:
    options = RegistryOptions(paging="none")
    registry = AskedRegistry(lambda _: listed(item(description="x" * 6_000), nextCursor="c"), options, largest=5_000)
    with pytest.raises(SourceTooLarge):
        registry.source.fetch(FULL, None)


# The cursor


@pytest.mark.parametrize("key", ["nextCursor", "next_cursor"])
def test_both_names_of_the_next_cursor_are_known(key: str) -> None:
    assert parse_page(listed(item(), **{key: "c:1"}), 1, None).next_cursor == "c:1"


@pytest.mark.parametrize(
    "metadata", [{"nextCursor": None}, {"nextCursor": ""}, {"next_cursor": None, "nextCursor": ""}]
)
def test_a_cursor_that_is_null_or_empty_is_the_end(metadata: dict[str, Any]) -> None:
    assert parse_page(listed(item(), **metadata), 1, None).next_cursor is None


@pytest.mark.parametrize(
    "body",
    [listed(item()), {"servers": [item()]}, {"servers": [item()], "metadata": None}, {"servers": [], "metadata": []}],
)
def test_a_page_that_is_not_full_and_has_no_cursor_is_the_end(body: Any) -> None:
    assert parse_page(body, 2, None).next_cursor is None


@pytest.mark.parametrize(
    "body", [listed(item(), item(2)), {"servers": [item(), item(2)]}, listed(*map(item, range(9)))]
)
def test_a_full_page_without_a_cursor_that_we_know_is_never_the_end(body: Any) -> None:
    with pytest.raises(SourceMalformed, match="full page without a cursor that we know"):
        parse_page(body, 2, None)


def test_a_registry_without_paging_sends_everything_at_once() -> None:
    body = listed(item(), item(2), nextCursor="ignored")
    assert parse_page(body, 2, None, paging="none").next_cursor is None


@pytest.mark.parametrize(
    "body",
    [
        {"servers": [item()], "nextCursor": "c"},
        {"servers": [item()], "metadata": {"next": "c"}},
        {"servers": [item()], "metadata": {"nextPage": 2}},
        {"servers": [item()], "metadata": {"has_next": True}},
    ],
)
def test_a_next_page_by_a_name_that_we_do_not_know_is_never_the_end(body: Any) -> None:
    with pytest.raises(SourceMalformed, match="which we do not know"):
        parse_page(body, 100, None)


def test_a_cursor_that_was_asked_with_is_a_loop() -> None:
    with pytest.raises(WalkLost, match="would not end"):
        parse_page(listed(item(), nextCursor="c"), 1, Cursor("c"))


@pytest.mark.parametrize("cursor", [7, 7.5, True, False, 0, [], {}, ["c"], "a\x00b", "\ud800", "x" * 5000])
def test_a_cursor_that_cannot_be_sent_back_is_malformed(cursor: Any) -> None:
    with pytest.raises(SourceMalformed, match="no text that can be sent back"):
        parse_page(listed(item(), nextCursor=cursor), 1, None)


# The list


@pytest.mark.parametrize("body", [None, [], "x", 3, {}, {"error": "x"}, {"server": {}}])
def test_what_has_no_servers_is_no_registry(body: Any) -> None:
    with pytest.raises(SourceMalformed, match="no registry's list"):
        parse_page(body, 100, None)


@pytest.mark.parametrize("servers", [{}, "x", 3, True])
def test_servers_that_are_no_list_are_malformed(servers: Any) -> None:
    with pytest.raises(SourceMalformed, match="'servers' is no list"):
        parse_page({"servers": servers}, 100, None)


def test_servers_that_are_null_are_an_empty_list() -> None:
    assert parse_page({"servers": None}, 100, None) == Page((), None)


def test_an_empty_page_may_have_a_next_one() -> None:
    assert parse_page(listed(nextCursor="c"), 100, None) == Page((), Cursor("c"))


# The items


def test_an_item_is_observed_as_the_upstream_wrote_it() -> None:
    wrapped = item(_meta={}, status="kept")
    found = observed(wrapped)
    assert found.record == wrapped["server"]
    assert found.meta == wrapped["_meta"]
    assert (found.key, found.name, found.version) == (wrapped["server"]["name"], wrapped["server"]["name"], "1.0.0")
    assert found.about.published_at == to_micros(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_flat_item_without_meta_is_observed() -> None:
    found = observed({"name": "a/b", "version": "1"})
    assert (found.key, found.version, found.meta) == ("a/b", "1", None)


def test_an_old_item_has_its_version_in_the_detail() -> None:
    found = observed({"name": "a/b", "version_detail": {"version": "0.3", "release_date": "2025-05-01T00:00:00Z"}})
    assert found.version == "0.3"
    assert found.about.published_at == to_micros(datetime(2025, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize("version", [None, 1, 1.5, True, {}, [], ""])
def test_an_odd_version_is_kept_as_it_is(version: Any) -> None:
    assert observed(item(version=version)).version == version


@pytest.mark.parametrize("name", ["a\x00b/c", "\ud800/x", "no slash", " ", "Ä/ß"])
def test_an_odd_name_is_kept_and_its_key_can_be_stored(name: str) -> None:
    found = observed(item(name=name))
    assert found.name == name
    assert "\x00" not in found.key
    found.key.encode()


@pytest.mark.parametrize(
    "odd", [None, 3, "x", [], True, {"server": None}, {"server": []}, {"server": "x", "_meta": {}}]
)
def test_what_is_no_object_is_kept_with_the_reason(odd: Any) -> None:
    assert reason(odd) == "the record is no object"


@pytest.mark.parametrize("server", [{}, {"name": None}, {"name": ""}, {"name": 3}, {"name": ["a/b"]}])
def test_what_has_no_name_is_kept_with_the_reason(server: dict[str, Any]) -> None:
    assert reason({"server": server}) == "the record has no name"
    assert reason(server) == "the record has no name"


def test_names_and_versions_that_no_index_holds_are_kept_with_the_reason() -> None:
    assert reason(item(name="é" * LONGEST_NAME)) == "the record's name is too long"
    assert reason(item(version="1" * (LONGEST_NAME + 1))) == "the record's version is too long"
    assert reason(item(version=["1" * LONGEST_NAME])) == "the record's version is too long"
    observed(item(name="n" * LONGEST_NAME, version="1" * LONGEST_NAME))


def test_a_record_too_large_is_kept_with_the_reason() -> None:
    overhead = len(json.dumps(item(description="")["server"], separators=(",", ":")))
    observed(item(description="x" * (LARGEST_RECORD - overhead)))
    assert "262,145 bytes" in reason(item(description="x" * (LARGEST_RECORD - overhead + 1)))
    assert "what the registry says" in reason({"server": {"name": "a/b"}, "_meta": {"x": "x" * LARGEST_RECORD}})
    assert "the record takes" in reason(item(description="\ud800" + "x" * LARGEST_RECORD))


def test_one_bad_record_does_not_stop_its_page() -> None:
    page = parse_page(listed(item(1), None, item(2)), 100, None)
    assert [type(record) for record in page.records] == [Observation, Unidentified, Observation]


def test_a_listing_is_known_by_its_name() -> None:
    assert identify({"name": "a/b"}) == "a/b"
    assert identify({"name": 3}) is None


# Anything at all

WORDS = st.sampled_from(
    (
        *("server", "servers", "_meta", "name", "version", "version_detail", "metadata", "nextCursor", "next_cursor"),
        *("status", "release_date", "is_latest", "publishedAt", "published_at", "next", "active", OFFICIAL),
        *("io.modelcontextprotocol.registry", "x-io.modelcontextprotocol.registry", "2026-01-01T00:00:00Z"),
    )
)
TEXT = WORDS | st.text(st.characters(exclude_categories=()), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=6)
RECORDS = st.fixed_dictionaries(
    {}, optional={"name": VALUES, "version": VALUES, "version_detail": VALUES, "_meta": VALUES}
)
ITEMS = (
    VALUES
    | OBJECTS
    | RECORDS
    | st.fixed_dictionaries({"server": VALUES | RECORDS}, optional={"_meta": VALUES | OBJECTS})
)
BODIES = VALUES | st.fixed_dictionaries(
    {"servers": VALUES | st.lists(ITEMS, max_size=4)}, optional={"metadata": VALUES | OBJECTS, "nextCursor": VALUES}
)


@settings(max_examples=300)
@given(BODIES)
def test_whatever_a_list_holds_it_is_a_page_or_malformed(body: Any) -> None:
    registry = AskedRegistry(lambda _: body, RegistryOptions(page_size=3))
    try:
        page = registry.source.fetch(FULL, Cursor("c"))
    except SourceMalformed:
        return
    assert len(page.records) == len(body["servers"] or [])
    assert page.next_cursor != "c"
    for record in page.records:
        if isinstance(record, Observation):
            record.key.encode()
