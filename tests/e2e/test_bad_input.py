"""Bad input gets one sentence and an exit status, and leaves nothing half-done; one bad record never stops its page."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text

from indexer.migrations import MIGRATIONS
from tests.e2e.home import PROGRAM, Home, Ran
from tests.listed import item, items, name_of, server
from tests.ports import LOOPBACK
from workers.sample.answers import Request, answer
from workers.sample.problems import Answer, ok
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]

GOOD = '[[source]]\nname = "official"\nkind = "registry"\nurl = "http://127.0.0.1:1"\n'


def refused(ran: Ran, status: int, *said: str) -> None:
    """Asserts that a command ended with the status, and one sentence that says these words."""
    assert ran.status == status, ran
    for words in said:
        assert words in ran.sentence
    assert "Traceback" not in ran.err


# The sources file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "configures no source"),
        ("source = []", "configures no source"),
        ("[[source]\nname = ", "is not TOML"),
        (b"# caf\xe9\n", "is not TOML"),
        ("every = '1h'\n" + GOOD, "'every' at its top"),
        ('[source]\nname = "official"', "add a [[source]]"),
        ("source = [1]", "write it as a [[source]] table"),
        ('[[source]]\nname = "official"\nurl = "http://r.test"', "'kind' is missing"),
        ('[[source]]\nname = "official"\nkind = "registry"', "'url' is missing"),
        (GOOD.replace('"registry"', '"rss"'), "kind 'rss' is not known; known are registry"),
        (GOOD + GOOD, "two sources named 'official'"),
        (GOOD.replace('"official"', '"Official one"'), "name = "),
        (GOOD.replace("http://", "http://me:secret@"), "url cannot be used: a secret in it would be shown"),
        (GOOD.replace("registry", "rss").replace("url", "link"), "kind 'rss' is not known"),
        (GOOD + 'every = "hourly"', "every = 'hourly' cannot be used: an interval is a whole number and"),
        (GOOD + "every = 60", "every = 60 cannot be used"),
        (GOOD + 'audit_every = "0d"', "audit_every = '0d' cannot be used"),
        (GOOD + 'colour = "red"', "'colour' is no key of a source of this kind"),
        (GOOD + "options = { page_size = 3 }", "'options' is no key"),
        (GOOD + "page_size = 0", "page_size = 0 cannot be used"),
        (GOOD + "trust = -1", "trust = -1 cannot be used"),
        (GOOD + 'include = "a/*"', "include = 'a/*' cannot be used: it is a list"),
        (GOOD + "requests_per_minute = 0", "requests_per_minute = 0 cannot be used"),
        (GOOD.replace("http://127.0.0.1:1", "registry.example"), "url = 'registry.example' cannot be used"),
        (GOOD.replace("http://127.0.0.1:1", "ftp://r.example"), "url = 'ftp://r.example' cannot be used"),
        (GOOD.replace("http://127.0.0.1:1", "http://r.example:99999"), "url = 'http://r.example:99999'"),
        (GOOD.replace("http://127.0.0.1:1", "http://[::1"), "url = 'http://[::1' cannot be used"),
    ],
)
def test_a_sources_file_that_cannot_be_used_is_refused(home: Home, text: str | bytes, said: str) -> None:
    home.sources_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ("crawl", "status"):
        refused(home.run(command), 2, str(home.sources_file), said)
    assert home.events() == []


def test_without_a_sources_file_it_is_said_how_to_get_one(home: Home) -> None:
    home.sources_file.unlink()
    refused(home.run("crawl"), 2, str(home.sources_file), "MCP_INDEXER_SOURCES", "README")
    home.sources_file.mkdir()
    refused(home.run("crawl"), 2, str(home.sources_file), "cannot be read")
    assert home.events() == []


def test_a_source_that_is_not_configured_is_refused_by_name(home: Home) -> None:
    refused(home.run("crawl", "official", "offical"), 2, "'offical'", "configured are official")
    refused(home.run("sources", "check", "offical"), 2, "'offical'")
    assert "crawl.started" not in home.kinds()


def test_a_token_that_is_not_in_the_environment_stops_the_command_before_it_begins(home: Home) -> None:
    home.sources_file.write_text(home.sources_file.read_text() + '\ntoken_env = "A_TOKEN_OF_NOBODY"\n')
    refused(home.run("crawl"), 2, "'official'", "A_TOKEN_OF_NOBODY", "not set")
    assert home.kinds() == ["source.configured"]
    assert home.run("status", "--json").object["sources"][0]["holder"] is None
    sources = next(part for part in home.run("doctor", "--json").objects if part["part"] == "sources")
    assert (sources["ok"], "A_TOKEN_OF_NOBODY" in sources["said"]) == (False, True)


def with_token(home: Home, name: str, variable: str) -> None:
    """Has a source take its token from the environment."""
    table = f'name = "{name}"\n'
    home.sources_file.write_text(home.sources_file.read_text().replace(table, f'{table}token_env = "{variable}"\n'))


@pytest.fixture
def two(home: Home, upstream: SampleServer) -> Home:
    """Two sources at one registry; the first takes its token from a variable that nobody set."""
    home.watch(walled=upstream.url, official=upstream.url)
    with_token(home, "walled", "A_TOKEN_OF_NOBODY")
    return home


@pytest.mark.parametrize("names", [(), ("official", "walled")])
def test_a_source_without_its_token_stops_no_other(two: Home, names: tuple[str, ...]) -> None:
    ran = two.run("crawl", "--json", *names)
    assert ran.status == 2
    assert [line for line in ran.err.splitlines() if "A_TOKEN_OF_NOBODY" in line and "'walled'" in line]
    walled, official = ran.object["crawls"]
    assert (walled["source"], walled["mode"], walled["status"]) == ("walled", None, "failed")
    assert "A_TOKEN_OF_NOBODY" in walled["error"]
    assert (official["source"], official["status"]) == ("official", "completed")
    assert (ran.object["index"]["documents"], ran.object["index"]["lag"]) == (60, 0)
    assert two.kinds().count("crawl.started") == 1
    refused(two.run("crawl"), 2, "A_TOKEN_OF_NOBODY")
    assert two.kinds().count("crawl.started") == 2


def test_a_token_that_no_header_can_hold_stops_no_other_either(two: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN_OF_NOBODY", "two\nlines")
    refused(two.run("crawl"), 2, "'walled'", "A_TOKEN_OF_NOBODY", "cannot be sent in a header")
    assert two.kinds().count("crawl.completed") == 1


def test_where_none_can_be_crawled_nothing_is_done_and_all_are_told_of(two: Home) -> None:
    refused(two.run("crawl", "walled"), 2, "'walled'", "not set")
    with_token(two, "official", "ANOTHER_OF_NOBODY")
    ran = two.run("crawl", "--json")
    assert ran.out == ""
    refused(ran, 2, "'walled'", "A_TOKEN_OF_NOBODY", "'official'", "ANOTHER_OF_NOBODY")
    assert set(two.kinds()) == {"source.configured"}


# The environment


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("INDEX", "of/servers", "MCP_INDEXER_INDEX cannot be used"),
        ("INDEX", "x" * 500, "MCP_INDEXER_INDEX cannot be used"),
        ("CONTACT", "two words", "MCP_INDEXER_CONTACT cannot be used"),
        ("DATABASE_URL", "nonsense", "MCP_INDEXER_DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "postgresql://127.0.0.1:port/db", "MCP_INDEXER_DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "oracle+nothing://127.0.0.1/db", "MCP_INDEXER_DATABASE_URL"),
        ("DATABASE_URL", "mysql://127.0.0.1/db", "MCP_INDEXER_DATABASE_URL names mysql"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("BROKER_URL", "nonsense://me:secret@host", "MCP_INDEXER_BROKER_URL cannot be used"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite:///log.sqlite?mode=ro", "MCP_INDEXER_DATABASE_URL"),
        ("DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/db?colour=red", "MCP_INDEXER_DATABASE_URL"),
        ("MEILI_URL", "http://127.0.0.1:99999", "MCP_INDEXER_MEILI_URL cannot be used"),
        ("MEILI_URL", "http://[::1", "MCP_INDEXER_MEILI_URL cannot be used"),
        ("MEILI_KEY", "schlüssel", "MCP_INDEXER_MEILI_KEY cannot be used"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(home: Home, variable: str, value: str, said: str) -> None:
    home.set(**{variable: value})
    refused(home.run("crawl"), 2, said)


def test_a_proxy_that_is_none_leaves_nothing_half_done(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://[")
    refused(home.run("crawl"), 2, "HTTP_PROXY")
    assert "crawl.started" not in home.kinds()


@pytest.mark.parametrize("where", ["a file", "below a file"])
def test_a_home_that_is_a_file_is_refused(home: Home, tmp_path: Path, where: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    home.set(HOME=str(file if where == "a file" else file / "home"))
    for command in ("crawl", "events"):
        refused(home.run(command), 2, str(file), "MCP_INDEXER_HOME")
    assert file.read_text() == "mine"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, to whom every folder is writable."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_home_that_is_not_writable_is_refused(home: Home) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        shutil.copy(home.sources_file, folder / "sources.toml")
        (folder / "sources.toml").chmod(0o444)
        home.set(SOURCES=str(folder / "sources.toml"), HOME=str(folder / "home"))
        folder.chmod(0o555)
        with as_nobody():
            refused(home.run("crawl"), 2, str(folder / "home"), "MCP_INDEXER_HOME")
        folder.chmod(0o755)
        (folder / "home").mkdir()
        (folder / "home").chmod(0o555)
        with as_nobody():
            refused(home.run("crawl"), 2, str(folder / "home"), "MCP_INDEXER_HOME")
        assert list((folder / "home").iterdir()) == []
    finally:
        shutil.rmtree(folder)


def test_a_database_that_cannot_be_reached_is_a_failure(home: Home, dead_port: int) -> None:
    home.set(DATABASE_URL=f"postgresql+psycopg://somebody:secret@{LOOPBACK}:{dead_port}/log")
    ran = home.run("crawl")
    refused(ran, 1, f"somebody:***@{LOOPBACK}:{dead_port}/log", "check MCP_INDEXER_DATABASE_URL")
    assert "secret" not in ran.err


def test_a_database_that_does_not_exist_is_a_failure(home: Home, postgres_url: str) -> None:
    home.set(DATABASE_URL=postgres_url + "_not")
    refused(home.run("crawl"), 1, "does not exist", "check MCP_INDEXER_DATABASE_URL")


def test_a_file_that_is_no_database_is_a_failure_and_stays_as_it_is(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes. " * 100)
    home.set(DATABASE_URL=f"sqlite:///{file}")
    refused(home.run("crawl"), 1, str(file), "not a database", "MCP_INDEXER_DATABASE_URL")
    assert file.read_text() == "These are my notes. " * 100


def test_a_database_newer_than_the_program_is_refused_and_not_changed(either: Home) -> None:
    position = either.crawl()["log"]["position"]
    newer = len(MIGRATIONS) + 1
    change(f"insert into schema_version (version) values ({newer})")
    for command in ("crawl", "events", "status"):
        refused(either.run(command), 2, f"version {newer}", "newer")
    change(f"delete from schema_version where version = {newer}")
    assert len(either.events()) == position


def change(statement: str) -> None:
    """Runs SQL on the database that is configured, as somebody else would."""
    engine = create_engine(os.environ["MCP_INDEXER_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


# Full disks


class Room:
    """How many pages every new SQLite database connection may fill, as if the disk held no more."""

    def __init__(self) -> None:
        self.pages = 2**30

    def __call__(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {self.pages}")


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    event.listen(Engine, "connect", made)
    yield made
    event.remove(Engine, "connect", made)


def test_a_full_disk_is_said_and_what_was_recorded_stays(home: Home, room: Room) -> None:
    home.crawl("--max-pages", "1")
    file = home.folder / "home" / "log.sqlite"
    with sqlite3.connect(file) as connection:
        (room.pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    before = home.events()
    refused(home.run("crawl"), 1, "the disk is full", "make room")
    recorded = home.events()
    assert recorded[: len(before)] == before
    room.pages = 2**30
    crawl = home.crawl_one()
    assert (crawl["status"], crawl["new"]) == ("completed", 120)
    assert home.agrees()


def test_a_file_that_may_not_grow_is_a_failure_and_what_was_recorded_stays(home: Home) -> None:
    home.crawl("--max-pages", "1")
    largest = (home.folder / "home" / "log.sqlite").stat().st_size
    ran = subprocess.run(
        [PROGRAM, "crawl"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )
    refused(Ran(ran.returncode, ran.stdout, ran.stderr), 1, str(home.folder / "home" / "log.sqlite"))
    crawl = home.crawl_one()
    assert (crawl["status"], crawl["new"]) == ("completed", 120)
    assert home.agrees()


# Sources that are none


def test_a_host_that_cannot_be_reached_is_a_failure_and_the_next_crawl_tries_again(
    home: Home, upstream: SampleServer, nobody: str
) -> None:
    home.watch(official=nobody)
    ran = home.run("crawl", "--json")
    refused(ran, 1, nobody, "ConnectError", "try again later")
    (crawl,) = ran.object["crawls"]
    assert (crawl["status"], crawl["requests"], crawl["error"]) == ("failed", 5, ran.sentence)
    assert home.kinds() == ["source.configured", "crawl.started", "crawl.failed"]
    checked = home.run("sources", "check")
    refused(checked, 1, nobody)
    assert checked.out == ""
    home.watch(official=upstream.url)
    assert home.crawl_one()["new"] == 120


WEB_PAGE = Answer(200, {"Content-Type": "text/html"}, b"<!doctype html><title>Welcome</title>")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (WEB_PAGE, "a web page where JSON was expected"),
        (Answer(404, {"Content-Type": "text/plain"}, b"nothing here"), "404"),
        (ok(b"[]"), "this is no registry's list"),
        (ok(b"{}"), "this is no registry's list"),
        (ok(b'{"servers": 7}'), "'servers' is no list"),
        (ok(b"nonsense"), "the body is not JSON"),
        (ok(b""), "the body is not JSON"),
        (Answer(401, {}, b""), "token_env"),
        (Answer(302, {"Location": "https://elsewhere.example/servers"}, b""), "https://elsewhere.example/servers"),
    ],
    ids=["html", "404", "list", "object", "servers", "text", "nothing", "401", "elsewhere"],
)
def test_an_address_that_is_no_registry_is_a_failure(
    home: Home, upstream: SampleServer, given: Answer, said: str
) -> None:
    upstream.faults.hook = lambda _: given
    refused(home.run("crawl"), 1, f"{upstream.url}/v0.1/servers", said)
    assert home.kinds() == ["source.configured", "crawl.started", "crawl.failed"]
    (source,) = home.run("status", "--json").object["sources"]
    assert (source["state"], source["holder"]) == ("failing", None)
    assert said in source["error"]
    refused(home.run("sources", "check"), 1, said)


# Meilisearch


def test_a_key_that_meilisearch_refuses_is_a_failure_that_keeps_what_was_recorded(home: Home) -> None:
    right = os.environ["MCP_INDEXER_MEILI_KEY"]
    for wrong in ("wrong", None):
        home.set(MEILI_KEY=wrong)
        for command in (("crawl",), ("search", "x"), ("keys",), ("verify",), ("rebuild", "search")):
            refused(home.run(*command), 1, "refuses the key", "MCP_INDEXER_MEILI_KEY")
    home.set(MEILI_KEY=right)
    assert home.crawl()["index"]["documents"] == 60


@pytest.mark.parametrize("what", ["nobody", "no address", "no meilisearch"])
def test_a_meilisearch_that_is_not_there_is_a_failure(
    home: Home, upstream: SampleServer, nobody: str, what: str
) -> None:
    home.set(MEILI_URL={"nobody": nobody, "no address": "localhost:7700", "no meilisearch": upstream.url}[what])
    for command in (("crawl",), ("search", "x"), ("keys",), ("verify",), ("rebuild", "search")):
        status = 2 if what == "no address" else 1
        refused(home.run(*command), status, "MCP_INDEXER_MEILI_URL")


def test_a_search_before_the_first_crawl_says_that_there_is_no_index(home: Home) -> None:
    refused(home.run("search", "x"), 1, os.environ["MCP_INDEXER_INDEX"], "mcp-indexer crawl")


# What was typed


@pytest.mark.parametrize(
    "options",
    [
        ("--filter", "has_remote ="),
        ("--filter", "colour = red"),
        ("--facets", "colour"),
        ("--facets", "server_json"),
    ],
    ids=" ".join,
)
def test_a_search_that_cannot_be_made_is_wrong_usage(home: Home, options: tuple[str, str]) -> None:
    home.crawl("--max-pages", "1")
    refused(home.run("search", "x", *options), 2, options[0].strip("-"))
    refused(home.run("search", name_of(1), *options), 2, options[0].strip("-"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("crwl",), "crwl"),
        (("crawl", "--adit"), "--adit"),
        (("crawl", "--max-pages", "none"), "--max-pages"),
        (("crawl", "--max-pages", "0"), "--max-pages"),
        (("events", "--after", "-1"), "--after"),
        (("events", "--after", str(2**63)), "--after"),
        (("events", "--limit", str(2**63)), "--limit"),
        (("crawls", "--limit", str(2**63)), "--limit"),
        (("search",), "query"),
        (("search", "x", "--limit", "0"), "--limit"),
        (("sources", "chekc"), "chekc"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_there_is_not_ends_with_a_sentence_and_the_way_to_help(
    home: Home, command: tuple[str, ...], said: str
) -> None:
    ran = home.run(*command)
    assert (ran.status, ran.out) == (2, "")
    *_, sentence = ran.err.splitlines()
    assert said in sentence
    assert "--help" in ran.err
    assert "Traceback" not in ran.err
    assert not (home.folder / "home").exists()


def test_a_search_for_what_is_no_text_finds_nothing(home: Home) -> None:
    home.crawl("--max-pages", "1")
    assert home.run("search", "\udcff", "--json").object["hits"] == []


def test_a_view_that_there_is_not_is_wrong_usage(home: Home) -> None:
    refused(home.run("rebuild", "everything"), 2, "'everything'", "catalogue and search")


def test_a_name_that_nobody_listed_is_not_found_and_similar_ones_are_named(home: Home) -> None:
    home.crawl()
    for command in ("show", "history"):
        refused(home.run(command, "com.example/tool-0001"), 1, "com.example/tool-0001", name_of(1))
        refused(home.run(command, "no\nsuch \x1b[31mserver\ud800\x00"), 1, "mcp-indexer search")
    refused(home.run("show", name_of(1), "--version", "9"), 1, "'9'")


# One bad record never stops its page


HUGE = {**server(77), "description": "x" * 300_000}
BAD_ITEMS: dict[str, tuple[Any, str]] = {
    "text": ("nonsense", "the record is no object"),
    "null": (None, "the record is no object"),
    "number": (1e300, "the record is no object"),
    "list": ([1, [2]], "the record is no object"),
    "server is text": ({"server": "nonsense"}, "the record is no object"),
    "no name": ({"server": {"version": "1.0.0"}}, "the record has no name"),
    "name is a number": ({"server": {"name": 7, "version": "1.0.0"}}, "the record has no name"),
    "name is empty": ({"server": {"name": "", "version": "1.0.0"}}, "the record has no name"),
    "name is endless": ({"server": {"name": "x" * 5_000, "version": "1.0.0"}}, "the record's name is too long"),
    "huge": (item(HUGE), "more than 262,144"),
    "huge and odd": ({"server": {**HUGE, "name": "\ud800" * 60_000}}, "the record's name is too long"),
}


class Spoiling:
    """Puts bad items into the registry's page of a hundred, from the fiftieth on, in place of those that are there."""

    def __init__(self, upstream: SampleServer, *bad: Any) -> None:
        self._upstream, self._bad = upstream, bad

    def __call__(self, request: Request) -> Answer | None:
        page = json.loads(answer(self._upstream.registry, request).body)
        if len(page["servers"]) == 100:
            page["servers"][50 : 50 + len(self._bad)] = self._bad
        return ok(json.dumps(page).encode())


