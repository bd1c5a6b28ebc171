"""Upstreams that mean harm, all beside a good one in one crawl: each ends within its limits and with one sentence,
little memory is taken, and the good one is untouched.
"""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import pytest

from tests.hostile import MEBIBYTE, HostileServer, Reply, answer, redirect, without_end
from tests.listed import item, items, server
from tests.servers import MeilisearchServer
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer

Json = dict[str, Any]

MOST_MEMORY = 300 * MEBIBYTE
COMMAND = """
import random, re, sys
random.random = lambda: 0.0  # no share of a backoff is waited
from workers.cli import main
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
    open("peak", "w").write(peak[1])
"""
GOOD = 30


class Case(NamedTuple):
    """A source that means harm, and what is said of it: words of its sentence, None where it completes."""

    reply: Reply
    said: str | None


def listing(*entries: Any, **metadata: Any) -> bytes:
    return json.dumps({"servers": entries, "metadata": {"count": len(entries), **metadata}}).encode()


def always(body: bytes, **headers: str) -> Reply:
    """The same answer to all that is asked."""
    return lambda _: answer(body, **headers)


# Bodies


def bomb() -> Iterator[bytes]:
    """1.5 GB of blanks in 1.5 MB of gzip."""
    packer = zlib.compressobj(9, wbits=31)
    yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    yield packer.compress(b" " * MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(1_499):
        yield block


COMMAS = b'{"servers":[' + b"[]," * (16 * MEBIBYTE // 3 - 8) + b"[]]}"
DEEP = b"[" * 200_000 + b"]" * 200_000
NUMBERS = b",".join(b"%d" % number for number in range(400_000))

TOO_LARGE: dict[str, Case] = {
    "a gzip bomb of 1.5 GB": Case(lambda _: bomb(), "16,777,216 bytes unpacked"),
    "16 MiB of [],": Case(always(gzip.compress(COMMAS, 1), Content_Encoding="gzip"), "more than 500,000"),
    "16 MiB of [], as they are": Case(always(COMMAS), "8,388,608 bytes as sent"),
    "a body without end": Case(lambda _: without_end(b" " * 65_536), "8,388,608 bytes as sent"),
    "a record without end": Case(
        lambda _: without_end(b'{"servers":[{"server":{"name":"a/b","x":"', b"x" * 65_536), "8,388,608 bytes as sent"
    ),
    "a string without end": Case(lambda _: without_end(b'{"servers":["' + b"x" * 65_536), "8,388,608 bytes as sent"),
}
NO_LIST: dict[str, Case] = {
    "200,000 brackets": Case(always(DEEP), "no registry's list"),
    "200,000 brackets without end": Case(always(b"[" * 200_000), "nests too deeply"),
    "a list": Case(always(b"[]"), "no registry's list"),
    "an object": Case(always(b"{}"), "no registry's list"),
    "null": Case(always(b"null"), "no registry's list"),
    "nothing": Case(always(b""), "not JSON"),
    "HTML": Case(always(b"<html>\x1b[2JWelcome</html>", Content_Type="text/html"), "web page"),
    "no UTF-8": Case(always(b'{"servers": "\xff"}'), "not UTF-8"),
    "servers that are text": Case(always(b'{"servers": "x"}'), "'servers' is no list"),
    "a number of 100,000 digits alone": Case(always(b"9" * 100_000), "no registry's list"),
    "no HTTP": Case(lambda _: iter([b"\x1b]0;owned\x07\r\n\r\n"]), "RemoteProtocolError"),
    "headers without end": Case(
        lambda _: iter([b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 50_000]), "RemoteProtocolError"
    ),
    "a packing of its own": Case(always(b"{}", Content_Encoding="x-lzma"), "packed as"),
    "400,000 entries": Case(always(b'{"servers":[' + NUMBERS + b"]}"), "400,000 entries"),
    "a refusal that moves the terminal": Case(
        lambda _: answer(b'{"detail": "\\u001b[2J\\u202e' + b"x" * 9_999 + b'"}', "403 No\x1b[2J"), r"403 No\x1b[2J"
    ),
}

# Where they lead

LOCATIONS = {
    "metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "loopback": "http://127.0.0.1:1/",
    "localhost": "http://localhost/",
    "loopback in IPv6": "http://[::1]/",
    "loopback in decimal": "//2130706433/",
    "metadata in IPv6": "http://[::ffff:169.254.169.254]/",
    "a file": "file:///etc/passwd",
}
REDIRECTS = {
    f"a redirect to {name}": Case(lambda _, location=location: redirect(location), "it points to")  # type: ignore[misc]
    for name, location in LOCATIONS.items()
}


def circle(length: int) -> Reply:
    """Pages of one record each that come round again."""

    def reply(target: str) -> Iterable[bytes]:
        asked = re.search(r"cursor=c(\d+)", target)
        number = int(asked[1]) if asked else 0
        return answer(listing(item(server(500 + number)), nextCursor=f"c{1 + number % length}"))

    return reply


CIRCLES = {f"a cursor loop of {n}": Case(circle(n), "would not end" if n == 1 else "in a circle") for n in (1, 2, 7)}

# What is in them

ODD: tuple[Any, ...] = (None, True, 7, -1e300, "text", [], [[]], {}, {"server": None}, {"server": 7}, {"server": []})
ODD_VALUES: tuple[Any, ...] = (None, True, 7, 1.5, "text", [], [7], {}, {"a": {"b": []}})
FIELDS = ("name", "version", "description", "packages", "remotes", "repository", "icons", "title", "_meta", "$schema")
WRONG = [
    item({**server(100 + 10 * row + column), wrong: value})
    for row, value in enumerate(ODD_VALUES)
    for column, wrong in enumerate(FIELDS)
]
METAS = [{"server": server(900 + number), "_meta": value} for number, value in enumerate(ODD_VALUES)]
NAMED = len(WRONG) - (len(ODD_VALUES) - 1) + len(METAS)  # a name that is text is a name


def odd(target: str) -> Iterable[bytes]:
    """A page of entries whose every field is wrong once, and one of entries that are none."""
    return answer(listing(*WRONG[80:], *ODD) if "cursor" in target else listing(*WRONG[:80], *METAS, nextCursor="rest"))


def strange(number: int, value: bytes) -> Reply:
    """A page of one record that holds a value."""
    record = json.dumps(server(number)).encode()[:-1] + b', "strange": ' + value + b"}"
    return always(b'{"servers": [{"server": ' + record + b"}]}")


STRANGE: dict[str, Case] = {
    "lone surrogates": Case(strange(701, b'"\\ud800 \\udfff"'), None),
    "a number of 100,000 digits": Case(strange(702, b"9" * 100_000), None),
    "a number that no double holds": Case(strange(703, b"1e999999"), None),
    "control characters": Case(strange(704, b'"\\u0000\\u001b[2J\\u202e"'), None),
}
GIANT = b'{"server": {"name": "a/giant", "version": "1.0.0", "description": "' + b"x" * (20 * MEBIBYTE) + b'"}}'


def beside_a_giant(target: str) -> Iterable[bytes]:
    """Five records, the third of 20 MiB."""
    query = parse_qs(target.partition("?")[2])
    start, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
    some = [GIANT if number == 2 else json.dumps(item(server(750 + number))).encode() for number in range(5)]
    page = some[start : start + limit]
    metadata = {"nextCursor": str(start + limit)} if len(page) == limit else {}
    return answer(b'{"servers":[' + b",".join(page) + b'],"metadata":' + json.dumps(metadata).encode() + b"}")


APART: dict[str, Case] = {
    "a record of 20 MiB": Case(beside_a_giant, None),
    "200,000 brackets in a record": Case(strange(705, DEEP), None),
    "entries of every wrong type": Case(odd, None),
    "a number that is none": Case(strange(706, b"NaN"), None),
}
FAILING = {**TOO_LARGE, **NO_LIST, **REDIRECTS, **CIRCLES}
CASES = {**FAILING, **STRANGE, **APART}


# The crawl


@dataclass
class Crawled:
    """What one crawl of all of them came to, in a process of its own, and the process's peak of memory."""

    folder: Path
    environment: dict[str, str]
    crawls: dict[str, Json] = field(default_factory=dict)
    requests: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    status: int = 0
    position: int = 0
    peak: int = 0

    @cached_property
    def documents(self) -> list[Json]:
        """All that the index holds."""
        (found,) = self.objects("search", "", "--limit", "1000", "--json")
        hits: list[Json] = found["hits"]
        return hits

    def of(self, source: str) -> list[Json]:
        """The documents of a source."""
        return [one for one in self.documents if one["sources"] == [source]]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command in a process of its own."""
        command = [sys.executable, "-c", COMMAND, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment, timeout=300, check=False
        )

    def objects(self, *arguments: str) -> list[Json]:
        """What a command prints, one object a line."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, ran
        return [json.loads(line) for line in ran.stdout.splitlines()]


def slug(what: str) -> str:
    """A case as the name of a source."""
    return re.sub("[^a-z0-9]+", "-", what.lower()).strip("-")


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory, meilisearch_server: MeilisearchServer) -> Iterator[Crawled]:
    uid = f"test-{uuid.uuid4().hex}"
    variables = {
        "HOME": "home",
        "SOURCES": "sources.toml",
        "INDEX": uid,
        "MEILI_URL": meilisearch_server.url,
        "MEILI_KEY": meilisearch_server.key,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MCP_INDEXER_")}
    environment = {**kept, "NO_PROXY": "*", **{f"MCP_INDEXER_{name}": value for name, value in variables.items()}}
    made = Crawled(tmp_path_factory.mktemp("hostile"), environment)
    with ExitStack() as running:
        good = running.enter_context(SampleServer(SampleRegistry(items(GOOD))))
        hostile = {slug(what): running.enter_context(HostileServer(case.reply)) for what, case in CASES.items()}
        urls = {name: one.url for name, one in hostile.items()} | {"good": good.url}
        common = 'kind = "registry"\nrequests_per_minute = 1000000\n'
        tables = [f'[[source]]\nname = "{name}"\nurl = "{url}"\n{common}' for name, url in urls.items()]
        (made.folder / "sources.toml").write_text("\n".join(tables))
        ran = made.run("crawl", "--json")
        result = json.loads(ran.stdout)
        made.crawls = {one["source"]: one for one in result["crawls"]}
        made.position = result["log"]["position"]
        made.requests = {name: one.targets for name, one in hostile.items()}
        made.said, made.status = ran.stderr.splitlines(), ran.returncode
        made.peak = int((made.folder / "peak").read_text()) * 1024
        yield made
    meilisearch_server.delete_indexes(uid)


def test_all_of_them_together_take_little_memory(crawled: Crawled) -> None:
    assert crawled.peak < MOST_MEMORY


def test_the_good_source_beside_them_is_untouched(crawled: Crawled) -> None:
    assert len(crawled.crawls) == len(CASES) + 1
    good = crawled.crawls["good"]
    assert (good["status"], good["observed"], good["new"], good["requests"]) == ("completed", GOOD, GOOD, 1)
    assert len(crawled.of("good")) == GOOD
    assert crawled.run("verify").returncode == 0


@pytest.mark.parametrize("what", FAILING)
def test_it_ends_with_one_sentence(crawled: Crawled, what: str) -> None:
    crawl = crawled.crawls[slug(what)]
    assert crawl["status"] == "failed"
    sentence = crawl["error"]
    assert crawled.said.count(sentence) == 1
    assert (FAILING[what].said or "") in sentence
    assert sentence.isprintable()
    assert len(sentence) < 700


def test_nothing_else_is_said(crawled: Crawled) -> None:
    assert crawled.status == 1
    assert len(crawled.said) == len(FAILING)


@pytest.mark.parametrize("what", TOO_LARGE)
def test_a_body_that_is_too_large_is_asked_for_in_halves_and_left_at_its_limit(crawled: Crawled, what: str) -> None:
    asked = [re.search(r"limit=(\d+)", target) for target in crawled.requests[slug(what)]]
    assert [limit[1] for limit in asked if limit] == ["100", "50", "25", "12", "6", "3", "1", "1"]


@pytest.mark.parametrize("what", REDIRECTS)
def test_a_redirect_elsewhere_is_not_followed(crawled: Crawled, what: str) -> None:
    assert len(crawled.requests[slug(what)]) == 1


@pytest.mark.parametrize(("what", "records"), [*zip(CIRCLES, (0, 2, 7), strict=True)])
def test_of_pages_that_run_in_a_circle_what_was_read_is_kept(crawled: Crawled, what: str, records: int) -> None:
    assert crawled.crawls[slug(what)]["new"] >= records
    assert len(crawled.requests[slug(what)]) < 4 * records + 6


@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_value_is_kept_as_it_was_written(crawled: Crawled, what: str) -> None:
    crawl = crawled.crawls[slug(what)]
    assert (crawl["status"], crawl["new"], crawl["quarantined"]) == ("completed", 1, 0)
    (document,) = crawled.of(slug(what))
    written = b"".join(STRANGE[what].reply("")).partition(b'"strange": ')[2].removesuffix(b"}}]}").decode()
    assert written.strip('"') in document["server_json"]


def test_a_number_that_is_none_is_null(crawled: Crawled) -> None:
    what = slug("a number that is none")
    assert (crawled.crawls[what]["status"], crawled.crawls[what]["new"]) == ("completed", 1)
    (document,) = crawled.of(what)
    assert json.loads(document["server_json"])["strange"] is None


def test_a_terminal_gets_no_control_characters(crawled: Crawled) -> None:
    for arguments in (("show", server(704)["name"]), ("quarantine",)):
        ran = crawled.run(*arguments)
        assert ran.returncode == 0
        assert ran.stdout.replace("\n", "").isprintable()


def test_entries_of_every_wrong_type_are_listed_where_they_have_a_name_and_else_kept_apart(crawled: Crawled) -> None:
    crawl = crawled.crawls["entries-of-every-wrong-type"]
    assert crawl["status"] == "completed"
    assert crawl["new"] == NAMED
    kept = crawled.objects("quarantine", "entries-of-every-wrong-type", "--json")
    assert len(kept) == crawl["quarantined"] == crawl["observed"] - NAMED
    assert {one["reason"] for one in kept} == {"the record is no object", "the record has no name"}


def test_a_record_of_200_000_brackets_is_kept_apart(crawled: Crawled) -> None:
    crawl = crawled.crawls["200-000-brackets-in-a-record"]
    assert (crawl["status"], crawl["new"], crawl["quarantined"]) == ("completed", 0, 1)
    (kept,) = crawled.objects("quarantine", "200-000-brackets-in-a-record", "--json")
    assert "bytes, more than 262,144" in kept["reason"]
    assert len(kept["text"]) == 64 * 1024 < kept["size"]


def test_a_record_of_20_mib_is_kept_apart_and_those_beside_it_are_listed(crawled: Crawled) -> None:
    crawl = crawled.crawls["a-record-of-20-mib"]
    assert (crawl["status"], crawl["new"], crawl["quarantined"]) == ("completed", 4, 1)
    (kept,) = crawled.objects("quarantine", "a-record-of-20-mib", "--json")
    assert (kept["size"], kept["digest"]) == (len(GIANT), hashlib.sha256(GIANT).hexdigest())
    assert kept["text"].encode() == GIANT[: 64 * 1024]

    (again,) = crawled.objects("crawl", "a-record-of-20-mib", "--audit", "--json")
    assert again["log"]["position"] == crawled.position + 2
    (audit,) = again["crawls"]
    assert (audit["status"], audit["unchanged"], audit["quarantined"]) == ("completed", 4, 1)
    assert audit["withdrawn"] == 0
    assert crawled.objects("quarantine", "a-record-of-20-mib", "--json") == [kept]
