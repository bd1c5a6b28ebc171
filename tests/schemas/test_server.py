import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.about import unwrap
from schemas.definition import SCHEMA_DATES
from schemas.server import (
    MOST_LISTED,
    Server,
    ServerIcon,
    ServerPackage,
    ServerRemote,
    ServerRepository,
    read_server,
)
from tests.schemas.generated import documents, json_values, mutated
from tests.schemas.upstream import seed, snapshots

NOTHING = Server(None, None, None, None, None, None, (), (), (), None)

TODAY: dict[str, Any] = {
    "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
    "name": "com.example/notes",
    "title": "Notes",
    "description": "Keeps notes",
    "version": "1.2.0",
    "websiteUrl": "https://example.com",
    "repository": {"url": "https://example.com/git/notes", "source": "git", "id": "7", "subfolder": "src"},
    "icons": [
        {"src": "https://example.com/a.png", "mimeType": "image/png", "sizes": ["48x48", "any"], "theme": "dark"}
    ],
    "packages": [
        {
            "registryType": "npm",
            "identifier": "@example/notes",
            "version": "1.2.0",
            "runtimeHint": "npx",
            "transport": {"type": "streamable-http", "url": "http://localhost:{PORT}/mcp"},
            "environmentVariables": [{"name": "PORT"}, {"name": "TOKEN", "isSecret": True}],
        }
    ],
    "remotes": [{"type": "sse", "url": "https://example.com/sse"}],
}
READ = Server(
    name="com.example/notes",
    title="Notes",
    description="Keeps notes",
    version="1.2.0",
    website_url="https://example.com",
    repository=ServerRepository("https://example.com/git/notes", "git", "src", "7"),
    icons=(ServerIcon("https://example.com/a.png", "image/png", ("48x48", "any"), "dark"),),
    packages=(
        ServerPackage("npm", "@example/notes", "1.2.0", "streamable-http", "http://localhost:{PORT}/mcp", "npx", True),
    ),
    remotes=(ServerRemote("sse", "https://example.com/sse", False),),
    schema="https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
)

OF_JULY = {
    "name": "com.example/notes",
    "description": "Keeps notes",
    "version": "1.2.0",
    "website_url": "https://example.com",
    "packages": [
        {
            "registry_type": "npm",
            "identifier": "@example/notes",
            "version": "1.2.0",
            "runtime_hint": "npx",
            "transport": {"type": "stdio"},
            "runtime_arguments": [{"type": "named", "name": "-e", "variables": {"token": {"is_secret": True}}}],
        }
    ],
}
OF_MAY = {
    "id": "4e9cf4cf-71f6-4aca-bae8-2d10a29ca2e0",
    "name": "com.example/notes",
    "description": "Keeps notes",
    "version_detail": {"version": "1.2.0", "release_date": "2025-05-16T18:56:49Z", "is_latest": True},
    "packages": [{"registry_name": "npm", "name": "@example/notes", "version": "1.2.0"}],
    "remotes": [{"transport_type": "sse", "url": "https://example.com/sse"}],
}


def test_a_document_of_today_is_read() -> None:
    assert read_server(TODAY) == READ


def test_a_document_in_snake_case_is_read() -> None:
    read = read_server(OF_JULY)
    assert read.version == "1.2.0"
    assert read.website_url == "https://example.com"
    assert read.packages == (ServerPackage("npm", "@example/notes", "1.2.0", "stdio", None, "npx", True),)


def test_a_document_of_the_first_months_is_read() -> None:
    read = read_server(OF_MAY)
    assert (read.name, read.version) == ("com.example/notes", "1.2.0")
    assert read.packages == (ServerPackage("npm", "@example/notes", "1.2.0", None, None, None, False),)
    assert read.remotes == (ServerRemote("sse", "https://example.com/sse", False),)


@pytest.mark.parametrize("record", [None, [], "server", 5, True, {}])
def test_what_says_nothing_is_read_as_nothing(record: Any) -> None:
    assert read_server(record) == NOTHING


def test_wrong_types_are_read_as_absent() -> None:
    assert read_server(dict.fromkeys(TODAY, 5)) == NOTHING
    assert read_server({name: [5, None, "a", []] for name in TODAY}) == NOTHING
    package = dict.fromkeys(TODAY["packages"][0], 5)
    odd = read_server({"packages": [package], "version": 1, "version_detail": {"version": "2"}})
    assert odd.packages == (ServerPackage(None, None, None, None, None, None, False),)
    assert odd.version == "2"


def test_text_is_read_as_it_was_written() -> None:
    assert read_server({"name": " a\n", "version": "", "title": "\ud800"}) == Server(
        " a\n", "\ud800", None, "", None, None, (), (), (), None
    )


@pytest.mark.parametrize("empty", [{}, {"url": "", "source": ""}, {"url": None}, "", 5, None])
def test_an_empty_repository_is_none(empty: Any) -> None:
    assert read_server({"repository": empty}).repository is None


