"""Upstreams as they really are: the tricky cases that asking, paging and reading have to get right, by number."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest

from indexer.clock import to_micros
from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.errors import CursorRefused, McpIndexerError, SourceMalformed, SourceRefused, SourceUnavailable
from indexer.lint.rules import lint
from indexer.migrations import migrate
from indexer.queries import crawl_state
from indexer.verdict import problems
from schemas.about import OFFICIAL, read_time
from schemas.names import Cursor, ServerName, SourceName, document_id
from schemas.observations import Observation, Unidentified
from schemas.server import read_server
from tests.hostile import HostileServer, answer
from tests.listed import item, server
from tests.workers.walking import observations, opened, pages, records
from workers.crawl import Crawl
from workers.outcome import Outcome
from workers.sample.faults import Faults
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer
from workers.sample.wire import GENERATIONS, Generation
from workers.source import traits
from workers.sources.registry import Registry, RegistryOptions, parse_page

Json = dict[str, Any]
LIST = "/v0.1/servers"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def serve() -> Iterator[Callable[..., SampleServer]]:
    """Starts sample registries with some items."""
    running: list[SampleServer] = []

    def start(some: Iterable[Json], faults: Faults | None = None) -> SampleServer:
        running.append(SampleServer(SampleRegistry(list(some)), faults).start())
        return running[-1]

    yield start
    for one in running:
        one.stop()


def listed(*items: Any, **metadata: Any) -> Json:
    return {"servers": list(items), "metadata": {"count": len(items), **metadata}}


def many(count: int) -> list[Json]:
    return [item(server(number)) for number in range(count)]


def refused(url: str, kind: type[McpIndexerError]) -> str:
    """The sentence that asking an upstream for its first page ends with."""
    with opened(url) as source, pytest.raises(kind) as raised:
        source.fetch(None, None)
    assert type(raised.value) is kind
    return str(raised.value)


# 12: the last page


def test_case_12_a_last_page_that_is_exactly_full_has_an_empty_one_behind_it(
    serve: Callable[..., SampleServer],
) -> None:
    with opened(serve(many(6)).url, page_size=3) as source:
        assert [len(page.records) for page in pages(source)] == [3, 3, 0]


@pytest.mark.parametrize(
    "end", [{}, {"nextCursor": None}, {"nextCursor": ""}, {"next_cursor": None}, {"next_cursor": ""}]
)
def test_case_12_a_next_cursor_that_is_absent_null_or_empty_is_the_end(end: Json) -> None:
    first, last = listed(*many(2), nextCursor="c"), listed(item(server(7)), **end)
    with (
        HostileServer(lambda target: answer(json.dumps(last if "cursor=c" in target else first).encode())) as upstream,
        opened(upstream.url, page_size=2) as source,
    ):
        assert [len(page.records) for page in pages(source)] == [2, 1]


# 13: cursors that lead nowhere


def crawled(url: str, folder: Path) -> tuple[Outcome, CrawlState]:
    """What a crawl of an upstream comes to, and where its source stands then."""
    database, name = Database(f"sqlite:///{folder / 'log.sqlite'}"), SourceName("official")
    migrate(database)
    try:
        with opened(url, page_size=2) as source:
            ways = traits(Registry, url, RegistryOptions())
            outcome = Crawl(database, name, ways, clock=lambda: datetime.now(UTC)).run(Counted(source))
        with database.read() as connection:
            return outcome, crawl_state(connection, name)
    finally:
        database.close()


class Counted:
    """A source whose requests nobody counts."""

    requests = 0

    def __init__(self, source: Registry) -> None:
        self.source = source


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_case_13_a_cursor_loop_fails_the_walk_and_what_was_read_is_kept(tmp_path: Path, length: int) -> None:
    def circle(target: str) -> Iterable[bytes]:
        number = int(parse_qs(target.partition("?")[2]).get("cursor", ["0"])[0])
        body = listed(item(server(number)), item(server(100 + number)), nextCursor=str(1 + number % length))
        return answer(json.dumps(body).encode())

    with HostileServer(circle) as upstream:
        outcome, state = crawled(upstream.url, tmp_path)
    assert outcome.status == "failed"
    assert outcome.counts.new >= 2
    assert outcome.counts.withdrawn == 0
    assert (state.mark, state.walk) == (None, None)
    assert len(upstream.targets) <= 4 * length + 3


# 14 and 15: names and versions in addresses

VERSIONS = (
    *(
        "1.0.0+build",
        "2025.11.26+pr150-394827a",
        "1.0.1º",
        "{{VERSION}}",
        "100%",
        "%2F",
        "a/b",
        "a b",
        " ",
        "snapshot - 2025.09",
    ),
    *("1:2", "x?y#z", "a&b=c", "ünïcødé", "日本", "..", "1.0.0"),
)


def test_case_14_odd_versions_are_met_once_and_cursors_go_back_as_they_came(serve: Callable[..., SampleServer]) -> None:
    upstream = serve(item(server(1, version)) for version in VERSIONS)
    with opened(upstream.url, page_size=1) as source:
        walked = pages(source)
    assert sorted(one.version for one in observations(walked)) == sorted(VERSIONS)
    given = [page.next_cursor for page in walked[:-1]]
    sent = [parse_qs(seen.query, keep_blank_values=True).get("cursor", [None])[0] for seen in upstream.requests]
    assert sent == [None, *given]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != ".."])
def test_case_14_an_odd_version_is_asked_for_as_one_segment(serve: Callable[..., SampleServer], version: str) -> None:
    upstream = serve(item(server(1, version)) for version in VERSIONS)
    with opened(upstream.url) as source:
        found = source.look(server(1)["name"], version)
    assert isinstance(found, Observation)
    assert found.version == version
    (seen,) = upstream.requests
    assert [unquote(part) for part in seen.path.split("/")[3:]] == [server(1)["name"], "versions", version]


def test_case_15_a_name_is_one_segment_and_its_case_is_kept(serve: Callable[..., SampleServer]) -> None:
    names = ("io.github.SceneView/mcp", "io.github.sceneview/mcp", "com.example/a.b_c")
    upstream = serve(item({**server(1), "name": name}) for name in names)
    with opened(upstream.url) as source:
        assert {one.key for one in observations(pages(source))} == set(names)
        for name in names:
            found = source.look(name, "1.0.0")
            assert isinstance(found, Observation)
            assert found.name == name
    assert [seen.path for seen in upstream.requests][1:] == [
        f"{LIST}/{quote(name, safe='')}/versions/1.0.0" for name in names
    ]
    assert "%2F" in upstream.requests[1].path


def test_case_15_names_that_differ_by_case_have_two_documents() -> None:
    names = ("io.github.SceneView/mcp", "io.github.sceneview/mcp")
    ids = {document_id(ServerName(name)) for name in names}
    assert len(ids) == 2
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)


# 18: the generations of the list's body


@pytest.mark.parametrize("wire", GENERATIONS)
def test_case_18_every_generation_of_the_list_is_walked_and_means_the_same(
    serve: Callable[..., SampleServer], wire: Generation
) -> None:
    remote = {"type": "sse", "url": "https://acme.example/mcp"}
    package = {"registryType": "npm", "identifier": "acme", "version": "1.0.0", "transport": {"type": "stdio"}}
    documents = [server(number, remotes=[remote], packages=[package]) for number in range(7)]
    with opened(serve(map(item, documents), Faults(wire=wire)).url, page_size=3) as source:
        found = observations(pages(source))
    assert [(one.key, one.version) for one in found] == [(one["name"], one["version"]) for one in documents]
    assert {one.about.published_at for one in found} == {to_micros(datetime(2026, 1, 1, tzinfo=UTC))}
    assert {one.about.status for one in found} == {"active"}
    (read,) = {repr((read_server(one.record).packages, read_server(one.record).remotes)) for one in found}
    assert "npm" in read
    assert "stdio" in read


def test_case_18_a_flat_private_registry_is_read_without_metadata() -> None:
    page = parse_page({"servers": [server(1), server(2)]}, 100, None)
    assert [one.key for one in page.records if isinstance(one, Observation)] == [server(n)["name"] for n in (1, 2)]
    assert page.next_cursor is None


def test_case_18_a_key_of_the_cursor_that_nobody_knows_is_an_error_and_not_the_end(
    serve: Callable[..., SampleServer],
) -> None:
    """It was: a registry renamed it, and its first page was taken for the whole of it for a week."""
    for renamed in ("next_page", "cursor", "after"):
        with pytest.raises(SourceMalformed):
            parse_page(listed(*many(3), **{renamed: "x"}), 3, None)
    with opened(serve(many(7)).url, page_size=3) as source:
        assert len(records(pages(source))) == 7


# 19: what is left out


@pytest.mark.parametrize(
    "more",
    [
        {"repository": {}},
        {"repository": {"url": "", "source": ""}},
        {"_meta": {}},
        {"remotes": []},
        {"packages": None, "remotes": None},
    ],
)
def test_case_19_what_is_empty_is_listed(more: Json) -> None:
    page = parse_page(listed(item({**server(1), **more})), 100, None)
    (found,) = page.records
    assert isinstance(found, Observation)
    assert found.record == {**server(1), **more}
    assert read_server(found.record).name == server(1)["name"]


def test_case_19_a_server_with_nothing_to_run_is_listed_and_said_to_have_nothing() -> None:
    bare = {key: value for key, value in server(1).items() if key != "remotes"}
    assert problems(bare) == ()
    assert "lint/nothing-to-run" in {one.rule for one in lint(bare)}


def test_case_19_servers_that_are_null_are_none_and_servers_that_are_missing_are_no_list() -> None:
    assert parse_page({"servers": None}, 100, None).records == ()
    with pytest.raises(SourceMalformed, match="no 'servers' in it"):
        parse_page({"metadata": {"count": 0}}, 100, None)


@pytest.mark.parametrize("meta", [None, {}, {OFFICIAL: None}, {OFFICIAL: {}}, {"com.example/own": {"a": 1}}])
def test_case_19_a_subregistry_that_says_nothing_of_a_version_lists_it_as_active(meta: Any) -> None:
    page = parse_page(listed({"server": server(1), "_meta": meta}, {"server": server(2)}), 100, None)
    found = [one for one in page.records if isinstance(one, Observation)]
    assert len(found) == 2
    assert {one.about.status for one in found} == {"active"}
    assert {one.about.updated_at for one in found} == {None}
    assert {one.about.is_latest for one in found} == {None}


# 22: addresses with variables, and on one's own machine


def of_remotes(*remotes: Json) -> set[str]:
    document = server(1, remotes=list(remotes))
    return {one.rule for one in (*problems(document), *lint(document))}


def test_case_22_an_address_with_a_variable_that_is_defined_is_valid() -> None:
    remote = {"type": "streamable-http", "url": "https://{tenant}.acme.example/mcp"}
    assert of_remotes({**remote, "variables": {"tenant": {"description": "Yours"}}}) == set()
    assert of_remotes(remote) == {"lint/remote-variable"}
    assert of_remotes({"type": "sse", "url": "https://acme.example/{token}"}) == {"lint/remote-variable"}


def test_case_22_ones_own_machine_is_for_packages_and_not_for_remotes() -> None:
    local = {"type": "streamable-http", "url": "http://localhost:8080/mcp"}
    package = {"registryType": "npm", "identifier": "acme", "version": "1.0.0", "transport": local}
    assert "lint/remote-local" in of_remotes(local)
    document = server(1, packages=[package])
    assert problems(document) == ()
    assert {one.rule for one in lint(document)} == set()


# 23: times

HALF = datetime(2026, 3, 1, 11, 30, 15, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("digits", range(1, 10))
@pytest.mark.parametrize("zone", ["Z", "+00:00"])
def test_case_23_a_time_is_an_instant_however_many_digits_it_has(digits: int, zone: str) -> None:
    assert read_time(f"2026-03-01T11:30:15.{'5'.ljust(digits, '0')}{zone}") == HALF
    assert read_time(f"2026-03-01T11:30:15{zone}") == HALF.replace(microsecond=0)
    assert read_time("2026-03-01T13:30:15.5+02:00") == HALF


def test_case_23_the_same_instant_written_otherwise_is_no_change() -> None:
    texts = ("2026-03-01T11:30:15.5Z", "2026-03-01T11:30:15.500Z", "2026-03-01T11:30:15.500000000+00:00")
    abouts = {
        one.about
        for text in texts
        for one in parse_page(
            listed({"server": server(1), "_meta": {OFFICIAL: {"publishedAt": text, "updatedAt": text}}}), 100, None
        ).records
        if isinstance(one, Observation)
    }
    assert len(abouts) == 1


def test_case_23_without_status_changed_at_it_is_when_the_version_was_published() -> None:
    meta = {
        OFFICIAL: {"status": "active", "publishedAt": "2026-03-01T11:30:15.5Z", "updatedAt": "2026-04-01T00:00:00Z"}
    }
    (found,) = parse_page(listed({"server": server(1), "_meta": meta}), 100, None).records
    assert isinstance(found, Observation)
    assert found.about.status_changed_at == to_micros(HALF)


def test_case_23_versions_that_share_one_second_are_all_met(serve: Callable[..., SampleServer]) -> None:
    meta = {OFFICIAL: {"status": "active", "publishedAt": "2026-03-01T11:30:15Z", "updatedAt": "2026-03-01T11:30:15Z"}}
    upstream = serve({"server": server(1, f"1.{minor}.0"), "_meta": meta} for minor in range(27))
    before = datetime(2026, 3, 1, 11, 30, 15, tzinfo=UTC) - timedelta(minutes=10)
    with opened(upstream.url, page_size=10) as source:
        assert len(observations(pages(source, since=before))) == 27


# 24: what an upstream says instead of a list

HTML = b"<html><head><title>502</title></head><body>nginx</body></html>"
WORDS = (
    {"title": "Bad Request", "status": 400, "detail": "say less"},
    {"error": "say less"},
    {"error": {"message": "say less", "code": 3, "details": []}},
    {"title": "Unprocessable", "detail": "validation failed", "errors": [{"message": "say less", "location": "query"}]},
)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
def test_case_24_a_refusal_is_told_in_the_upstreams_words_and_not_tried_again(words: Json, status: str) -> None:
    with HostileServer(lambda _: answer(json.dumps(words).encode(), status)) as upstream:
        assert "say less" in refused(upstream.url, CursorRefused)
    assert len(upstream.targets) == 1


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Error", "502 Bad Gateway", "503 Busy", "504 Late"])
@pytest.mark.parametrize("body", [HTML, b"", *(json.dumps(words).encode() for words in WORDS)])
def test_case_24_a_failure_is_tried_again_whatever_its_body(status: str, body: bytes) -> None:
    with HostileServer(lambda _: answer(body, status)) as upstream:
        assert status.split()[0] in refused(upstream.url, SourceUnavailable)
    assert len(upstream.targets) == 5


def test_case_24_a_web_page_with_status_200_is_no_list_and_passes() -> None:
    replies = iter([HTML, HTML, json.dumps(listed(item(server(1)))).encode()])
    with (
        HostileServer(lambda _: answer(next(replies), Content_Type="text/html")) as upstream,
        opened(upstream.url) as it,
    ):
        assert len(observations(pages(it))) == 1
    with HostileServer(lambda _: answer(HTML, Content_Type="text/html")) as upstream:
        assert "web page" in refused(upstream.url, SourceMalformed)


@pytest.mark.parametrize("shown", [HTML, b'{"servers": ['])
def test_case_24_a_page_that_is_not_read_in_the_middle_of_a_walk_costs_no_page_before_it(
    tmp_path: Path, shown: bytes
) -> None:
    def page(target: str) -> Iterable[bytes]:
        start = int(parse_qs(target.partition("?")[2]).get("cursor", ["0"])[0])
        following = str(start + 2) if start < 8 else ""
        usual = json.dumps(listed(*many(10)[start : start + 2], nextCursor=following)).encode()
        return answer(shown if str(start) in unread else usual)

    unread = {"6"}
    with HostileServer(page) as upstream:
        failed, state = crawled(upstream.url, tmp_path)
        assert (failed.status, failed.counts.pages) == ("failed", 3)
        assert state.walk is not None
        assert (state.walk.cursor, state.walk.unread_since is None) == ("6", False)
        unread.clear()
        rest, state = crawled(upstream.url, tmp_path)
    assert (rest.status, rest.counts.pages, rest.counts.new) == ("completed", 2, 4)
    assert (state.walk, state.failed) == (None, False)


def test_case_24_a_limit_that_is_refused_is_said(serve: Callable[..., SampleServer]) -> None:
    upstream = serve(many(3))
    with opened(upstream.url, page_size=101) as source, pytest.raises(SourceRefused, match="422"):
        source.fetch(None, None)


def test_case_24_a_trailing_slash_is_redirected_within_the_host(serve: Callable[..., SampleServer]) -> None:
    upstream = serve(many(3))
    with opened(upstream.url, path=f"{LIST}/") as source:
        assert len(observations(pages(source))) == 3
    assert [seen.path for seen in upstream.requests] == [f"{LIST}/", LIST]


def test_case_24_a_redirect_to_another_host_is_not_followed_blindly(serve: Callable[..., SampleServer]) -> None:
    inside = serve(many(3))
    location = f"{inside.url}{LIST}"
    with HostileServer(lambda _: answer(b"", "308 Permanent Redirect", Location=location)) as upstream:
        assert "redirect_hosts" in refused(upstream.url, SourceRefused)
    assert not inside.requests


# As they were


GENERATED: dict[str, str] = {
    "official-wire-2025-09-15": "next_cursor",
    "official-wire-2025-09-22": "next_cursor",
    "official-wire-2025-09-26-flat": "next_cursor",
    "official-wire-2025-09-30-broken-crawl": "nextCursor",
    "registry-seed-2025-04-24": "next_cursor",
    "registry-seed-2025-05-16": "next_cursor",
    "registry-seed-2025-08-06": "next_cursor",
    "registry-seed-2025-08-23": "next_cursor",
    "registry-seed-2025-08-30": "next_cursor",
    "registry-seed-2025-09-05": "next_cursor",
    "registry-seed-2025-09-08": "next_cursor",
    "registry-seed-2025-09-21": "next_cursor",
    "registry-seed-2025-09-29": "nextCursor",
}


@pytest.mark.upstream
@pytest.mark.parametrize("name", GENERATED)
def test_case_18_what_registries_really_sent_is_walked_in_every_generation(shared: Path, name: str) -> None:
    packed = (shared / "upstream" / "seed" / f"{name}.json.gz").read_bytes()
    items: list[Json] = json.loads(gzip.decompress(packed))
    key = GENERATED[name]

    def page(target: str) -> Iterable[bytes]:
        start = int(parse_qs(target.partition("?")[2]).get("cursor", ["0"])[0])
        some = items[start : start + 30]
        following = {key: str(start + 30)} if len(some) == 30 else {}
        return answer(json.dumps({"servers": some, "metadata": {"count": len(some), **following}}).encode())

    with HostileServer(page) as upstream, opened(upstream.url, page_size=30) as source:
        found = records(pages(source))
    assert len(found) == len(items)
    identified = [one for one in found if isinstance(one, Observation)]
    nameless = [one for one in items if one.get("name") == ""]
    assert [one.item for one in found if isinstance(one, Unidentified)] == nameless
    assert all(isinstance(one.name, str) and isinstance(one.version, str) for one in identified)


@pytest.mark.upstream
def test_case_18_the_week_that_was_taken_for_the_whole_registry_is_an_error(shared: Path) -> None:
    """A hundred items, and the next cursor under a key that the crawler of that day did not know."""
    packed = (shared / "upstream" / "seed" / "official-wire-2025-09-30-broken-crawl.json.gz").read_bytes()
    items = json.loads(gzip.decompress(packed))
    for metadata in ({}, {"count": 100}, {"count": 100, "next-cursor": "x"}, {"count": 100, "continuation": "x"}):
        with pytest.raises(SourceMalformed):
            parse_page({"servers": items, "metadata": metadata}, 100, Cursor("a"))
