"""An entry as the document that the index holds."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.documents import document, host, publisher, with_server_json, words
from indexer.entry import Entry, SourceRules, merge
from indexer.text import ascii_json
from indexer.versions import Version, all_problems, fold
from schemas.documents import DOCUMENT, EntryDocument, document_schema
from schemas.events import Recorded
from schemas.names import Position, Revision, ServerName, document_id
from tests.indexer.made import SOURCE, at, meta, observed, record, stream_of
from tests.schemas.generated import json_values

RULES = {SOURCE: SourceRules(1, 100, (), (), enabled=True)}
FULL = record(
    title="PDF Tools",
    description="Reads PDF files",
    websiteUrl="https://pdf.example/",
    repository={"url": "https://github.com/a/b", "source": "github", "subfolder": "c", "id": "5"},
    icons=[{"src": "https://pdf.example/a.png", "mimeType": "image/png", "sizes": ["48x48", "48x48"], "theme": "dark"}],
    packages=[
        {
            "registryType": "npm",
            "identifier": "@a/b",
            "version": "1.0.0",
            "runtimeHint": "npx",
            "transport": {"type": "stdio"},
            "environmentVariables": [{"name": "KEY", "isSecret": True}],
        },
        {"registryType": "npm", "identifier": "b", "transport": {"type": "stdio"}},
        {"registryType": "oci", "identifier": "ghcr.io/a/b:1", "transport": {"type": "sse", "url": "http://localhost"}},
    ],
    remotes=[
        {"type": "streamable-http", "url": "https://MCP.pdf.example:8080/mcp"},
        {"type": "sse", "url": "https://mcp.pdf.example/sse"},
        {"type": "sse", "url": "https://{tenant}.pdf.example/sse"},
    ],
)


def version(raw: Any, said: Any = None, *, position: int = 7) -> Version:
    event = observed(raw, said)
    recorded = Recorded(Position(position), stream_of(event), Revision(1), at(3), None, event)
    found = fold(None, recorded)
    assert found is not None
    return found


def entry(*versions: Version) -> Entry:
    return merge(versions[0].name, versions, RULES)


def of(raw: Any, said: Any = None) -> EntryDocument:
    return document(entry(version(raw, said)), raw, all_problems(raw))


def test_a_document_says_what_is_derived() -> None:
    found = of(FULL, meta("deprecated", published=1, updated=2, statusMessage="use another"))
    assert found["id"] == document_id(ServerName("com.example/pdf-tools"))
    assert (found["name"], found["namespace"]) == ("com.example/pdf-tools", "com.example")
    assert (found["label"], found["publisher"]) == ("pdf tools", "example")
    assert (found["title"], found["description"]) == ("PDF Tools", "Reads PDF files")
    assert (found["version"], found["version_count"]) == ("1.0.0", 1)
    assert (found["status"], found["status_message"]) == ("deprecated", "use another")
    assert found["website_url"] == "https://pdf.example/"
    assert found["repository"] == {"url": "https://github.com/a/b", "source": "github", "subfolder": "c", "id": "5"}
    assert (found["sources"], found["source_count"], found["aliases"]) == (["official"], 1, [])
    assert (found["valid"], found["problems"], found["problem_count"]) == (
        True,
        ["lint/package-unversioned", "lint/remote-variable"],
        2,
    )
    assert found["published_at"] == at(1).timestamp()
    assert found["updated_at"] == at(2).timestamp()
    assert found["first_seen_at"] == at(3).timestamp()
    assert found["position"] == 7


def test_a_document_says_how_to_run_it() -> None:
    found = of(FULL)
    assert found["icons"] == [
        {"src": "https://pdf.example/a.png", "mime_type": "image/png", "sizes": ["48x48"], "theme": "dark"}
    ]
    assert found["packages"][0] == {
        "registry_type": "npm",
        "identifier": "@a/b",
        "version": "1.0.0",
        "transport": "stdio",
        "runtime_hint": "npx",
    }
    assert len(found["packages"]) == 3
    assert found["remotes"][0] == {"type": "streamable-http", "url": "https://MCP.pdf.example:8080/mcp"}
    assert found["registry_types"] == ["npm", "oci"]
    assert found["transports"] == ["stdio", "sse", "streamable-http"]
    assert found["package_identifiers"] == ["@a/b", "b", "ghcr.io/a/b:1"]
    assert found["remote_hosts"] == ["mcp.pdf.example", "{tenant}.pdf.example"]
    assert (found["has_remote"], found["has_package"], found["requires_secrets"]) == (True, True, True)


def test_the_least_record_has_every_field_too() -> None:
    least = of({"name": "a"}, {})
    assert least.keys() == of(FULL).keys()
    assert least["repository"] == {"url": None, "source": None, "subfolder": None, "id": None}
    assert (least["namespace"], least["label"], least["publisher"]) == ("", "a", "")
    assert (least["has_remote"], least["has_package"], least["requires_secrets"]) == (False, False, False)
    assert (least["published_at"], least["updated_at"], least["version"]) == (None, None, None)
    assert (least["valid"], least["problems"], least["problem_count"]) == (
        False,
        ["schema/undeclared", "lint/name-form", "lint/nothing-to-run"],
        3,
    )


def test_problems_are_named_once_and_counted_all() -> None:
    found = of(record(icons=[{"src": "not a uri"}, {"src": "nor this"}], description=5))
    assert not found["valid"]
    assert sorted(rule for rule in found["problems"] if rule[0] == "s") == ["schema/format", "schema/type"]
    assert found["problems"][-1].startswith("lint/")
    assert found["problem_count"] == 3 + 3


def test_a_document_is_of_the_latest_version() -> None:
    old, new = record(version="1.0.0", title="old"), record(version="2.0.0", title="new")
    found = document(entry(version(old), version(new, position=9)), new, all_problems(new))
    assert (found["title"], found["version"], found["version_count"], found["position"]) == ("new", "2.0.0", 2, 9)


@pytest.mark.parametrize(
    ("part", "secret"),
    [
        ({"packages": [{"environmentVariables": [{"name": "A", "isSecret": True}]}]}, True),
        ({"packages": [{"environment_variables": [{"name": "A", "is_secret": True}]}]}, True),
        ({"packages": [{"packageArguments": [{"type": "positional", "variables": {"a": {"isSecret": True}}}]}]}, True),
        ({"packages": [{"transport": {"type": "sse", "headers": [{"name": "A", "isSecret": True}]}}]}, True),
        ({"remotes": [{"type": "sse", "headers": [{"name": "A", "isSecret": True}]}]}, True),
        ({"remotes": [{"type": "sse", "variables": {"a": {"isSecret": True}}}]}, True),
        ({"remotes": [{"type": "sse", "headers": [{"name": "A", "isSecret": False}]}]}, False),
        ({"packages": [{"environmentVariables": [{"name": "A", "isRequired": True}]}]}, False),
        ({"_meta": {"a": {"isSecret": True}}}, False),
        ({}, False),
    ],
)
def test_secrets_are_required_where_a_package_or_remote_asks_for_one(part: dict[str, Any], secret: bool) -> None:
    assert of(record(**part))["requires_secrets"] is secret


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pdf-tools", "pdf tools"),
        ("mcp_server.pdf", "mcp server pdf"),
        ("a--b..c__d", "a b c d"),
        ("PDFTools2", "PDFTools2"),
        ("-", ""),
        ("", ""),
        ("été-日本", "été 日本"),
    ],
)
def test_the_words_of_a_name_are_searched_for(text: str, found: str) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    ("namespace", "owner"),
    [
        ("io.github.acme", "acme"),
        ("io.github.Acme-Labs", "Acme Labs"),
        ("IO.GitHub.acme", "acme"),
        ("io.gitlab.acme", "acme"),
        ("com.github.acme", "acme"),
        ("com.example", "example"),
        ("com.example.tools", "example tools"),
        ("ai.smithery", "smithery"),
        ("io.githubber", "githubber"),
        ("acme", "acme"),
        ("", ""),
    ],
)
def test_the_publisher_is_the_namespaces_owner(namespace: str, owner: str) -> None:
    assert publisher(namespace) == owner


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://A.Example:443/x?y#z", "a.example"),
        ("http://user:pass@b.example/", "b.example"),
        ("https://[::1]:8080/mcp", "::1"),
        ("https://[::1/mcp", None),
        ("http://a.example:port/", "a.example"),
        ("{base}/mcp", None),
        ("a.example/mcp", None),
        ("https://", None),
        ("", None),
        (None, None),
    ],
)
def test_the_host_of_an_address_is_read(url: str | None, found: str | None) -> None:
    assert host(url) == found


def test_the_whole_document_holds_the_record_as_one_string() -> None:
    text = with_server_json(json.dumps(of(FULL)), ascii_json(FULL))
    whole = json.loads(text)
    assert json.loads(whole["server_json"]) == FULL
    assert DOCUMENT.validate_python(whole, strict=True) == whole
    assert list(whole)[-1] == "server_json"


def test_what_only_the_standard_library_reads_is_whole_too() -> None:
    odd = record(title="a\ud800b\x00", huge=2**70)
    whole = json.loads(with_server_json(json.dumps(of(odd)), ascii_json(odd)))
    assert json.loads(whole["server_json"]) == odd
    assert whole["server_json"].startswith("{")
    assert whole["title"] == "a\ufffdb"


def test_no_object_has_keys_that_an_upstream_chose() -> None:
    loose = [
        name
        for name, piece in {"document": document_schema(), **document_schema()["$defs"]}.items()
        if piece["type"] == "object" and (piece.get("additionalProperties") or not piece.get("properties"))
    ]
    assert loose == []


RELAXED = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
FIELDS = st.sampled_from(
    ["title", "description", "version", "websiteUrl", "repository", "icons", "packages", "remotes", "$schema", "_meta"]
)


@RELAXED
@given(st.dictionaries(FIELDS, json_values(), max_size=5), json_values(), st.text(st.characters(), min_size=1))
def test_any_record_that_has_a_name_has_a_document(fields: dict[str, Any], said: Any, name: str) -> None:
    raw = {"name": name, **fields}
    found = entry(version(raw, said))
    if found.latest is None:
        return
    text = with_server_json(json.dumps(document(found, raw, all_problems(raw))), ascii_json(raw))
    whole = json.loads(text.encode("utf-8"))
    assert DOCUMENT.validate_python(whole, strict=True) == whole
    assert json.loads(text.encode()) == whole
