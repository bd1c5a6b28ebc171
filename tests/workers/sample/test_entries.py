"""The bundled entries hold every shape that they are said to hold."""

import json
from collections import defaultdict
from typing import Any

import pytest

from workers.sample.bundled import ENTRIES, entries, sample_registry
from workers.sample.latest import precedence
from workers.sample.row import OFFICIAL, PUBLISHER

Server = dict[str, Any]

ITEMS = list(sample_registry().items())
SERVERS: list[Server] = [item["server"] for item in ITEMS]
BY_NAME: dict[str, list[dict[str, Any]]] = defaultdict(list)
for each in ITEMS:
    BY_NAME[each["server"]["name"]].append(each)


def packages() -> list[dict[str, Any]]:
    return [package for server in SERVERS for package in server.get("packages", ())]


def remotes() -> list[dict[str, Any]]:
    return [remote for server in SERVERS for remote in server.get("remotes", ())]


def statuses(name: str) -> dict[str, str]:
    return {item["server"]["version"]: item["_meta"][OFFICIAL]["status"] for item in BY_NAME[name]}


def latest(name: str) -> str:
    [version] = [i["server"]["version"] for i in BY_NAME[name] if i["_meta"][OFFICIAL]["isLatest"]]
    return str(version)


def some(key: str, value: Any) -> bool:
    """Whether an object with this key and value is somewhere in the entries."""
    return f'"{key}": {json.dumps(value)}' in ENTRIES.read_text("utf-8")


def test_there_are_60_names_and_over_100_versions() -> None:
    assert len(BY_NAME) == 60
    assert len(ITEMS) > 100
    assert all("isLatest" not in item["_meta"][OFFICIAL] for item in entries())


def test_every_transport_is_there() -> None:
    assert {remote["type"] for remote in remotes()} == {"streamable-http", "sse"}
    assert {package["transport"]["type"] for package in packages()} == {"stdio", "streamable-http", "sse"}


def test_every_package_type_is_there_and_cargo_under_the_draft() -> None:
    kinds = {package.get("registryType", package.get("registry_type")) for package in packages()}
    assert kinds == {"npm", "pypi", "oci", "nuget", "mcpb", "cargo"}
    cargo = [s for s in SERVERS if "cargo" in {p.get("registryType") for p in s.get("packages", ())}]
    assert {server["$schema"].split("/")[-2] for server in cargo} == {"draft"}


@pytest.mark.parametrize(
    "date", ["2025-07-09", "2025-09-16", "2025-09-29", "2025-10-11", "2025-10-17", "2025-12-11", "draft"]
)
def test_every_schema_is_declared(date: str) -> None:
    assert any(f"/schemas/{date}/server.schema.json" in server.get("$schema", "") for server in SERVERS)


def test_the_oldest_schema_is_written_in_snake_case() -> None:
    old = [server for server in SERVERS if "2025-07-09" in server.get("$schema", "")]
    assert all(server["status"] == "active" and "website_url" in server for server in old)
    assert all({"registry_type", "environment_variables"} <= set(server["packages"][0]) for server in old)


def test_schemas_are_missing_empty_unknown_and_with_a_fragment() -> None:
    declared = [server.get("$schema") for server in SERVERS]
    assert {None, ""} <= set(declared)
    assert any("2025-11-31" in (schema or "") for schema in declared)
    assert any((schema or "").endswith("#/definitions/ServerDetail") for schema in declared)


def test_what_clients_need_to_run_a_server_is_there() -> None:
    assert some("isSecret", value=True)
    assert some("is_secret", value=True)
    for field in ("environmentVariables", "packageArguments", "runtimeArguments", "runtimeHint", "fileSha256"):
        assert any(field in package for package in packages()), field
    assert any("variables" in remote and "{" in remote["url"] for remote in remotes())
    assert any("headers" in remote for remote in remotes())


def test_what_people_see_is_there() -> None:
    for field in ("title", "icons", "websiteUrl", "repository", "_meta"):
        assert any(server.get(field) for server in SERVERS), field
    assert any(PUBLISHER in server.get("_meta", {}) for server in SERVERS)
    assert any(not server.get("description", "").isascii() for server in SERVERS)


