"""`redact`: what must go is nowhere to be found, and stays away."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.home import Home
from tests.listed import item, items, name_of, server
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]
SECRET = "Pluvial-Marzipan-77"
NAME = name_of(500)


@pytest.fixture
def upstream(serve: Serve) -> SampleServer:
    """A registry of ten servers, and one whose records must go, in two versions."""
    return serve([*items(10), *(item(server(500, version, title=SECRET, websiteUrl=SECRET)) for version in "12")])


def left(home: Home) -> list[str]:
    """The files under home that hold the secret."""
    files = [path for path in (home.folder / "home").rglob("*") if path.is_file()]
    return [path.name for path in files if SECRET.encode() in path.read_bytes()]


def test_a_redacted_server_is_nowhere_and_stays_away(either: Home) -> None:
    either.crawl()
    assert SECRET in str(either.document(NAME))
    before = either.events()
    ran = either.run("redact", NAME, "--reason", "holds a key", "--json")
    assert (ran.status, ran.err) == (0, "")
    assert (ran.object["blanked"], len(ran.object["digests"])) == (2, 2)
    assert left(either) == []
    for question in (["search", ""], ["events"], ["history", NAME], ["quarantine"]):
        asked = either.run(*question, "--json")
        assert asked.status == 0
        assert SECRET not in asked.out
    assert either.run("search", SECRET, "--json").object["hits"] == []
    shown = either.run("show", NAME)
    assert (shown.status, "are redacted" in shown.sentence) == (1, True)
    events = either.events()
    assert [one["id"] for one in events[: len(before)]] == [one["id"] for one in before]
    assert [one["type"] for one in events[len(before) :]] == ["decision.redacted"] * 2
    decision = events[-1]
    assert (decision["stream"], decision["subject"], decision["data"]["reason"]) == ("decisions", NAME, "holds a key")
    history = either.run("history", NAME, "--json").objects
    assert [(one["data"]["record"], one["data"]["redacted"]) for one in history[:2]] == [(None, True)] * 2
    assert history[2:] == events[len(before) :]
    crawl = either.crawl_one("--audit")
    assert (crawl["observed"], crawl["unchanged"], crawl["invalid"]) == (12, 12, 0)
    assert either.document(NAME) is None
    assert either.agrees()
    assert either.run("rebuild").status == 0
    assert either.document(NAME) is None
    assert either.agrees()
    assert left(either) == []


def test_one_record_is_redacted_by_its_digest(home: Home) -> None:
    home.crawl()
    (first, _) = home.run("history", NAME, "--json").objects
    ran = home.run("redact", first["data"]["digest"], "--reason", "a slip")
    assert (ran.status, ran.out.strip()) == (0, "1 record is blank now")
    assert home.run("show", NAME, "--json").object["version_count"] == 1
    again = home.run("redact", NAME, "--reason", "the rest")
    assert again.out.strip() == "1 record is blank now, 1 was before"
    assert home.run("redact", NAME, "--reason", "once more").out.strip() == "0 records are blank now, 2 were before"
    assert home.agrees()


def test_a_server_that_another_source_lists_with_the_same_record_comes_blank(home: Home, serve: Serve) -> None:
    home.crawl()
    assert home.run("redact", NAME, "--reason", "holds a key").status == 0
    mirror = serve([item(server(500, "1", title=SECRET, websiteUrl=SECRET)), item(server(501))])
    home.watch(mirror=mirror.url)
    crawl = home.crawl_one()
    assert (crawl["new"], crawl["invalid"]) == (2, 0)
    assert home.document(NAME) is None
    assert left(home) == []
    assert home.agrees()


def test_what_cannot_be_redacted_is_a_sentence(home: Home) -> None:
    home.crawl()
    count = len(home.kinds())
    unknown = home.run("redact", "io.github.acme/nobody", "--reason", "x")
    assert (unknown.status, "No source ever listed" in unknown.sentence) == (1, True)
    digest = home.run("redact", "0" * 64, "--reason", "x")
    assert (digest.status, "No record has the digest" in digest.sentence) == (1, True)
    assert home.run("redact", NAME).status == 2
    empty = home.run("redact", NAME, "--reason", " ")
    assert (empty.status, "--reason" in empty.sentence) == (2, True)
    assert len(home.kinds()) == count


@pytest.mark.parametrize("by", ["nobody answers there", "its program is none"])
def test_an_index_that_is_down_is_brought_over_it_later(home: Home, nobody: str, by: str) -> None:
    home.crawl()
    with pytest.MonkeyPatch.context() as down:
        if by == "its program is none":
            down.delenv("MCP_INDEXER_MEILI_URL")
            down.setenv("MCP_INDEXER_MEILI_BINARY", str(home.folder / "nothing"))
        else:
            down.setenv("MCP_INDEXER_MEILI_URL", nobody)
        ran = home.run("redact", NAME, "--reason", "holds a key")
        assert ran.status == 1
        assert "the same command again" in ran.sentence
        assert left(home) == []
    assert home.document(NAME) is not None
    assert home.run("redact", NAME, "--reason", "holds a key").status == 0
    assert home.document(NAME) is None
    assert home.agrees()
