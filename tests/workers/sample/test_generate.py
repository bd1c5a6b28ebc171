"""The generated versions: the same every time, each its own, with the shape of the real data."""

from collections import Counter
from itertools import islice
from typing import Any

import orjson
import pytest

from workers.sample.bundled import entries
from workers.sample.generate import generate, server_name
from workers.sample.registry import SampleRegistry
from workers.sample.row import OFFICIAL, PUBLISHER

MANY = 20_000

Item = dict[str, Any]


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(generate(MANY, seed=7))


def share(items: list[Item], counted: int) -> float:
    return counted / len(items)


def types(item: Item) -> set[str]:
    """What a version is delivered as."""
    server = item["server"]
    packages = {package.get("registryType", package.get("registry_type")) for package in server.get("packages", ())}
    return packages | ({"remote"} if "remotes" in server else set())


@pytest.mark.parametrize("versions", [0, 1, 2, 100])
def test_there_are_as_many_as_asked_for(versions: int) -> None:
    assert len(list(generate(versions, seed=1))) == versions


def test_the_same_seed_gives_the_same_and_a_smaller_number_its_beginning() -> None:
    assert list(generate(500, seed=1)) == list(generate(1000, seed=1))[:500]
    assert list(generate(500, seed=1)) != list(generate(500, seed=2))


def test_no_two_are_the_same_version_and_none_is_a_bundled_one(items: list[Item]) -> None:
    keys = {(item["server"]["name"], item["server"]["version"]) for item in items}
    assert len(keys) == MANY
    assert not {name for name, _ in keys} & {item["server"]["name"] for item in entries()}


def test_every_index_has_a_name_of_its_own() -> None:
    assert len({server_name(index)[0] for index in range(100_000)}) == 100_000


def test_a_registry_takes_them_all(items: list[Item]) -> None:
    registry = SampleRegistry(items)
    assert len(registry) == MANY
    latest = Counter(item["server"]["name"] for item in registry.items() if item["_meta"][OFFICIAL]["isLatest"])
    assert set(latest.values()) == {1}
    assert len(latest) == len({item["server"]["name"] for item in items})


def test_sizes_are_those_of_the_real_registry(items: list[Item]) -> None:
    sizes = sorted(len(orjson.dumps(item["server"])) for item in items)
    assert 500 < sizes[MANY // 2] < 650
    assert 2500 < sizes[MANY * 99 // 100] < 5500
    assert 30_000 < sizes[-1] < 65_000


def test_a_name_has_about_three_versions_and_some_have_many(items: list[Item]) -> None:
    counts = Counter(item["server"]["name"] for item in items)
    assert 2.8 < MANY / len(counts) < 3.8
    assert max(counts.values()) == 72


def test_what_is_delivered_has_the_real_mix(items: list[Item]) -> None:
    delivered = [types(item) for item in items]
    assert 0.40 < share(items, delivered.count({"remote"})) < 0.50
    assert 0.28 < share(items, delivered.count({"npm"})) < 0.38
    assert 0.10 < share(items, delivered.count({"pypi"})) < 0.18
    for kind in ({"oci"}, {"mcpb"}, {"nuget"}, {"npm", "remote"}, set[str]()):
        assert 0.003 < share(items, delivered.count(kind)) < 0.04


def test_times_and_statuses_are_those_of_the_real_registry(items: list[Item]) -> None:
    blocks = [item["_meta"][OFFICIAL] for item in items]
    assert 0.01 < share(items, sum(block["updatedAt"] != block["publishedAt"] for block in blocks)) < 0.02
    assert set(Counter(block["status"] for block in blocks)) == {"active", "deprecated", "deleted"}
    assert all(block["updatedAt"] >= block["publishedAt"][:19] for block in blocks)
    assert all("2025-09" < block["publishedAt"] < "2026-08-23" for block in blocks)


def test_about_a_seventh_is_visibly_invalid(items: list[Item]) -> None:
    assert 0.12 < share(items, sum(map(has_defect, items))) < 0.19


def has_defect(item: Item) -> bool:
    """Whether a version has one of the defects that the generator knows."""
    server = item["server"]
    schema = server.get("$schema", "")
    return (
        "/schemas/20" not in schema
        or "2025-11-31" in schema
        or server.get("repository") == {}
        or not 0 < len(server.get("description", "")) <= 100
        or any(package.get("version") == "latest" for package in server.get("packages", ()))
        or any(icon.get("sizes") == ["large"] for icon in server.get("icons", ()))
    )


def test_extra_keys_are_in_the_publishers_metadata_and_nowhere_twice() -> None:
    seen: Counter[str] = Counter()
    plain = list(generate(300, seed=1))
    for item, same in zip(generate(300, seed=1, extra_keys=5), plain, strict=True):
        given = item["server"]["_meta"][PUBLISHER]
        seen.update(key for key in given if key not in same["server"].get("_meta", {}).get(PUBLISHER, {}))
        assert {**item["server"], "_meta": None} == {**same["server"], "_meta": None}
    assert len(seen) == 1500
    assert set(seen.values()) == {1}


def test_one_name_is_made_at_a_time() -> None:
    """An iterator: the first of a million come without the others."""
    assert len(list(islice(generate(1_000_000_000), 10))) == 10