@pytest.fixture
def hundred(home: Home, serve: Serve) -> SampleServer:
    """A registry of one page of a hundred, which the home watches."""
    upstream = serve(items(100))
    home.watch(official=upstream.url, page_size=100)
    return upstream


@pytest.mark.parametrize("what", BAD_ITEMS)
def test_one_bad_record_is_quarantined_and_the_other_ninety_nine_are_recorded(
    home: Home, hundred: SampleServer, what: str
) -> None:
    bad, reason = BAD_ITEMS[what]
    hundred.faults.hook = Spoiling(hundred, bad)
    result = home.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["status"], crawl["observed"], crawl["new"], crawl["quarantined"]) == ("completed", 100, 99, 1)
    assert result["index"]["documents"] == 99
    (kept,) = [one["data"] for one in home.events() if one["type"] == "record.quarantined"]
    assert reason in kept["reason"]
    assert kept["size"] > 0
    if kept["size"] < 64 * 1024:
        assert json.loads(kept["text"]) == bad
    else:
        assert len(kept["text"]) == 64 * 1024
    (source,) = home.run("status", "--json").object["sources"]
    assert (source["versions"], source["quarantined"]) == (99, 1)


def test_what_is_quarantined_is_kept_once_however_often_it_is_listed(either: Home, hundred: SampleServer) -> None:
    bad = [item for item, _ in BAD_ITEMS.values()]
    hundred.faults.hook = Spoiling(hundred, *bad)
    result = either.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["new"], crawl["quarantined"]) == (100 - len(bad), len(bad))
    assert either.kinds().count("record.quarantined") == len(bad)
    assert either.crawl_one("--audit")["quarantined"] == len(bad)
    assert either.kinds(after=result["log"]["position"]) == ["crawl.started", "crawl.completed"]
    assert either.agrees()