def test_repositories_are_empty_in_a_folder_on_gitlab_and_shared() -> None:
    repositories = [server["repository"] for server in SERVERS if "repository" in server]
    assert {} in repositories
    assert any("subfolder" in repository for repository in repositories)
    assert any(repository.get("source") == "gitlab" for repository in repositories)
    owners = defaultdict(set)
    for server in SERVERS:
        owners[server.get("repository", {}).get("url")].add(server["name"])
    assert any(url and len(names) > 1 for url, names in owners.items())


def test_some_are_invalid_in_the_ways_of_the_real_ones() -> None:
    assert any("description" not in server for server in SERVERS)
    assert any(len(server.get("description", "")) > 100 for server in SERVERS)
    assert any(package.get("version") == "latest" for package in packages())
    older = [server for server in SERVERS if "2025-09-29" in server.get("$schema", "")]
    unversioned = [p for s in older for p in s.get("packages", ()) if p["registryType"] == "oci" and "version" not in p]
    assert unversioned
    assert any("{" in remote["url"] and "variables" not in remote for remote in remotes())
    assert any(server["version"] == "{{VERSION}}" for server in SERVERS)
    assert any("localhost" in remote["url"] for remote in remotes())


def test_some_are_deprecated_with_a_message_and_some_deleted() -> None:
    blocks = [item["_meta"][OFFICIAL] for item in ITEMS]
    assert {block["status"] for block in blocks} == {"active", "deprecated", "deleted"}
    assert any(block["status"] == "deprecated" and block["statusMessage"] for block in blocks)
    assert any(block["status"] == "active" and block["updatedAt"] > block["publishedAt"] for block in blocks)


def test_all_versions_of_a_name_are_deleted_and_of_another_only_the_newest() -> None:
    assert set(statuses("io.github.rustwick/build-cache").values()) == {"deleted"}
    assert latest("io.github.rustwick/build-cache") == "0.2.1"
    assert statuses("org.openalmanac/eclipse-dates")["2.1.0"] == "deleted"
    assert latest("org.openalmanac/eclipse-dates") == "2.0.3"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("io.github.saltmarsh-tools/tide-tables", "1.10.0"),
        ("net.harrowgate/heating", "3.3.0"),
        ("io.github.ottersum/spreadsheet", "v1.1.0"),
        ("io.github.ottersum/pivot", "2.0.0+20260301"),
        ("io.github.ottersum/csv-lint", "1.0.0-rc.1"),
        ("io.github.brackenfield/soil-samples", "1.2.3"),
        ("io.github.brackenfield/harvest-log", "0.5.2.post1"),
        ("io.github.brackenfield/seed-bank", "0.4.0"),
        ("io.github.stonecrop-data/rainfall", "1.0.0"),
        ("io.github.fernhollow/release-bot", "1.1.0"),
    ],
)
def test_the_latest_of_oddly_numbered_names(name: str, expected: str) -> None:
    assert len(BY_NAME[name]) > 1
    assert latest(name) == expected


def test_versions_are_odd_in_every_way() -> None:
    versions = [server["version"] for server in SERVERS]
    odd = [version for version in versions if precedence(version) is None]
    assert any(version.count(".") == 3 for version in odd)
    assert any(" " in version for version in odd)
    assert any("+" in version for version in odd)
    assert any(not version.isascii() for version in odd)


def test_names_hold_capitals_and_two_differ_by_case_only() -> None:
    assert any(name != name.lower() for name in BY_NAME)
    assert len({name.lower() for name in BY_NAME}) < len(BY_NAME)


def test_a_name_offers_nothing_to_run_and_another_the_same_package_twice() -> None:
    assert any("packages" not in server and "remotes" not in server for server in SERVERS)
    twice = [
        [package["identifier"] for package in server.get("packages", ()) if "identifier" in package]
        for server in SERVERS
    ]
    assert any(len(set(identifiers)) < len(identifiers) for identifiers in twice)