def test_a_repository_may_be_its_url() -> None:
    read = read_server({"repository": "https://example.com/git"})
    assert read.repository == ServerRepository("https://example.com/git", None, None, None)


def test_a_transport_may_be_a_word_and_a_remote_may_have_one() -> None:
    read = read_server(
        {
            "packages": [{"transport": "stdio"}],
            "remotes": [{"transport": "sse", "url": "https://a"}, {"transport": {"type": "sse", "url": "https://b"}}],
        }
    )
    assert [package.transport for package in read.packages] == ["stdio"]
    assert read.remotes == (ServerRemote("sse", "https://a", False), ServerRemote("sse", "https://b", False))


def test_sizes_of_an_icon_may_be_one_text_and_an_icon_needs_a_source() -> None:
    read = read_server(
        {"icons": [{"src": "a", "sizes": "48x48 96x96"}, {"sizes": ["any"]}, {"src": "b", "sizes": [5]}]}
    )
    assert read.icons == (ServerIcon("a", None, ("48x48", "96x96"), None), ServerIcon("b", None, (), None))


@pytest.mark.parametrize("mark", ["isSecret", "is_secret"])
@pytest.mark.parametrize(
    "place",
    [
        lambda secret: {"environmentVariables": [{"name": "A"}, secret]},
        lambda secret: {"environment_variables": [{"name": "A", "variables": {"b": secret}}]},
        lambda secret: {"packageArguments": [{"type": "positional", "variables": {"b": {}, "c": secret}}]},
        lambda secret: {"transport": {"type": "sse", "headers": [secret]}},
        lambda secret: {"headers": [{"name": "A", "variables": {"isSecret": secret}}]},
        lambda secret: {"variables": {"a": secret}},
    ],
)
def test_a_secret_is_found_wherever_it_is(mark: str, place: Any) -> None:
    for value in (True, False, "true", None):
        holder = place({"name": "TOKEN", mark: value})
        read = read_server({"packages": [holder], "remotes": [holder]})
        assert read.packages[0].requires_secrets is (value is True)
        assert read.remotes[0].requires_secrets is (value is True)


def test_lists_are_bounded_and_depth_too() -> None:
    deep: dict[str, Any] = {"isSecret": True}
    for _ in range(100_000):
        deep = {"variables": deep}
    read = read_server({name: [{"src": "a"}] * 500 for name in ("packages", "remotes", "icons")} | {"repository": deep})
    assert len(read.packages) == len(read.remotes) == len(read.icons) == MOST_LISTED
    assert read_server({"packages": [deep]}).packages[0].requires_secrets is False


@given(json_values())
@settings(deadline=None)
def test_any_json_value_can_be_read(record: Any) -> None:
    assert isinstance(read_server(record), Server)


@given(st.data())
@settings(deadline=None)
def test_any_document_can_be_read(data: st.DataObject) -> None:
    made = data.draw(documents(data.draw(st.sampled_from(SCHEMA_DATES))))
    read = read_server(made)
    assert (read.name, read.description, read.version) == (made["name"], made["description"], made["version"])
    assert [package.identifier for package in read.packages] == [one["identifier"] for one in made.get("packages", [])]
    assert None not in [package.registry_type for package in read.packages]
    assert [(one.type, one.url) for one in read.remotes] == [(r["type"], r["url"]) for r in made.get("remotes", [])]
    assert isinstance(read_server(data.draw(mutated(made))), Server)


SEEDS = (
    *("registry-seed-2025-05-16", "registry-seed-2025-08-06", "registry-seed-2025-08-23", "registry-seed-2025-08-30"),
    *("registry-seed-2025-09-05", "registry-seed-2025-09-08", "registry-seed-2025-09-21", "registry-seed-2025-09-29"),
    *("official-wire-2025-09-15", "official-wire-2025-09-22", "official-wire-2025-09-26-flat"),
    *("official-wire-2025-09-30-broken-crawl", "official-full-2025-11-14", "official-latest-lite-2026-06-12"),
)


@pytest.mark.upstream
@pytest.mark.parametrize("name", SEEDS)
def test_every_recorded_record_is_read(shared: Path, name: str) -> None:
    for item in seed(shared, name):
        assert_all_read(unwrap(item)[0])


@pytest.mark.upstream
def test_every_record_of_two_months_is_read(shared: Path) -> None:
    for item in snapshots(shared):
        assert_all_read(unwrap(item)[0])


def assert_all_read(record: Any) -> None:
    """Everything that is always told was found, and so was each secret."""
    read = read_server(record)
    assert None not in (read.name, read.version, read.description), record
    assert len(read.packages) == len(record.get("packages") or ()), record
    assert len(read.remotes) == len(record.get("remotes") or ()), record
    assert all(package.registry_type and package.identifier for package in read.packages), record
    assert all(remote.type is not None and remote.url for remote in read.remotes), record
    marked = any(f'"{mark}": true' in json.dumps(record) for mark in ("isSecret", "is_secret"))
    secrets = [package.requires_secrets for package in read.packages]
    assert marked == any(secrets + [remote.requires_secrets for remote in read.remotes]), record