ODD_SERVERS: tuple[Json, ...] = (
    {"name": "io.github.odd/no-version"},
    {"name": "io.github.odd/version-is-a-number", "version": 1.5},
    {"name": "io.github.odd/spaces and NUL\x00 and \ud800", "version": "1.0.0\x00"},
    {"name": "no slash, no dot: \u202e\u241b", "version": "1.0.0"},
    {"name": "io.github.odd/no-double-holds-it", "version": "1.0.0", "x": 10**400, "y": [2**64, -(2**63)]},
    {
        "name": "io.github.odd/other-types",
        "version": ["1"],
        "description": {"a": 1},
        "packages": "none",
        "remotes": [7, None, {"url": 7}],
        "repository": "here",
        "icons": {},
        "title": False,
        "$schema": 7,
    },
)


def test_a_record_with_a_name_is_indexed_however_odd_it_is(either: Home, hundred: SampleServer) -> None:
    hundred.faults.hook = Spoiling(hundred, *map(item, ODD_SERVERS))
    result = either.crawl()
    (crawl,) = result["crawls"]
    assert (crawl["status"], crawl["new"], crawl["quarantined"]) == ("completed", 100, 0)
    assert crawl["invalid"] == len(ODD_SERVERS)
    assert result["index"]["documents"] == 100
    found = either.run("search", "", "--filter", "valid = false", "--json").object["hits"]
    assert len(found) == len(ODD_SERVERS)
    for hit in found:
        shown = either.run("show", hit["name"], "--json").object
        assert shown["server_json"] == hit["server_json"]
        assert len(either.run("history", hit["name"], "--json").objects) == 1
    position = result["log"]["position"]
    assert either.crawl_one("--audit")["unchanged"] == 100
    assert either.kinds(after=position) == ["crawl.started", "crawl.completed"]
    assert either.run("rebuild").status == 0
    assert either.agrees()


# What is printed

PRINTING = ("events", "events --json", "status", "schema", "export", "search  --limit 1", "crawls --json")


@pytest.mark.parametrize("command", PRINTING)
def test_what_cannot_be_printed_is_said_in_a_sentence(home: Home, command: str) -> None:
    home.crawl()
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [PROGRAM, *command.split(" ")], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    refused(Ran(ran.returncode, "", ran.stderr), 1, "cannot be written: No space left on device")


@pytest.mark.parametrize("command", ["events", "schema", "export"])
def test_who_reads_and_has_enough_ends_a_command_without_a_word(home: Home, command: str) -> None:
    home.crawl()
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([PROGRAM, command], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize("command", ["events", "status --json", "crawl", "crawl nobody"])
def test_a_command_works_where_stdin_stdout_and_stderr_are_closed(home: Home, command: str) -> None:
    home.crawl("--max-pages", "1")

    def close() -> None:
        os.closerange(0, 3)

    ran = subprocess.run([PROGRAM, *command.split()], preexec_fn=close, check=False)
    assert ran.returncode == (2 if "nobody" in command else 0)
    assert home.agrees()
